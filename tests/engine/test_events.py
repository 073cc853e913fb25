"""Events tell what is news, once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlops.engine.events import events_of
from mlops.planning.plan import Manifest
from tests.engine.objects import a_dataset

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def a_condition(type_: str, status: str, reason: str = "Why", message: str = "") -> Manifest:
    return {"type": type_, "status": status, "reason": reason, "message": message or type_}


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [
        pytest.param([], [a_condition("Ready", "True")], [("Why", "Normal")], id="it got ready"),
        pytest.param([], [a_condition("Ready", "False")], [("Why", "Warning")], id="it is not ready"),
        pytest.param([a_condition("Ready", "True")], [a_condition("Ready", "True")], [], id="nothing flipped"),
        pytest.param(
            [a_condition("Ready", "False", "One")],
            [a_condition("Ready", "False", "Two")],
            [("Two", "Warning")],
            id="another reason is news",
        ),
        pytest.param(
            [],
            [a_condition("Succeeded", "False", "Bad", "why"), a_condition("Ready", "False", "Bad", "why")],
            [("Bad", "Warning")],
            id="two conditions for one reason are one Event",
        ),
        pytest.param([], [a_condition("Stalled", "True")], [("Why", "Warning")], id="stalled"),
        pytest.param([], [a_condition("DataDriftDetected", "True")], [("Why", "Warning")], id="drift"),
        pytest.param([], [a_condition("DataDriftDetected", "False")], [], id="no drift was never news"),
        pytest.param([], [a_condition("Reconciling", "True")], [], id="being at work is no news"),
        pytest.param(
            [], [a_condition("Versioned", "False", "Pending")], [("Pending", "Normal")], id="nothing has come yet"
        ),
        pytest.param(
            [a_condition("Ready", "Unknown")],
            [a_condition("Ready", "False", "TargetNotFound")],
            [("TargetNotFound", "Normal")],
            id="applied all at once",
        ),
        pytest.param(
            [a_condition("Ready", "True")],
            [a_condition("Ready", "False", "TargetNotLive")],
            [("TargetNotLive", "Warning")],
            id="what was there is gone",
        ),
        pytest.param(
            [],
            [a_condition("LabelsAvailable", "False", "Inconclusive")],
            [("Inconclusive", "Normal")],
            id="no labels yet",
        ),
    ],
)
def test_events(before: list[Manifest], after: list[Manifest], want: list[tuple[str, str]]) -> None:
    manifest = a_dataset()
    present = {**manifest, "status": {"conditions": before}}
    assert [(e["reason"], e["type"]) for e in events_of(present, {"conditions": after}, NOW)] == want


def test_the_same_flip_at_the_same_moment_is_the_same_event() -> None:
    """A write that is repeated after a fault does not tell the news twice."""
    first, second = (events_of(a_dataset(), {"conditions": [a_condition("Ready", "True")]}, NOW) for _ in range(2))
    assert first == second
