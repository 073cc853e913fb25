"""What memory believes when news come late, twice, out of order, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mlops.api import labels
from mlops.cluster.memory import Memory
from mlops.planning.plan import Key, Manifest

JOB = Key("Job", "team", "train")
Change = tuple[str | None, str | None]


@pytest.fixture
def changes(memory: Memory) -> list[Change]:
    """The resourceVersions before and after each change that was told."""
    told: list[Change] = []

    def version(manifest: Manifest | None) -> str | None:
        return manifest["metadata"]["resourceVersion"] if manifest else None

    memory.watch(lambda old, new: told.append((version(old), version(new))))
    return told


def a_job(version: int, uid: str = "one", name: str = "train", **metadata: Any) -> Manifest:
    own = {"name": name, "namespace": "team", "uid": uid, "resourceVersion": str(version), **metadata}
    # Each version has news in what is read of a Job.
    status = {"completionTime": f"2026-01-01T00:00:{version:02}Z"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": own, "spec": {}, "status": status}


def version_in(memory: Memory) -> str | None:
    there = memory.get(JOB)
    return there["metadata"]["resourceVersion"] if there else None


def test_an_older_version_does_not_replace_a_newer_one(memory: Memory, changes: list[Change]) -> None:
    """The answer to a write comes before the watch has shown the state before it."""
    memory.take(a_job(9))
    assert not memory.take(a_job(8))
    assert not memory.take(a_job(9))
    assert memory.take(a_job(10))
    assert changes == [(None, "9"), ("9", "10")]


def test_versions_are_numbers(memory: Memory) -> None:
    memory.take(a_job(9))
    memory.take(a_job(10))
    assert version_in(memory) == "10"


async def test_what_is_gone_does_not_come_back(memory: Memory, changes: list[Change]) -> None:
    """An event of the object that was late, or a list that is older than its deletion."""
    memory.take(a_job(5))
    memory.forget(a_job(8))
    memory.take(a_job(7))
    await memory.take_list("Job", "team", [a_job(5)], version=6)
    assert memory.get(JOB) is None
    assert changes == [(None, "5"), ("5", None)]


async def test_what_is_not_ours_outlives_the_lists_of_what_is(memory: Memory) -> None:
    """A look by name found it; no list shows it, so none tells that it is gone."""
    for version in (5, 6):
        memory.take_found(JOB, a_job(version, labels={"app": "theirs"}))
        await memory.take_list("Job", "team", [], version=500)
        assert version_in(memory) == str(version)
        assert memory.list("Job", "team") == []
    memory.take(a_job(900, labels={labels.MANAGED_BY: labels.MANAGER}))
    assert (version_in(memory), memory.strangers("Job")) == ("900", [])
    memory.forget(a_job(901))
    assert memory.get(JOB) is None
    memory.take_found(JOB, a_job(902, labels={"app": "theirs"}))
    memory.take_found(JOB, None)
    assert memory.get(JOB) is None


def test_a_deletion_that_arrives_before_the_object_counts(memory: Memory, changes: list[Change]) -> None:
    memory.forget(a_job(8))
    memory.take(a_job(5))
    assert memory.get(JOB) is None
    assert changes == []


def test_an_object_whose_label_was_taken_and_given_back_is_seen_again(memory: Memory) -> None:
    """To a watch with a selector that is a deletion, and the same uid afterwards."""
    memory.take(a_job(5))
    memory.forget(a_job(6))
    memory.take(a_job(7))
    assert version_in(memory) == "7"


def test_a_new_object_of_the_same_name_is_another_one(memory: Memory, changes: list[Change]) -> None:
    """Whoever depended on the old one hears that it is gone."""
    memory.take(a_job(5, uid="one"))
    memory.take(a_job(9, uid="two"))
    memory.forget(a_job(8, uid="one"))
    assert version_in(memory) == "9"
    assert changes == [(None, "5"), ("5", None), (None, "9")]


async def test_a_list_shows_what_was_missed(memory: Memory, changes: list[Change]) -> None:
    memory.take(a_job(5))
    memory.take(a_job(6, uid="two", name="other"))
    differences = await memory.take_list("Job", "team", [a_job(7), a_job(8, uid="three", name="third")], version=9)
    assert differences == 3
    assert changes[2:] == [("5", "7"), (None, "8"), ("6", None)]


async def test_a_list_that_shows_nothing_new_is_no_news(memory: Memory, changes: list[Change]) -> None:
    memory.take(a_job(5))
    assert await memory.take_list("Job", "team", [a_job(5)], version=100) == 0
    assert len(changes) == 1


async def test_an_old_list_takes_nothing_away(memory: Memory) -> None:
    """It was answered from a cache that has not seen what we wrote just now."""
    memory.take(a_job(50))
    assert await memory.take_list("Job", "team", [], version=49) == 0
    assert version_in(memory) == "50"


async def test_a_list_of_one_namespace_says_nothing_of_another(memory: Memory) -> None:
    memory.take(a_job(5))
    await memory.take_list("Job", "elsewhere", [], version=100)
    assert version_in(memory) == "5"


async def test_others_have_their_turn_while_a_long_list_is_taken_in(memory: Memory) -> None:
    """A Lease has to be renewed whatever else there is to do."""
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(memory.count("Job"))
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await memory.take_list("Job", "team", [a_job(5, uid=str(n), name=f"job-{n}") for n in range(1_000)], version=9)
    task.cancel()
    assert turns[:9] == list(range(100, 1_000, 100))


def test_lists_are_in_the_order_of_creation(memory: Memory) -> None:
    for number, name in enumerate(["c", "a", "b"]):
        memory.take(a_job(number + 1, uid=name, name=name, creationTimestamp=f"2026-01-01T00:00:0{number}Z"))
    memory.take(a_job(9, uid="c", name="c", creationTimestamp="2026-01-01T00:00:00Z"))
    assert [job["metadata"]["name"] for job in memory.list("Job", "team")] == ["c", "a", "b"]
    assert [job["metadata"]["name"] for job in memory.list("Job")] == ["c", "a", "b"]


def test_labels_select_as_they_are_now(memory: Memory) -> None:
    mine = {labels.RUN: "rain", "team": "grid"}
    memory.take(a_job(1, uid="a", name="a", labels=mine))
    memory.take(a_job(2, uid="b", name="b", labels={labels.RUN: "rain"}))
    memory.take(a_job(3, uid="c", name="c", labels={labels.RUN: "sun"}))

    def names(**selector: str) -> list[str]:
        wanted = {labels.RUN if name == "run" else name: value for name, value in selector.items()}
        return [job["metadata"]["name"] for job in memory.list("Job", "team", wanted)]

    assert names(run="rain") == ["a", "b"]
    assert names(run="rain", team="grid") == ["a"]
    assert names(team="grid") == ["a"]
    memory.take(a_job(4, uid="a", name="a", labels={labels.RUN: "sun"}))
    assert names(run="rain") == ["b"]
    assert names(run="sun") == ["a", "c"]
    memory.forget(a_job(5, uid="b", name="b"))
    assert names(run="rain") == []


def test_fields_select_as_they_are_now(memory: Memory) -> None:
    """A version that does not parse is found by what of it can be read."""

    def take(version: int, name: str, spec: Any) -> None:
        own = {"name": name, "namespace": "team", "uid": name, "resourceVersion": str(version)}
        memory.take({"apiVersion": "mlops.dev/v1alpha1", "kind": "ModelVersion", "metadata": own, "spec": spec})

    def of_model(model: str) -> list[str]:
        found = memory.by_field("ModelVersion", "team", "spec.modelName", model)
        return [version["metadata"]["name"] for version in found]

    take(1, "b", {"modelName": "rain", "version": "bad"})
    take(2, "a", {"modelName": "rain"})
    take(3, "c", None)
    take(4, "d", {"modelName": {"not": "a name"}})
    assert of_model("rain") == ["a", "b"]
    take(5, "a", {"modelName": "sun"})
    assert (of_model("rain"), of_model("sun")) == (["b"], ["a"])
    memory.forget(memory.by_field("ModelVersion", "team", "spec.modelName", "rain")[0])
    assert of_model("rain") == []
    assert memory.by_field("ModelVersion", "elsewhere", "spec.modelName", "sun") == []


def test_a_change_that_nobody_reads_wakes_nobody(memory: Memory, changes: list[Change]) -> None:
    """The counters of a Job; the newest resourceVersion is there all the same."""
    for version in (5, 6):
        memory.take({**a_job(version), "status": {"active": version}})
    assert version_in(memory) == "6"
    memory.take({**a_job(7), "status": {"conditions": [{"type": "Complete", "status": "True"}]}})
    assert changes == [(None, "5"), ("6", "7")]
