"""What stands in a condition, whoever said it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mlops.api.conditions import Condition
from mlops.planning import readiness as say
from mlops.planning.readiness import Readiness, condition, is_reason, laid_over, laid_over_manifest, on_record, stalled
from tests.planning.builders import CREATED, NOW, a_condition

VALIDATED = condition("Validated", "True", "Unchanged")


@pytest.mark.parametrize(
    ("said", "stands"),
    [
        pytest.param("3 of 5 rows break x: café 日本", "3 of 5 rows break x: café 日本", id="ordinary text"),
        pytest.param("two\nlines", "two\nlines", id="lines"),
        pytest.param("\x1b[2Jgone\x07", r"\x1b[2Jgone\x07", id="escapes"),
        pytest.param("\x9b6n\r\u202eback", r"\x9b6n\r\u202eback", id="one-byte escapes, and turned text"),
        pytest.param("\x00" * 2048, r"\x00" * 512, id="cut after it was spelled out"),
    ],
)
def test_no_message_steers_a_terminal(said: str, stands: str) -> None:
    """A pod of a user's image writes what it likes as its last word; `kubectl describe` prints it."""
    message = condition("Ready", "False", "Rejected", said).message
    assert message == stands
    assert condition("Ready", "False", "Rejected", message).message == message


def test_another_readiness_takes_the_place_of_what_a_planner_said_of_it() -> None:
    """What else it said stands; a status that did not flip keeps its time."""
    old = tuple(Condition.model_validate(each) for each in (a_condition("Ready", "False", "Rejected"),))
    planned = [condition("Ready", "True", "Versioned"), condition("Stalled", "True", "Bad"), VALIDATED]
    found = laid_over(planned, old, stalled("NameTaken", "not ours"), now=NOW, generation=7)
    assert [(each.type, each.status, each.reason) for each in found] == [
        ("Ready", "False", "NameTaken"),
        ("Stalled", "True", "NameTaken"),
        ("Validated", "True", "Unchanged"),
    ]
    assert [each.last_transition_time for each in found[:2]] == [CREATED, "2026-01-10T12:00:00Z"]
    assert {each.observed_generation for each in found[:2]} == {7}


@pytest.mark.parametrize("generation", [None, 3])
def test_the_status_of_what_does_not_parse_keeps_what_else_it_holds(generation: int | None) -> None:
    """Also conditions that nobody of ours wrote; an object of no generation is of the first."""
    strange = {"type": "Synced", "by": "a hand"}
    status = {"version": 4, "conditions": [strange, a_condition("Ready", "True", "Versioned")]}
    manifest = {"metadata": {"name": "x", **({"generation": generation} if generation else {})}, "status": status}
    found = laid_over_manifest(manifest, stalled("SpecInvalid", "no"), now=NOW)
    assert (found["version"], found["observedGeneration"]) == (4, generation or 1)
    ready, second, third = found["conditions"]
    assert (ready["status"], ready["lastTransitionTime"]) == ("False", "2026-01-10T12:00:00Z")
    assert (second["type"], second["observedGeneration"]) == ("Stalled", generation or 1)
    assert third == strange
    again = laid_over_manifest(
        {**manifest, "status": found}, stalled("SpecInvalid", "no"), now=NOW + timedelta(hours=1)
    )
    assert again == found
    nothing = laid_over_manifest({"metadata": {"name": "x"}}, stalled("SpecInvalid", "no"), now=NOW)
    assert [each["type"] for each in nothing["conditions"]] == ["Ready", "Stalled"]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("A", True),
        ("NotServing2", True),
        ("lower", False),
        ("", False),
        ("A" * 64, True),
        ("A" * 65, False),
        ("A b", False),
    ],
)
def test_a_reason_is_what_kubernetes_takes_for_one(text: str, is_one: bool) -> None:
    """Pods of users' images write what they like."""
    assert is_reason(text) is is_one


# --- what a planner says of an object ---


@pytest.mark.parametrize(
    ("said", "stands"),
    [
        pytest.param(say.done("Served", "all"), Readiness("True", "Served", "all", False, False), id="done"),
        pytest.param(say.in_progress("At", "work"), Readiness("Unknown", "At", "work", True, False), id="in progress"),
        pytest.param(say.resting("Off", "asked"), Readiness("Unknown", "Off", "asked", False, False), id="resting"),
        pytest.param(say.waiting("None", "yet"), Readiness("False", "None", "yet", False, False), id="waiting"),
        pytest.param(say.stalled("Bad", "spec"), Readiness("False", "Bad", "spec", False, True), id="stalled"),
    ],
)
def test_each_word_for_where_an_object_stands_has_its_conditions(said: Readiness, stands: Readiness) -> None:
    """Read back from the conditions that express it, it is the same."""
    assert said == stands
    old = (as_condition(a_condition("Ready", "True", "Before")),)
    written = say.conditions(old, said, [], now=NOW, generation=3)
    assert [each.type for each in written] == [
        "Ready",
        *(["Reconciling"] if stands.reconciling else []),
        *(["Stalled"] if stands.stalled else []),
    ]
    assert {(each.reason, each.message) for each in written} == {(stands.reason, stands.message)}
    assert {each.status for each in written[1:]} <= {"True"}
    assert say.readiness_of(written) == stands


def as_condition(manifest: dict[str, object]) -> Condition:
    return Condition.model_validate(manifest)


def test_conditions_that_say_nothing_of_readiness_express_none() -> None:
    """Nobody has looked at the object yet."""
    assert say.readiness_of([]) is None
    assert say.readiness_of([VALIDATED, condition("Stalled", "True", "Bad")]) is None


@pytest.mark.parametrize("said", [say.done("Served", "all"), say.stalled("Bad", "spec"), say.waiting("None", "yet")])
def test_a_first_glance_is_no_judgement(said: Readiness) -> None:
    """The first status says Unknown, whatever was found; what else there is to say stands in it."""
    ready, reconciling, own = say.conditions((), said, [None, VALIDATED, None], now=NOW, generation=3)
    assert (ready.type, ready.status, ready.reason, ready.message) == (
        "Ready",
        "Unknown",
        "Pending",
        "seen for the first time",
    )
    assert (reconciling.type, reconciling.status, reconciling.reason) == ("Reconciling", "True", "Pending")
    assert (own.type, own.status, own.reason) == ("Validated", "True", "Unchanged")
    assert {each.last_transition_time for each in (ready, reconciling, own)} == {"2026-01-10T12:00:00Z"}
    assert {each.observed_generation for each in (ready, reconciling, own)} == {3}


def test_a_first_glance_at_what_is_worked_on_says_so() -> None:
    """That is no judgement."""
    for said in (say.in_progress("At", "work"), say.resting("Off", "asked")):
        assert say.readiness_of(say.conditions((), said, [], now=NOW, generation=1)) == said


def test_a_condition_keeps_its_time_as_long_as_its_status_does_not_flip() -> None:
    """Reason and message may change; what nobody says any more is gone."""
    old = [as_condition(a_condition(type_, "True", "Old")) for type_ in ("Ready", "Validated", "Gone")]
    own = [condition("Validated", "False", "New", "m"), condition("Fresh", "True", "New")]
    found = say.conditions(old, say.done("New", "m"), own, now=NOW, generation=9)
    assert [(each.type, each.last_transition_time) for each in found] == [
        ("Ready", CREATED),
        ("Validated", "2026-01-10T12:00:00Z"),
        ("Fresh", "2026-01-10T12:00:00Z"),
    ]
    assert [(each.reason, each.observed_generation) for each in found] == [("New", 9)] * 3


@pytest.mark.parametrize(
    ("conditions", "over"),
    [
        pytest.param([a_condition("Ready", "True", "Succeeded")], True, id="ready"),
        pytest.param([a_condition("Stalled", "True", "OOMKilled")], True, id="failed for good"),
        pytest.param([a_condition("Stalled", "True", "NameTaken")], False, id="something is in its way"),
        pytest.param([a_condition("Stalled", "False", "OOMKilled")], False, id="not stalled"),
        pytest.param([a_condition("Ready", "False", "OOMKilled")], False, id="failed for now"),
        pytest.param([], False, id="nothing"),
    ],
)
def test_nothing_more_comes_of_what_is_ready_or_failed_for_good(
    conditions: list[dict[str, object]], over: bool
) -> None:
    """Whatever is in the way of a child may be taken away."""
    assert say.is_over(as_condition(each) for each in conditions) is over


def test_a_message_has_2048_characters_at_most() -> None:
    """The API server refuses longer ones."""
    assert condition("Ready", "True", "Served", "x" * 3000).message == "x" * 2048
    assert condition("Ready", "True", "Served").message == ""


def test_what_is_on_record_is_what_can_be_read() -> None:
    """Of an object that nobody has looked at, nothing."""
    good = a_condition("Ready", "True", "Served")
    assert on_record({"status": {"conditions": [{"type": 3}, good, "x"]}}) == (as_condition(good),)
    for manifest in ({}, {"status": None}, {"status": {}}, {"status": {"conditions": None}}):
        assert on_record(manifest) == ()
