"""Virtual time, and processes that are stopped and killed between two steps."""

from __future__ import annotations

import asyncio

from tests.simulation.loop import Loop, Process


def test_an_hour_takes_no_time_and_things_happen_in_order() -> None:
    loop, seen = Loop(), []

    async def after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append(loop.time())

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for seconds in (3600.0, 1.0, 60.0):
                group.create_task(after(seconds))

    task = loop.spawn(Process("one"), main)
    loop.run_until(4000.0)
    assert task.done()
    assert seen == [1.0, 60.0, 3600.0]
    assert loop.time() == 4000.0


def test_a_timeout_is_a_timeout() -> None:
    loop, seen = Loop(), []

    async def main() -> None:
        try:
            async with asyncio.timeout(3.0):
                await asyncio.sleep(10.0)
        except TimeoutError:
            seen.append(loop.time())

    loop.spawn(Process("one"), main)
    loop.run_until(20.0)
    assert seen == [3.0]


def test_a_stopped_process_does_nothing_and_finds_that_time_has_passed() -> None:
    loop, process, seen = Loop(), Process("one"), []

    async def main() -> None:
        while True:
            await asyncio.sleep(1.0)
            seen.append(loop.time())

    loop.spawn(process, main)
    loop.run_until(2.5)
    process.paused = True
    loop.run_until(40.0)
    assert seen == [1.0, 2.0]
    loop.resume(process)
    loop.run_until(41.5)
    assert seen == [1.0, 2.0, 40.0, 41.0]


def test_of_a_killed_process_not_even_a_finally_runs() -> None:
    loop, process, seen = Loop(), Process("one"), []

    async def main() -> None:
        try:
            await asyncio.sleep(5.0)
        finally:
            seen.append("cleaned up")

    task = loop.spawn(process, main)
    loop.run_until(1.0)
    process.alive = False
    loop.run_until(100.0)
    assert (seen, task.done()) == ([], False)
