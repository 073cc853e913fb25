"""What the two executions of a run say while they are at work, and when they failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlops.api.conditions import find
from mlops.api.training_run import TrainingRun
from mlops.planning.ownership import key_of
from mlops.planning.plan import Key, Manifest
from mlops.planning.training.manifests import training_job_name
from mlops.planning.training.run import plan
from mlops.planning.views import JobView, TrainingRunView
from tests.planning.builders import (
    ENVIRONMENT,
    NOW,
    SETTINGS,
    a_container_run,
    a_run,
    a_train_report,
    a_versioned_dataset,
    digest,
    failed,
    finished,
    merged,
    with_status,
)

TWICE = {"reproducibility": {"verify": "Once"}}


def after(view: TrainingRunView, *jobs: JobView, **changes: Any) -> TrainingRunView:
    view = replace(view, jobs=jobs or view.jobs, **changes)
    return replace(view, run=with_status(view.run, plan(view).statuses[key_of(view.run)].dump()))


def begun(run: TrainingRun | None = None) -> TrainingRunView:
    return after(TrainingRunView(NOW, SETTINGS, run or a_run(), dataset=a_versioned_dataset()))


def the_job(view: TrainingRunView) -> Manifest:
    [job] = plan(view).create
    return job


def proving() -> tuple[TrainingRunView, JobView]:
    """Return the view of a run that was trained and is to be proven, and its first Job."""
    view = begun(a_run(spec=TWICE))
    first = finished(the_job(view), a_train_report())
    return after(view, first), first


def said(view: TrainingRunView, *types: str) -> list[tuple[str, str, str] | None]:
    found = [find(view.run.status.conditions, type_) for type_ in types]
    return [(each.status, each.reason, each.message) if each else None for each in found]


def test_an_execution_at_work_says_what_it_does() -> None:
    """In its own condition and in Ready; the second one leaves the first one's word."""
    training = ("Unknown", "Running", "training on version 1 of weather")
    assert said(begun(), "Ready", "Reconciling", "Succeeded", "Reproducible") == [
        training,
        ("True", *training[1:]),
        training,
        None,
    ]
    verifying = ("Unknown", "Verifying", "training a second time to compare the digests")
    succeeded = ("True", "Succeeded", "trained as onnx")
    assert said(proving()[0], "Ready", "Succeeded", "Reproducible") == [verifying, succeeded, verifying]


def test_a_first_execution_that_failed_is_no_success_and_a_second_one_proves_nothing() -> None:
    """Neither that the model can be made again, nor that it cannot."""
    view = begun()
    lost = failed(the_job(view), "TrainingFailed", message="no rows")
    for_good = ("False", "TrainingFailed", "no rows")
    assert said(after(view, lost), "Ready", "Stalled", "Succeeded") == [for_good, ("True", *for_good[1:]), for_good]
    view, first = proving()
    lost = failed(the_job(view), "TrainingFailed", message="no rows")
    then = after(view, first, lost)
    assert said(then, "Ready", "Stalled", "Succeeded", "Reproducible") == [
        for_good,
        ("True", *for_good[1:]),
        ("True", "Succeeded", "trained as onnx"),
        ("Unknown", *for_good[1:]),
    ]
    assert plan(then).create == ()


def test_an_environment_that_is_not_the_pinned_one_is_told_with_both() -> None:
    """And with the way out."""
    view = begun()
    then = after(view, finished(the_job(view), a_train_report(environment_digest=digest("9"))))
    message = (
        f"the pod's environment is {digest('9')}, the run is pinned to {ENVIRONMENT}: "
        "use the workload image of this release, and make a new run"
    )
    assert said(then, "Ready", "Succeeded") == [("False", "EnvironmentMismatch", message)] * 2


def test_an_attempt_that_an_outage_took_is_followed_by_another() -> None:
    """The condition says why and which one; the wait begins when the Job ended, and what waits has begun nothing."""
    view = begun()
    lost = failed(the_job(view), "StoreUnavailable", message="503", exit_code=1, at="2026-01-10T11:59:30Z")
    view = after(view, lost)
    message = "503; attempt 2 follows"
    assert said(view, "Ready", "Reconciling", "Succeeded") == [
        ("False", "StoreUnavailable", message),
        ("True", "StoreUnavailable", message),
        ("Unknown", "StoreUnavailable", message),
    ]
    assert (view.run.status.attempts, view.run.status.without_report) == (1, None)
    for waits in (view, after(view)):
        assert (plan(waits).requeue_at, plan(waits).create) == (NOW + timedelta(seconds=30), ())
        assert said(waits, "Ready", "Succeeded")[0] == ("False", "StoreUnavailable", message)
    due = replace(view, now=NOW + timedelta(seconds=30))
    assert len(plan(due).create) == 1


def test_reports_that_are_lost_in_a_row_are_counted() -> None:
    """One that was lost after an outage is the first."""
    view = begun()
    for number in (1, 2):
        lost = failed(the_job(view), exit_code=None, container=None, at="2026-01-10T11:00:00Z")
        view = after(view, *view.jobs, lost)
        assert (view.run.status.attempts, view.run.status.without_report) == (number, number)
        view = after(replace(view, now=view.now + timedelta(hours=2)))


@pytest.mark.parametrize("verifying", [False, True])
def test_failed_jobs_of_both_executions_go_when_they_are_old(verifying: bool) -> None:
    """Those of the attempt before the present one stay, which tell how long to wait; so do those that reported."""
    view, first = proving()
    inputs = str(view.run.status.inputs_digest)
    names = [training_job_name(view.run, inputs, number, verifying=verifying) for number in range(3)]
    jobs = [
        failed(merged(the_job(view), {"metadata": {"name": name}}), "StoreUnavailable", exit_code=1) for name in names
    ]
    known = view.run.status.evolve(attempts=3)
    present = replace(view, run=view.run.evolve(status=known), jobs=(first, *jobs) if verifying else tuple(jobs))
    assert plan(present).delete == tuple((Key("Job", "team", job.name), job.uid) for job in jobs[:2])


def test_a_container_of_the_user_fails_with_its_own_words_only_where_it_left_no_report() -> None:
    """What our own containers beside it report is told as they say it."""
    view = begun(a_container_run())
    [lost] = said(after(view, failed(the_job(view), "OutputInvalid", message="no metrics")), "Ready")
    assert lost == ("False", "OutputInvalid", "no metrics")
    [mine] = said(after(view, failed(the_job(view), why="BackoffLimitExceeded", exit_code=4)), "Ready")
    assert mine == ("False", "TrainingFailed", "spec.trainer.container exited with code 4: see the pod's log")
    view = begun()
    [ours] = said(after(view, failed(the_job(view), why="BackoffLimitExceeded", exit_code=4)), "Ready")
    assert ours is not None
    assert ours[:2] == ("False", "BackoffLimitExceeded")
