"""A run: pinned, executed once, judged, registered; and a template, which makes runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlops.api.conditions import find, is_true
from mlops.api.training_run import TrainingRun
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest, Plan, Settings
from mlops.planning.training.run import plan
from mlops.planning.views import JobView, TrainingRunView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_container_run,
    a_dataset,
    a_live_version,
    a_run,
    a_template,
    a_train_report,
    a_version,
    a_versioned_dataset,
    digest,
    failed,
    finished,
    merged,
    running,
    with_status,
)


def a_view(run: TrainingRun | None = None, *jobs: JobView, **changes: Any) -> TrainingRunView:
    given = {"dataset": a_versioned_dataset(), **changes}
    return TrainingRunView(now=NOW, settings=SETTINGS, run=run or a_run(), jobs=jobs, **given)


def status_of(view: TrainingRunView) -> Manifest:
    return plan(view).statuses[key_of(view.run)].dump()


def after(view: TrainingRunView, *jobs: JobView, **changes: Any) -> TrainingRunView:
    """Return the view with these Jobs, after the status planned for it was written."""
    view = replace(view, jobs=jobs or view.jobs, **changes)
    return replace(view, run=with_status(view.run, status_of(view)))


def the_job(view: TrainingRunView) -> Manifest:
    [job] = plan(view).create
    return job


def ready(view: TrainingRunView) -> tuple[str, str]:
    found = find(after(after(view)).run.status.conditions, "Ready")
    assert found is not None
    return found.status, found.reason


def a_pinned_view(run: TrainingRun | None = None, **changes: Any) -> TrainingRunView:
    return after(a_view(run, **changes))


def a_trained_view(report: Any = None, run: TrainingRun | None = None, **changes: Any) -> TrainingRunView:
    view = a_pinned_view(run, **changes)
    return after(view, finished(the_job(view), report or a_train_report()))


def a_registered(view: TrainingRunView) -> TrainingRunView:
    """Return the view after the ModelVersion was made and seen."""
    [made] = plan(view).create
    version = a_version(made["spec"]["version"], spec=made["spec"], metadata=made["metadata"])
    return after(replace(view, versions=(*view.versions, version)))


# --- pinning ---


def test_inputs_are_pinned_in_the_plan_that_makes_the_job(golden: Callable[[str, Plan], None]) -> None:
    """What the run depends on is in the status, which is written before the Job."""
    golden("run-pinned", plan(a_view(versions=(a_live_version(),))))


def test_a_job_that_a_crash_kept_from_being_made_is_made_of_what_is_on_record() -> None:
    """The status was written and the Job was not; meanwhile the data went on."""
    first = a_view()
    later = replace(after(first), dataset=a_versioned_dataset(2))
    assert the_job(later) == the_job(first)
    assert status_of(later) == status_of(first)


def test_runs_with_equal_inputs_that_begin_together_do_not_wait_for_each_other() -> None:
    """Neither has a result that could be taken over; each has a Job of its own."""
    one, two = a_run(), a_run(metadata={"name": "rain-2", "uid": "uid-rain-2"})
    first, second = a_view(one, siblings=(two,)), a_view(two, siblings=(one,))
    assert the_job(first)["metadata"]["name"] != the_job(second)["metadata"]["name"]
    pinned = replace(second, siblings=(after(first).run,))
    assert the_job(pinned) == the_job(second)


def test_the_pinned_inputs_never_change() -> None:
    """A new version of the Dataset does not touch a run that has started."""
    view = replace(a_pinned_view(), dataset=a_versioned_dataset(2))
    assert status_of(view)["resolved"]["datasetVersion"] == 1


def test_an_older_version_can_be_asked_for() -> None:
    """A version that is still in the history is as good as the current one."""
    run = a_run(spec={"datasetRef": {"version": 1}})
    resolved = status_of(a_view(run, dataset=a_versioned_dataset(3)))["resolved"]
    assert (resolved["datasetVersion"], resolved["datasetDigest"]) == (1, digest("1"))


@pytest.mark.parametrize(
    ("ref", "dataset", "want"),
    [
        pytest.param({}, None, ("False", "DatasetNotFound"), id="no such Dataset"),
        pytest.param({}, a_dataset(), ("Unknown", "DatasetNotReady"), id="no version yet"),
        pytest.param(
            {}, a_versioned_dataset(metadata={"generation": 2}), ("Unknown", "DatasetNotReady"), id="just edited"
        ),
        pytest.param({"version": 9}, a_versioned_dataset(), ("False", "DatasetVersionNotFound"), id="no such version"),
        pytest.param(
            {"notBefore": "2026-01-10T11:30:00Z"}, a_versioned_dataset(), ("Unknown", "WaitingForRefresh"), id="refresh"
        ),
        pytest.param(
            {"notBefore": "2026-01-10T10:00:00Z"},
            a_versioned_dataset(
                status={
                    "conditions": [a_condition("Versioned", "True", "V"), a_condition("Ready", "False", "Rejected")]
                }
            ),
            ("False", "DatasetNotReady"),
            id="the newest delivery is bad",
        ),
    ],
)
def test_a_run_waits_for_its_data_and_says_for_what(ref: Manifest, dataset: Any, want: tuple[str, str]) -> None:
    """Each obstacle has its reason, nothing is made meanwhile."""
    view = a_view(a_run(spec={"datasetRef": ref}), dataset=dataset)
    assert ready(view) == want
    assert plan(after(view)).create == ()


def test_a_missing_dataset_is_named_and_the_run_goes_on_when_it_appears() -> None:
    """The message names Dataset and namespace; nothing has to be deleted."""
    view = after(after(a_view(dataset=None)))
    assert 'Dataset "weather" not found in namespace "team"' in view.run.status.conditions[0].message
    assert "resolved" in status_of(replace(view, dataset=a_versioned_dataset()))


# --- executing ---


@pytest.mark.parametrize(
    ("name", "run"),
    [pytest.param("run-job", a_run(), id="estimator"), pytest.param("run-container-job", a_container_run(), id="own")],
)
def test_the_job(name: str, run: TrainingRun, golden: Callable[[str, Plan], None]) -> None:
    """The YAML of a training, by an estimator and by the user's own code."""
    golden(name, plan(a_pinned_view(run)))


def test_the_users_code_gets_no_credentials_and_cannot_change_the_numeric_environment() -> None:
    """Only our own containers see the store; what decides the bits of a model is not up to the container."""
    spec = the_job(a_pinned_view(a_container_run()))["spec"]["template"]["spec"]
    trainer = spec["initContainers"][1]
    assert "envFrom" not in trainer
    assert {each["name"]: each["value"] for each in trainer["env"]}["OMP_NUM_THREADS"] == "1"


def test_an_installation_says_how_much_disk_a_pod_may_take() -> None:
    """Per pod and per folder of it; without a limit the node has the last word, as where it counts no disk at all."""
    view = a_pinned_view(a_container_run())
    for settings in (replace(SETTINGS, scratch_limit="500Gi", scratch_request="1Gi"), unlimited_disk()):
        spec = the_job(replace(view, settings=settings))["spec"]["template"]["spec"]
        wanted = {"sizeLimit": settings.scratch_limit} if settings.scratch_limit else {}
        assert all(volume["emptyDir"] == wanted for volume in spec["volumes"])
        for container in [*spec["initContainers"], *spec["containers"]]:
            for side, amount in (("limits", settings.scratch_limit), ("requests", settings.scratch_request)):
                assert container["resources"][side].get("ephemeral-storage", "") == amount


def unlimited_disk() -> Settings:
    """Return the settings of a cluster that counts no disk."""
    return replace(SETTINGS, scratch_limit="", scratch_request="")


def test_the_secret_of_a_container_is_the_one_of_its_role() -> None:
    """Who only reads artifacts can be given keys that only read; whoever names none has one Secret for all."""
    settings = replace(SETTINGS, reader_secret="reader", server_secret="server")
    view = a_pinned_view(a_container_run())
    for each, reads, writes in ((SETTINGS, "mlops-store", "mlops-store"), (settings, "reader", "mlops-store")):
        spec = the_job(replace(view, settings=each))["spec"]["template"]["spec"]
        fetch, trainer, collect = *spec["initContainers"], *spec["containers"]
        assert "envFrom" not in trainer
        for container, name in ((fetch, reads), (collect, writes)):
            assert container["envFrom"] == [{"secretRef": {"name": name, "optional": True}}]
            told = {one["name"]: one.get("value") for one in container["env"]}
            assert told["MLOPS_S3_SECRET"] == f"team/{name}"


def test_a_namespace_can_have_a_store_of_its_own() -> None:
    """{namespace} in the address is the object's own; what all of them lie under is told too, since it is no source."""
    settings = replace(SETTINGS, environment={"MLOPS_STORE": "s3://artifacts/mlops/{namespace}/v1"})
    [container] = the_job(replace(a_pinned_view(), settings=settings))["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert told["MLOPS_STORE"] == "s3://artifacts/mlops/team/v1"
    assert told["MLOPS_STORE_ROOT"] == "s3://artifacts/mlops"


def test_who_names_one_side_of_a_resource_gets_the_other_equal() -> None:
    """A request above the default limit must not make the API server refuse the Job."""
    run = a_run(spec={"resources": {"requests": {"memory": "8Gi"}, "limits": {"cpu": "1"}}})
    [container] = the_job(a_pinned_view(run))["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "1", "memory": "8Gi", "ephemeral-storage": "256Mi"},
        "limits": {"cpu": "1", "memory": "8Gi", "ephemeral-storage": "32Gi"},
    }


def test_a_report_is_recorded_and_the_number_of_the_version_pinned(golden: Callable[[str, Plan], None]) -> None:
    """Metrics, digests and the name of the ModelVersion are in the status, which is written before that is made."""
    view = a_pinned_view(versions=(a_live_version(),))
    report = a_train_report(champion_metrics=[{"name": "roc_auc", "dataset": "test", "value": "0.8277"}])
    golden("run-trained", plan(replace(view, jobs=(finished(the_job(view), report),))))


def test_a_version_that_a_crash_kept_from_being_made_keeps_its_number() -> None:
    """The status was written and the ModelVersion was not; meanwhile another run registered one."""
    view = a_pinned_view()
    view = replace(view, jobs=(finished(the_job(view), a_train_report()),))
    later = replace(after(view), versions=(a_version(2, spec={"lineage": {"trainingRun": "other"}}),))
    assert plan(later).create == plan(view).create
    assert status_of(later) == status_of(view)


def test_the_model_version_is_made_once(golden: Callable[[str, Plan], None]) -> None:
    """When it was seen the run is Ready; who deletes the version does not get it back."""
    view = a_trained_view()
    golden("run-registers", plan(view))
    seen = a_registered(view)
    assert ready(seen) == ("True", "Succeeded")
    deleted = replace(seen, versions=())
    assert plan(deleted).create == ()
    assert ready(deleted) == ("True", "Succeeded")


def test_a_settled_run_plans_nothing() -> None:
    """Its status is as it is written already."""
    view = a_registered(a_trained_view())
    again = plan(view)
    assert again.statuses[key_of(view.run)] == view.run.status
    assert (again.create, again.delete) == ((), ())


def test_a_number_that_somebody_else_took_is_not_used() -> None:
    """A ModelVersion of the chosen name that another run made is left alone; the next number is taken."""
    view = a_trained_view()
    taken = a_version(1, spec={"lineage": {"trainingRun": "other"}})
    assert status_of(replace(view, versions=(taken,)))["modelVersionRef"] == "rain-v2"


def test_a_number_that_another_run_speaks_for_is_not_used() -> None:
    """Its version is not there yet, or was deleted: nothing would tell two models of one name and number apart."""
    view = a_pinned_view()
    view = replace(view, jobs=(finished(the_job(view), a_train_report()),))
    others = [
        a_run(metadata={"name": f"other-{number}", "uid": f"u{number}"}, status={"modelVersionRef": f"rain-v{number}"})
        for number in (1, 2)
    ]
    elsewhere = a_run(
        metadata={"name": "elsewhere", "uid": "u3"},
        spec={"register": {"modelName": "sun"}},
        status={"modelVersionRef": "rain-v3"},
    )
    assert status_of(replace(view, siblings=(*others, elsewhere)))["modelVersionRef"] == "rain-v3"


def test_a_job_that_is_running_is_not_made_again_and_not_judged() -> None:
    """A crash between the two writes leads to the same Job."""
    view = a_pinned_view()
    again = plan(replace(view, jobs=(running(the_job(view)),)))
    assert [job["metadata"]["name"] for job in again.create] == [the_job(view)["metadata"]["name"]]
    assert again.statuses[key_of(view.run)].output_digest is None


@pytest.mark.parametrize(
    ("how", "want"),
    [
        pytest.param({"reason": "EstimatorUnknown"}, "EstimatorUnknown", id="bad input"),
        pytest.param({"exit_code": 137, "container": "OOMKilled"}, "OOMKilled", id="out of memory"),
        pytest.param({"why": "DeadlineExceeded"}, "DeadlineExceeded", id="too slow"),
        pytest.param({"why": "BackoffLimitExceeded", "exit_code": 1}, "BackoffLimitExceeded", id="gave up"),
    ],
)
def test_a_failed_training_is_final(how: dict[str, Any], want: str) -> None:
    """A run is one execution: Stalled, with the reason of the pod."""
    view = a_pinned_view()
    then = after(view, failed(the_job(view), **how))
    assert ready(then) == ("False", want)
    assert is_true(then.run.status.conditions, "Stalled")
    assert plan(replace(then, jobs=())).create == ()


@pytest.mark.parametrize("reason", ["NameTaken", "ChildRefused"])
def test_what_keeps_the_job_from_being_made_is_no_end_of_the_run(reason: str) -> None:
    """The engine says that the name is taken, or no room left; when that is mended the Job is made."""
    view = a_pinned_view()
    conditions = [a_condition("Ready", "False", reason), a_condition("Stalled", "True", reason)]
    blocked = merged_run(view.run, {"status": {"conditions": conditions}})
    assert plan(replace(view, run=blocked)).create == plan(view).create
    assert status_of(replace(view, run=blocked))["conditions"][0]["reason"] == "Running"


def an_outage(manifest: Manifest, reason: str = "CredentialsMissing", *, at: str = "2026-01-10T11:59:30Z") -> JobView:
    """Return the Job as it looks after none of its pods reached the store."""
    return failed(manifest, reason, exit_code=1, why="BackoffLimitExceeded", at=at)


@pytest.mark.parametrize("reason", ["StoreUnavailable", "CredentialsMissing", "Interrupted"])
@pytest.mark.parametrize("run", [pytest.param(a_run(), id="estimator"), pytest.param(a_container_run(), id="own code")])
def test_a_run_is_not_lost_when_the_store_is_away(run: TrainingRun, reason: str) -> None:
    """It says what is missing, waits, and executes again under a Job name of its own until it gets through."""
    view = a_pinned_view(run)
    lost = an_outage(the_job(view), reason)
    view = after(view, lost)
    assert ready(view) == ("False", reason)
    assert not is_true(view.run.status.conditions, "Stalled")
    assert "attempt 2 follows" in view.run.status.conditions[0].message
    assert (plan(view).create, plan(view).requeue_at) == ((), NOW + timedelta(seconds=30))
    later = after(replace(view, now=NOW + timedelta(minutes=1)))
    assert ready(later) == ("Unknown", "Running")
    second = the_job(later)
    assert second["metadata"]["name"] != lost.name
    done = after(later, lost, finished(second, a_train_report()))
    assert is_true(done.run.status.conditions, "Succeeded")


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(lambda job, at: finished(job, None, at=at), id="succeeded"),
        pytest.param(lambda job, at: failed(job, exit_code=None, container=None, at=at), id="failed"),
    ],
)
def test_a_pod_that_is_lost_with_its_report_costs_another_execution(lose: Callable[[Manifest, str], JobView]) -> None:
    """A node that dies at the wrong time does not fail a run; an image that never reports is given up."""
    view, reasons = a_pinned_view(), []
    for _ in range(3):
        view = after(replace(view, now=view.now + timedelta(hours=2)))
        view = after(view, *view.jobs, lose(the_job(view), f"{view.now:%Y-%m-%dT%H:%M:%SZ}"))
        reasons.append((ready(view), is_true(view.run.status.conditions, "Stalled")))
    assert reasons == [(("False", "ReportMissing"), stalled) for stalled in (False, False, True)]
    assert plan(replace(view, now=view.now + timedelta(days=1))).create == ()


def test_a_lost_report_after_outages_costs_another_execution_as_well() -> None:
    """Only reports that are missing in a row tell of an image that never reports: a pod that says why it failed does
    report, and so may one that a person has tried again."""
    view = a_pinned_view()
    how: list[dict[str, Any]] = [*2 * [{"reason": "StoreUnavailable", "exit_code": 1}], *2 * [{"exit_code": None}]]
    for each in [*how, how[0], *how[2:]]:
        view = after(replace(view, now=view.now + timedelta(hours=2)))
        timestamp = f"{view.now:%Y-%m-%dT%H:%M:%SZ}"
        job = failed(the_job(view), container=None, why="BackoffLimitExceeded", at=timestamp, **each)
        view = after(view, *view.jobs, job)
        assert not is_true(view.run.status.conditions, "Stalled"), view.run.status
    assert view.run.status.without_report == 2


@pytest.mark.parametrize("reason", ["Unschedulable", "ImagePull", "ContainerConfig"])
@pytest.mark.parametrize("second", [False, True], ids=["first execution", "second execution"])
def test_a_deadline_that_passes_while_no_pod_starts_is_an_outage(reason: str, second: bool) -> None:
    """The Job's time began when it was made. What its pod waited for stands in Ready, over what the planner says."""
    view = a_pinned_view(a_run(spec={"reproducibility": {"verify": "Once"}}))
    if second:
        view = after(view, finished(the_job(view), a_train_report()))
    waited = [a_condition("Ready", "False", reason, "pod x: waits"), a_condition("Reconciling", "True", reason)]
    others = [each.dump() for each in view.run.status.conditions if each.type not in ("Ready", "Reconciling")]
    status = {**view.run.status.dump(), "conditions": [*waited, *others]}
    waiting = replace(view, run=with_status(view.run, status))
    late = failed(the_job(view), exit_code=None, container=None, why="DeadlineExceeded", at="2026-01-10T11:59:30Z")
    then = after(waiting, *view.jobs, late)
    assert ready(then) == ("False", reason)
    assert not is_true(then.run.status.conditions, "Stalled")
    later = after(replace(then, now=NOW + timedelta(hours=2)))
    assert ready(later)[0] == "Unknown"
    assert the_job(later)["metadata"]["name"] != late.name
    took_long = after(view, *view.jobs, late)
    assert ready(took_long) == ("False", "DeadlineExceeded"), "its pod was at work"


def test_each_outage_is_waited_for_longer_up_to_an_hour() -> None:
    """An installation that is down for a night is not asked every minute."""
    view = a_pinned_view()
    waits = []
    for _ in range(8):
        view = after(replace(view, now=view.now + timedelta(hours=2)))
        timestamp = f"{view.now:%Y-%m-%dT%H:%M:%SZ}"
        job = failed(the_job(view), "StoreUnavailable", exit_code=1, why="BackoffLimitExceeded", at=timestamp)
        view = after(view, *view.jobs, job)
        waits.append((plan(view).requeue_at or view.now) - view.now)
    assert [wait.total_seconds() / 60 for wait in waits] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_verification_that_an_outage_took_is_made_again_and_still_names_the_difference() -> None:
    """What was trained stays; the second execution is compared with the one that got through."""
    view = a_pinned_view(a_run(spec={"reproducibility": {"verify": "Once"}}))
    lost = an_outage(the_job(view))
    view = after(replace(after(view, lost), now=NOW + timedelta(hours=2)))
    first = finished(the_job(view), a_train_report(files={"model.onnx": "1"}))
    view = after(view, lost, first)
    lost_again = an_outage(the_job(view), at="2026-01-10T13:59:30Z")
    assert lost_again.name == f"{first.name}-v"
    view = after(view, lost, first, lost_again)
    assert ready(view) == ("False", "CredentialsMissing")
    assert is_true(view.run.status.conditions, "Succeeded")
    view = replace(view, now=NOW + timedelta(hours=3))
    third = finished(the_job(view), a_train_report("b", files={"model.onnx": "2"}))
    then = after(view, lost, first, lost_again, third)
    assert ready(then) == ("False", "NotReproducible")
    assert then.run.status.verification.first_difference == "model.onnx"  # type: ignore[union-attr]


def test_a_run_that_waits_for_the_store_can_be_suspended_and_resumed() -> None:
    """Suspended it says so; resumed it waits no longer than it would have."""
    view = a_pinned_view()
    view = after(view, an_outage(the_job(view)))
    suspended = after(replace(view, run=replace_spec(view.run, suspend=True)))
    assert (ready(suspended), plan(suspended).create) == (("Unknown", "Suspended"), ())
    resumed = after(replace(suspended, run=replace_spec(suspended.run, suspend=False)))
    assert (ready(resumed), plan(resumed).create) == (("False", "CredentialsMissing"), ())
    assert len(plan(replace(resumed, now=NOW + timedelta(minutes=1))).create) == 1


def replace_spec(run: TrainingRun, **spec: Any) -> TrainingRun:
    return TrainingRun.model_validate(merged(run.dump(), {"spec": spec}))


def test_the_users_own_failure_is_told_as_such() -> None:
    """A container that exits with 1 is TrainingFailed, with its last words."""
    view = a_pinned_view(a_container_run())
    job = failed(the_job(view), message="KeyError: wind", exit_code=1, why="BackoffLimitExceeded")
    then = after(view, job)
    assert ready(then) == ("False", "TrainingFailed")
    assert "KeyError: wind" in then.run.status.conditions[0].message


def test_another_environment_than_pinned_is_refused() -> None:
    """A model trained by other library versions is not what the inputs digest says."""
    assert ready(a_trained_view(a_train_report(environment_digest=digest("9")))) == ("False", "EnvironmentMismatch")


def test_a_monitors_run_with_the_inputs_of_what_serves_is_judged_by_nothing() -> None:
    """Also if its very first plan finds that: the first status only says that it was seen. It has no metrics, so a plan
    that took it for trained would fail it. If another version serves by then, it is trained."""
    made_by = {"annotations": {"mlops.dev/trigger": '{"kind": "DriftMonitor", "ref": "rain-drift", "reason": "x"}'}}
    run = a_run(metadata=made_by)
    inputs = a_pinned_view(run).run.status.inputs_digest
    lineage = {"trainingRun": "rain-0", "inputsDigest": inputs}
    serves = a_live_version(1, spec={"lineage": lineage}, status={"lineage": lineage})
    first = a_pinned_view(run, versions=(serves,))
    assert find(first.run.status.conditions, "Ready").reason == "Pending"  # type: ignore[union-attr]
    assert ready(first) == ("True", "NothingNew")
    replaced = replace(first, versions=(serves, a_live_version(2)))
    assert ready(replaced) == ("Unknown", "Running")
    assert the_job(after(replaced))["kind"] == "Job"
    assert "outputDigest" not in status_of(after(replaced))


def test_a_retry_after_the_release_changed_between_two_executions_pins_both_anew() -> None:
    """What the first gave is of a release that is gone; held against that, no second one could ever be equal."""
    view = a_pinned_view(a_run(spec={"reproducibility": {"verify": "Once"}}))
    first = finished(the_job(view), a_train_report())
    view = after(view, first)
    newer = Settings(environment_digest=digest("9"))
    view = after(view, first, finished(the_job(view), a_train_report(environment_digest=digest("9"))), settings=newer)
    assert ready(view) == ("False", "EnvironmentMismatch")
    asked = merged_run(view.run, {"metadata": {"annotations": {"mlops.dev/retry": "upgraded"}}})
    view = replace(view, run=asked, jobs=())
    for name in ("first", "second"):
        job = the_job(view)
        view = after(view)
        assert view.run.status.resolved is not None
        assert view.run.status.resolved.environment_digest == digest("9")
        view = after(view, *view.jobs, finished(job, a_train_report("8", environment_digest=digest("9"))))
        assert view.run.status.output_digest == digest("8"), name
    assert ready(a_registered(view)) == ("True", "Succeeded")


def test_a_run_that_is_made_again_makes_a_version_of_its_own() -> None:
    """A run of its name had made one, which was superseded since: what is asked for now would not be served by it."""
    old = a_version(1, metadata={"creationTimestamp": "2026-01-01T00:00:00Z"}, spec={
        "artifact": {"digest": digest("f")}, "lineage": {"trainingRun": "rain-1"}})  # fmt: skip
    run = a_run(metadata={"creationTimestamp": "2026-01-09T00:00:00Z"}, spec={"gates": []})
    view = a_trained_view(run=run, versions=(old, a_live_version(2)))
    assert [made["metadata"]["name"] for made in plan(view).create] == ["rain-v3"]
    assert ready(a_registered(view)) == ("True", "Succeeded")
    again = a_trained_view(run=run, versions=(old,))
    assert ready(again) == ("True", "NothingNew"), "it serves already"


def test_equal_inputs_are_not_trained_again() -> None:
    """The result of a run with the same inputs digest is taken over, and judged again."""
    equal_run = replace(a_trained_view(), jobs=()).run
    other = a_view(a_run(metadata={"name": "rain-2", "uid": "uid-rain-2"}), siblings=(equal_run,))
    for view in (other, after(other)):
        status = status_of(view)
        assert (status["cachedFrom"], status["outputDigest"]) == ("rain-1", digest("f"))
        assert [child["kind"] for child in plan(view).create] == ["ModelVersion"]
        assert find(after(view).run.status.conditions, "Succeeded").reason == "Cached"  # type: ignore[union-attr]
    assert find(after(other).run.status.conditions, "Ready").status == "Unknown", "a first glance is no judgement"  # type: ignore[union-attr]


def test_a_result_that_appears_while_the_job_runs_is_taken_over() -> None:
    """The run with equal inputs was faster."""
    equal_run = replace(a_trained_view(), jobs=()).run
    view = a_pinned_view(a_run(metadata={"name": "rain-2", "uid": "uid-rain-2"}))
    busy = replace(view, jobs=(running(the_job(view)),), siblings=(equal_run,))
    assert status_of(busy)["cachedFrom"] == "rain-1"


def test_metrics_against_another_champion_are_not_taken_over() -> None:
    """A comparison holds only for the champion it was made with."""
    equal_run = replace(a_trained_view(), jobs=()).run
    run = a_run(metadata={"name": "rain-2", "uid": "uid-rain-2"})
    other = a_pinned_view(run, siblings=(equal_run,), versions=(a_live_version(),))
    assert "cachedFrom" not in status_of(other)


def test_suspending_stops_the_job_and_resuming_starts_the_same_one() -> None:
    """What was done is lost, what was pinned stays."""
    view = a_pinned_view()
    job = running(the_job(view))
    suspended = replace(view, run=merged_run(view.run, {"spec": {"suspend": True}}), jobs=(job,))
    assert [key.name for key, _ in plan(suspended).delete] == [job.name]
    assert ready(suspended) == ("Unknown", "Suspended")
    resumed = replace(suspended, run=view.run, jobs=())
    assert the_job(resumed)["metadata"]["name"] == job.name


def merged_run(run: TrainingRun, changes: Manifest) -> TrainingRun:
    return TrainingRun.model_validate(merged(run.dump(), changes))


# --- gates ---


@pytest.mark.parametrize(
    ("gate", "ours", "theirs", "want", "message"),
    [
        pytest.param({"min": "0.80"}, "0.8312", None, "True", "roc_auc on test: 0.8312 >= 0.80", id="above min"),
        pytest.param({"min": "0.90"}, "0.8312", None, "False", "roc_auc on test: 0.8312 < 0.90", id="below min"),
        pytest.param({"max": "0.80"}, "0.8312", None, "False", "roc_auc on test: 0.8312 > 0.80", id="above max"),
        pytest.param({"min": "0.1"}, "0.1", None, "True", "0.1 >= 0.1", id="exact decimals"),
        pytest.param({"compareTo": "champion"}, "0.5", None, "True", "no champion yet", id="no champion"),
        pytest.param(
            {"compareTo": "champion"}, "0.8", "0.8", "True", "0.8; champion 0.8 + 0", id="as good as the champion"
        ),
        pytest.param(
            {"compareTo": "champion", "minDelta": "0.01"},
            "0.805",
            "0.8",
            "False",
            "champion 0.8 + 0.01 is not reached",
            id="not enough",
        ),
        pytest.param({"metric": "f1", "min": "0.1"}, "0.8", None, "False", "f1 on test was not measured", id="missing"),
    ],
)
def test_gates(gate: Manifest, ours: str, theirs: str | None, want: str, message: str) -> None:
    """Every gate says its figures."""
    versions = (a_live_version(),) if theirs else ()
    champion = [{"name": "roc_auc", "dataset": "test", "value": theirs}] if theirs else []
    run = a_run(spec={"gates": [{"metric": "roc_auc", **gate}]})
    view = a_trained_view(a_train_report(value=ours, champion_metrics=champion), run, versions=versions)
    found = find(view.run.status.conditions, "GatesPassed")
    assert found is not None
    assert found.status == want
    assert message in found.message


def test_a_gate_says_which_class_its_metric_speaks_of() -> None:
    """f1 is that of one class; the others are of all."""
    run = a_run(spec={"gates": [{"metric": "f1", "min": "0.8"}, {"metric": "roc_auc", "min": "0.8"}]})
    ours = [{"name": name, "dataset": "test", "value": "0.9"} for name in ("f1", "roc_auc")]
    view = a_trained_view(a_train_report(metrics=ours, positive_class="churn"), run)
    found = find(view.run.status.conditions, "GatesPassed")
    assert found is not None
    assert found.message == "f1 of churn on test: 0.9 >= 0.8; roc_auc on test: 0.9 >= 0.8"
    assert view.run.status.positive_class == "churn"


def test_what_a_training_did_with_the_data_is_told() -> None:
    """In the status, and as an Event of the condition."""
    note = "shop: 1,713 of 2,737 categories (42 % of rows) count as unknown"
    view = a_trained_view(a_train_report(notes=[note]))
    found = find(view.run.status.conditions, "Succeeded")
    assert found is not None
    assert found.message == f"trained as onnx; {note}"
    assert view.run.status.notes == (note,)


def test_less_error_is_better() -> None:
    """Of an error metric, the lower value wins against the champion."""
    run = a_container_run(spec={"gates": [{"metric": "mae", "compareTo": "champion"}]})
    ours = [{"name": "mae", "dataset": "test", "value": "1.9"}]
    theirs = [{"name": "mae", "dataset": "test", "value": "2.0"}]
    view = a_trained_view(a_train_report(metrics=ours, champion_metrics=theirs), run, versions=(a_live_version(),))
    assert is_true(view.run.status.conditions, "GatesPassed")


def test_a_model_that_fails_its_gates_is_not_registered() -> None:
    """It was trained, it is not good enough, and that is final."""
    view = a_trained_view(a_train_report(value="0.7"))
    assert is_true(view.run.status.conditions, "Succeeded")
    assert ready(view) == ("False", "GatesFailed")
    assert plan(view).create == ()
    assert "modelVersionRef" not in status_of(view)


# --- reproducibility ---


@pytest.mark.parametrize(
    ("second", "want"),
    [
        pytest.param(a_train_report(), ("True", "Succeeded"), id="equal"),
        pytest.param(
            a_train_report("b", files={"a": "1", "model.onnx": "2"}), ("False", "NotReproducible"), id="different"
        ),
        # The operator was upgraded between the two: that is no proof against the model.
        pytest.param(
            a_train_report("b", environment_digest=digest("9")), ("False", "EnvironmentMismatch"), id="another release"
        ),
    ],
)
def test_verify_once_trains_twice_and_compares(second: Any, want: tuple[str, str]) -> None:
    """A second execution in a fresh pod; a difference is named and final."""
    run = a_run(spec={"reproducibility": {"verify": "Once"}})
    view = a_pinned_view(run)
    first = finished(the_job(view), a_train_report(files={"a": "1", "model.onnx": "1"}))
    view = after(view, first)
    again = the_job(view)
    assert again["metadata"]["name"] == f"{first.name}-v"
    then = after(replace(view, jobs=(first, finished(again, second))))
    if want[0] == "True":
        assert ready(a_registered(then)) == want
        return
    assert ready(then) == want
    if want[1] == "NotReproducible":
        assert then.run.status.verification.first_difference == "model.onnx"  # type: ignore[union-attr]
    else:
        assert then.run.status.verification is None


# --- templates ---


def a_template_view(*siblings: TrainingRun, **changes: Any) -> TrainingRunView:
    return a_view(a_template(), siblings=siblings, **changes)


def as_run(manifest: Manifest, **changes: Any) -> TrainingRun:
    return TrainingRun.model_validate(merged({**manifest, "metadata": {**manifest["metadata"], "uid": "u"}}, changes))


def test_a_template_makes_its_first_run_when_it_is_created(golden: Callable[[str, Plan], None]) -> None:
    """The event is on record first; then the run is made, without triggers and owned by the template."""
    view = a_template_view()
    assert plan(view).create == ()
    golden("template-fires", plan(after(view)))


def test_a_run_that_was_deleted_is_not_made_again() -> None:
    """Once it was seen, the event is done."""
    view = after(a_template_view(dataset=None))
    run = as_run(the_job(view))
    seen = after(replace(view, siblings=(run,)))
    # It stands as its run does, which was not looked at yet.
    assert ready(seen) == ("Unknown", "Running")
    gone = after(replace(seen, siblings=()))
    assert ready(gone) == ("True", "Template")
    assert plan(gone).create == ()


def test_an_edit_makes_a_run_and_suspend_is_no_edit() -> None:
    """Each edit of the recipe is an event of a trigger."""
    view = after(a_template_view(dataset=None))
    seen = after(replace(view, siblings=(as_run(the_job(view)),)))
    suspended = merged_run(seen.run, {"metadata": {"generation": 2}, "spec": {"suspend": True}})
    assert status_of(replace(seen, run=suspended))["lastRun"] == seen.run.status.last_run
    edited = merged_run(seen.run, {"metadata": {"generation": 2}, "spec": {"reproducibility": {"seed": 7}}})
    assert status_of(replace(seen, run=edited))["lastRun"] != seen.run.status.last_run


def test_a_firing_survives_a_suspension() -> None:
    """A run that was due when the template was suspended is made when it is resumed."""
    view = after(a_template_view())
    suspended = after(replace(view, run=merged_run(view.run, {"spec": {"suspend": True}})))
    assert plan(suspended).create == ()
    resumed = replace(suspended, run=merged_run(suspended.run, {"spec": {"suspend": False}}))
    assert the_job(resumed)["metadata"]["name"] == view.run.status.last_run


def test_new_data_makes_a_run_unless_one_has_it_already() -> None:
    """One run per version: also one that a monitor made, or one that has yet to be pinned, counts."""
    view = after(a_template_view())
    first = with_resolved(as_run(the_job(view)), 1)
    seen = after(replace(view, siblings=(first,)))
    newer = replace(seen, dataset=a_versioned_dataset(2))
    assert status_of(newer)["lastRun"] == "rain-d2"
    unpinned = as_run(the_job(view), metadata={"name": "rain-retrain-202601101300"})
    assert status_of(replace(newer, siblings=(first, unpinned)))["lastRun"] == view.run.status.last_run
    pinned = replace(newer, siblings=(first, with_resolved(unpinned, 2)))
    assert status_of(pinned)["lastRun"] == view.run.status.last_run
    assert status_of(pinned)["lastDatasetVersion"] == 2


def with_resolved(run: TrainingRun, version: int) -> TrainingRun:
    resolved = {
        "datasetVersion": version,
        "datasetDigest": digest("1"),
        "datasetArtifact": digest("a"),
        "environmentDigest": digest("e"),
    }
    return merged_run(run, {"status": {"resolved": resolved}})


def test_an_object_that_is_being_deleted_gets_no_children() -> None:
    """Making children would hold up a foreground deletion for ever."""
    gone = {"deletionTimestamp": "2026-01-10T12:00:00Z"}
    assert plan(a_view(a_run(metadata=gone))) == Plan()
    assert plan(a_view(a_template(metadata=gone))) == Plan()


@pytest.mark.parametrize(
    ("last_check", "pinned"),
    [
        pytest.param("2026-01-10T11:29:59Z", False, id="a second before"),
        pytest.param("2026-01-10T11:30:00Z", True, id="at that second"),
        pytest.param("2026-01-10T11:30:01Z", True, id="a second after"),
    ],
)
def test_a_sync_at_the_very_second_is_new_enough(last_check: str, pinned: bool) -> None:
    """`notBefore` says so: else a run would wait for a sync that nobody asks for."""
    run = a_run(spec={"datasetRef": {"notBefore": "2026-01-10T11:30:00Z"}})
    view = a_view(run, dataset=a_versioned_dataset(status={"lastCheckTime": last_check}))
    assert bool(plan(view).create) is pinned
    assert ("resolved" in status_of(view)) is pinned


def test_a_model_whose_numbers_are_used_up_says_so() -> None:
    """A number has six digits; the run is over, and makes no version."""
    view = a_pinned_view(versions=(a_version(999_999, spec={"artifact": {"digest": digest("c")}}),))
    view = after(view, finished(the_job(view), a_train_report()))
    assert plan(view).create == ()
    stalled = find(after(view).run.status.conditions, "Stalled")
    assert stalled is not None
    assert (stalled.status, stalled.reason) == ("True", "OutputInvalid")
    assert stalled.message == "spec.register.modelName: the numbers of its versions are used up at 999999"


@pytest.mark.parametrize(
    ("run_made", "version_made", "is_its"),
    [
        pytest.param("2026-01-10T11:00:00Z", "2026-01-10T11:00:00Z", True, id="in the same second"),
        pytest.param("2026-01-10T11:00:00Z", "2026-01-10T10:59:59Z", False, id="by an earlier run of this name"),
        pytest.param(None, None, True, id="where nobody notes times"),
    ],
)
def test_a_version_whose_name_is_not_on_record_is_known_by_its_run_and_its_bytes(
    run_made: str | None, version_made: str | None, is_its: bool
) -> None:
    """A crash may have come between the two writes; what an earlier run made has had its time."""
    view = a_trained_view(run=a_run(metadata={"creationTimestamp": run_made}))
    lineage, output = {"trainingRun": "rain-1"}, view.run.status.output_digest
    version = a_version(
        5,
        metadata={"creationTimestamp": version_made},
        spec={"lineage": lineage, "artifact": {"digest": output}, "withdrawn": True},
    )
    status = status_of(replace(view, versions=(version,)))
    assert (status["modelVersionRef"] == "rain-v5") is is_its
