"""The two executions of a run, each in attempts: what they came to, and what is said until then."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlops.api import tasks
from mlops.api.conditions import READY, ConditionStatus, ConditionType, find
from mlops.api.reasons import Reason, Reported, Word
from mlops.api.training_run import Resolved, TrainingRun, TrainingRunStatus
from mlops.planning import execution
from mlops.planning import readiness as say
from mlops.planning.not_started import NOT_STARTED
from mlops.planning.outcome import BACKOFF_LIMIT_EXCEEDED, DEADLINE_EXCEEDED, REPORT_MISSING, Failure
from mlops.planning.plan import Key
from mlops.planning.readiness import condition
from mlops.planning.training.manifests import training_job, training_job_name
from mlops.planning.training.removed import REFUSED, removed_meanwhile
from mlops.planning.training.step import REPRODUCIBLE, SUCCEEDED, Step
from mlops.planning.views import JobView, TrainingRunView

_MOST_WITHOUT_REPORT = 3


@dataclass(frozen=True)
class Part:
    """One of the two executions of a run. `failed`: what its condition is when it failed for good."""

    type: ConditionType
    verifying: bool
    at_work: Reason
    failed: ConditionStatus


FIRST = Part(SUCCEEDED, verifying=False, at_work=Reason.RUNNING, failed="False")
# One that failed has proved nothing: neither that the model can be made again, nor that it cannot.
SECOND = Part(REPRODUCIBLE, verifying=True, at_work=Reason.VERIFYING, failed="Unknown")


def carried_out(
    view: TrainingRunView, step: Step, part: Part, resolved: Resolved, message: str
) -> Step | tasks.TrainReport:
    """Return what an execution came to, or the step that says how far it is: started, waiting, at work or failed.

    `message` says what it does while it is at work.
    """
    found = _attempt(view, step, part)
    if isinstance(found, execution.Ended):
        return _come_to(view, step, part, found, resolved)
    if waits := execution.meanwhile(found, step.own.get(part.type)):
        if isinstance(found, execution.Waiting):
            # The condition goes on saying why the last attempt failed.
            return replace(step, readiness=waits, requeue_at=found.until)
        return replace(step, readiness=waits).saying(condition(part.type, "Unknown", waits.reason, waits.message))
    if isinstance(found, execution.Start) and (gone := removed_meanwhile(view, resolved)):
        return _failed(step, part, REFUSED, gone)
    inputs, attempts = str(step.status.inputs_digest), step.status.attempts
    wanted = training_job(view.settings, view.run, resolved, inputs, attempts, verifying=part.verifying)
    return replace(step, readiness=say.in_progress(part.at_work, message), create=(wanted,)).saying(
        condition(part.type, "Unknown", part.at_work, message)
    )


def _attempt(view: TrainingRunView, step: Step, part: Part) -> execution.Execution[tasks.TrainReport]:
    run, inputs, said = view.run, str(step.status.inputs_digest), step.own.get(part.type)
    return execution.execution(
        view.jobs,
        lambda number: training_job_name(run, inputs, number, verifying=part.verifying),
        step.status.attempts,
        view.now,
        tasks.TrainReport,
        begun=said is None or said.reason == part.at_work,
    )


def _come_to(
    view: TrainingRunView, step: Step, part: Part, ended: execution.Ended[tasks.TrainReport], resolved: Resolved
) -> Step | tasks.TrainReport:
    match _result(view.run, ended):
        case Failure() as failure if _passes(failure, step.status):
            return _to_be_tried_again(view, step, ended, failure, part)
        case Failure() as failure:
            return _failed(step, part, *_explained(view.run, ended.job, failure))
        case report if report.environment_digest != resolved.environment_digest:
            # The release was changed since the run was pinned: of a second execution, other bytes would prove nothing.
            return _failed(step, part, Reason.ENVIRONMENT_MISMATCH, _other_environment(report, resolved))
        case report:
            return report


def _failed(step: Step, part: Part, reason: Word, message: str) -> Step:
    return replace(step, readiness=say.stalled(reason, message)).saying(
        condition(part.type, part.failed, reason, message)
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


def _result(run: TrainingRun, ended: execution.Ended[tasks.TrainReport]) -> tasks.TrainReport | Failure:
    """Return what came of a finished Job. Its deadline counts from when it was made: one that has passed while the
    pod could not start says nothing of how long training takes, but what the pod waited for."""
    found = ended.outcome
    ready = find(run.status.conditions, READY)
    if isinstance(found, Failure) and found.reason == DEADLINE_EXCEEDED and ready and ready.reason in NOT_STARTED:
        return Failure(Reported(ready.reason), ready.message, final=False)
    return found


def _passes(failure: Failure, status: TrainingRunStatus) -> bool:
    """Return whether the same work may succeed later: the store was away, or the pod was lost with its report. An
    image that never reports is given up."""
    lost = failure.reason == REPORT_MISSING and (status.without_report or 0) + 1 < _MOST_WITHOUT_REPORT
    return failure.outage or lost


def _to_be_tried_again(
    view: TrainingRunView, step: Step, ended: execution.Ended[tasks.TrainReport], failure: Failure, part: Part
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
    ).saying(condition(part.type, "Unknown", again.reason, again.message))


def _other_environment(report: tasks.TrainReport, resolved: Resolved) -> str:
    return (
        f"the pod's environment is {report.environment_digest}, the run is pinned to "
        f"{resolved.environment_digest}: use the workload image of this release, and make a new run"
    )


def _explained(run: TrainingRun, job: JobView, failure: Failure) -> tuple[Word, str]:
    """Return reason and message; the user's own code leaves no report of ours when it fails."""
    if run.spec.trainer.container is not None and failure.reason == BACKOFF_LIMIT_EXCEEDED:
        said = f": {job.message.strip()}" if job.message and job.message.strip() else ": see the pod's log"
        return Reason.TRAINING_FAILED, f"spec.trainer.container exited with code {job.exit_code}{said}"
    return failure.reason, failure.message
