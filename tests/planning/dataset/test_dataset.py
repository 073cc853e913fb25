"""When a Dataset's source is synced, and what a sync means for its version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlops.api.conditions import find, is_true
from mlops.api.dataset import Dataset
from mlops.api.labels import AS_OF, REQUESTED_AT, RETRY
from mlops.planning.dataset.manifests import content_digest, sync_digest
from mlops.planning.dataset.planner import plan
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest, Plan
from mlops.planning.views import DatasetView, JobView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_dataset,
    a_live_version,
    a_run,
    a_version,
    an_ingest_report,
    digest,
    failed,
    finished,
    merged,
    running,
    with_status,
)

CAPTURED = {"s3": None, "captured": {"modelName": "rain", "window": "30d"}}


def a_view(dataset: Dataset | None = None, *jobs: JobView, **changes: Any) -> DatasetView:
    return DatasetView(now=NOW, settings=SETTINGS, dataset=dataset or a_dataset(), jobs=jobs, **changes)


def status_of(view: DatasetView) -> Manifest:
    return plan(view).statuses[key_of(view.dataset)].dump()


def after(view: DatasetView, *jobs: JobView, **changes: Any) -> DatasetView:
    """Return the view with these Jobs, after the status planned for it was written."""
    view = replace(view, jobs=jobs or view.jobs, **changes)
    return replace(view, dataset=with_status(view.dataset, status_of(view)))


def the_job(view: DatasetView) -> Manifest:
    [job] = plan(view).create
    return job


def ready(view: DatasetView) -> tuple[str, str]:
    found = find(after(view).dataset.status.conditions, "Ready")
    assert found is not None
    return found.status, found.reason


def a_versioned_view(letter: str = "1") -> DatasetView:
    view = after(a_view())
    return after(replace(view, jobs=(finished(the_job(view), an_ingest_report(letter)),)))


def test_the_first_look_is_made_as_of_the_creation(golden: Callable[[str, Plan], None]) -> None:
    """A new Dataset says Unknown and gets one Job, whose name does not depend on the clock."""
    first = plan(a_view())
    golden("dataset-first-look", first)
    assert plan(replace(a_view(), now=NOW + timedelta(hours=1))).create == first.create


def test_the_same_view_gives_the_same_plan() -> None:
    """Planning reads no clock and keeps no memory."""
    assert plan(a_view()) == plan(a_view())


def test_a_settled_dataset_plans_nothing() -> None:
    """Its status is as it is written already, and there is nothing to make or delete."""
    view = a_versioned_view()
    again = plan(view)
    assert again.statuses[key_of(view.dataset)] == view.dataset.status
    assert (again.create, again.delete, again.apply) == ((), (), ())


def test_a_good_delivery_becomes_version_one(golden: Callable[[str, Plan], None]) -> None:
    """Version, digest and address are on record, and runs may use it."""
    view = after(a_view())
    golden("dataset-versioned", plan(replace(view, jobs=(finished(the_job(view), an_ingest_report()),))))
    assert ready(a_versioned_view()) == ("True", "Versioned")


def test_while_a_look_is_under_way_no_second_one_starts() -> None:
    """A run that waits for still newer data does not restart the Job that is at work."""
    view = after(a_view())
    waiting = a_run(spec={"datasetRef": {"notBefore": "2026-01-10T12:00:00Z"}})
    assert plan(replace(view, jobs=(running(the_job(view)),), waiting_runs=(waiting,))).create == ()


def test_a_person_may_have_the_source_looked_at_again() -> None:
    """A bad file was replaced and the spec is as it was: the annotation makes one sync, and only one."""
    bad = a_versioned_view()
    asked = merged(
        bad.dataset.model_dump(by_alias=True), {"metadata": {"annotations": {REQUESTED_AT: "2026-01-10T11:50:00Z"}}}
    )
    view = replace(bad, dataset=Dataset.model_validate(asked))
    job = the_job(view)
    done = after(view, finished(job, an_ingest_report("2", as_of="2026-01-10T11:50:00Z")))
    assert done.dataset.status.version == 2
    assert plan(done).create == ()
    nonsense = merged(asked, {"metadata": {"annotations": {REQUESTED_AT: "now"}}})
    assert plan(replace(bad, dataset=Dataset.model_validate(nonsense))).create == ()


@pytest.mark.parametrize(
    ("letter", "version", "reason"),
    [pytest.param("1", 1, "Unchanged", id="same content"), pytest.param("2", 2, "Versioned", id="new content")],
)
def test_a_refresh_makes_a_version_only_of_new_content(letter: str, version: int, reason: str) -> None:
    """A run that waits for newer data has the source synced again; equal content stays the same version."""
    waiting = a_run(spec={"datasetRef": {"notBefore": "2026-01-10T11:45:00Z"}})
    view = replace(a_versioned_view(), waiting_runs=(waiting,))
    syncing = after(view)
    assert ready(syncing) == ("True", "Ingesting"), "the version that is there is as good as before"
    assert find(syncing.dataset.status.conditions, "Reconciling") is None
    report = an_ingest_report(letter, as_of="2026-01-10T11:45:00Z")
    status = status_of(replace(view, jobs=(finished(the_job(view), report, at="2026-01-10T11:50:00Z"),)))
    assert (status["version"], status["lastCheckTime"]) == (version, "2026-01-10T11:45:00Z")
    assert len(status["history"]) == version
    assert status["conditions"][0]["reason"] == reason


def test_a_bad_delivery_leaves_the_last_good_version_usable() -> None:
    """Ready says what is wrong with the delivery; Versioned stays True."""
    waiting = a_run(spec={"datasetRef": {"notBefore": "2026-01-10T11:45:00Z"}})
    view = replace(a_versioned_view(), waiting_runs=(waiting,))
    bad = failed(the_job(view), "Rejected", message="rule wind: 3 rows", at="2026-01-10T11:50:00Z")
    then = after(view, bad)
    assert then.dataset.status.version == 1
    assert ready(then) == ("False", "Rejected")
    assert is_true(then.dataset.status.conditions, "Versioned")
    assert is_true(then.dataset.status.conditions, "Stalled")
    assert plan(then).create == (), "the same delivery is not looked at again for the same run"


def test_a_mended_spec_is_looked_at_without_deleting_anything() -> None:
    """Bad, then fixed, then Ready."""
    view = after(a_view())
    bad = after(view, failed(the_job(view), "SchemaMismatch"))
    assert ready(bad) == ("False", "SchemaMismatch")
    mended = merged(bad.dataset.dump(), {"metadata": {"generation": 2}, "spec": {"format": "csv"}})
    view = replace(bad, dataset=Dataset.model_validate(mended))
    assert the_job(view)["metadata"]["name"] != bad.jobs[0].name
    view = after(view)
    good = finished(the_job(view), an_ingest_report(), at="2026-01-10T11:55:00Z")
    assert ready(replace(view, jobs=(*bad.jobs, good))) == ("True", "Versioned")


def test_a_passing_failure_is_tried_again_later() -> None:
    """An unreachable source is not the user's mistake: the next attempt follows after a minute, then two, then four."""
    view = after(a_view())
    down = failed(
        the_job(view), "SourceUnavailable", exit_code=1, why="BackoffLimitExceeded", at="2026-01-10T11:59:30Z"
    )
    then = after(view, down)
    assert ready(then) == ("False", "SourceUnavailable")
    assert not is_true(then.dataset.status.conditions, "Stalled")
    assert plan(then).requeue_at == NOW + timedelta(seconds=30)
    assert plan(then).create == ()
    later = replace(then, now=NOW + timedelta(minutes=1))
    assert the_job(later)["metadata"]["name"] != down.name


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param({"reason": None, "exit_code": None, "container": None}, "ReportMissing", id="pod lost"),
        pytest.param({"reason": None, "message": "Traceback"}, "BackoffLimitExceeded", id="no report"),
        pytest.param({"why": "DeadlineExceeded", "exit_code": None}, "DeadlineExceeded", id="too slow"),
        pytest.param({"exit_code": 137, "container": "OOMKilled"}, "OOMKilled", id="out of memory"),
        pytest.param({"reason": "FormatError"}, "FormatError", id="bad file"),
        pytest.param({"reason": "not a reason"}, "BackoffLimitExceeded", id="nonsense from a pod"),
    ],
)
def test_each_way_to_fail_has_its_reason(job: dict[str, Any], want: str) -> None:
    """No failure is silent, and none is taken for a success."""
    view = after(a_view())
    assert ready(replace(view, jobs=(failed(the_job(view), **job),))) == ("False", want)


def test_a_success_without_a_report_is_none() -> None:
    """A Job that completed but said nothing made no version."""
    view = after(a_view())
    assert ready(replace(view, jobs=(finished(the_job(view), ""),))) == ("False", "ReportMissing")


def test_a_dataset_of_captures_waits_for_a_live_model() -> None:
    """Nothing is created until a version of the model was live; then it starts by itself."""
    view = after(a_view(a_dataset(spec={"source": CAPTURED}), captured_versions=(a_version(),)))
    assert ready(view) == ("False", "NoLiveModel")
    assert plan(view).create == ()
    live = replace(view, captured_versions=(a_live_version(),))
    assert '"captures":true' in str(the_job(live))


def test_a_retry_looks_as_of_when_it_was_asked_for() -> None:
    """Captures that were not there at first are found, whenever the Job is made: the timestamp is on record."""
    captured = a_dataset(spec={"source": CAPTURED})
    first = after(a_view(captured, captured_versions=(a_live_version(),)))
    lacking = after(first, failed(the_job(first), "DataUnusable"))
    assert ready(lacking) == ("False", "DataUnusable")
    later = NOW + timedelta(hours=3)
    asked = Dataset.model_validate(merged(lacking.dataset.dump(), {"metadata": {"annotations": {RETRY: "a"}}}))
    again = replace(lacking, dataset=asked, now=later)
    job = the_job(again)
    assert job["metadata"]["annotations"][AS_OF] == "2026-01-10T15:00:00Z"
    on_record = replace(after(again), now=later + timedelta(hours=1))
    assert the_job(on_record) == job, "not of the clock: a crash in between makes the same Job"
    report = an_ingest_report("1", as_of="2026-01-10T15:00:00Z")
    done = after(on_record, finished(job, report, at="2026-01-10T16:00:00Z"))
    assert (ready(done)[0], plan(done).create) == ("True", ())


def test_a_schedule_keeps_a_cron_job(golden: Callable[[str, Plan], None]) -> None:
    """The refresh schedule is a CronJob that never runs two syncs at once; its Jobs tell their time by their name."""
    golden("dataset-refresh", plan(a_view(a_dataset(spec={"refresh": {"schedule": "0 * * * *"}}))))


def test_a_scheduled_look_is_taken_in() -> None:
    """A Job of the CronJob that found new content makes the next version."""
    view = a_versioned_view()
    refreshed = merged(view.dataset.dump(), {"spec": {"refresh": {"schedule": "0 * * * *"}}})
    view = replace(view, dataset=Dataset.model_validate(refreshed))
    [cron] = plan(view).apply
    job = {
        "metadata": {"name": "weather-refresh-29466900", **cron["spec"]["jobTemplate"]["metadata"]},
        "spec": cron["spec"]["jobTemplate"]["spec"],
    }
    report = an_ingest_report("2", as_of="2026-01-10T11:40:00Z")
    assert status_of(replace(view, jobs=(finished(job, report, at="2026-01-10T11:41:00Z"),)))["version"] == 2


def test_a_look_that_ended_before_the_last_one_is_taken_in_and_does_not_become_the_last() -> None:
    """It was due, so it counts; were it the last one on record, the one after it would be news for ever."""
    changes = {
        "metadata": {"annotations": {REQUESTED_AT: "2026-01-10T11:50:00Z"}},
        "spec": {"refresh": {"schedule": "0 * * * *"}},
    }
    view = a_versioned_view()
    view = replace(view, dataset=Dataset.model_validate(merged(view.dataset.dump(), changes)))
    due, [cron] = the_job(view), plan(view).apply
    template = cron["spec"]["jobTemplate"]
    job = {"metadata": {"name": "weather-refresh-29466900", **template["metadata"]}, "spec": template["spec"]}
    down = {"exit_code": 1, "why": "BackoffLimitExceeded"}
    later = failed(job, "SourceUnavailable", at="2026-01-10T11:55:00Z", **down)
    view = after(view, *view.jobs, later)
    earlier = finished(due, an_ingest_report("2", as_of="2026-01-10T11:50:00Z"), at="2026-01-10T11:52:00Z")
    view = after(view, *view.jobs, earlier)
    status = view.dataset.status
    assert (status.version, status.last_job, status.last_job_time) == (2, later.name, "2026-01-10T11:55:00Z")
    assert status_of(view) == status.dump(), "nothing is news any more"


def test_a_suspended_dataset_starts_nothing() -> None:
    """Its CronJob is suspended, a Job under way is stopped, and the version stays."""
    spec = {"suspend": True, "refresh": {"schedule": "0 * * * *"}}
    job = running(the_job(after(a_view())))
    suspended = plan(a_view(a_dataset(spec=spec), job))
    assert suspended.create == ()
    assert suspended.apply[0]["spec"]["suspend"] is True
    assert [key.name for key, _ in suspended.delete] == [job.name]


def test_an_unneeded_cron_job_and_an_outdated_job_go() -> None:
    """Taking the schedule away removes the CronJob; an edit stops the Job of the spec before."""
    [cron] = plan(a_view(a_dataset(spec={"refresh": {"schedule": "0 * * * *"}}))).apply
    outdated = running(the_job(a_view(a_dataset(spec={"format": "csv"}))))
    gone = plan(a_view(None, outdated, cron_job=merged(cron, {"metadata": {"uid": "c"}}))).delete
    assert {key.kind for key, _ in gone} == {"Job", "CronJob"}


def test_who_owns_the_data_does_not_change_it() -> None:
    """Edits that leave the content alone do not have the source read again."""
    other = a_dataset(spec={"governance": {"owner": "me"}, "suspend": True, "refresh": {"schedule": "0 * * * *"}})
    assert content_digest(other) == content_digest(a_dataset())
    assert content_digest(a_dataset(spec={"governance": {"pii": ["wind"]}})) != content_digest(a_dataset())


# --- credentials ---


def a_dataset_with_secret(name: str, **changes: Any) -> Dataset:
    return a_dataset(**merged({"spec": {"source": {"s3": {"secretRef": {"name": name}}}}}, changes))


SOURCES_WITH_SECRET = [
    pytest.param({"s3": {"uri": "s3://raw/x/", "secretRef": {"name": "vendor"}}}, id="s3"),
    pytest.param(
        {
            "captured": {
                **CAPTURED["captured"],
                "history": {"s3": {"uri": "s3://raw/x/", "secretRef": {"name": "vendor"}}},
            }
        },
        id="history",
    ),
    pytest.param(
        {"http": {"url": "https://example.com/x", "sha256": "ab" * 32, "secretRef": {"name": "vendor"}}}, id="http"
    ),
]


@pytest.mark.parametrize("source", SOURCES_WITH_SECRET)
def test_a_sources_secret_goes_to_the_pod_beside_the_stores_under_a_prefix(source: dict[str, Any]) -> None:
    """Neither can stand in for the other, and the pod starts without either, to say which one is missing."""
    wanted = {"s3": None, **source}
    view = a_view(a_dataset(spec={"source": wanted}), captured_versions=(a_live_version(),))
    [main] = the_job(after(view))["spec"]["template"]["spec"]["containers"]
    assert main["envFrom"] == [
        {"secretRef": {"name": "mlops-store", "optional": True}},
        {"prefix": "SOURCE_", "secretRef": {"name": "vendor", "optional": True}},
    ]


@pytest.mark.parametrize("source", SOURCES_WITH_SECRET)
def test_the_name_of_a_secret_is_no_part_of_the_content(source: dict[str, Any]) -> None:
    """Rows are the same rows, whoever's keys they were read with; but another Secret is a reason to look."""
    [(kind, body)] = source.items()
    bare = {**body, "secretRef": None} if kind != "captured" else {**body, "history": {"s3": {"uri": "s3://raw/x/"}}}
    with_secret = a_dataset(spec={"source": {"s3": None, **source}})
    without = a_dataset(spec={"source": {"s3": None, kind: {k: v for k, v in bare.items() if v is not None}}})
    assert content_digest(with_secret) == content_digest(without)
    assert sync_digest(with_secret) != sync_digest(without) == content_digest(without)


def test_another_secret_is_tried_at_once_and_the_version_stays() -> None:
    """The one before may have been the wrong one. The rows are the same, so nobody who uses them has to wait."""
    view = after(a_view(a_dataset_with_secret("old")))
    job = the_job(view)
    view = after(replace(view, jobs=(finished(job, an_ingest_report()),)))
    edited = a_dataset_with_secret("new", metadata={"generation": 2}, status=view.dataset.status.dump())
    then = after(replace(view, dataset=edited))
    assert the_job(then)["metadata"]["name"] != job["metadata"]["name"]
    assert ready(then)[0] == "True"
    assert is_true(then.dataset.status.conditions, "Versioned")
    same = after(then, *view.jobs, finished(the_job(then), an_ingest_report()))
    assert (same.dataset.status.version, ready(same)) == (1, ("True", "Unchanged"))
    assert plan(same).create == ()


def test_refused_keys_are_tried_again_when_another_secret_is_named() -> None:
    """Nothing has to be deleted, and nothing of the content has to be touched."""
    view = after(a_view(a_dataset_with_secret("old")))
    refused = failed(the_job(view), "AccessDenied")
    view = after(replace(view, jobs=(refused,)))
    # They may come back as they went: it is tried again by itself, and at once with another Secret.
    assert ready(view) == ("False", "AccessDenied")
    assert not is_true(view.dataset.status.conditions, "Stalled")
    assert the_job(view)["metadata"]["name"] != refused.name
    edited = a_dataset_with_secret("new", metadata={"generation": 2}, status=view.dataset.status.dump())
    assert the_job(after(replace(view, dataset=edited)))["metadata"]["name"] != refused.name


def test_a_missing_secret_is_waited_for() -> None:
    """A condition says so, without Stalled; the next sync follows by itself."""
    view = after(a_view(a_dataset_with_secret("vendor")))
    without = failed(the_job(view), "CredentialsMissing", exit_code=1, why="BackoffLimitExceeded")
    view = after(replace(view, jobs=(without,)))
    assert ready(view) == ("False", "CredentialsMissing")
    assert not is_true(view.dataset.status.conditions, "Stalled")
    later = replace(view, now=NOW + timedelta(hours=2))
    assert the_job(later)["metadata"]["name"] != without.name


def test_a_namesake_that_was_deleted_leaves_nothing() -> None:
    """A Job made for a Dataset of the same name that is gone tells nothing about the new one."""
    old = finished(the_job(a_view(a_dataset(metadata={"uid": "old"}))), an_ingest_report("9"))
    view = after(a_view(), old)
    assert "version" not in status_of(view)
    assert [job["metadata"]["name"] for job in plan(view).create] != [old.name]


@pytest.mark.parametrize("done", [pytest.param(True, id="finished"), pytest.param(False, id="at work")])
def test_an_orphaned_job_of_a_namesake_tells_nothing(done: bool) -> None:
    """`kubectl delete --cascade=orphan` leaves it without an owner; the new Dataset looks for itself, at once."""
    job = the_job(a_view(a_dataset(metadata={"uid": "old"})))
    del job["metadata"]["ownerReferences"]
    job["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    old = finished(job, an_ingest_report("9")) if done else JobView(job)
    view = replace(after(a_view()), jobs=(old,))
    assert "version" not in status_of(view)
    assert the_job(view)["metadata"]["name"] != old.name


def test_a_job_that_lost_its_owner_still_counts() -> None:
    """Somebody stripped it by hand: what it found is what this Dataset asked for."""
    job = the_job(after(a_view()))
    del job["metadata"]["ownerReferences"]
    job["metadata"]["creationTimestamp"] = "2026-01-10T11:00:00Z"
    assert status_of(after(a_view(), finished(job, an_ingest_report("9"))))["version"] == 1


def test_an_object_that_is_being_deleted_gets_no_children() -> None:
    """Making children would hold up a foreground deletion for ever."""
    assert plan(a_view(a_dataset(metadata={"deletionTimestamp": "2026-01-10T12:00:00Z"}))) == Plan()


def test_a_digest_is_that_of_the_report() -> None:
    """What runs are pinned to comes from the report and nowhere else."""
    status = a_versioned_view("7").dataset.status
    assert (status.digest, status.artifact) == (digest("7"), digest("a"))


def test_times_that_were_read_as_utc_are_told() -> None:
    """Nothing in the data said of which zone they are."""
    view = a_view()
    report = an_ingest_report().evolve(read_as_utc=("opened", "closed"))
    told = find(after(view, finished(the_job(view), report)).dataset.status.conditions, "Validated")
    assert told is not None
    assert "; times of opened, closed have no offset and were read as UTC: timeZone says another zone" in told.message


MISTAKEN = {"clean": [{"dropNulls": ["nowhere"]}, {"dropNulls": ["neither"]}]}


def test_a_spec_that_cannot_be_read_with_is_refused_with_all_its_mistakes() -> None:
    """Without a pod; nothing is due any more."""
    view = after(after(a_view(a_dataset(spec=MISTAKEN))))
    assert plan(view).create == ()
    for type_ in ("Ready", "Validated"):
        found = find(view.dataset.status.conditions, type_)
        assert found is not None
        assert (found.status, found.reason) == ("False", "SchemaMismatch")
        assert 'spec.clean[0].dropNulls: "nowhere" is not in spec.fields' in found.message
        assert 'spec.clean[1].dropNulls: "neither" is not in spec.fields' in found.message


@pytest.mark.parametrize(
    "spec",
    [pytest.param(MISTAKEN, id="cannot be read with"), pytest.param({"source": CAPTURED}, id="captures of nothing")],
)
def test_a_schedule_that_has_nothing_to_read_makes_no_cron_job_and_suspends_the_one_that_is_there(
    spec: Manifest,
) -> None:
    """Its pods would all say the same."""
    scheduled = a_view(a_dataset(spec={"refresh": {"schedule": "0 * * * *"}}))
    [cron] = plan(scheduled).apply
    assert cron["spec"]["suspend"] is False
    view = a_view(a_dataset(spec={"refresh": {"schedule": "0 * * * *"}, **spec}))
    assert plan(view).apply == ()
    [kept] = plan(replace(view, cron_job=cron)).apply
    assert (kept["metadata"]["name"], kept["spec"]["suspend"]) == (cron["metadata"]["name"], True)


@pytest.mark.parametrize(
    ("read", "checked"),
    [
        pytest.param("2026-01-10T11:20:00Z", "2026-01-10T11:40:00Z", id="of before the last check"),
        pytest.param("2026-01-10T11:50:00Z", "2026-01-10T11:50:00Z", id="of after it"),
    ],
)
def test_a_delivery_never_sets_the_last_check_back(read: str, checked: str) -> None:
    """Who waits for newer data would wait again for what was there already."""
    view = a_view()
    job = finished(the_job(view), an_ingest_report("2", as_of=read))
    known = view.dataset.dump() | {"status": {"lastCheckTime": "2026-01-10T11:40:00Z"}}
    dataset = Dataset.model_validate(known)
    assert the_job(a_view(dataset))["metadata"]["name"] != job.name, "another one is due"
    later = merged(job.manifest, {"metadata": {"name": "weather-later"}, "status": {"completionTime": checked}})
    status = status_of(replace(a_view(dataset), jobs=(replace(job, manifest=later),)))
    assert (status["version"], status["lastCheckTime"]) == (1, checked)


@pytest.mark.parametrize(
    ("known", "kept"),
    [
        pytest.param({"contentDigest": digest("c"), "specDigest": digest("d")}, digest("c"), id="of its content"),
        pytest.param({"specDigest": digest("d")}, digest("d"), id="as an earlier release wrote it"),
    ],
)
def test_a_retry_forgets_the_sync_and_not_what_the_version_is_of(known: Manifest, kept: str) -> None:
    """Else the version would count as one of another spec, and be withdrawn until the source was synced again."""
    view = a_versioned_view()
    status = {**view.dataset.status.dump(), "contentDigest": None, "specDigest": None, **known}
    dataset = with_status(view.dataset, {name: value for name, value in status.items() if value is not None})
    asked = Dataset.model_validate(merged(dataset.dump(), {"metadata": {"annotations": {RETRY: "now"}}}))
    found = status_of(a_view(asked))
    assert found["contentDigest"] == kept
    assert "specDigest" not in found
    assert (found["retried"], found["retriedAt"]) == ("now", "2026-01-10T12:00:00Z")
