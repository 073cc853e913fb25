"""The CronJob of a DriftMonitor, and the runs that its actions make of the template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlops.api import digests, labels, tasks
from mlops.api.base import parse_time
from mlops.api.drift_monitor import LABEL_BUDGET, DriftMonitor, LastAction
from mlops.api.estimator import Estimator
from mlops.api.label_sources import LabelSource
from mlops.api.training_run import TrainingRun, TriggerRecord
from mlops.planning import pods
from mlops.planning.monitor.recalibrating import recalibrating
from mlops.planning.plan import Manifest, Settings
from mlops.planning.training.children import run_of_template, spec_of_run

DRIFT = "drift"
_BACKOFF_LIMIT = 1
_DEADLINE = 1800
_AMOUNTS = pods.resources(cpu="150m", memory="256Mi", cpu_limit="1", memory_limit="2Gi")
_LABELS_AMOUNTS = pods.resources(cpu="150m", memory="256Mi", cpu_limit="1", memory_limit="2Gi")
# Where delivered labels lie between the containers of a check.
_INPUTS = "/var/run/mlops/inputs"
_MOUNT: Manifest = {"name": "inputs", "mountPath": _INPUTS}


def cron_job_name(monitor: DriftMonitor) -> str:
    """Return the name of the CronJob."""
    return tasks.check_name(monitor.metadata.name)


@dataclass(frozen=True)
class Read:
    """What a check reads: the live version, the address of its model, versions of Datasets, and older models."""

    model_version: str
    artifact: str
    label_dataset: tasks.PinnedDataset | None = None
    reference_dataset: tasks.PinnedDataset | None = None
    rollback: tasks.RollbackQuestion | None = None


def cron_job(settings: Settings, monitor: DriftMonitor, read: Read, *, suspend: bool) -> Manifest:
    """Return the CronJob whose Jobs check what the live version saw against its reference."""
    spec = monitor.spec
    own = _labels(monitor, read.model_version)
    return pods.cron_job(
        monitor,
        cron_job_name(monitor),
        own,
        _pod(settings, monitor, own, read),
        schedule=spec.schedule,
        time_zone=spec.time_zone,
        suspend=suspend,
        starting_deadline_seconds=spec.starting_deadline_seconds,
        backoff_limit=_BACKOFF_LIMIT,
        active_deadline_seconds=_DEADLINE,
        annotations={labels.ARTIFACT: read.artifact},
    )


def check_job_name(monitor: DriftMonitor, asked: str) -> str:
    """Return the name of the Job of a check that a person asked for by the text `asked`."""
    mark = labels.short(digests.digest_of([monitor.metadata.uid, asked]))
    return labels.child_name(monitor.metadata.name, f"check-r{mark}")


def check_job(settings: Settings, monitor: DriftMonitor, read: Read, *, asked: str, as_of: str) -> Manifest:
    """Return the Job of a check that a person asked for, of the window that ends `as_of`."""
    own = _labels(monitor, read.model_version)
    return pods.job(
        monitor,
        check_job_name(monitor, asked),
        own,
        _pod(settings, monitor, own, read, as_of=as_of),
        backoff_limit=_BACKOFF_LIMIT,
        active_deadline_seconds=_DEADLINE,
        annotations={labels.ARTIFACT: read.artifact, labels.AS_OF: as_of},
    )


def _labels(monitor: DriftMonitor, model_version: str) -> dict[str, str]:
    # No label of the model: Jobs that have one are taken for the model's own, a check belongs to its monitor.
    name = monitor.metadata.name
    return labels.standard(DRIFT, name, monitor=name, model_version=model_version)


def _pod(
    settings: Settings, monitor: DriftMonitor, own: dict[str, str], read: Read, *, as_of: str | None = None
) -> Manifest:
    """Return the pod of a check.

    What others deliver is read before, by a container for each of its sources: only that one has the source's keys.
    """
    spec = monitor.spec
    task = tasks.DriftTask(
        namespace=monitor.metadata.namespace,
        monitor=monitor.metadata.name,
        target=spec.target_ref,
        model_version=read.model_version,
        artifact=read.artifact,
        window=spec.window,
        labels=spec.labels,
        checks=spec.checks,
        label_dataset=read.label_dataset,
        reference=spec.reference,
        reference_dataset=read.reference_dataset,
        as_of=as_of,
        rollback=read.rollback,
        label_request=_label_question(monitor),
        policy=tasks.MonitorPolicy(
            actions=spec.actions,
            guard=spec.guard,
            template=None if spec.training_run_ref is None else spec.training_run_ref.name,
        ),
    )
    before = [
        _labels_container(settings, monitor, read, number, source, as_of)
        for number, source in enumerate(spec.labels.sources or ())
        if source.is_delivered
    ]
    amounts, template = pods.amounts(spec.resources, _AMOUNTS), spec.pod_template
    if not before:
        main = pods.container(settings, task, amounts, env=[pods.JOB_NAME_VARIABLE])
        return pods.pod(settings, own, [main], template=template)
    main = pods.container(
        settings,
        task,
        amounts,
        env=[*pods.variables({tasks.INPUTS_VARIABLE: _INPUTS}), pods.JOB_NAME_VARIABLE],
        volume_mounts=[_MOUNT | {"readOnly": True}],
    )
    return pods.pod(settings, own, [main], template=template, initContainers=before)


def _labels_container(
    settings: Settings, monitor: DriftMonitor, read: Read, number: int, source: LabelSource, as_of: str | None
) -> Manifest:
    task = tasks.LabelsTask(
        namespace=monitor.metadata.namespace,
        monitor=monitor.metadata.name,
        number=number,
        source=source,
        artifact=read.artifact,
        window=monitor.spec.window,
        reference=monitor.spec.reference,
        as_of=as_of,
    )
    return pods.container(
        settings,
        task,
        pods.amounts(monitor.spec.resources, _LABELS_AMOUNTS),
        name=f"labels-{number}",
        source_secret=source.secret,
        env=[*pods.variables({tasks.INPUTS_VARIABLE: _INPUTS}), pods.JOB_NAME_VARIABLE],
        volume_mounts=[_MOUNT],
    )


def _label_question(monitor: DriftMonitor) -> tasks.LabelQuestion | None:
    """Return what a check is to ask people; the first action that asks says within which budget."""
    asking = [action for action in monitor.spec.actions if action.do == "AskForLabels"]
    if not asking:
        return None
    when = tuple(dict.fromkeys(verdict for action in asking for verdict in action.when))
    return tasks.LabelQuestion(when=when, budget=asking[0].budget or LABEL_BUDGET)


def suspended(present: Manifest, settings: Settings, monitor: DriftMonitor) -> Manifest | None:
    """Return the CronJob that is there, for the version it was made for, suspended; None if it does not say which."""
    metadata = present["metadata"]
    version = metadata.get("labels", {}).get(labels.MODEL_VERSION)
    artifact = metadata.get("annotations", {}).get(labels.ARTIFACT)
    if not version or not artifact:
        return None
    return cron_job(settings, monitor, Read(version, artifact), suspend=True)


def run_name(template: str, action: str, minute: str) -> str:
    """Return the name of the run that an action makes; `minute` is the check's scheduled time as yyyymmddhhmm."""
    return labels.child_name(template, f"{action.lower()}-{minute}", limit=52)


@dataclass(frozen=True)
class Champion:
    """How the live version was made, as far as that is known."""

    estimator: Estimator | None = None
    since: str | None = None


def run_of_action(monitor: DriftMonitor, template: TrainingRun, action: LastAction, champion: Champion) -> Manifest:
    """Return the run of `action`: the template on data from up to the check.

    Retrain keeps the recipe: no search, and what the champion's search had found, however many versions ago; a search
    of which nothing is known is made again. Rebuild opens the search again, on rows from after the change if that is
    known. Recalibrate keeps the model, and fits a map of its scores to those rows. Rows from before an earlier change
    stay out whatever is done.
    """
    spec = spec_of_run(template)
    spec["datasetRef"] = _data(spec["datasetRef"], action, champion)
    if action.kind == "Retrain" and (tuned := _tuned(template, champion)) is not None:
        spec.pop("search", None)
        spec["trainer"] = _with_params(spec["trainer"], tuned)
    if action.recalibrates is not None and action.metric is not None:
        spec = recalibrating(spec, action.recalibrates, action.metric, champion.estimator)
    reason = f"{action.verdict} found by the check of {action.time}"
    return run_of_template(
        template,
        str(action.ref),
        TriggerRecord(kind="DriftMonitor", ref=monitor.metadata.name, reason=reason),
        spec=spec,
        more_labels={"monitor": monitor.metadata.name},
    )


def _data(ref: dict[str, Any], action: LastAction, champion: Champion) -> dict[str, Any]:
    known = [since for since in (ref.get("since"), action.since, champion.since) if since]
    since = {"since": max(known, key=parse_time)} if known else {}
    # A template that pins a version wants that one, whatever has come since.
    newer = {} if "version" in ref else {"notBefore": action.time}
    return {**ref, **newer, **since}


def _tuned(template: TrainingRun, champion: Champion) -> dict[str, str] | None:
    """Return what the search behind the champion had found, of the parameters that the template searches for.

    None: there is no telling, since the champion is another estimator, or was made of another search. What the
    template does not search for is as the template says: an edit of it must not be undone.
    """
    search, estimator = template.spec.search, template.spec.trainer.estimator
    if search is None:
        return {}
    if estimator is None or champion.estimator is None or champion.estimator.name != estimator.name:
        return None
    found = {each.name: champion.estimator.params.get(each.name) for each in search.parameters}
    known = {name: value for name, value in found.items() if value is not None}
    return known if len(known) == len(found) else None


def _with_params(trainer: dict[str, Any], params: dict[str, str]) -> dict[str, Any]:
    if not params:
        return trainer
    estimator = trainer["estimator"]
    return {**trainer, "estimator": {**estimator, "params": {**estimator["params"], **params}}}
