"""Retrain after retrain: what the loop knows is carried through, what is not new is no progress, and one cause that is
refused stops no other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mlops.api import digests, labels, tasks
from mlops.planning.plan import Key
from tests.planning.builders import (
    a_dataset,
    a_drift_report,
    a_monitor,
    a_run,
    a_template,
    a_train_report,
    a_verify_report,
    an_ingest_report,
    merged,
)
from tests.planning.world import End, World

SEARCH = {"objective": {"metric": "roc_auc"}, "parameters": [{"name": "C", "values": ["0.1", "7"]}]}
GUARD = {"cooldown": "1s", "maxRunsPerWeek": 100}


class Loop(World):
    """A loop whose source holds `content`, whose checks say `verdict`, and whose models are digests of what went in."""

    def __init__(self, *, search: bool = True, guard: dict[str, Any] | None = None, **template: Any) -> None:
        super().__init__(self._answer)
        self.content, self.verdict, self.change_point, self.score = "1", "Stable", None, "0.85"
        self.trained: list[tasks.TrainTask] = []
        spec = merged({"search": SEARCH} if search else {}, template)
        self.put(a_dataset(), a_template(spec={**spec, "triggers": [{"templateChange": {}}]}))
        self.put(a_monitor(spec={"guard": {**GUARD, **(guard or {})}}))
        self.settle()

    def _answer(self, task: tasks.Task) -> tasks.Report | None:
        match task:
            case tasks.IngestTask():
                return an_ingest_report(self.content, as_of=task.as_of)
            case tasks.TrainTask():
                return self._trained(task)
            case tasks.VerifyTask():
                return a_verify_report()
            case tasks.DriftTask():
                return a_drift_report(self.verdict, change_point=self.change_point)
        return None

    def _trained(self, task: tasks.TrainTask) -> tasks.TrainReport:
        self.trained.append(task)
        assert task.estimator is not None
        best = {each.name: each.values[-1] for each in task.search.parameters} if task.search else {}
        # As with a real search: the best trial is the model that these parameters alone would give.
        model = digests.digest_of([task.dataset_digest, task.since, {**task.estimator.params, **best}])
        champion = [{"name": "roc_auc", "dataset": "test", "value": "0.80"}] if task.champion_artifact else []
        report = a_train_report(value=self.score, best_params=best or None, champion_metrics=champion)
        return report.model_copy(update={"output_digest": model})

    def check(self, verdict: str = "DataDrift", content: str | None = None, hours: int = 1) -> None:
        """Have the next check made, and everything that follows from it."""
        self.verdict, self.content = verdict, content or self.content
        self.now = (self.now + timedelta(hours=hours)).replace(minute=0)
        self.schedule("rain-drift-check", self.now)
        self.settle()

    @property
    def monitor(self) -> Any:
        """Return the monitor's status."""
        return self.get("DriftMonitor", "rain-drift").status

    def triggered(self) -> str:
        """Return what the newest check led to."""
        return next(each.reason for each in self.monitor.conditions if each.type == "RetrainingTriggered")

    def live(self) -> Any:
        """Return the version that is live in production."""
        [live] = [v for v in map(self._version, self.names("ModelVersion")) if "production" in v.status.stages]
        return live

    def _version(self, name: str) -> Any:
        return self.get("ModelVersion", name)


def test_every_retrain_of_a_chain_keeps_what_the_first_search_found() -> None:
    """Also when runs and versions in between are deleted: the live version says what it was trained as."""
    loop = Loop()
    for number, content in enumerate("23456", start=2):
        loop.check(content=content)
        assert loop.live().metadata.name == f"rain-v{number}"
        assert (loop.trained[-1].search, loop.trained[-1].estimator.params) == (None, {"C": "7"})
        assert loop.live().spec.lineage.estimator.params == {"C": "7"}
        for name in loop.names("TrainingRun"):
            if name != "rain":
                loop.delete("TrainingRun", name)
        for name in loop.names("ModelVersion")[:-1]:
            loop.delete("ModelVersion", name)


def test_an_edit_of_the_template_is_not_undone_by_a_retrain() -> None:
    """Only what the template searches for is taken from the live version."""
    loop = Loop()
    params = {"C": "0.1", "max_iter": "500"}
    loop.change("TrainingRun", "rain", trainer={"estimator": {"name": "LogisticRegression", "params": params}})
    loop.settle()
    loop.check(content="2")
    assert loop.trained[-1].estimator.params == {"C": "7", "max_iter": "500"}
    loop.change("TrainingRun", "rain", search=None, trainer={"estimator": {"name": "LogisticRegression", "params": {}}})
    loop.settle()
    loop.check(content="3")
    assert loop.trained[-1].estimator.params == {}


def test_parameters_of_another_estimator_are_not_taken_over() -> None:
    """A search of which nothing is known is made again."""
    loop = Loop()
    loop.score = "0.1"
    loop.change("TrainingRun", "rain", trainer={"estimator": {"name": "SVC", "params": {}}})
    loop.settle()
    loop.score = "0.85"
    assert loop.live().spec.lineage.estimator.name == "LogisticRegression"
    loop.check(content="2")
    assert loop.trained[-1].estimator.name == "SVC"
    assert loop.trained[-1].search is not None


def test_rows_from_before_a_change_stay_out_of_the_retrains_after_it() -> None:
    """The change point of a Rebuild is carried like the parameters, and only moves forward."""
    loop = Loop()
    loop.change_point = "2026-01-05T00:00:00Z"
    loop.check("ConceptDrift", content="2")
    loop.change_point = None
    loop.check("DataDrift", content="3")
    loop.check("ConceptDrift", content="4")
    assert [task.since for task in loop.trained[1:]] == ["2026-01-05T00:00:00Z"] * 3
    loop.change_point = "2026-01-03T00:00:00Z"
    loop.check("ConceptDrift", content="5")
    assert loop.trained[-1].since == "2026-01-05T00:00:00Z"


def test_a_retrain_on_the_same_data_makes_no_version_and_is_not_asked_for_again() -> None:
    """The first one finds out, as the search had been left out; then the source is synced, and no run is made."""
    loop = Loop()
    loop.check()
    assert loop.monitor.last_action.outcome == "NothingNew"
    runs, versions = loop.names("TrainingRun"), loop.names("ModelVersion")
    synced = loop.get("Dataset", "weather").status.last_check_time
    for _ in range(4):
        loop.check()
        assert loop.triggered() == "NothingNew"
        assert loop.monitor.rejected_in_a_row == 0
        assert (loop.names("TrainingRun"), loop.names("ModelVersion")) == (runs, versions)
        assert loop.get("Dataset", "weather").status.last_check_time > synced
        synced = loop.get("Dataset", "weather").status.last_check_time
    loop.check(content="2")
    assert (loop.triggered(), loop.live().metadata.name) == ("RunCreated", "rain-v2")


def test_new_content_makes_one_run_if_the_template_fires_on_it_by_itself() -> None:
    """The monitor had the source synced; the template makes a run of what was found."""
    loop = Loop(search=False)
    loop.change("TrainingRun", "rain", triggers=[{"templateChange": {}}, {"datasetVersion": {}}])
    loop.settle()
    loop.check()
    runs = len(loop.names("TrainingRun"))
    loop.check(content="2")
    assert loop.live().metadata.name == "rain-v2"
    assert len(loop.names("TrainingRun")) == runs + 1


def test_another_recipe_is_asked_for_on_the_same_data() -> None:
    """What gave nothing new was that recipe."""
    loop = Loop()
    loop.check()
    loop.check()
    assert loop.triggered() == "NothingNew"
    loop.change_point = "2026-01-05T00:00:00Z"
    loop.check("ConceptDrift")
    assert (loop.monitor.last_action.kind, loop.live().metadata.name) == ("Rebuild", "rain-v2")


def test_a_run_with_the_inputs_of_what_serves_trains_nothing() -> None:
    """It has the source synced, and ends."""
    loop = Loop(search=False)
    trained = len(loop.trained)
    loop.check()
    assert (loop.triggered(), loop.monitor.last_action.outcome) == ("RunCreated", "NothingNew")
    assert len(loop.trained) == trained
    loop.check()
    assert loop.triggered() == "NothingNew"


def test_a_run_that_was_not_trained_gives_no_result_to_another() -> None:
    """A person's run with the same inputs has metrics and gates to show: it is trained."""
    loop = Loop(search=False)
    loop.check()
    nothing, trained = loop.get("TrainingRun", loop.monitor.last_action.ref), len(loop.trained)
    loop.put(a_run(metadata={"name": "by-hand"}, spec={**nothing.spec.dump(), "datasetRef": {"name": "weather"}}))
    loop.settle()
    made = loop.get("TrainingRun", "by-hand").status
    assert (made.inputs_digest, made.cached_from) == (nothing.status.inputs_digest, None)
    assert made.metrics
    assert len(loop.trained) == trained + 1


@pytest.mark.parametrize(
    ("end", "counted"),
    [
        pytest.param(End(None, None, None, "BackoffLimitExceeded"), 0, id="its pods are lost"),
        pytest.param(a_train_report(environment_digest="sha256:" + "9" * 64), 0, id="an image of another release"),
        pytest.param(End(None, 137, why="DeadlineExceeded"), 1, id="it takes too long"),
        pytest.param(End(None, 137, "OOMKilled", "BackoffLimitExceeded"), 1, id="it needs too much memory"),
    ],
)
def test_what_the_cluster_does_to_a_run_is_not_held_against_challengers(end: Any, counted: int) -> None:
    """A circuit opens when runs lead to nothing, not when nodes die."""
    loop = Loop(search=False)
    loop.pods = lambda task: end if isinstance(task, tasks.TrainTask) else loop._answer(task)
    loop.check(content="2")
    assert loop.monitor.last_action.outcome == "Failed"
    assert loop.monitor.rejected_in_a_row == counted


def test_a_busy_node_ends_no_run_and_opens_no_circuit() -> None:
    """A process of the training that was killed or starved says nothing of the challenger: it is trained later."""
    loop = Loop(search=False)
    interrupted = tasks.write_report(tasks.FailureReport(reason="Interrupted", message="the node is busy"))
    busy = [End(interrupted, 1, why="BackoffLimitExceeded")] * 5
    loop.pods = lambda task: busy.pop() if busy and isinstance(task, tasks.TrainTask) else loop._answer(task)
    loop.check(content="2")
    assert not busy
    assert (loop.monitor.last_action.outcome, loop.monitor.rejected_in_a_row) == ("Promoted", 0)
    assert loop.live().metadata.name == "rain-v2"


def test_the_same_model_is_nothing_new_whoever_made_it() -> None:
    """A template put back at once, and a run by hand: neither rolls the same bytes out again."""
    loop = Loop(search=False)
    loop.change("TrainingRun", "rain", reproducibility={"seed": 3})
    loop.settle()
    assert loop.names("ModelVersion") == ["rain-v1"]
    run = loop.get("TrainingRun", loop.get("TrainingRun", "rain").status.last_run)
    assert {each.type: each.reason for each in run.status.conditions}["Ready"] == "NothingNew"
    assert run.status.model_version_ref is None


def test_a_model_is_not_asked_to_be_better_than_itself() -> None:
    """A gate against the champion that refuses the champion's own bytes says nothing about challengers."""
    loop = Loop(gates=[{"metric": "roc_auc", "compareTo": "champion", "minDelta": "0.5"}])
    loop.check()
    assert loop.monitor.last_action.outcome == "NothingNew"
    assert (loop.monitor.rejected_in_a_row, loop.names("ModelVersion")) == (0, ["rain-v1"])


def test_a_withdrawn_model_is_not_put_back_by_the_loop() -> None:
    """The person who withdrew it knew why; the same data gives the same model."""
    loop = Loop()
    loop.check(content="2")
    loop.change("ModelVersion", "rain-v2", withdrawn=True)
    loop.settle()
    loop.check()
    assert loop.live().metadata.name == "rain-v1"
    assert loop.names("ModelVersion") == ["rain-v1", "rain-v2"]


def test_a_cause_that_is_refused_stops_no_other() -> None:
    """Three refused retrains for moved inputs, and the concept drifts: it is rebuilt."""
    loop = Loop(gates=[{"metric": "roc_auc", "min": "0.5"}])
    loop.score = "0.1"
    for content in "234":
        loop.check("DataDrift", content=content)
    loop.check("DataDrift", content="5")
    assert loop.triggered() == "CircuitOpen"
    assert (loop.monitor.circuit, loop.monitor.rejected_in_a_row) == ("Open", 3)
    loop.check("PredictionDrift", content="6")
    assert loop.triggered() == "CircuitOpen", "moved answers count as moved inputs"
    loop.score = "0.9"
    loop.check("ConceptDrift", content="7")
    assert loop.live().metadata.name == "rain-v2"
    assert (loop.monitor.circuit, loop.monitor.circuits) == ("Closed", ())


@pytest.mark.parametrize(("score", "circuit"), [("0.1", "Open"), ("0.9", "Closed")])
def test_an_open_circuit_lets_one_run_through_after_a_while(score: str, circuit: str) -> None:
    """guard.circuitResetAfter: refused again, it is open for as long again; a new version closes it."""
    guard = {"maxRejectedChallengers": 1, "circuitResetAfter": "2d"}
    loop = Loop(gates=[{"metric": "roc_auc", "min": "0.5"}], guard=guard)
    loop.score = "0.1"
    loop.check(content="2")
    loop.check(content="3", hours=24)
    assert loop.triggered() == "CircuitOpen"
    loop.score = score
    loop.check(content="4", hours=25)
    assert loop.triggered() == "RunCreated"
    assert loop.monitor.circuit == circuit
    loop.check(content="5", hours=24)
    assert loop.triggered() == ("CircuitOpen" if circuit == "Open" else "RunCreated")


def test_a_circuit_that_an_earlier_release_opened_is_known() -> None:
    """It counted the runs for all causes together: those before were for the last action's."""
    loop = Loop()
    manifest = loop.objects[Key("DriftMonitor", "team", "rain-drift")]
    last = {"time": "2026-01-10T11:00:00Z", "kind": "Retrain", "verdict": "DataDrift", "outcome": "Rejected"}
    manifest["status"] |= {"lastAction": last, "rejectedInARow": 3, "circuit": "Open", "circuitGeneration": 1}
    manifest["status"].pop("circuits")
    loop.check(content="2")
    assert loop.triggered() == "CircuitOpen"
    loop.check("ConceptDrift", content="3")
    assert loop.triggered() == "RunCreated"


def test_a_retry_of_a_monitor_checks_now_and_closes_circuits() -> None:
    """Once for each text, when it is asked for."""
    loop = Loop(gates=[{"metric": "roc_auc", "min": "0.5"}], guard={"maxRejectedChallengers": 1})
    loop.score = "0.1"
    loop.check(content="2")
    assert loop.monitor.circuit == "Open"
    checks = len(loop.monitor.history)
    loop.score, loop.content = "0.9", "3"
    loop.annotate("DriftMonitor", "rain-drift", labels.RETRY, "please")
    loop.settle()
    assert (len(loop.monitor.history), loop.monitor.retried) == (checks + 1, "please")
    assert loop.live().metadata.name == "rain-v2"
    loop.settle()
    loop.assert_settled()


def test_what_is_held_stands_in_the_action_column() -> None:
    """A column that is empty while the loop holds says that nothing is to be done."""
    loop = Loop()
    loop.check("DataQuality")
    assert (loop.triggered(), loop.monitor.action) == ("OnHold", "Hold")
    loop.check("Stable")
    assert loop.monitor.action is None
