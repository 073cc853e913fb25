"""A second execution of a run in a fresh pod: it proves that the first can be repeated."""

from __future__ import annotations

from dataclasses import replace

from mlops.api import tasks
from mlops.api.reasons import Reason
from mlops.api.training_run import Resolved, TrainingRunStatus, Verification
from mlops.planning import execution
from mlops.planning import readiness as say
from mlops.planning.readiness import condition
from mlops.planning.training.attempts import SECOND, carried_out
from mlops.planning.training.manifests import training_job_name
from mlops.planning.training.step import REPRODUCIBLE, Step, suspended
from mlops.planning.views import TrainingRunView


def verify(view: TrainingRunView, step: Step, resolved: Resolved) -> Step:
    """Train a second time in a fresh pod, and compare."""
    if view.run.spec.suspend:
        return suspended(view, step)
    match carried_out(view, step, SECOND, resolved, "training a second time to compare the digests"):
        case Step() as unfinished:
            return unfinished
        case report:
            return _compared(view, step, report)


def _compared(view: TrainingRunView, step: Step, report: tasks.TrainReport) -> Step:
    equal = report.output_digest == step.status.output_digest
    first = None if equal else _first_difference(view, step.status, report)
    proven = replace(step, status=step.status.evolve(verification=Verification(equal=equal, first_difference=first)))
    message = f"a second execution gave {report.output_digest} as well"
    return proven.saying(condition(REPRODUCIBLE, "True", Reason.REPRODUCIBLE, message)) if equal else proven


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
