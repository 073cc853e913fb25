"""The chain of a model's record: whatever is changed, removed, moved or cut off is found, and where."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from mlops.planning import model_history
from mlops.planning.history_chain import ChainCheck, ChainHead, checked, hash_of, head_of
from mlops.planning.history_entries import FILE, entries, written
from mlops.planning.plan import Key, Manifest
from mlops.planning.serving.planner import plan
from mlops.planning.views import ModelView
from tests.planning.builders import NOW, SETTINGS, a_live_version, a_version, at, with_status

Lines = list[str]


def a_view(*versions: Any, history: tuple[Manifest, ...] = ()) -> ModelView:
    uids = frozenset(version.metadata.uid for version in versions)
    return ModelView(NOW, SETTINGS, "team", "rain", versions=versions, history=history, present=uids)


def recorded(*versions: Any, history: tuple[Manifest, ...] = ()) -> tuple[Manifest, ...]:
    """Return the record as it is when these versions were planned."""
    made = {each["metadata"]["name"]: each for each in history}
    made |= {each["metadata"]["name"]: each for each in model_history.segments(a_view(*versions, history=history), {})}
    return tuple(made.values())


@pytest.fixture
def record() -> tuple[Manifest, ...]:
    """Eight entries in one ConfigMap."""
    return recorded(*(a_live_version(number) for number in range(1, 5)))


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> tuple[Manifest, ...]:
    """Entries in several ConfigMaps."""
    monkeypatch.setattr(model_history, "SEGMENT_BYTES", 1_500)
    return recorded(*(a_live_version(number) for number in range(1, 7)))


def edited(record: tuple[Manifest, ...], edit: Callable[[Lines], Lines], number: int = 0) -> list[Manifest]:
    lines = record[number]["data"][FILE].splitlines()
    text = "".join(f"{line}\n" for line in edit(lines))
    return [{**each, "data": {FILE: text}} if each is record[number] else each for each in record]


def check(history: Any, **known: ChainHead) -> ChainCheck:
    return checked("rain", history, known)


def fault(history: Any, **known: ChainHead) -> str:
    return str(check(history, **known).fault)


def test_a_record_that_nobody_touched_is_whole(record: tuple[Manifest, ...]) -> None:
    """Its head is that of the last entry, and the next one goes on from there."""
    found, last = check(record), entries(record)[-1]
    assert (found.fault, found.unchained) == (None, 0)
    assert found.head == head_of(record) == (8, last["hash"])
    again = recorded(*(a_live_version(number) for number in range(1, 6)), history=record)
    assert [each["entry"] for each in entries(again)] == list(range(1, 11))
    assert entries(again)[8]["previous"] == last["hash"]
    assert check(again).fault is None


def test_an_entry_that_was_changed_is_named(record: tuple[Manifest, ...]) -> None:
    """A letter of its reason, or the digest of its model."""
    for old, new in (("production", "staging"), ("sha256:2222", "sha256:3222")):
        for place in range(8):
            history = edited(record, lambda lines, n=place, o=old, r=new: [*lines[:n], lines[n].replace(o, r), *lines[n + 1 :]])  # fmt: skip # noqa: E501
            if history[0] == record[0]:
                continue
            said = f"ConfigMap rain-history, line {place + 1}: entry {place + 1} was changed: its hash is not that of"
            assert fault(history).startswith(said)
            assert check(history).head.entries == place


def test_a_change_that_means_the_same_to_json_is_a_change(record: tuple[Manifest, ...]) -> None:
    """A space, or a key that stands twice: readers of JSON may disagree about it."""
    for edit in (lambda line: line.replace(",", ", ", 1), lambda line: line.replace("{", '{"uid":"other",', 1)):
        assert "entry 3 was changed" in fault(
            edited(record, lambda lines, e=edit: [*lines[:2], e(lines[2]), *lines[3:]])
        )


def test_a_changed_entry_with_a_new_hash_breaks_the_next_one(record: tuple[Manifest, ...]) -> None:
    """Who writes over an entry has to write over all that follow."""

    def forged(lines: Lines) -> Lines:
        entry = {**json.loads(lines[2]), "reason": "another"}
        return [*lines[:2], written({**entry, "hash": hash_of(entry)}), *lines[3:]]

    said = "line 4: entry 4 was not written after this: entry 3 was changed, or it was itself"
    assert said in fault(edited(record, forged))


def test_an_entry_that_was_removed_is_missed(record: tuple[Manifest, ...]) -> None:
    """Whichever it is but the last, and however many."""
    assert "line 1: entry 1 is missing before entry 2" in fault(edited(record, lambda lines: lines[1:]))
    assert "line 4: entry 4 is missing before entry 5" in fault(edited(record, lambda lines: lines[:3] + lines[4:]))
    assert "line 3: entries 3 to 6 are missing before" in fault(edited(record, lambda lines: lines[:2] + lines[6:]))


def test_entries_that_changed_places_are_found(record: tuple[Manifest, ...]) -> None:
    swapped = edited(record, lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]])
    assert "line 4: entry 4 is missing before entry 5" in fault(swapped)
    twice = edited(record, lambda lines: [*lines[:4], lines[1], *lines[4:]])
    assert "line 5: entry 2 stands where entry 5 belongs: out of order, or twice" in fault(twice)


def test_a_line_that_was_added_is_no_entry(record: tuple[Manifest, ...]) -> None:
    """In between or at the end; the operator goes on behind it, and it stays found."""
    for place in (2, 8):
        history = edited(record, lambda lines, n=place: [*lines[:n], "a note", *lines[n:]])
        assert f"line {place + 1}: it is no entry of the chain: somebody added it" in fault(history)
    later = recorded(*(a_live_version(number) for number in range(1, 6)), history=tuple(history))
    assert entries(later)[-1]["entry"] == 10
    assert "line 9: it is no entry" in fault(later)


def test_a_tail_that_was_cut_off_is_missed_by_who_knows_the_head(record: tuple[Manifest, ...]) -> None:
    """The chain alone cannot tell; a version's status can, or a head that a person has kept."""
    head, cut = head_of(record), edited(record, lambda lines: lines[:5])
    assert check(cut).fault is None
    assert fault(cut, kept=head) == (f"kept: entries 6 to 8 are missing at the end: it names entry 8, {head.hash}")
    assert check(record, kept=head).fault is None
    assert check(record, early=ChainHead(3, entries(record)[2]["hash"])).fault is None


def test_a_record_that_was_written_again_has_another_head(record: tuple[Manifest, ...]) -> None:
    """A whole chain of its own: only who kept a head finds it."""
    other = recorded(*(a_live_version(number, status={"artifact": "sha256:" + "f" * 64}) for number in range(1, 5)))
    assert check(other).fault is None
    assert "kept: entry 8 is not the one it names" in fault(other, kept=head_of(record))
    assert "entry 3 is not the one" in fault(other, b=head_of(record), a=ChainHead(3, "sha256:" + "0" * 64))


def test_the_chain_goes_on_from_one_config_map_to_the_next(parts: tuple[Manifest, ...]) -> None:
    """All but the newest are immutable."""
    assert len(parts) > 3
    assert [each.get("immutable", False) for each in parts] == [True] * (len(parts) - 1) + [False]
    found = check(parts[::-1])
    assert (found.fault, found.head.entries) == (None, 12)
    firsts = [entries([each])[0]["previous"] for each in parts[1:]]
    assert firsts == [entries([each])[-1]["hash"] for each in parts[:-1]]


def test_a_config_map_that_is_gone_or_does_not_belong_is_named(parts: tuple[Manifest, ...]) -> None:
    assert fault(parts[1:]) == "ConfigMap rain-history: it is not there"
    assert fault((parts[0], *parts[2:])) == "ConfigMap rain-history-1: it is not there"
    stranger = {**parts[0], "metadata": {**parts[0]["metadata"], "name": "a-stranger"}}
    assert fault((*parts, stranger)) == "ConfigMap a-stranger: it carries the labels of the record, and is none of it"
    assert "ConfigMap rain-history-2, line 1:" in fault(edited(parts, lambda lines: lines[1:], 2))


def test_a_config_map_that_only_carries_the_labels_is_left_alone(parts: tuple[Manifest, ...]) -> None:
    """Its lines are not taken for entries, nor is it written over."""
    stranger = {**parts[0], "metadata": {**parts[0]["metadata"], "name": "zz"}, "data": {FILE: "theirs\n"}}
    versions = [a_live_version(number) for number in range(1, 8)]
    new = list(model_history.segments(a_view(*versions, history=(*parts, stranger)), {}))
    assert new
    assert {each["metadata"]["name"] for each in new}.isdisjoint({"zz", "rain-history"})
    assert all("theirs" not in each["data"][FILE] for each in new)


def test_what_an_earlier_release_recorded_is_covered_by_the_first_hash() -> None:
    """Its lines stay as they are; who edits them breaks the chain where it begins."""
    line = {"time": "2026-01-10T11:00:00Z", "event": "Registered", "version": "rain-v1", "number": 1}
    old = json.dumps({**line, "uid": "uid-rain-v1"}) + "\nnot ours\n"
    before: Manifest = {"metadata": {"name": "rain-history", "namespace": "team"}, "data": {FILE: old}}
    history = recorded(a_live_version(1), history=(before,))
    assert history[0]["data"][FILE].startswith(old)
    found = check(history)
    assert (found.fault, found.head.entries, found.unchained) == (None, 1, 2)
    wrong = edited(history, lambda lines: ["other", *lines[1:]])
    assert "line 3: entry 1 was not written after this: what stood before it was changed" in fault(wrong)
    assert check([before]).head.entries == 0


def test_full_config_maps_of_an_earlier_release_are_made_immutable(parts: tuple[Manifest, ...]) -> None:
    """Each as it is, and only as it was seen."""
    loose = tuple(
        {
            **{name: value for name, value in each.items() if name != "immutable"},
            "metadata": {**each["metadata"], "resourceVersion": "7"},
        }
        for each in parts
    )
    versions = [a_live_version(number) for number in range(1, 7)]
    new = list(model_history.segments(a_view(*versions, history=loose), {}))
    assert [each["metadata"]["name"] for each in new] == [each["metadata"]["name"] for each in parts[:-1]]
    assert [each["data"] for each in new] == [each["data"] for each in parts[:-1]]
    assert all(each["immutable"] and each["metadata"]["resourceVersion"] == "7" for each in new)


def test_a_crash_after_a_config_map_was_filled_begins_the_next_one(parts: tuple[Manifest, ...]) -> None:
    """The full one is not written again."""
    filled = parts[:2]
    (first, *_) = model_history.segments(a_view(*map(a_live_version, range(1, 7)), history=filled), {})
    assert first["metadata"]["name"] == "rain-history-2"
    assert recorded(*map(a_live_version, range(1, 7)), history=filled) == parts


def test_any_one_edit_of_any_line_is_found(parts: tuple[Manifest, ...]) -> None:
    """A byte that is another, a line that is gone, two that changed places: drawn, and never whole."""
    random, head = Random(7), head_of(parts)
    for _ in range(300):
        number = random.randrange(len(parts))
        lines: Lines = parts[number]["data"][FILE].splitlines()
        place = random.randrange(len(lines))
        match random.randrange(3):
            case 0:
                at_byte = random.randrange(len(lines[place]))
                byte = random.choice([each for each in "aX9 }" if each != lines[place][at_byte]])
                lines[place] = lines[place][:at_byte] + byte + lines[place][at_byte + 1 :]
            case 1:
                del lines[place]
            case _ if len(lines) > 1:
                other = (place + 1) % len(lines)
                lines[place], lines[other] = lines[other], lines[place]
            case _:
                lines.append(lines[place])
        assert check(edited(parts, lambda _, to=lines: to, number), kept=head).fault is not None, (number, lines)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"hash": "x"}, id="a hash that is none"),
        pytest.param({"previous": "x"}, id="a previous one that is none"),
        pytest.param({"entry": -1}, id="a number below all"),
        pytest.param({"entry": "7"}, id="a number that is a text"),
        pytest.param({"entry": 2**60}, id="a number that JSON cannot hold"),
        pytest.param({"reason": "\ud800"}, id="half a letter"),
    ],
)
def test_a_forged_last_entry_stops_no_plan(record: tuple[Manifest, ...], change: dict[str, Any]) -> None:
    """What stands in a status is always valid, the record goes on, and the forgery is found."""

    def forged(lines: Lines) -> Lines:
        return [*lines, json.dumps({**json.loads(lines[-1]), "uid": "hand", **change})]

    history = tuple(edited(record, forged))
    versions = [a_live_version(number) for number in range(1, 6)]
    planned = plan(a_view(*versions, history=history))
    for status in planned.statuses.values():
        type(status).model_validate(status.dump())
    assert fault(recorded(*versions, history=history)).startswith("ConfigMap rain-history, line 9:")


# --- what versions know of it ---

NEWEST = Key("ModelVersion", "team", "rain-v4")


def head_in(view: ModelView) -> dict[str, Any]:
    """Return by version the head that the plan writes into its status."""
    return {key.name: status.dump().get("historyHead") for key, status in plan(view).statuses.items()}


def test_the_newest_version_knows_the_head_of_the_stored_record(record: tuple[Manifest, ...]) -> None:
    """Nothing before there is a record; not what this plan adds to it, which may never be stored."""
    versions = [a_live_version(number) for number in range(1, 5)]
    assert set(head_in(a_view(*versions)).values()) == {None}
    head = {"entries": 8, "hash": head_of(record).hash}
    assert head_in(a_view(*versions, history=record)) == {
        **dict.fromkeys(("rain-v1", "rain-v2", "rain-v3")),
        "rain-v4": head,
    }
    newer = head_in(a_view(*versions, a_version(5), history=record))
    assert (newer["rain-v4"], newer["rain-v5"]) == (None, head)


def test_a_version_goes_on_naming_an_entry_that_was_cut_off(record: tuple[Manifest, ...]) -> None:
    """Else the plan after the edit would cover it up; a retry of the version takes the record as it is."""
    head = {"entries": 8, "hash": head_of(record).hash}
    versions = [a_live_version(number) for number in range(1, 4)]
    newest = with_status(a_live_version(4), {**a_live_version(4).status.dump(), "historyHead": head})
    cut = tuple(edited(record, lambda lines: lines[:3]))
    assert head_in(a_view(*versions, newest, history=cut))["rain-v4"] == head
    annotated = newest.evolve(metadata=newest.metadata.model_copy(update={"annotations": {"mlops.dev/retry": "seen"}}))
    assert head_in(a_view(*versions, annotated, history=cut))["rain-v4"]["entries"] == 3
    assert model_history.heads_of([newest]) == {
        "ModelVersion rain-v4, status.historyHead": ChainHead(8, head_of(record).hash)
    }


def test_what_happened_twice_in_one_second_is_recorded_twice() -> None:
    """Withdrawn, brought back and withdrawn again before the clock moves: the record ends as the status does."""
    time = "2026-01-10T11:30:00Z"
    steps = [
        {"time": time, "to": "Withdrawn"},
        {"time": time, "to": "production"},
        {"time": time, "to": "Withdrawn"},
        {"time": time, "to": "production"},
    ]
    version = a_live_version(1, status={"transitions": steps})
    first = recorded(at_steps(version, steps[-2:]))
    history = recorded(version, history=first)
    events = [(each["event"], each["from"], each["to"]) for each in entries(history)]
    once = [("Live", [], ["production"]), ("Withdrawn", ["production"], [])]
    assert events == [("Registered", [], []), *once, *once]
    assert recorded(version, history=history) == history


def at_steps(version: Any, steps: list[dict[str, str]]) -> Any:
    return with_status(version, {**version.status.dump(), "transitions": steps})


def test_a_reason_may_hold_what_ends_lines_elsewhere() -> None:
    """Only a line feed ends an entry: else it would be taken for lost, and recorded with every plan."""
    steps = [{"time": "2026-01-10T11:30:00Z", "to": "production", "reason": "a\u2028b\x85c"}]
    version = a_live_version(1, status={"transitions": steps})
    history = recorded(version)
    assert check(history).fault is None
    assert recorded(version, history=history) == history
    assert model_history.strange_lines(history[0]) == 0


CAUSES = [
    pytest.param({"to": "Withdrawn"}, {}, "spec.withdrawn", id="withdrawn"),
    pytest.param({"to": "Superseded"}, {}, "rollout", id="superseded"),
    pytest.param({"to": "Failed", "stage": "production"}, {}, "pods", id="failed"),
    pytest.param({"to": "Left", "stage": "gone"}, {}, "spec.promotion", id="left a stage that it has not"),
    pytest.param({"to": "Left", "stage": "production"}, {}, "operator", id="left"),
    pytest.param(
        {"to": "Left", "stage": "production"},
        {"conditions": [{"type": "GatesPassed", "status": "False", "reason": "GatesFailed"}]},
        "gates",
        id="left by a gate",
    ),
    pytest.param(
        {"to": "RolledBack", "stage": "production"},
        {
            "rolledBack": [
                {
                    "stage": "production",
                    "time": "2026-01-10T11:00:00Z",
                    "monitor": "watch",
                    "to": "rain-v0",
                    "toArtifact": "sha256:" + "0" * 64,
                }
            ]
        },
        "DriftMonitor/watch",
        id="rolled back",
    ),
    pytest.param(
        {"to": "RolledBack", "stage": "production"}, {}, "DriftMonitor", id="rolled back, by whom is not known"
    ),
]


@pytest.mark.parametrize(("step", "status", "cause"), CAUSES)
def test_an_entry_says_what_caused_it(step: dict[str, str], status: dict[str, Any], cause: str) -> None:
    steps = [{"time": "2026-01-10T11:30:00Z", **step}]
    version = a_live_version(1, status={"transitions": steps, **status})
    assert entries(recorded(version))[-1]["cause"] == cause


def test_who_made_a_version_is_on_record() -> None:
    """The operator, of a run; else somebody who applied it, whatever lineage it claims."""
    own = {"mlops.dev/run": "rain-7", "app.kubernetes.io/managed-by": "mlops-operator"}
    made = a_live_version(1, metadata={"labels": own})
    assert entries(recorded(made))[0]["cause"] == "TrainingRun/rain-7"
    by_hand = a_live_version(
        1, spec={"lineage": {"trainingRun": "rain-7"}}, metadata={"labels": {"mlops.dev/run": "x"}}
    )
    assert entries(recorded(by_hand))[0]["cause"] == "user"


def test_a_view_without_versions_has_no_head_to_write(record: tuple[Manifest, ...]) -> None:
    assert model_history.with_head(at(a_view(), history=record), {}) == {}
