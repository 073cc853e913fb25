"""The machine's own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

# A sleeping laptop's monotonic clock stands still: a long wait is cut into pieces and compared with the real time.
_LONGEST_SLEEP = 30.0


class RealClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the current time, in UTC."""
        return datetime.now(UTC)

    def call_at(self, timestamp: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` at `timestamp`; returns what cancels it."""
        loop = asyncio.get_running_loop()
        handle: asyncio.Handle

        def check() -> None:
            nonlocal handle
            left = (timestamp - self.now()).total_seconds()
            if left <= 0:
                callback()
            else:
                handle = loop.call_later(min(left, _LONGEST_SLEEP), check)

        handle = loop.call_soon(check)
        return lambda: handle.cancel()
