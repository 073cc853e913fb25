"""Ready, Reconciling and Stalled of an object, decided in one place and written as kstatus reads them.

Also the one place that cuts a condition's message, keeps its transition time, and lays what the engine finds wrong
over what a planner said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from mlops.api.base import format_time
from mlops.api.conditions import (
    READY,
    RECONCILING,
    STALLED,
    Condition,
    ConditionStatus,
    ConditionType,
    find,
    is_true,
)
from mlops.api.reasons import Reason, Reported, Trait, Word, having

_REASON = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")
_MAX_MESSAGE = 2048
_OF_READINESS = (READY, RECONCILING, STALLED)
LAID_OVER = having(Trait.LAID_OVER)


@dataclass(frozen=True)
class Readiness:
    """Where an object stands. Reconciling and Stalled become conditions only when they hold."""

    ready: ConditionStatus
    reason: Word
    message: str
    reconciling: bool = False
    stalled: bool = False


def done(reason: Word, message: str) -> Readiness:
    """Return: it is as wanted."""
    return Readiness("True", reason, message)


def in_progress(reason: Word, message: str) -> Readiness:
    """Return: it is being worked on, and the outcome is open."""
    return Readiness("Unknown", reason, message, reconciling=True)


def resting(reason: Word, message: str) -> Readiness:
    """Return: nothing is wrong, nothing is being done because the user says so, and what was asked for is not there.

    As with a suspended Job. What only repeats (a monitor, a template) is `done` when it is suspended, like a CronJob.
    """
    return Readiness("Unknown", reason, message)


def waiting(reason: Word, message: str) -> Readiness:
    """Return: something is missing; it heals by itself when that appears."""
    return Readiness("False", reason, message)


def stalled(reason: Word, message: str) -> Readiness:
    """Return: it failed, and only a change by the user helps."""
    return Readiness("False", reason, message, stalled=True)


def condition(type_: ConditionType, status: ConditionStatus, reason: Word, message: str = "") -> Condition:
    """Return a condition; texts that come from a pod may be too long and are cut, and steer no terminal."""
    return Condition(type=str(type_), status=status, reason=str(reason), message=_harmless(message)[:_MAX_MESSAGE])


def _harmless(text: str) -> str:
    """Return the text with control and formatting characters spelled out: kubectl prints messages as they are."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def is_reason(text: str) -> bool:
    """Return whether `text` may stand as a condition's reason: pods of users' images write what they like."""
    return _REASON.fullmatch(text) is not None


def is_over(conditions: Iterable[Condition]) -> bool:
    """Return whether nothing more comes of what has an end, a run: it is Ready, or it failed for good."""
    conditions = tuple(conditions)
    failed = find(conditions, STALLED)
    return is_true(conditions, READY) or (
        failed is not None and failed.status == "True" and failed.reason not in LAID_OVER
    )


def conditions(
    old: Iterable[Condition], readiness: Readiness, own: Iterable[Condition | None], *, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """Return the whole wanted set: the readiness's conditions, then the kind's `own` (None: has nothing to say yet).

    The very first write of an object always says Ready=Unknown, so that nobody who waits for Ready=False or True
    takes a first glance for a judgement; the plan after it says what was found.
    """
    old = tuple(old)
    if not old and readiness.ready != "Unknown":
        readiness = in_progress(Reason.PENDING, "seen for the first time")
    said = [*_expressed(readiness), *(each for each in own if each is not None)]
    return _stamped(old, said, now=now, generation=generation)


def laid_over(
    planned: Iterable[Condition], old: Iterable[Condition], readiness: Readiness, *, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """Return the `planned` conditions with another readiness in the place of theirs; `old` are those on record."""
    others = (each for each in planned if each.type not in _OF_READINESS)
    return (*_stamped(old, _expressed(readiness), now=now, generation=generation), *others)


def laid_over_manifest(manifest: Mapping[str, Any], readiness: Readiness, *, now: datetime) -> dict[str, Any]:
    """Return the status of an object that does not parse, with this readiness: what else it holds stays as it is."""
    status, generation = manifest.get("status") or {}, manifest["metadata"].get("generation", 1)
    found = laid_over((), on_record(manifest), readiness, now=now, generation=generation)
    others = [each for each in status.get("conditions") or () if each.get("type") not in _OF_READINESS]
    return {**status, "observedGeneration": generation, "conditions": [*(each.dump() for each in found), *others]}


def on_record(manifest: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Return the conditions of an object as it is known, also of one that does not parse."""
    found = []
    for each in (manifest.get("status") or {}).get("conditions") or ():
        try:
            found.append(Condition.model_validate(each))
        except ValidationError:
            # Nobody of ours wrote it: what it says of the past counts for nothing.
            continue
    return tuple(found)


def _expressed(readiness: Readiness) -> list[Condition]:
    """Return the conditions that say a readiness."""
    holds = {READY: True, RECONCILING: readiness.reconciling, STALLED: readiness.stalled}
    return [
        condition(type_, readiness.ready if type_ == READY else "True", readiness.reason, readiness.message)
        for type_ in _OF_READINESS
        if holds[type_]
    ]


def _stamped(
    old: Iterable[Condition], new: Iterable[Condition], *, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """Return `new` in order, each stamped; a condition whose status did not flip keeps its lastTransitionTime.

    A condition that `new` does not name is gone: the planner says the whole set each time.
    """
    before = {each.type: each for each in old}

    def since(each: Condition) -> str:
        was = before.get(each.type)
        return was.last_transition_time if was and was.status == each.status else format_time(now)

    return tuple(each.evolve(last_transition_time=since(each), observed_generation=generation) for each in new)


def readiness_of(conditions: Iterable[Condition]) -> Readiness | None:
    """Return the readiness that these conditions express, to carry a final one on unchanged."""
    conditions = tuple(conditions)
    ready = find(conditions, READY)
    if ready is None:
        return None
    return Readiness(
        ready.status,
        Reported(ready.reason),
        ready.message,
        reconciling=find(conditions, RECONCILING) is not None,
        stalled=find(conditions, STALLED) is not None,
    )
