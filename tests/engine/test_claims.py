"""A namespace has one operator: a second one with a Lease of its own does nothing there."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from mlops.engine.claims import CLAIM, Claims
from mlops.engine.cluster import Refused, key_of
from mlops.engine.controller import Controller
from mlops.engine.planners import PLANNERS
from mlops.local.clock import VirtualClock
from mlops.planning.plan import Key, Manifest, Settings
from tests.engine.objects import NotedCluster, a_dataset, a_version
from tests.engine.test_controller import idle

KEY = Key("ConfigMap", "default", CLAIM)


def _operator(cluster: NotedCluster, clock: VirtualClock, identity: str | None) -> Controller:
    return Controller(cluster, PLANNERS, Settings(), clock, identity=identity)


async def _work(controller: Controller) -> None:
    task = asyncio.create_task(controller.run())
    await idle(controller)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_second_operator_writes_nothing_and_says_why(
    cluster: NotedCluster, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the settings of the two are: the namespace is the first one's."""
    cluster.by_user(a_dataset())
    await _work(_operator(cluster, clock, "mlops-system/mlops-operator"))
    settled = {key: cluster.get(key) for key in (KEY, Key("Dataset", "default", "rain"))}
    assert settled[KEY] is not None
    cluster.by_user(a_dataset("second"))
    with caplog.at_level(logging.ERROR):
        await _work(_operator(cluster, clock, "elsewhere/mlops-operator"))
    assert cluster.now("Dataset", "second").get("status", {}) == {}
    assert {key: cluster.get(key) for key in settled} == settled
    assert [record.getMessage() for record in caplog.records] == [
        'namespace "default" belongs to the operator of Lease mlops-system/mlops-operator, and this is that of Lease '
        "elsewhere/mlops-operator: nothing is done there. Give the two different namespaces, or uninstall one; if the "
        "other is gone: kubectl -n default delete configmap mlops-operator"
    ]


async def test_replicas_of_one_installation_share_the_claim(cluster: NotedCluster, clock: VirtualClock) -> None:
    """They have the same Lease; the next leader goes on."""
    for name in ("rain", "second"):
        cluster.by_user(a_dataset(name))
        await _work(_operator(cluster, clock, "mlops-system/mlops-operator"))
        assert cluster.now("Dataset", name)["status"]["conditions"]


async def test_a_claim_that_was_deleted_is_the_next_ones(
    cluster: NotedCluster, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The way out that the message gives: the operator that waited looks again within a minute, at what is invalid
    too. Until then it has said so once, however often it looked."""
    claims = Claims(cluster, "old/mlops-operator")
    assert await claims.holds("default")
    cluster.by_user(a_dataset())
    for wrong, change in ((a_dataset("wrong"), {"fields": []}), (a_version(), {"version": -2})):
        stored = cluster.by_user(wrong)
        cluster._put(key_of(stored), {**stored, "spec": {**stored["spec"], **change}}, None, {})
    controller = _operator(cluster, clock, "new/mlops-operator")
    written = (("Dataset", "rain"), ("Dataset", "wrong"), ("ModelVersion", "rain-v1"))
    task = asyncio.create_task(controller.run())
    for _ in range(5):
        await idle(controller)
        assert all(cluster.now(*each).get("status", {}) == {} for each in written)
        clock.advance(clock.now() + timedelta(seconds=61))
    await idle(controller)
    assert sum("belongs to the operator of Lease" in record.getMessage() for record in caplog.records) == 1
    cluster.remove(KEY)
    clock.advance(clock.now() + timedelta(seconds=61))
    await idle(controller)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for each in written:
        assert cluster.now(*each)["status"]["conditions"], each
    assert not await claims.holds("default")


async def test_a_claim_that_is_refused_is_told_once_and_tried_again(
    cluster: NotedCluster, clock: VirtualClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a quota, a policy: the work goes on, and whoever reads the log knows that nothing keeps a second one out."""
    make, why = cluster.create, "403 exceeded quota: count/configmaps=0"

    async def create(manifest: Manifest) -> Manifest:
        if manifest["kind"] == "ConfigMap" and why:
            raise Refused(key_of(manifest), why)
        return await make(manifest)

    monkeypatch.setattr(cluster, "create", create)
    claims = Claims(cluster, "mlops-system/mlops-operator")
    for _ in range(3):
        assert await claims.holds("default")
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith('namespace "default" cannot be claimed: ConfigMap default/mlops-operator: 403 exceeded')
    why = "403 denied by a policy"
    assert await claims.holds("default")
    assert "denied by a policy" in caplog.records[-1].getMessage()
    why = ""
    assert await claims.holds("default")
    assert cluster.get(KEY) is not None
    assert len(caplog.records) == 2


async def test_nothing_is_claimed_for_what_is_gone(cluster: NotedCluster, clock: VirtualClock) -> None:
    """The keys of a namespace that was deleted come once more: a claim there would be refused, again and again."""
    controller = _operator(cluster, clock, "mlops-system/mlops-operator")
    task = asyncio.create_task(controller.run())
    for kind in PLANNERS:
        controller.queue.add(Key(kind, "gone", "rain"))
    await idle(controller)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert cluster.list("ConfigMap", "gone") == []


async def test_where_there_can_be_only_one_nothing_is_claimed(cluster: NotedCluster, clock: VirtualClock) -> None:
    """On one machine the lock of the state folder does it."""
    cluster.by_user(a_dataset())
    await _work(_operator(cluster, clock, None))
    assert cluster.get(KEY) is None
