"""What of a manifest's pods means nothing on one machine, told once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

# One node, no API server that labels mean something to; a process has its variables and nothing else of a pod.
_OF_A_CLUSTER = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "runtimeClassName",
    "serviceAccountName",
    "imagePullSecrets",
    "labels",
    "annotations",
)


def without_meaning(specs: Iterable[dict[str, Any]]) -> str | None:
    """Return a sentence with the fields that only a cluster acts on; None if none of these specs has one."""
    found = dict.fromkeys(name for spec in specs for part in _parts(spec) for name in _of_a_cluster(part))
    if not found:
        return None
    return f"{', '.join(found)}: without a cluster they mean nothing, and are left alone"


def _parts(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what says of pods: the spec of an object, and each stage of a model's way."""
    yield spec
    for holder in (spec, spec.get("register") or {}):
        yield from (holder.get("promotion") or {}).get("stages") or ()


def _of_a_cluster(part: dict[str, Any]) -> Iterator[str]:
    template, limits = part.get("podTemplate") or {}, (part.get("resources") or {}).get("limits") or {}
    yield from (f"podTemplate.{name}" for name in _OF_A_CLUSTER if template.get(name))
    yield from (f"resources.limits.{name}" for name in limits if "/" in name)
    if "autoscaling" in part:
        yield "autoscaling above minReplicas"
