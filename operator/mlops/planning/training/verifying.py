"""A second execution of a run in a fresh pod: it proves that the first can be repeated."""

from __future__ import annotations

from dataclasses import replace

from mlops.api import tasks
from mlops.api.reasons import Reason, Word
from mlops.api.training_run import Resolved, TrainingRunStatus, Verification
from mlops.planning import execution
from mlops.planning import readiness as say
from mlops.planning.outcome import Failure
from mlops.planning.readiness import condition
from mlops.planning.training.attempts import (
    attempt,
    explained,
    held_up,
    other_environment,
    passes,
    result,
    to_be_tried_again,
)
from mlops.planning.training.manifests import training_job, training_job_name
from mlops.planning.training.step import REPRODUCIBLE, Step, suspended
from mlops.planning.views import TrainingRunView


def verify(view: TrainingRunView, step: Step, resolved: Resolved) -> Step:
    """Train a second time in a fresh pod, and compare."""
    if view.run.spec.suspend:
        return suspended(view, step)
    found = attempt(view, step, REPRODUCIBLE, verifying=True)
    match found:
        case execution.Waiting() | execution.Running(setback=Failure()):
            return held_up(step, found, REPRODUCIBLE)
        case execution.Ended():
            return _compared(view, step, found, resolved)
    message = "training a second time to compare the digests"
    inputs, attempts = str(step.status.inputs_digest), step.status.attempts
    wanted = training_job(view.settings, view.run, resolved, inputs, attempts, verifying=True)
    return replace(step, readiness=say.in_progress(Reason.VERIFYING, message), create=(wanted,)).saying(
        condition(REPRODUCIBLE, "Unknown", Reason.VERIFYING, message)
    )


def _compared(view: TrainingRunView, step: Step, ended: execution.Ended[tasks.TrainReport], resolved: Resolved) -> Step:
    match result(view.run, ended):
        case Failure() as failure if passes(failure, step.status):
            return to_be_tried_again(view, step, ended, failure, REPRODUCIBLE)
        case Failure() as failure:
            return _unproven(step, *explained(view.run, ended.job, failure))
        case report if report.environment_digest != resolved.environment_digest:
            # The release was changed between the two: other bytes would prove nothing.
            return _unproven(step, Reason.ENVIRONMENT_MISMATCH, other_environment(report, resolved))
        case report:
            equal = report.output_digest == step.status.output_digest
            first = None if equal else _first_difference(view, step.status, report)
            verification = Verification(equal=equal, first_difference=first)
            proven = replace(step, status=step.status.evolve(verification=verification))
            message = f"a second execution gave {report.output_digest} as well"
            return proven.saying(condition(REPRODUCIBLE, "True", Reason.REPRODUCIBLE, message)) if equal else proven


def _unproven(step: Step, reason: Word, message: str) -> Step:
    return replace(step, readiness=say.stalled(reason, message)).saying(
        condition(REPRODUCIBLE, "Unknown", reason, message)
    )


def _first_difference(view: TrainingRunView, status: TrainingRunStatus, second: tasks.TrainReport) -> str | None:
    inputs, jobs = str(status.inputs_digest), {job.name: job for job in view.jobs if job.complete}
    tried = (
        training_job_name(view.run, inputs, earlier, verifying=False) for earlier in range(status.attempts, -1, -1)
    )
    job = next((jobs[name] for name in tried if name in jobs), None)
    first = execution.Ended(job, tasks.TrainReport).outcome if job is not None else None
    if not isinstance(first, tasks.TrainReport):
        return None
    names = sorted(first.files.keys() | second.files.keys())
    return next((name[:256] for name in names if first.files.get(name) != second.files.get(name)), None)


def not_reproducible(step: Step) -> Step:
    first = step.status.verification.first_difference if step.status.verification else None
    where = f"; the first file that differs: {first}" if first else ""
    message = f"a second execution on the same inputs gave another model{where}"
    return replace(step, readiness=say.stalled(Reason.NOT_REPRODUCIBLE, message)).saying(
        condition(REPRODUCIBLE, "False", Reason.NOT_REPRODUCIBLE, message)
    )
