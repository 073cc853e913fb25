"""What a verdict calls for, what the guard lets through, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops.api.base import parse_duration, parse_time
from mlops.api.conditions import is_false, is_true
from mlops.api.drift_monitor import Action, DriftMonitor, DriftMonitorStatus, LastAction, Reason, Verdict
from mlops.api.training_run import TrainingRun
from mlops.planning.standing import is_over

_WEEK = timedelta(days=7)
_UNFINISHED = ("Pending", "Running")


@dataclass(frozen=True)
class Decision:
    """Whether to make a run now, and why or why not."""

    action: Action | None
    reason: Reason
    message: str

    @property
    def acts(self) -> bool:
        """Return whether a run is to be made."""
        return self.reason == Reason.RUN_CREATED


def called_for(monitor: DriftMonitor, verdict: Verdict) -> Action | None:
    """Return the first action that names the verdict; a drift of the answers alone counts as one of the inputs."""
    actions = monitor.spec.actions
    named = next((action for action in actions if verdict in action.when), None)
    if named is None and verdict == "PredictionDrift":
        return next((action for action in actions if "DataDrift" in action.when), None)
    return named


def decide(
    monitor: DriftMonitor,
    status: DriftMonitorStatus,
    verdict: Verdict,
    at: datetime,
    *,
    runs: tuple[TrainingRun, ...],
    template: TrainingRun | None,
) -> Decision:
    """Return what to do about `verdict` of the check scheduled `at`; `status` counts this check in already."""
    action = called_for(monitor, verdict)
    if action is None:
        return Decision(None, Reason.NO_ACTION, f"{verdict} calls for nothing")
    if action.do == "Hold":
        return Decision(action, Reason.ON_HOLD, f"{verdict}: nothing is trained until the data is in order")
    if template is None or not template.spec.triggers:
        name = monitor.spec.training_run_ref.name if monitor.spec.training_run_ref else ""
        reason = Reason.TEMPLATE_NOT_FOUND if template is None else Reason.NOT_A_TEMPLATE
        return Decision(action, reason, f'{action.do} needs the template "{name}"')
    refusal = _refusal(monitor, status, at, runs)
    if refusal is not None:
        return Decision(action, *refusal)
    return Decision(action, Reason.RUN_CREATED, f"{verdict} calls for {action.do}")


def _refusal(
    monitor: DriftMonitor, status: DriftMonitorStatus, at: datetime, runs: tuple[TrainingRun, ...]
) -> tuple[Reason, str] | None:
    """Return which limit of the guard forbids to act now."""
    guard, last = monitor.spec.guard, status.last_action
    active = next((run.metadata.name for run in runs if not is_over(run.status.conditions)), None)
    if active is None and last is not None and last.outcome in _UNFINISHED:
        active = last.ref
    if active is not None:
        return Reason.RUN_ACTIVE, f"TrainingRun {active} is not finished"
    if status.circuit == "Open":
        return (
            Reason.CIRCUIT_OPEN,
            f"{status.rejected_in_a_row} runs in a row led to no new version: look into it, then edit the monitor",
        )
    if status.breaches < guard.confirmations:
        return Reason.UNCONFIRMED, f"check {status.breaches} of {guard.confirmations} in a row with this verdict"
    if last is not None and at - parse_time(last.time) < parse_duration(guard.cooldown):
        return Reason.IN_COOLDOWN, f"the last action was at {last.time}, guard.cooldown is {guard.cooldown}"
    recent = _of_last_week(status.action_times, at)
    if len(recent) >= guard.max_runs_per_week:
        return Reason.WEEKLY_LIMIT, f"{len(recent)} runs in seven days, allowed are {guard.max_runs_per_week}"
    return None


def _of_last_week(times: tuple[str, ...], at: datetime) -> list[str]:
    return [time for time in times if at - parse_time(time) < _WEEK]


def with_action(status: DriftMonitorStatus, action: LastAction) -> DriftMonitorStatus:
    """Return the status with the action on record; the run is made when that is written."""
    recent = _of_last_week(status.action_times, parse_time(action.time))
    return status.model_copy(update={"last_action": action, "action_times": (action.time, *recent)[:50]})


def followed_up(
    status: DriftMonitorStatus, runs: dict[str, TrainingRun], *, max_rejected: int, generation: int
) -> DriftMonitorStatus:
    """Return the status with what came of the last action, and the circuit that this opens or closes."""
    last = status.last_action
    if last is not None and last.outcome in _UNFINISHED:
        outcome = _outcome(last, runs.get(str(last.ref)))
        if outcome != last.outcome:
            status = status.model_copy(update={"last_action": last.model_copy(update={"outcome": outcome})})
            status = _counted(status, outcome, deleted=str(last.ref) not in runs)
    if status.circuit == "Open" and status.circuit_generation != generation:
        return status.model_copy(update={"circuit": "Closed", "circuit_generation": None, "rejected_in_a_row": 0})
    if status.circuit == "Closed" and status.rejected_in_a_row >= max_rejected:
        return status.model_copy(update={"circuit": "Open", "circuit_generation": generation})
    return status


def _outcome(last: LastAction, run: TrainingRun | None) -> str:
    if run is None:
        # Not made yet, or made, seen and deleted by somebody: that one is not made again.
        return "Pending" if last.outcome == "Pending" else "Failed"
    if not is_over(run.status.conditions):
        return "Running"
    if run.status.model_version_ref is not None and is_true(run.status.conditions, "Ready"):
        return "Promoted"
    proposed = is_true(run.status.conditions, "Succeeded")
    return "Rejected" if proposed or is_false(run.status.conditions, "GatesPassed") else "Failed"


def _counted(status: DriftMonitorStatus, outcome: str, *, deleted: bool) -> DriftMonitorStatus:
    if outcome == "Promoted":
        return status.model_copy(update={"rejected_in_a_row": 0})
    if outcome in ("Rejected", "Failed") and not deleted:
        return status.model_copy(update={"rejected_in_a_row": status.rejected_in_a_row + 1})
    return status
