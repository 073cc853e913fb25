"""What was of a model's versions: recorded while they are there, and still there when they are not."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from mlops.api import tasks
from mlops.planning import history_entries, history_replay, model_history
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


@pytest.fixture(autouse=True)
def _read_again() -> None:
    """Each test has the record read: what another test has cached of the same text would hide what breaks."""
    model_history._known.cache_clear()
    history_entries.known_entry.cache_clear()


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
    return [(one["version"], one["event"], one.get("stage", "")) for one in history_entries.entries(maps)]


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


def _link(segment: Manifest) -> Manifest:
    """Return what chains the last entry of a segment to the one before."""
    last = history_entries.entries([segment])[-1]
    return {name: last[name] for name in ("entry", "previous", "hash")}


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
    ends = [(entry["version"], entry["event"]) for entry in history_entries.entries([after])][-2:]
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
    text = "a hand's note\n" + first["data"][history_entries.FILE] + '{"cut off'
    edited = {**first, "data": {history_entries.FILE: text}}
    (second,) = _written(_view(a_live_version(1), a_live_version(2), history=(edited,)))
    assert second["data"][history_entries.FILE].startswith(text)
    assert [entry["version"] for entry in history_entries.entries([second])][-1] == "rain-v2"


BAD_LINES = [
    pytest.param({"version": None}, id="no version"),
    pytest.param({"event": 7}, id="an event that is no text"),
    pytest.param({"time": None}, id="no time"),
    pytest.param({"number": -1}, id="a number below all"),
    pytest.param({"number": 1_000_000}, id="the first number beyond all versions"),
    pytest.param({"number": "7"}, id="a number that is a text"),
    pytest.param({"parentVersion": 1}, id="a parent that is no text"),
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
    line = {**history_entries.entries([first])[-1], "version": "by-hand", "uid": "hand", **change}
    text = first["data"][history_entries.FILE] + json.dumps(line) + "\n"
    edited = {**first, "data": {history_entries.FILE: text}}
    assert (model_history.strange_lines(first), model_history.strange_lines(edited)) == (0, 1)
    assert _written(_view(a_live_version(1), history=(edited,))) == []
    (second,) = _written(_view(a_live_version(1), a_live_version(2), history=(edited,)))
    assert second["data"][history_entries.FILE].startswith(text)
    assert model_history.highest_number([second]) == 2


def test_a_full_segment_is_left_alone_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ConfigMap holds a MiB; the record of a model has no end."""
    monkeypatch.setattr(model_history, "SEGMENT_BYTES", 700)
    history: dict[str, Manifest] = {}
    for number in range(1, 12):
        versions = [a_live_version(each) for each in range(1, number + 1)]
        for segment in _written(_view(*versions, history=tuple(history.values()))):
            name, text = segment["metadata"]["name"], segment["data"][history_entries.FILE]
            assert text.startswith(history.get(name, segment)["data"][history_entries.FILE])
            assert len(text.encode()) <= 700 or text.count("\n") == 1
            history[name] = segment
    assert list(history)[:3] == ["rain-history", "rain-history-1", "rain-history-2"]
    named = {entry["version"] for entry in history_entries.entries(reversed(history.values()))}
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
    entries = sorted(history_entries.entries(maps), key=lambda entry: str(entry["time"]))
    return {stage: entry["version"] for stage, entry in history_replay.live_at(entries, world.now).items()}


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
    assert list(history_replay.live_at(history_entries.entries(maps), then)) == ["staging", "production"]
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
    entries = history_entries.entries([first])
    assert (entries[-1]["event"], entries[-1].get("stage")) == ("Failed", None)
    assert list(history_replay.live_at(entries, NOW - timedelta(minutes=45))) == ["production"]
    assert history_replay.live_at(entries, NOW) == {}
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
    texts = [segment["data"][history_entries.FILE].encode() for segment in _written(_view(*versions))]
    assert len(texts) > 5
    for text, following in pairwise(texts):
        assert len(text) <= 3_000 < len(text) + len(following.splitlines(keepends=True)[0])
    assert sum(text.count(b"\n") for text in texts) == 2 * len(versions)


@pytest.mark.parametrize("line", ["[]", "7", '"text"', "null", "{}", "{", "[" * 100_000], ids=lambda line: line[:6])
def test_a_line_that_is_no_entry_is_passed_over(line: str) -> None:
    """Whatever JSON it is, or none."""
    segment = {"metadata": {"name": "rain-history"}, "data": {history_entries.FILE: line + "\n"}}
    assert history_entries.entries([segment]) == []
    assert model_history.strange_lines(segment) == 1
    assert model_history.highest_number([segment]) == 0


def _line(**changes: Any) -> str:
    known = {"time": "2026-01-10T11:00:00Z", "event": "Registered", "version": "rain-v1", "uid": "u", "number": 1}
    return json.dumps({**known, **changes}) + "\n"


def _segments(*texts: str) -> list[Manifest]:
    names = ("rain-history", *(f"rain-history-{number}" for number in range(1, len(texts))))
    made = [{"metadata": {"name": n}, "data": {history_entries.FILE: t}} for n, t in zip(names, texts, strict=True)]
    return [*({**full, "immutable": True} for full in made[:-1]), *made[-1:]]


def test_the_bounds_of_what_a_line_may_say() -> None:
    """A version has up to six digits, and a whole number up to 2 to the 53rd."""
    for number in (1, 999_999):
        assert model_history.highest_number(_segments(_line(number=number))) == number
    for made_of, highest in ((2**53, 2**53), (2**53 + 1, 0), (0, 0), (-1, 0), (True, 0), ("4", 0), (None, 0)):
        text = _line(dataset="weather", datasetVersion=made_of)
        assert model_history.highest_dataset_version(_segments(text), "weather") == highest
    assert model_history.highest_number([]) == model_history.highest_dataset_version([], "weather") == 0


def test_the_highest_of_all_segments_counts() -> None:
    """Whatever their order, and a ConfigMap without data holds nothing."""
    texts = [_line(number=3, dataset="weather", datasetVersion=9), _line(number=2, dataset="weather", datasetVersion=4)]
    for segments in (_segments(*texts), _segments(*texts)[::-1]):
        assert model_history.highest_number(segments) == 3
        assert model_history.highest_dataset_version(segments, "weather") == 9
    for data in ({}, {"data": None}, {"data": {}}, {"data": {history_entries.FILE: None}}):
        empty = {"metadata": {"name": "rain-history"}, **data}
        assert (history_entries.entries([empty]), model_history.strange_lines(empty)) == ([], 0)


def test_segments_are_read_in_the_order_of_their_numbers() -> None:
    """Ten comes after nine; a name without a number is the first."""
    texts = [_line(version=f"rain-v{number}", number=number + 1) for number in range(12)]
    read = [entry["version"] for entry in history_entries.entries(_segments(*texts)[::-1])]
    assert read == [f"rain-v{number}" for number in range(12)]


def test_what_is_recorded_of_a_version_is_all_that_its_status_says() -> None:
    """Where it comes from at first, then each step, the oldest first."""
    steps = [
        {"time": "2026-01-10T11:45:00Z", "to": "Superseded", "reason": "version 2 took over"},
        {"time": "2026-01-10T11:40:00Z", "to": "Failed", "stage": "production", "reason": "told"},
        {"time": "2026-01-10T11:30:00Z", "to": "production", "reason": "passed"},
    ]
    lineage = {"trainingRun": "rain-0", "dataset": "weather", "datasetVersion": 4}
    version = a_live_version(1, status={"transitions": steps, "lineage": lineage})
    named = {"version": "rain-v1", "number": 1, "uid": "uid-rain-v1", "artifact": version.status.artifact}
    live = {**named, "event": "Live", "stage": "production", "reason": "passed", "cause": "rollout"}
    failed = {**named, "event": "Failed", "stage": "production", "reason": "told", "cause": "pods"}
    over = {**named, "event": "Superseded", "reason": "version 2 took over", "cause": "rollout"}
    assert model_history.entries_of(version, version.status) == [
        {"time": "2026-01-10T11:00:00Z", "event": "Registered", "cause": "user", **named, **lineage},
        {"time": "2026-01-10T11:30:00Z", **live},
        {"time": "2026-01-10T11:40:00Z", **failed},
        {"time": "2026-01-10T11:45:00Z", **over},
    ]
    (segment,) = _written(_view(version))
    assert segment == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "rain-history",
            "namespace": "team",
            "labels": {
                "app.kubernetes.io/name": "history",
                "app.kubernetes.io/component": "history",
                "app.kubernetes.io/part-of": "mlops",
                "app.kubernetes.io/managed-by": "mlops-operator",
                "mlops.dev/model": "rain",
            },
        },
        "data": {history_entries.FILE: segment["data"][history_entries.FILE]},
    }
    first, second, *_ = segment["data"][history_entries.FILE].splitlines()
    previous, own = json.loads(first)["hash"], json.loads(second)["hash"]
    assert second == (
        f'{{"artifact":"sha256:{"1" * 64}","cause":"rollout","entry":2,"event":"Live","from":[],"hash":"{own}",'
        f'"number":1,"previous":"{previous}","reason":"passed","stage":"production","time":"2026-01-10T11:30:00Z",'
        '"to":["production"],"uid":"uid-rain-v1","version":"rain-v1"}'
    ), "keys in order, no spaces"
    (foreign,) = _written(_view(with_status(a_live_version(1), {**version.status.dump(), "transitions": [A_STEP]})))
    assert "日本" in foreign["data"][history_entries.FILE], "as a reader reads it"


def test_nothing_is_recorded_of_a_version_before_it_is_known_which_model_it_is() -> None:
    """Nor of one that was never written. Where it comes from is what its status says, or else its spec."""
    version = a_version(1, spec={"lineage": {"trainingRun": "rain-1"}})
    assert model_history.entries_of(version, version.status) == []
    known = with_status(version, {"artifact": "sha256:" + "1" * 64})
    assert model_history.entries_of(known, known.status)[0]["trainingRun"] == "rain-1"
    unborn = a_version(1, metadata={"creationTimestamp": None})
    assert model_history.entries_of(unborn, known.status) == []


def test_a_status_that_is_about_to_be_written_is_recorded_with_it() -> None:
    """The plan writes it before the record."""
    version = a_version(1)
    status = with_status(version, {"artifact": "sha256:" + "1" * 64}).status
    assert _written(_view(version)) == []
    [segment] = model_history.segments(_view(version), {Key("ModelVersion", "team", "rain-v1"): status})
    assert [entry["event"] for entry in history_entries.entries([segment])] == ["Registered"]


def test_a_version_that_is_gone_is_said_to_be_once_with_its_name_and_time() -> None:
    """What was last known of it tells who it was; nothing is said where nobody knows what is there."""
    history = tuple(_written(_view(a_live_version(3))))
    assert _written(at(_view(history=history), present=None)) == []
    (after,) = _written(_view(history=history))
    assert history_entries.entries([after])[-1] == {
        "time": "2026-01-10T12:00:00Z",
        "event": "Deleted",
        "version": "rain-v3",
        "number": 3,
        "uid": "uid-rain-v3",
        "artifact": "sha256:" + "3" * 64,
        "cause": "deletion",
        "from": ["production"],
        "to": [],
        **_link(after),
    }
    lines = _segments(_line(), _line(event="Deleted"))
    assert _written(_view(history=tuple(lines))) == [], "a later segment says so"


def test_a_step_is_known_by_its_version_its_event_its_stage_and_its_time() -> None:
    """A version is registered once, whatever time that is said to be of."""
    entry = json.loads(_line(event="Live", stage="production"))
    others = [{"uid": "w"}, {"event": "Left"}, {"stage": "staging"}, {"time": "2026-01-10T11:00:01Z"}]
    for other in others:
        assert model_history.identity({**entry, **other}) != model_history.identity(entry), other
    for same in ({"reason": "x"}, {"number": 9}, {"version": "y"}):
        assert model_history.identity({**entry, **same}) == model_history.identity(entry), same
    registered = json.loads(_line())
    assert model_history.identity({**registered, "time": "x"}) == model_history.identity(registered)


@pytest.mark.parametrize(
    ("steps", "live"),
    [
        pytest.param([("Live", "a", "u")], {"a": "u"}, id="entered"),
        pytest.param([("Live", "a", "u"), ("Live", "a", "w")], {"a": "w"}, id="another took over"),
        pytest.param([("Live", "a", "u"), ("Live", "b", "u"), ("Left", "a", "u")], {"b": "u"}, id="left one stage"),
        pytest.param([("Live", "a", "u"), ("Left", "a", "w")], {"a": "u"}, id="another left"),
        pytest.param([("Live", "a", "u"), ("Live", "b", "u"), ("Withdrawn", None, "u")], {}, id="withdrawn"),
        pytest.param([("Live", "a", "u"), ("Deleted", None, "w")], {"a": "u"}, id="another deleted"),
        pytest.param([("Live", "a", "u"), ("Failed", "a", "u")], {"a": "u"}, id="failed in a stage, and may answer"),
        pytest.param([("Live", "a", "u"), ("Failed", None, "u")], {}, id="failed, as an earlier release says it"),
        pytest.param([("Registered", None, "u")], {}, id="only registered"),
        pytest.param([("Live", "a", "u"), ("Registered", None, "u")], {"a": "u"}, id="registered says nothing"),
    ],
)
def test_who_is_live_follows_from_the_steps(steps: list[tuple[str, str | None, str]], live: dict[str, str]) -> None:
    """Those up to the time that is asked for, that second too."""
    time = "2026-01-10T12:00:00Z"
    events = [
        {"time": time, "event": event, "uid": uid, **({"stage": stage} if stage else {})} for event, stage, uid in steps
    ]
    found = history_replay.live_at(events, NOW)
    assert {stage: entry["uid"] for stage, entry in found.items()} == live
    assert history_replay.live_at(events, NOW - timedelta(seconds=1)) == {}


def test_a_step_is_looked_up_once_however_long_the_record_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of thousands of versions has dozens of segments: a plan beside them costs the same."""
    monkeypatch.setattr(model_history, "SEGMENT_BYTES", 700)
    made = _written(_view(*(a_live_version(number) for number in range(1, 31))))
    assert len(made) > 10
    view = at(_view(a_live_version(29), a_live_version(30), history=tuple(made)), present=None)
    assert _written(view) == []
    identity, asked = model_history.identity, []
    monkeypatch.setattr(model_history, "identity", lambda entry: asked.append(entry) or identity(entry))
    assert _written(view) == []
    assert len(asked) == 4, "each of two versions was registered, and is live"
