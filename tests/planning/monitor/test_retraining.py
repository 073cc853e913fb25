"""The run that a verdict leads to: of what champion, under which names, and not again on what gave nothing new."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from mlops.api import labels
from mlops.api.conditions import Condition
from mlops.api.drift_monitor import DriftMonitor
from mlops.api.training_run import TrainingRun
from mlops.planning.monitor.actions import recipe_of
from mlops.planning.monitor.manifests import Champion, check_job_name, run_name, suspended
from mlops.planning.monitor.planner import plan
from mlops.planning.monitor.progress import CHECKED, TRIGGERED, MonitorProgress
from mlops.planning.monitor.retraining import action_of, decided, run_names, synced_again
from mlops.planning.monitor.target import champion_of
from mlops.planning.ownership import key_of
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
    a_versioned_dataset,
    digest,
    finished,
)

ASKED = "2026-01-10T12:00:00Z"
SINCE = "2026-01-02T00:00:00Z"
EARLIER = "2026-01-01T00:00:00Z"
ON_EDITS = a_template(spec={"triggers": [{"templateChange": {}}]})


def a_view(monitor: DriftMonitor | None = None, **changes: Any) -> DriftMonitorView:
    given = {"versions": (a_live_version(),), "template": ON_EDITS, "dataset": a_versioned_dataset(), **changes}
    return DriftMonitorView(now=NOW, settings=SETTINGS, monitor=monitor or a_monitor(), **given)


# --- the champion ---


def made_as(**lineage: Any) -> Any:
    return a_live_version(status={"lineage": {"trainingRun": None, **lineage}})


def test_how_the_live_version_was_made_is_read_of_its_record_or_of_its_run() -> None:
    """The record comes first; without run and record only the start of its rows may be known."""
    estimator = {"name": "LogisticRegression", "params": {"C": "7"}}
    run = a_run(metadata={"name": "rain-0"}, spec={"datasetRef": {"since": EARLIER}}, status={"bestParams": {"C": "1"}})

    def champion(version: Any, *runs: TrainingRun) -> Champion:
        return champion_of(a_view(versions=(version,), runs=runs))

    recorded = champion(made_as(estimator=estimator, since=SINCE, trainingRun="rain-0"), run)
    assert recorded.estimator is not None
    assert (recorded.estimator.params, recorded.since) == ({"C": "7"}, SINCE)
    by_run = champion(made_as(trainingRun="rain-0"), a_run(), run)
    assert by_run.estimator is not None
    assert (by_run.estimator.params, by_run.since) == ({"C": "1"}, EARLIER)
    assert champion(made_as(trainingRun="rain-0", since=SINCE), run).since == SINCE
    assert champion(made_as(trainingRun="rain-0", since=SINCE)) == Champion(since=SINCE)
    assert champion(a_version()) == Champion(), "none is live"


# --- names ---


def a_check(at: datetime) -> JobView:
    """Return a check of the CronJob that detected, scheduled `at`."""
    [cron] = plan(a_view()).apply
    template = cron["spec"]["jobTemplate"]
    name = f"rain-drift-check-{int(at.timestamp()) // 60}"
    return finished({"metadata": {"name": name, **template["metadata"]}, "spec": template["spec"]}, a_drift_report())


def test_a_plan_asks_for_the_runs_of_its_last_action_of_what_serves_and_of_what_it_may_make() -> None:
    """By name, since they may be over: each action of each check, and of the sync that is waited for."""
    assert list(run_names(a_view(versions=()))) == []
    assert list(run_names(a_view())) == ["rain-0"]
    last = {"time": ASKED, "kind": "Retrain", "verdict": "DataDrift", "ref": "rain-9", "outcome": "Failed"}
    assert list(run_names(a_view(a_monitor(status={"lastAction": last})))) == ["rain-9", "rain-0"]
    given = a_live_version(spec={"lineage": {"trainingRun": "rain-5"}}, status={"lineage": None})
    assert list(run_names(a_view(versions=(given,)))) == ["rain-5"]
    actions = {"actions": [{"when": ["DataDrift"], "do": "Retrain"}, {"when": ["ConceptDrift"], "do": "Rebuild"}]}
    known = nothing_new()
    monitor = a_monitor(spec=actions, status={"nothingNew": {**known, "asked": "2026-01-10T11:30:05Z"}})
    checked = a_view(monitor, jobs=(a_check(NOW),), versions=())
    assert list(run_names(checked)) == [
        "rain-retrain-202601101200",
        "rain-retrain-20260110120000",
        "rain-rebuild-202601101200",
        "rain-rebuild-20260110120000",
        "rain-retrain-202601101130",
        "rain-retrain-20260110113005",
        "rain-rebuild-202601101130",
        "rain-rebuild-20260110113005",
    ]
    assert list(run_names(a_view(a_monitor(status={"nothingNew": known}), versions=()))) == []


def test_the_name_of_a_run_is_one_that_a_run_may_have() -> None:
    """At most 52 characters, and another one for another check."""
    names = {run_name("r" * 52, "Retrain", minute) for minute in ("202601101200", "202601101300")}
    assert {len(name) <= 52 for name in names} == {True}
    assert len(names) == 2


# --- nothing new ---


def nothing_new(template: TrainingRun = ON_EDITS) -> dict[str, Any]:
    """Return what is remembered of a run of the template on version 1 of its Dataset."""
    spec = a_run(spec={"datasetRef": {"version": template.spec.dataset_ref.version}}).spec
    return {
        "kind": "Retrain",
        "recipe": recipe_of(spec),
        "dataset": "weather",
        "datasetDigest": digest("1"),
    }


def test_what_gave_nothing_new_is_not_made_again_and_the_source_is_synced() -> None:
    """One on a version by number takes that, so nothing is asked of the source."""
    monitor = a_monitor(status={"breaches": 1, "verdict": "DataDrift", "nothingNew": nothing_new()})
    decision, same = decided(a_view(monitor), monitor.status, "DataDrift", NOW)
    assert (decision.acts, decision.reason) == (False, "NothingNew")
    message = "DataDrift: a run on the same content of Dataset weather gives the model that serves"
    assert decision.message == f"{message}; the source is synced again, and other content makes a run"
    assert same is not None
    assert same.asked == ASKED
    pinned = a_template(spec={"datasetRef": {"version": 1}, "triggers": [{"templateChange": {}}]})
    monitor = a_monitor(status={"breaches": 1, "verdict": "DataDrift", "nothingNew": nothing_new(pinned)})
    decision, same = decided(a_view(monitor, template=pinned), monitor.status, "DataDrift", NOW)
    assert decision.message == message
    assert same is not None
    assert same.asked is None
    elsewhere = a_view(monitor, dataset=a_versioned_dataset(2))
    assert decided(elsewhere, monitor.status, "DataDrift", NOW)[0].acts
    assert decided(a_view(monitor, dataset=None), monitor.status, "DataDrift", NOW)[0].acts


def waits_for_a_sync(**status: Any) -> DriftMonitor:
    known = {**nothing_new(), "asked": ASKED}
    return a_monitor(status={"breaches": 1, "verdict": "DataDrift", "nothingNew": known, **status})


def after_sync(view: DriftMonitorView) -> MonitorProgress:
    checked = Condition.model_validate(a_condition("Checked", "True", "Checked"))
    found = synced_again(view, MonitorProgress(view.monitor.status, {CHECKED: checked}))
    assert found.own[CHECKED] == checked, "what else is said stays"
    return found


def test_other_content_makes_the_run_that_was_called_for() -> None:
    """Of the check that asked, with its scheduled time in the name."""
    found = after_sync(a_view(waits_for_a_sync(), dataset=a_versioned_dataset(2)))
    assert found.status.nothing_new is None
    assert found.status.last_action is not None
    assert (found.status.last_action.ref, found.status.last_action.outcome) == ("rain-retrain-202601101200", "Pending")
    said = found.own[TRIGGERED]
    assert (said.status, said.reason, said.message) == ("True", "RunCreated", "DataDrift calls for Retrain")
    held = waits_for_a_sync(breaches=0)
    found = after_sync(a_view(held, dataset=a_versioned_dataset(2)))
    assert (found.status.last_action, found.status.nothing_new) == (None, None)
    assert (found.own[TRIGGERED].status, found.own[TRIGGERED].reason) == ("False", "Unconfirmed")


def test_a_template_that_fires_on_new_data_makes_that_run_itself() -> None:
    """A second one on the same version would be one too many."""
    found = after_sync(a_view(waits_for_a_sync(), dataset=a_versioned_dataset(2), template=a_template()))
    assert (found.status.last_action, found.status.nothing_new) == (None, None)
    said = found.own[TRIGGERED]
    assert (said.status, said.reason) == ("False", "RunActive")
    assert said.message == "the content of Dataset weather has changed: the template makes a run of it"


@pytest.mark.parametrize(("trained", "fires"), [(66, True), (67, False)])
def test_a_template_makes_that_run_itself_if_there_are_enough_more_rows_for_it(trained: int, fires: bool) -> None:
    """Version 2 has 100; with fewer the monitor makes its own."""
    known = {"dataset": "weather", "version": 1, "rows": trained}
    grows = a_template(spec={"triggers": [{"datasetGrowth": {"percent": 50}}]}, status={"trainedOn": known})
    found = after_sync(a_view(waits_for_a_sync(), dataset=a_versioned_dataset(2), template=grows))
    assert found.own[TRIGGERED].reason == ("RunActive" if fires else "RunCreated")
    assert (found.status.last_action is None) == fires


@pytest.mark.parametrize(
    ("synced", "asked"),
    [
        pytest.param("2026-01-10T11:59:59Z", ASKED, id="not yet"),
        pytest.param(ASKED, None, id="just then"),
        pytest.param("2026-01-10T12:30:00Z", None, id="later"),
        pytest.param(None, ASKED, id="never"),
    ],
)
def test_a_sync_that_found_the_same_content_ends_the_wait(synced: str | None, asked: str | None) -> None:
    """What is known stays known."""
    view = a_view(waits_for_a_sync(), dataset=a_versioned_dataset(status={"lastCheckTime": synced}))
    found = after_sync(view)
    assert found.status.nothing_new is not None
    assert found.status.nothing_new.asked == asked
    assert found.status.nothing_new.recipe == nothing_new()["recipe"]
    assert TRIGGERED not in found.own


def test_who_waits_for_no_sync_goes_on_as_before() -> None:
    """Nothing is known, nothing was asked, or nobody knows the Dataset."""
    for view in (
        a_view(dataset=a_versioned_dataset(2)),
        a_view(a_monitor(status={"verdict": "DataDrift", "nothingNew": nothing_new()}), dataset=a_versioned_dataset(2)),
        a_view(waits_for_a_sync(verdict=None), dataset=a_versioned_dataset(2)),
        a_view(waits_for_a_sync(), dataset=None),
    ):
        assert after_sync(view).status == view.monitor.status


# --- a check that a person asks for ---


def test_a_retry_makes_one_check_and_is_on_record_when_it_is_seen() -> None:
    """Without anything to check it is on record at once."""
    monitor = a_monitor(metadata={"annotations": {labels.RETRY: "now"}})
    first = plan(a_view(monitor))
    [check] = first.create
    assert check["metadata"]["name"] == check_job_name(monitor, "now")
    assert check["metadata"]["annotations"][labels.AS_OF] == "2026-01-10T12:00:00Z"
    assert first.statuses[key_of(monitor)].dump().get("retried") is None
    seen = plan(a_view(monitor, jobs=(JobView(check),)))
    assert seen.create == ()
    assert seen.statuses[key_of(monitor)].dump()["retried"] == "now"
    resting = a_monitor(metadata={"annotations": {labels.RETRY: "now"}}, spec={"suspend": True})
    for view in (a_view(monitor, versions=()), a_view(resting)):
        nothing = plan(view)
        assert nothing.create == ()
        assert nothing.statuses[key_of(view.monitor)].dump()["retried"] == "now"
    assert plan(a_view()).statuses[key_of(monitor)].dump().get("retried") is None


@pytest.mark.parametrize(
    ("labelled", "acts"),
    [
        pytest.param({"mlops.dev/monitor": "rain-drift"}, False, id="of this monitor"),
        pytest.param({"mlops.dev/monitor": "another"}, True, id="of another"),
        pytest.param({}, True, id="of nobody's"),
    ],
)
def test_a_monitors_own_run_at_work_keeps_it_from_another(labelled: dict[str, str], acts: bool) -> None:
    """Those of others, and of the template's triggers, are none of its actions."""
    monitor = a_monitor(status={"verdict": "DataDrift", "breaches": 1})
    run = a_run(metadata={"name": "busy", "labels": {"mlops.dev/template": "rain", **labelled}})
    decision, _ = decided(a_view(monitor, runs=(run,)), monitor.status, "DataDrift", NOW)
    assert decision.acts is acts
    if not acts:
        assert decision.reason == "RunActive"
        assert "busy" in decision.message


def test_two_actions_of_one_minute_have_runs_of_two_names() -> None:
    """A check that a person asks for may fall into the minute of another one: the second is named to the second."""
    monitor = a_monitor(status={"verdict": "DataDrift", "breaches": 1})
    decision, _ = decided(a_view(monitor), monitor.status, "DataDrift", NOW)
    over = [a_condition("Ready", "True", "Succeeded")]
    there = a_run(metadata={"name": "rain-retrain-202601101200"}, status={"conditions": over})
    for runs, name in (((), "rain-retrain-202601101200"), ((there,), "rain-retrain-20260110120000")):
        view = a_view(monitor, runs=runs)
        assert action_of(view, monitor.status, decision, NOW).ref == name


def test_a_cron_job_that_does_not_say_of_which_version_it_is_is_not_kept() -> None:
    """Its label and its annotation name version and artifact: somebody may have edited either away."""
    [there] = plan(a_view()).apply
    resting = suspended(there, SETTINGS, a_monitor())
    assert resting is not None
    assert resting["spec"]["suspend"] is True
    for field in ("labels", "annotations"):
        metadata = {name: value for name, value in there["metadata"].items() if name != field}
        assert suspended({**there, "metadata": metadata}, SETTINGS, a_monitor()) is None
