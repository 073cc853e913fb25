"""The keyed queue: which objects have to be looked at, each at most once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from random import Random

from mlops.engine.cluster import Clock
from mlops.planning.plan import Key


def is_worth_a_line(tries: int) -> bool:
    """Return whether a failure in a row is told in the log: the 1st, 2nd, 4th, 8th ... What goes on for hours would
    bury everything else, and what was told is not told less by that."""
    return tries & (tries - 1) == 0


class Queue:
    """Keys in the order of their first mention, merged while they wait.

    A key that is touched while it is worked on comes once more afterwards: what the worker read may be old by then.
    A key whose work failed comes back after an exponential back-off on the event loop's own monotonic clock. A key
    can also ask to come back at a timestamp of the cluster's clock, which a replay may drive.
    """

    def __init__(self, clock: Clock, *, random: Random, first_delay: float = 0.05, longest_delay: float = 60.0) -> None:
        self._clock, self._random = clock, random
        self._first_delay, self._longest_delay = first_delay, longest_delay
        self._waiting: dict[Key, float] = {}
        self._active: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._backing_off: dict[Key, asyncio.TimerHandle] = {}
        self._later: dict[Key, tuple[datetime, Callable[[], None]]] = {}
        self._wake = asyncio.Event()
        # When the work on each active key began, and when a key was last taken.
        self._begun: dict[Key, float] = {}
        self._moved_at = 0.0

    def add(self, key: Key) -> None:
        """Have `key` looked at soon. During a back-off it comes at once: what happened may be the cure."""
        if timer := self._backing_off.pop(key, None):
            timer.cancel()
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().time()
            self._wake.set()

    async def take(self) -> Key:
        """Return the key that has waited longest; whoever takes it calls `done` or `failed` afterwards."""
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        key = next(iter(self._waiting))
        self._active[key] = self._waiting.pop(key)
        self._begun[key] = self._moved_at = asyncio.get_running_loop().time()
        return key

    def done(self, key: Key, requeue_at: datetime | None = None) -> None:
        """Say that the work on `key` succeeded, and when it has to be looked at again even if nothing happens."""
        self._failures.pop(key, None)
        self._requeue_at(key, requeue_at)
        self._finish(key)

    def failed(self, key: Key) -> float:
        """Say that the work on `key` failed; returns the seconds until it is tried again."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        longest = min(self._longest_delay, self._first_delay * 2.0 ** min(failures - 1, 32))
        # Half of the delay is random, so that a thousand keys that failed together do not come back together.
        delay = longest * (0.5 + 0.5 * self._random.random())
        if key not in self._again:
            loop = asyncio.get_running_loop()
            self._backing_off[key] = loop.call_later(delay, self.add, key)
        self._finish(key)
        return delay

    def failures(self, key: Key) -> int:
        """Return how often in a row the work on `key` has failed."""
        return self._failures.get(key, 0)

    @property
    def depth(self) -> int:
        """Return how many keys wait."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Return whether nothing waits, is worked on, backs off or is due by the cluster's clock."""
        if self._waiting or self._active or self._backing_off:
            return False
        now = self._clock.now()
        return all(timestamp > now for timestamp, _ in self._later.values())

    @property
    def next_requeue(self) -> datetime | None:
        """Return the earliest timestamp at which a key comes back by itself, or None."""
        return min((timestamp for timestamp, _ in self._later.values()), default=None)

    @property
    def busy_with(self) -> list[Key]:
        """Return the keys that keep the queue from being idle."""
        return [*self._waiting, *self._active, *self._backing_off]

    def oldest_age(self) -> float:
        """Return for how many seconds the oldest key has waited or been worked on."""
        since = [*self._waiting.values(), *self._active.values()]
        return asyncio.get_running_loop().time() - min(since) if since else 0.0

    def stuck_for(self) -> float:
        """Return for how many seconds nothing has moved that should: a liveness probe's measure.

        That is the age of the work that has taken longest, or the time in which keys waited and none was taken. A
        long queue that is worked off is not stuck.
        """
        since = list(self._begun.values())
        if self._waiting:
            since.append(max(self._moved_at, min(self._waiting.values())))
        return asyncio.get_running_loop().time() - min(since) if since else 0.0

    def close(self) -> None:
        """Cancel every timer."""
        for timer in self._backing_off.values():
            timer.cancel()
        for _, cancel in self._later.values():
            cancel()
        self._backing_off.clear()
        self._later.clear()

    def _finish(self, key: Key) -> None:
        self._active.pop(key, None)
        self._begun.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _requeue_at(self, key: Key, timestamp: datetime | None) -> None:
        if before := self._later.pop(key, None):
            before[1]()
        if timestamp is not None:
            self._later[key] = (timestamp, self._clock.call_at(timestamp, lambda: self._due(key)))

    def _due(self, key: Key) -> None:
        self._later.pop(key, None)
        self.add(key)
