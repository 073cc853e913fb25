"""Predictions that take longer than a turn of the event loop: one thread, first come first served, no long waits."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mlops.workloads.serve.errors import RequestError, unavailable

Found = TypeVar("Found")


class Line:
    """At most `most` predictions wait, and none of them longer than `seconds`. For the event loop's thread."""

    def __init__(self, most: int, seconds: float) -> None:
        self.seconds = seconds
        self._most = most
        self._thread = ThreadPoolExecutor(1, "predict")
        # Since when each piece of work waits that has not begun; the thread takes from the left.
        self._since: deque[float] = deque()
        self._pieces = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits or runs."""
        return self._pieces == 0

    def check(self, waiting: int = 0) -> None:
        """Raise RequestError if no more may wait; `waiting` are those that wait within a piece of work."""
        if self._pieces + waiting >= self._most:
            raise unavailable(f"{self._most} predictions are waiting, the limit; send fewer at once")
        since = self._since
        try:
            oldest = since[0]
        except IndexError:
            return
        # The thread has come so far behind that whoever comes now would wait too long.
        if time.monotonic() - oldest > self.seconds / 2:
            raise late(self.seconds)

    async def run(self, work: Callable[[], Found]) -> Found:
        """Return what the work gives when its turn has come. Raises RequestError if that was too late."""
        self._pieces += 1
        self._since.append(time.monotonic())
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._begin, work)
        finally:
            self._pieces -= 1

    def _begin(self, work: Callable[[], Found]) -> Found:
        if time.monotonic() - self._since.popleft() > self.seconds:
            raise late(self.seconds)
        return work()


def late(seconds: float) -> RequestError:
    """Return what is said to whoever would have waited, or has waited, too long."""
    return unavailable(f"predictions wait longer than {seconds:g} s here, the limit; send fewer at once")


def left() -> RequestError:
    """Return what takes the place of an answer that nobody waits for any more."""
    return unavailable("the client has gone")
