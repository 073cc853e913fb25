"""From an object that changed to the keys that have to be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mlops.api import labels
from mlops.engine.cluster import Reader, key_of, labels_of
from mlops.planning.plan import Key, Manifest

# A child says by these labels whose it is.
OWNERS = {
    labels.DATASET: "Dataset",
    labels.RUN: "TrainingRun",
    labels.MODEL: "Model",
    labels.MONITOR: "DriftMonitor",
}
JOB_NAME = "batch.kubernetes.io/job-name"


def keys_of(manifest: Manifest, reader: Reader) -> set[Key]:
    """Return the keys whose plan may depend on the object; a missing one only delays, one too many only costs time."""
    return set(_keys(manifest, reader))


def _keys(manifest: Manifest, reader: Reader) -> Iterator[Key]:
    kind, namespace, _ = key = key_of(manifest)
    if kind == "Event":
        return
    for label, owner in OWNERS.items():
        if name := labels_of(manifest).get(label):
            yield Key(owner, namespace, name)
    match kind:
        case "Pod":
            job = reader.get(Key("Job", namespace, labels_of(manifest).get(JOB_NAME, "")))
            if job is not None:
                yield from _keys(job, reader)
        case "Dataset":
            yield key
            yield from _runs_on(key, reader)
        case "TrainingRun":
            yield key
            yield from _of_run(key, manifest, reader)
        case "ModelVersion":
            yield from _of_version(manifest, reader)
        case "DriftMonitor":
            yield key


def _runs_on(dataset: Key, reader: Reader) -> Iterator[Key]:
    for run in reader.list("TrainingRun", dataset.namespace):
        if _at(run, "spec", "datasetRef", "name") == dataset.name:
            yield key_of(run)


def _of_run(run: Key, manifest: Manifest, reader: Reader) -> Iterator[Key]:
    namespace = run.namespace
    if (dataset := _at(manifest, "spec", "datasetRef", "name")) and _at(manifest, "spec", "datasetRef", "notBefore"):
        # It waits for a refresh, or has waited.
        yield Key("Dataset", namespace, dataset)
    template = labels_of(manifest).get(labels.TEMPLATE)
    if template:
        yield Key("TrainingRun", namespace, template)
    source = {"trainingRunRef": {"name": run.name}}
    for version in _with(reader.list("ModelVersion", namespace), "spec", "source", source):
        yield Key("Model", namespace, str(_at(version, "spec", "modelName")))
    for monitor in reader.list("DriftMonitor", namespace):
        if _at(monitor, "spec", "trainingRunRef", "name") in (run.name, template):
            yield key_of(monitor)
    if inputs := _at(manifest, "status", "inputsDigest"):
        for sibling in _with(reader.list("TrainingRun", namespace), "status", "inputsDigest", inputs):
            if key_of(sibling) != run:
                yield key_of(sibling)


def _of_version(manifest: Manifest, reader: Reader) -> Iterator[Key]:
    key, model = key_of(manifest), _at(manifest, "spec", "modelName")
    yield Key("Model", key.namespace, str(model))
    for path in (("lineage", "trainingRun"), ("source", "trainingRunRef", "name")):
        if run := _at(manifest, "spec", *path):
            yield Key("TrainingRun", key.namespace, run)
    for run_manifest in _with(reader.list("TrainingRun", key.namespace), "status", "modelVersionRef", key.name):
        yield key_of(run_manifest)
    for monitor in reader.list("DriftMonitor", key.namespace):
        if _at(monitor, "spec", "targetRef", "modelName") == model:
            yield key_of(monitor)
    for dataset in reader.list("Dataset", key.namespace):
        if _at(dataset, "spec", "source", "captured", "modelName") == model:
            yield key_of(dataset)


def _with(manifests: Sequence[Manifest], part: str, field: str, value: Any) -> list[Manifest]:
    """Return the manifests whose `part` has this value of a field. Each change of a run asks this of a thousand."""
    return [one for one in manifests if isinstance(there := one.get(part), dict) and there.get(field) == value]


def _at(manifest: Manifest, *path: str) -> Any:
    """Return what stands at `path`, or None: an object that does not parse has routes too."""
    value: Any = manifest
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value
