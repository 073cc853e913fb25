"""DriftMonitor: a CronJob of checks, what their verdicts mean, and the run that a verdict calls for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mlops.api import labels, tasks
from mlops.api.base import format_time, parse_time
from mlops.api.conditions import RECONCILING, Condition, ConditionStatus, ConditionType, find, is_true
from mlops.api.drift_monitor import (
    ActionName,
    DriftMonitor,
    DriftMonitorStatus,
    HistoryCheck,
    LastAction,
    NothingNew,
    Verdict,
)
from mlops.api.model_version import ModelVersion
from mlops.api.reasons import Reason, Reported
from mlops.api.training_run import TrainingRun, TrainingRunSpec
from mlops.planning import retrying
from mlops.planning import standing as stand
from mlops.planning.drift_actions import (
    Decision,
    called_for,
    decide,
    followed_up,
    nothing_new,
    with_action,
)
from mlops.planning.drift_manifests import (
    Champion,
    check_job,
    check_job_name,
    cron_job,
    run_name,
    run_of_action,
    suspended,
)
from mlops.planning.liveness import artifact_of, live_in, newest_wanted
from mlops.planning.outcome import Failure, is_finished, outcome, scheduled_at
from mlops.planning.ownership import is_leaving, key_and_uid, key_of
from mlops.planning.plan import Key, Manifest, Plan
from mlops.planning.standing import Standing, condition
from mlops.planning.training_manifests import trained_as
from mlops.planning.views import DriftMonitorView, JobView

# Whether the newest check came to a verdict.
CHECKED = ConditionType.CHECKED
LABELS_AVAILABLE = ConditionType.LABELS_AVAILABLE
DATA_DRIFT = ConditionType.DATA_DRIFT
CONCEPT_DRIFT = ConditionType.CONCEPT_DRIFT
TRIGGERED = ConditionType.RETRAINING_TRIGGERED

_OWN = (CHECKED, LABELS_AVAILABLE, DATA_DRIFT, CONCEPT_DRIFT, TRIGGERED)
_HISTORY, _MAX_CHECKS, _MAX_FEATURES = 100, 32, 20


@dataclass(frozen=True)
class Progress:
    """The status after some of the checks, and what the newest of them says."""

    status: DriftMonitorStatus
    own: dict[str, Condition]


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
    progress = Progress(followed, {t: found for t in _OWN if (found := find(monitor.status.conditions, t))})
    for job, scheduled in _news(view):
        progress = _taken_in(view, progress, job, scheduled)
    progress = _looked_again(view, progress)
    check = _check_asked_for(view, asked)
    conditions = stand.conditions(
        monitor.status.conditions,
        _standing(view, progress),
        [progress.own.get(type_) for type_ in _OWN],
        now=view.now,
        generation=generation,
    )
    status = progress.status.model_copy(
        update={
            "observed_generation": generation,
            "conditions": conditions,
            "action": _called_for(monitor, progress.status),
            # On record once its Job is seen, or since there is nothing to check.
            "retried": asked if asked and check is None else monitor.status.retried,
        }
    )
    apply, delete = _cron_job(view)
    create = (*_run_on_record(view), *((check,) if check else ()))
    return Plan(statuses={key_of(monitor): status.dump()}, apply=apply, create=create, delete=delete)


# --- checks ---


def _target(view: DriftMonitorView) -> ModelVersion | None:
    target = view.monitor.spec.target_ref
    live = live_in([v for v in view.versions if v.spec.model_name == target.model_name], target.stage)
    return live if live is not None and live.status.artifact is not None else None


def _cron_job(view: DriftMonitorView) -> tuple[tuple[Manifest, ...], tuple[tuple[Key, str], ...]]:
    """Return the CronJob to keep, and the one to delete: without a live version there is nothing to check."""
    target = _target(view)
    if target is not None:
        wanted = cron_job(
            view.settings,
            view.monitor,
            model_version=target.metadata.name,
            artifact=str(target.status.artifact),
            suspend=view.monitor.spec.suspend,
        )
        return (wanted,), ()
    if view.cron_job is None:
        return (), ()
    resting = suspended(view.cron_job, view.settings, view.monitor)
    return ((resting,), ()) if resting else ((), (key_and_uid(view.cron_job),))


def _check_asked_for(view: DriftMonitorView, asked: str | None) -> Manifest | None:
    """Return the Job of the check that a person asks for, until it is seen."""
    target, monitor = _target(view), view.monitor
    if asked is None or target is None or monitor.spec.suspend:
        return None
    if any(job.name == check_job_name(monitor, asked) for job in view.jobs):
        return None
    return check_job(
        view.settings,
        monitor,
        asked=asked,
        model_version=target.metadata.name,
        artifact=str(target.status.artifact),
        as_of=format_time(view.now),
    )


def _called_for(monitor: DriftMonitor, status: DriftMonitorStatus) -> ActionName | None:
    """Return what the newest verdict calls for, be it to hold; else what was done last."""
    action = called_for(monitor, status.verdict) if status.verdict else None
    if action is not None:
        return action.do
    return status.last_action.kind if status.last_action else None


def _news(view: DriftMonitorView) -> list[tuple[JobView, datetime]]:
    """Return the finished checks that are later than the newest one taken in, the oldest first.

    Those from before the monitor's own time are of a deleted one that left its CronJob behind (--cascade=orphan).
    """
    last = view.monitor.status.last_check_time or view.monitor.metadata.creation_timestamp
    ours = [job for job in view.jobs if is_finished(job) and not _is_of_a_namesake(view, job)]
    finished = [(job, at) for job in ours if (at := scheduled_at(job)) is not None]
    fresh = [(job, at) for job, at in finished if last is None or at > parse_time(last)]
    return sorted(fresh, key=lambda pair: (pair[1], pair[0].name))


def _is_of_a_namesake(view: DriftMonitorView, job: JobView) -> bool:
    """Return whether the check was made for a deleted monitor of the same name, whose remains are not gone yet."""
    uid = view.cron_job["metadata"].get("uid") if view.cron_job else None
    owners = job.manifest["metadata"].get("ownerReferences", [])
    return any(owner["kind"] == "CronJob" and owner["uid"] != uid for owner in owners)


def _taken_in(view: DriftMonitorView, progress: Progress, job: JobView, scheduled: datetime) -> Progress:
    status = progress.status.model_copy(update={"last_check_time": format_time(scheduled), "last_job": job.name})
    match outcome(job, tasks.DriftReport):
        case tasks.DriftReport() as report:
            return _judged(view, progress, status, report, scheduled)
        case failure:
            return Progress(status, progress.own | {CHECKED: _not_checked(failure)})


def _not_checked(failure: Failure) -> Condition:
    return condition(CHECKED, "False", failure.reason, failure.message)


def _judged(
    view: DriftMonitorView,
    progress: Progress,
    status: DriftMonitorStatus,
    report: tasks.DriftReport,
    scheduled: datetime,
) -> Progress:
    monitor = view.monitor
    status = _counted(monitor, _measured(status, report), report, before=progress.status)
    decision, same = _decided(view, status, report.verdict, scheduled)
    if decision.acts:
        status = with_action(status, _action(view, status, decision, scheduled))
    known = same or (status.nothing_new and status.nothing_new.model_copy(update={"asked": None}))
    status = status.model_copy(update={"nothing_new": known})
    entry = HistoryCheck(
        time=format_time(scheduled),
        verdict=report.verdict,
        action=_action_text(status, decision),
        metric=report.metric.current if report.metric else None,
        report=report.report_digest,
    )
    status = status.model_copy(update={"history": (entry, *status.history)[:_HISTORY]})
    return Progress(status, _said(monitor, report, decision))


def _measured(status: DriftMonitorStatus, report: tasks.DriftReport) -> DriftMonitorStatus:
    return status.model_copy(
        update={
            "verdict": report.verdict,
            "checks": report.checks[:_MAX_CHECKS],
            "samples": report.samples,
            "labelled": report.labelled,
            "label_coverage": report.label_coverage,
            "metric": report.metric,
            "top_features": report.top_features[:_MAX_FEATURES],
            "attribution": report.attribution,
            "change_point": report.change_point,
            "report": report.report_digest,
        }
    )


def _counted(
    monitor: DriftMonitor, status: DriftMonitorStatus, report: tasks.DriftReport, *, before: DriftMonitorStatus
) -> DriftMonitorStatus:
    """Return the status with this check counted among those in a row that call for the same action."""
    if called_for(monitor, report.verdict) is None:
        return status.model_copy(update={"breaches": 0})
    again = before.verdict == report.verdict
    return status.model_copy(update={"breaches": before.breaches + 1 if again else 1})


def _own_runs(view: DriftMonitorView) -> tuple[TrainingRun, ...]:
    name = view.monitor.metadata.name
    return tuple(run for run in view.runs if run.metadata.labels.get(labels.MONITOR) == name)


def _decided(
    view: DriftMonitorView, status: DriftMonitorStatus, verdict: Verdict, at: datetime
) -> tuple[Decision, NothingNew | None]:
    """Return what to do: what the guard lets through, unless that run would give nothing new; then what it is."""
    decision = decide(view.monitor, status, verdict, at, runs=_own_runs(view), template=view.template)
    if not decision.acts or view.template is None or view.dataset is None:
        return decision, None
    run = run_of_action(view.monitor, view.template, _action(view, status, decision, at), _champion(view))
    same = nothing_new(
        status,
        decision.action.do if decision.action else "Hold",
        TrainingRunSpec.model_validate(run["spec"]),
        view.dataset,
    )
    if same is None:
        return decision, None
    asks = _is_refreshed(view)
    look = "; the source is looked at again, and other content makes a run" if asks else ""
    message = f"{verdict}: a run on the same content of Dataset {same.dataset} gives the model that serves{look}"
    asked = same.model_copy(update={"asked": format_time(at) if asks else None})
    return Decision(decision.action, Reason.NOTHING_NEW, message), asked


def _is_refreshed(view: DriftMonitorView) -> bool:
    """Return whether a run would have the source looked at: one on a version by number takes that, come what may."""
    return view.template is not None and view.template.spec.dataset_ref.version is None


def _looked_again(view: DriftMonitorView, progress: Progress) -> Progress:
    """Return the progress after the look at the source that the newest check asked for, if it has come to an end."""
    status, data = progress.status, view.dataset
    known = status.nothing_new
    if known is None or known.asked is None or data is None or status.verdict is None:
        return progress
    at = parse_time(known.asked)
    if data.status.digest != known.dataset_digest and _fires_by_itself(view):
        # A second run on the same version would be one too many.
        message = f"the content of Dataset {data.metadata.name} has changed: the template makes a run of it"
        said = condition(TRIGGERED, "False", Reason.RUN_ACTIVE, message)
        return Progress(status.model_copy(update={"nothing_new": None}), progress.own | {TRIGGERED: said})
    if data.status.digest != known.dataset_digest:
        decision, _ = _decided(view, status, status.verdict, at)
        if decision.acts:
            status = with_action(status, _action(view, status, decision, at))
        own = progress.own | {TRIGGERED: _triggered(decision)}
        return Progress(status.model_copy(update={"nothing_new": None}), own)
    looked_at = data.status.last_check_time
    if looked_at is None or parse_time(looked_at) < at:
        return progress
    return Progress(status.model_copy(update={"nothing_new": known.model_copy(update={"asked": None})}), progress.own)


def _fires_by_itself(view: DriftMonitorView) -> bool:
    """Return whether the template makes a run of every new version of the Dataset anyway."""
    return view.template is not None and any(each.dataset_version for each in view.template.spec.triggers)


def _triggered(decision: Decision) -> Condition:
    return condition(TRIGGERED, "True" if decision.acts else "False", decision.reason, decision.message)


def _action(view: DriftMonitorView, status: DriftMonitorStatus, decision: Decision, scheduled: datetime) -> LastAction:
    """Return the action for the verdict and the change point that stand in the status."""
    kind = decision.action.do if decision.action else "Hold"
    template = view.template.metadata.name if view.template else ""
    name = run_name(template, kind, scheduled.strftime("%Y%m%d%H%M"))
    if any(run.metadata.name == name for run in view.runs):
        # A check that a person asked for falls into the minute of another one.
        name = run_name(template, kind, scheduled.strftime("%Y%m%d%H%M%S"))
    return LastAction(
        time=format_time(scheduled),
        kind=kind,
        verdict=status.verdict or "Inconclusive",
        ref=name,
        since=status.change_point if kind == "Rebuild" else None,
        outcome="Pending",
    )


def _action_text(status: DriftMonitorStatus, decision: Decision) -> str:
    if decision.acts and status.last_action is not None:
        return f"{status.last_action.kind}: {status.last_action.ref}"
    return "" if decision.reason == Reason.NO_ACTION else str(decision.reason)


# --- what a check says ---


def _said(monitor: DriftMonitor, report: tasks.DriftReport, decision: Decision) -> dict[str, Condition]:
    needed = monitor.spec.labels.min_coverage
    enough = Decimal(report.label_coverage) >= Decimal(needed)
    coverage = f"{report.labelled} of {report.samples} rows: {report.label_coverage}, needed is {needed}"
    said = [
        condition(CHECKED, "True", Reason.CHECKED, f"{report.verdict} on {report.samples} rows"),
        condition(
            LABELS_AVAILABLE,
            "True" if enough else "False",
            Reason.CHECKED if enough else Reason.INCONCLUSIVE,
            coverage,
        ),
        _detected(DATA_DRIFT, "DataDrift", report),
        _detected(CONCEPT_DRIFT, "ConceptDrift", report),
        _triggered(decision),
    ]
    return {each.type: each for each in said if each is not None}


_ANSWERS: tuple[tuple[str, ConditionStatus, Reason], ...] = (
    ("Detected", "True", Reason.DETECTED),
    ("Inconclusive", "Unknown", Reason.INCONCLUSIVE),
    ("NotDetected", "False", Reason.NOT_DETECTED),
)


def _detected(type_: ConditionType, check: str, report: tasks.DriftReport) -> Condition | None:
    """Return the condition of all checks of one type: one that detected counts more than one that could not tell."""
    results = [each for each in report.checks if each.type == check]
    for answer, status, reason in _ANSWERS:
        said = [each for each in results if each.result == answer]
        if said:
            return condition(type_, status, reason, "; ".join(f"{each.name}: {each.message}" for each in said))
    return None


# --- what follows ---


def _run_on_record(view: DriftMonitorView) -> tuple[Manifest, ...]:
    """Return the run of an action that is on record, until it is seen."""
    action = view.monitor.status.last_action
    if action is None or action.ref is None or action.outcome != "Pending":
        return ()
    if view.template is None or not view.template.spec.triggers:
        return ()
    if any(run.metadata.name == action.ref for run in view.runs):
        return ()
    return (run_of_action(view.monitor, view.template, action, _champion(view)),)


def _champion(view: DriftMonitorView) -> Champion:
    """Return how the live version was made: by its own record, or by the run of a version that has none."""
    target = _target(view)
    lineage = (target.status.lineage or target.spec.lineage) if target else None
    if lineage is None or lineage.estimator is not None:
        return Champion(lineage.estimator, lineage.since) if lineage else Champion()
    run = next((run for run in view.runs if run.metadata.name == lineage.training_run), None)
    if run is None:
        return Champion(since=lineage.since)
    return Champion(trained_as(run), lineage.since or run.spec.dataset_ref.since)


def _standing(view: DriftMonitorView, progress: Progress) -> Standing:
    monitor = view.monitor
    target = monitor.spec.target_ref
    if monitor.spec.suspend:
        # As wanted, like a suspended CronJob: what waits for a whole environment must not wait for this one.
        return stand.done(Reason.SUSPENDED, "spec.suspend is true: no checks are made")
    if _target(view) is None:
        if not view.versions:
            message = (
                f'spec.targetRef: model "{target.model_name}" has no version in "{view.monitor.metadata.namespace}"'
            )
            return stand.waiting(Reason.TARGET_NOT_FOUND, message)
        message = f'no version of model "{target.model_name}" is live in stage "{target.stage}"'
        newest = newest_wanted(view.versions)
        leaves = any(target.stage in version.status.stages for version in view.versions)
        if newest is not None and (leaves or is_true(newest.status.conditions, RECONCILING)):
            # One is on its way: that is how every loop begins, and how a withdrawn version is replaced.
            return stand.in_progress(Reason.TARGET_NOT_LIVE, f"{message} yet; {newest.metadata.name} is on its way")
        return stand.waiting(Reason.TARGET_NOT_LIVE, message)
    ref = monitor.spec.training_run_ref
    if ref is not None and view.template is None:
        message = f'spec.trainingRunRef: TrainingRun "{ref.name}" not found'
        return stand.waiting(Reason.RUN_NOT_FOUND, message)
    if ref is not None and view.template is not None and not view.template.spec.triggers:
        message = f'spec.trainingRunRef: TrainingRun "{ref.name}" has no spec.triggers, so it is no template'
        return stand.waiting(Reason.NOT_A_TEMPLATE, message)
    checked = progress.own.get(CHECKED)
    if checked is None:
        # As wanted: the checks are scheduled. Whoever waits for Ready must not have to wait for a night to pass.
        message = f"the first check follows {monitor.spec.schedule}"
        scheduled = view.cron_job is not None
        return (stand.done if scheduled else stand.in_progress)(Reason.WAITING_FOR_FIRST_CHECK, message)
    if checked.status == "True":
        return stand.done(Reason.CHECKED, checked.message)
    return stand.waiting(Reported(checked.reason), checked.message)
