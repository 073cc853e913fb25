"""Work that a Job does, in attempts: whether to start one, wait for it or with it, and what it came to.

Every kind asks here whether a Job is over, how long to back off, and what to say while a Job tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeAlias, TypeVar

from mlops.api.base import Model, parse_time
from mlops.api.conditions import Condition
from mlops.api.reasons import Reported, Word
from mlops.planning.outcome import Failure, outcome, said_by_newest_pod
from mlops.planning.ownership import key_and_uid
from mlops.planning.plan import Key
from mlops.planning.readiness import Readiness
from mlops.planning.views import JobView

R = TypeVar("R", bound=Model)

_LONGEST_WAIT = timedelta(hours=1)
# So many attempts back failed Jobs are sought by their names.
_NAMED = 300
_LAST_START = datetime.max.replace(tzinfo=UTC) - _LONGEST_WAIT


@dataclass(frozen=True)
class Start:
    """The Job is to be made now."""


@dataclass(frozen=True)
class Waiting:
    """The attempt before met a passing failure; the next one begins at `until`."""

    until: datetime


@dataclass(frozen=True)
class Running:
    """The Job is there, and not over."""

    job: JobView

    @property
    def setback(self) -> Failure | None:
        """Return why its newest pod failed, while the Job makes another; None if it works."""
        return said_by_newest_pod(self.job)


@dataclass(frozen=True)
class Ended(Generic[R]):
    """The Job is over; `report` is the type of what it was to report. What it reports is read when it is asked for."""

    job: JobView
    report: type[R]

    @property
    def outcome(self) -> R | Failure:
        """Return the report, or why there is none."""
        return outcome(self.job, self.report)

    @property
    def at(self) -> datetime:
        """Return when it ended, as its status says; a status without a time counts as 1970."""
        status = self.job.manifest.get("status", {})
        end = self.job.condition("Complete") or self.job.condition("Failed") or {}
        text = status.get("completionTime") or end.get("lastTransitionTime")
        return parse_time(text) if text else datetime.fromtimestamp(0, UTC)

    def next_at(self, attempts: int, now: datetime) -> datetime:
        """Return when the attempt after this one begins, the last of `attempts` failures in a row."""
        return max(retry_at(self.at, attempts), now)


Execution: TypeAlias = Start | Waiting | Running | Ended[R]


def execution(
    jobs: Iterable[JobView],
    name_of: Callable[[int], str],
    attempts: int,
    now: datetime,
    report: type[R],
    *,
    begun: bool,
) -> Execution[R]:
    """Return how far the work has come whose Job is named `name_of(attempts)`, after so many failed attempts.

    `begun`: the status says of this attempt that it has begun, so that it waits no more, whatever became of its Job.
    """
    named = {job.name: job for job in jobs}
    job = named.get(name_of(attempts))
    if job is not None:
        return state_of(job, report)
    before = named.get(name_of(attempts - 1)) if attempts and not begun else None
    return start(Ended(before, report).at, attempts, now) if before is not None else Start()


def spent(
    jobs: Iterable[JobView], names_of: Callable[[int], Collection[str]], attempts: int
) -> tuple[tuple[Key, str], ...]:
    """Return the failed Jobs of attempts before the last one, as `Plan.delete` wants them: nobody asks for them any
    more, and an outage of days would leave hundreds.

    The last one stays until the present attempt has begun: it tells how long to wait. `names_of`: the names that the
    Jobs of an attempt have. Only the latest are sought: each reconcile deletes those it finds, and a status may say
    any number of attempts.
    """
    if attempts < 2:
        return ()
    kept = {*names_of(attempts), *names_of(attempts - 1)}
    failed = {job.name: job for job in jobs if job.failed and job.name not in kept}
    if not failed:
        return ()
    names = (name for number in range(max(0, attempts - 1 - _NAMED), attempts - 1) for name in names_of(number))
    return tuple(key_and_uid(failed[name].manifest) for name in names if name in failed)


def start(failed_at: datetime, attempts: int, now: datetime) -> Start | Waiting:
    """Return whether to start after `attempts` (>= 1) failures in a row, the last of which was at `failed_at`."""
    due = retry_at(failed_at, attempts)
    return Waiting(due) if due > now else Start()


def state_of(job: JobView, report: type[R]) -> Running | Ended[R]:
    """Return whether a Job is over, one way or the other."""
    return Ended(job, report) if job.complete or job.failed else Running(job)


def ended(jobs: Iterable[JobView], report: type[R]) -> Iterator[Ended[R]]:
    """Yield the Jobs that are over."""
    return (state for job in jobs if isinstance(state := state_of(job, report), Ended))


def running(jobs: Iterable[JobView]) -> Iterator[JobView]:
    """Yield the Jobs that are not over."""
    return (job for job in jobs if not job.complete and not job.failed)


def retry_at(failed_at: datetime, attempts: int) -> datetime:
    """Return when to try again after `attempts` (>= 1) passing failures in a row: 1, 2, 4 … minutes, at most an hour.

    A Job has tried several times itself by then: what is left is an outage, and outages take their time.
    """
    return min(failed_at, _LAST_START) + min(timedelta(minutes=2 ** min(attempts - 1, 10)), _LONGEST_WAIT)


def meanwhile(found: Execution[R], said: Condition | None) -> Readiness | None:
    """Return where an object stands while its next attempt waits, or its Job makes another pod after one that failed;
    None if there is nothing to wait for. `said`: the condition in which the last attempt told why it failed."""
    match found:
        case Waiting() if said is not None:
            return Readiness("False", Reported(said.reason), said.message, reconciling=True)
        case Running(setback=Failure() as failure):
            return tries_again(failure)
    return None


def tries_again(failure: Failure) -> Readiness:
    """Return where an object stands whose Job makes another pod after this failure."""
    return Readiness("False", failure.reason, f"{failure.message}; the Job tries again", reconciling=True)


def attempt_follows(reason: Word, message: str, attempts: int) -> Readiness:
    """Return where an object stands for which another Job is made, after `attempts` that failed."""
    return Readiness("False", reason, f"{message}; attempt {attempts + 1} follows", reconciling=True)
