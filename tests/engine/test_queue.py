"""The keyed queue: merge, once more, back off, look again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random

import pytest

from mlops.engine.queue import Queue
from mlops.local.clock import VirtualClock
from mlops.planning.plan import Key

ONE, TWO, THREE = (Key("Dataset", "default", name) for name in ("one", "two", "three"))


@pytest.fixture
def queue(clock: VirtualClock) -> Queue:
    return Queue(clock, random=Random(7), first_delay=0.01, longest_delay=0.08)


async def test_a_key_that_is_added_many_times_while_it_waits_is_worked_on_once(queue: Queue) -> None:
    for _ in range(60):
        queue.add(ONE)
    assert queue.depth == 1
    queue.done(await queue.take())
    assert queue.idle


async def test_a_key_that_is_touched_while_it_is_worked_on_comes_once_more(queue: Queue) -> None:
    """What the worker read may be old by the time it is done."""
    queue.add(ONE)
    key = await queue.take()
    queue.add(ONE)
    queue.add(ONE)
    assert queue.depth == 0, "never twice at the same time"
    queue.done(key)
    assert queue.depth == 1
    queue.done(await queue.take())
    assert queue.idle


async def test_keys_come_in_the_order_in_which_they_were_first_mentioned(queue: Queue) -> None:
    """A key that is touched all the time does not push itself before the others."""
    for key in (ONE, TWO, THREE, ONE, ONE):
        queue.add(key)
    assert [await queue.take() for _ in range(3)] == [ONE, TWO, THREE]


async def test_delays_after_failures_double_up_to_the_limit_and_start_over_after_a_success(queue: Queue) -> None:
    delays = []
    for _ in range(6):
        queue.add(ONE)
        delays.append(queue.failed(await queue.take()))
    for delay, longest in zip(delays, (0.01, 0.02, 0.04, 0.08, 0.08, 0.08), strict=True):
        assert longest / 2 <= delay <= longest
    queue.add(ONE)
    queue.done(await queue.take())
    queue.add(ONE)
    assert queue.failed(await queue.take()) <= 0.01


async def test_the_same_seed_gives_the_same_delays(clock: VirtualClock) -> None:
    """A simulation can be repeated."""
    runs = []
    for _ in range(2):
        queue = Queue(clock, random=Random(3))
        queue.add(ONE)
        runs.append(queue.failed(await queue.take()))
        queue.close()
    assert runs[0] == runs[1]


async def test_a_failed_key_comes_back_by_itself_and_other_keys_do_not_wait_for_it(queue: Queue) -> None:
    queue.add(ONE)
    queue.failed(await queue.take())
    assert not queue.idle, "it is backing off"
    queue.add(TWO)
    assert await queue.take() == TWO
    assert await asyncio.wait_for(queue.take(), 1) == ONE


async def test_an_event_ends_the_back_off(clock: VirtualClock) -> None:
    queue = Queue(clock, random=Random(0), first_delay=60, longest_delay=60)
    queue.add(ONE)
    queue.failed(await queue.take())
    queue.add(ONE)
    assert await asyncio.wait_for(queue.take(), 1) == ONE


async def test_look_again_follows_the_clusters_clock(queue: Queue, clock: VirtualClock) -> None:
    queue.add(ONE)
    queue.done(await queue.take(), requeue_at=clock.now() + timedelta(hours=1))
    assert queue.idle, "nothing is due yet"
    assert queue.next_requeue == clock.now() + timedelta(hours=1)
    clock.advance(clock.now() + timedelta(minutes=59))
    assert queue.depth == 0
    clock.advance(clock.now() + timedelta(minutes=1))
    assert await asyncio.wait_for(queue.take(), 1) == ONE


async def test_a_later_answer_replaces_an_earlier_look_again(queue: Queue, clock: VirtualClock) -> None:
    queue.add(ONE)
    queue.done(await queue.take(), requeue_at=clock.now() + timedelta(hours=1))
    queue.add(ONE)
    queue.done(await queue.take(), requeue_at=None)
    clock.advance(clock.now() + timedelta(hours=2))
    await asyncio.sleep(0)
    assert queue.depth == 0


async def test_the_oldest_age_counts_what_waits_and_what_is_worked_on(queue: Queue) -> None:
    """A liveness probe ends a process whose workers hang."""
    assert queue.oldest_age() == 0
    queue.add(ONE)
    await queue.take()
    await asyncio.sleep(0.02)
    queue.add(TWO)
    assert queue.oldest_age() >= 0.02
