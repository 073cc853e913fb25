"""What stands in a condition, whoever said it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mlops.api.conditions import Condition
from mlops.planning.readiness import condition, is_reason, laid_over, laid_over_manifest, stalled
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
