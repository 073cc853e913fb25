"""The CronJob of a DriftMonitor, and the runs that its actions make of the template."""

from __future__ import annotations

from typing import Any

from mlops.api import labels, tasks
from mlops.api.drift_monitor import DriftMonitor, LastAction
from mlops.api.training_run import TrainingRun, TriggerRecord
from mlops.planning import pods
from mlops.planning.plan import Manifest, Settings
from mlops.planning.training_manifests import run_of_template, spec_of_run

DRIFT = "drift"
_AMOUNTS = pods.resources(cpu="250m", memory="256Mi", cpu_limit="1", memory_limit="2Gi")


def cron_job_name(monitor: DriftMonitor) -> str:
    """Return the name of the CronJob."""
    return tasks.check_name(monitor.metadata.name)


def cron_job(
    settings: Settings, monitor: DriftMonitor, *, model_version: str, artifact: str, suspend: bool
) -> Manifest:
    """Return the CronJob whose Jobs check what `model_version` saw against what it was trained on."""
    name, spec = monitor.metadata.name, monitor.spec
    # No label of the model: Jobs that have one are taken for the model's own, a check belongs to its monitor.
    own = labels.standard(DRIFT, name, monitor=name, model_version=model_version)
    task = tasks.DriftTask(
        namespace=monitor.metadata.namespace,
        monitor=name,
        target=spec.target_ref,
        model_version=model_version,
        artifact=artifact,
        window=spec.window,
        labels=spec.labels,
        checks=spec.checks,
    )
    return pods.cron_job(
        monitor,
        cron_job_name(monitor),
        own,
        pods.pod(own, [pods.container(settings, task, _AMOUNTS, env=[pods.JOB_NAME_VARIABLE])]),
        schedule=spec.schedule,
        time_zone=spec.time_zone,
        suspend=suspend,
        starting_deadline_seconds=spec.starting_deadline_seconds,
        backoff_limit=1,
        active_deadline_seconds=1800,
        annotations={labels.ARTIFACT: artifact},
    )


def suspended(there: Manifest, settings: Settings, monitor: DriftMonitor) -> Manifest | None:
    """Return the CronJob that is there, for the version it was made for, suspended; None if it does not say which."""
    metadata = there["metadata"]
    version = metadata.get("labels", {}).get(labels.MODEL_VERSION)
    artifact = metadata.get("annotations", {}).get(labels.ARTIFACT)
    if not version or not artifact:
        return None
    return cron_job(settings, monitor, model_version=version, artifact=artifact, suspend=True)


def run_name(template: str, action: str, minute: str) -> str:
    """Return the name of the run that an action makes; `minute` is the check's scheduled time as yyyymmddhhmm."""
    return labels.child_name(template, f"{action.lower()}-{minute}", limit=52)


def run_of_action(
    monitor: DriftMonitor, template: TrainingRun, action: LastAction, best_params: dict[str, str] | None
) -> Manifest:
    """Return the run of `action`: the template on data from up to the check.

    Retrain keeps the recipe: no search, and what the champion's search had found. Rebuild opens the search again, on
    rows from after the change if that is known.
    """
    spec = spec_of_run(template)
    spec["datasetRef"] = _data(spec["datasetRef"], action)
    if action.kind == "Retrain":
        spec.pop("search", None)
        if best_params and "estimator" in spec["trainer"]:
            spec["trainer"] = _with_params(spec["trainer"], best_params)
    reason = f"{action.verdict} found by the check of {action.time}"
    return run_of_template(
        template,
        str(action.ref),
        TriggerRecord(kind="DriftMonitor", ref=monitor.metadata.name, reason=reason),
        spec=spec,
        more_labels={"monitor": monitor.metadata.name},
    )


def _data(ref: dict[str, Any], action: LastAction) -> dict[str, Any]:
    since = {"since": action.since} if action.since else {}
    # A template that pins a version wants that one, whatever has come since.
    newer = {} if "version" in ref else {"notBefore": action.time}
    return {**ref, **newer, **since}


def _with_params(trainer: dict[str, Any], params: dict[str, str]) -> dict[str, Any]:
    estimator = trainer["estimator"]
    return {**trainer, "estimator": {**estimator, "params": {**estimator["params"], **params}}}
