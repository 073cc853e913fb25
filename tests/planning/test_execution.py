"""Work that a Job does in attempts: one answer for every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlops.api import tasks
from mlops.planning import execution
from mlops.planning.execution import Ended, Running, Start, Waiting
from mlops.planning.outcome import Failure
from mlops.planning.plan import Manifest
from mlops.planning.readiness import Readiness, condition
from mlops.planning.views import JobView
from tests.planning.builders import NOW, a_verify_report, failed, finished, running

ENDED = "2026-01-10T11:59:30Z"


def a_job(attempt: int) -> Manifest:
    metadata = {"name": f"job-{attempt}", "namespace": "team"}
    return {"kind": "Job", "metadata": metadata, "spec": {}}


def found(*jobs: JobView, attempts: int = 0, begun: bool = False) -> execution.Execution[tasks.VerifyReport]:
    return execution.execution(jobs, "job-{}".format, attempts, NOW, tasks.VerifyReport, begun=begun)


def test_what_has_no_job_is_started() -> None:
    assert found() == Start()


def test_a_job_that_is_not_over_runs() -> None:
    job = running(a_job(0))
    assert found(job) == Running(job)


def test_a_job_that_is_over_gives_its_report_or_why_there_is_none() -> None:
    ended = found(finished(a_job(0), a_verify_report()))
    assert isinstance(ended, Ended)
    assert ended.outcome == a_verify_report()
    ended = found(failed(a_job(0), "GoldenFailed"))
    assert isinstance(ended, Ended)
    assert ended.outcome == Failure("GoldenFailed", "told GoldenFailed", final=True)


def test_the_next_attempt_waits_for_the_one_before() -> None:
    """Half a minute ago the first one failed: the second begins a minute after it."""
    before = failed(a_job(0), "StoreUnavailable", exit_code=1, at=ENDED)
    assert found(before, attempts=1) == Waiting(NOW + timedelta(seconds=30))
    assert found(before, attempts=1, begun=True) == Start(), "it has begun, whatever became of its Job"
    assert found(attempts=1) == Start(), "nobody knows any more when the one before ended"


def test_an_attempt_that_is_there_does_not_wait() -> None:
    before, job = failed(a_job(0), "StoreUnavailable", exit_code=1, at=ENDED), running(a_job(1))
    assert found(before, job, attempts=1) == Running(job)


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (11, 60), (12, 60), (100_000, 60)]
)
def test_waits_double_up_to_an_hour(attempts: int, minutes: int) -> None:
    assert execution.retry_at(NOW, attempts) == NOW + timedelta(minutes=minutes)


def test_a_job_that_ended_at_the_end_of_time_is_tried_again_then() -> None:
    """A clock that was wrong writes any time."""
    assert execution.retry_at(datetime.max.replace(tzinfo=UTC), 1000) == datetime.max.replace(tzinfo=UTC)


def test_jobs_are_over_or_not() -> None:
    jobs = [running(a_job(0)), finished(a_job(1), a_verify_report()), failed(a_job(2), "GoldenFailed")]
    assert [job.name for job in execution.running(jobs)] == ["job-0"]
    assert [each.job.name for each in execution.ended(jobs, tasks.VerifyReport)] == ["job-1", "job-2"]


def test_of_attempts_that_failed_only_the_last_is_kept() -> None:
    """It tells how long to wait. One that has reported, one of somebody else and one that runs are nobody's to take."""
    lost = [failed(a_job(attempt), "StoreUnavailable", exit_code=1, at=ENDED) for attempt in (0, 1, 2, 3)]
    others = [
        finished(a_job(4), a_verify_report()),
        failed({**a_job(0), "metadata": {"name": "job-x"}}),
        running(a_job(5)),
    ]

    def spent(attempts: int) -> list[str]:
        return [key.name for key, _ in execution.spent([*lost, *others], lambda each: {f"job-{each}"}, attempts)]

    assert [spent(attempts) for attempts in (0, 1, 2, 3, 4)] == [
        [],
        [],
        ["job-0"],
        ["job-0", "job-1"],
        ["job-0", "job-1", "job-2"],
    ]
    assert spent(9) == ["job-0", "job-1", "job-2", "job-3"]


def test_a_status_may_say_any_number_of_attempts() -> None:
    """Whoever may write a status cannot keep the operator counting: the names of few attempts are asked for."""
    asked: list[int] = []

    def names(attempt: int) -> list[str]:
        asked.append(attempt)
        return [f"job-{attempt}"]

    lost = failed(a_job(30_000_000), "StoreUnavailable", exit_code=1, at=ENDED)
    assert [key.name for key, _ in execution.spent([lost], names, 30_000_100)] == ["job-30000000"]
    assert len(asked) < 1000


def test_what_tries_again_is_being_worked_on() -> None:
    """Ready is False with the reason of the failure, and Reconciling holds: `kubectl wait` and GitOps tools go on."""
    said = condition("Succeeded", "Unknown", "StoreUnavailable", "503; attempt 2 follows")
    waits = execution.meanwhile(Waiting(NOW), said)
    assert waits == Readiness("False", "StoreUnavailable", "503; attempt 2 follows", reconciling=True)
    assert execution.meanwhile(Waiting(NOW), None) is None
    again = execution.tries_again(Failure("StoreUnavailable", "503", final=False))
    assert again == Readiness("False", "StoreUnavailable", "503; the Job tries again", reconciling=True)
    follows = execution.attempt_follows("StoreUnavailable", "503", 1)
    assert follows == Readiness("False", "StoreUnavailable", "503; attempt 2 follows", reconciling=True)
    assert execution.meanwhile(Running(running(a_job(0))), said) is None
    assert execution.meanwhile(Start(), said) is None
