"""What ends a run before its time: Ctrl-C, SIGTERM, and a reader of the output who has gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from rich.console import Console

_STOPPING = (signal.SIGINT, signal.SIGTERM)


class Output(Console):
    """The console. Where rich would exit in the middle of whatever runs, `closed` is called, once."""

    closed: Callable[[], object] | None = None

    def on_broken_pipe(self) -> None:
        """Say no more, as after `| head`."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if self.closed is not None:
            self.closed()


class _Interruption:
    """The first signal cancels; those that follow change nothing, so that all that was started is ended."""

    def __init__(self, console: Output) -> None:
        self._console = console
        self.number: int | None = None

    async def guard(self, work: Coroutine[Any, Any, int]) -> int:
        """Await `work`, and cancel it at a signal."""
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self._interrupt, number, task)
        # From whatever thread or callback the line came that nobody reads.
        self._console.closed = lambda: loop.call_soon_threadsafe(self._interrupt, signal.SIGPIPE, task)
        try:
            result: int = await task
            return result
        finally:
            if self.number is not None:
                _ignore(loop)

    def _interrupt(self, number: int, task: asyncio.Future[int]) -> None:
        if self.number is None:
            self.number = number
            self._console.print("stopping …", highlight=False)
            task.cancel()


def _ignore(loop: asyncio.AbstractEventLoop) -> None:
    """From now on a signal changes nothing: neither while the loop is closed nor after it.

    A loop takes its handlers back only after it has closed what they write to; and a signal between the two handlers
    would end the process.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    for number in _STOPPING:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


def interruptible(work: Coroutine[Any, Any, int], console: Output) -> int:
    """Run `work` and return its exit code; 128 + n if signal n ended it, as a shell says it."""
    interruption = _Interruption(console)
    try:
        return asyncio.run(interruption.guard(work))
    except asyncio.CancelledError:
        console.print("stopped; the same command goes on from here", highlight=False)
        return 128 + (interruption.number or signal.SIGINT)
