"""Other values for every field of every spec, from its schema: other valid ones, those at a limit, and wrong ones.

As Acto does (SOSP 23). Whether a value is right is for the API server to say; which come here is for the schema.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.api.derived import SCHEMAS, _wrong, places
from tests.api.objects import VALID, Object, changed

# Another valid text by the beginning of a pattern; of one that is not here the present value is lengthened.
_OTHERS: dict[str, tuple[str, ...]] = {
    "^([0-9]{1,6}[dhms]){1,4}$": ("0s", "1d12h30m", "999999d"),
    "^-?[0-9]": ("0", "-1", "1e3"),
    "^(0(": ("0", "1", "0.5"),
    "^sha256:": ("sha256:" + "f" * 64,),
    "^s3://": ("s3://raw/other.csv", "s3://raw/other/"),
    "^https?://": ("http://example.com/",),
    "^[0-9a-f]{64}$": ("f" * 64,),
    "^[0-9]{4}-": ("2030-01-01T00:00:00Z",),
    "^[0-9]{1,12}": ("1", "1500m", "64Gi"),
    "^[A-Za-z][A-Za-z0-9_+/-]*$": ("UTC", "Asia/Tokyo", "Mars/Olympus"),
    "^(?:": ("0 0 29 2 *", "* * * * *"),
}
_REMOVED = "removed"


@dataclass(frozen=True)
class Mutation:
    """One field of a valid object with another value; None takes it away."""

    base: str
    path: str
    what: str
    value: Any

    @property
    def id(self) -> str:
        """Return a name for it."""
        return f"{self.base}: {self.path} {self.what}"

    @property
    def field(self) -> str:
        """Return the last name of the path, which a refusal has to say."""
        return [part for part in self.path.split(".") if not part.isdigit()][-1]

    def on(self, manifest: Object) -> Object:
        """Return the object with it."""
        return changed(manifest, {self.path: copy.deepcopy(self.value)})


def live() -> dict[str, Object]:
    """Return the objects that are mutated, by name: together they have every field."""
    found = {}
    for name, manifest in VALID.items():
        changes = {"metadata.name": name.replace(" ", "-")}
        if manifest["kind"] == "TrainingRun":
            # One that is made there: a run of it ends, and a model of it is served.
            changes |= {"spec.datasetRef.name": "dataset-from-s3", "spec.datasetRef.version": None}
        if name == "version of a run":
            changes |= {"spec.version": 13, "spec.source.trainingRunRef.name": "run-of-own-code"}
        if manifest["kind"] == "DriftMonitor":
            changes |= {"spec.trainingRunRef.name": "template"}
        found[name] = changed(manifest, changes)
    return found


def mutations() -> list[Mutation]:
    """Return all, in a fixed order, each once."""
    found: dict[tuple[str, str], Mutation] = {}
    seen: set[tuple[str, str, str]] = set()
    for base, manifest in live().items():
        kind = manifest["kind"]
        for path, node, value in places(SCHEMAS[kind], manifest["spec"], "spec"):
            plain = ".".join(part for part in path.split(".") if not part.isdigit())
            for what, other in _values(node, value, path):
                # The same field of another base of the kind is the same field.
                if (kind, plain, what) not in seen:
                    seen.add((kind, plain, what))
                    found[base, f"{path} {what}"] = Mutation(base, path, what, other)
    return list(found.values())


def fields() -> int:
    """Return how many fields of specs there are."""
    return len({(live()[each.base]["kind"], each.path) for each in mutations()})


def _values(node: Any, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    for keyword, wrong in _wrong(node, value):
        if keyword == "required":
            yield f"without {wrong}", {name: each for name, each in value.items() if name != wrong}
        else:
            yield f"wrong {keyword}", wrong
    if path != "spec" and not path.rpartition(".")[2].isdigit():
        yield _REMOVED, None
    for index, other in enumerate(_valid(node, value)):
        if other != value:
            yield f"other {index}", other


def _valid(node: Any, value: Any) -> Iterator[Any]:
    match node:
        case {"enum": [*choices]}:
            yield from choices
        case {"type": "boolean"}:
            yield not value
        case {"type": "integer"}:
            yield from (limit for name in ("minimum", "maximum") if (limit := node.get(name)) is not None)
            yield value + 1
        case {"type": "string"}:
            rules = [rule["rule"] for rule in node.get("x-kubernetes-validations", ())]
            pattern = rules[0].partition('"')[2] if rules else ""
            yield from next((others for start, others in _OTHERS.items() if pattern.startswith(start)), (f"{value}x",))
            if (limit := node.get("maxLength")) is not None:
                yield "a" * limit
        case {"type": "array"} if value:
            yield value[:1]
            yield value[::-1]
            if not node.get("minItems"):
                yield []
