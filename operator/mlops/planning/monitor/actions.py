"""What a verdict calls for, what the guard lets through, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from mlops.api.base import format_time, parse_duration, parse_time
from mlops.api.conditions import READY, find, is_false, is_true
from mlops.api.dataset import Dataset
from mlops.api.digests import digest_of
from mlops.api.drift_monitor import (
    MAKES_A_RUN,
    Action,
    ActionName,
    ActionOutcome,
    Circuit,
    DriftMonitor,
    DriftMonitorStatus,
    LastAction,
    NothingNew,
    Verdict,
    action_of,
)
from mlops.api.reasons import Reason, Trait, having
from mlops.api.training_run import TrainingRun, TrainingRunSpec
from mlops.planning.monitor.recalibrating import lacks_room
from mlops.planning.readiness import is_over

_WEEK = timedelta(days=7)
_UNFINISHED = ("Pending", "Running")
_IN_VAIN = ("Rejected", "Failed", "NothingNew")
_MOST = 1_000_000
_MOST_CAUSES = len(get_args(Verdict))


@dataclass(frozen=True)
class ActionDecision:
    """Whether to make a run now, and why or why not."""

    action: Action | None
    reason: Reason
    message: str

    @property
    def acts(self) -> bool:
        """Return whether a run is to be made."""
        return self.reason == Reason.RUN_CREATED


def called_for(monitor: DriftMonitor, status: DriftMonitorStatus, verdict: Verdict) -> Action | None:
    """Return the first action that names the verdict and fits what the check has found."""
    return action_of(monitor.spec.actions, verdict, mends=_mends(status))


def _mends(status: DriftMonitorStatus) -> bool:
    """Return whether a recalibration is worth a run: calibration alone moved, and one was not just made in vain."""
    found, last = status.calibration, status.last_action
    if found is None or not found.can_be_mended:
        return False
    # A model that took its place is another one, to be tried once.
    in_vain = last is not None and last.outcome in _IN_VAIN and last.recalibrates == found.artifact
    return not in_vain


def cause_of(monitor: DriftMonitor, verdict: Verdict) -> Verdict:
    """Return the verdict under which the runs for `verdict` are counted: that of the inputs for one of the answers."""
    named = any(verdict in action.when for action in monitor.spec.actions)
    return "DataDrift" if verdict == "PredictionDrift" and not named else verdict


def decide(
    monitor: DriftMonitor,
    status: DriftMonitorStatus,
    verdict: Verdict,
    at: datetime,
    *,
    runs: tuple[TrainingRun, ...],
    template: TrainingRun | None,
) -> ActionDecision:
    """Return what to do about `verdict` of the check scheduled `at`; `status` counts this check in already."""
    action = called_for(monitor, status, verdict)
    if action is None:
        return ActionDecision(None, Reason.NO_ACTION, f"{verdict} calls for nothing")
    if action.do == "Hold":
        return ActionDecision(action, Reason.ON_HOLD, f"{verdict}: nothing is trained until the data is in order")
    if action.do == "Notify":
        return ActionDecision(action, Reason.NOTIFIED, f"{verdict}: it is said, and nothing is done")
    if action.do not in MAKES_A_RUN:
        # What comes of these stands in the check's report, see `acting.py`.
        return ActionDecision(action, Reason.NO_ACTION, f"{verdict} calls for {action.do}")
    if (faulty := _faulty(status)) is not None:
        return ActionDecision(action, Reason.DATA_FAULTY, f"{verdict} calls for {action.do}, and {faulty}")
    if template is None or not template.spec.triggers:
        name = monitor.spec.training_run_ref.name if monitor.spec.training_run_ref else ""
        reason = Reason.RUN_NOT_FOUND if template is None else Reason.NOT_A_TEMPLATE
        return ActionDecision(action, reason, f'{action.do} needs the template "{name}"')
    if action.do == "Recalibrate" and (full := _full(template, status)) is not None:
        return ActionDecision(action, Reason.GATES_FULL, f"{verdict} calls for Recalibrate, and {full}")
    refusal = _refusal(monitor, status, verdict, at, runs)
    if refusal is not None:
        return ActionDecision(action, *refusal)
    message = f"{verdict} calls for {action.do}"
    return ActionDecision(action, Reason.RUN_CREATED, message + _on_trial(monitor, status, verdict))


def _full(template: TrainingRun, status: DriftMonitorStatus) -> str | None:
    return lacks_room(template, status.calibration.metric) if status.calibration is not None else None


def _faulty(status: DriftMonitorStatus) -> str | None:
    """Return which check has found the data faulty, and has not found it mended since."""
    if not status.faults:
        return None
    found = ", ".join(f"{each.check} (since {each.since})" for each in status.faults)
    return f"the data has a known fault: {found}: nothing is trained until the check finds it mended"


def refusal_of_rollback(
    monitor: DriftMonitor, status: DriftMonitorStatus, at: datetime, *, runs: tuple[TrainingRun, ...]
) -> tuple[Reason, str] | None:
    """Return why no older version is put back now. It is no run: the circuit and the week's limit are not asked."""
    if (faulty := _faulty(status)) is not None:
        return Reason.DATA_FAULTY, faulty
    return _busy(status, runs) or _too_early(monitor, status, at)


def _refusal(
    monitor: DriftMonitor, status: DriftMonitorStatus, verdict: Verdict, at: datetime, runs: tuple[TrainingRun, ...]
) -> tuple[Reason, str] | None:
    """Return which limit of the guard forbids to make a run now."""
    if (busy := _busy(status, runs)) is not None:
        return busy
    if (refused := _circuit_refuses(monitor, status, verdict, at)) is not None:
        return Reason.CIRCUIT_OPEN, refused
    if (early := _too_early(monitor, status, at)) is not None:
        return early
    guard = monitor.spec.guard
    recent = _of_last_week(status.action_times, at)
    if len(recent) >= guard.max_runs_per_week:
        return Reason.WEEKLY_LIMIT, f"{len(recent)} runs in seven days, allowed are {guard.max_runs_per_week}"
    return None


def _busy(status: DriftMonitorStatus, runs: tuple[TrainingRun, ...]) -> tuple[Reason, str] | None:
    last = status.last_action
    if status.rollback is not None:
        return Reason.RUN_ACTIVE, f"the rollback to {status.rollback.to} is not finished"
    active = next((run.metadata.name for run in runs if not is_over(run.status.conditions)), None)
    if active is None and last is not None and last.outcome in _UNFINISHED:
        active = last.ref
    return None if active is None else (Reason.RUN_ACTIVE, f"TrainingRun {active} is not finished")


def _too_early(monitor: DriftMonitor, status: DriftMonitorStatus, at: datetime) -> tuple[Reason, str] | None:
    guard, last = monitor.spec.guard, status.last_action
    if status.breaches < guard.confirmations:
        return Reason.UNCONFIRMED, f"check {status.breaches} of {guard.confirmations} in a row with this verdict"
    if last is not None and at - parse_time(last.time) < parse_duration(guard.cooldown):
        return Reason.IN_COOLDOWN, f"the last action was at {last.time}, guard.cooldown is {guard.cooldown}"
    return None


def _circuit_refuses(monitor: DriftMonitor, status: DriftMonitorStatus, verdict: Verdict, at: datetime) -> str | None:
    """Return why the circuit of the verdict lets no run through; once in a while it lets one, to see."""
    circuit = _open_circuit(monitor, status, verdict)
    if circuit is None or circuit.opened is None:
        return None
    after, opened = monitor.spec.guard.circuit_reset_after, parse_time(circuit.opened)
    # A timestamp to come is of a clock that was wrong.
    if at - opened >= parse_duration(after) or at < opened:
        return None
    return (
        f"{circuit.rejected} runs in a row for {circuit.verdict} led to no new version: look into it. One more is let "
        f"through at {_half_open_at(opened, after)}, guard.circuitResetAfter ({after}) after {circuit.opened}; a new "
        "version closes it, and so does an edit of the monitor, or a retry, now"
    )


def _on_trial(monitor: DriftMonitor, status: DriftMonitorStatus, verdict: Verdict) -> str:
    """Return what depends on the run that a half-open circuit lets through; nothing if it is closed."""
    circuit = _open_circuit(monitor, status, verdict)
    if circuit is None:
        return ""
    after = monitor.spec.guard.circuit_reset_after
    return (
        f"; the circuit of {circuit.verdict} is half-open after {circuit.rejected} runs without a new version: one "
        f"closes it, and a refusal opens it for {after} again"
    )


def _open_circuit(monitor: DriftMonitor, status: DriftMonitorStatus, verdict: Verdict) -> Circuit | None:
    cause = cause_of(monitor, verdict)
    return next((each for each in _circuits(status) if each.verdict == cause and each.opened is not None), None)


def _half_open_at(opened: datetime, after: str) -> str:
    try:
        return format_time(opened + parse_duration(after))
    except OverflowError:
        return "no time that a calendar has"


def _of_last_week(times: tuple[str, ...], at: datetime) -> list[str]:
    return [time for time in times if at - parse_time(time) < _WEEK]


def with_action(status: DriftMonitorStatus, action: LastAction) -> DriftMonitorStatus:
    """Return the status with the action on record; the run is made when that is written."""
    recent = _of_last_week(status.action_times, parse_time(action.time))
    return status.evolve(last_action=action, action_times=(action.time, *recent)[:50])


# A run that failed for it says nothing of challengers.
_OF_CLUSTER = having(Trait.OF_CLUSTER)


def followed_up(
    monitor: DriftMonitor, runs: dict[str, TrainingRun], *, serves: str | None, again: bool
) -> DriftMonitorStatus:
    """Return the status with what came of the last action, and the circuits that this opens or closes.

    `serves` is the address of the model that serves, or is about to; `again`: a person asks for a retry.
    """
    status, generation = monitor.status, monitor.metadata.generation
    status = _with_circuits(status, _circuits(status), generation)
    last = status.last_action
    if last is not None and last.outcome in _UNFINISHED:
        run = runs.get(str(last.ref))
        outcome = _outcome(last, run, serves)
        if outcome != last.outcome:
            status = status.evolve(last_action=last.evolve(outcome=outcome))
            status = _counted(monitor, status, last, outcome, run)
    if again:
        return _with_circuits(status, (), generation).evolve(nothing_new=None)
    if status.circuit == "Open" and monitor.status.circuit == "Open" and status.circuit_generation != generation:
        return _with_circuits(status, tuple(each for each in status.circuits if each.opened is None), generation)
    return status


def _circuits(status: DriftMonitorStatus) -> tuple[Circuit, ...]:
    """Return what is remembered by verdict; earlier releases counted the runs for all of them together."""
    if status.circuits or status.rejected_in_a_row <= 0 or status.last_action is None:
        return status.circuits
    last = status.last_action
    opened = last.time if status.circuit == "Open" else None
    return (Circuit(verdict=last.verdict, rejected=min(status.rejected_in_a_row, _MOST), opened=opened),)


def _with_circuits(status: DriftMonitorStatus, circuits: tuple[Circuit, ...], generation: int) -> DriftMonitorStatus:
    is_open = any(each.opened for each in circuits)
    since = status.circuit_generation if status.circuit == "Open" else generation
    return status.evolve(
        circuits=circuits,
        circuit="Open" if is_open else "Closed",
        circuit_generation=since if is_open else None,
        rejected_in_a_row=max((each.rejected for each in circuits), default=0),
    )


def _outcome(last: LastAction, run: TrainingRun | None, serves: str | None) -> ActionOutcome:
    if run is None:
        # Not made yet, or made, seen and deleted by somebody: that one is not made again.
        return "Pending" if last.outcome == "Pending" else "Failed"
    if not is_over(run.status.conditions):
        return "Running"
    ready = find(run.status.conditions, READY)
    if ready is not None and ready.reason == Reason.NOTHING_NEW:
        return "NothingNew"
    if run.status.model_version_ref is not None and is_true(run.status.conditions, READY):
        return "Promoted"
    if run.status.output_digest is not None and run.status.output_digest == serves:
        # Refused by a gate, and the very model that serves: it says nothing about challengers.
        return "NothingNew"
    proposed = is_true(run.status.conditions, "Succeeded")
    return "Rejected" if proposed or is_false(run.status.conditions, "GatesPassed") else "Failed"


def _counted(
    monitor: DriftMonitor, status: DriftMonitorStatus, last: LastAction, outcome: ActionOutcome, run: TrainingRun | None
) -> DriftMonitorStatus:
    generation = monitor.metadata.generation
    if outcome == "Promoted":
        # Another model serves: what was refused before says nothing about it.
        return _with_circuits(status, (), generation).evolve(nothing_new=None)
    if run is None or outcome not in ("Rejected", "Failed", "NothingNew"):
        return status
    ready = find(run.status.conditions, READY)
    if outcome == "Failed" and ready is not None and ready.reason in _OF_CLUSTER:
        return status
    if outcome == "NothingNew":
        return status.evolve(nothing_new=_remembered(last, run))
    cause, others = cause_of(monitor, last.verdict), status.circuits
    known = next((each for each in others if each.verdict == cause), Circuit(verdict=cause))
    rejected = min(known.rejected + 1, _MOST)
    too_many = rejected >= monitor.spec.guard.max_rejected_challengers
    counted = known.evolve(rejected=rejected, opened=last.time if too_many else None)
    kept = tuple(each for each in others if each.verdict != cause)
    return _with_circuits(status, (*kept, counted)[-_MOST_CAUSES:], generation)


def _remembered(last: LastAction, run: TrainingRun) -> NothingNew | None:
    resolved = run.status.resolved
    if resolved is None:
        return None
    return NothingNew(
        kind=last.kind,
        recipe=recipe_of(run.spec),
        dataset=run.spec.dataset_ref.name,
        dataset_digest=resolved.dataset_digest,
    )


def recipe_of(spec: TrainingRunSpec) -> str:
    """Return the digest of what a run is made of beside the content of its data."""
    # A spec holds texts, numbers, tuples and models only, which are JSON as they are dumped.
    content = spec.model_dump(
        by_alias=True,
        exclude_defaults=True,
        exclude={"suspend": True, "triggers": True, "dataset_ref": {"not_before"}},
    )
    return digest_of(content)


def nothing_new(
    status: DriftMonitorStatus, kind: ActionName, spec: TrainingRunSpec, dataset: Dataset
) -> NothingNew | None:
    """Return what a run of `spec` on the present content is made of, if that was tried and gave the model that serves.

    The first run is always made: it has the source synced, and finds out.
    """
    known, digest = status.nothing_new, dataset.status.digest
    if known is None or digest is None:
        return None
    recipe = recipe_of(spec)
    found = NothingNew(kind=kind, recipe=recipe, dataset=dataset.metadata.name, dataset_digest=digest)
    return found if known.evolve(asked=None, kind=kind) == found else None
