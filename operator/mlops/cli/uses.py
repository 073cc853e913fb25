"""Who still needs an object that is to be deleted."""

from __future__ import annotations

from collections.abc import Iterator

from mlops.engine.cluster import field_of
from mlops.engine.over import run_is_over
from mlops.planning.plan import Manifest


def uses_of(objects: list[Manifest], kind: str, namespace: str, name: str) -> list[str]:
    """Return in words what would break, or lose its origin, without the object; nothing if it can go."""
    present = [one for one in objects if one["metadata"].get("namespace") == namespace]
    match kind:
        case "ModelVersion":
            return list(_of_version(present, name))
        case "Dataset":
            return list(_of_dataset(present, name))
        case "TrainingRun":
            return list(_of_run(present, name))
    return []


def _of_version(objects: list[Manifest], name: str) -> Iterator[str]:
    for version in _of_kind(objects, "ModelVersion"):
        stages = field_of(version, "status.stages")
        if version["metadata"]["name"] == name and stages:
            yield f"it is live in {', '.join(stages)}"


def _of_dataset(objects: list[Manifest], name: str) -> Iterator[str]:
    templates = []
    for run in _of_kind(objects, "TrainingRun"):
        if field_of(run, "spec.datasetRef.name") != name:
            continue
        if field_of(run, "spec.triggers"):
            templates.append(run["metadata"]["name"])
            yield f"template {run['metadata']['name']} trains on it"
        elif not run_is_over(run):
            yield f"run {run['metadata']['name']} trains on it"
    for version in _of_kind(objects, "ModelVersion"):
        made_of = field_of(version, "status.lineage") or field_of(version, "spec.lineage") or {}
        if made_of.get("dataset") == name:
            yield f"version {version['metadata']['name']} was trained on it"
    for monitor in _of_kind(objects, "DriftMonitor"):
        if field_of(monitor, "spec.trainingRunRef.name") in templates:
            yield f"monitor {monitor['metadata']['name']} has models retrained on it"


def _of_run(objects: list[Manifest], name: str) -> Iterator[str]:
    for version in _of_kind(objects, "ModelVersion"):
        if field_of(version, "spec.source.trainingRunRef.name") == name and not field_of(version, "status.artifact"):
            yield f"version {version['metadata']['name']} waits for its result"
    for monitor in _of_kind(objects, "DriftMonitor"):
        if field_of(monitor, "spec.trainingRunRef.name") == name:
            yield f"monitor {monitor['metadata']['name']} makes runs of it"


def _of_kind(objects: list[Manifest], kind: str) -> Iterator[Manifest]:
    return (one for one in objects if one["kind"] == kind)
