"""The cluster's clock: the real one, or one that a replay drives."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from mlops.engine.clock import RealClock

__all__ = ["RealClock", "VirtualClock"]


class VirtualClock:
    """A clock that stands still until it is advanced; it never goes back."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._order = count()
        self._waiting: list[tuple[datetime, int, Callable[[], None]]] = []
        self._cancelled: set[int] = set()

    def now(self) -> datetime:
        """Return the timestamp that the clock shows, in UTC."""
        return self._now

    def call_at(self, timestamp: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the clock has been advanced to `timestamp`; returns what cancels it."""
        if timestamp <= self._now:
            return asyncio.get_running_loop().call_soon(callback).cancel
        number = next(self._order)
        heapq.heappush(self._waiting, (timestamp, number, callback))
        return lambda: self._cancelled.add(number)

    def advance(self, to: datetime) -> None:
        """Show `to`, and call whoever waits for a timestamp up to then, in the order of their timestamps."""
        self._now = max(self._now, to.astimezone(UTC))
        while self._waiting and self._waiting[0][0] <= self._now:
            _, number, callback = heapq.heappop(self._waiting)
            if number in self._cancelled:
                self._cancelled.discard(number)
            else:
                callback()
