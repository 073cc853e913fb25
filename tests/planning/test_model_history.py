"""What was of a model's versions: recorded while they are there, and still there when they are not."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from mlops.api import tasks
from mlops.planning import model_history
from mlops.planning.dataset.planner import plan as plan_dataset
from mlops.planning.plan import Key, Manifest
from mlops.planning.training.registering import free_number
from mlops.planning.views import DatasetView, ModelView, PodEnd, TrainingRunView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_dataset,
    a_live_version,
    a_run,
    a_verify_report,
    a_version,
    an_ingest_report,
    at,
    finished,
    with_status,
)
from tests.planning.world import World

A_STEP = {"time": "2026-01-10T11:00:00Z", "to": "production", "reason": "日本" * 30}


def _world(*numbers: int) -> World:
    world = World(lambda task: a_verify_report() if isinstance(task, tasks.VerifyTask) else None)
    for number in numbers:
        world.put(a_version(number))
        world.settle()
    return world


def _recorded(world: World) -> list[tuple[str, str, str]]:
    """(version, event, stage) of what is on record."""
    maps = [manifest for key, manifest in world.objects.items() if key.kind == "ConfigMap"]
    return [(one["version"], one["event"], one.get("stage", "")) for one in model_history.entries(maps)]


def test_the_way_of_each_version_is_on_record() -> None:
    """Made, live, superseded: in the order in which it happened."""
    assert _recorded(_world(1, 2)) == [
        ("rain-v1", "Registered", ""),
        ("rain-v1", "Live", "production"),
        ("rain-v2", "Registered", ""),
        ("rain-v1", "Superseded", ""),
        ("rain-v2", "Live", "production"),
    ]


def test_a_deleted_version_stays_on_record_with_its_end() -> None:
    """Whoever deletes it, and however: the planner sees that it is gone."""
    world = _world(1, 2)
    before = _recorded(world)
    world.delete("ModelVersion", "rain-v1")
    world.settle()
    assert _recorded(world) == [*before, ("rain-v1", "Deleted", "")]
    world.settle()
    assert len(_recorded(world)) == len(before) + 1


def _view(*versions: Any, history: tuple[Manifest, ...] = (), **changes: Any) -> ModelView:
    return ModelView(
        now=NOW,
        settings=SETTINGS,
        namespace="team",
        model_name="rain",
        versions=versions,
        history=history,
        present=frozenset(version.metadata.uid for version in versions),
        **changes,
    )


def _written(view: ModelView) -> list[Manifest]:
    return list(model_history.segments(view, {}))


def test_when_all_versions_are_gone_the_record_says_so() -> None:
    """No version is left to plan for, and the facts are still there."""
    history = tuple(_written(_view(a_live_version(1), a_live_version(2))))
    (after,) = _written(_view(history=history))
    ends = [(entry["version"], entry["event"]) for entry in model_history.entries([after])][-2:]
    assert ends == [("rain-v1", "Deleted"), ("rain-v2", "Deleted")]
    assert _written(_view(history=(after,))) == []


def test_a_version_that_only_leaves_or_does_not_parse_is_not_called_deleted() -> None:
    """It is in no view, and still in the cluster."""
    version = a_live_version(1)
    history = tuple(_written(_view(version)))
    assert _written(at(_view(history=history), present=frozenset([version.metadata.uid]))) == []


def test_lines_are_added_and_never_changed() -> None:
    """Also what somebody else wrote into it, and an unfinished last line."""
    (first,) = _written(_view(a_live_version(1)))
    text = "a hand's note\n" + first["data"][model_history.FILE] + '{"cut off'
    edited = {**first, "data": {model_history.FILE: text}}
    (second,) = _written(_view(a_live_version(1), a_live_version(2), history=(edited,)))
    assert second["data"][model_history.FILE].startswith(text)
    assert [entry["version"] for entry in model_history.entries([second])][-1] == "rain-v2"


BAD_LINES = [
    pytest.param({"stage": []}, id="a stage that is no text"),
    pytest.param({"event": "Live", "stage": None}, id="live nowhere"),
    pytest.param({"event": "Left", "stage": None}, id="left nothing"),
    pytest.param({"time": "yesterday"}, id="a time that is none"),
    pytest.param({"time": "2026-01-10T12:00:00"}, id="a time without zone"),
    pytest.param({"number": 0}, id="a number that no version has"),
    pytest.param({"number": 10**7}, id="a number beyond all versions"),
    pytest.param({"number": True}, id="a truth value for a number"),
    pytest.param({"number": 1.5}, id="a fraction"),
    pytest.param({"uid": {}}, id="an uid that is no text"),
    pytest.param({"artifact": 7}, id="an artifact that is no text"),
    pytest.param({"trainingRun": {}}, id="a run that is no text"),
    pytest.param({"reason": []}, id="a reason that is no text"),
]


@pytest.mark.parametrize("change", BAD_LINES)
def test_a_line_that_a_hand_broke_stops_nothing(change: dict[str, Any]) -> None:
    """It is passed over and counted, the record goes on behind it, and the line is left as it is."""
    (first,) = _written(_view(a_live_version(1)))
    line = {**model_history.entries([first])[-1], "version": "by-hand", "uid": "hand", **change}
    text = first["data"][model_history.FILE] + json.dumps(line) + "\n"
    edited = {**first, "data": {model_history.FILE: text}}
    assert (model_history.strange_lines(first), model_history.strange_lines(edited)) == (0, 1)
    assert _written(_view(a_live_version(1), history=(edited,))) == []
    (second,) = _written(_view(a_live_version(1), a_live_version(2), history=(edited,)))
    assert second["data"][model_history.FILE].startswith(text)
    assert model_history.highest_number([second]) == 2


def test_a_full_segment_is_left_alone_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ConfigMap holds a MiB; the record of a model has no end."""
    monkeypatch.setattr(model_history, "SEGMENT_BYTES", 700)
    history: dict[str, Manifest] = {}
    for number in range(1, 12):
        versions = [a_live_version(each) for each in range(1, number + 1)]
        for segment in _written(_view(*versions, history=tuple(history.values()))):
            name, text = segment["metadata"]["name"], segment["data"][model_history.FILE]
            assert text.startswith(history.get(name, segment)["data"][model_history.FILE])
            assert len(text.encode()) <= 700 or text.count("\n") == 1
            history[name] = segment
    assert list(history)[:3] == ["rain-history", "rain-history-1", "rain-history-2"]
    named = {entry["version"] for entry in model_history.entries(reversed(history.values()))}
    assert named == {f"rain-v{number}" for number in range(1, 12)}
    assert _written(_view(*versions, history=tuple(history.values()))) == []


def test_a_number_is_not_given_twice_though_its_version_and_its_run_were_deleted() -> None:
    """Else `rain-v5` would be two models, and whoever notes that name would not know which."""
    history = tuple(_written(_view(a_live_version(5))))
    run = a_run()
    view = TrainingRunView(now=NOW, settings=SETTINGS, run=run, versions=(a_version(3),), history=history)
    assert free_number(view) == 6
    assert free_number(at(view, history=())) == 4


def test_a_dataset_that_was_made_again_goes_on_after_what_is_spoken_for() -> None:
    """Finished runs and versions name the numbers of the one that was deleted."""
    view = DatasetView(now=NOW, settings=SETTINGS, dataset=a_dataset(), spoken_for=7)
    (job,) = plan_dataset(view).create
    plan = plan_dataset(at(view, jobs=(finished(job, an_ingest_report()),)))
    status = plan.statuses[Key("Dataset", "team", "weather")].dump()
    assert (status["version"], status["history"][0]["version"]) == (8, 8)
    later = with_status(view.dataset, status)
    again = at(view, dataset=later, now=NOW + timedelta(hours=1), spoken_for=0)
    assert plan_dataset(again).statuses[Key("Dataset", "team", "weather")].version == 8


def test_the_record_knows_the_versions_of_datasets() -> None:
    """For the gatherer: also when the model's versions were deleted with the Dataset."""
    made_of = {"dataset": "weather", "datasetVersion": 4}
    version = with_status(a_version(1), {"artifact": "sha256:" + "1" * 64, "lineage": made_of})
    history = _written(_view(version))
    assert model_history.highest_dataset_version(history, "weather") == 4
    assert model_history.highest_dataset_version(history, "other") == 0


def _live(world: World) -> dict[str, str]:
    """Return which version the record says is live in which stage now."""
    maps = [manifest for key, manifest in world.objects.items() if key.kind == "ConfigMap"]
    entries = sorted(model_history.entries(maps), key=lambda entry: str(entry["time"]))
    return {stage: entry["version"] for stage, entry in model_history.live_at(entries, world.now).items()}


def _served(world: World) -> dict[str, str]:
    """Return the same as the versions' statuses say."""
    versions = [world.get("ModelVersion", name) for name in world.names("ModelVersion")]
    return {stage: version.metadata.name for version in versions for stage in version.status.stages}


TWO_STAGES = {"stages": [{"name": "staging"}, {"name": "production"}]}
TOO_SLOW = {"name": "staging", "gates": [{"latency": {"p99Milliseconds": 1}}]}


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        pytest.param([{"name": "production"}], "spec.promotion names it no more", id="a stage is taken away"),
        pytest.param([TOO_SLOW, {"name": "production"}], "LatencyTooHigh for staging", id="its gate is edited"),
    ],
)
def test_a_stage_that_an_edit_has_it_leave_is_on_record(edit: list[Any], why: str) -> None:
    """It is live there no more, and goes on where it is."""
    world = _world()
    world.put(a_version(1, spec={"promotion": TWO_STAGES}))
    world.settle()
    assert _live(world) == _served(world) == {"staging": "rain-v1", "production": "rain-v1"}
    then = world.now
    world.now += timedelta(hours=1)
    world.change("ModelVersion", "rain-v1", promotion={"stages": edit})
    world.settle()
    assert _recorded(world)[-1] == ("rain-v1", "Left", "staging")
    assert _live(world) == _served(world) == {"production": "rain-v1"}
    step = world.get("ModelVersion", "rain-v1").status.transitions[0]
    assert (step.to, step.stage) == ("Left", "staging")
    assert step.reason.startswith(f"staging: {why}")
    maps = [manifest for key, manifest in world.objects.items() if key.kind == "ConfigMap"]
    assert list(model_history.live_at(model_history.entries(maps), then)) == ["staging", "production"]
    world.now += timedelta(hours=1)
    world.change("ModelVersion", "rain-v1", promotion=TWO_STAGES)
    world.settle()
    assert _live(world) == _served(world) == {"staging": "rain-v1", "production": "rain-v1"}


def test_what_fails_in_one_stage_is_live_in_the_other() -> None:
    """The record says where it failed."""
    world = _world()
    said = tasks.write_report(tasks.FailureReport(reason="GoldenFailed", message="told"))
    end = PodEnd(2, "Error", said, NOW + timedelta(days=1), NOW + timedelta(days=1))
    world.troubled_stages["production"] = {"waits": "CrashLoopBackOff", "restarts": 3, "end": end}
    world.put(a_version(1, spec={"promotion": TWO_STAGES}))
    world.settle()
    assert ("rain-v1", "Failed", "production") in _recorded(world)
    assert _live(world) == _served(world) == {"staging": "rain-v1"}


def test_a_failure_of_an_earlier_release_names_no_stage() -> None:
    """Its line stays as it is, is read as it was, and is not recorded a second time."""
    failed = {"time": "2026-01-10T11:30:00Z", "to": "Failed", "reason": "ServingFailed in production: told"}
    version = a_live_version(1)
    version = with_status(
        version, {**version.status.dump(), "transitions": [failed, *version.status.dump()["transitions"]]}
    )
    (first,) = _written(_view(version))
    entries = model_history.entries([first])
    assert (entries[-1]["event"], entries[-1].get("stage")) == ("Failed", None)
    assert list(model_history.live_at(entries, NOW - timedelta(minutes=45))) == ["production"]
    assert model_history.live_at(entries, NOW) == {}
    assert _written(_view(version, history=(first,))) == []


def test_a_record_that_grows_or_is_edited_is_read_as_it_is() -> None:
    """What was parsed of an earlier text counts only for as far as the new one is the same."""
    segment = {"metadata": {"name": "rain-history", "namespace": "team"}}
    strange = [
        model_history.strange_lines({**segment, "data": {"history.jsonl": text}})
        for text in (
            "no\n",
            "no\nnor this\n",
            "no\n\n",
            "no\nnor this\nthis\n",
            "nor this",
            "no",
            "no\nnor",
            "no\nnor this",
        )
    ]
    assert strange == [1, 2, 2, 3, 1, 1, 2, 2]


def test_a_plan_that_has_much_to_record_fills_one_segment_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are counted, not letters, and a segment ends only where the next line would not fit."""
    monkeypatch.setattr(model_history, "SEGMENT_BYTES", 3_000)
    versions = [a_live_version(n, status={"transitions": [A_STEP]}) for n in range(1, 40)]
    texts = [segment["data"][model_history.FILE].encode() for segment in _written(_view(*versions))]
    assert len(texts) > 5
    for text, following in pairwise(texts):
        assert len(text) <= 3_000 < len(text) + len(following.splitlines(keepends=True)[0])
    assert sum(text.count(b"\n") for text in texts) == 2 * len(versions)
