"""The loop of the watches ends in time, whatever runs on it: no watch begins again before."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from mlops.cluster import own_loop


async def _stubborn(swallows: int) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            swallows -= 1
            if swallows < 0:
                raise


@pytest.mark.parametrize("swallows", [0, 1, 2, 1000])
def test_a_task_that_takes_no_notice_of_its_end_keeps_nobody(swallows: int) -> None:
    """asyncio.run would wait for it for ever."""
    left: list[asyncio.Task[None]] = []

    async def main() -> str:
        left.append(asyncio.create_task(_stubborn(swallows), name="stubborn"))
        await asyncio.sleep(0)
        return "done"

    began = time.monotonic()
    assert own_loop.run(main()) == "done"
    assert time.monotonic() - began < 10
    assert left[0].done() is (swallows < 4)
    # Python tells of one that is left when it is collected: here, and not in the log of another test.
    left.clear()
    gc.collect()


def test_what_main_raises_is_raised() -> None:
    """And the rest ends all the same."""
    left: list[asyncio.Task[None]] = []

    async def main() -> None:
        left.append(asyncio.create_task(asyncio.sleep(3600)))
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        own_loop.run(main())
    assert left[0].cancelled()
