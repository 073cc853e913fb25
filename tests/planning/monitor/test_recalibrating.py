"""Recalibrate: where calibration alone moved, a run keeps the model and fits a map of its scores; else a Rebuild."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mlops.api import digests, tasks
from mlops.api.calibration import MovedCalibration
from mlops.api.drift_monitor import DriftMonitorSpec
from mlops.api.training_run import TrainingRunSpec
from mlops.planning.monitor.recalibrating import recalibrating
from tests.planning.builders import (
    a_dataset,
    a_drift_report,
    a_monitor,
    a_template,
    a_train_report,
    a_verify_report,
    an_ingest_report,
)
from tests.planning.world import World

DIGEST = "sha256:" + "1" * 64
SINCE = "2026-01-09T18:00:00Z"
BOTH = [{"when": ["ConceptDrift"], "do": "Recalibrate"}, {"when": ["ConceptDrift"], "do": "Rebuild"}]
SEARCH = {"objective": {"metric": "roc_auc"}, "parameters": [{"name": "C", "values": ["0.1", "7"]}]}
GATES = [{"metric": "roc_auc", "min": "0.60", "compareTo": "champion", "minDelta": "0.01"}]


class Loop(World):
    """A loop whose checks find that the relation moved, `alone` in calibration or not; runs measure `brier`."""

    def __init__(self, actions: list[dict[str, Any]] | None = None) -> None:
        super().__init__(self._answer)
        self.verdict, self.alone, self.obstacle, self.brier = "Stable", True, None, "0.10"
        self.trained: list[tasks.TrainTask] = []
        template = {"search": SEARCH, "gates": GATES, "triggers": [{"templateChange": {}}]}
        self.put(a_dataset(), a_template(spec=template))
        guard = {"cooldown": "1s", "maxRunsPerWeek": 100, "maxRejectedChallengers": 5}
        self.put(a_monitor(spec={"guard": guard, "actions": actions or BOTH}))
        self.settle()

    def _answer(self, task: tasks.Task) -> tasks.Report | None:
        match task:
            case tasks.IngestTask():
                return an_ingest_report(str(len(self.trained) + 1), as_of=task.as_of)
            case tasks.TrainTask():
                return self._trained(task)
            case tasks.VerifyTask():
                return a_verify_report()
            case tasks.DriftTask():
                found = self._calibration(task.artifact) if self.verdict == "ConceptDrift" else None
                return a_drift_report(self.verdict, calibration=found, change_point="2026-01-09T17:00:00Z")
        return None

    def _trained(self, task: tasks.TrainTask) -> tasks.TrainReport:
        self.trained.append(task)

        def values(auc: str, brier: str) -> list[dict[str, str]]:
            found = {"roc_auc": auc, "brier": brier}
            return [{"name": name, "dataset": "test", "value": value} for name, value in found.items()]

        # A map of scores ranks as they do.
        auc = "0.80" if task.recalibration else f"0.8{len(self.trained)}"
        champion = values("0.80", "0.20") if task.champion_artifact else []
        report = a_train_report(metrics=values(auc, self.brier), champion_metrics=champion)
        best = {"C": "7"} if task.search else None
        return report.model_copy(update={"output_digest": digests.digest_of(task.dump()), "best_params": best})

    def _calibration(self, artifact: str) -> MovedCalibration:
        return MovedCalibration(
            alone=self.alone,
            artifact=artifact,
            metric="brier",
            reference="0.1",
            current="0.2",
            restored="0.11",
            ranking_reference="0.8",
            ranking_current="0.8",
            since=SINCE,
            obstacle=self.obstacle,
        )

    def check(self) -> Any:
        """Have a check find that the relation moved; return what was done about it."""
        self.verdict = "ConceptDrift"
        self.now = (self.now + timedelta(hours=1)).replace(minute=0)
        self.schedule("rain-drift-check", self.now)
        self.settle()
        return self.get("DriftMonitor", "rain-drift").status.last_action

    def live(self) -> Any:
        """Return the version that is live in production."""
        every = [self.get("ModelVersion", name) for name in self.names("ModelVersion")]
        [live] = [version for version in every if "production" in version.status.stages]
        return live


def test_a_model_whose_calibration_moved_stays_and_gets_a_map() -> None:
    """On rows from after the change, without a search; it goes live through the gates, and is a version with a past."""
    loop = Loop()
    before = loop.live()
    last = loop.check()
    assert (last.kind, last.verdict, last.outcome, last.since) == ("Recalibrate", "ConceptDrift", "Promoted", SINCE)
    assert (last.recalibrates, last.metric) == (before.status.artifact, "brier")
    task = loop.trained[-1]
    assert task.recalibration is not None
    assert (task.recalibration.artifact, task.estimator, task.search) == (before.status.artifact, None, None)
    assert (task.since, task.champion_artifact) == (SINCE, before.status.artifact)
    assert last.ref.startswith("rain-recalibrate-")
    lineage = loop.live().spec.lineage
    assert (loop.live().metadata.name, lineage.parent_version, lineage.since) == ("rain-v2", "rain-v1", SINCE)
    assert lineage.estimator.params == {"C": "7"}, "a later Retrain takes what the search had found"


@pytest.mark.parametrize(
    ("alone", "obstacle"),
    [
        pytest.param(False, None, id="more than calibration moved"),
        pytest.param(True, "it answers with labels alone, without probabilities", id="the model takes no map"),
    ],
)
def test_else_it_is_rebuilt(alone: bool, obstacle: str | None) -> None:
    """The next action that names the verdict counts; with none there is nothing to do."""
    loop = Loop()
    loop.alone, loop.obstacle = alone, obstacle
    last = loop.check()
    assert (last.kind, last.recalibrates, last.since) == ("Rebuild", None, "2026-01-09T17:00:00Z")
    assert loop.trained[-1].search is not None
    only = Loop(BOTH[:1])
    only.alone, only.obstacle = alone, obstacle
    assert only.check() is None
    said = only.get("DriftMonitor", "rain-drift").status
    assert next(each.message for each in said.conditions if each.type == "RetrainingTriggered") == (
        "ConceptDrift calls for nothing"
    )


def test_a_map_that_is_no_better_is_refused_and_not_tried_twice_in_a_row() -> None:
    """By the gate that the run gets beside the template's: the next check rebuilds."""
    loop = Loop()
    loop.brier = "0.21"
    last = loop.check()
    assert (last.kind, last.outcome, loop.live().metadata.name) == ("Recalibrate", "Rejected", "rain-v1")
    message = loop.get("TrainingRun", last.ref).status.conditions
    assert any("brier on test: 0.21; champion 0.20 + 0 is not reached" in each.message for each in message)
    assert loop.check().kind == "Rebuild"


def test_recalibrate_then_rebuild_is_what_a_monitor_does_by_default() -> None:
    """In this order, since the first that fits counts."""
    actions = DriftMonitorSpec.model_fields["actions"].default
    assert [action.do for action in actions if "ConceptDrift" in action.when] == ["Recalibrate", "Rebuild"]


def test_gates_stay_but_for_a_gain_in_ranking_which_no_map_can_bring() -> None:
    """Limits, and comparisons of what a map can improve, are the template's; a thousandth is what rounding may take."""
    gates = [
        {"metric": "roc_auc", "dataset": "test", "min": "0.6", "compareTo": "champion", "minDelta": "0.01"},
        {"metric": "roc_auc", "dataset": "validation", "compareTo": "champion", "minDelta": "-0.02"},
        {"metric": "accuracy", "dataset": "test", "compareTo": "champion", "minDelta": "0.01"},
        {"metric": "roc_auc", "dataset": "test", "min": "0.7"},
    ]
    costs = [{"actual": "yes", "predicted": "no", "cost": "5"}]
    spec = {
        "datasetRef": {"name": "weather"},
        "search": SEARCH,
        "trainer": {"estimator": {"name": "SVC"}},
        "costs": costs,
    }
    made = recalibrating({**spec, "gates": gates}, DIGEST, "brier", None)
    TrainingRunSpec.model_validate(made)
    better = {"metric": "brier", "dataset": "test", "compareTo": "champion", "minDelta": "0"}
    assert made["gates"] == [{**gates[0], "minDelta": "-0.001"}, *gates[1:], better]
    assert made["trainer"] == {"recalibration": {"artifact": DIGEST}}
    assert made["costs"] == costs
    assert "search" not in made
    stricter = {**better, "minDelta": "0.01"}
    assert recalibrating({**spec, "gates": [stricter]}, DIGEST, "brier", None)["gates"] == [stricter]
    weaker = {**better, "minDelta": "-0.01"}
    assert recalibrating({**spec, "gates": [weaker]}, DIGEST, "brier", None)["gates"] == [weaker, better]


def test_a_template_that_has_no_room_for_the_gate_is_told_and_no_map_goes_live_without_it() -> None:
    """With as many gates as a run may have; one of them that asks for it already takes its place."""
    loop = Loop()
    limits = [{"metric": "roc_auc", "dataset": "test", "min": f"0.{number}"} for number in range(10, 42)]
    loop.change("TrainingRun", "rain", gates=limits)
    loop.settle()
    assert loop.check() is None
    said = loop.get("DriftMonitor", "rain-drift").status.conditions
    [told] = [each for each in said if each.type == "RetrainingTriggered"]
    assert (told.status, told.reason) == ("False", "GatesFull")
    assert told.message == (
        'ConceptDrift calls for Recalibrate, and the template "rain" has 32 gates, as many as a run may have, and a '
        "recalibration has to pass one more: put {metric: brier, compareTo: champion} in the place of one of them"
    )
    loop.change("TrainingRun", "rain", gates=[*limits[:31], {"metric": "brier", "compareTo": "champion"}])
    loop.settle()
    last = loop.check()
    assert (last.kind, last.outcome) == ("Recalibrate", "Promoted")
    assert len(loop.get("TrainingRun", last.ref).spec.gates) == 32
