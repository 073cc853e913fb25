"""A monitor: its CronJob, what its checks say, and which action the guard lets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mlops.api import labels, tasks
from mlops.api.conditions import find
from mlops.api.drift_monitor import DriftMonitor
from mlops.api.training_run import TrainingRun
from mlops.planning.monitor.manifests import Read, check_job
from mlops.planning.monitor.planner import plan
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest, Plan
from mlops.planning.views import DriftMonitorView, JobView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_condition,
    a_drift_report,
    a_live_version,
    a_monitor,
    a_run,
    a_template,
    a_version,
    digest,
    failed,
    finished,
    merged,
    with_status,
)

AT_NOON = "2026-01-10T12:00:00Z"
NOON = datetime.fromisoformat("2026-01-10T12:00:00+00:00")
SEARCH = {"objective": {"metric": "roc_auc"}, "parameters": [{"name": "C", "values": ["0.1", "1"]}]}


def a_view(monitor: DriftMonitor | None = None, *jobs: JobView, **changes: Any) -> DriftMonitorView:
    given = {"versions": (a_live_version(),), "template": a_template(), **changes}
    return DriftMonitorView(now=NOW, settings=SETTINGS, monitor=monitor or a_monitor(), jobs=jobs, **given)


def a_check(report: tasks.DriftReport | None, at: datetime = NOON, **failure: Any) -> JobView:
    """Return a finished Job of the CronJob, scheduled `at`."""
    [cron] = plan(a_view()).apply
    template = cron["spec"]["jobTemplate"]
    name = f"rain-drift-check-{int(at.timestamp()) // 60}"
    job = {"metadata": {"name": name, **template["metadata"]}, "spec": template["spec"]}
    return finished(job, report) if report else failed(job, **failure)


def after(view: DriftMonitorView, *jobs: JobView, **changes: Any) -> DriftMonitorView:
    """Return the view with these Jobs, after the status planned for it was written."""
    view = replace(view, jobs=jobs or view.jobs, **changes)
    return replace(view, monitor=with_status(view.monitor, plan(view).statuses[key_of(view.monitor)].dump()))


def started(monitor: DriftMonitor | None = None, **changes: Any) -> DriftMonitorView:
    return after(a_view(monitor, **changes))


def said(view: DriftMonitorView, type_: str = "Ready") -> tuple[str, str]:
    found = find(view.monitor.status.conditions, type_)
    assert found is not None
    return found.status, found.reason


def the_run(view: DriftMonitorView) -> Manifest:
    [run] = plan(view).create
    return run


def as_run(manifest: Manifest, *conditions: Manifest, **status: Any) -> TrainingRun:
    made = {**manifest, "metadata": {**manifest["metadata"], "uid": "u"}}
    return TrainingRun.model_validate(merged(made, {"status": {"conditions": list(conditions), **status}}))


def promoted(manifest: Manifest) -> TrainingRun:
    return as_run(manifest, a_condition("Ready", "True", "Succeeded"), modelVersionRef="rain-v2")


def rejected(manifest: Manifest) -> TrainingRun:
    stalled, gates = a_condition("Stalled", "True", "GatesFailed"), a_condition("GatesPassed", "False", "GatesFailed")
    return as_run(manifest, a_condition("Succeeded", "True", "Succeeded"), gates, stalled)


def crashed(manifest: Manifest) -> TrainingRun:
    return as_run(manifest, a_condition("Succeeded", "False", "OOMKilled"), a_condition("Stalled", "True", "OOMKilled"))


def refused(manifest: Manifest) -> TrainingRun:
    """A run whose Job the quota of its namespace refuses, for now."""
    reason = "ChildRefused"
    return as_run(manifest, a_condition("Ready", "False", reason), a_condition("Stalled", "True", reason))


# --- checks ---


def test_the_cron_job(golden: Callable[[str, Plan], None]) -> None:
    """A monitor keeps a CronJob that checks the live version by its digest."""
    golden("monitor-first", plan(a_view()))
    assert plan(a_view()) == plan(a_view())


def test_a_settled_monitor_plans_nothing_new() -> None:
    """Before the first check and after one."""
    for view in (started(), after(started(), a_check(a_drift_report()))):
        again = plan(view)
        assert again.statuses[key_of(view.monitor)] == view.monitor.status
        assert (again.create, again.delete) == ((), ())
    assert said(started()) == ("Unknown", "WaitingForFirstCheck")


def test_a_stable_check_is_taken_in(golden: Callable[[str, Plan], None]) -> None:
    """All that the check says is in the status; nothing is done."""
    view = replace(started(), jobs=(a_check(a_drift_report()),))
    golden("monitor-stable", plan(view))


def test_an_estimate_is_taken_in_and_calls_for_nothing() -> None:
    """The estimate stands beside the measured metric, until a check makes none; no action unless the spec names it."""
    reading = {"name": "roc_auc", "reference": "0.9", "current": "0.8", "low": "0.78", "high": "0.82"}
    first = a_check(a_drift_report("EstimatedPerformance", estimated_metric=reading))
    view = after(started(), first)
    status = view.monitor.status
    assert (status.verdict, status.action, plan(view).create) == ("EstimatedPerformance", None, ())
    assert status.estimated_metric is not None
    assert (status.estimated_metric.current, status.metric) == ("0.8", None)
    later = after(view, a_check(a_drift_report(), NOON + timedelta(hours=1)))
    assert later.monitor.status.estimated_metric is None


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param({"versions": ()}, "TargetNotFound", id="no such model"),
        pytest.param({"versions": (a_version(),)}, "TargetNotLive", id="not live"),
        pytest.param({"template": None}, "TrainingRunNotFound", id="no template"),
        pytest.param({"template": a_run(metadata={"name": "rain"})}, "NotATemplate", id="a run is no template"),
    ],
)
def test_what_is_missing_is_named_and_heals(changes: dict[str, Any], want: str) -> None:
    """Ready=False with the reason until the other object appears."""
    view = after(started(**changes))
    assert said(view) == ("False", want)
    assert said(after(replace(view, versions=(a_live_version(),), template=a_template())))[0] == "Unknown"


def test_without_a_live_version_checks_rest() -> None:
    """No CronJob is made; one that is there is suspended, with its task as it was."""
    assert plan(a_view(versions=(a_version(),))).apply == ()
    [there] = plan(a_view()).apply
    [resting] = plan(a_view(versions=(a_version(),), cron_job=there)).apply
    assert resting == merged(there, {"spec": {"suspend": True}})


def test_a_suspended_monitor_makes_no_checks() -> None:
    """Its CronJob is suspended, and that is as wanted, also while nothing is live: Ready says so."""
    view = started(a_monitor(spec={"suspend": True}))
    assert plan(view).apply[0]["spec"]["suspend"] is True
    assert said(after(view)) == ("True", "Suspended")
    assert said(after(after(view, versions=()))) == ("True", "Suspended")


def test_a_failed_check_calls_for_nothing() -> None:
    """Ready=False with the pod's reason; the next check is the next chance."""
    view = after(started(), a_check(None, reason="ConfigurationInvalid"))
    assert said(view) == ("False", "ConfigurationInvalid")
    assert view.monitor.status.last_action is None
    again = a_check(a_drift_report(), NOON + timedelta(hours=1))
    assert said(after(view, again)) == ("True", "Checked")


def test_checks_are_taken_in_in_order_and_once() -> None:
    """Two that finished while the operator was away both count; one that a person started by hand has no time."""
    first, second = a_check(a_drift_report()), a_check(a_drift_report("DataQuality"), NOON + timedelta(hours=1))
    by_hand = replace(first, manifest=merged(first.manifest, {"metadata": {"name": "rain-drift-check-manual"}}))
    status = after(started(), second, by_hand, first).monitor.status
    assert [entry.verdict for entry in status.history] == ["DataQuality", "Stable"]
    assert status.last_check_time == "2026-01-10T13:00:00Z"
    late = after(after(started(), second), first, second).monitor.status
    assert [entry.verdict for entry in late.history] == ["DataQuality", "Stable"]
    assert (late.verdict, late.last_check_time) == ("DataQuality", "2026-01-10T13:00:00Z"), "an older one is no news"


def a_check_asked_for(monitor: DriftMonitor, asked: str, report: Any, as_of: str, **how: Any) -> JobView:
    made = check_job(SETTINGS, monitor, Read("rain-v1", digest("1")), asked=asked, as_of=as_of)
    return finished(made, report) if report else failed(made, **how)


def test_a_check_that_another_one_overtook_is_on_record() -> None:
    """A person's check as of 12:05 was taken in before the scheduled one of 12:00 ended: its verdict is in the history,
    once, and calls for nothing any more."""
    monitor = a_monitor(metadata={"annotations": {labels.RETRY: "now"}})
    asked = a_check_asked_for(monitor, "now", a_drift_report(), "2026-01-10T12:05:00Z")
    view = after(started(monitor), asked)
    late = a_check(a_drift_report("DataDrift"))
    view = after(view, asked, late)
    assert [(each.verdict, each.time[11:16], each.action) for each in view.monitor.status.history] == [
        ("Stable", "12:05", ""),
        ("DataDrift", "12:00", ""),
    ]
    assert (view.monitor.status.verdict, view.monitor.status.last_action) == ("Stable", None)
    assert after(view, asked, late).monitor.status == view.monitor.status
    lost = a_check(None, NOON - timedelta(minutes=30), reason="DataUnusable")
    assert after(view, asked, late, lost).monitor.status == view.monitor.status


@pytest.mark.parametrize("text", ["a", "b", "c", "d"])
@pytest.mark.parametrize("good", [True, False])
def test_a_check_of_the_same_moment_is_taken_in(text: str, good: bool) -> None:
    """On one machine the clock of a replay stands at the last check when a person asks for another one, and for one
    more: each is taken in, whatever its name and end, once."""
    first = a_check(a_drift_report())
    view = after(started(), first)
    jobs = [first]
    for asked in (text, f"{text} again"):
        monitor = merged(view.monitor.dump(), {"metadata": {"annotations": {labels.RETRY: asked}}})
        view = replace(view, monitor=DriftMonitor.model_validate(monitor))
        report = a_drift_report("DataQuality") if good else None
        jobs.append(a_check_asked_for(view.monitor, asked, report, "2026-01-10T12:00:00Z", reason="DataUnusable"))
        view = after(view, *jobs)
        assert view.monitor.status.last_job == jobs[-1].name
        assert after(view, *jobs).monitor.status == view.monitor.status
    assert said(view, "Checked") == (("True", "Checked") if good else ("False", "DataUnusable"))
    assert len(view.monitor.status.history) == (3 if good else 1)


def test_a_namesake_that_was_deleted_leaves_nothing() -> None:
    """A check made for a monitor of the same name that is gone tells nothing about the new one."""
    check = a_check(a_drift_report("DataDrift"))
    owner = {"kind": "CronJob", "name": "rain-drift-check", "uid": "old"}
    old = replace(check, manifest=merged(check.manifest, {"metadata": {"ownerReferences": [owner]}}))
    assert after(started(), old).monitor.status.verdict is None
    orphaned = a_check(a_drift_report("DataDrift"), NOW - timedelta(days=1))
    assert after(started(), orphaned).monitor.status.verdict is None, "left behind with the CronJob that is taken over"


@pytest.mark.parametrize(
    ("verdict", "data", "concept"),
    [
        pytest.param("Stable", ("False", "NotDetected"), ("False", "NotDetected"), id="stable"),
        pytest.param("DataDrift", ("True", "Detected"), ("False", "NotDetected"), id="data drift"),
        pytest.param("ConceptDrift", ("False", "NotDetected"), ("True", "Detected"), id="concept drift"),
    ],
)
def test_the_two_drifts_have_their_conditions(verdict: str, data: tuple[str, str], concept: tuple[str, str]) -> None:
    """Told apart by type, not by text."""
    view = after(started(), a_check(a_drift_report(verdict)))
    assert (said(view, "DataDriftDetected"), said(view, "ConceptDriftDetected")) == (data, concept)


def test_too_few_labels_are_said() -> None:
    """LabelsAvailable compares with spec.labels.minCoverage."""
    view = after(started(), a_check(a_drift_report(label_coverage="0.19")))
    assert said(view, "LabelsAvailable") == ("False", "Inconclusive")


# --- actions ---


def test_a_drift_has_its_action_on_record_before_the_run_is_made(golden: Callable[[str, Plan], None]) -> None:
    """Status first; the run is made by the plan after it, with newer data, and owned by the template."""
    view = started(template=a_template(spec={"search": SEARCH}))
    first = plan(replace(view, jobs=(a_check(a_drift_report("DataDrift")),)))
    assert first.create == ()
    view = after(view, a_check(a_drift_report("DataDrift")))
    assert said(view, "RetrainingTriggered") == ("True", "RunCreated")
    golden("monitor-retrains", plan(view))


def test_retraining_keeps_what_the_champions_search_found() -> None:
    """The same recipe: no search, the best parameters of the run behind the live version."""
    champion = a_run(metadata={"name": "rain-0"}, status={"bestParams": {"C": "1"}})
    view = started(template=a_template(spec={"search": SEARCH}), runs=(champion,))
    spec = the_run(after(view, a_check(a_drift_report("DataDrift"))))["spec"]
    assert "search" not in spec
    assert spec["trainer"]["estimator"]["params"] == {"C": "1"}


def test_rebuilding_searches_again_on_rows_from_after_the_change() -> None:
    """Concept drift opens the recipe again."""
    view = started(template=a_template(spec={"search": SEARCH}))
    report = a_drift_report("ConceptDrift", change_point="2026-01-05T00:00:00Z")
    later = a_drift_report("Stable")
    both = after(view, a_check(report), a_check(later, NOON + timedelta(hours=1)))
    run = the_run(both)
    assert run["metadata"]["name"] == "rain-rebuild-202601101200"
    assert run["spec"]["datasetRef"] == {
        "name": "weather",
        "notBefore": "2026-01-10T12:00:00Z",
        "since": "2026-01-05T00:00:00Z",
    }
    assert "search" in run["spec"]


def test_a_template_with_a_fixed_version_keeps_it() -> None:
    """version and notBefore exclude each other."""
    view = started(template=a_template(spec={"datasetRef": {"version": 3}}))
    assert the_run(after(view, a_check(a_drift_report("DataDrift"))))["spec"]["datasetRef"]["version"] == 3


@pytest.mark.parametrize(
    ("verdict", "spec", "want"),
    [
        pytest.param("PredictionDrift", {}, "RunCreated", id="prediction drift counts as data drift"),
        pytest.param("LabelShift", {}, "RunCreated", id="label shift"),
        pytest.param("PerformanceDrop", {}, "NoAction", id="nothing named"),
        pytest.param("Inconclusive", {}, "NoAction", id="inconclusive"),
        pytest.param("DataQuality", {}, "OnHold", id="broken data"),
        pytest.param("DataDrift", {"guard": {"confirmations": 2}}, "Unconfirmed", id="first of two"),
        pytest.param("DataDrift", {"guard": {"maxRunsPerWeek": 0}}, "WeeklyLimit", id="no runs at all"),
        pytest.param(
            "DataDrift", {"actions": [{"when": ["DataDrift"], "do": "Hold"}]}, "OnHold", id="the user says hold"
        ),
    ],
)
def test_what_a_verdict_leads_to(verdict: str, spec: Manifest, want: str) -> None:
    """Each outcome has its reason in RetrainingTriggered."""
    view = after(started(a_monitor(spec=spec)), a_check(a_drift_report(verdict)))
    assert said(view, "RetrainingTriggered")[1] == want
    assert bool(plan(view).create) is (want == "RunCreated")


def acted(**guard: Any) -> tuple[DriftMonitorView, Manifest]:
    """Return the view after a first action, and its run."""
    monitor = a_monitor(spec={"guard": guard}) if guard else a_monitor()
    view = after(started(monitor), a_check(a_drift_report("DataDrift")))
    return view, the_run(view)


def next_check(view: DriftMonitorView, hours: int = 1, verdict: str = "DataDrift") -> DriftMonitorView:
    return after(view, a_check(a_drift_report(verdict), NOON + timedelta(hours=hours)))


def test_two_confirmations_act_at_the_second() -> None:
    """Confirmations are of checks in a row: another verdict in between starts over."""
    view = after(started(a_monitor(spec={"guard": {"confirmations": 2}})), a_check(a_drift_report("DataDrift")))
    assert said(next_check(next_check(view, 1, "Stable"), 2), "RetrainingTriggered")[1] == "Unconfirmed"
    assert said(next_check(view), "RetrainingTriggered")[1] == "RunCreated"


def test_breaches_are_counted_of_one_verdict_in_a_row() -> None:
    """One that calls for nothing sets them to none, another one that calls for an action to one."""
    view = started(a_monitor(spec={"guard": {"confirmations": 10}}))
    verdicts = ["DataDrift", "DataDrift", "Stable", "Stable", "DataDrift", "ConceptDrift", "DataDrift", "DataDrift"]
    counted = []
    for hour, verdict in enumerate(verdicts):
        view = next_check(view, hour, verdict)
        counted.append(view.monitor.status.breaches)
    assert counted == [1, 2, 0, 0, 1, 1, 1, 2]


def test_while_a_run_is_at_work_no_second_one_is_made() -> None:
    """One challenger at a time."""
    view, run = acted(cooldown="1s")
    assert said(next_check(view), "RetrainingTriggered")[1] == "RunActive"
    assert said(next_check(replace(view, runs=(as_run(run),))), "RetrainingTriggered")[1] == "RunActive"


def test_the_cooldown_and_the_week() -> None:
    """Both are counted in the scheduled times of the checks."""
    view, run = acted(cooldown="2h", maxRunsPerWeek=1)
    view = replace(view, runs=(promoted(run),))
    assert said(next_check(view, 1), "RetrainingTriggered")[1] == "InCooldown"
    assert said(next_check(view, 2), "RetrainingTriggered")[1] == "WeeklyLimit"
    assert said(next_check(view, 24 * 7), "RetrainingTriggered")[1] == "RunCreated"


@pytest.mark.parametrize(
    ("finish", "outcome", "in_a_row"),
    [
        pytest.param(as_run, "Running", 0, id="at work"),
        pytest.param(refused, "Running", 0, id="refused by a quota, for now"),
        pytest.param(promoted, "Promoted", 0, id="a new version"),
        pytest.param(rejected, "Rejected", 1, id="gates failed"),
        pytest.param(crashed, "Failed", 1, id="training failed"),
    ],
)
def test_what_came_of_an_action(finish: Callable[[Manifest], TrainingRun], outcome: str, in_a_row: int) -> None:
    """The monitor follows its run to the end."""
    view, run = acted()
    status = after(view, runs=(finish(run),)).monitor.status
    assert status.last_action is not None
    assert (status.last_action.outcome, status.rejected_in_a_row) == (outcome, in_a_row)


def test_a_run_that_somebody_deleted_is_not_made_again() -> None:
    """Seen once, it is the user's to delete."""
    view, run = acted()
    seen = after(view, runs=(as_run(run),))
    gone = after(seen, runs=())
    assert plan(gone).create == ()
    assert gone.monitor.status.last_action.outcome == "Failed"  # type: ignore[union-attr]


def test_a_crash_before_the_run_was_made_makes_the_same_one() -> None:
    """The name is on record, the plan makes it until it is seen."""
    view, run = acted()
    assert the_run(after(view)) == run


def test_the_circuit_opens_after_rejected_challengers_and_an_edit_closes_it() -> None:
    """Retraining that never helps stops by itself."""
    view, run = acted(cooldown="1s", maxRejectedChallengers=1)
    view = after(view, runs=(rejected(run),))
    assert view.monitor.status.circuit == "Open"
    view = next_check(view, 48)
    assert said(view, "RetrainingTriggered")[1] == "CircuitOpen"
    edited = DriftMonitor.model_validate(merged(view.monitor.dump(), {"metadata": {"generation": 2}}))
    closed = after(replace(view, monitor=edited))
    assert (closed.monitor.status.circuit, closed.monitor.status.rejected_in_a_row) == ("Closed", 0)
    assert said(next_check(closed, 96), "RetrainingTriggered")[1] == "RunCreated"


def test_the_history_is_bounded() -> None:
    """A year of hourly checks fits into an object."""
    checks = [a_check(a_drift_report(), NOON + timedelta(hours=hour)) for hour in range(120)]
    assert len(after(started(), *checks).monitor.status.history) == 100


def test_an_object_that_is_being_deleted_gets_no_children() -> None:
    """Making children would hold up a foreground deletion for ever."""
    assert plan(a_view(a_monitor(metadata={"deletionTimestamp": "2026-01-10T12:00:00Z"}))) == Plan()


def test_a_check_that_a_person_asks_for_is_told_as_of_when() -> None:
    """The pod checks the window that ends there, as the Job's annotation says."""
    job = check_job(SETTINGS, a_monitor(), Read("rain-v1", digest("1")), asked="now", as_of=AT_NOON)
    [container] = job["spec"]["template"]["spec"]["containers"]
    [text] = [each["value"] for each in container["env"] if each["name"] == tasks.TASK_VARIABLE]
    task = tasks.parse_task(text)
    assert isinstance(task, tasks.DriftTask)
    assert task.as_of == AT_NOON == job["metadata"]["annotations"][labels.AS_OF]
    assert (task.model_version, task.artifact) == ("rain-v1", digest("1"))


def test_a_check_of_the_monitors_own_cron_job_is_taken_in() -> None:
    """By the uid of the CronJob that is there."""
    owner = {"kind": "CronJob", "name": "rain-drift-check", "uid": "new"}
    check = a_check(a_drift_report("DataDrift"))
    check = replace(check, manifest=merged(check.manifest, {"metadata": {"ownerReferences": [owner]}}))
    there, other = ({"metadata": {"name": "rain-drift-check", "uid": uid}} for uid in ("new", "newer"))
    assert after(started(), check, cron_job=there).monitor.status.verdict == "DataDrift"
    assert after(started(), check, cron_job=other).monitor.status.verdict is None
