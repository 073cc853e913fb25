"""Seconds in which this process could have worked.

A limit on the clock of the wall cannot tell a process that hangs from one that gets no CPU, and killing the second one
makes it worse: its successor has to start first. So what liveness judges is measured by a clock that stands still while
the process is stopped, throttled by its CPU limit, or waits in the line for a CPU of a busy node.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

_NAP_SECONDS = 0.2
# A nap that took longer was not this process's to use: it counts as one that was punctual.
_LONGEST_NAP_SECONDS = 0.25


class OwnTime:
    """Ticks in a thread of its own, which needs next to no CPU. `now` may be read from any thread.

    `waited` tells for how many seconds a thread of this process has waited for a CPU so far.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, waited: Callable[[int], float] | None = None
    ) -> None:
        self._clock, self._waited_of = clock, waited or waited_for_a_cpu
        # By native id: how long each thread that is judged had waited at the last tick.
        self._threads: dict[int, float] = {}
        self._ticked = clock()
        self._now = self._balance = 0.0
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to tick."""
        threading.Thread(target=self._run, name="own time", daemon=True).start()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def judge(self, thread: int) -> None:
        """From now on, what the thread of this native id waits for a CPU does not count."""
        self._threads = {**self._threads, thread: self._waited_of(thread)}

    def now(self) -> float:
        """Return the seconds so far."""
        return self._now

    def tick(self) -> None:
        """Count what has passed since the last tick."""
        moment = self._clock()
        passed, self._ticked = min(moment - self._ticked, _LONGEST_NAP_SECONDS), moment
        seen = {thread: self._waited_of(thread) for thread in self._threads}
        waited = max((seen[thread] - before for thread, before in self._threads.items()), default=0.0)
        # One that was added meanwhile begins with what it has waited so far.
        self._threads = {**self._threads, **seen}
        # How long a thread has waited is known once it runs again: what was counted too much is made up for.
        self._balance += passed - max(0.0, waited)
        if self._balance > 0:
            self._now += self._balance
            self._balance = 0.0

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
