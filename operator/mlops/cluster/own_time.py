"""Seconds in which this process could have worked.

A limit on the clock of the wall cannot tell a process that hangs from one that gets no CPU, and killing the second one
makes it worse: its successor has to start first. So what liveness judges is measured by a clock that stands still while
the process is stopped, throttled by its CPU limit, or waits in the line for a CPU of a busy node.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

_NAP_SECONDS = 0.2
# A nap that took longer was not this process's to use: it counts as one that was punctual.
_LONGEST_NAP_SECONDS = 0.25


@dataclass(frozen=True)
class _Judged:
    """What is known of a thread: how long it had waited in all when that last changed, and what both clocks showed."""

    waited: float
    wall: float
    own: float


class OwnTime:
    """Ticks in a thread of its own, which needs next to no CPU. `now` may be read from any thread.

    `waited` tells for how many seconds a thread of this process has waited for a CPU so far.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, waited: Callable[[int], float] | None = None
    ) -> None:
        self._clock, self._waited_of = clock, waited or waited_for_a_cpu
        # By native id. A thread may be added while a tick is under way.
        self._threads: dict[int, _Judged] = {}
        self._lock = threading.Lock()
        self._ticked = clock()
        # `_own` goes back when it turns out that too much was counted; `_now` waits until it has come there again.
        self._now = self._own = 0.0
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to tick."""
        threading.Thread(target=self._run, name="own time", daemon=True).start()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def judge(self, thread: int) -> None:
        """From now on, what the thread of this native id waits for a CPU does not count."""
        waited = self._waited_of(thread)
        with self._lock:
            self._threads[thread] = _Judged(waited, self._ticked, self._own)

    def now(self) -> float:
        """Return the seconds so far."""
        return self._now

    def tick(self) -> None:
        """Count what has passed since the last tick."""
        with self._lock:
            seen = {thread: self._waited_of(thread) for thread in self._threads}
            wall = self._clock()
            self._own += min(wall - self._ticked, _LONGEST_NAP_SECONDS)
            self._ticked = wall
            self._take_off(seen, wall)
            self._now = max(self._now, self._own)

    def _take_off(self, seen: Mapping[int, float], wall: float) -> None:
        """Take off what threads turn out to have waited.

        That is known of a thread once it runs again, and lies between then and the news before. A part of that time
        may not have been counted at all, and is not taken off once more.
        """
        news = {thread for thread, before in self._threads.items() if seen[thread] > before.waited}
        for thread in news:
            before = self._threads[thread]
            could_work = max(0.0, wall - before.wall - (seen[thread] - before.waited))
            self._own = min(self._own, before.own + could_work)
        for thread, before in self._threads.items():
            self._threads[thread] = (
                _Judged(seen[thread], wall, self._own)
                if thread in news
                else replace(before, own=min(before.own, self._own))
            )

    def _run(self) -> None:
        while not self._stopping.wait(_NAP_SECONDS):
            self.tick()


def waited_for_a_cpu(thread: int) -> float:
    """Return for how many seconds a thread of this process has been ready to run and did not; 0.0 if the kernel does
    not tell."""
    try:
        # The CPU time, the time in the run queue, both in nanoseconds, and the number of turns.
        return int(Path(f"/proc/self/task/{thread}/schedstat").read_text("ascii").split()[1]) / 1e9
    except (OSError, ValueError, LookupError):
        return 0.0
