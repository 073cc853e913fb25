"""What a verdict leads to, put on record: a run, an older version that serves again, rows to label, or words."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mlops.api import tasks
from mlops.api.base import format_time
from mlops.api.drift_monitor import (
    ROLLS_BACK,
    Action,
    DataFault,
    DriftMonitor,
    DriftMonitorStatus,
    LabelRequest,
    LastAction,
    Rollback,
)
from mlops.api.reasons import Reason
from mlops.planning.monitor.actions import ActionDecision, refusal_of_rollback, with_action
from mlops.planning.monitor.retraining import action_of, own_runs
from mlops.planning.monitor.rollback import asked_of, compared, was_undone
from mlops.planning.views import DriftMonitorView

_MAX_FAULTS = 32


def with_faults(
    monitor: DriftMonitor, status: DriftMonitorStatus, report: tasks.DriftReport, at: datetime
) -> DriftMonitorStatus:
    """Return the status with the faults of the data that are known after a check.

    One that was found stays until the same check finds it mended: that it cannot tell says nothing. A check that was
    taken out of the spec asks no more.
    """
    asked = {check.name for check in monitor.spec.checks if check.type == "DataQuality"}
    known = {each.check: each for each in status.faults if each.check in asked}
    for each in report.checks:
        if each.type == "DataQuality" and each.result == "Detected":
            known.setdefault(each.name, DataFault(check=each.name, since=format_time(at)))
        elif each.type == "DataQuality" and each.result == "NotDetected":
            known.pop(each.name, None)
    return status.evolve(faults=tuple(known.values())[:_MAX_FAULTS])


def acted(
    view: DriftMonitorView,
    status: DriftMonitorStatus,
    report: tasks.DriftReport,
    decision: ActionDecision,
    at: datetime,
) -> tuple[DriftMonitorStatus, ActionDecision]:
    """Return the status with what is done about the check, and what is said of it; `decision` is of a run."""
    action = decision.action
    if action is not None and action.do in ROLLS_BACK:
        return _rolled_back(view, status, report, action, decision, at)
    if action is not None and action.do == "AskForLabels":
        return _asked(status, report, action, at)
    if decision.acts:
        status = with_action(status, action_of(view, status, decision, at))
    return status, decision


def _rolled_back(
    view: DriftMonitorView,
    status: DriftMonitorStatus,
    report: tasks.DriftReport,
    action: Action,
    decision: ActionDecision,
    at: datetime,
) -> tuple[DriftMonitorStatus, ActionDecision]:
    asked, reason, message = _asked_back(view, status, report, at)
    said = f"{decision.message}; {message}" if action.do == "RollbackAndRebuild" else message
    if decision.acts:
        last = action_of(view, status, decision, at)
        status = with_action(status, last.evolve(version=asked.to if asked else None))
        return status.evolve(rollback=asked or status.rollback), replace(decision, message=said)
    if asked is None:
        # Of both the run is what a person can do something about.
        own = ActionDecision(action, reason, said)
        return status, own if action.do == "Rollback" else replace(decision, message=said)
    last = LastAction(
        time=format_time(at),
        kind="Rollback",
        verdict=report.verdict,
        version=asked.to,
        outcome="Pending",
    )
    return status.evolve(last_action=last, rollback=asked), ActionDecision(action, Reason.ROLLED_BACK, said)


def _asked_back(
    view: DriftMonitorView, status: DriftMonitorStatus, report: tasks.DriftReport, at: datetime
) -> tuple[Rollback | None, Reason, str]:
    """Return what is asked of the model, if anything, and the reason for it or against it in words."""
    refusal = refusal_of_rollback(view.monitor, status, at, runs=own_runs(view))
    if refusal is not None:
        return None, *refusal
    found, beside = report.older, f" ({report.not_measured})" if report.not_measured else ""
    if found is None:
        return None, Reason.NO_OLDER_BETTER, f"no older version was measured on the window{beside}"
    if not found.better:
        message = f"no older version is shown to be better: the best is {found.version}, {compared(found)}{beside}"
        return None, Reason.NO_OLDER_BETTER, message
    if was_undone(view):
        message = f"{found.version} is better, {compared(found)}; a person has undone a rollback of the live version"
        return None, Reason.ROLLBACK_UNDONE, message
    asked = asked_of(view, found, report.verdict, format_time(at))
    if asked is None:
        message = f"{found.version} is better than what was live when it was checked, which is not what is live now"
        return None, Reason.NO_OLDER_BETTER, message
    return asked, Reason.ROLLED_BACK, f"{asked.to} serves again in {asked.stage}: {compared(found)}{beside}"


def _asked(
    status: DriftMonitorStatus, report: tasks.DriftReport, action: Action, at: datetime
) -> tuple[DriftMonitorStatus, ActionDecision]:
    wanted = report.labels_wanted
    if wanted is None:
        message = f"{report.verdict}: no labels are what is missing"
        return status, ActionDecision(action, Reason.NO_ROWS_TO_LABEL, message)
    before = f"; {wanted.asked_before} rows of the window were asked for before" if wanted.asked_before else ""
    if wanted.rows == 0:
        message = f"{report.verdict}: there is no more row to ask for within the budget{before}"
        return status, ActionDecision(action, Reason.NO_ROWS_TO_LABEL, message)
    asked = LabelRequest(
        time=format_time(at),
        rows=wanted.rows,
        asked_before=wanted.asked_before,
        needed=wanted.needed,
        report=report.report_digest,
        file=wanted.file,
    )
    needed = f"; the window lacks {wanted.needed} labels" if wanted.needed else ""
    message = f"{report.verdict}: {wanted.rows} rows to label, {wanted.file} of {report.report_digest}{before}{needed}"
    return status.evolve(label_request=asked), ActionDecision(action, Reason.LABELS_ASKED, message)
