"""DriftMonitor: a CronJob of checks, what their verdicts mean, and the run that a verdict calls for."""

from __future__ import annotations

from mlops.api.base import format_time
from mlops.api.conditions import find
from mlops.api.drift_monitor import ActionName, DriftMonitor, DriftMonitorStatus
from mlops.planning import readiness as say
from mlops.planning import retrying
from mlops.planning.liveness import artifact_of, newest_wanted
from mlops.planning.monitor.actions import called_for, followed_up
from mlops.planning.monitor.checks import taken_in
from mlops.planning.monitor.datasets import label_dataset, on_record, reference_dataset
from mlops.planning.monitor.manifests import Read, check_job, check_job_name, cron_job, suspended
from mlops.planning.monitor.news import news
from mlops.planning.monitor.progress import OWN, MonitorProgress
from mlops.planning.monitor.readiness import forbidden_pods, judged
from mlops.planning.monitor.retraining import run_on_record, synced_again
from mlops.planning.monitor.rollback import question, rollback_followed
from mlops.planning.monitor.target import target_of
from mlops.planning.ownership import is_leaving, key_and_uid, key_of
from mlops.planning.plan import Key, Manifest, Plan
from mlops.planning.readiness import Readiness
from mlops.planning.views import DriftMonitorView


def plan(view: DriftMonitorView) -> Plan:
    """Return what should be of one DriftMonitor."""
    monitor = view.monitor
    if is_leaving(monitor):
        return Plan()
    generation = monitor.metadata.generation
    asked = retrying.wanted(monitor)
    followed = followed_up(
        monitor,
        {run.metadata.name: run for run in view.runs},
        serves=artifact_of(newest_wanted(view.versions)),
        again=asked is not None,
    )
    followed = rollback_followed(monitor, followed, view.versions)
    progress = MonitorProgress(followed, {t: found for t in OWN if (found := find(monitor.status.conditions, t))})
    for ended, scheduled in news(view):
        progress = taken_in(view, progress, ended, scheduled)
    progress = synced_again(view, progress)
    check = _check_asked_for(view, asked)
    conditions = say.conditions(
        monitor.status.conditions,
        judged(view, progress),
        [progress.own.get(type_) for type_ in OWN],
        now=view.now,
        generation=generation,
    )
    status = progress.status.evolve(
        observed_generation=generation,
        conditions=conditions,
        action=_called_for(monitor, progress.status),
        reference_dataset=on_record(view),
        # On record once its Job is seen, or since there is nothing to check.
        retried=asked if asked and check is None else monitor.status.retried,
    )
    apply, delete = _cron_job(view)
    # One that was to be made before the fault was known waits until it is mended.
    runs = () if status.faults else run_on_record(view)
    create = (*runs, *((check,) if check else ()))
    return Plan(statuses={key_of(monitor): status}, apply=apply, create=create, delete=delete)


def _cron_job(view: DriftMonitorView) -> tuple[tuple[Manifest, ...], tuple[tuple[Key, str], ...]]:
    """Return the CronJob to keep, and the one to delete: without a live version there is nothing to check."""
    read = _read(view)
    if read is not None:
        resting = view.monitor.spec.suspend or forbidden_pods(view) is not None
        return (cron_job(view.settings, view.monitor, read, suspend=resting),), ()
    if view.cron_job is None:
        return (), ()
    kept = suspended(view.cron_job, view.settings, view.monitor)
    return ((kept,), ()) if kept else ((), (key_and_uid(view.cron_job),))


def _read(view: DriftMonitorView) -> Read | None:
    """Return what a check reads; None: no version is live, or a Dataset that is needed has none."""
    target, labelled, reference = target_of(view), label_dataset(view), reference_dataset(view)
    if target is None or isinstance(labelled, Readiness) or isinstance(reference, Readiness):
        return None
    return Read(target.metadata.name, str(target.status.artifact), labelled, reference, question(view))


def _check_asked_for(view: DriftMonitorView, asked: str | None) -> Manifest | None:
    """Return the Job of the check that a person asks for, until it is seen."""
    read, monitor = _read(view), view.monitor
    if asked is None or read is None or monitor.spec.suspend or forbidden_pods(view):
        return None
    if any(job.name == check_job_name(monitor, asked) for job in view.jobs):
        return None
    return check_job(view.settings, monitor, read, asked=asked, as_of=format_time(view.now))


def _called_for(monitor: DriftMonitor, status: DriftMonitorStatus) -> ActionName | None:
    """Return what the newest verdict calls for, be it to hold; else what was done last."""
    action = called_for(monitor, status, status.verdict) if status.verdict else None
    if action is not None:
        return action.do
    return status.last_action.kind if status.last_action else None
