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
    a_container_run,
    a_live_version,
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
    # What the engine knows of a pinned run's inputs is the digest of the old ones.
    view = replace(view, dataset=a_versioned_dataset(2), inputs=run.status.inputs_digest)
    found = status_of(view)
    fresh = after(a_view(dataset=a_versioned_dataset(2))).run.status
    assert found["inputsDigest"] == fresh.inputs_digest != run.status.inputs_digest
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


def test_what_a_pod_reports_is_kept_as_far_as_a_status_may_hold_it() -> None:
    """A user's image says what it likes: else the API server would refuse the status, again and again."""
    view = after(a_view(a_run(spec={"gates": []})))

    def kept(**reported: Any) -> Any:
        return after(view, finished(the_job(view), a_train_report(**reported))).run.status

    metrics = [{"name": f"m{n}", "dataset": "test", "value": "1"} for n in range(66)]
    for field in ("metrics", "champion_metrics"):
        names = [each.name for each in getattr(kept(**{field: metrics}), field)]
        assert names == [f"m{n}" for n in range(64)]
    status = kept(best_params={"C": "1" * 300}, positive_class="y" * 300, notes=["n" * 300] * 9)
    assert status.best_params == {"C": "1" * 256}
    assert status.positive_class == "y" * 256
    assert status.notes == ("n" * 256,) * 8


def test_a_training_says_what_it_made_and_with_what() -> None:
    """Its format, the trials of its search, and what was noted."""
    assert said(trained(), "Succeeded")[2] == "trained as onnx, 2 trials; 3 rows were left out"
    view = after(a_view())
    view = after(view, finished(the_job(view), a_train_report()))
    assert said(view, "Succeeded") == ("True", "Succeeded", "trained as onnx")
    assert view.run.status.notes is None


def test_a_second_execution_is_compared_with_the_first_that_reported() -> None:
    """Whatever attempt that was: an outage came between the two."""
    view = after(a_view(a_run(spec={"reproducibility": {"verify": "Once"}})))
    first = finished(the_job(view), a_train_report(files={"a": "1", "b": "1", "c": "1"}))
    view = after(view, first)
    second = the_job(view)
    assert said(view, "Reproducible") == ("Unknown", "Verifying", "training a second time to compare the digests")
    lost = failed(second, "StoreUnavailable", exit_code=1, at="2026-01-10T11:00:00Z")
    view = after(view, first, lost)
    again = the_job(view)
    assert again["metadata"]["name"] != second["metadata"]["name"]
    other = after(view, first, lost, finished(again, a_train_report("b", files={"a": "1", "b": "2", "d": "1"})))
    verification = other.run.status.verification
    assert verification is not None
    assert (verification.equal, verification.first_difference) == (False, "b")
    same = after(view, first, lost, finished(again, a_train_report()))
    assert said(same, "Reproducible") == (
        "True",
        "Reproducible",
        f"a second execution gave {digest('f')} as well",
    )
    assert same.run.status.verification is not None
    assert (same.run.status.verification.equal, same.run.status.verification.first_difference) == (True, None)


def test_a_run_that_is_suspended_while_it_is_proven_stops_its_second_job() -> None:
    """What the first execution gave stays on record."""
    view = after(a_view(a_run(spec={"reproducibility": {"verify": "Once"}})))
    first = finished(the_job(view), FULL)
    view = after(view, first)
    second = running(the_job(view))
    resting = TrainingRun.model_validate(merged(view.run.dump(), {"spec": {"suspend": True}}))
    view = replace(view, run=resting, jobs=(first, second))
    assert plan(view).delete == ((Key("Job", "team", second.name), second.uid),)
    after_it = after(view, first)
    assert said(after_it) == ("Unknown", "Suspended", "spec.suspend is true")
    assert after_it.run.status.output_digest == digest("f")
    assert plan(after_it).create == ()


@pytest.mark.parametrize(
    ("message", "told"),
    [
        pytest.param("out of rows\n", ": out of rows", id="its last words"),
        pytest.param(" \n", ": see the pod's log", id="blank ones"),
        pytest.param(None, ": see the pod's log", id="none"),
    ],
)
def test_a_users_own_code_that_fails_is_told_by_its_exit_code_and_its_words(message: str | None, told: str) -> None:
    """It leaves no report of ours."""
    view = after(a_view(a_container_run()))
    lost = failed(the_job(view), message=message, exit_code=3, why="BackoffLimitExceeded")
    assert said(after(view, lost)) == ("False", "TrainingFailed", f"spec.trainer.container exited with code 3{told}")


@pytest.mark.parametrize("make", [a_run, a_container_run])
def test_a_training_asks_for_the_resources_of_its_spec(make: Any) -> None:
    """Our own trainer and a user's image alike."""
    wanted = {"requests": {"cpu": "7"}, "limits": {"memory": "9Gi"}}
    pod = the_job(after(a_view(make(spec={"resources": wanted}))))["spec"]["template"]["spec"]
    # A user's code comes before our own container, which collects what it wrote.
    main = (pod.get("initContainers") or pod["containers"])[-1]
    assert (main["resources"]["requests"]["cpu"], main["resources"]["limits"]["cpu"]) == ("7", "7")
    assert main["resources"]["limits"]["memory"] == main["resources"]["requests"]["memory"] == "9Gi"


def known_equal_run(changes: Manifest) -> TrainingRun:
    """Return a run with the result of `trained`, changed."""
    return TrainingRun.model_validate(merged(trained().run.dump(), changes))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"status": {"inputsDigest": digest("0")}}, id="of other inputs"),
        pytest.param({"status": {"resolved": None}}, id="pinned to nothing"),
        pytest.param({"status": {"outputDigest": None}}, id="without a model"),
        pytest.param({"status": {"conditions": []}}, id="that does not say it succeeded"),
        pytest.param({"status": {"conditions": [a_condition("Succeeded", "False", "OOMKilled")]}}, id="that failed"),
        pytest.param({"status": {"conditions": [a_condition("Succeeded", "True", "NothingNew")]}}, id="not trained"),
        pytest.param(
            {
                "status": {
                    "conditions": [
                        a_condition("Succeeded", "True", "Succeeded"),
                        a_condition("Reproducible", "False", "NotReproducible"),
                    ]
                }
            },
            id="that could not be repeated",
        ),
        pytest.param({"status": {"resolved": {"championArtifact": digest("0")}}}, id="judged against another champion"),
        pytest.param({"metadata": {"name": "rain-2"}}, id="it is the run itself"),
    ],
)
def test_no_result_is_taken_over_of_a_run(changes: Manifest) -> None:
    """It has none that this one would have."""
    assert "cachedFrom" not in status_of(a_view(a_run(**SECOND_RUN), siblings=(known_equal_run(changes),)))
    assert "cachedFrom" in status_of(a_view(a_run(**SECOND_RUN), siblings=(trained().run,)))


def test_of_several_results_that_of_the_first_name_is_taken() -> None:
    """In whatever order the runs are seen: the next plan must take the same."""
    equal_runs = [known_equal_run({"metadata": {"name": name}}) for name in ("c", "a", "b")]
    for siblings in (equal_runs, equal_runs[::-1]):
        view = a_view(a_run(**SECOND_RUN), siblings=tuple(siblings))
        assert status_of(view)["cachedFrom"] == "a"
        message = 'inputs equal those of TrainingRun "a": its result is taken over'
        assert said(after(view), "Succeeded") == ("True", "Cached", message)


def test_a_run_that_compares_with_no_champion_takes_over_whatever_the_other_was_judged_against() -> None:
    """And one that is to be proven takes over nothing."""
    equal_run = known_equal_run({"status": {"resolved": {"championArtifact": digest("0")}}})
    plain = {"gates": [{"metric": "roc_auc", "min": "0.1"}]}
    assert "cachedFrom" in status_of(a_view(a_run(**SECOND_RUN, spec=plain), siblings=(equal_run,)))
    registers_none = {"register": None, "gates": plain["gates"]}
    assert "cachedFrom" in status_of(a_view(a_run(**SECOND_RUN, spec=registers_none), siblings=(equal_run,)))
    proven = {**plain, "reproducibility": {"verify": "Once"}}
    assert "cachedFrom" not in status_of(a_view(a_run(**SECOND_RUN, spec=proven), siblings=(equal_run,)))


def test_a_model_is_not_asked_to_be_better_than_itself() -> None:
    """The champion has its bytes: there is none to lose to."""
    gates = [{"metric": "roc_auc", "compareTo": "champion", "minDelta": "0.1"}]
    champion = a_live_version(1, status={"artifact": digest("f")})
    view = after(a_view(a_run(spec={"gates": gates}), versions=(champion,)))
    view = after(view, finished(the_job(view), FULL))
    assert said(view, "GatesPassed") == ("True", "GatesPassed", "roc_auc on test: 0.8312; no champion yet")
