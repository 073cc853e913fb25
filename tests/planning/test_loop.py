"""All four planners together in a simulated cluster: the loop closes, and no crash between writes changes the end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops.api import tasks
from mlops.planning.plan import Key
from tests.planning.builders import (
    a_dataset,
    a_drift_report,
    a_monitor,
    a_template,
    a_train_report,
    a_verify_report,
    an_ingest_report,
    digest,
)
from tests.planning.world import World

CHECK_TIME = datetime(2026, 1, 10, 13, 0, tzinfo=UTC)


def pods(task: tasks.Task) -> tasks.Report | None:
    """Answer every task; data looked at after the check differs, and so does the model made of it."""
    match task:
        case tasks.IngestTask():
            later = task.as_of >= "2026-01-10T13:00:00Z"
            return an_ingest_report("2" if later else "1", as_of=task.as_of)
        case tasks.TrainTask():
            first = task.dataset_digest == digest("1")
            champion = [{"name": "roc_auc", "dataset": "test", "value": "0.81"}] if task.champion_artifact else []
            return a_train_report("f" if first else "e", "0.82" if first else "0.85", champion_metrics=champion)
        case tasks.VerifyTask():
            return a_verify_report()
        case tasks.DriftTask():
            return a_drift_report("DataDrift")
    return None


def a_world() -> World:
    """Return a world with a Dataset, a template and a monitor, none of which has been looked at."""
    world = World(pods)
    world.put(a_dataset(), a_template(), a_monitor())
    return world


def outcome_of(world: World) -> dict[str, Any]:
    """Return what must not depend on crashes: names, pinned digests and where each version serves."""
    return {
        "jobs": world.names("Job"),
        "runs": {
            n: (r.status.inputs_digest, r.status.model_version_ref)
            for n in world.names("TrainingRun")
            for r in [world.get("TrainingRun", n)]
        },
        "versions": {
            n: (v.status.artifact, v.status.stages)
            for n in world.names("ModelVersion")
            for v in [world.get("ModelVersion", n)]
        },
        "ready": {
            f"{key.kind}/{key.name}": next(
                (c["status"], c["reason"]) for c in world.objects[key]["status"]["conditions"] if c["type"] == "Ready"
            )
            for key in sorted(world.objects)
            if key.kind in ("Dataset", "TrainingRun", "ModelVersion", "DriftMonitor")
        },
    }


def run_the_loop(world: World) -> None:
    world.settle()
    world.schedule("rain-drift-check", CHECK_TIME)
    world.settle()


def test_a_drift_leads_to_a_new_live_version() -> None:
    """From three manifests to version 1, and after a detected drift to version 2, with nobody doing anything."""
    world = a_world()
    run_the_loop(world)
    assert world.names("ModelVersion") == ["rain-v1", "rain-v2"]
    assert world.get("ModelVersion", "rain-v2").status.stages == ("production",)
    assert world.get("ModelVersion", "rain-v1").status.stages == ()
    monitor = world.get("DriftMonitor", "rain-drift")
    assert monitor.status.last_action.outcome == "Promoted"
    assert monitor.status.last_action.ref == "rain-retrain-202601101300"
    assert world.get("Dataset", "weather").status.version == 2
    assert all(status == "True" for status, _ in outcome_of(world)["ready"].values())


def test_the_new_data_makes_one_run_not_two() -> None:
    """The template's datasetVersion trigger does not repeat the run that the monitor made for the same data."""
    world = a_world()
    run_the_loop(world)
    assert [n for n in world.names("TrainingRun") if n != "rain"] == [
        world.get("TrainingRun", "rain").status.last_run,
        "rain-retrain-202601101300",
    ]
    assert world.get("TrainingRun", "rain").status.last_dataset_version == 2


def test_a_settled_world_plans_nothing() -> None:
    """Nothing is written for objects that are as they should be."""
    world = a_world()
    run_the_loop(world)
    world.assert_settled()


def test_each_object_first_says_unknown() -> None:
    """The very first status of each object has Ready=Unknown."""
    world = a_world()
    first: dict[Key, str] = {}
    for _ in range(30):
        for plan in world.plans():
            for key, status in plan.statuses.items():
                ready = next(each.status for each in status.conditions if each.type == "Ready")
                first.setdefault(key, ready)
            world.carry_out(plan)
        world.tick()
    assert len(first) == 5
    assert set(first.values()) == {"Unknown"}


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """Return the outcome without any crash."""
    world = a_world()
    run_the_loop(world)
    return outcome_of(world)


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_crash_after_every_few_writes_changes_nothing_in_the_end(writes: int, undisturbed: dict[str, Any]) -> None:
    """Plans of which only the first writes are carried out lead to the same names and digests, and to no orphans."""
    world = a_world()
    for _ in range(60):
        for plan in world.plans():
            world.carry_out(plan, writes=writes)
        world.tick()
        if world.now >= CHECK_TIME and "rain-drift-check" in world.names("CronJob"):
            world.schedule("rain-drift-check", CHECK_TIME)
    run_the_loop(world)
    assert outcome_of(world) == undisturbed


@pytest.mark.parametrize("crash_after", range(1, 40, 3))
def test_a_crash_after_any_write_changes_nothing_in_the_end(crash_after: int, undisturbed: dict[str, Any]) -> None:
    """The operator is gone after a number of writes, the cluster works on, and a new operator finds it so."""
    world, left = a_world(), crash_after
    for _ in range(12):
        for plan in world.plans():
            left -= world.carry_out(plan, writes=left)
        world.tick()
    run_the_loop(world)
    assert outcome_of(world) == undisturbed


def test_writes_are_few() -> None:
    """A model goes from manifest to traffic in a bounded number of status writes."""
    world = World(pods)
    world.put(a_dataset(), a_template())
    world.settle()
    assert world.get("ModelVersion", "rain-v1").status.stage == "production"
    # One of them says that the template's first run is under way, and one where the record of the model ends.
    assert world.status_writes <= 13
