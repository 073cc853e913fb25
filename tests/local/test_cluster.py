"""The cluster in memory: what an API server and its garbage collector would do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops.api.kinds import InvalidObject
from mlops.engine.cluster import AlreadyExists, Conflict, Invalid
from mlops.local.clock import VirtualClock
from mlops.local.cluster import LocalCluster
from mlops.local.errors import StateUnreadable
from mlops.local.merge import merge
from mlops.local.records import Records
from mlops.planning.plan import Key, Manifest
from tests.engine.objects import a_dataset, a_run
from tests.local.world import START, a_job, a_runtime, until

RAIN = Key("Dataset", "default", "rain")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    records = Records(tmp_path)
    yield LocalCluster(records, VirtualClock(START))
    records.close()


def owned_by(*owners: Manifest, name: str = "child", kind: str = "Thing") -> Manifest:
    references = [
        {"apiVersion": "v1", "kind": o["kind"], "name": o["metadata"]["name"], "uid": o["metadata"]["uid"]}
        for o in owners
    ]
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default", "ownerReferences": references},
    }


def test_the_generation_counts_changes_of_the_spec_only(cluster: LocalCluster) -> None:
    made = cluster.create_as("user", a_dataset())
    assert made["metadata"]["generation"] == 1
    assert made["metadata"]["creationTimestamp"] == "2026-03-01T12:00:00Z"
    assert cluster.set_status(RAIN, {"version": 1})["metadata"]["generation"] == 1
    changed, outcome = cluster.apply_as("user", a_dataset(format="csv"))
    assert (changed["metadata"]["generation"], outcome) == (2, "configured")
    assert changed["status"] == {"version": 1}, "the status is not the applier's"
    again, outcome = cluster.apply_as("user", a_dataset(format="csv"))
    assert (again, outcome) == (changed, "unchanged")


async def test_a_write_on_an_older_version_is_a_conflict(cluster: LocalCluster) -> None:
    seen = cluster.create_as("user", a_dataset())
    cluster.apply_as("user", a_dataset(format="csv"))
    with pytest.raises(Conflict):
        await cluster.write_status(seen, {})
    with pytest.raises(Conflict):
        cluster.apply_as("user", seen)
    with pytest.raises(AlreadyExists) as error:
        await cluster.create(a_dataset())
    assert error.value.present == cluster.get(RAIN)


def test_what_the_api_server_would_refuse_is_refused(cluster: LocalCluster) -> None:
    with pytest.raises(Invalid, match=r"spec\.format"):
        cluster.create_as("user", a_dataset(format="xls"))
    cluster.create_as("user", a_run())
    with pytest.raises(Invalid, match="immutable"):
        cluster.apply_as("user", a_run(backoffLimit=1))
    assert cluster.apply_as("user", a_run(suspend=True))[1] == "configured"


async def test_a_status_that_is_not_what_the_kind_says_is_refused(cluster: LocalCluster) -> None:
    seen = cluster.create_as("user", a_dataset())
    with pytest.raises(Invalid, match="status"):
        await cluster.write_status(seen, {"phase": "Happy"})


def test_user_and_operator_keep_each_others_fields(cluster: LocalCluster) -> None:
    cluster.create_as(
        "user", {**a_dataset(), "metadata": {"name": "rain", "namespace": "default", "labels": {"a": "1"}}}
    )
    theirs = {"apiVersion": "mlops.dev/v1alpha1", "kind": "Dataset"}
    cluster.apply_as("operator", {**theirs, "metadata": {"name": "rain", "namespace": "default", "labels": {"b": "2"}}})
    changed, _ = cluster.apply_as("user", a_dataset(format="csv"))
    assert changed["metadata"]["labels"] == {"b": "2"}, "the user took a away, b is not the user's"
    assert changed["spec"]["format"] == "csv"


@pytest.mark.parametrize(
    ("live", "before", "wanted", "others", "want"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1}, [], {"a": 1}, id="taken away"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, {"a": 3}, [], {"a": 3, "b": 2}, id="another's stays"),
        pytest.param({"a": 1}, {"a": 1}, {}, [{"a": 1}], {"a": 1}, id="wanted by another too"),
        pytest.param({"l": [1, 2]}, {"l": [1, 2]}, {"l": [3]}, [], {"l": [3]}, id="a list is replaced"),
        pytest.param(
            {"l": [{"name": "x", "v": 1, "w": 9}, {"name": "y"}]},
            {"l": [{"name": "x", "v": 1}]},
            {"l": [{"name": "x", "v": 2}, {"name": "z"}]},
            [],
            {"l": [{"name": "x", "v": 2, "w": 9}, {"name": "y"}, {"name": "z"}]},
            id="a list of named items is merged",
        ),
        pytest.param(
            {"l": [{"name": "x"}, {"name": "y"}]},
            {"l": [{"name": "x"}, {"name": "y"}]},
            {"l": [{"name": "y"}]},
            [],
            {"l": [{"name": "y"}]},
            id="a named item is taken away",
        ),
    ],
)
def test_merge(live: Any, before: Any, wanted: Any, others: list[Any], want: Any) -> None:
    assert merge(live, before, wanted, others) == want


def test_what_belongs_to_nobody_any_more_is_deleted(cluster: LocalCluster) -> None:
    first, second = (cluster.create_as("user", a_dataset(name)) for name in ("first", "second"))
    child = cluster.create_as("op", owned_by(first, name="of-first"))
    cluster.create_as("op", owned_by(child, name="grandchild"))
    cluster.create_as("op", owned_by(first, second, name="of-both"))
    cluster.remove(Key("Dataset", "default", "first"))
    assert [one["metadata"]["name"] for one in cluster.list("Thing")] == ["of-both"]
    cluster.remove(Key("Dataset", "default", "second"))
    assert cluster.list("Thing") == []


def test_a_child_of_an_owner_that_is_gone_does_not_stay(cluster: LocalCluster) -> None:
    """Deleted while the child was being made; also if a new object has the old one's name."""
    owner = cluster.create_as("user", a_dataset())
    cluster.remove(RAIN)
    cluster.create_as("user", a_dataset())
    cluster.create_as("op", owned_by(owner))
    assert cluster.list("Thing") == []


async def test_a_delete_is_for_one_object_not_for_its_name(cluster: LocalCluster) -> None:
    old = cluster.create_as("user", a_dataset())
    cluster.remove(RAIN)
    new = cluster.create_as("user", a_dataset())
    await cluster.delete(RAIN, old["metadata"]["uid"])
    assert cluster.get(RAIN) == new


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    records = Records(tmp_path)
    cluster = LocalCluster(records, VirtualClock(START))
    for name in ("b", "a", "c"):
        cluster.create_as("user", a_dataset(name))
    cluster.set_status(Key("Dataset", "default", "b"), {"version": 3})
    before = cluster.list("Dataset")
    records.close()
    records = Records(tmp_path)
    cluster = LocalCluster(records, VirtualClock(START))
    assert cluster.list("Dataset") == before
    assert [one["metadata"]["name"] for one in before] == ["b", "a", "c"], "oldest first"
    # What the user applied before is still known as the user's.
    changed, _ = cluster.apply_as("user", a_dataset("a", format="csv"))
    assert int(changed["metadata"]["resourceVersion"]) > max(int(o["metadata"]["resourceVersion"]) for o in before)
    cluster.apply_as("user", a_dataset("a"))
    assert "format" not in (cluster.get(Key("Dataset", "default", "a")) or {})["spec"]
    records.close()


def test_a_folder_of_another_program_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "objects.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(StateUnreadable, match="--state"):
        Records(tmp_path)


def test_watchers_see_changes_in_order_also_those_that_a_watcher_causes(cluster: LocalCluster) -> None:
    seen: list[tuple[str, object]] = []

    def first(old: Manifest | None, new: Manifest | None) -> None:
        if old is None:
            cluster.set_status(RAIN, {"version": 1})

    cluster.watch(first)
    cluster.watch(lambda old, new: seen.append(("made" if old is None else "changed", (new or {}).get("status"))))
    cluster.create_as("user", a_dataset())
    assert seen == [("made", None), ("changed", {"version": 1})]


async def test_a_users_mistake_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        with pytest.raises(InvalidObject, match=r"spec\.format: Unsupported value: 'xls'"):
            runtime.apply(a_dataset(format="xls"))
        assert runtime.list("Dataset") == []
        assert runtime.apply(a_run()) == "created"
        with pytest.raises(InvalidObject, match="immutable"):
            runtime.apply(a_run(backoffLimit=1))
        assert runtime.apply(a_run()) == "unchanged"
        assert runtime.apply(a_run(suspend=True)) == "configured"
        assert runtime.delete(Key("TrainingRun", "default", "rain-1"))
        assert not runtime.delete(Key("TrainingRun", "default", "rain-1"))


async def test_a_watch_yields_every_change(tmp_path: Path) -> None:
    async with a_runtime(tmp_path) as runtime:
        seen: list[str] = []

        async def read() -> None:
            async for change in runtime.watch():
                seen.append(str((change.new or {}).get("kind")))

        task = asyncio.create_task(read())
        await asyncio.sleep(0)
        runtime.cluster.create_as("test", a_job())
        await until(lambda: {"Job", "Pod"} <= set(seen))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runtime.settled(10)


def test_an_immutable_config_map_stays_as_it_is(cluster: LocalCluster) -> None:
    """As on an API server: only a deletion ends it."""
    full = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "rain-history", "namespace": "default"},
        "data": {"a": "b"},
        "immutable": True,
    }
    made = cluster.create_as("mlops-operator", full)
    for change in ({"data": {"a": "c"}}, {"immutable": False}):
        with pytest.raises(Invalid, match="field is immutable when `immutable` is set"):
            cluster.apply_as("mlops-operator", {**full, **change})
    assert cluster.apply_as("mlops-operator", full) == (made, "unchanged")
    cluster.remove(Key("ConfigMap", "default", "rain-history"))
    assert cluster.apply_as("mlops-operator", {**full, "data": {"a": "c"}})[1] == "created"
