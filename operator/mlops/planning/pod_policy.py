"""What the administrator lets users say of their pods, and which defaults lie under it.

A pod has the store's keys, or runs a user's code. What could give either to somebody else (another identity, variables
of our programs, labels that Services and network policies select by, annotations that webhooks act on, the right to
push others off a node) needs a line in the installation's lists. Where pods run, and what fetches their image, does
not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops.api import tasks
from mlops.api.pod_template import PodTemplate

# What the operator sets itself, whatever a list says: the bits of a model, and what is imported.
_FIXED = frozenset((*tasks.NUMERIC_ENVIRONMENT, *tasks.SAFE_PYTHON))


@dataclass(frozen=True)
class PodPolicy:
    """What a podTemplate may say, by field: names, a beginning of names with `*` at its end, or `*` for any."""

    labels: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    priority_class_names: tuple[str, ...] = ()
    runtime_class_names: tuple[str, ...] = ()
    service_account_names: tuple[str, ...] = ()

    def refusals(self, template: PodTemplate | None, path: str) -> list[str]:
        """Return a sentence for each value that no list allows; `path` is where the template stands."""
        if template is None:
            return []
        said = [
            f"{path}.{field}: {name!r} is not among podPolicy.{listed} of the installation: ask its administrator, or "
            "leave it out"
            for field, listed, names, entries in self._judged(template)
            for name in names
            if not _is_listed(name, entries)
        ]
        return said + [
            f"{path}.env: {each.name!r} is set by the operator and cannot be another: leave it out"
            for each in template.env
            if each.name in _FIXED
        ]

    def allowed(self, template: PodTemplate | None) -> PodTemplate:
        """Return the template without what no list allows."""
        if template is None:
            return PodTemplate()
        return template.evolve(
            labels=_kept(template.labels, self.labels),
            annotations=_kept(template.annotations, self.annotations),
            env=tuple(each for each in template.env if each.name not in _FIXED and _is_listed(each.name, self.env)),
            priority_class_name=_one(template.priority_class_name, self.priority_class_names),
            runtime_class_name=_one(template.runtime_class_name, self.runtime_class_names),
            service_account_name=_one(template.service_account_name, self.service_account_names),
        )

    def _judged(self, template: PodTemplate) -> list[tuple[str, str, list[str], tuple[str, ...]]]:
        """Return of each field that needs a list: its name, the list's, what it says, and what the list allows."""
        variables = [each.name for each in template.env if each.name not in _FIXED]
        single = (
            ("priorityClassName", template.priority_class_name, self.priority_class_names),
            ("runtimeClassName", template.runtime_class_name, self.runtime_class_names),
            ("serviceAccountName", template.service_account_name, self.service_account_names),
        )
        return [
            ("labels", "labels", list(template.labels), self.labels),
            ("annotations", "annotations", list(template.annotations), self.annotations),
            ("env", "env", variables, self.env),
            *((field, f"{field}s", [name] if name else [], entries) for field, name, entries in single),
        ]


def _is_listed(name: str, entries: Iterable[str]) -> bool:
    return any(name.startswith(entry[:-1]) if entry.endswith("*") else name == entry for entry in entries)


def _kept(values: Mapping[str, str], entries: Iterable[str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if _is_listed(name, entries)}


def _one(name: str | None, entries: Iterable[str]) -> str | None:
    return name if name is not None and _is_listed(name, entries) else None


def laid_over(defaults: PodTemplate, own: PodTemplate) -> PodTemplate:
    """Return the defaults with an object's own values over them.

    Maps are merged by key, variables and Secrets by name, tolerations are added to each other; what else the object
    says stands in the place of the default.
    """
    return defaults.evolve(
        labels={**defaults.labels, **own.labels},
        annotations={**defaults.annotations, **own.annotations},
        env=tuple({each.name: each for each in (*defaults.env, *own.env)}.values()),
        node_selector={**defaults.node_selector, **own.node_selector},
        tolerations=tuple(dict.fromkeys((*defaults.tolerations, *own.tolerations))),
        affinity=own.affinity or defaults.affinity,
        topology_spread_constraints=own.topology_spread_constraints or defaults.topology_spread_constraints,
        priority_class_name=own.priority_class_name or defaults.priority_class_name,
        runtime_class_name=own.runtime_class_name or defaults.runtime_class_name,
        service_account_name=own.service_account_name or defaults.service_account_name,
        image_pull_secrets=tuple(dict.fromkeys((*defaults.image_pull_secrets, *own.image_pull_secrets))),
    )


def without_empty(value: Any) -> Any:
    """Return a YAML shape without empty maps and lists, which an API server does not keep."""
    if isinstance(value, dict):
        kept = {name: without_empty(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each not in ({}, [])}
    return [without_empty(each) for each in value] if isinstance(value, list | tuple) else value
