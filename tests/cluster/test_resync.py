"""What a watch misses, a list finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops.cluster.client import Client
from mlops.cluster.connection import Connection
from mlops.cluster.memory import Memory
from mlops.cluster.metrics import OperatorMetrics
from mlops.cluster.resync import Resync
from mlops.cluster.writer import KubernetesCluster
from mlops.engine.cluster import AlreadyExists
from mlops.planning.plan import Key, Manifest
from tests.api.objects import a_dataset
from tests.cluster.test_writer import a_job, in_namespace
from tests.servers.apiserver import ApiServer

pytestmark = pytest.mark.apiserver


@pytest.fixture
def changes(memory: Memory) -> list[tuple[Manifest | None, Manifest | None]]:
    told: list[tuple[Manifest | None, Manifest | None]] = []
    memory.watch(lambda old, new: told.append((old, new)))
    return told


@pytest.fixture
def resync(client: Client, memory: Memory, namespace: str) -> Resync:
    return Resync(client, memory, (namespace,), OperatorMetrics())


async def test_everything_is_found_that_is_ours(
    resync: Resync, memory: Memory, server: ApiServer, namespace: str
) -> None:
    """The four kinds whoever made them; children only with our label."""
    server.create(in_namespace(namespace, a_dataset()))
    server.create(a_job(namespace))
    stranger = a_job(namespace, app="theirs")
    stranger["metadata"]["name"] = "theirs"
    server.create(stranger)
    await resync.fill()
    assert resync.filled.is_set()
    assert [one["metadata"]["name"] for one in memory.list("Dataset", namespace)] == ["electricity"]
    assert [one["metadata"]["name"] for one in memory.list("Job", namespace)] == ["train"]


async def test_a_settled_cluster_is_no_news(
    resync: Resync, memory: Memory, server: ApiServer, namespace: str, changes: list[object]
) -> None:
    server.create(in_namespace(namespace, a_dataset()))
    await resync.fill()
    assert len(changes) == 1
    await resync.fill()
    assert len(changes) == 1


async def test_what_went_unseen_is_forgotten(
    resync: Resync, memory: Memory, server: ApiServer, namespace: str, changes: list[object]
) -> None:
    """kopf tells nothing of an object that was deleted while its watch was away."""
    dataset = in_namespace(namespace, a_dataset())
    server.create(dataset)
    await resync.fill()
    server.delete(dataset)
    await resync.fill()
    assert memory.get(Key("Dataset", namespace, "electricity")) is None
    assert len(changes) == 2


async def test_an_object_that_was_made_anew_replaces_the_one_before(
    resync: Resync, memory: Memory, server: ApiServer, namespace: str, changes: list[object]
) -> None:
    dataset = in_namespace(namespace, a_dataset())
    server.create(dataset)
    await resync.fill()
    server.delete(dataset)
    again = server.create(dataset)[1]
    await resync.fill()
    there = memory.get(Key("Dataset", namespace, "electricity"))
    assert there is not None
    assert there["metadata"]["uid"] == again["metadata"]["uid"]
    assert len(changes) == 3


@pytest.mark.parametrize("number", [pytest.param(2, id="a few"), pytest.param(25, id="many")])
async def test_what_comes_changes_and_goes_unseen_is_found_by_its_version(
    resync: Resync, memory: Memory, server: ApiServer, namespace: str, number: int
) -> None:
    """Of lists that are compared only metadata is read; what is news is looked up, alone or with all others."""
    made = [in_namespace(namespace, {**a_dataset(), "metadata": {"name": f"rows-{n}"}}) for n in range(number)]
    await resync.fill()
    for manifest in made:
        server.create(manifest)
    assert await _compared(resync, lambda: len(memory.list("Dataset", namespace)) == number)
    server.patch(made[0], {"spec": {"suspend": True}})
    assert await _compared(resync, lambda: bool(memory.list("Dataset", namespace)[0]["spec"].get("suspend")))
    there = memory.get(Key("Dataset", namespace, "rows-1"))
    assert there is not None
    assert (there["kind"], there["apiVersion"]) == ("Dataset", "mlops.dev/v1alpha1")
    assert there["spec"]["source"] == made[1]["spec"]["source"]
    for manifest in made:
        server.delete(manifest)
    assert await _compared(resync, lambda: not memory.list("Dataset", namespace))


async def test_of_lists_that_are_compared_only_metadata_is_sent(
    resync: Resync, client: Client, server: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole objects of thousands of runs each minute are what makes the process grow."""
    server.create(in_namespace(namespace, a_dataset()))
    await resync.fill()
    answers: list[bytes] = []
    parsed = client._parsed
    monkeypatch.setattr(client, "_parsed", lambda *args: (answers.append(args[2]), parsed(*args))[1])
    assert await _compared(resync, lambda: b"electricity" in answers[-1])
    assert b'"uid"' in answers[-1]
    assert not any(b'"spec"' in answer for answer in answers)


async def test_a_strangers_object_is_known_until_it_is_gone(
    resync: Resync, memory: Memory, client: Client, server: ApiServer, namespace: str
) -> None:
    """No list of ours shows it: forgetting it would have its name tried again with every list, and the status say so
    never again. When it is gone, or becomes ours, that is known without anybody's help."""
    stranger, key = a_job(namespace, app="theirs"), Key("Job", namespace, "train")
    server.create(stranger)
    writer = KubernetesCluster(client, memory, lambda: True)
    for _ in range(3):
        with pytest.raises(AlreadyExists):
            await writer.create(a_job(namespace))
        await resync.fill()
        there = memory.get(key)
        assert there is not None
        assert there["metadata"]["labels"] == {"app": "theirs"}
        assert memory.list("Job", namespace) == []
    server.delete(stranger)
    await resync.fill()
    assert memory.get(key) is None
    await writer.create(a_job(namespace))
    assert [one["metadata"]["name"] for one in memory.list("Job", namespace)] == ["train"]
    assert memory.strangers("Job") == []


async def _compared(resync: Resync, done: Callable[[], bool]) -> bool:
    """Whether it is found out soon: a cached list may be slightly stale."""
    for _ in range(50):
        assert await resync.list_once("Dataset", cached=True)
        if done():
            return True
        await asyncio.sleep(0.1)
    return False


async def test_credentials_that_are_gone_are_waited_for(tmp_path: Path, memory: Memory) -> None:
    """The kubelet rewrites a token's file; a short gap is no reason to end."""
    client = Client(Connection(tmp_path / "nowhere"), OperatorMetrics())
    resync = Resync(client, memory, (), OperatorMetrics())
    assert not await resync.list_once("Dataset")
    assert not resync.filled.is_set()
