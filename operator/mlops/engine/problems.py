"""What the engine itself finds wrong, laid over the status that a planner wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from mlops.api import labels
from mlops.api.base import format_time
from mlops.api.conditions import READY, RECONCILING, STALLED
from mlops.api.reasons import Reason
from mlops.engine.cluster import Conflict, key_of, labels_of, owners_of
from mlops.engine.routes import OWNERS
from mlops.planning.plan import Manifest

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


def stalled(status: Manifest, present: Manifest, reason: str, message: str, now: datetime) -> Manifest:
    """Return `status` with Ready=False and Stalled=True.

    Never Ready=True beside Stalled=True: who waits for Ready and who reads Stalled must not come to two verdicts.
    That an earlier version still serves is said by the other conditions, which stay.
    """
    return _laid_over(status, present, {READY: "False", STALLED: "True"}, reason, message, now)


def waiting(status: Manifest, present: Manifest, reason: str, message: str, now: datetime) -> Manifest:
    """Return `status` with Ready=False, neither Stalled nor Reconciling: it goes on when somebody makes room."""
    return _laid_over(status, present, {READY: "False"}, reason, message, now)


def _laid_over(
    status: Manifest, present: Manifest, wanted: Mapping[str, str], reason: str, message: str, now: datetime
) -> Manifest:
    generation = present["metadata"].get("generation", 1)
    before = (present.get("status") or {}).get("conditions", ())
    ours = [
        {
            "type": str(type_),
            "status": value,
            "reason": str(reason),
            "message": message[:2048],
            "lastTransitionTime": _since(before, type_, value) or format_time(now),
            "observedGeneration": generation,
        }
        for type_, value in wanted.items()
    ]
    others = [c for c in status.get("conditions", ()) if c["type"] not in (READY, STALLED, RECONCILING)]
    return {**status, "observedGeneration": generation, "conditions": [*ours, *others]}


def _since(before: Sequence[Manifest], type_: str, value: str) -> str | None:
    return next((c.get("lastTransitionTime") for c in before if c["type"] == type_ and c["status"] == value), None)
