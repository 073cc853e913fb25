"""How long the event loop is kept from everything else: the Lease has to be renewed beside all the work."""

from __future__ import annotations

import asyncio
import time

_EVERY_SECONDS = 0.1


class Lag:
    """The longest stretch so far in which nothing else had its turn, in seconds."""

    def __init__(self) -> None:
        # By the clock on the wall, and of that what this thread itself was running: the rest is the machine's doing.
        self.wall = self.cpu = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began, used = loop.time(), time.thread_time()
            await asyncio.sleep(_EVERY_SECONDS)
            late = loop.time() - began - _EVERY_SECONDS
            self.wall = max(self.wall, late)
            self.cpu = max(self.cpu, min(late, time.thread_time() - used))
