"""Which versions of a Dataset go, which stay for what, and in which order record and bytes go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlops.api import labels, tasks
from mlops.api.base import format_time, parse_time
from mlops.api.conditions import Condition, find
from mlops.api.dataset import Dataset, HistoryEntry
from mlops.api.labels import REQUESTED_AT
from mlops.planning.dataset.manifests import REMOVE, content_digest, sync_digest
from mlops.planning.dataset.planner import plan
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest, Plan
from mlops.planning.views import DatasetView, JobView, Use, Uses
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_dataset,
    a_remove_report,
    a_versioned_dataset,
    an_ingest_report,
    digest,
    failed,
    finished,
    merged,
    running,
    with_status,
)

GRACE = timedelta(seconds=SETTINGS.removal_grace_seconds)
NOBODY = Uses()
KEEP_2 = {"spec": {"retention": {"keepVersions": 2}}}


def a_view(versions: int = 4, *jobs: JobView, uses: Uses | None = NOBODY, **changes: Any) -> DatasetView:
    """Return the view of a Dataset with so many versions, each with an artifact of its own, a day apart."""
    dataset = a_versioned_dataset(versions, **merged(KEEP_2, changes))
    history = [
        {**entry.dump(), "artifact": artifact_of(entry.version), "time": days_ago(versions - entry.version)}
        for entry in dataset.status.history
    ]
    status = {
        **dataset.status.dump(),
        "artifact": history[0]["artifact"],
        "specDigest": sync_digest(dataset),
        "contentDigest": content_digest(dataset),
        "history": history,
        "conditions": [
            *(each.dump() for each in dataset.status.conditions),
            a_condition("Validated", "True", "Validated", "100 rows, all rules met"),
        ],
    }
    return DatasetView(now=NOW, settings=SETTINGS, dataset=with_status(dataset, status), jobs=jobs, uses=uses)


def artifact_of(version: int) -> str:
    return digest(f"{version:x}") if version < 16 else f"sha256:{version:064x}"


def days_ago(days: int) -> str:
    return format_time(NOW - timedelta(days=days))


def status_of(view: DatasetView) -> Manifest:
    return plan(view).statuses[key_of(view.dataset)].dump()


def after(view: DatasetView, *jobs: JobView, wait: timedelta = timedelta(), **changes: Any) -> DatasetView:
    """Return the view after the status planned for it was written, with these Jobs, a while later."""
    written = with_status(view.dataset, status_of(view))
    return replace(view, dataset=written, jobs=jobs, now=view.now + wait, **changes)


def erasing(view: DatasetView) -> tuple[DatasetView, Manifest]:
    """Return the view in which the Job that removes bytes is made, and that Job."""
    due = after(view, wait=GRACE)
    return due, the_removal(due)


def the_removal(view: DatasetView) -> Manifest:
    [job] = plan(view).create
    assert job["metadata"]["labels"][labels.COMPONENT] == REMOVE
    return job


def removed(view: DatasetView) -> list[int]:
    return [entry.version for entry in history_of(view) if entry.removed]


def history_of(view: DatasetView) -> tuple[HistoryEntry, ...]:
    return Dataset.model_validate({**view.dataset.dump(), "status": status_of(view)}).status.history


def said(view: DatasetView) -> Condition:
    found = find(after(view).dataset.status.conditions, "WithinRetention")
    assert found is not None
    return found


def test_without_retention_every_version_stays() -> None:
    """The default is as it was: nothing is marked, nothing is said of it."""
    view = replace(a_view(4), dataset=a_versioned_dataset(4))
    assert removed(view) == []
    assert find(after(view).dataset.status.conditions, "WithinRetention") is None


@pytest.mark.parametrize(
    ("retention", "gone"),
    [
        pytest.param({"keepVersions": 2}, [2, 1], id="the newest two stay"),
        pytest.param({"keepVersions": 1}, [3, 2, 1], id="the current one only"),
        pytest.param({"keepVersions": 9}, [], id="fewer than may stay"),
        pytest.param({"keepVersions": None, "maxAge": "48h"}, [2, 1], id="older than two days, to the second"),
        pytest.param({"keepVersions": None, "maxAge": "1s"}, [3, 2, 1], id="the current one whatever its age"),
        pytest.param({"keepVersions": 3, "maxAge": "2d"}, [2, 1], id="whichever takes it first"),
        pytest.param({"keepVersions": 2, "maxAge": "9999d"}, [2, 1], id="an age beyond the calendar"),
    ],
)
def test_retention_takes_what_is_too_many_or_too_old(retention: Manifest, gone: list[int]) -> None:
    """Older versions go, by number or by age, and never the current one."""
    assert removed(a_view(4, spec={"retention": retention})) == gone


def test_the_record_is_written_first_and_bytes_go_after_the_grace(golden: Callable[[str, Plan], None]) -> None:
    """Marked; after the grace on record as going, with the Job; when that has reported, as gone."""
    view = a_view(4)
    assert plan(view).create == (), "the mark alone"
    assert plan(view).requeue_at == NOW + GRACE
    early = after(view, wait=GRACE - timedelta(seconds=1))
    assert (plan(early).create, said(early).reason) == ((), "Removing")
    due, job = erasing(view)
    golden("dataset-removal", plan(due))
    assert [entry.removed.erasing for entry in history_of(due) if entry.removed] == [format_time(due.now)] * 2
    at_work = after(due, running(job))
    assert plan(at_work).create == ()
    report = finished(job, a_remove_report(digest("1"), digest("2")), at=format_time(due.now))
    done = after(at_work, report)
    assert (said(done).status, said(done).reason) == ("True", "Retained")
    assert [entry.removed.erased is not None for entry in history_of(done) if entry.removed] == [True, True]
    assert [entry.digest for entry in history_of(done)] == [digest(n) for n in "4321"], "what was can be named"
    over = after(done, report)
    assert plan(over).delete == ((("Job", "team", job["metadata"]["name"]), "uid-of-" + job["metadata"]["name"]),)
    assert plan(after(over)).statuses == {key_of(over.dataset): over.dataset.status}


def test_what_needs_a_version_keeps_it_and_is_named() -> None:
    """By its number or by its content; what else is too many goes."""
    uses = Uses((Use('ModelVersion "rain-v1"', version=1), Use('ModelVersion "rain-v2"', digest=digest("1"))))
    view = a_view(4, uses=uses)
    assert removed(view) == [2]
    due, job = erasing(view)
    done = after(due, finished(job, a_remove_report(digest("2"))))
    assert said(done).message == '3 versions in the store; version 1 stays for ModelVersion "rain-v1" and 1 more'
    assert plan(done).requeue_at is None, "a change of what needs it wakes the Dataset"
    assert removed(after(done, uses=Uses())) == [2, 1]


def test_what_needs_a_version_elsewhere_is_asked_again() -> None:
    """Nobody is told when it goes."""
    uses = Uses((Use("a ModelVersion of another namespace", digest=digest("1"), elsewhere=True),))
    due, job = erasing(a_view(4, uses=uses))
    done = after(due, finished(job, a_remove_report(digest("2"))))
    assert plan(done).requeue_at == done.now + timedelta(hours=1)


def test_a_run_that_was_pinned_before_it_could_know_wins() -> None:
    """Seen within the grace, its version is not removed: no byte of it was."""
    marked = after(a_view(4))
    pinned = Uses((Use('TrainingRun "late"', version=1, digest=digest("1")),))
    assert removed(replace(marked, uses=pinned, now=NOW + GRACE)) == [2]


def test_once_bytes_go_nothing_brings_a_version_back() -> None:
    """Neither a late run nor another spec: half of it may be gone."""
    due, job = erasing(a_view(4))
    going = after(due, running(job), uses=Uses((Use('TrainingRun "late"', version=1),)))
    assert removed(going) == [2, 1]
    asked_no_more = merged(going.dataset.dump(), {"spec": {"retention": None}})
    other = replace(going, dataset=Dataset.model_validate(asked_no_more))
    assert removed(other) == [2, 1]
    done = after(other, finished(job, a_remove_report(digest("1"), digest("2"))))
    assert all(entry.removed.erased for entry in history_of(done) if entry.removed)


def test_a_retention_that_is_taken_back_takes_its_marks_back() -> None:
    """Within the grace all bytes are there."""
    marked = after(a_view(4))
    more = Dataset.model_validate(merged(marked.dataset.dump(), {"spec": {"retention": {"keepVersions": 3}}}))
    assert removed(replace(marked, dataset=more)) == [1]


def test_bytes_that_another_version_has_stay() -> None:
    """The same content came again: the old number goes, its files are those of the current version."""
    view = a_view(4)
    history = [{**entry.dump(), "artifact": digest("a")} for entry in view.dataset.status.history if entry.version != 2]
    view = replace(view, dataset=with_status(view.dataset, {**view.dataset.status.dump(), "history": history}))
    due = after(view, wait=GRACE)
    assert removed(due) == [1]
    assert plan(due).create == ()
    assert said(due).message.endswith("version 1: removed, and what is still there has the same bytes, which stay")


def test_bytes_that_another_dataset_has_stay_until_it_gives_them_up() -> None:
    """Content is stored once: the last that removes it removes its bytes."""
    due = after(a_view(4, uses=Uses(shared=frozenset({digest("1")}))), wait=GRACE)
    assert tasks_artifacts(the_removal(due)) == [digest("2")]
    job = the_removal(due)
    done = after(due, finished(job, a_remove_report(digest("2"))))
    assert plan(done).create == ()
    assert tasks_artifacts(the_removal(after(done, uses=Uses()))) == [digest("1")]


def tasks_artifacts(job: Manifest) -> list[str]:
    [container] = job["spec"]["template"]["spec"]["containers"]
    task = tasks.parse_task(next(each["value"] for each in container["env"] if each["name"] == tasks.TASK_VARIABLE))
    assert isinstance(task, tasks.RemoveTask)
    return list(task.artifacts)


def test_a_removal_that_fails_is_tried_again_and_says_why() -> None:
    """Whatever the reason: the record says that the bytes go. The Dataset itself is as good as before."""
    due, job = erasing(a_view(4))
    at = format_time(due.now)
    bad = after(due, running(job))
    bad = replace(bad, jobs=(failed(job, "AccessDenied", message="s3://artifacts/: no s3:DeleteObject", at=at),))
    assert (said(bad).status, said(bad).reason) == ("False", "RemovalFailed")
    assert said(bad).message == "AccessDenied: s3://artifacts/: no s3:DeleteObject; attempt 2 follows"
    assert find(after(bad).dataset.status.conditions, "Ready").status == "True"  # type: ignore[union-attr]
    waits = after(bad, *bad.jobs)
    assert plan(waits).create == ()
    assert plan(waits).requeue_at == due.now + timedelta(minutes=1)
    again = replace(waits, now=due.now + timedelta(minutes=1))
    second = the_removal(again)
    assert second["metadata"]["name"] != job["metadata"]["name"]
    assert said(again).reason == "RemovalFailed", "until it has succeeded"
    done = after(again, *bad.jobs, finished(second, a_remove_report(digest("1"), digest("2"))))
    assert said(done).reason == "Retained"
    assert status_of(done).get("removalAttempts") is None


def test_no_sync_and_no_removal_at_the_same_time() -> None:
    """What a sync stores may rest on files that a removal takes: one waits for the other, also that of the CronJob."""
    refresh = {"spec": {"refresh": {"schedule": "0 * * * *"}}}
    due, job = erasing(a_view(4, **refresh))
    [cron_job] = plan(due).apply
    assert cron_job["spec"]["suspend"] is True, "before the Job is made"
    asked = merged(due.dataset.dump(), {"metadata": {"annotations": {REQUESTED_AT: format_time(NOW)}}})
    wanted = replace(due, dataset=Dataset.model_validate(asked))
    [sync] = plan(wanted).create
    assert sync["metadata"]["labels"][labels.COMPONENT] == "ingest", "what is delivered goes first"
    assert plan(after(wanted, running(sync))).create == ()
    assert plan(after(wanted, running(job))).create == ()
    [paused] = plan(after(wanted, running(job))).apply
    assert paused["spec"]["suspend"] is True
    over = after(due, finished(job, a_remove_report(digest("1"), digest("2"))))
    assert plan(over).apply[0]["spec"]["suspend"] is False


def test_what_was_stored_while_the_same_was_removed_is_read_again() -> None:
    """Files that it found in place may be gone: it becomes no version, and the next attempt stores them anew."""
    due, job = erasing(a_view(4))
    at_work = after(due, running(job))
    asked = merged(at_work.dataset.dump(), {"metadata": {"annotations": {REQUESTED_AT: format_time(due.now)}}})
    view = replace(at_work, dataset=Dataset.model_validate(asked), jobs=())
    [sync] = plan(view).create
    sync["metadata"]["creationTimestamp"] = format_time(due.now)
    late = finished(sync, an_ingest_report("1", artifact=digest("1")), at=format_time(due.now + timedelta(minutes=1)))
    status = status_of(replace(view, jobs=(running(job), late)))
    assert (status["version"], status["attempts"]) == (4, 1)
    gone = finished(job, a_remove_report(digest("1"), digest("2")), at=format_time(due.now + timedelta(minutes=2)))
    done = replace(after(view, running(job)), jobs=(gone,))
    assert status_of(replace(after(done), jobs=(late,)))["version"] == 4
    fresh = merged(late.manifest, {"metadata": {"creationTimestamp": format_time(due.now + timedelta(minutes=3))}})
    assert status_of(replace(after(done), jobs=(replace(late, manifest=fresh),)))["version"] == 5


def a_sync(view: DatasetView, letter: str, at: timedelta) -> DatasetView:
    """Return the view after a sync that was asked for and delivered this content."""
    when = format_time(view.now + at)
    asked = merged(view.dataset.dump(), {"metadata": {"annotations": {REQUESTED_AT: when}}})
    view = replace(view, dataset=Dataset.model_validate(asked), jobs=(), now=view.now + at)
    [sync] = plan(view).create
    assert sync["metadata"]["labels"][labels.COMPONENT] == "ingest"
    sync["metadata"]["creationTimestamp"] = when
    report = an_ingest_report(letter, artifact=digest(letter), as_of=when)
    return after(replace(view, jobs=(finished(sync, report, at=when),)))


@pytest.mark.parametrize("uses", [NOBODY, None])
def test_content_that_came_back_before_its_bytes_went_is_taken_in_for_ever_after(uses: Uses | None) -> None:
    """X, Y, X: the first X is on record as going, but its bytes are those of the third version, and nothing removes
    them. Every later sync of X is as good as any."""
    hour = timedelta(hours=1)
    view = a_sync(a_sync(a_view(1), "e", hour), "1", hour)
    for _ in range(2):
        view = after(view, wait=GRACE)
    assert [(each.version, each.artifact) for each in history_of(view)] == [
        (3, digest("1")),
        (2, digest("e")),
        (1, digest("1")),
    ]
    assert [bool(each.removed and each.removed.erasing) for each in history_of(view)] == [False, False, True]
    assert plan(view).create == (), "its bytes are those of the current version"
    view = a_sync(replace(view, uses=uses), "1", hour)
    validated = find(view.dataset.status.conditions, "Validated")
    assert validated is not None
    assert (validated.status, validated.reason, view.dataset.status.attempts) == ("True", "Unchanged", 0)
    assert a_sync(view, "d", hour).dataset.status.version == 4


def test_content_that_another_dataset_keeps_is_taken_in() -> None:
    """It is on record as going here, and stays for the other."""
    due = after(after(a_view(3, uses=Uses(shared=frozenset({digest("1")}))), wait=GRACE))
    assert [each.version for each in history_of(due) if each.removed and each.removed.erasing] == [1]
    assert a_sync(due, "1", timedelta(hours=1)).dataset.status.version == 4


def test_a_full_history_says_that_older_versions_stay_in_the_store() -> None:
    """Their addresses are on no record any more, so that nothing removes them."""
    needed = Uses(tuple(Use(f'TrainingRun "r{number}"', version=number) for number in range(1, 200)))
    words = "the history of 100 versions is full: older ones are on no record and stay in the store"
    assert words not in said(full_of(99, needed)).message
    assert said(full_of(100, needed)).message.endswith(words)
    assert said(full_of(100, NOBODY)).message.endswith(words), "also while some are being removed"


def full_of(versions: int, uses: Uses) -> DatasetView:
    """Return the view of a Dataset with so many versions on record."""
    view = a_view(1, uses=uses)
    [entry] = view.dataset.status.history
    history = [
        {**entry.dump(), "version": number, "artifact": f"sha256:{number:064x}", "digest": f"sha256:{number:064x}"}
        for number in range(versions, 0, -1)
    ]
    status = {**view.dataset.status.dump(), "version": versions, "history": history}
    return replace(view, dataset=with_status(view.dataset, status))


def test_the_same_bytes_removed_a_second_time_are_another_removal() -> None:
    """A report of the first one says nothing of what was delivered again since."""
    due, job = erasing(a_view(4))
    first = finished(job, a_remove_report(digest("1"), digest("2")), at=format_time(due.now))
    done = after(after(due, running(job)), first)
    status = done.dataset.status
    again = [
        entry.evolve(version=number, removed=None) if number <= 2 else entry
        for number, entry in zip((4, 3, 2, 1), status.history, strict=True)
    ]
    put_back = with_status(done.dataset, status.evolve(history=tuple(again)).dump())
    later, second = erasing(replace(done, dataset=put_back, now=NOW + timedelta(hours=9)))
    assert second["metadata"]["name"] != job["metadata"]["name"]
    assert [entry.removed.erased for entry in history_of(after(later, first)) if entry.removed] == [None, None]


def test_a_view_that_did_not_ask_who_needs_them_removes_nothing() -> None:
    """Nor does it finish what it cannot judge."""
    assert removed(a_view(4, uses=None)) == []
    due, _ = erasing(a_view(4))
    assert plan(replace(due, uses=None)).create == ()


def test_versions_beyond_the_newest_twenty_are_listed_while_their_bytes_are_there() -> None:
    """Else nobody would ever remove what a model needed for long."""
    needed = Uses((Use('ModelVersion "rain-v1"', version=1),))
    view = a_view(1, uses=needed)
    for number in range(2, 30):
        asked = merged(view.dataset.dump(), {"metadata": {"annotations": {REQUESTED_AT: format_time(view.now)}}})
        view = replace(view, dataset=Dataset.model_validate(asked), jobs=())
        syncs = [job for job in plan(view).create if job["metadata"]["labels"][labels.COMPONENT] != REMOVE]
        report = an_ingest_report(artifact=digest(f"{number % 16:x}"), digest="sha256:" + f"{number:064x}")
        report = report.evolve(artifact="sha256:" + f"{number:064x}", as_of=format_time(view.now))
        view = after(view, finished(syncs[0], report, at=format_time(view.now)))
        view = after(view, wait=timedelta(hours=1))
        [removal] = [*plan(view).create] or [None]
        if removal:
            gone = finished(removal, a_remove_report(*tasks_artifacts(removal)), at=format_time(view.now))
            view = after(after(view, gone), wait=timedelta(hours=1))
    numbers = [entry.version for entry in view.dataset.status.history]
    assert numbers == [*range(29, 9, -1), 1]
    assert [entry.version for entry in view.dataset.status.history if not entry.removed] == [29, 28, 1]


def test_what_is_removed_is_named_by_what_is_on_record_only() -> None:
    """A crash between status and Job makes the same Job, whatever the clock says."""
    due, job = erasing(a_view(4))
    crashed = after(due, wait=timedelta(minutes=5))
    assert the_removal(crashed) == job
    assert parse_time(job["metadata"]["annotations"][labels.AS_OF]) == due.now
    assert a_dataset().spec.retention is None


@pytest.mark.parametrize(
    ("versions", "told"),
    [(1, "1 version in the store"), (2, "2 versions in the store"), (3, "3 versions in the store")],
)
def test_how_many_versions_there_are_is_told(versions: int, told: str) -> None:
    """One is not many."""
    found = said(a_view(versions, spec={"retention": {"keepVersions": 9}}))
    assert (found.status, found.reason, found.message) == ("True", "Retained", told)


def test_what_is_on_its_way_out_is_told_by_its_numbers() -> None:
    """One, some, and more than anybody reads."""

    def told(versions: int) -> str:
        return said(a_view(versions, spec={"retention": {"keepVersions": 1}})).message

    assert told(2) == "version 1: being removed"
    assert told(3) == "versions 1, 2: being removed"
    twenty = ", ".join(str(number) for number in range(1, 21))
    assert told(21) == f"versions {twenty}: being removed"
    assert told(23) == f"versions {twenty} and 2 more: being removed"


def test_who_needs_a_version_is_named_and_of_many_the_first() -> None:
    """Of many versions the newest five."""
    uses = Uses(of_versions=(Use("A", version=1), Use("B", version=1), Use("C", version=2)))
    found = said(a_view(3, spec={"retention": {"keepVersions": 1}}, uses=uses)).message
    assert found == "3 versions in the store; version 2 stays for C; version 1 stays for A and 1 more"
    many = Uses(of_versions=tuple(Use(f"U{number}", version=number) for number in range(1, 8)))
    found = said(a_view(8, spec={"retention": {"keepVersions": 1}}, uses=many)).message
    assert found == "; ".join(
        [
            "8 versions in the store",
            *(f"version {number} stays for U{number}" for number in (7, 6, 5, 4, 3)),
            "2 more stay for what needs them",
        ]
    )
    five = Uses(of_versions=many.of_versions[2:])
    found = said(a_view(8, spec={"retention": {"keepVersions": 6}}, uses=five)).message
    assert "more stay" not in found


def test_a_plan_is_made_again_when_the_next_version_is_too_old_or_its_grace_is_over() -> None:
    """Whichever comes first; a sync that is at work does not put it off."""
    old = a_view(2, spec={"retention": {"keepVersions": None, "maxAge": "49h"}})
    assert plan(old).requeue_at == NOW + timedelta(hours=25)
    both = a_view(4, spec={"retention": {"keepVersions": 3, "maxAge": "200h"}})
    assert plan(both).requeue_at == NOW + GRACE
    next_one = after(both, wait=GRACE)
    assert plan(next_one).create, "the Job that removes what is too many"
    assert plan(next_one).requeue_at is not None, "when the next version is too old"
    late = after(a_view(4), wait=GRACE)
    assert plan(late).requeue_at is None
    asked = late.dataset.evolve(
        metadata=a_dataset(metadata={"annotations": {REQUESTED_AT: format_time(late.now)}}).metadata
    )
    [sync] = plan(replace(late, dataset=asked)).create
    marks = after(a_view(4, spec={"retention": {"keepVersions": 2}}), running(sync), wait=GRACE / 2)
    assert plan(marks).requeue_at == marks.now + GRACE / 2
