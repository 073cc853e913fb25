"""The checks of a monitor: which are news, and what each of them says."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from mlops.api import tasks
from mlops.api.base import format_time, parse_time
from mlops.api.conditions import Condition, ConditionStatus, ConditionType
from mlops.api.drift_monitor import DriftMonitor, DriftMonitorStatus, HistoryCheck
from mlops.api.reasons import Reason
from mlops.planning.execution import Ended
from mlops.planning.monitor.acting import acted, with_faults
from mlops.planning.monitor.actions import ActionDecision, called_for
from mlops.planning.monitor.progress import (
    CHECKED,
    CONCEPT_DRIFT,
    DATA_DRIFT,
    LABELS_AVAILABLE,
    LONGEST_HISTORY,
    MonitorProgress,
)
from mlops.planning.monitor.retraining import action_text, decided, triggered
from mlops.planning.outcome import Failure
from mlops.planning.readiness import condition
from mlops.planning.views import DriftMonitorView

_MAX_CHECKS = 32

_MAX_FEATURES = 20


def taken_in(
    view: DriftMonitorView, progress: MonitorProgress, ended: Ended[tasks.DriftReport], scheduled: datetime
) -> MonitorProgress:
    newest = progress.status.last_check_time
    if newest and scheduled < parse_time(newest):
        return _taken_in_late(progress, ended, scheduled)
    status = progress.status.evolve(last_check_time=format_time(scheduled), last_job=ended.job.name)
    match ended.outcome:
        case tasks.DriftReport() as report:
            return _judged(view, progress, status, report, scheduled)
        case failure:
            return MonitorProgress(status, progress.own | {CHECKED: _not_checked(failure)})


def _taken_in_late(progress: MonitorProgress, ended: Ended[tasks.DriftReport], scheduled: datetime) -> MonitorProgress:
    """Return the progress with a check that a later one has overtaken: its verdict is on record, and calls for nothing
    any more."""
    report = ended.outcome
    if not isinstance(report, tasks.DriftReport):
        return progress
    entries = (_entry(report, scheduled, ended.job.name, ""), *progress.status.history)
    history = tuple(sorted(entries, key=lambda entry: parse_time(entry.time), reverse=True))[:LONGEST_HISTORY]
    return MonitorProgress(progress.status.evolve(history=history), progress.own)


def _entry(report: tasks.DriftReport, scheduled: datetime, job: str | None, action: str) -> HistoryCheck:
    return HistoryCheck(
        time=format_time(scheduled),
        verdict=report.verdict,
        action=action,
        metric=report.metric.current if report.metric else None,
        report=report.report_digest,
        job=job,
    )


def _not_checked(failure: Failure) -> Condition:
    return condition(CHECKED, "False", failure.reason, failure.message)


def _judged(
    view: DriftMonitorView,
    progress: MonitorProgress,
    status: DriftMonitorStatus,
    report: tasks.DriftReport,
    scheduled: datetime,
) -> MonitorProgress:
    monitor = view.monitor
    status = _counted(monitor, _measured(status, report), report, before=progress.status)
    status = with_faults(monitor, status, report, scheduled).evolve(older=report.older)
    decision, same = decided(view, status, report.verdict, scheduled)
    status, decision = acted(view, status, report, decision, scheduled)
    known = same or (status.nothing_new and status.nothing_new.evolve(asked=None))
    status = status.evolve(nothing_new=known)
    entry = _entry(report, scheduled, status.last_job, action_text(status, decision))
    status = status.evolve(history=(entry, *status.history)[:LONGEST_HISTORY])
    return MonitorProgress(status, _said(monitor, report, decision))


def _measured(status: DriftMonitorStatus, report: tasks.DriftReport) -> DriftMonitorStatus:
    return status.evolve(
        verdict=report.verdict,
        checks=report.checks[:_MAX_CHECKS],
        samples=report.samples,
        labelled=report.labelled,
        label_coverage=report.label_coverage,
        label_sources=report.label_sources,
        reference=report.reference,
        metric=report.metric,
        estimated_metric=report.estimated_metric,
        top_features=report.top_features[:_MAX_FEATURES],
        attribution=report.attribution,
        calibration=report.calibration,
        change_point=report.change_point,
        report=report.report_digest,
    )


def _counted(
    monitor: DriftMonitor, status: DriftMonitorStatus, report: tasks.DriftReport, *, before: DriftMonitorStatus
) -> DriftMonitorStatus:
    """Return the status with this check counted among those in a row that call for the same action."""
    if called_for(monitor, status, report.verdict) is None:
        return status.evolve(breaches=0)
    again = before.verdict == report.verdict
    return status.evolve(breaches=before.breaches + 1 if again else 1)


def _said(monitor: DriftMonitor, report: tasks.DriftReport, decision: ActionDecision) -> dict[str, Condition]:
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
        triggered(decision),
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
