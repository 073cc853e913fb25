"""What a run says while its Job tries again, which Jobs it gives up, and what it takes over or forgets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlops.api import tasks
from mlops.api.conditions import find
from mlops.api.labels import RETRY
from mlops.api.training_run import TrainingRun, TriggerRecord
from mlops.planning.ownership import key_of
from mlops.planning.plan import Key, Manifest
from mlops.planning.training.children import run_of_template, spec_of_run
from mlops.planning.training.manifests import training_job_name
from mlops.planning.training.run import plan
from mlops.planning.views import JobView, TrainingRunView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_run,
    a_template,
    a_train_report,
    a_versioned_dataset,
    digest,
    failed,
    finished,
    merged,
    running,
    with_status,
)

SECOND_RUN = {"metadata": {"name": "rain-2", "uid": "uid-rain-2"}}
FULL = a_train_report(
    champion_metrics=[{"name": "roc_auc", "dataset": "test", "value": "0.5"}],
    best_params={"C": "1"},
    trials=2,
    positive_class="yes",
    notes=["3 rows were left out"],
)
OF_A_RESULT = (
    *("outputDigest", "predictionDigest", "format", "metrics", "championMetrics", "bestParams", "trials"),
    *("positiveClass", "notes"),
)


def a_view(run: TrainingRun | None = None, **changes: Any) -> TrainingRunView:
    return TrainingRunView(NOW, SETTINGS, run or a_run(), **{"dataset": a_versioned_dataset(), **changes})


def status_of(view: TrainingRunView) -> Manifest:
    return plan(view).statuses[key_of(view.run)].dump()


def after(view: TrainingRunView, *jobs: JobView, **changes: Any) -> TrainingRunView:
    view = replace(view, jobs=jobs or view.jobs, **changes)
    return replace(view, run=with_status(view.run, status_of(view)))


def the_job(view: TrainingRunView) -> Manifest:
    [job] = plan(view).create
    return job


def said(view: TrainingRunView, type_: str = "Ready") -> tuple[str, str, str]:
    found = find(view.run.status.conditions, type_)
    assert found is not None
    return found.status, found.reason, found.message


def trained(run: TrainingRun | None = None) -> TrainingRunView:
    view = after(a_view(run))
    return after(view, finished(the_job(view), FULL))


def test_a_job_that_makes_another_pod_says_why() -> None:
    """In its own condition and in Ready, while nothing is made."""
    view = after(a_view())
    report = tasks.write_report(tasks.FailureReport(reason="StoreUnavailable", message="503"))
    busy = replace(running(the_job(view)), message=report, exit_code=1, reason="Error")
    view = after(view, busy)
    assert said(view) == ("False", "StoreUnavailable", "503; the Job tries again")
    assert said(view, "Succeeded") == ("Unknown", "StoreUnavailable", "503; the Job tries again")
    assert find(view.run.status.conditions, "Reconciling") is not None
    assert plan(view).create == ()


def test_the_jobs_of_attempts_long_past_go() -> None:
    """An outage of days would leave hundreds; the newest failed one tells how long to wait."""
    view = after(a_view())
    inputs = str(view.run.status.inputs_digest)
    job = the_job(view)
    jobs = [
        failed(
            merged(job, {"metadata": {"name": training_job_name(view.run, inputs, attempt, verifying=False)}}),
            "StoreUnavailable",
            exit_code=1,
            at=f"2026-01-10T11:{50 + attempt}:00Z",
        )
        for attempt in range(3)
    ]
    known = view.run.status.evolve(attempts=3)
    found = plan(replace(view, run=view.run.evolve(status=known), jobs=tuple(jobs)))
    assert found.delete == tuple((Key("Job", "team", job.name), job.uid) for job in jobs[:2])


def test_a_result_is_taken_over_whole_and_the_job_of_the_slower_run_goes() -> None:
    """Metrics, parameters, class and notes: whoever reads the status sees no difference."""
    first = trained().run
    view = after(a_view(a_run(**SECOND_RUN)))
    job = running(the_job(view))
    view = replace(view, jobs=(job,), siblings=(first,))
    assert plan(view).delete == ((Key("Job", "team", job.name), job.uid),)
    assert [child["kind"] for child in plan(view).create] == ["ModelVersion"]
    theirs, ours = first.status.dump(), status_of(view)
    assert {name: ours[name] for name in OF_A_RESULT} == {name: theirs[name] for name in OF_A_RESULT}
    assert set(OF_A_RESULT) <= set(theirs)


def test_a_retry_on_other_inputs_forgets_what_came_of_the_first_ones() -> None:
    """What stays of a result would be shown beside inputs that did not give it."""
    run = trained(a_run(spec={"reproducibility": {"verify": "Once"}})).run
    ends = [a_condition("Ready", "False", "EnvironmentMismatch"), a_condition("Stalled", "True", "EnvironmentMismatch")]
    status = run.status.dump() | {"conditions": ends}
    asked = with_status(run, status).dump()
    view = a_view(TrainingRun.model_validate(merged(asked, {"metadata": {"annotations": {RETRY: "now"}}})))
    view = replace(view, dataset=a_versioned_dataset(2))
    found = status_of(view)
    assert found["resolved"]["datasetVersion"] == 2
    assert [name for name in OF_A_RESULT if found.get(name)] == []
    assert found["attempts"] == 1


@pytest.mark.parametrize("pinned", [False, True])
def test_a_suspended_run_says_so(pinned: bool) -> None:
    """Whether or not it has begun."""
    run = a_run(spec={"suspend": True})
    if pinned:
        run = run.evolve(status=after(a_view()).run.status)
    assert said(after(after(a_view(run)))) == ("Unknown", "Suspended", "spec.suspend is true")


def test_a_version_that_was_withdrawn_is_not_trained_on() -> None:
    """The Dataset says of its version that it is of a spec with other content, and makes another one."""
    ends = [a_condition("Ready", "Unknown", "Pending"), a_condition("Versioned", "False", "Outdated")]
    view = after(after(a_view(dataset=a_versioned_dataset(status={"conditions": ends}))))
    assert said(view)[:2] == ("False", "DatasetNotReady")
    assert plan(view).create == ()
    assert view.run.status.resolved is None


def test_a_run_of_a_template_has_the_spec_it_is_given_or_the_templates() -> None:
    """Without triggers, with its owner and why it was made."""
    template, why = a_template(), TriggerRecord(kind="Retry", ref="rain", reason="now")
    assert run_of_template(template, "x", why)["spec"] == spec_of_run(template)
    assert "triggers" not in spec_of_run(template)
    given = {**spec_of_run(template), "gates": []}
    made = run_of_template(template, "x", why, spec=given, more_labels={"monitor": "m"})
    assert made["spec"] == given
    assert made["metadata"]["labels"]["mlops.dev/monitor"] == "m"
    assert made["metadata"]["ownerReferences"][0]["uid"] == template.metadata.uid


def test_digests_of_results_are_those_of_the_report() -> None:
    """As the pod said them."""
    status = trained().run.status
    assert (status.output_digest, status.prediction_digest) == (digest("f"), digest("d"))
