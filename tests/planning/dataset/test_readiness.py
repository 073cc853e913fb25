"""Where a Dataset stands, to the word, and when a sync of its source is due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mlops.api.dataset import Dataset
from mlops.api.labels import REQUESTED_AT
from mlops.planning.dataset.due import Need, captures, lacks_a_live_model, need_of, to_start
from mlops.planning.dataset.manifests import content_digest, sync_digest
from mlops.planning.dataset.readiness import judged, versioned
from mlops.planning.readiness import Readiness
from mlops.planning.views import DatasetView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_dataset,
    a_live_version,
    a_run,
    a_version,
    a_versioned_dataset,
    merged,
)

NEED = Need("2026-01-10T11:00:00Z", "weather-1", new_content=True)
LATER = Need("2026-01-10T11:00:00Z", "weather-1", new_content=False)
CAPTURED = {"spec": {"source": {"s3": None, "captured": {"modelName": "rain", "window": "30d"}}}}
SUSPENDED = {"spec": {"suspend": True}}
KEYS = {"spec": {"source": {"s3": {"secretRef": {"name": "keys"}}}}}


def validated(status: str, reason: str, message: str) -> dict[str, Any]:
    return a_condition("Validated", status, reason, message)


def a_view(dataset: Dataset, **changes: Any) -> DatasetView:
    return DatasetView(now=NOW, settings=SETTINGS, dataset=dataset, **changes)


def said(dataset: Dataset, need: Need | None = None, **changes: Any) -> tuple[str, str, str, bool, bool]:
    found: Readiness = judged(a_view(dataset, **changes), dataset.status, need)
    return found.ready, str(found.reason), found.message, found.reconciling, found.stalled


def with_newest(*newest: str, **changes: Any) -> Dataset:
    return a_versioned_dataset(**merged({"status": {"conditions": [validated(*newest)]}}, changes))


GOOD = ("True", "Validated", "100 rows, all rules met")


@pytest.mark.parametrize(
    ("dataset", "need", "want"),
    [
        pytest.param(
            a_dataset(**SUSPENDED),
            NEED,
            ("Unknown", "Suspended", "spec.suspend is true: the source is not looked at", False, False),
            id="suspended before its first version",
        ),
        pytest.param(
            a_versioned_dataset(**SUSPENDED),
            None,
            ("Unknown", "Suspended", "spec.suspend is true: the source is not looked at", False, False),
            id="suspended, and nothing is known of its version",
        ),
        pytest.param(
            with_newest(*GOOD, **SUSPENDED),
            LATER,
            ("True", "Versioned", "version 1: 100 rows, all rules met", False, False),
            id="suspended with a version",
        ),
        pytest.param(
            a_dataset(**CAPTURED),
            NEED,
            (
                "False",
                "NoLiveModel",
                'no version of model "rain" was ever live, so nothing is captured: deliver rows in'
                " spec.source.captured.history, or make a ModelVersion",
                False,
                False,
            ),
            id="nothing is captured",
        ),
        pytest.param(
            a_dataset(),
            NEED,
            ("Unknown", "Ingesting", "reading the source as of 2026-01-10T11:00:00Z", True, False),
            id="the first sync",
        ),
        pytest.param(
            with_newest(*GOOD),
            LATER,
            ("True", "Ingesting", "looking again as of 2026-01-10T11:00:00Z", False, False),
            id="a refresh takes nothing away",
        ),
        pytest.param(
            with_newest("False", "Rejected", "bad"),
            LATER,
            ("Unknown", "Ingesting", "looking again as of 2026-01-10T11:00:00Z", True, False),
            id="a sync after a bad delivery",
        ),
        pytest.param(
            a_versioned_dataset(),
            LATER,
            ("Unknown", "Ingesting", "looking again as of 2026-01-10T11:00:00Z", True, False),
            id="a version of which nothing is known",
        ),
        pytest.param(
            a_dataset(), None, ("Unknown", "Pending", "the source was not synced yet", True, False), id="nothing is due"
        ),
        pytest.param(
            with_newest("True", "Unchanged", "100 rows, all rules met"),
            None,
            ("True", "Unchanged", "version 1: 100 rows, all rules met", False, False),
            id="the same content",
        ),
        pytest.param(
            with_newest("False", "Rejected", "bad"),
            None,
            ("False", "Rejected", "bad (version 1 stays)", False, True),
            id="a bad delivery",
        ),
        pytest.param(
            with_newest("Unknown", "StoreUnavailable", "503"),
            None,
            ("False", "StoreUnavailable", "503 (version 1 stays)", False, False),
            id="the store is away",
        ),
        pytest.param(
            a_dataset(status={"conditions": [validated("False", "Rejected", "bad")]}),
            None,
            ("False", "Rejected", "bad", False, True),
            id="a bad first delivery",
        ),
    ],
)
def test_where_a_dataset_stands(dataset: Dataset, need: Need | None, want: tuple[str, str, str, bool, bool]) -> None:
    """Ready with reason and message, and whether anything is done about it."""
    assert said(dataset, need) == want


def test_an_attempt_that_follows_another_says_why_that_failed() -> None:
    """In place of what is read."""
    failed = with_newest("Unknown", "StoreUnavailable", "503", status={"attempts": 1})
    status, reason, message, reconciling, _ = said(failed, NEED)
    assert (status, reason, reconciling) == ("False", "StoreUnavailable", True)
    assert "503" in message
    assert "attempt 2" in message


def versioned_as(dataset: Dataset, need: Need | None) -> tuple[str, str, str]:
    found = versioned(dataset, dataset.status, need)
    return found.status, found.reason, found.message


def test_a_version_is_withdrawn_by_a_spec_of_other_content_only() -> None:
    """And not while the Dataset is suspended, since nothing is read then."""
    rows = {"status": {"rows": 100}}
    fine = ("True", "Versioned", "version 1, 100 rows")
    assert versioned_as(a_dataset(), None) == ("False", "Pending", "there is no version yet")
    assert versioned_as(a_versioned_dataset(**rows), None) == fine
    assert versioned_as(a_versioned_dataset(**rows), LATER) == fine
    assert versioned_as(a_versioned_dataset(**rows, **SUSPENDED), NEED) == fine
    assert versioned_as(a_versioned_dataset(**rows), NEED) == (
        "Unknown",
        "Ingesting",
        "version 1 is of an earlier spec; reading again",
    )


# --- what is due ---


def seen(**changes: Any) -> Dataset:
    """Return a Dataset whose source was synced at 11:00 with the present spec."""
    dataset = a_versioned_dataset(**changes)
    known = {"specDigest": sync_digest(dataset), "contentDigest": content_digest(dataset)}
    return a_versioned_dataset(**merged({"status": known}, changes))


def waiting(since: str = "2026-01-10T11:00:01Z", **changes: Any) -> Any:
    return a_run(**merged({"spec": {"datasetRef": {"notBefore": since}}}, changes))


def due(dataset: Dataset, *runs: Any, **changes: Any) -> str | None:
    need = need_of(a_view(dataset, waiting_runs=runs, **changes), dataset.status)
    return need.as_of if need else None


def test_a_sync_is_due_when_somebody_waits_for_a_later_one() -> None:
    """To the second; a run that is pinned, rests, makes runs or is of another Dataset waits for none."""
    assert due(seen()) is None
    assert due(seen(), waiting("2026-01-10T11:00:00Z")) is None
    assert due(seen(), waiting()) == "2026-01-10T11:00:01Z"
    assert due(seen(), waiting(), waiting("2026-01-10T11:30:00Z")) == "2026-01-10T11:30:00Z"
    assert due(seen(), waiting("2026-01-10T11:00:00.2Z")) == "2026-01-10T11:00:01Z", "rounded up"
    assert due(seen(), waiting(spec={"suspend": True})) is None
    assert due(seen(), waiting(spec={"triggers": [{"templateChange": {}}]})) is None
    assert due(seen(), waiting(spec={"datasetRef": {"name": "other"}})) is None
    assert due(seen(), asked=("2026-01-10T11:00:05Z",)) == "2026-01-10T11:00:05Z"
    assert due(seen(), asked=("soon", "2026-01-10T11:00:00Z")) is None
    by_hand = seen(metadata={"annotations": {REQUESTED_AT: "2026-01-10T11:00:09Z"}})
    assert due(by_hand, asked=("2026-01-10T11:00:05Z",)) == "2026-01-10T11:00:09Z"


def test_a_new_spec_is_synced_as_of_the_latest_time_on_record() -> None:
    """Never of the clock: after a crash the Job has the same name."""
    assert due(a_dataset()) == "2026-01-10T11:00:00Z"
    assert due(a_versioned_dataset(status={"lastCheckTime": "2026-01-10T11:20:00Z"})) == "2026-01-10T11:20:00Z"
    assert due(a_dataset(status={"retriedAt": "2026-01-10T11:40:00Z"})) == "2026-01-10T11:40:00Z"
    assert due(a_dataset(metadata={"creationTimestamp": None})) == "1970-01-01T00:00:00Z"


def test_a_sync_says_whether_the_version_is_of_other_content() -> None:
    """An earlier release noted one digest only."""

    def new_content(**status: Any) -> bool:
        dataset = a_versioned_dataset(status=status, **KEYS)
        need = need_of(a_view(dataset), dataset.status)
        assert need is not None
        return need.new_content

    assert new_content()
    digest = content_digest(a_dataset(**KEYS))
    assert digest != sync_digest(a_dataset(**KEYS)), "the keys to a source are none of its content"
    assert not new_content(contentDigest=digest)
    assert not new_content(specDigest=digest)
    assert new_content(specDigest=digest, contentDigest="sha256:" + "0" * 64)


def test_captures_are_readable_when_a_version_is_or_was_live() -> None:
    """One that never was leaves nothing to read, but for a delivered history."""
    dataset = a_dataset(**CAPTURED)
    history = {"history": {"s3": {"uri": "s3://raw/old/"}}}
    delivered = a_dataset(**merged(CAPTURED, {"spec": {"source": {"captured": history}}}))
    for status in (
        {"stages": ["production"]},
        {"passedStages": ["production"]},
        {"transitions": [{"time": "2026-01-10T11:00:00Z", "to": "production"}]},
    ):
        view = a_view(dataset, captured_versions=(a_version(1), a_version(2, status=status)))
        assert (captures(view), lacks_a_live_model(view)) == (True, False)
    never = a_view(dataset, captured_versions=(a_version(),))
    assert (captures(never), lacks_a_live_model(never)) == (False, True)
    assert not lacks_a_live_model(a_view(delivered))
    other = a_view(a_dataset(), captured_versions=(a_live_version(),))
    assert (captures(other), lacks_a_live_model(other)) == (False, False)


def test_a_job_starts_when_the_wait_after_the_last_attempt_is_over() -> None:
    """The first one at once."""
    last = {"attempts": 1, "lastJobTime": "2026-01-10T11:59:01Z"}
    dataset = a_dataset(status=last)
    begins = to_start(a_view(dataset), dataset.status, NEED, ())
    assert (begins.job, begins.at) == (None, NOW + timedelta(seconds=1))
    over = a_dataset(status={**last, "lastJobTime": "2026-01-10T11:59:00Z"})
    begins = to_start(a_view(over), over.status, NEED, ())
    assert (begins.job is not None, begins.at) == (True, None)
    fresh = a_dataset(status={**last, "attempts": 0})
    assert to_start(a_view(fresh), fresh.status, NEED, ()).job is not None
    assert to_start(a_view(fresh), fresh.status, None, ()).job is None
    rests = a_dataset(**SUSPENDED)
    assert to_start(a_view(rests), rests.status, NEED, ()).job is None
