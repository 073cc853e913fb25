"""What was of a model's versions: recorded while they are there, and still there when they are not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from mlops.api import tasks
from mlops.planning import model_history
from mlops.planning.dataset.planner import plan as plan_dataset
from mlops.planning.plan import Key, Manifest
from mlops.planning.training.registering import free_number
from mlops.planning.views import DatasetView, ModelView, TrainingRunView
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
