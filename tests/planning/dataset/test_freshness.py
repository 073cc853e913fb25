"""How old the newest data are, and how long a delivery takes to become a version."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlops.api.conditions import Condition, find, is_true
from mlops.api.dataset import Dataset
from mlops.planning.dataset.planner import plan
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest
from mlops.planning.views import DatasetView
from tests.planning.builders import NOW, SETTINGS, a_dataset, an_ingest_report, failed, finished, merged, with_status

DELIVERED = "2026-01-10T10:00:00Z"
ENDED = "2026-01-10T11:30:00Z"


def a_view(report: Any = None, **freshness: Any) -> DatasetView:
    """Return the view of a Dataset that has read what was delivered at ten, an hour and a half later."""
    dataset = a_dataset(spec={"freshness": {"maxAge": "26h", **freshness}})
    view = DatasetView(now=NOW, settings=SETTINGS, dataset=dataset)
    view = replace(view, dataset=with_status(dataset, status_of(view)))
    [job] = plan(view).create
    ended = finished(job, report or an_ingest_report(delivered_at=DELIVERED), at=ENDED)
    view = replace(view, jobs=(ended,))
    return replace(view, dataset=with_status(view.dataset, status_of(view)))


def status_of(view: DatasetView) -> Manifest:
    return plan(view).statuses[key_of(view.dataset)].dump()


def fresh(view: DatasetView) -> Condition:
    conditions = Dataset.model_validate({**view.dataset.dump(), "status": status_of(view)}).status.conditions
    found = find(conditions, "Fresh")
    assert found is not None
    assert is_true(conditions, "Ready"), "data that are old stay usable"
    return found


def test_data_are_fresh_until_their_time_is_over() -> None:
    """The condition flips by time alone, and the plan asks to be made again then."""
    view = a_view()
    assert (fresh(view).status, fresh(view).reason) == ("True", "Fresh")
    assert fresh(view).message == f"the newest data were delivered {DELIVERED}, which is fresh for 26h"
    over = NOW.replace(day=11)
    assert plan(view).requeue_at == over
    assert fresh(replace(view, now=over - timedelta(seconds=1))).status == "True"
    stale = replace(view, now=over)
    assert (fresh(stale).status, fresh(stale).reason) == ("False", "DataStale")
    assert fresh(stale).message == f"the newest data were delivered {DELIVERED}, more than 26h ago"
    assert plan(stale).requeue_at is None


def test_event_time_is_another_measure() -> None:
    """A file that is written every day may hold last week's rows."""
    report = an_ingest_report(delivered_at=DELIVERED, newest_event="2026-01-03T00:00:00Z")
    assert fresh(a_view(report)).status == "True"
    old = fresh(a_view(report, measure="EventTime"))
    assert (old.status, old.message) == ("False", "the newest row is of 2026-01-03T00:00:00Z, more than 26h ago")


@pytest.mark.parametrize("measure", ["Delivery", "EventTime"])
def test_what_nobody_dates_is_neither_fresh_nor_stale(measure: str) -> None:
    """A web server gives no time; of an earlier release no report has one."""
    unknown = fresh(a_view(an_ingest_report(), measure=measure))
    assert (unknown.status, unknown.reason) == ("Unknown", "AgeUnknown")
    assert unknown.message == "nothing says yet how old the data are"


def test_nobody_who_did_not_ask_is_told() -> None:
    """Without spec.freshness there is no condition; the times are in the status all the same."""
    view = a_view()
    plain = merged(view.dataset.dump(), {"spec": {"freshness": None}})
    status = status_of(replace(view, dataset=Dataset.model_validate(plain)))
    assert all(each["type"] != "Fresh" for each in status["conditions"])
    assert (status["deliveredAt"], status["cycleSeconds"]) == (DELIVERED, 5400)
    assert status["history"][0]["deliveredAt"] == DELIVERED


def asked_again(view: DatasetView) -> DatasetView:
    asked = {"metadata": {"annotations": {"mlops.dev/requested-at": "2026-01-10T11:55:00Z"}}}
    return replace(view, dataset=Dataset.model_validate(merged(view.dataset.dump(), asked)))


def test_the_same_content_delivered_again_is_newer_data_and_no_new_cycle() -> None:
    """The age is that of the newest delivery; the cycle is that of the version, which is the same."""
    view = asked_again(a_view())
    [job] = plan(view).create
    again = an_ingest_report(delivered_at="2026-01-10T11:50:00Z", as_of="2026-01-10T11:55:00Z")
    status = status_of(replace(view, jobs=(finished(job, again, at="2026-01-10T11:59:00Z"),)))
    assert (status["deliveredAt"], status["cycleSeconds"]) == ("2026-01-10T11:50:00Z", 5400)


def test_a_bad_delivery_makes_nothing_fresh() -> None:
    """What cannot be used does not count as delivered."""
    view = asked_again(a_view())
    [job] = plan(view).create
    status = status_of(replace(view, jobs=(failed(job, "Rejected", at="2026-01-10T11:59:00Z"),)))
    assert status["deliveredAt"] == DELIVERED


def test_a_clock_that_is_ahead_gives_no_negative_time() -> None:
    """A store may date a file later than the Job that read it."""
    assert "cycleSeconds" not in status_of(a_view(an_ingest_report(delivered_at="2026-01-10T11:31:00Z")))
