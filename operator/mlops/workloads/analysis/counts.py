"""What servers counted of both versions since the candidate was first asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import numpy as np

from mlops.api.base import earlier
from mlops.api.reasons import Reason
from mlops.statistics.arrays import FloatArray
from mlops.statistics.balance import balance, slots
from mlops.statistics.dependence import between_counts
from mlops.store.artifacts import Store
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import partition
from mlops.workloads.floor.records.tally import BUCKETS, Tally, added, bucket_bound

_AT_ONCE: Final = 64
# Canaries that last longer have all of their stage's files listed.
_MOST_DAYS: Final = 366
# What comes in bursts differs between so many blocks of time.
_MOST_BLOCKS: Final = 30
_SLOW: Final = 0.9
# Bounds of the buckets of times, in seconds (k,).
BOUNDS: Final[FloatArray] = np.array([bucket_bound(index) for index in range(BUCKETS)])


@dataclass(frozen=True, eq=False)
class CountedArm:
    """What was counted of one version: all of it as it is, and in blocks of time (b,) as far as it is compared.

    `seconds` (b, k) are predictions by bucket. Numbers of blocks need not be whole: see `statistics.balance`.
    """

    total: Tally
    failed: FloatArray
    asked: FloatArray
    seconds: FloatArray

    @cached_property
    def failures(self) -> tuple[float, float]:
        """Failures and requests, as many as say the same if failures came independently of each other."""
        scale = 1.0 / between_counts(self.failed, self.asked)
        return float(self.failed.sum()) * scale, float(self.asked.sum()) * scale

    @cached_property
    def times(self) -> FloatArray:
        """How many predictions fell into each bucket (k,)."""
        return np.asarray(self.seconds.sum(axis=0))

    def bursts_of_slowness(self, share: float) -> float:
        """By how much predictions say less than as many independent ones of a quantile of their times.

        Of the slowest tenth too, of which there are more: a burst may be all that is slow enough for the quantile.
        """
        up_to, asked = np.cumsum(self.times), self.seconds.sum(axis=1)
        slow = [int(up_to.searchsorted(each * up_to[-1])) for each in (share, _SLOW)]
        return max(between_counts(self.seconds[:, each:].sum(axis=1), asked) for each in slow)


@dataclass(frozen=True, eq=False)
class Counted:
    """What was counted of both versions."""

    stable: CountedArm
    candidate: CountedArm

    @property
    def asked(self) -> dict[str, float]:
        """How often each was asked, as far as it is compared, by what it is called in sentences."""
        arms = {"candidate": self.candidate, "stable version": self.stable}
        return {name: float(arm.asked.sum()) for name, arm in arms.items()}


@dataclass(frozen=True)
class _Flush:
    since: datetime
    tallies: tuple[Tally, ...]


def read_counts(store: Store, prefix: str, since: datetime, *, stable: str, candidate: str) -> Counted:
    """Add up what lies below `prefix` of two versions, by their digests.

    The stable version counts from the first file on in which the candidate is, as long as both could be asked. Raises
    BadInput (DataUnusable) for a file that no server writes.
    """
    flushes = [flush for flush in _flushes(store, prefix, since) if flush.since >= since]
    begins = min((one.since for one in flushes if _asked(one, candidate)), default=None)
    together = sorted((one for one in flushes if begins and one.since >= begins), key=lambda one: one.since)
    both = [[added(flush.tallies, digest) for flush in together] for digest in (stable, candidate)]
    return counted(both[0], both[1])


def counted(stable: Sequence[Tally], candidate: Sequence[Tally]) -> Counted:
    """Put together what was counted of both in the same pieces of time (n,), which are in order.

    Where the shares of requests changed meanwhile, the stable version's count as if they had come when the candidate's
    did.
    """
    asked = [np.array([one.answered + one.failed for one in arm], dtype=np.int64) for arm in (stable, candidate)]
    slot = slots(asked[1])
    count = int(slot[-1]) + 1 if slot.shape[0] else 0
    per_slot = [np.bincount(slot, weights=each, minlength=count).astype(np.int64) for each in asked]
    counts = balance(per_slot[0], per_slot[1])
    return Counted(_arm_of(stable, counts.first[slot]), _arm_of(candidate, counts.second[slot].astype(np.float64)))


def _arm_of(tallies: Sequence[Tally], scale: FloatArray) -> CountedArm:
    """Return one version's tallies (n,), each of which counts so much, in at most 30 blocks."""
    count = min(len(tallies), _MOST_BLOCKS)
    block = np.arange(len(tallies)) * count // max(1, len(tallies))
    failed, asked, seconds = np.zeros(count), np.zeros(count), np.zeros((count, BUCKETS))
    for number, weight, tally in zip(block, scale, tallies, strict=True):
        failed[number] += weight * tally.failed
        asked[number] += weight * (tally.answered + tally.failed)
        for bucket, times in tally.seconds.items():
            seconds[number, bucket] += weight * times
    return CountedArm(added(tallies, tallies[0].digest if tallies else ""), failed, asked, seconds)


def _asked(flush: _Flush, digest: str) -> bool:
    return any(one.digest == digest and one.answered + one.failed for one in flush.tallies)


def _flushes(store: Store, prefix: str, since: datetime) -> Iterator[_Flush]:
    keys = [key for key in _keys(store, prefix, since) if key.endswith(".json")]
    with ThreadPoolExecutor(max_workers=8) as pool:
        for first in range(0, len(keys), _AT_ONCE):
            some = keys[first : first + _AT_ONCE]
            for key, content in zip(some, pool.map(store.get_object, some), strict=True):
                yield _parsed(key, content)


def _keys(store: Store, prefix: str, since: datetime) -> Iterator[str]:
    # A day before and after: the clocks are not one.
    day, last = earlier(since, timedelta(days=1)), datetime.now(UTC) + timedelta(days=1)
    if last - day > timedelta(days=_MOST_DAYS):
        yield from (found.key for found in store.list(prefix))
        return
    while day.date() <= last.date():
        yield from (found.key for found in store.list(prefix + partition(day, monthly=False)))
        day += timedelta(days=1)


def _parsed(key: str, content: bytes) -> _Flush:
    try:
        document = json.loads(content)
        since = datetime.fromisoformat(document["since"])
        tallies = tuple(_checked(one) for one in document["tallies"])
        # A time without a zone is of no clock.
        return _Flush(since.astimezone(UTC) if since.tzinfo else _refuse("no zone"), tallies)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise BadInput(
            Reason.DATA_UNUSABLE,
            f"{key}: is no tally that a model server writes ({type(error).__name__}): take the file away",
        ) from error


def _checked(document: Any) -> Tally:
    tally = Tally.load(document)
    numbers = [tally.answered, tally.failed, *tally.seconds.values(), *tally.reasons.values()]
    if min(numbers) < 0 or max(numbers) >= 1 << 53 or not all(0 <= bucket < BUCKETS for bucket in tally.seconds):
        _refuse("numbers")
    return tally


def _refuse(what: str) -> Any:
    raise ValueError(what)
