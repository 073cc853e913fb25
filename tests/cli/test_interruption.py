"""A run that was stopped ends in peace, whatever signals follow the first."""

from __future__ import annotations

import signal
import subprocess
import sys

# Each step of asyncio's own ending is followed by another Ctrl-C and another SIGTERM.
_STOPPED = """
import asyncio, signal
from asyncio import base_events, selector_events
from mlops.cli.interruption import Output, interruptible

def again(step):
    def then_signals(*given, **named):
        result = step(*given, **named)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
        return result
    return then_signals

async def work():
    signal.raise_signal(signal.{first})
    await asyncio.sleep(60)

for owner in (selector_events.BaseSelectorEventLoop, base_events.BaseEventLoop):
    owner.close = again(owner.close)
raise SystemExit(interruptible(work(), Output()))
"""


def test_signals_while_the_loop_is_closed_say_nothing_and_change_nothing() -> None:
    """Neither a half sentence about a closed descriptor nor another code: 130 and 143 stay what they are."""
    for first, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        stopped = subprocess.run(
            [sys.executable, "-c", _STOPPED.format(first=first.name)], capture_output=True, text=True, timeout=30
        )
        assert stopped.stderr == ""
        assert stopped.stdout == "stopping …\nstopped; the same command goes on from here\n"
        assert stopped.returncode == code
