"""Events are written beside the work: in turn, not too many, and by the holder of the Lease only."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from mlops.cluster import events
from mlops.cluster.client import Client
from mlops.cluster.connection import Connection
from mlops.cluster.events import Events, Rates
from mlops.cluster.lag import Lag
from mlops.cluster.memory import Memory
from mlops.cluster.metrics import OperatorMetrics
from mlops.cluster.writer import KubernetesCluster
from mlops.planning.plan import Key, Manifest


class Server(Client):
    """A client whose server notes what it is sent; it answers when it is let to, with `status`."""

    def __init__(self, metrics: OperatorMetrics) -> None:
        super().__init__(Connection(Path("/nowhere")), metrics)
        self.posted: list[str] = []
        self.status = 201
        self.under_way = self.most_under_way = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def _send(
        self, key: Key, method: str, url: str, body: Manifest | None, content_type: str, accept: str
    ) -> tuple[int, Mapping[str, str], Manifest]:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.answers.wait()
            await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        assert (method, url) == ("POST", "/apis/events.k8s.io/v1/namespaces/team/events?fieldManager=mlops-operator")
        self.posted.append(key.name)
        return self.status, {}, json.loads(json.dumps(body))


class Desk:
    """Events with a server, a Lease and metrics."""

    def __init__(self) -> None:
        self.metrics = OperatorMetrics()
        self.server = Server(self.metrics)
        self.holds_lease = True
        self.events = Events(self.server, lambda: self.holds_lease, self.metrics)

    def lost(self, why: str) -> float:
        return self.count("mlops_operator_events_lost_total", f'why="{why}"')

    def count(self, name: str, labels: str) -> float:
        text = self.metrics.exposition(
            oldest=0, held=True, missing=0, restarts=0, lag=Lag(), count=lambda _: 0
        ).decode()
        found = [line for line in text.splitlines() if line.startswith(f"{name}{{{labels}")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    task = asyncio.create_task(desk.events.run())
    await asyncio.sleep(0)
    yield desk
    task.cancel()


def an_event(number: int, about: str | None = None) -> Manifest:
    regarding = {"kind": "TrainingRun", "name": "run", "uid": about or f"uid-{number}"}
    metadata = {"name": f"event-{number}", "namespace": "team"}
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": metadata,
        "reason": "Running",
        "regarding": regarding,
    }


async def test_whoever_tells_something_does_not_wait(desk: Desk) -> None:
    """A server that answers nothing holds up no reconcile; memory is not asked to keep Events."""
    desk.server.answers.clear()
    memory = Memory()
    cluster = KubernetesCluster(desk.server, memory, lambda: True, desk.events)
    async with asyncio.timeout(0.5):
        assert await cluster.create(an_event(1)) == an_event(1)
    desk.server.answers.set()
    await desk.events.flush(1)
    assert desk.server.posted == ["event-1"]
    assert desk.count("mlops_operator_writes_total", 'kind="Event",verb="create"') == 1


async def test_only_a_few_are_under_way_at_a_time(desk: Desk) -> None:
    """Whatever happens to a thousand objects, the writes that matter find the API server free."""
    for number in range(200):
        desk.events.add(an_event(number))
    await desk.events.flush(2)
    assert len(desk.server.posted) == 200
    assert desk.server.most_under_way == 4


async def test_the_newest_are_kept_when_there_are_too_many(desk: Desk) -> None:
    desk.events.pause()
    for number in range(1_300):
        desk.events.add(an_event(number))
    await desk.events.flush(2)
    assert desk.server.posted == [f"event-{number}" for number in range(300, 1_300)]
    assert desk.lost("full") == 300


async def test_an_object_that_tells_too_much_does_not_drown_the_others(desk: Desk) -> None:
    for number in range(40):
        desk.events.add(an_event(number, about="restless"))
    desk.events.add(an_event(40, about="calm"))
    await desk.events.flush(1)
    assert desk.server.posted == [*(f"event-{number}" for number in range(25)), "event-40"]
    assert desk.lost("rate") == 15


def test_an_object_may_tell_something_again_after_a_while() -> None:
    """Twenty-five at once, then four a minute: enough for what a schedule of every minute has to tell."""
    rates = Rates()
    assert sum(rates.take("one", 0.0) for _ in range(100)) == 25
    assert sum(rates.take("one", 60.0) for _ in range(100)) == 4
    assert sum(rates.take("one", 100_000.0) for _ in range(100)) == 25


def test_objects_that_are_long_gone_are_forgotten() -> None:
    rates = Rates()
    for number in range(10_000):
        rates.take(str(number), 0.0)
    assert len(rates) == 4_096


async def test_nothing_is_sent_without_the_lease(desk: Desk) -> None:
    desk.holds_lease = False
    desk.events.add(an_event(1))
    await desk.events.flush(1)
    assert desk.server.posted == []
    assert desk.lost("lease") == 1


async def test_a_connection_that_is_lost_loses_no_news(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is fixed: sent again, it cannot be there twice."""
    monkeypatch.setattr(events, "_AGAIN_SECONDS", 0.05)
    desk.server.status = 503
    desk.events.add(an_event(1))
    while not desk.server.posted:
        await asyncio.sleep(0)
    desk.server.status = 201
    await desk.events.flush(1)
    assert desk.server.posted == ["event-1", "event-1"]
    assert desk.lost("failed") == 0


async def test_one_that_fails_is_lost_and_the_next_is_sent(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """News, not state: it is tried once more, and nobody has to read of it."""
    monkeypatch.setattr(events, "_AGAIN_SECONDS", 0.0)
    desk.server.status = 500
    with caplog.at_level(logging.DEBUG):
        desk.events.add(an_event(1))
        await desk.events.flush(1)
    assert [record.levelno for record in caplog.records if "Event" in record.getMessage()] == [logging.DEBUG]
    desk.server.status = 201
    desk.events.add(an_event(2))
    await desk.events.flush(1)
    assert desk.server.posted == ["event-1", "event-1", "event-2"]
    assert desk.lost("failed") == 1


async def test_one_that_is_there_already_is_not_lost(desk: Desk) -> None:
    desk.server.status = 409
    desk.events.add(an_event(1))
    await desk.events.flush(1)
    assert desk.lost("failed") == 0


async def test_the_end_waits_no_longer_than_it_may(desk: Desk) -> None:
    """A server that hangs does not keep the process from ending."""
    desk.server.answers.clear()
    for number in range(10):
        desk.events.add(an_event(number))
    async with asyncio.timeout(1):
        await desk.events.flush(0.1)
    assert desk.lost("end") == 6, "four are on their way"


async def test_while_it_is_paused_no_other_one_begins(desk: Desk) -> None:
    """So that the last writes can be seen to end."""
    desk.events.pause()
    desk.events.add(an_event(1))
    await asyncio.sleep(0.01)
    assert desk.server.posted == []
    await desk.events.flush(1)
    assert desk.server.posted == ["event-1"]
