"""An asyncio event loop on virtual time: nothing waits, and the same seed gives the same run.

Every process of the simulation marks what it schedules by a context variable, so that a process can be stopped (what it
would do next is put aside) or killed (it is dropped: not even a `finally` runs) between any two of its steps.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


# What is done at one virtual timestamp ends: a process that goes round without waiting for anything hangs.
_MOST_AT_ONCE = 200_000


class Livelock(Exception):
    """Something goes round and round, and time does not go on."""


class Process:
    """What of a process concerns the loop: whether its steps are carried out, put aside, or dropped."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive, self.paused = True, False
        self.aside: list[asyncio.Handle] = []


class Loop(asyncio.AbstractEventLoop):
    """Runs callbacks in the order of their virtual timestamps; at equal times, in the order they were asked for.

    What makes runs differ are the timestamps: every delay of the simulated world is drawn from a seeded generator.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._count = 0
        self._ready: deque[asyncio.Handle] = deque()
        self._later: list[tuple[float, int, asyncio.TimerHandle]] = []
        # Of a killed process the tasks are kept to the end: taken away by the garbage collector they would clean up.
        self._tasks: list[asyncio.Task[Any]] = []
        self._closing = False
        self.errors: list[dict[str, Any]] = []

    # --- what asyncio asks of a loop ---

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._later, (when, self._count, handle))
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + max(0.0, delay), callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        return self._kept(asyncio.Task(coro, loop=self, name=name, context=context))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer stays in the heap and is skipped."""

    # --- running ---

    def now(self) -> datetime:
        """Return the virtual timestamp, in UTC."""
        return EPOCH + timedelta(seconds=self._now)

    def run_until(self, timestamp: float, stop: Callable[[], bool] | None = None) -> None:
        """Run everything up to `timestamp` (seconds), or until `stop` says so between two timestamps."""
        events._set_running_loop(self)
        try:
            while self._advance(timestamp):
                before, done = self._now, 0
                while self._ready:
                    self._run_one(self._ready.popleft())
                    done += 1
                    if done > _MOST_AT_ONCE:
                        raise Livelock(f"{done} steps and no time has passed since {before:.3f} s")
                if stop is not None and stop():
                    return
            self._now = max(self._now, timestamp)
        finally:
            events._set_running_loop(None)

    def spawn(self, process: Process, main: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        """Start a process's main coroutine; everything that comes of it carries the process's mark."""
        context = copy_context()
        context.run(PROCESS.set, process)
        return context.run(lambda: self._kept(asyncio.Task(main(), loop=self, name=process.name, context=context)))

    def resume(self, process: Process) -> None:
        """Let a stopped process go on with what was put aside."""
        process.paused = False
        self._ready.extend(process.aside)
        process.aside.clear()

    def close(self) -> None:
        """End every task that is left, of living and dead processes; nobody takes part in the world any more."""
        self._closing = True
        events._set_running_loop(self)
        try:
            for task in self._tasks:
                task.cancel()
            while self._ready:
                self._run_one(self._ready.popleft())
        finally:
            events._set_running_loop(None)
        self._tasks.clear()
        self._later.clear()

    def _kept(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        if len(self._tasks) > 1_000:
            self._tasks = [each for each in self._tasks if not each.done()]
        self._tasks.append(task)
        return task

    def _advance(self, until: float) -> bool:
        """Go to the next timestamp at which something is due; returns whether there is one."""
        if self._ready:
            return True
        while self._later and self._later[0][2].cancelled():
            heapq.heappop(self._later)
        if not self._later or self._later[0][0] > until:
            return False
        self._now = max(self._now, self._later[0][0])
        while self._later and self._later[0][0] <= self._now:
            handle = heapq.heappop(self._later)[2]
            if not handle.cancelled():
                self._ready.append(handle)
        return True

    def _run_one(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        process: Process | None = handle._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is not None and not self._closing:
            if not process.alive:
                return
            if process.paused:
                process.aside.append(handle)
                return
        handle._run()


class SimulatedClock:
    """The loop's time as the engine's and the Lease's clocks; `skew` seconds is how wrong this machine's clock is."""

    def __init__(self, loop: Loop, skew: float = 0.0) -> None:
        self._loop, self._skew = loop, timedelta(seconds=skew)

    def now(self) -> datetime:
        """Return the timestamp, in UTC."""
        return self._loop.now() + self._skew

    def monotonic(self) -> float:
        """Return seconds."""
        return self._loop.time()

    def call_at(self, timestamp: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` at `timestamp`; returns what cancels it."""
        handle = self._loop.call_later((timestamp - self.now()).total_seconds(), callback)
        return handle.cancel

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
