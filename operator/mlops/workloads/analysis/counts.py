"""What servers counted of both versions since the candidate was first asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np

from mlops.api.base import earlier
from mlops.api.reasons import Reason
from mlops.statistics.arrays import FloatArray, IntArray
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
# Bounds of the buckets of times, in seconds (k,).
BOUNDS: Final[FloatArray] = np.array([bucket_bound(index) for index in range(BUCKETS)])


@dataclass(frozen=True, eq=False)
class CountedArm:
    """The sum of one version, and its parts in the order of time."""

    total: Tally
    blocks: tuple[Tally, ...] = ()

    @property
    def asked(self) -> int:
        """How many requests it was to answer."""
        return self.total.answered + self.total.failed

    @cached_property
    def times(self) -> IntArray:
        """How many predictions fell into each bucket (k,)."""
        return histogram(self.total)

    @cached_property
    def bursts_of_failures(self) -> float:
        """By how much failures say less than as many that came independently."""
        failed = np.array([block.failed for block in self.blocks], dtype=np.int64)
        answered = np.array([block.answered for block in self.blocks], dtype=np.int64)
        return between_counts(failed, failed + answered)

    def bursts_of_slowness(self, share: float) -> float:
        """By how much predictions say less than as many independent ones of a quantile of their times."""
        total = self.times
        beyond = int(np.cumsum(total).searchsorted(share * total.sum())) + 1
        parts = [histogram(block) for block in self.blocks]
        slow = np.array([one[beyond:].sum() for one in parts], dtype=np.int64)
        return between_counts(slow, np.array([one.sum() for one in parts], dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Counted:
    """What was counted of both versions: all of it, and in blocks of time."""

    stable: CountedArm
    candidate: CountedArm


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
    return Counted(counted_arm(both[0], stable), counted_arm(both[1], candidate))


def counted_arm(flushes: Sequence[Tally], digest: str) -> CountedArm:
    """Return the sum of one version's tallies, which are in the order of time, and at most 30 parts of it."""
    count = min(len(flushes), _MOST_BLOCKS)
    edges = [len(flushes) * number // max(1, count) for number in range(count + 1)]
    blocks = [added(flushes[first:last], digest) for first, last in pairwise(edges)]
    return CountedArm(added(blocks, digest), tuple(blocks))


def histogram(tally: Tally) -> IntArray:
    """Return how many predictions fell into each bucket (k,)."""
    return np.array([tally.seconds.get(index, 0) for index in range(BUCKETS)], dtype=np.int64)


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
