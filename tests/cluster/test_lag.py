"""The longest time for which the event loop did one thing only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from mlops.cluster.lag import Lag


@pytest.fixture
async def lag() -> AsyncIterator[Lag]:
    lag = Lag()
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(0)
    yield lag
    task.cancel()


async def test_what_the_operator_does_itself_is_told_from_what_the_machine_does(lag: Lag) -> None:
    """A stretch of work, and one in which the process did not run."""
    until = time.thread_time() + 0.15
    while time.thread_time() < until:
        pass
    await asyncio.sleep(0.2)
    assert lag.wall >= lag.cpu > 0.03
    own = lag.cpu
    time.sleep(0.5)
    await asyncio.sleep(0.2)
    assert lag.wall > 0.3
    assert lag.cpu < own + 0.1


async def test_a_loop_that_waits_does_not_lag(lag: Lag) -> None:
    await asyncio.sleep(0.3)
    assert lag.cpu < 0.05
