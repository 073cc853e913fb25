"""Building each planner's view from what is known of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mlops.api import labels
from mlops.api.dataset import Dataset
from mlops.api.drift_monitor import ROLLS_BACK, DriftMonitor, Rollback
from mlops.api.kinds import InvalidObject
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TrainingRun
from mlops.engine import links
from mlops.engine.cluster import Clock, Reader, field_of, key_of, labels_of
from mlops.engine.histories import Histories
from mlops.engine.jobs import Jobs
from mlops.engine.links import Link
from mlops.engine.neighbours import Neighbours
from mlops.engine.parsed import Parsed, is_going
from mlops.engine.routes import linked
from mlops.engine.uses import UsesOfVersions
from mlops.engine.versions import Versions
from mlops.planning import readiness, retrying
from mlops.planning.monitor.manifests import check_job_name
from mlops.planning.plan import Key, Manifest, Settings
from mlops.planning.serving.server_pods import server_pod
from mlops.planning.training.pinning import inputs_of
from mlops.planning.views import DatasetView, DriftMonitorView, ModelView, TrainingRunView

View = DatasetView | TrainingRunView | ModelView | DriftMonitorView


class Gatherer:
    """Reads from memory only, so a view is one consistent state. An object is parsed once per version of it."""

    def __init__(self, reader: Reader, settings: Settings, clock: Clock) -> None:
        self._reader, self._settings, self._clock = reader, settings, clock
        self._parsed, self._histories, self._jobs = Parsed(reader), Histories(reader), Jobs(reader, clock)
        self.versions = Versions(reader, lambda manifests: self._parsed.of(ModelVersion, manifests))
        self._uses = UsesOfVersions(reader, settings)
        self._neighbours = Neighbours(reader, self._parsed, self.versions)

    def view(self, key: Key) -> View | None:
        """Return the view of `key`, or None if there is nothing to plan: it is gone or going.

        Raises InvalidObject if the object itself is not what its kind allows.
        """
        match key.kind:
            case "Dataset":
                dataset = self._parsed.at(key, Dataset)
                return self._dataset(dataset) if dataset else None
            case "TrainingRun":
                run = self._parsed.at(key, TrainingRun)
                return self._training_run(run) if run else None
            case "DriftMonitor":
                monitor = self._parsed.at(key, DriftMonitor)
                return self._drift_monitor(monitor) if monitor else None
        return self._model(key.namespace, key.name)

    def invalid_versions(self, namespace: str, model_name: str) -> list[tuple[Manifest, InvalidObject]]:
        """Return the versions of a model that do not parse, each with the reason."""
        found = []
        for manifest in self.versions.that_may_be_invalid(namespace, model_name):
            parsed = self._parsed.parse(manifest)
            if isinstance(parsed, InvalidObject) and not is_going(manifest):
                found.append((manifest, parsed))
        return found

    def forget(self, manifest: Manifest) -> None:
        """Drop what is kept of an object that is gone."""
        key = key_of(manifest)
        self._parsed.forget(key)
        self._histories.forget(key)
        if key.kind == "ModelVersion":
            self.versions.doubt(Key("Model", key.namespace, str(field_of(manifest, "spec.modelName"))))

    def _linked(self, link: Link, namespace: str, value: str | None) -> Sequence[Manifest]:
        return linked(link, namespace, value, self._reader)

    def _dataset(self, dataset: Dataset) -> DatasetView:
        namespace, name = dataset.metadata.namespace, dataset.metadata.name
        captured = dataset.spec.source.captured
        return DatasetView(
            now=self._clock.now(),
            settings=self._settings,
            dataset=dataset,
            jobs=self._jobs.not_taken_in(dataset, labels.DATASET, dataset.status.last_job_time),
            cron_job=self._jobs.cron_job(dataset, labels.DATASET),
            waiting_runs=self._parsed.of(
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
            spoken_for=self._histories.highest_version_of(dataset),
            uses=self._uses.of(dataset),
        )

    def _training_run(self, run: TrainingRun) -> TrainingRunView:
        namespace, register = run.metadata.namespace, run.spec.register_
        dataset = self._parsed.linked(Dataset, links.DATASET, namespace, run.spec.dataset_ref.name)
        history = self._histories.of(namespace, register.model_name) if register else ()
        versions = self._neighbours.versions_beside(run, register.model_name, history) if register else ()
        next_names = list(self._neighbours.next_names(run, register.model_name, versions, history)) if register else []
        works = not run.spec.triggers and not readiness.is_over(run.status.conditions)
        inputs = inputs_of(run, dataset, self._settings) if works else None
        around = self._neighbours
        near = around.runs_beside(namespace, inputs, next_names) if works else around.runs_of_template(run, dataset)
        others = {key: manifest for manifest in near if (key := key_of(manifest)) != run.key}
        return TrainingRunView(
            now=self._clock.now(),
            settings=self._settings,
            run=run,
            dataset=dataset,
            jobs=self._jobs.of(run, labels.RUN),
            inputs=inputs,
            siblings=self._parsed.of(TrainingRun, others.values()),
            versions=versions,
            history=history,
        )

    def _drift_monitor(self, monitor: DriftMonitor) -> DriftMonitorView:
        namespace, ref = monitor.metadata.namespace, monitor.spec.training_run_ref
        template = self._parsed.linked(TrainingRun, links.TEMPLATE, namespace, ref.name) if ref else None
        data = template.spec.dataset_ref.name if template else None
        labelled = monitor.spec.labels.dataset
        compared = monitor.spec.reference.dataset if monitor.spec.reference else None
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
            versions=self._versions_of_target(monitor),
            template=template,
            dataset=self._parsed.linked(Dataset, links.ASKED_DATASET, namespace, data) if data else None,
            label_dataset=self._parsed.linked(Dataset, links.LABEL_DATASET, namespace, labelled) if labelled else None,
            reference_dataset=self._parsed.linked(Dataset, links.REFERENCE_DATASET, namespace, compared)
            if compared
            else None,
        )
        return replace(view, runs=self._neighbours.runs_of_monitor(view, ref.name)) if ref else view

    def _model(self, namespace: str, model_name: str) -> ModelView | None:
        selector = {labels.MODEL: model_name}
        served = {
            kind: {str(one["metadata"]["name"]): one for one in self._reader.list(kind, namespace, selector)}
            for kind in ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")
        }
        history = self._histories.of(namespace, model_name)
        stages = (labels_of(one).get(labels.STAGE, "") for one in served["Service"].values())
        rollbacks = self._rollbacks(namespace, model_name)
        versions, whole = self.versions.that_count(
            namespace, model_name, history, stages_served=stages, all_of_them=bool(rollbacks)
        )
        if not versions and not history and not any(served.values()):
            return None
        sources = {version.spec.source.training_run_ref.name for version in versions if version.spec.source}
        runs = (self._parsed.linked(TrainingRun, links.SOURCE_RUN, namespace, name) for name in sorted(sources))
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
            autoscalers=served["HorizontalPodAutoscaler"],
            pods=tuple(filter(None, map(server_pod, self._of_versions("Pod", versions)))),
            runs={run.metadata.name: run for run in runs if run},
            history=history,
            rollbacks=rollbacks,
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

    def _rollbacks(self, namespace: str, model_name: str) -> dict[str, Rollback]:
        monitors = self._parsed.of(DriftMonitor, self._linked(links.ASKED_ROLLBACKS, namespace, model_name))
        return {each.metadata.name: each.status.rollback for each in monitors if each.status.rollback is not None}

    def _versions_of_target(self, monitor: DriftMonitor) -> tuple[ModelVersion, ...]:
        """Return all versions of its model if any of them may be rolled back to."""
        namespace, model_name = monitor.metadata.namespace, monitor.spec.target_ref.model_name
        if monitor.status.rollback is None and not any(each.do in ROLLS_BACK for each in monitor.spec.actions):
            return self._versions(namespace, model_name)
        return self._parsed.of(ModelVersion, self._linked(links.VERSIONS, namespace, model_name))

    def _versions(self, namespace: str, model_name: str) -> tuple[ModelVersion, ...]:
        return self.versions.that_count(namespace, model_name, self._histories.of(namespace, model_name))[0]
