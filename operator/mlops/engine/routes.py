"""From an object that changed to the keys that have to be looked at."""

from __future__ import annotations

from collections.abc import Iterator

from mlops.api import labels
from mlops.engine.cluster import Reader, field_of, key_of, labels_of
from mlops.engine.over import UNFINISHED_ON_DATASET, run_is_over
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
            yield from map(
                key_of, reader.by_field("DriftMonitor", key.namespace, "status.nothingNew.dataset", key.name)
            )
        case "TrainingRun":
            yield key
            yield from _of_run(key, manifest, reader)
        case "ModelVersion":
            yield from _of_version(manifest, reader)
        case "DriftMonitor":
            yield key
            if dataset := field_of(manifest, "status.nothingNew.dataset"):
                yield Key("Dataset", namespace, str(dataset))


def _runs_on(dataset: Key, reader: Reader) -> Iterator[Key]:
    yield from map(key_of, reader.by_field("TrainingRun", dataset.namespace, UNFINISHED_ON_DATASET, dataset.name))


def _of_run(run: Key, manifest: Manifest, reader: Reader) -> Iterator[Key]:
    namespace = run.namespace
    if (dataset := field_of(manifest, "spec.datasetRef.name")) and field_of(manifest, "spec.datasetRef.notBefore"):
        # It waits for a refresh, or has waited.
        yield Key("Dataset", namespace, dataset)
    template = labels_of(manifest).get(labels.TEMPLATE)
    if template:
        yield Key("TrainingRun", namespace, template)
    for version in reader.by_field("ModelVersion", namespace, "spec.source.trainingRunRef.name", run.name):
        yield Key("Model", namespace, str(field_of(version, "spec.modelName")))
    for name in filter(None, (run.name, template)):
        yield from map(key_of, reader.by_field("DriftMonitor", namespace, "spec.trainingRunRef.name", name))
    if inputs := field_of(manifest, "status.inputsDigest"):
        for sibling in reader.by_field("TrainingRun", namespace, "status.inputsDigest", inputs):
            if key_of(sibling) != run and not run_is_over(sibling):
                yield key_of(sibling)


def _of_version(manifest: Manifest, reader: Reader) -> Iterator[Key]:
    (_, namespace, name), model = key_of(manifest), str(field_of(manifest, "spec.modelName"))
    yield Key("Model", namespace, model)
    for path in ("spec.lineage.trainingRun", "spec.source.trainingRunRef.name"):
        if run := field_of(manifest, path):
            yield from _of_its_run(Key("TrainingRun", namespace, str(run)), reader)
    for kind, field, value in (
        ("TrainingRun", "status.modelVersionRef", name),
        ("DriftMonitor", "spec.targetRef.modelName", model),
        ("Dataset", "spec.source.captured.modelName", model),
    ):
        yield from map(key_of, reader.by_field(kind, namespace, field, value))


def _of_its_run(run: Key, reader: Reader) -> Iterator[Key]:
    """Yield the run of a version and the template of that run, which stands as what came of it does."""
    yield run
    there = reader.get(run)
    if there is not None and (template := labels_of(there).get(labels.TEMPLATE)):
        yield Key("TrainingRun", run.namespace, template)
