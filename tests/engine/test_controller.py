"""The loop as a whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from mlops.api.dataset import DatasetStatus
from mlops.engine.cluster import Unavailable
from mlops.engine.controller import Controller
from mlops.engine.metrics import Counters
from mlops.local.clock import VirtualClock
from mlops.planning.plan import Key, Plan, Settings
from tests.engine.objects import NotedCluster, a_dataset


def says_ready(view: Any) -> Plan:
    key = Key("Dataset", "default", view.dataset.metadata.name)
    return Plan(statuses={key: DatasetStatus(observed_generation=view.dataset.metadata.generation)})


@asynccontextmanager
async def running(cluster: NotedCluster, clock: VirtualClock, planner: Any) -> AsyncIterator[Controller]:
    controller = Controller(cluster, {"Dataset": planner}, Settings(), clock, metrics=Counters(), random=Random(1))
    unwatch = cluster.watch(controller.observe)
    task = asyncio.create_task(controller.run())
    await asyncio.sleep(0)
    try:
        yield controller
    finally:
        unwatch()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def idle(controller: Controller) -> None:
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
        while not controller.idle:
            await asyncio.sleep(0.002)


async def test_what_was_there_before_the_start_is_looked_at(cluster: NotedCluster, clock: VirtualClock) -> None:
    cluster.by_user(a_dataset())
    async with running(cluster, clock, says_ready) as controller:
        await idle(controller)
    assert cluster.now("Dataset", "rain")["status"]["observedGeneration"] == 1


async def test_nothing_is_planned_in_a_namespace_that_is_lost(cluster: NotedCluster, clock: VirtualClock) -> None:
    """Not even what was to be looked at again before it was: what is known of it may be old."""
    planned = []

    def planner(view: Any) -> Plan:
        planned.append(view.now)
        return replace(says_ready(view), requeue_at=view.now + timedelta(seconds=30))

    cluster.by_user(a_dataset())
    async with running(cluster, clock, planner) as controller:
        await idle(controller)
        before = len(planned)
        controller.is_lost = lambda namespace: namespace == "default"
        clock.advance(clock.now() + timedelta(seconds=31))
        await idle(controller)
        assert len(planned) == before
        controller.is_lost = lambda namespace: False
        await controller.resync()
        await idle(controller)
        assert len(planned) == before + 1


async def test_the_engines_own_writes_do_not_keep_it_busy(cluster: NotedCluster, clock: VirtualClock) -> None:
    """A status write comes back as an event; it must be the last one."""
    async with running(cluster, clock, says_ready) as controller:
        cluster.by_user(a_dataset())
        await idle(controller)
        assert len(cluster.writes) == 1
        assert controller.metrics.reconciles["Dataset", "Done"] <= 3  # type: ignore[attr-defined]


async def test_a_bug_in_one_plan_is_logged_with_its_traceback_and_the_others_go_on(
    cluster: NotedCluster, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    def planner(view: Any) -> Plan:
        if view.dataset.metadata.name == "bad":
            raise ZeroDivisionError
        return says_ready(view)

    with caplog.at_level(logging.ERROR):
        async with running(cluster, clock, planner):
            cluster.by_user(a_dataset("bad"))
            cluster.by_user(a_dataset("good"))
            async with asyncio.timeout(5):
                while not cluster.now("Dataset", "good").get("status"):
                    await asyncio.sleep(0.002)
    assert "ZeroDivisionError" in caplog.text
    assert "Dataset default/bad" in caplog.text


async def test_an_unreachable_cluster_is_tried_again(cluster: NotedCluster, clock: VirtualClock) -> None:
    key = Key("Dataset", "default", "rain")
    cluster.faults = [Unavailable(key, "503 Service Unavailable") for _ in range(3)]
    async with running(cluster, clock, says_ready) as controller:
        cluster.by_user(a_dataset())
        await idle(controller)
        assert controller.metrics.errors == 3  # type: ignore[attr-defined]
    assert cluster.now("Dataset", "rain")["status"]["observedGeneration"] == 1


async def test_a_plan_that_asks_for_it_is_made_again_when_the_clock_has_moved(
    cluster: NotedCluster, clock: VirtualClock
) -> None:
    seen = []

    def planner(view: Any) -> Plan:
        seen.append(view.now)
        return Plan(requeue_at=view.now + timedelta(hours=6))

    start = clock.now()
    async with running(cluster, clock, planner) as controller:
        cluster.by_user(a_dataset())
        await idle(controller)
        clock.advance(start + timedelta(hours=6))
        await idle(controller)
    assert seen[-1] == start + timedelta(hours=6)


async def test_a_thousand_objects_need_a_bounded_number_of_writes(cluster: NotedCluster, clock: VirtualClock) -> None:
    async with running(cluster, clock, says_ready) as controller:
        for number in range(1000):
            cluster.by_user(a_dataset(f"rain-{number}"))
        async with asyncio.timeout(60):
            while not controller.idle:
                await asyncio.sleep(0.01)
    assert len(cluster.writes) == 1000
