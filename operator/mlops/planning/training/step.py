"""How far a run has come, and what its steps have in common."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from mlops.api.conditions import Condition, ConditionType, find
from mlops.api.reasons import Reason
from mlops.api.training_run import TrainingRun, TrainingRunStatus
from mlops.planning import execution
from mlops.planning import readiness as say
from mlops.planning.ownership import key_and_uid
from mlops.planning.plan import Key, Manifest
from mlops.planning.readiness import Readiness
from mlops.planning.training.manifests import training_job_name
from mlops.planning.views import JobView, TrainingRunView

DATASET_READY = ConditionType.DATASET_READY
SUCCEEDED = ConditionType.SUCCEEDED
GATES_PASSED = ConditionType.GATES_PASSED
REPRODUCIBLE = ConditionType.REPRODUCIBLE

OWN = (DATASET_READY, SUCCEEDED, REPRODUCIBLE, GATES_PASSED)


@dataclass(frozen=True)
class Step:
    """How far a run has come: its status so far, what it says of itself, and where it stands."""

    status: TrainingRunStatus
    readiness: Readiness
    own: dict[str, Condition] = field(default_factory=dict)
    create: tuple[Manifest, ...] = ()
    delete: tuple[tuple[Key, str], ...] = ()
    requeue_at: datetime | None = None

    def saying(self, *said: Condition) -> Step:
        """Return the step with these conditions of its own."""
        return replace(self, own=self.own | {each.type: each for each in said})


def took_no_part(run: TrainingRun) -> bool:
    """Return whether the run was not trained, since the model of its inputs was there: it has no metrics."""
    succeeded = find(run.status.conditions, SUCCEEDED)
    return succeeded is not None and succeeded.reason == Reason.NOTHING_NEW


def own_at_work(view: TrainingRunView, status: TrainingRunStatus) -> list[JobView]:
    """Return the Jobs of the run's present attempt that are not over."""
    inputs, attempt = status.inputs_digest, status.attempts
    if inputs is None:
        return []
    names = {training_job_name(view.run, inputs, attempt, verifying=verifying) for verifying in (False, True)}
    return [job for job in execution.running(view.jobs) if job.name in names]


def suspended(view: TrainingRunView, step: Step) -> Step:
    """Return: stop what has started. What it had done so far is lost, and done again when it is resumed."""
    started = tuple(key_and_uid(job.manifest) for job in own_at_work(view, step.status))
    return replace(step, readiness=say.resting(Reason.SUSPENDED, "spec.suspend is true"), delete=started)


def compares(run: TrainingRun) -> bool:
    return run.spec.register_ is not None and any(gate.compare_to == "champion" for gate in run.spec.gates)
