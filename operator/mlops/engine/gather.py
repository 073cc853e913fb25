"""Building each planner's view from what is known of the cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TypeVar

from mlops.api import kinds, labels
from mlops.api.base import Resource
from mlops.api.dataset import Dataset
from mlops.api.drift_monitor import DriftMonitor
from mlops.api.kinds import InvalidObject
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TrainingRun
from mlops.engine.cluster import Clock, Reader, field_of, key_of, owners_of
from mlops.engine.routes import JOB_NAME, is_over
from mlops.planning import standing, training_run, training_template
from mlops.planning.model_history import HISTORY, highest_dataset_version, strange_lines
from mlops.planning.plan import Key, Manifest, Settings
from mlops.planning.server_pods import server_pod
from mlops.planning.training_manifests import USERS_CONTAINER
from mlops.planning.views import DatasetView, DriftMonitorView, JobView, ModelView, TrainingRunView

log = logging.getLogger(__name__)

View = DatasetView | TrainingRunView | ModelView | DriftMonitorView
Kind = TypeVar("Kind", Dataset, TrainingRun, ModelVersion, DriftMonitor)


class Gatherer:
    """Reads from memory only, so a view is the state of one moment. An object is parsed once per version of it."""

    def __init__(self, reader: Reader, settings: Settings, clock: Clock) -> None:
        self._reader, self._settings, self._clock = reader, settings, clock
        # By key: the manifest, and what it parses to.
        self._parsed: dict[Key, tuple[Manifest, Resource | InvalidObject]] = {}
        # By ConfigMap of a model's history: the one that was looked through, and how many lines were none of ours.
        self._strange: dict[Key, tuple[Manifest, int]] = {}

    def view(self, key: Key) -> View | None:
        """Return the view of `key`, or None if there is nothing to plan: it is gone or going.

        Raises InvalidObject if the object itself is not what its kind allows.
        """
        match key.kind:
            case "Dataset":
                dataset = self._own(key, Dataset)
                return self._dataset(dataset) if dataset else None
            case "TrainingRun":
                run = self._own(key, TrainingRun)
                return self._training_run(run) if run else None
            case "DriftMonitor":
                monitor = self._own(key, DriftMonitor)
                return self._drift_monitor(monitor) if monitor else None
        return self._model(key.namespace, key.name)

    def invalid_versions(self, namespace: str, model_name: str) -> list[tuple[Manifest, InvalidObject]]:
        """Return the versions of a model that do not parse, each with the reason."""
        found = []
        for manifest in self._reader.by_field("ModelVersion", namespace, "spec.modelName", model_name):
            parsed = self._parse(manifest)
            if isinstance(parsed, InvalidObject) and not _going(manifest):
                found.append((manifest, parsed))
        return found

    def forget(self, key: Key) -> None:
        """Drop what is kept of an object that is gone."""
        self._parsed.pop(key, None)
        self._strange.pop(key, None)

    def _own(self, key: Key, kind: type[Kind]) -> Kind | None:
        manifest = self._reader.get(key)
        if manifest is None or _going(manifest):
            return None
        parsed = self._parse(manifest)
        if isinstance(parsed, InvalidObject):
            raise parsed
        return parsed if isinstance(parsed, kind) else None

    def _one(self, kind: type[Kind], namespace: str, name: str) -> Kind | None:
        """Return another object; one that is invalid is as good as missing."""
        try:
            return self._own(Key(kind.__name__, namespace, name), kind)
        except InvalidObject:
            return None

    def _parsed_of(self, kind: type[Kind], manifests: Iterable[Manifest]) -> tuple[Kind, ...]:
        """Return the objects of these manifests, without those that are invalid or on their way out."""
        parsed = (self._parse(manifest) for manifest in manifests if not _going(manifest))
        return tuple(one for one in parsed if isinstance(one, kind))

    def _parse(self, manifest: Manifest) -> Resource | InvalidObject:
        key = key_of(manifest)
        kept = self._parsed.get(key)
        # A manifest is never changed in place, and the one that was parsed is kept: it is the same one or a newer one.
        if kept is not None and kept[0] is manifest:
            return kept[1]
        parsed: Resource | InvalidObject
        try:
            parsed = kinds.parse(manifest)
        except InvalidObject as error:
            parsed = error
        if key.kind == "TrainingRun" and is_over(manifest):
            # Thousands of these pile up, and hardly anybody asks for one again.
            self._parsed.pop(key, None)
        else:
            self._parsed[key] = (manifest, parsed)
        return parsed

    def _dataset(self, dataset: Dataset) -> DatasetView:
        namespace, name = dataset.metadata.namespace, dataset.metadata.name
        captured = dataset.spec.source.captured
        return DatasetView(
            now=self._clock.now(),
            settings=self._settings,
            dataset=dataset,
            jobs=self._jobs(dataset, labels.DATASET),
            cron_job=self._cron_job(dataset, labels.DATASET),
            waiting_runs=self._parsed_of(
                TrainingRun,
                (
                    run
                    for run in self._reader.by_field("TrainingRun", namespace, "spec.datasetRef.name", name)
                    if field_of(run, "spec.datasetRef.notBefore") and field_of(run, "status.resolved") is None
                ),
            ),
            captured_versions=self._versions(namespace, captured.model_name) if captured else (),
            asked=tuple(
                asked
                for monitor in self._reader.by_field("DriftMonitor", namespace, "status.nothingNew.dataset", name)
                if isinstance(asked := field_of(monitor, "status.nothingNew.asked"), str)
            ),
            spoken_for=self._spoken_for(dataset),
        )

    def _training_run(self, run: TrainingRun) -> TrainingRunView:
        namespace, register = run.metadata.namespace, run.spec.register_
        dataset = self._one(Dataset, namespace, run.spec.dataset_ref.name)
        versions = self._versions(namespace, register.model_name) if register else ()
        near = self._runs_of_template(run, dataset) if run.spec.triggers else self._runs_beside(run, dataset, versions)
        others = {key: manifest for manifest in near if (key := key_of(manifest)) != run.key}
        return TrainingRunView(
            now=self._clock.now(),
            settings=self._settings,
            run=run,
            dataset=dataset,
            jobs=self._jobs(run, labels.RUN),
            siblings=self._parsed_of(TrainingRun, others.values()),
            versions=versions,
            history=self._history(namespace, register.model_name) if register else (),
        )

    def _runs_of_template(self, template: TrainingRun, dataset: Dataset | None) -> Iterator[Manifest]:
        """Yield the runs of a template that tell whether it has to fire: those under way, and those on the Dataset's
        current version."""
        namespace, name, last = template.metadata.namespace, template.metadata.name, template.status.last_run
        version = dataset.status.version if dataset else None
        # The newest one, and those whose names the next firing would take.
        names = (last, training_template.change_name(template), training_template.version_name(template, version))
        yield from filter(None, (self._reader.get(Key("TrainingRun", namespace, each)) for each in names if each))
        for run in self._reader.list("TrainingRun", namespace, {labels.TEMPLATE: name}):
            if not is_over(run) or field_of(run, "status.resolved.datasetVersion") == version:
                yield run

    def _runs_beside(
        self, run: TrainingRun, dataset: Dataset | None, versions: tuple[ModelVersion, ...]
    ) -> Iterator[Manifest]:
        """Yield the runs whose result this one would have, and those that speak for a number of its model."""
        namespace, register = run.metadata.namespace, run.spec.register_
        if standing.is_over(run.status.conditions):
            return
        if inputs := training_run.inputs_of(run, dataset, self._settings):
            yield from self._reader.by_field("TrainingRun", namespace, "status.inputsDigest", inputs)
        if register is not None:
            there = {None, *(version.metadata.name for version in versions)}
            for other in self._reader.by_field(
                "TrainingRun", namespace, "spec.register.modelName", register.model_name
            ):
                if field_of(other, "status.modelVersionRef") not in there:
                    yield other

    def _drift_monitor(self, monitor: DriftMonitor) -> DriftMonitorView:
        namespace, ref = monitor.metadata.namespace, monitor.spec.training_run_ref
        template = self._one(TrainingRun, namespace, ref.name) if ref else None
        return DriftMonitorView(
            now=self._clock.now(),
            settings=self._settings,
            monitor=monitor,
            cron_job=self._cron_job(monitor, labels.MONITOR),
            jobs=self._jobs(monitor, labels.MONITOR),
            versions=self._versions(namespace, monitor.spec.target_ref.model_name),
            template=template,
            dataset=self._one(Dataset, namespace, template.spec.dataset_ref.name) if template else None,
            runs=self._parsed_of(TrainingRun, self._reader.list("TrainingRun", namespace, {labels.TEMPLATE: ref.name}))
            if ref
            else (),
        )

    def _model(self, namespace: str, model_name: str) -> ModelView | None:
        versions = self._versions(namespace, model_name)
        selector = {labels.MODEL: model_name}
        served = {
            kind: {str(one["metadata"]["name"]): one for one in self._reader.list(kind, namespace, selector)}
            for kind in ("Deployment", "Service", "PodDisruptionBudget")
        }
        history = self._history(namespace, model_name)
        if not versions and not history and not any(served.values()):
            return None
        sources = {version.spec.source.training_run_ref.name for version in versions if version.spec.source}
        runs = (self._one(TrainingRun, namespace, name) for name in sorted(sources))
        return ModelView(
            now=self._clock.now(),
            settings=self._settings,
            namespace=namespace,
            model_name=model_name,
            versions=versions,
            jobs=self._job_views(self._reader.list("Job", namespace, selector)),
            deployments=served["Deployment"],
            services=served["Service"],
            disruption_budgets=served["PodDisruptionBudget"],
            pods=tuple(filter(None, map(server_pod, self._reader.list("Pod", namespace, selector)))),
            runs={run.metadata.name: run for run in runs if run},
            history=history,
            present=frozenset(
                str(version["metadata"].get("uid", ""))
                for version in self._reader.by_field("ModelVersion", namespace, "spec.modelName", model_name)
            ),
        )

    def _history(self, namespace: str, model_name: str | None = None) -> tuple[Manifest, ...]:
        """Return what is recorded of one model, or of all."""
        selector = {labels.MODEL: model_name} if model_name else {}
        found = tuple(self._reader.list("ConfigMap", namespace, {labels.COMPONENT: HISTORY, **selector}))
        for segment in found:
            self._tell_of_strange_lines(segment)
        return found

    def _tell_of_strange_lines(self, segment: Manifest) -> None:
        """Say once that lines of a record are passed over: a person edited it, and no object's condition says so."""
        key = key_of(segment)
        before, told = self._strange.get(key, (None, 0))
        if before is segment:
            return
        count = strange_lines(segment)
        self._strange[key] = segment, count
        if count > told:
            log.warning(
                "ConfigMap %s/%s: %d lines are no record of a version and passed over: mend or remove them",
                key.namespace, key.name, count,
            )  # fmt: skip

    def _spoken_for(self, dataset: Dataset) -> int:
        """Return the highest version of a Dataset of this name that anything speaks of; asked for once in its life."""
        namespace, name = dataset.metadata.namespace, dataset.metadata.name
        if dataset.status.version is not None:
            return 0
        numbers = [highest_dataset_version(self._history(namespace), name)]
        for run in self._reader.by_field("TrainingRun", namespace, "spec.datasetRef.name", name):
            numbers.append(field_of(run, "status.resolved.datasetVersion") or 0)
        for version in self._reader.list("ModelVersion", namespace):
            for lineage in (field_of(version, "status.lineage"), field_of(version, "spec.lineage")):
                if isinstance(lineage, dict) and lineage.get("dataset") == name:
                    numbers.append(lineage.get("datasetVersion") or 0)
        return max(numbers)

    def _versions(self, namespace: str, model_name: str) -> tuple[ModelVersion, ...]:
        found = self._reader.by_field("ModelVersion", namespace, "spec.modelName", model_name)
        return self._parsed_of(ModelVersion, found)

    def _jobs(self, owner: Resource, label: str) -> tuple[JobView, ...]:
        return self._job_views(self._children("Job", owner, label))

    def _cron_job(self, owner: Resource, label: str) -> Manifest | None:
        return next(iter(self._children("CronJob", owner, label)), None)

    def _children(self, kind: str, owner: Resource, label: str) -> list[Manifest]:
        found = self._reader.list(kind, owner.metadata.namespace, {label: owner.metadata.name})
        return [child for child in found if not _of_a_namesake(child, owner)]

    def _job_views(self, jobs: Iterable[Manifest]) -> tuple[JobView, ...]:
        return tuple(self._job_view(job) for job in jobs)

    def _job_view(self, job: Manifest) -> JobView:
        metadata = job["metadata"]
        pods = self._reader.list("Pod", str(metadata["namespace"]), {JOB_NAME: str(metadata["name"])})
        own = [pod for pod in pods if _owned_by(pod, job)]
        working = any(pod.get("status", {}).get("phase") == "Running" for pod in own)
        finished = [end for pod in own if (end := _end_of(pod))]
        if not finished:
            return JobView(job, working=working)
        # Of two that finished in the same second the later one in the list, which was made later, counts.
        newest = max(reversed(finished), key=lambda end: str(end.get("finishedAt", "")))
        return JobView(job, newest.get("message"), newest.get("exitCode"), newest.get("reason"), working)


def _end_of(pod: Manifest) -> Manifest | None:
    """Return the terminated state that tells how a finished pod ended: that of the init container that failed, else
    that of the last container. What a user's own code says there is nobody's report: only its exit code counts."""
    status = pod.get("status", {})
    if status.get("phase") not in ("Succeeded", "Failed"):
        return None
    ends = [
        _without_message(container["state"]["terminated"])
        if container.get("name") == USERS_CONTAINER
        else container["state"]["terminated"]
        for field in ("initContainerStatuses", "containerStatuses")
        for container in status.get(field, ())
        if "terminated" in container.get("state", {})
    ]
    failed = (end for end in ends if end.get("exitCode") != 0)
    return next(failed, ends[-1] if ends else None)


def _without_message(end: Manifest) -> Manifest:
    return {key: value for key, value in end.items() if key != "message"}


def _owned_by(child: Manifest, owner: Manifest) -> bool:
    uid = owner["metadata"].get("uid")
    return any(reference.get("uid") == uid for reference in owners_of(child))


def _of_a_namesake(child: Manifest, owner: Resource) -> bool:
    """Return whether the child belongs to an object of the same kind and name that was deleted before."""
    return any(
        reference.get("kind") == owner.kind
        and reference.get("name") == owner.metadata.name
        and reference.get("uid") != owner.metadata.uid
        for reference in owners_of(child)
    )


def _going(manifest: Manifest) -> bool:
    return manifest["metadata"].get("deletionTimestamp") is not None
