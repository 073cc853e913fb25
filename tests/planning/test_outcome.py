"""What follows from how a Job ended, beside what the planners' own tests show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops.api import labels, tasks
from mlops.planning.execution import Ended, Running
from mlops.planning.outcome import Failure, outcome, scheduled_at
from mlops.planning.plan import Manifest
from mlops.planning.views import JobView
from tests.planning.builders import a_verify_report, failed, finished, merged, running

LIMITED = {"containers": [{"name": "main", "resources": {"limits": {"memory": "2Gi"}}}]}
JOB: Manifest = {
    "metadata": {"name": "job", "namespace": "team"},
    "spec": {"activeDeadlineSeconds": 600, "template": {"spec": LIMITED}},
}


def with_container(container: Manifest) -> Manifest:
    """Return the Job with another container."""
    return merged(JOB, {"spec": {"template": {"spec": {"containers": [container]}}}})  # type: ignore[no-any-return]


def judged(job: JobView) -> Failure:
    """Return what became of a Job that was to report an ingest."""
    found = outcome(job, tasks.IngestReport)
    assert isinstance(found, Failure)
    return found


def test_a_success_with_no_report_or_another_one_is_a_failure_that_may_pass() -> None:
    """Never a silent success, and done again."""
    silent = Failure("ReportMissing", "Job job succeeded, but the termination message holds no report: ''", False)
    assert judged(finished(JOB, None)) == silent
    other = Failure("ReportMissing", "Job job reports VerifyReport, not what it was for", False)
    assert judged(finished(JOB, a_verify_report())) == other


@pytest.mark.parametrize(
    ("how", "want"),
    [
        pytest.param(
            {"why": "DeadlineExceeded", "container": None, "exit_code": None},
            Failure("DeadlineExceeded", "Job job took longer than 600 s", False),
            id="deadline",
        ),
        pytest.param(
            {"container": "OOMKilled", "exit_code": 137},
            Failure("OOMKilled", "Job job needed more memory than 2Gi", True),
            id="memory",
        ),
        pytest.param(
            {"reason": "SourceNotFound", "message": " \n"},
            Failure("SourceNotFound", "Job job exited with code 2: see its pod's log", True),
            id="said without words",
        ),
        pytest.param(
            {"reason": "SourceNotFound", "message": "no such file"},
            Failure("SourceNotFound", "no such file", True),
            id="said",
        ),
        pytest.param(
            {"exit_code": 1, "why": "BackoffLimitExceeded"},
            Failure("BackoffLimitExceeded", "Job job exited with code 1 and left no report: see its pod's log", False),
            id="passing, without a report",
        ),
        pytest.param(
            {"exit_code": 2},
            Failure("BackoffLimitExceeded", "Job job exited with code 2 and left no report: see its pod's log", True),
            id="bad input, without a report",
        ),
        pytest.param(
            {"exit_code": None},
            Failure("ReportMissing", "Job job failed and its pod left no report: it may have been lost", False),
            id="lost",
        ),
    ],
)
def test_each_end_of_a_job_has_its_reason_its_words_and_says_whether_trying_again_helps(
    how: dict[str, Any], want: Failure
) -> None:
    """These are all there are."""
    assert judged(failed(JOB, **how)) == want


@pytest.mark.parametrize("container", [{}, {"resources": {}}, {"resources": {"limits": {}}}])
def test_a_container_without_a_limit_needed_more_than_there_was(container: Manifest) -> None:
    """A namespace may set no default, and the node is full."""
    job = with_container({"name": "main", **container})
    assert (
        judged(failed(job, container="OOMKilled", exit_code=137)).message == "Job job needed more memory than there was"
    )


def setback_of(job: JobView) -> Failure | None:
    """Return why the newest pod of a Job failed that is not over."""
    return Running(job).setback


def test_a_pod_that_makes_way_for_another_one_tells_why() -> None:
    """While the Job goes on; what is no report tells nothing."""
    report = tasks.write_report(tasks.FailureReport(reason="StoreUnavailable", message=" "))
    manifest = running(JOB).manifest
    assert setback_of(JobView(manifest, report, 1, "Error")) == Failure("StoreUnavailable", "see the pod's log", False)
    for message in (None, "Killed"):
        assert setback_of(JobView(manifest, message, 1, "Error")) is None
    assert setback_of(JobView(manifest, report, 2, "Error")) is None
    assert setback_of(JobView(manifest, report, 1, "Error", working=True)) is None


def test_a_job_finished_when_its_status_says_so() -> None:
    """By the time of its completion; else by that of the condition that ended it; else long ago."""
    done, later = "2026-01-10T11:30:00Z", "2026-01-10T11:31:00Z"

    def at(status: Manifest) -> datetime:
        return Ended(JobView({**JOB, "status": status}), tasks.IngestReport).at

    complete, over = ({"type": name, "status": "True", "lastTransitionTime": later} for name in ("Complete", "Failed"))
    half_past = datetime(2026, 1, 10, 11, 30, tzinfo=UTC)
    assert at({"completionTime": done, "conditions": [complete]}) == half_past
    assert at({"conditions": [complete]}) == at({"conditions": [over]}) == half_past + timedelta(minutes=1)
    for status in ({}, {"conditions": [{"type": "Complete", "status": "True"}]}):
        assert at(status) == datetime(1970, 1, 1, tzinfo=UTC)
    assert Ended(JobView(JOB), tasks.IngestReport).at == datetime(1970, 1, 1, tzinfo=UTC)


CRON = {"kind": "CronJob", "name": "sync", "uid": "u"}
BORN = {"creationTimestamp": "2026-01-10T12:34:56Z"}


@pytest.mark.parametrize(
    ("metadata", "at"),
    [
        pytest.param({"annotations": {labels.AS_OF: "2026-01-10T10:00:00Z"}, **BORN}, (10, 0, 0), id="noted"),
        pytest.param({"annotations": {labels.AS_OF: "ten"}, **BORN}, (12, 34, 56), id="noted, and no time"),
        pytest.param({"name": "sync-29467380", "ownerReferences": [CRON], **BORN}, (11, 0, 0), id="of a CronJob"),
        pytest.param(
            {
                "name": "sync-29467380",
                "ownerReferences": [CRON],
                "annotations": {labels.INSTANTIATED: "manual"},
                **BORN,
            },
            (12, 34, 56),
            id="made from a CronJob by a person",
        ),
        pytest.param({"name": "other-29467380", "ownerReferences": [CRON], **BORN}, (12, 34, 56), id="of another name"),
        pytest.param(
            {"name": "sync-29467380", "ownerReferences": [{**CRON, "kind": "Dataset"}], **BORN},
            (11, 0, 0),
            id="of another owner, whose name says nothing",
        ),
        pytest.param({"annotations": None, "ownerReferences": None, **BORN}, (12, 34, 56), id="when it was made"),
        pytest.param({}, None, id="nobody can tell"),
    ],
)
def test_a_job_looks_at_a_time(metadata: Manifest, at: tuple[int, int, int] | None) -> None:
    """That which is noted, or in the name that its CronJob gave it, or when it was made."""
    found = scheduled_at(JobView({"metadata": {"name": "sync", "namespace": "team", **metadata}}))
    assert found == (datetime(2026, 1, 10, *at, tzinfo=UTC) if at else None)


@pytest.mark.parametrize(
    ("failure", "outage"),
    [
        pytest.param(Failure("StoreUnavailable", "", final=False), True, id="the store was away"),
        pytest.param(Failure("CredentialsMissing", "", final=False), True, id="so were the keys"),
        pytest.param(Failure("Unschedulable", "", final=False), True, id="no node had room"),
        pytest.param(Failure("ImagePull", "", final=False), True, id="no image"),
        pytest.param(Failure("StoreUnavailable", "", final=True), False, id="it will be the same again"),
        pytest.param(Failure("DeadlineExceeded", "", final=False), False, id="too slow"),
        pytest.param(Failure("ReportMissing", "", final=False), False, id="no report"),
    ],
)
def test_an_outage_says_nothing_about_the_work(failure: Failure, outage: bool) -> None:
    """The same work may succeed later."""
    assert failure.outage is outage


@pytest.mark.parametrize(
    ("reason", "exit_code", "final"),
    [
        pytest.param("SourceNotFound", 2, True, id="bad input"),
        pytest.param("SourceNotFound", 1, False, id="it may pass"),
        pytest.param("NoSpace", 2, False, id="mended outside, whatever the pod says"),
    ],
)
def test_bad_input_is_final_unless_it_is_mended_outside(reason: str, exit_code: int, final: bool) -> None:
    """A Secret that is not there yet is no fault of the spec."""
    assert judged(failed(JOB, reason, exit_code=exit_code)) == Failure(reason, f"told {reason}", final)


def test_a_reason_that_is_none_is_not_believed() -> None:
    """A user's image writes what it likes: it would be refused as a condition's."""
    report = '{"kind": "failure", "reason": "no reason", "message": "m"}'
    assert judged(failed(JOB, message=report)).reason == "BackoffLimitExceeded"
