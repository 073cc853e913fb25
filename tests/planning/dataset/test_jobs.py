"""The Jobs of a Dataset: whose they are, what they are called, and when they are made by the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops.planning.dataset.jobs import is_of_a_namesake, is_ours, is_removal, mark_of, news, spent
from mlops.planning.dataset.manifests import ingest_job, ingest_job_name
from mlops.planning.dataset.planner import plan
from mlops.planning.ownership import key_of
from mlops.planning.views import DatasetView, JobView
from tests.planning.builders import (
    CREATED,
    NOW,
    SETTINGS,
    a_dataset,
    a_versioned_dataset,
    an_ingest_report,
    failed,
    finished,
    merged,
    running,
)

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


# --- whose a Job is, and which are news ---

BEFORE, AFTER = "2026-01-10T10:59:59Z", "2026-01-10T11:00:01Z"
PLANNED = {"labels": {"app.kubernetes.io/component": "ingest"}}
REMOVES = {"labels": {"app.kubernetes.io/component": "remove"}}


def a_job(name: str = "x", as_of: str = AS_OF, **metadata: Any) -> dict[str, Any]:
    """Return the Job of a sync, as the planner makes it, under another name."""
    made = ingest_job(SETTINGS, a_dataset(), as_of=as_of, attempt=0, captures=False)
    return merged(made, {"metadata": {"name": name, "creationTimestamp": AFTER, **metadata}})  # type: ignore[no-any-return]


def by_the_clock(at: str | None) -> JobView:
    """Return a Job of the CronJob that ended then, or has not."""
    job = {"metadata": {"name": "x", "labels": {"app.kubernetes.io/component": "refresh"}}}
    return running(job) if at is None else finished(job, an_ingest_report(), at=at)


@pytest.mark.parametrize(
    ("job", "others"),
    [
        pytest.param({**PLANNED, "ownerReferences": [{"uid": "uid-weather"}]}, False, id="owned by it"),
        pytest.param({**PLANNED, "ownerReferences": [{"uid": "another"}]}, True, id="owned by another"),
        pytest.param({**REMOVES, "ownerReferences": [{"uid": "another"}]}, True, id="a removal owned by another"),
        pytest.param(
            {**PLANNED, "ownerReferences": [{"uid": "another"}], "creationTimestamp": AFTER}, True, id="though younger"
        ),
        pytest.param({**PLANNED, "creationTimestamp": BEFORE}, True, id="orphaned, older"),
        pytest.param({**REMOVES, "creationTimestamp": BEFORE}, True, id="a removal, orphaned, older"),
        pytest.param({**PLANNED, "creationTimestamp": CREATED}, False, id="orphaned, of the same second"),
        pytest.param({**PLANNED, "creationTimestamp": AFTER}, False, id="orphaned, younger"),
        pytest.param(PLANNED, False, id="orphaned, of no age"),
    ],
)
def test_a_job_of_the_planner_is_told_by_its_owner_or_else_by_its_age(job: dict[str, Any], others: bool) -> None:
    """The remains of a deleted Dataset of the same name may be there for a while."""
    view = DatasetView(NOW, SETTINGS, a_dataset())
    assert is_of_a_namesake(view, JobView({"metadata": {"name": "x", **job}})) is others
    unborn = DatasetView(NOW, SETTINGS, a_dataset(metadata={"creationTimestamp": None}))
    assert (
        is_of_a_namesake(unborn, JobView({"metadata": {"name": "x", **PLANNED, "creationTimestamp": BEFORE}})) is False
    )


@pytest.mark.parametrize(("at", "others"), [(BEFORE, True), (CREATED, False), (AFTER, False), (None, False)])
def test_a_job_of_the_clock_is_told_by_when_it_ended(at: str | None, others: bool) -> None:
    """Its owner is a CronJob, which is made again with the Dataset."""
    assert is_of_a_namesake(DatasetView(NOW, SETTINGS, a_dataset()), by_the_clock(at)) is others
    assert is_removal(by_the_clock(at)) is False
    unborn = DatasetView(NOW, SETTINGS, a_dataset(metadata={"creationTimestamp": None}))
    assert is_of_a_namesake(unborn, by_the_clock(at)) is False


def test_news_are_taken_in_as_they_ended() -> None:
    """Those after the one on record, by time and then by name, whatever order they are seen in."""
    known = a_versioned_dataset(status={"lastJob": "b", "lastJobTime": CREATED})
    jobs = [
        finished(a_job(name), an_ingest_report(), at=at)
        for name, at in (("z", AFTER), ("c", CREATED), ("a", AFTER), ("b", CREATED), ("a0", CREATED), ("y", BEFORE))
    ]
    other_content = merged(a_job("o"), {"metadata": {"labels": {"mlops.dev/digest": "0" * 16}}})
    jobs += [running(a_job("r")), finished(other_content, an_ingest_report(), at=AFTER)]
    view = DatasetView(NOW, SETTINGS, known, jobs=tuple(jobs))
    assert [each.job.name for each in news(view, known.status)] == ["c", "a", "z"]
    assert mark_of(known.status) == (datetime(2026, 1, 10, 11, tzinfo=UTC), "b")
    assert mark_of(a_dataset().status) == (datetime(1970, 1, 1, tzinfo=UTC), "")


def test_failed_jobs_that_were_taken_in_go_but_for_the_newest() -> None:
    """Which tells how long to wait; nobody else's go, nor what succeeded."""
    known = a_versioned_dataset(status={"lastJob": "b", "lastJobTime": CREATED})
    jobs = [
        failed(a_job("a", creationTimestamp=CREATED), "StoreUnavailable", exit_code=1, at=CREATED),
        failed(a_job("b", creationTimestamp=CREATED), "StoreUnavailable", exit_code=1, at=CREATED),
        failed(a_job("c", creationTimestamp=CREATED), "StoreUnavailable", exit_code=1, at=AFTER),
        finished(a_job("a1", creationTimestamp=CREATED), an_ingest_report(), at=CREATED),
        failed(a_job("a2", ownerReferences=[{"uid": "another"}]), "StoreUnavailable", exit_code=1, at=CREATED),
        failed(merged(a_job("a3"), {"metadata": {"labels": {"app.kubernetes.io/component": "refresh"}}}), at=CREATED),
    ]
    view = DatasetView(NOW, SETTINGS, known, jobs=tuple(jobs))
    assert [key.name for key, _ in spent(view, known.status)] == ["a"]
