"""What the engine itself finds wrong, laid over the status that a planner wants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops.api import labels
from mlops.api.reasons import Reason, Word
from mlops.engine.cluster import Conflict, key_of, labels_of, owners_of
from mlops.engine.links import OWNERS
from mlops.planning import readiness
from mlops.planning.plan import Manifest, Status
from mlops.planning.readiness import Readiness

NAME_TAKEN = Reason.NAME_TAKEN
INVALID_SPEC = Reason.INVALID_SPEC
CHILD_REFUSED = Reason.CHILD_REFUSED


def check_name(present: Manifest, wanted: Manifest, *, converged: bool) -> str | None:
    """Return a message if the object of the wanted name is a stranger's, None if it is ours.

    Raises Conflict if it belongs to a deleted namesake of the owner: garbage collection takes it, then ours follows.
    """
    if labels_of(present).get(labels.MANAGED_BY) != labels.MANAGER:
        return _taken(present, "it was not made by this operator")
    wanted_owners = {reference["uid"] for reference in owners_of(wanted)}
    if wanted_owners & {reference["uid"] for reference in owners_of(present)}:
        return None
    if any(labels_of(present).get(label) != labels_of(wanted).get(label) for label in OWNERS):
        return _taken(present, "it belongs to another object")
    if converged or not wanted_owners:
        return None
    raise Conflict(key_of(present), "left over from a deleted object of the same name")


def _taken(present: Manifest, why: str) -> str:
    kind, namespace, name = key_of(present)
    return f'the name of {kind} "{name}" in namespace "{namespace}" is taken: {why}; delete or rename one of the two'


@dataclass(frozen=True)
class Problem:
    """Why a wanted child cannot be written. One that may pass by itself is tried again when it is `due`."""

    child: Manifest
    reason: Word
    message: str
    passing: bool = False
    due: bool = False

    @property
    def readiness(self) -> Readiness:
        """Return where an object stands whose child cannot be written.

        Never Ready=True beside Stalled=True: who waits for Ready and who reads Stalled must not come to two verdicts.
        That an earlier version still serves is said by the other conditions, which stay. What may pass is neither
        Stalled nor Reconciling: it goes on when somebody makes room.
        """
        return (readiness.waiting if self.passing else readiness.stalled)(self.reason, self.message)


def with_problem(status: Status, present: Manifest, problem: Problem, now: datetime) -> Status:
    """Return the status that is planned for the object, with what keeps its child from being written."""
    generation = present["metadata"].get("generation", 1)
    conditions = readiness.laid_over(
        status.conditions, readiness.on_record(present), problem.readiness, now=now, generation=generation
    )
    return status.evolve(observed_generation=generation, conditions=conditions)


def refused(manifest: Manifest, message: str, now: datetime) -> Manifest:
    """Return the status of an object that its kind does not allow."""
    return readiness.laid_over_manifest(manifest, readiness.stalled(INVALID_SPEC, message), now=now)
