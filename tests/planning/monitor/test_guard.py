"""The guard, limit by limit and to the second: what is decided, in which words, and what is remembered of runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, get_args

import pytest

from mlops.api.base import format_time
from mlops.api.drift_monitor import DriftMonitor, DriftMonitorStatus, Verdict
from mlops.api.reasons import Reason
from mlops.api.training_run import TrainingRun
from mlops.planning.monitor.actions import (
    ActionDecision,
    cause_of,
    decide,
    followed_up,
    nothing_new,
    recipe_of,
    with_action,
)
from tests.planning.builders import (
    NOW,
    a_condition,
    a_monitor,
    a_run,
    a_template,
    a_versioned_dataset,
    digest,
    merged,
)

LAST = {
    "time": "2026-01-10T10:00:00Z",
    "kind": "Retrain",
    "verdict": "DataDrift",
    "ref": "rain-retrain-1",
    "outcome": "Promoted",
}


def pending(**changes: Any) -> dict[str, Any]:
    return {"lastAction": {**LAST, "outcome": "Pending", **changes}}


def decided(
    monitor: DriftMonitor, *runs: TrainingRun, verdict: Verdict = "DataDrift", at: datetime = NOW, **template: Any
) -> ActionDecision:
    made = template.get("template", a_template())
    return decide(monitor, monitor.status, verdict, at, runs=runs, template=made)


def guarded(status: dict[str, Any] | None = None, **guard: Any) -> DriftMonitor:
    return a_monitor(spec={"guard": guard} if guard else {}, status=merged({"breaches": 1}, status or {}))


def told(decision: ActionDecision) -> tuple[str, str]:
    assert decision.acts is (decision.reason == Reason.RUN_CREATED)
    return str(decision.reason), decision.message


@pytest.mark.parametrize(
    ("verdict", "want"),
    [
        pytest.param("Stable", ("NoAction", "Stable calls for nothing"), id="nothing"),
        pytest.param(
            "DataQuality", ("OnHold", "DataQuality: nothing is trained until the data is in order"), id="broken data"
        ),
        pytest.param("ConceptDrift", ("RunCreated", "ConceptDrift calls for Rebuild"), id="the relation"),
        pytest.param("PredictionDrift", ("RunCreated", "PredictionDrift calls for Retrain"), id="the answers"),
    ],
)
def test_what_a_verdict_calls_for_is_told(verdict: Verdict, want: tuple[str, str]) -> None:
    """With the verdict and the action."""
    assert told(decided(guarded(), verdict=verdict)) == want


def test_an_action_without_its_template_names_it() -> None:
    """Missing, or a run that makes none."""
    message = 'Retrain needs the template "rain"'
    assert told(decided(guarded(), template=None)) == ("TrainingRunNotFound", message)
    assert told(decided(guarded(), template=a_run())) == ("NotATemplate", message)


def test_a_run_that_is_not_over_is_named() -> None:
    """Ours, be it seen or only on record; one that is over is none."""
    busy = a_run(metadata={"name": "rain-7"})
    over = a_run(metadata={"name": "rain-6"}, status={"conditions": [a_condition("Ready", "True", "Succeeded")]})
    assert told(decided(guarded(), over, busy)) == ("RunActive", "TrainingRun rain-7 is not finished")
    for outcome in ("Pending", "Running"):
        status = pending(outcome=outcome)
        assert told(decided(guarded(status), over)) == ("RunActive", "TrainingRun rain-retrain-1 is not finished")
    assert decided(guarded({"lastAction": {**LAST, "time": "2026-01-01T00:00:00Z"}}), over).acts


def test_a_cooldown_ends_to_the_second() -> None:
    """Of the scheduled times of the checks."""
    monitor = guarded({"lastAction": LAST}, cooldown="2h")
    assert told(decided(monitor, at=NOW - timedelta(seconds=1))) == (
        "InCooldown",
        "the last action was at 2026-01-10T10:00:00Z, guard.cooldown is 2h",
    )
    assert decided(monitor, at=NOW).acts


def test_confirmations_are_counted_up_to_the_one_that_acts() -> None:
    """The message says how far it has come."""
    assert told(decided(guarded({"breaches": 2}, confirmations=3))) == (
        "Unconfirmed",
        "check 2 of 3 in a row with this verdict",
    )
    assert decided(guarded({"breaches": 3}, confirmations=3)).acts
    assert decided(guarded({"breaches": 4}, confirmations=3)).acts


def test_a_week_is_seven_days_to_the_second() -> None:
    """A run that is just as old counts no more."""
    week = NOW - timedelta(days=7)
    times = [format_time(week + timedelta(seconds=1)), format_time(week)]
    assert told(decided(guarded({"actionTimes": times}, maxRunsPerWeek=1))) == (
        "WeeklyLimit",
        "1 runs in seven days, allowed are 1",
    )
    assert decided(guarded({"actionTimes": times}, maxRunsPerWeek=2)).acts
    assert decided(guarded({"actionTimes": times[1:]}, maxRunsPerWeek=1)).acts


OPEN = {
    "circuit": "Open",
    "circuitGeneration": 1,
    "circuits": [
        {"verdict": "LabelShift", "rejected": 1},
        {"verdict": "DataDrift", "rejected": 3, "opened": "2026-01-10T11:00:00Z"},
    ],
}


def test_an_open_circuit_says_what_closes_it_and_lets_one_through_when_its_time_has_come() -> None:
    """To the second; other verdicts are not concerned, and a time to come is of a wrong clock."""
    monitor = guarded(OPEN, circuitResetAfter="2h")
    want = (
        "CircuitOpen",
        "3 runs in a row for DataDrift led to no new version: look into it. One more is let through at"
        " 2026-01-10T13:00:00Z, guard.circuitResetAfter (2h) after 2026-01-10T11:00:00Z; a new version closes it, and"
        " so does an edit of the monitor, or a retry, now",
    )
    assert told(decided(monitor)) == want
    assert told(decided(monitor, at=NOW - timedelta(hours=1))) == want, "the very time at which it opened"
    assert told(decided(monitor, at=NOW + timedelta(minutes=59, seconds=59))) == want
    assert told(decided(monitor, at=NOW + timedelta(hours=1))) == (
        "RunCreated",
        "DataDrift calls for Retrain; the circuit of DataDrift is half-open after 3 runs without a new version: one"
        " closes it, and a refusal opens it for 2h again",
    )
    assert decided(monitor, at=NOW - timedelta(hours=1, seconds=1)).acts
    assert decided(monitor, verdict="ConceptDrift").acts
    assert decided(monitor, verdict="LabelShift").acts, "counted, and not open"
    assert told(decided(monitor, verdict="PredictionDrift")) == want, "the answers count as the inputs"


def test_answers_have_a_cause_of_their_own_when_an_action_names_them() -> None:
    """Else they count as the inputs."""
    named = a_monitor(spec={"actions": [{"when": ["PredictionDrift"], "do": "Retrain"}]})
    assert cause_of(named, "PredictionDrift") == "PredictionDrift"
    assert cause_of(a_monitor(), "PredictionDrift") == "DataDrift"
    assert cause_of(a_monitor(), "PerformanceDrop") == "PerformanceDrop"


def test_times_of_actions_are_those_of_a_week_and_fifty_at_most() -> None:
    """The newest first."""
    minutes = [format_time(NOW - timedelta(minutes=minute)) for minute in range(1, 51)]
    status = a_monitor(status={"actionTimes": [*minutes[:49], "2026-01-01T00:00:00Z"]}).status
    action = a_monitor(status={"lastAction": {**LAST, "time": format_time(NOW)}}).status.last_action
    assert action is not None
    after = with_action(status, action)
    assert after.action_times == (format_time(NOW), *minutes[:49])
    assert after.last_action == action
    full = a_monitor(status={"actionTimes": minutes}).status
    assert with_action(full, action).action_times == (format_time(NOW), *minutes[:49])


# --- what came of the last run ---


def followed(monitor: DriftMonitor, *runs: TrainingRun, again: bool = False, serves: str | None = None) -> Any:
    by_name = {run.metadata.name: run for run in runs}
    return followed_up(monitor, by_name, serves=serves, again=again)


def ended(*conditions: dict[str, Any], **status: Any) -> TrainingRun:
    return a_run(metadata={"name": "rain-retrain-1"}, status={"conditions": list(conditions), **status})


def refused(reason: str = "GatesFailed", **status: Any) -> TrainingRun:
    """A run that came to a model, which a gate refused."""
    return ended(
        a_condition("Ready", "False", reason),
        a_condition("Succeeded", "True", "Succeeded"),
        a_condition("GatesPassed", "False", reason),
        a_condition("Stalled", "True", reason),
        **status,
    )


def broken(reason: str) -> TrainingRun:
    return ended(
        a_condition("Ready", "False", reason),
        a_condition("Succeeded", "False", reason),
        a_condition("Stalled", "True", reason),
    )


def counts(status: DriftMonitorStatus) -> list[tuple[str, int, str | None]]:
    return [(each.verdict, each.rejected, each.opened) for each in status.circuits]


def test_refused_runs_are_counted_by_verdict_and_the_last_one_too_many_opens_the_circuit() -> None:
    """With the time of the check that called for it; other verdicts keep their counts."""
    other = {"verdict": "LabelShift", "rejected": 5}
    first = followed(guarded({**pending(), "circuits": [other]}, maxRejectedChallengers=2), refused())
    assert counts(first) == [("LabelShift", 5, None), ("DataDrift", 1, None)]
    assert (first.circuit, first.circuit_generation, first.rejected_in_a_row) == ("Closed", None, 5)
    once = {"verdict": "DataDrift", "rejected": 1}
    second = followed(guarded({**pending(), "circuits": [once, other]}, maxRejectedChallengers=2), refused())
    assert counts(second) == [("LabelShift", 5, None), ("DataDrift", 2, "2026-01-10T10:00:00Z")]
    assert (second.circuit, second.circuit_generation, second.rejected_in_a_row) == ("Open", 1, 5)
    assert second.last_action.outcome == "Rejected"


def test_every_verdict_has_a_circuit_of_its_own() -> None:
    """None is forgotten for another: an open one that made room would let runs through."""
    actions = [{"when": list(get_args(Verdict)), "do": "Retrain"}]
    others = [each for each in get_args(Verdict) if each != "DataDrift"]
    known = [{"verdict": each, "rejected": 3, "opened": "2026-01-10T09:00:00Z"} for each in others]
    monitor = guarded({**pending(), "circuits": known, "circuit": "Open", "circuitGeneration": 1})
    monitor = DriftMonitor.model_validate(merged(monitor.dump(), {"spec": {"actions": actions}}))
    found = followed(monitor, refused())
    assert [each.verdict for each in found.circuits] == [*others, "DataDrift"]
    assert DriftMonitorStatus.model_validate(found.dump()).circuits == found.circuits


def test_a_circuit_remembers_the_generation_at_which_it_opened() -> None:
    """Another one that opens later does not lay its generation over it; an edit closes those that are open."""
    edited = guarded({**OPEN, "rejectedInARow": 3})
    assert followed(edited).circuit_generation == 1
    edited = DriftMonitor.model_validate(merged(edited.dump(), {"metadata": {"generation": 2}}))
    closed = followed(edited)
    assert counts(closed) == [("LabelShift", 1, None)]
    assert (closed.circuit, closed.circuit_generation, closed.rejected_in_a_row) == ("Closed", None, 1)
    fresh = guarded({**pending(), "circuits": [{"verdict": "DataDrift", "rejected": 9}]})
    fresh = DriftMonitor.model_validate(merged(fresh.dump(), {"metadata": {"generation": 2}}))
    opened = followed(fresh, refused())
    assert (opened.circuit, opened.circuit_generation) == ("Open", 2), "it has only just opened: no edit closes it"


def test_a_retry_closes_every_circuit_and_forgets_what_gave_nothing_new() -> None:
    """A person has looked into it."""
    known = {"kind": "Retrain", "recipe": digest("1"), "dataset": "weather", "datasetDigest": digest("2")}
    monitor = guarded({**OPEN, "nothingNew": known})
    status = followed(monitor, again=True)
    assert (counts(status), status.circuit, status.nothing_new, status.rejected_in_a_row) == ([], "Closed", None, 0)
    assert followed(monitor).nothing_new is not None


def test_a_new_version_closes_every_circuit() -> None:
    """What was refused before says nothing about what serves now."""
    known = {"kind": "Retrain", "recipe": digest("1"), "dataset": "weather", "datasetDigest": digest("2")}
    run = ended(a_condition("Ready", "True", "Succeeded"), modelVersionRef="rain-v2")
    status = followed(guarded({**OPEN, **pending(), "nothingNew": known}), run)
    assert status.last_action.outcome == "Promoted"
    assert (counts(status), status.circuit, status.nothing_new) == ([], "Closed", None)


def test_a_run_that_failed_for_the_cluster_says_nothing_of_challengers() -> None:
    """One that failed for its own sake does."""
    assert counts(followed(guarded(pending()), broken("EnvironmentMismatch"))) == []
    assert counts(followed(guarded(pending()), broken("OOMKilled"))) == [("DataDrift", 1, None)]
    assert counts(followed(guarded(pending(outcome="Running")))) == [], "somebody deleted it"


def test_the_very_model_that_serves_is_no_challenger() -> None:
    """Though a gate refused it. What it was made of is remembered."""
    resolved = {
        "datasetVersion": 1,
        "datasetDigest": digest("2"),
        "datasetArtifact": digest("a"),
        "environmentDigest": digest("e"),
    }
    run = refused(outputDigest=digest("f"), resolved=resolved)
    same = followed(guarded(pending()), run, serves=digest("f"))
    assert same.last_action.outcome == "NothingNew"
    assert counts(same) == []
    assert same.nothing_new.dump() == {
        "kind": "Retrain",
        "recipe": recipe_of(run.spec),
        "dataset": "weather",
        "datasetDigest": digest("2"),
    }
    assert followed(guarded(pending()), run, serves=digest("0")).last_action.outcome == "Rejected"
    assert followed(guarded(pending()), refused(), serves=None).last_action.outcome == "Rejected"
    unknown = followed(guarded(pending()), refused(outputDigest=digest("f")), serves=digest("f"))
    assert (unknown.last_action.outcome, unknown.nothing_new) == ("NothingNew", None)
    said = ended(a_condition("Ready", "True", "NothingNew"), modelVersionRef="rain-v1", resolved=resolved)
    assert followed(guarded(pending()), said).last_action.outcome == "NothingNew"


def test_a_model_that_cannot_be_made_again_is_a_refused_one() -> None:
    """It passed its gates, and a second execution gave another."""
    run = ended(
        a_condition("Ready", "False", "NotReproducible"),
        a_condition("Succeeded", "True", "Succeeded"),
        a_condition("GatesPassed", "True", "GatesPassed"),
        a_condition("Stalled", "True", "NotReproducible"),
    )
    status = followed(guarded(pending()), run)
    assert (status.last_action.outcome, counts(status)) == ("Rejected", [("DataDrift", 1, None)])


def test_an_action_that_has_ended_is_not_counted_twice() -> None:
    """Its run is still there."""
    once = followed(guarded(pending()), refused())
    again = a_monitor(status=once.dump())
    assert counts(followed(again, refused())) == [("DataDrift", 1, None)]


def test_what_an_earlier_release_counted_for_all_verdicts_is_kept() -> None:
    """It counts for that of the last action."""
    old = {
        "rejectedInARow": 3,
        "circuit": "Open",
        "circuitGeneration": 1,
        "lastAction": {**LAST, "outcome": "Rejected"},
    }
    assert counts(followed(guarded(old))) == [("DataDrift", 3, "2026-01-10T10:00:00Z")]
    assert told(decided(guarded(old, cooldown="1s")))[0] == "CircuitOpen"
    closed = {**old, "rejectedInARow": 1, "circuit": "Closed", "circuitGeneration": None}
    assert counts(followed(guarded(closed))) == [("DataDrift", 1, None)]
    assert counts(followed(guarded({"rejectedInARow": 3, "circuit": "Open"}))) == []
    assert counts(followed(guarded({"lastAction": LAST}))) == []


def test_the_same_recipe_on_the_same_content_gives_nothing_new() -> None:
    """Whatever the action is called; another recipe, Dataset or content does."""
    run, data = a_run(), a_versioned_dataset()
    known = {
        "kind": "Retrain",
        "recipe": recipe_of(run.spec),
        "dataset": "weather",
        "datasetDigest": data.status.digest,
        "asked": "2026-01-10T10:00:00Z",
    }
    status = a_monitor(status={"nothingNew": known}).status
    found = nothing_new(status, "Retrain", run.spec, data)
    assert found is not None
    assert found.dump() == {name: value for name, value in known.items() if name != "asked"}
    rebuilt = nothing_new(status, "Rebuild", run.spec, data)
    assert rebuilt is not None
    assert (rebuilt.kind, rebuilt.recipe) == ("Rebuild", found.recipe)
    assert nothing_new(status, "Retrain", a_run(spec={"reproducibility": {"seed": 9}}).spec, data) is None
    assert nothing_new(status, "Retrain", run.spec, a_versioned_dataset(2)) is None
    assert nothing_new(status, "Retrain", run.spec, a_versioned_dataset(metadata={"name": "other"})) is None
    assert nothing_new(a_monitor().status, "Retrain", run.spec, data) is None


def test_a_recipe_is_not_when_or_how_often_a_run_is_made() -> None:
    """Triggers, suspend and the time from which data must be are none of it; all that makes the model is."""
    same = {"suspend": True, "triggers": [{"templateChange": {}}], "datasetRef": {"notBefore": "2026-01-10T10:00:00Z"}}
    assert recipe_of(a_run(spec=same).spec) == recipe_of(a_run().spec)
    assert recipe_of(a_run(spec={"datasetRef": {"since": "2026-01-10T10:00:00Z"}}).spec) != recipe_of(a_run().spec)
    assert recipe_of(a_run(spec={"gates": None}).spec) != recipe_of(a_run().spec)
