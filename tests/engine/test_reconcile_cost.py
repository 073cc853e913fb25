"""What is over costs nothing: an event leads to the same work beside ten objects and beside eighty.

Counted are reconciles, writes and objects parsed; `bench/reconcile_cost.py` measures the time, and has the worlds.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from bench import reconcile_cost
from mlops.api import kinds
from mlops.planning import model_history
from mlops.planning.history_entries import entries
from mlops.planning.plan import Key
from mlops.planning.views import TrainingRunView
from tests.planning.builders import a_run

FEW, MANY = 10, 80


async def work(monkeypatch: pytest.MonkeyPatch, event: str, size: int) -> dict[str, float]:
    """Return how much follows from the event, and how many objects are parsed meanwhile."""
    world = reconcile_cost.World()
    reconcile_cost.BEFORE[event](world, size)
    await world.settle()
    world.forget_figures()
    parsed: list[Any] = []
    parse = kinds.parse
    with monkeypatch.context() as patch:
        patch.setattr(kinds, "parse", lambda manifest: parsed.append(manifest) or parse(manifest))
        reconcile_cost.EVENTS[event](world, size)
        await world.settle()
    return {"reconciles": world.reconciles, "writes": world.writes, "parsed": len(parsed)}


@pytest.mark.parametrize("event", list(reconcile_cost.EVENTS))
async def test_the_work_does_not_grow_with_what_is_over(monkeypatch: pytest.MonkeyPatch, event: str) -> None:
    few = await work(monkeypatch, event, FEW)
    assert few == await work(monkeypatch, event, MANY)
    assert few["parsed"] <= 2 * few["writes"] + 2


async def calls(event: str, size: int) -> int:
    """Return how many functions are called in all reconciles that follow from the event."""
    world = reconcile_cost.World()
    reconcile_cost.BEFORE[event](world, size)
    await world.settle()
    reconcile, counted = world._reconciler.reconcile, 0

    def count(_frame: object, what: str, _argument: object) -> None:
        nonlocal counted
        counted += what in ("call", "c_call")

    async def watched(key: Key) -> None:
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            await reconcile(key)
        finally:
            sys.setprofile(before)

    world._reconciler.reconcile = watched  # type: ignore[method-assign]
    reconcile_cost.EVENTS[event](world, size)
    await world.settle()
    return counted


@pytest.mark.parametrize("event", list(reconcile_cost.EVENTS))
async def test_a_reconcile_calls_hardly_more_beside_what_is_over(monkeypatch: pytest.MonkeyPatch, event: str) -> None:
    """Whatever a clock says. Segments of a record are small here, so that eighty versions fill as many as thousands."""
    monkeypatch.setattr(model_history, "SEGMENT_BYTES", 2_400)
    few = await calls(event, FEW)
    assert few > 1_000
    assert await calls(event, MANY) <= 1.3 * few


async def a_settled_model(size: int) -> reconcile_cost.World:
    world = reconcile_cost.World()
    reconcile_cost.BEFORE["versions"](world, size)
    await world.settle()
    return world


def ready(world: reconcile_cost.World, number: int) -> tuple[str, str]:
    version = world.get(Key("ModelVersion", "team", f"rain-v{number}"))
    said = next(each for each in version["status"]["conditions"] if each["type"] == "Ready")
    return said["reason"], said["message"]


async def test_an_old_version_says_who_took_over_first() -> None:
    world = await a_settled_model(FEW)
    for number in (FEW, FEW + 1):
        reconcile_cost.EVENTS["versions"](world, number)
        await world.settle()
    assert ready(world, 1) == ("Superseded", "version 2 took over")
    assert ready(world, FEW) == ("Superseded", f"version {FEW + 1} took over")
    assert ready(world, FEW + 2)[0] == "Serving"


async def test_the_newest_that_is_settled_serves_when_the_live_one_goes() -> None:
    """It was left out of the plans as long as that one decided everything."""
    world = await a_settled_model(FEW)
    live = Key("ModelVersion", "team", f"rain-v{FEW}")
    await world.delete(live, "")
    await world.settle()
    assert ready(world, FEW - 1)[0] == "Serving"
    assert ready(world, FEW - 2)[0] == "Superseded"
    recorded = {(each["event"], each["number"]) for each in entries(world.list("ConfigMap"))}
    assert ("Deleted", FEW) in recorded, "what is deleted is on record"


async def test_a_withdrawn_version_gives_way_to_the_newest_that_is_settled() -> None:
    world = await a_settled_model(FEW)
    there = world.get(Key("ModelVersion", "team", f"rain-v{FEW}"))
    metadata = {**there["metadata"], "generation": 2}
    world.put({**there, "metadata": metadata, "spec": {**there["spec"], "withdrawn": True}})
    await world.settle()
    assert ready(world, FEW)[0] == "Withdrawn"
    assert ready(world, FEW - 1)[0] == "Serving"


async def test_a_run_sees_what_was_withdrawn_and_not_what_was_superseded() -> None:
    """The loop makes no withdrawn model again: that it has is known when the Job is over, and registered at once."""
    world = await a_settled_model(FEW)
    there = world.get(Key("ModelVersion", "team", "rain-v2"))
    world.put(
        {**there, "metadata": {**there["metadata"], "generation": 2}, "spec": {**there["spec"], "withdrawn": True}}
    )
    await world.settle()
    world.put(a_run().dump())
    view = world.gatherer.view(Key("TrainingRun", "team", "rain-1"))
    assert isinstance(view, TrainingRunView)
    names = {version.metadata.name for version in view.versions}
    assert names == {"rain-v2", f"rain-v{FEW - 2}", f"rain-v{FEW - 1}", f"rain-v{FEW}"}


async def test_who_owns_what_serves_does_not_depend_on_the_numbers() -> None:
    """Most of them may have been deleted: the newest three are found all the same."""
    world = await a_settled_model(2)
    for number in (40, 41):
        reconcile_cost.EVENTS["versions"](world, number)
        await world.settle()
    [server] = world.list("Deployment")
    owners = [each["name"] for each in server["metadata"]["ownerReferences"]]
    assert owners == ["rain-v2", "rain-v41", "rain-v42"]
    await world.delete(Key("ModelVersion", "team", "rain-v41"), "")
    await world.settle()
    reconcile_cost.EVENTS["versions"](world, 80)
    await world.settle()
    [server] = world.list("Deployment")
    owners = [each["name"] for each in server["metadata"]["ownerReferences"]]
    assert owners == ["rain-v2", "rain-v42", "rain-v81"]


async def test_what_serves_has_few_owners_and_goes_with_the_last_version() -> None:
    world = await a_settled_model(FEW)
    left = FEW
    while left:
        [server] = world.list("Deployment")
        owners = {each["name"] for each in server["metadata"]["ownerReferences"]}
        there = {each["metadata"]["name"] for each in world.list("ModelVersion")}
        assert 0 < len(owners) <= 4
        assert owners <= there, "one that is gone would not hold it"
        await world.delete(Key("ModelVersion", "team", f"rain-v{left}"), "")
        await world.settle()
        left = left - 1 if left > 4 else 0
