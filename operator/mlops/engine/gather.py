"""Building each planner's view from what is known of the cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from mlops.api import kinds, labels
from mlops.api.base import Resource
from mlops.api.dataset import Dataset
from mlops.api.drift_monitor import DriftMonitor
from mlops.api.kinds import InvalidObject
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TrainingRun
from mlops.engine import links
from mlops.engine.cluster import Clock, Reader, field_of, key_of, labels_of
from mlops.engine.jobs import Jobs
from mlops.engine.links import Link
from mlops.engine.over import run_is_over
from mlops.engine.routes import linked
from mlops.engine.versions import Versions
from mlops.planning import retrying, readiness
from mlops.planning.model_history import HISTORY, highest_dataset_version, highest_number, strange_lines
from mlops.planning.monitor.manifests import check_job_name
from mlops.planning.monitor.retraining import run_names
from mlops.planning.plan import Key, Manifest, Settings
from mlops.planning.serving.server_pods import server_pod
from mlops.planning.training.children import model_version_name
from mlops.planning.training.pinning import inputs_of
from mlops.planning.training.recipe import change_name, version_name
from mlops.planning.views import DatasetView, DriftMonitorView, ModelView, TrainingRunView

log = logging.getLogger(__name__)

View = DatasetView | TrainingRunView | ModelView | DriftMonitorView
Kind = TypeVar("Kind", Dataset, TrainingRun, ModelVersion, DriftMonitor)


class Gatherer:
    """Reads from memory only, so a view is one consistent state. An object is parsed once per version of it."""

    def __init__(self, reader: Reader, settings: Settings, clock: Clock) -> None:
        self._reader, self._settings, self._clock = reader, settings, clock
        # By key: the manifest, and what it parses to.
        self._parsed: dict[Key, tuple[Manifest, Resource | InvalidObject]] = {}
        self._jobs = Jobs(reader, clock)
        self.versions = Versions(reader, lambda manifests: self._parsed_of(ModelVersion, manifests))
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
        for manifest in self.versions.that_may_be_invalid(namespace, model_name):
            parsed = self._parse(manifest)
            if isinstance(parsed, InvalidObject) and not _going(manifest):
                found.append((manifest, parsed))
        return found

    def forget(self, manifest: Manifest) -> None:
        """Drop what is kept of an object that is gone."""
        key = key_of(manifest)
        self._parsed.pop(key, None)
        self._strange.pop(key, None)
        if key.kind == "ModelVersion":
            self.versions.doubt(Key("Model", key.namespace, str(field_of(manifest, "spec.modelName"))))

    def _linked(self, link: Link, namespace: str, value: str | None) -> Sequence[Manifest]:
        return linked(link, namespace, value, self._reader)

    def _own(self, key: Key, kind: type[Kind]) -> Kind | None:
        manifest = self._reader.get(key)
        if manifest is None or _going(manifest):
            return None
        parsed = self._parse(manifest)
        if isinstance(parsed, InvalidObject):
            raise parsed
        return parsed if isinstance(parsed, kind) else None

    def _one(self, kind: type[Kind], link: Link, namespace: str, name: str) -> Kind | None:
        """Return the object that is linked by its name; one that is invalid is as good as missing."""
        try:
            return self._own(Key(link.read, namespace, name), kind)
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
        if key.kind == "TrainingRun" and run_is_over(manifest):
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
            jobs=self._jobs.not_taken_in(dataset, labels.DATASET, dataset.status.last_job_time),
            cron_job=self._jobs.cron_job(dataset, labels.DATASET),
            waiting_runs=self._parsed_of(
                TrainingRun,
                (
                    run
                    for run in self._linked(links.WAITING_RUNS, namespace, name)
                    if field_of(run, "status.resolved") is None
                ),
            ),
            captured_versions=self._versions(namespace, captured.model_name) if captured else (),
            asked=tuple(
                asked
                for monitor in self._linked(links.ASKING_MONITORS, namespace, name)
                if isinstance(asked := field_of(monitor, "status.nothingNew.asked"), str)
            ),
            spoken_for=self._spoken_for(dataset),
        )

    def _training_run(self, run: TrainingRun) -> TrainingRunView:
        namespace, register = run.metadata.namespace, run.spec.register_
        dataset = self._one(Dataset, links.DATASET, namespace, run.spec.dataset_ref.name)
        history = self._history(namespace, register.model_name) if register else ()
        versions = self._versions_beside(run, register.model_name, history) if register else ()
        next_names = list(self._next_names(run, register.model_name, versions, history)) if register else []
        works = not run.spec.triggers and not readiness.is_over(run.status.conditions)
        inputs = inputs_of(run, dataset, self._settings) if works else None
        near = self._runs_beside(namespace, inputs, next_names) if works else self._runs_of_template(run, dataset)
        others = {key: manifest for manifest in near if (key := key_of(manifest)) != run.key}
        return TrainingRunView(
            now=self._clock.now(),
            settings=self._settings,
            run=run,
            dataset=dataset,
            jobs=self._jobs.of(run, labels.RUN),
            inputs=inputs,
            siblings=self._parsed_of(TrainingRun, others.values()),
            versions=versions,
            history=history,
        )

    def _runs_of_template(self, template: TrainingRun, dataset: Dataset | None) -> Iterator[Manifest]:
        """Yield the runs of a template that tell whether it has to fire: those under way, and those on the Dataset's
        current version."""
        namespace, name, last = template.metadata.namespace, template.metadata.name, template.status.last_run
        if not template.spec.triggers:
            return
        version = dataset.status.version if dataset else None
        # The newest one, and those whose names the next event would take.
        names = (last, change_name(template), version_name(template, version))
        yield from filter(None, (self._reader.get(Key("TrainingRun", namespace, each)) for each in names if each))
        yield from self._linked(links.UNFINISHED_OF_TEMPLATE, namespace, name)
        yield from self._linked(links.ON_A_VERSION, namespace, f"{name}/{version}")

    def _runs_beside(self, namespace: str, inputs: str | None, next_names: Iterable[str]) -> Iterator[Manifest]:
        """Yield the runs whose result this one would have, and those that speak for a name which it may choose."""
        yield from self._linked(links.EQUAL_RUNS, namespace, inputs)
        for name in next_names:
            yield from self._linked(links.NAMING_A_VERSION, namespace, name)

    def _next_names(
        self, run: TrainingRun, model_name: str, versions: tuple[ModelVersion, ...], history: tuple[Manifest, ...]
    ) -> Iterator[str]:
        """Yield the names that the next version of the model would have, up to the first that nobody speaks for."""
        if run.spec.triggers or readiness.is_over(run.status.conditions):
            return
        number = max((highest_number(history), *(version.spec.version for version in versions)))
        taken = True
        while taken:
            number += 1
            yield (name := model_version_name(model_name, number))
            speaking = self._linked(links.NAMING_A_VERSION, run.metadata.namespace, name)
            present = any(version.metadata.name == name for version in versions)
            taken = present or any(each["metadata"]["name"] != run.metadata.name for each in speaking)

    def _versions_beside(
        self, run: TrainingRun, model_name: str, history: tuple[Manifest, ...]
    ) -> tuple[ModelVersion, ...]:
        """Return the versions of the run's model that count for it."""
        namespace, name = run.metadata.namespace, run.metadata.name
        found, whole = self.versions.that_count(namespace, model_name, history)
        if whole:
            return found
        newest = self._reader.get(Key("TrainingRun", namespace, run.status.last_run or ""))
        named = (run.status.model_version_ref, field_of(newest, "status.modelVersionRef") if newest else None)
        more = [
            *self._linked(links.MADE_VERSION, namespace, name),
            *self._linked(links.WITHDRAWN_VERSIONS, namespace, model_name),
            *(version for each in named for version in self._linked(links.NAMED_VERSION, namespace, each)),
        ]
        number = max(highest_number(history), *(version.spec.version for version in found))
        while present := self._reader.get(Key("ModelVersion", namespace, model_version_name(model_name, number + 1))):
            more.append(present)
            number += 1
        of_the_model = [each for each in more if field_of(each, "spec.modelName") == model_name]
        known = {version.key for version in found}
        others = {key: each for each in of_the_model if (key := key_of(each)) not in known}
        return (*found, *self._parsed_of(ModelVersion, others.values()))

    def _drift_monitor(self, monitor: DriftMonitor) -> DriftMonitorView:
        namespace, ref = monitor.metadata.namespace, monitor.spec.training_run_ref
        template = self._one(TrainingRun, links.TEMPLATE, namespace, ref.name) if ref else None
        data = template.spec.dataset_ref.name if template else None
        view = DriftMonitorView(
            now=self._clock.now(),
            settings=self._settings,
            monitor=monitor,
            cron_job=self._jobs.cron_job(monitor, labels.MONITOR),
            jobs=self._jobs.not_taken_in(
                monitor,
                labels.MONITOR,
                monitor.status.last_check_time,
                *((check_job_name(monitor, asked),) if (asked := retrying.wanted(monitor)) else ()),
            ),
            versions=self._versions(namespace, monitor.spec.target_ref.model_name),
            template=template,
            dataset=self._one(Dataset, links.ASKED_DATASET, namespace, data) if data else None,
        )
        return replace(view, runs=self._runs_of_monitor(view, ref.name)) if ref else view

    def _runs_of_monitor(self, view: DriftMonitorView, template: str) -> tuple[TrainingRun, ...]:
        namespace = view.monitor.metadata.namespace
        found = list(self._linked(links.UNFINISHED_OF_TEMPLATE, namespace, template))
        for name in sorted(set(run_names(view))):
            run = self._reader.get(Key("TrainingRun", namespace, name))
            if run is not None and labels_of(run).get(labels.TEMPLATE) == template:
                found.append(run)
        return self._parsed_of(TrainingRun, {key_of(each): each for each in found}.values())

    def _model(self, namespace: str, model_name: str) -> ModelView | None:
        selector = {labels.MODEL: model_name}
        served = {
            kind: {str(one["metadata"]["name"]): one for one in self._reader.list(kind, namespace, selector)}
            for kind in ("Deployment", "Service", "PodDisruptionBudget")
        }
        history = self._history(namespace, model_name)
        stages = (labels_of(one).get(labels.STAGE, "") for one in served["Service"].values())
        versions, whole = self.versions.that_count(namespace, model_name, history, stages_served=stages)
        if not versions and not history and not any(served.values()):
            return None
        sources = {version.spec.source.training_run_ref.name for version in versions if version.spec.source}
        runs = (self._one(TrainingRun, links.SOURCE_RUN, namespace, name) for name in sorted(sources))
        return ModelView(
            now=self._clock.now(),
            settings=self._settings,
            namespace=namespace,
            model_name=model_name,
            versions=versions,
            jobs=self._jobs.views(self._of_versions("Job", versions)),
            deployments=served["Deployment"],
            services=served["Service"],
            disruption_budgets=served["PodDisruptionBudget"],
            pods=tuple(filter(None, map(server_pod, self._of_versions("Pod", versions)))),
            runs={run.metadata.name: run for run in runs if run},
            history=history,
            present=frozenset(
                str(version["metadata"].get("uid", ""))
                for version in self._linked(links.VERSIONS, namespace, model_name)
            )
            if whole
            else None,
        )

    def _of_versions(self, kind: str, versions: Iterable[ModelVersion]) -> list[Manifest]:
        """Return the children of these versions of one model."""
        return [
            child
            for version in versions
            for child in self._reader.list(
                kind, version.metadata.namespace, {labels.MODEL_VERSION: version.metadata.name}
            )
            if labels_of(child).get(labels.MODEL) == version.spec.model_name
        ]

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
        for run in self._linked(links.RUNS_EVER, namespace, name):
            numbers.append(field_of(run, "status.resolved.datasetVersion") or 0)
        for version in self._reader.list("ModelVersion", namespace):
            for lineage in (field_of(version, "status.lineage"), field_of(version, "spec.lineage")):
                if isinstance(lineage, dict) and lineage.get("dataset") == name:
                    numbers.append(lineage.get("datasetVersion") or 0)
        return max(numbers)

    def _versions(self, namespace: str, model_name: str) -> tuple[ModelVersion, ...]:
        return self.versions.that_count(namespace, model_name, self._history(namespace, model_name))[0]


def _going(manifest: Manifest) -> bool:
    return manifest["metadata"].get("deletionTimestamp") is not None
