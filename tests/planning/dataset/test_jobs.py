"""The Jobs of a Dataset: whose they are, what they are called, and when they are made by the clock."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.planning.dataset.jobs import is_ours
from mlops.planning.dataset.manifests import ingest_job_name
from mlops.planning.dataset.planner import plan
from mlops.planning.ownership import key_of
from mlops.planning.views import DatasetView, JobView
from tests.planning.builders import NOW, SETTINGS, a_dataset, failed

AS_OF = "2026-01-10T11:00:00Z"


@pytest.mark.parametrize(
    ("metadata", "ours"),
    [
        pytest.param({}, False, id="no labels"),
        pytest.param({"labels": {}}, False, id="none of the kind"),
        pytest.param({"labels": {"app.kubernetes.io/component": "refresh"}}, False, id="of the CronJob"),
        pytest.param({"labels": {"app.kubernetes.io/component": "ingest"}}, True, id="of the planner"),
    ],
)
def test_a_job_is_the_planners_by_its_label(metadata: dict[str, Any], ours: bool) -> None:
    """Anybody may make a Job."""
    assert is_ours(JobView({"metadata": {"name": "x", **metadata}})) is ours


def test_the_same_sync_has_the_same_name_and_a_retry_another() -> None:
    """Each retry its own."""
    dataset = a_dataset()
    names = [ingest_job_name(dataset, AS_OF, 0, retried) for retried in (None, "", "now", "again")]
    assert names[0] == names[1] == ingest_job_name(dataset, AS_OF, 0)
    assert len(set(names)) == 3
    assert ingest_job_name(dataset, AS_OF, 1) != names[0]
    assert ingest_job_name(dataset, "2026-01-10T11:00:01Z", 0) != names[0]


def test_a_schedule_is_of_its_time_zone() -> None:
    """Midnight in Berlin is not midnight in UTC."""
    refresh = {"schedule": "0 0 * * *", "timeZone": "Europe/Berlin"}
    [cron] = plan(DatasetView(NOW, SETTINGS, a_dataset(spec={"refresh": refresh}))).apply
    assert (cron["spec"]["schedule"], cron["spec"]["timeZone"]) == ("0 0 * * *", "Europe/Berlin")


def test_a_delivery_that_is_refused_ends_the_count_of_attempts() -> None:
    """The next outage begins with a wait of a minute again."""
    dataset = a_dataset(status={"observedGeneration": 1, "attempts": 2})
    view = DatasetView(NOW, SETTINGS, dataset)
    # Of the third attempt, whose wait is over.
    [job] = plan(view).create
    after = plan(DatasetView(NOW, SETTINGS, dataset, jobs=(failed(job, "Rejected", message="rule wind"),)))
    status = after.statuses[key_of(dataset)].dump()
    assert status.get("attempts", 0) == 0
    assert after.create == ()
