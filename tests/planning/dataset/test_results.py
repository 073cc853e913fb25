"""What came of a sync, to the word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlops.api.conditions import find
from tests.planning.builders import an_ingest_report, failed, finished
from tests.planning.dataset.test_dataset import a_versioned_view, a_view, after, the_job

SPLITS = {"train": 60, "validation": 20, "test": 20}


@pytest.mark.parametrize(
    ("report", "told"),
    [
        pytest.param({}, "100 rows, all rules met", id="all is well"),
        pytest.param({"rows": 7}, "7 rows, all rules met", id="as many as there are"),
        pytest.param({"validation": {"passed": 1, "failed": 2}}, "100 rows, 2 rules broken", id="rules are broken"),
        pytest.param(
            {"splits": {**SPLITS, "known": 5}},
            "100 rows, all rules met; 5 of 40 held-out rows are of entities in train: "
            "split.strategy hash separates them",
            id="entities are on both sides",
        ),
        pytest.param(
            {"read_as_utc": ("time", "due")},
            "100 rows, all rules met; times of time, due have no offset and were read as UTC: "
            "timeZone says another zone",
            id="times without an offset",
        ),
    ],
)
def test_a_good_delivery_is_told_with_its_figures(report: dict[str, Any], told: str) -> None:
    """And its version with it."""
    view = after(a_view())
    view = after(view, finished(the_job(view), an_ingest_report(**report)))
    found = find(view.dataset.status.conditions, "Validated")
    assert found is not None
    assert (found.status, found.reason, found.message) == ("True", "Validated", told)
    ready = find(after(view).dataset.status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason, ready.message) == ("True", "Versioned", f"version 1: {told}")


@pytest.mark.parametrize(
    ("how", "status", "attempts"),
    [
        pytest.param({"reason": "Rejected"}, "False", 0, id="bad"),
        pytest.param({"reason": "StoreUnavailable", "exit_code": 1}, "Unknown", 1, id="it could not be looked at"),
    ],
)
def test_a_bad_delivery_leaves_the_version_and_says_why(how: dict[str, Any], status: str, attempts: int) -> None:
    """What could not be looked at is tried again."""
    view = a_versioned_view()
    asked = view.dataset.evolve(
        metadata=a_view().dataset.metadata.model_copy(
            update={"annotations": {"mlops.dev/requested-at": "2026-01-10T11:55:00Z"}}
        )
    )
    view = replace(view, dataset=asked)
    view = after(view, failed(the_job(view), **how, at="2026-01-10T11:59:00Z"))
    found = find(view.dataset.status.conditions, "Validated")
    assert found is not None
    assert (found.status, found.reason, found.message) == (status, how["reason"], f"told {how['reason']}")
    assert (view.dataset.status.version, view.dataset.status.attempts) == (1, attempts)
