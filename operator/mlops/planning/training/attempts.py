"""The attempts at an execution of a run: whether one may follow, and what is said until then."""

from __future__ import annotations

from dataclasses import replace

from mlops.api import tasks
from mlops.api.conditions import READY, ConditionType, find
from mlops.api.reasons import Reason, Reported, Word
from mlops.api.training_run import Resolved, TrainingRun, TrainingRunStatus
from mlops.planning import execution
from mlops.planning.not_started import NOT_STARTED
from mlops.planning.outcome import BACKOFF_LIMIT_EXCEEDED, DEADLINE_EXCEEDED, REPORT_MISSING, Failure
from mlops.planning.plan import Key
from mlops.planning.readiness import Readiness, condition
from mlops.planning.training.manifests import training_job_name
from mlops.planning.training.step import Step
from mlops.planning.views import JobView, TrainingRunView

_MOST_WITHOUT_REPORT = 3


def attempt(
    view: TrainingRunView, step: Step, type_: ConditionType, *, verifying: bool
) -> execution.Execution[tasks.TrainReport]:
    """Return how far the run's present attempt is, at the first execution or at the second one that verifies it.

    `type_` is the condition that tells of it.
    """
    run, inputs, said = view.run, str(step.status.inputs_digest), step.own.get(type_)
    return execution.execution(
        view.jobs,
        lambda number: training_job_name(run, inputs, number, verifying=verifying),
        step.status.attempts,
        view.now,
        tasks.TrainReport,
        begun=said is None or said.reason in (Reason.RUNNING, Reason.VERIFYING),
    )


def spent(view: TrainingRunView, status: TrainingRunStatus) -> tuple[tuple[Key, str], ...]:
    """Return the failed Jobs of earlier attempts at either execution. One that has reported stays: the second execution
    is compared with it."""
    inputs = status.inputs_digest
    if inputs is None:
        return ()
    return execution.spent(
        view.jobs,
        lambda number: {training_job_name(view.run, inputs, number, verifying=second) for second in (False, True)},
        status.attempts,
    )


def result(run: TrainingRun, ended: execution.Ended[tasks.TrainReport]) -> tasks.TrainReport | Failure:
    """Return what came of a finished Job. Its deadline counts from when it was made: one that has passed while the
    pod could not start says nothing of how long training takes, but what the pod waited for."""
    found = ended.outcome
    ready = find(run.status.conditions, READY)
    if isinstance(found, Failure) and found.reason == DEADLINE_EXCEEDED and ready and ready.reason in NOT_STARTED:
        return Failure(Reported(ready.reason), ready.message, final=False)
    return found


def passes(failure: Failure, status: TrainingRunStatus) -> bool:
    """Return whether the same work may succeed later: the store was away, or the pod was lost with its report. An
    image that never reports is given up."""
    lost = failure.reason == REPORT_MISSING and (status.without_report or 0) + 1 < _MOST_WITHOUT_REPORT
    return failure.outage or lost


def held_up(step: Step, found: execution.Waiting | execution.Running, type_: ConditionType) -> Step:
    """Return: the next attempt is not due yet, or the newest pod failed and its Job makes another."""
    said = step.own.get(type_)
    if isinstance(found, execution.Waiting) and said is not None:
        waits = Readiness("False", Reported(said.reason), said.message, reconciling=True)
        return replace(step, readiness=waits, requeue_at=found.until)
    failed = found.setback if isinstance(found, execution.Running) else None
    if failed is None:
        return step
    again = execution.tries_again(failed)
    return replace(step, readiness=again).saying(condition(type_, "Unknown", again.reason, again.message))


def to_be_tried_again(
    view: TrainingRunView, step: Step, ended: execution.Ended[tasks.TrainReport], failure: Failure, type_: ConditionType
) -> Step:
    """Return: what failed may succeed later, and another Job follows in a while.

    The attempts are on record for the whole run, so every execution has a Job name of its own.
    """
    attempts = step.status.attempts + 1
    lost = (step.status.without_report or 0) + 1 if failure.reason == REPORT_MISSING else None
    again = execution.attempt_follows(failure.reason, failure.message, attempts)
    return replace(
        step,
        status=step.status.evolve(attempts=attempts, without_report=lost),
        readiness=again,
        requeue_at=ended.next_at(attempts, view.now),
    ).saying(condition(type_, "Unknown", again.reason, again.message))


def other_environment(report: tasks.TrainReport, resolved: Resolved) -> str:
    return (
        f"the pod's environment is {report.environment_digest}, the run is pinned to "
        f"{resolved.environment_digest}: use the workload image of this release, and make a new run"
    )


def explained(run: TrainingRun, job: JobView, failure: Failure) -> tuple[Word, str]:
    """Return reason and message; the user's own code leaves no report of ours when it fails."""
    if run.spec.trainer.container is not None and failure.reason == BACKOFF_LIMIT_EXCEEDED:
        said = f": {job.message.strip()}" if job.message and job.message.strip() else ": see the pod's log"
        return Reason.TRAINING_FAILED, f"spec.trainer.container exited with code {job.exit_code}{said}"
    return failure.reason, failure.message
