"""Rolling back: which versions a check measures, what it leads to, and how the older version comes back and stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mlops.api import tasks
from mlops.api.base import format_time
from mlops.api.conditions import find
from mlops.api.drift_monitor import DriftMonitor, Rollback
from mlops.api.model_version import ModelVersion
from mlops.planning.liveness import champion, live_in, newest_wanted
from mlops.planning.plan import Key
from tests.containers import task_of
from tests.planning.builders import (
    a_live_version,
    a_monitor,
    a_template,
    a_verify_report,
    a_version,
    a_versioned_dataset,
    digest,
)
from tests.planning.world import World

BACK = {"when": ["ConceptDrift"], "do": "Rollback"}
BOTH = {"when": ["ConceptDrift"], "do": "RollbackAndRebuild"}


def a_rolling_monitor(*actions: dict[str, Any], **spec: Any) -> DriftMonitor:
    guard = {"cooldown": "1s"}
    return a_monitor(spec={"actions": list(actions or (BACK,)), "guard": guard, **spec})


def better(version: str = "rain-v1", letter: str = "1", against: str = "2", **changes: Any) -> dict[str, Any]:
    return {
        "version": version,
        "artifact": digest(letter),
        "against": digest(against),
        "metric": "roc_auc",
        "live": "0.61",
        "older": "0.74",
        "gain": "0.13",
        "low": "0.09",
        "high": "0.17",
        "pValue": "0.0001",
        "better": True,
        **changes,
    }


class Loop:
    """A model with versions, its monitor, and checks whose report the test chooses."""

    def __init__(self, monitor: DriftMonitor | None = None, *versions: ModelVersion) -> None:
        self.verdict, self.more = "Stable", dict[str, Any]()
        self.world = World(self._report)
        self.world.put(a_versioned_dataset(), a_template())
        for version in versions or (a_version(1), a_version(2)):
            self.world.put(version)
            self.world.settle()
        self.world.put(monitor or a_rolling_monitor())
        self.world.settle()

    def _report(self, task: tasks.Task) -> tasks.Report | None:
        if isinstance(task, tasks.VerifyTask):
            return a_verify_report()
        if isinstance(task, tasks.DriftTask):
            return self.found()
        return None

    def found(self) -> tasks.DriftReport:
        type_ = {"DataQuality": "delivery", "ConceptDrift": "concept"}
        checks = [
            {"name": name, "type": kind, "result": "Detected" if kind == self.verdict else "NotDetected"}
            for kind, name in type_.items()
        ]
        return tasks.DriftReport.model_validate(
            {
                "verdict": self.verdict,
                "windowStart": "2026-01-09T11:00:00Z",
                "windowEnd": "2026-01-10T11:00:00Z",
                "samples": 1000,
                "labelled": 400,
                "labelCoverage": "0.4",
                "checks": checks,
                "reportDigest": digest("7"),
                **self.more,
            }
        )

    def check(self, verdict: str, **more: Any) -> None:
        """Let the CronJob make a Job, an hour after the one before, and all come of it that comes."""
        self.start(verdict, **more)
        self.world.settle()

    def start(self, verdict: str, **more: Any) -> None:
        """Only make the Job: what comes of it is for the test to plan."""
        self.verdict, self.more = verdict, more
        self.world.now += timedelta(hours=1)
        cron = self.world.objects[Key("CronJob", "team", "rain-drift-check")]
        minute = int(self.world.now.timestamp()) // 60
        template = cron["spec"]["jobTemplate"]
        metadata = {**template["metadata"], "name": f"rain-drift-check-{minute}", "namespace": "team"}
        owner = {"kind": "CronJob", "name": cron["metadata"]["name"], "uid": cron["metadata"]["uid"]}
        job = {"kind": "Job", "apiVersion": "batch/v1", "metadata": {**metadata, "ownerReferences": [owner]}}
        self.world._create({**job, "spec": template["spec"]})

    def live(self) -> str:
        there = self.world.objects[Key("Deployment", "team", "rain-production")]
        return str(there["metadata"]["labels"]["mlops.dev/model-version"])

    def version(self, number: int) -> ModelVersion:
        return self.world.get("ModelVersion", f"rain-v{number}")  # type: ignore[no-any-return]

    def monitor(self) -> DriftMonitor:
        return self.world.get("DriftMonitor", "rain-drift")  # type: ignore[no-any-return]

    def said(self) -> tuple[str, str]:
        found = find(self.monitor().status.conditions, "RetrainingTriggered")
        assert found is not None
        return found.reason, found.message

    def ready(self, number: int) -> tuple[str, str]:
        found = find(self.version(number).status.conditions, "Ready")
        assert found is not None
        return found.status, found.reason

    def runs(self) -> list[str]:
        """Return the runs that the monitor has made."""
        return [name for name in self.world.made if "-retrain-" in name or "-rebuild-" in name]

    def question(self) -> tasks.RollbackQuestion | None:
        cron = self.world.objects[Key("CronJob", "team", "rain-drift-check")]
        task = task_of(cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][-1])
        assert isinstance(task, tasks.DriftTask)
        return task.rollback


# --- which versions are measured ---


def test_a_check_measures_versions_that_have_served_the_newest_three() -> None:
    """Not one that is withdrawn, and how many more there are is told."""
    versions = [a_version(number) for number in range(1, 8)]
    loop = Loop(None, *versions)
    loop.world.change("ModelVersion", "rain-v6", withdrawn=True)
    loop.world.settle()
    question = loop.question()
    assert question is not None
    assert [each.version for each in question.older] == ["rain-v5", "rain-v4", "rain-v3"]
    assert [each.artifact for each in question.older] == [digest("5"), digest("4"), digest("3")]
    assert (question.when, question.left_out) == (("ConceptDrift",), 2)


def test_a_monitor_whose_actions_roll_nothing_back_asks_nothing() -> None:
    """Its CronJob is what it was."""
    assert Loop(a_monitor()).question() is None


def test_the_same_model_under_another_number_is_not_measured() -> None:
    same = a_version(2, spec={"artifact": {"digest": digest("1")}})
    assert Loop(None, a_version(1), same).question() is None


# --- what it leads to ---


def test_an_older_version_that_is_better_serves_again_and_no_spec_is_written() -> None:
    """Both say so, and the model is asked by the monitor's status only."""
    loop = Loop()
    specs = {key: manifest["spec"] for key, manifest in loop.world.objects.items() if key.kind == "ModelVersion"}
    assert loop.live() == "rain-v2"
    loop.check("ConceptDrift", older=better())
    assert loop.live() == "rain-v1"
    assert (loop.version(1).status.stages, loop.version(2).status.stages) == (("production",), ())
    assert loop.ready(1) == ("True", "Serving")
    assert loop.ready(2) == ("True", "RolledBack")
    record = loop.version(2).status.rolled_back[0]
    assert (record.stage, record.monitor, record.to, record.ended) == ("production", "rain-drift", "rain-v1", None)
    assert "roc_auc 0.74 against 0.61 on the same rows, better by 0.13 (0.09 to 0.17)" in record.reason
    assert find(loop.version(2).status.conditions, "RolledBack") is not None
    assert loop.version(2).status.transitions[0].to == "RolledBack"
    status = loop.monitor().status
    assert status.rollback is None
    assert status.last_action is not None
    assert (status.last_action.kind, status.last_action.version) == ("Rollback", "rain-v1")
    assert status.last_action.outcome == "RolledBack"
    assert loop.said()[0] == "RolledBack"
    assert status.history[0].action == "Rollback: rain-v1"
    now = {key: manifest["spec"] for key, manifest in loop.world.objects.items() if key.kind == "ModelVersion"}
    assert now == specs
    loop.world.assert_settled()


def test_whatever_looks_for_the_live_version_finds_the_older_one() -> None:
    """Also in between, when both say that they are live."""
    loop = Loop()
    loop.check("ConceptDrift", older=better())
    older, newer = loop.version(1), loop.version(2)
    both = [older, newer.evolve(status=newer.status.evolve(stages=("production",)))]
    for versions in ([older, newer], both):
        assert live_in(versions, "production") == older
        assert newest_wanted(versions) == older
    assert champion([older, newer]) == older


def test_the_newer_version_serves_until_the_older_one_is_ready() -> None:
    """At each write of the rollback one of them is live."""
    loop = Loop()
    loop.start("ConceptDrift", older=better())
    for _ in range(12):
        for plan in list(loop.world.plans()):
            loop.world.carry_out(plan, writes=1)
            live = [number for number in (1, 2) if "production" in loop.version(number).status.stages]
            assert live, "none is live"
        loop.world.tick()
    loop.world.settle()
    assert loop.live() == "rain-v1"


@pytest.mark.parametrize(
    ("report", "want"),
    [
        pytest.param({}, ("NoOlderBetter", "no older version was measured on the window"), id="none was measured"),
        pytest.param(
            {"older": better(better=False), "not_measured": "not measured: rain-v0: gone"},
            (
                "NoOlderBetter",
                "no older version is shown to be better: the best is rain-v1, roc_auc 0.74 against 0.61 on the same "
                "rows, better by 0.13 (0.09 to 0.17) (not measured: rain-v0: gone)",
            ),
            id="none is better",
        ),
        pytest.param(
            {"older": better(against="9")},
            (
                "NoOlderBetter",
                "rain-v1 is better than what was live when it was checked, which is not what is live now",
            ),
            id="another one is live by now",
        ),
    ],
)
def test_without_a_better_one_nothing_changes_and_it_is_told(report: dict[str, Any], want: tuple[str, str]) -> None:
    loop = Loop()
    loop.check("ConceptDrift", **report)
    assert loop.said() == want
    assert loop.live() == "rain-v2"
    assert loop.monitor().status.last_action is None


def test_the_guard_holds_for_a_rollback_too() -> None:
    """Cool-down and confirmations; the circuit and the week's limit are of runs."""
    loop = Loop(a_rolling_monitor(BACK).evolve())
    loop.world.change("DriftMonitor", "rain-drift", guard={"cooldown": "24h", "confirmations": 2, "maxRunsPerWeek": 0})
    loop.world.settle()
    loop.check("ConceptDrift", older=better())
    assert loop.said()[0] == "Unconfirmed"
    loop.check("ConceptDrift", older=better())
    assert (loop.said()[0], loop.live()) == ("RolledBack", "rain-v1")


# --- how it ends ---


def test_a_newer_version_ends_it() -> None:
    """And if that one goes, the one that was rolled back is still passed over."""
    loop = Loop()
    loop.check("ConceptDrift", older=better())
    loop.world.put(a_version(3))
    loop.world.settle()
    assert loop.live() == "rain-v3"
    assert loop.ready(2) == ("True", "Superseded")
    loop.world.change("ModelVersion", "rain-v3", withdrawn=True)
    loop.world.settle()
    assert loop.live() == "rain-v1"


def test_a_person_undoes_it_by_a_retry_and_it_is_not_done_again() -> None:
    loop = Loop()
    loop.check("ConceptDrift", older=better())
    loop.world.annotate("ModelVersion", "rain-v2", "mlops.dev/retry", "it was a campaign")
    loop.world.settle()
    assert loop.live() == "rain-v2"
    assert loop.version(2).status.rolled_back[0].ended == "Undone"
    assert find(loop.version(2).status.conditions, "RolledBack") is None
    loop.check("ConceptDrift", older=better())
    assert (loop.said()[0], loop.live()) == ("RollbackUndone", "rain-v2")


@pytest.mark.parametrize("how", ["withdrawn", "deleted", "broken"])
def test_without_the_older_version_the_newest_good_one_serves_again(how: str) -> None:
    """It is on record, so that nothing goes back and forth."""
    loop = Loop()
    loop.check("ConceptDrift", older=better())
    if how == "withdrawn":
        loop.world.change("ModelVersion", "rain-v1", withdrawn=True)
    elif how == "deleted":
        loop.world.delete("ModelVersion", "rain-v1")
    else:
        manifest = loop.world.objects[Key("ModelVersion", "team", "rain-v1")]
        failure = {"stage": "production", "reason": "GoldenFailed", "message": "row 0"}
        manifest["status"] |= {"failedStages": ["production"], "failures": [failure]}
        loop.world.objects[Key("Deployment", "team", "rain-production")]["status"] = {}
    loop.world.settle()
    assert loop.live() == "rain-v2"
    assert loop.version(2).status.rolled_back[0].ended == "OlderIsGone"


def test_versions_in_between_are_passed_over_and_stay_so_without_the_newest() -> None:
    loop = Loop(None, a_version(1), a_version(2), a_version(3))
    loop.check("ConceptDrift", older=better(against="3"))
    assert loop.live() == "rain-v1"
    assert [loop.ready(number)[1] for number in (1, 2, 3)] == ["Serving", "RolledBack", "RolledBack"]
    loop.world.delete("ModelVersion", "rain-v3")
    loop.world.settle()
    assert loop.live() == "rain-v1"


def test_from_the_older_one_it_may_go_back_further() -> None:
    """What was passed over for that one is passed over for the one before it."""
    loop = Loop(None, a_version(1), a_version(2), a_version(3))
    loop.check("ConceptDrift", older=better("rain-v2", "2", against="3"))
    assert loop.live() == "rain-v2"
    loop.check("ConceptDrift", older=better("rain-v1", "1", against="2"))
    assert loop.live() == "rain-v1"
    assert [each.to for number in (2, 3) for each in loop.version(number).status.rolled_back] == ["rain-v1"] * 2
    loop.world.assert_settled()


def test_a_rollback_that_cannot_be_is_over_for_the_monitor() -> None:
    """The older version went before the model was planned."""
    loop = Loop()
    loop.start("ConceptDrift", older=better())
    loop.world.tick()
    loop.world.carry_out(loop.world.plan("DriftMonitor", "rain-drift"))
    assert loop.monitor().status.rollback is not None
    loop.world.change("ModelVersion", "rain-v1", withdrawn=True)
    loop.world.settle()
    status = loop.monitor().status
    assert status.rollback is None
    assert status.last_action is not None
    assert status.last_action.outcome == "Failed"
    assert loop.live() == "rain-v2"


def test_a_model_of_the_same_name_is_not_rolled_back_for_the_one_that_was_deleted() -> None:
    asked = Rollback(
        time="2026-01-10T11:30:00Z",
        stage="production",
        version="rain-v2",
        artifact=digest("9"),
        to="rain-v1",
        to_artifact=digest("1"),
    )
    loop = Loop()
    monitor = loop.world.objects[Key("DriftMonitor", "team", "rain-drift")]
    monitor["status"]["rollback"] = asked.dump()
    loop.world.settle()
    assert loop.live() == "rain-v2"
    assert loop.monitor().status.rollback is None


# --- with a rebuild ---


def test_the_rebuild_of_the_same_action_is_made_once_the_older_version_serves() -> None:
    """Its champion is the older version: a new one has to beat that."""
    loop = Loop(a_rolling_monitor(BOTH))
    loop.check("ConceptDrift", older=better(), change_point="2026-01-10T02:00:00Z")
    assert loop.live() == "rain-v1"
    last = loop.monitor().status.last_action
    assert last is not None
    assert (last.kind, last.version, last.since) == ("RollbackAndRebuild", "rain-v1", "2026-01-10T02:00:00Z")
    run = loop.world.get("TrainingRun", str(last.ref))
    assert str(last.ref).startswith("rain-rebuild-")
    assert run.spec.dataset_ref.since == "2026-01-10T02:00:00Z"
    made = loop.world.made.index(f"TrainingRun/{last.ref}")
    assert made == len(loop.world.made) - 1


def test_without_a_better_one_it_is_rebuilt_all_the_same() -> None:
    loop = Loop(a_rolling_monitor(BOTH))
    loop.check("ConceptDrift", older=better(better=False))
    last = loop.monitor().status.last_action
    assert last is not None
    assert (last.kind, last.version, loop.live()) == ("RollbackAndRebuild", None, "rain-v2")
    assert loop.said()[1].startswith("ConceptDrift calls for RollbackAndRebuild; no older version is shown")


def test_where_the_guard_forbids_the_run_the_rollback_is_done_alone() -> None:
    """The week's runs are used up: an older version that is better costs none."""
    loop = Loop(a_rolling_monitor(BOTH))
    loop.world.change("DriftMonitor", "rain-drift", guard={"cooldown": "1s", "maxRunsPerWeek": 0})
    loop.check("ConceptDrift", older=better())
    last = loop.monitor().status.last_action
    assert last is not None
    assert (last.kind, last.ref, last.outcome, loop.live()) == ("Rollback", None, "RolledBack", "rain-v1")
    assert "allowed are 0; rain-v1 serves again" in loop.said()[1]


# --- known faults of the data ---


@pytest.mark.parametrize("do", ["Retrain", "Rebuild", "RollbackAndRebuild", "Rollback"])
def test_nothing_is_done_on_data_with_a_known_fault_until_the_check_finds_it_mended(do: str) -> None:
    """Whatever the verdict, and whatever the user's actions say; a check that cannot tell mends nothing."""
    quality = {"name": "delivery", "type": "DataQuality"}
    concept = {"name": "concept", "type": "ConceptDrift"}
    loop = Loop(a_rolling_monitor({"when": ["ConceptDrift"], "do": do}, checks=[concept, quality]))
    faulty = [{"name": "delivery", "type": "DataQuality", "result": "Detected"}]
    loop.check("ConceptDrift", older=better(), checks=faulty)
    assert loop.said()[0] == "DataFaulty"
    first = format_time(loop.world.now)
    loop.check("ConceptDrift", older=better(), checks=[{**faulty[0], "result": "Inconclusive"}])
    assert loop.said()[0] == "DataFaulty"
    (fault,) = loop.monitor().status.faults
    assert fault.check == "delivery"
    assert fault.since < first
    assert loop.monitor().status.last_action is None
    assert not loop.runs()
    loop.check("ConceptDrift", older=better(), checks=[{**faulty[0], "result": "NotDetected"}])
    assert loop.monitor().status.faults == ()
    assert loop.monitor().status.last_action is not None


def test_broken_data_is_not_trained_on_though_an_action_says_so() -> None:
    action = {"when": ["DataQuality"], "do": "Retrain"}
    loop = Loop(a_rolling_monitor(action, checks=[{"name": "delivery", "type": "DataQuality"}]))
    loop.check("DataQuality")
    assert loop.said()[0] == "DataFaulty"
    assert loop.monitor().status.last_action is None


def test_a_check_that_was_taken_out_asks_no_more() -> None:
    """Whoever says that it is no fault has a way to say so."""
    quality, concept = {"name": "delivery", "type": "DataQuality"}, {"name": "concept", "type": "ConceptDrift"}
    loop = Loop(a_rolling_monitor(checks=[concept, quality]))
    loop.check("DataQuality")
    loop.world.change("DriftMonitor", "rain-drift", checks=[concept])
    loop.check("ConceptDrift", checks=[], older=better())
    assert (loop.monitor().status.faults, loop.live()) == ((), "rain-v1")


def test_a_run_on_record_waits_while_the_data_is_faulty() -> None:
    """The power went between the record and the run, and the next check found a fault."""
    quality = {"name": "delivery", "type": "DataQuality"}
    loop = Loop(a_rolling_monitor({"when": ["ConceptDrift"], "do": "Rebuild"}, checks=[quality]))
    loop.start("ConceptDrift")
    loop.world.tick()
    loop.world.carry_out(loop.world.plan("DriftMonitor", "rain-drift"), writes=1)
    # Its report is there before anybody plans.
    loop.start("DataQuality")
    loop.world.tick()
    loop.world.settle()
    assert not loop.runs()
    loop.check("Stable")
    assert loop.runs()


# --- words ---


def test_a_monitor_that_only_notifies_says_so() -> None:
    loop = Loop(a_rolling_monitor({"when": ["ConceptDrift"], "do": "Notify"}))
    loop.check("ConceptDrift")
    assert loop.said() == ("Notified", "ConceptDrift: it is said, and nothing is done")
    assert loop.monitor().status.action == "Notify"


def test_rows_to_label_are_named_in_the_status() -> None:
    loop = Loop(a_rolling_monitor({"when": ["Inconclusive"], "do": "AskForLabels"}))
    wanted = {"rows": 200, "askedBefore": 0, "needed": 240, "file": "label-request.jsonl"}
    loop.check("Inconclusive", labels_wanted=wanted)
    request = loop.monitor().status.label_request
    assert request is not None
    assert (request.rows, request.needed, request.report, request.file) == (
        200,
        240,
        digest("7"),
        "label-request.jsonl",
    )
    assert loop.said()[0] == "LabelsAsked"
    assert "200 rows to label, label-request.jsonl of sha256:7777" in loop.said()[1]
    loop.check("Inconclusive", labels_wanted={**wanted, "rows": 0, "askedBefore": 200})
    assert loop.said()[0] == "NoRowsToLabel"
    assert loop.monitor().status.label_request == request
    loop.check("Inconclusive")
    assert loop.said() == ("NoRowsToLabel", "Inconclusive: no labels are what is missing")


def test_what_a_check_is_to_ask_for_stands_in_its_task() -> None:
    loop = Loop(a_rolling_monitor({"when": ["Inconclusive"], "do": "AskForLabels"}))
    cron = loop.world.objects[Key("CronJob", "team", "rain-drift-check")]
    task = task_of(cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][-1])
    assert isinstance(task, tasks.DriftTask)
    assert task.label_request == tasks.LabelQuestion(when=("Inconclusive",), budget=200)
    assert a_live_version(1).status.rolled_back == ()


# --- what cannot be, and who asks ---


def test_a_version_whose_gates_an_edit_has_closed_is_neither_measured_nor_waited_for() -> None:
    """Its stage is on record as passed, and the model would refuse it: the monitor waited for ever, and did nothing."""
    slow = {"stages": [{"name": "production", "gates": [{"latency": {"p99Milliseconds": 1}}]}]}
    loop = Loop()
    loop.world.change("ModelVersion", "rain-v1", promotion=slow)
    loop.world.settle()
    assert loop.version(1).status.passed_stages == ("production",)
    assert loop.question() is None
    loop.check("ConceptDrift", older=better())
    assert (loop.live(), loop.monitor().status.rollback) == ("rain-v2", None)
    last = loop.monitor().status.last_action
    assert last is not None
    assert (last.kind, last.outcome) == ("Rollback", "Failed")
    loop.check("ConceptDrift")
    assert loop.said()[0] == "NoOlderBetter"


def test_a_rebuild_whose_rollback_cannot_be_does_not_say_that_an_older_version_serves() -> None:
    """The run is made all the same, against what serves."""
    loop = Loop(a_rolling_monitor(BOTH))
    slow = {"stages": [{"name": "production", "gates": [{"latency": {"p99Milliseconds": 1}}]}]}
    loop.world.change("ModelVersion", "rain-v1", promotion=slow)
    loop.world.settle()
    loop.check("ConceptDrift", older=better())
    last = loop.monitor().status.last_action
    assert last is not None
    assert (last.kind, last.version) == ("RollbackAndRebuild", None)
    assert len(loop.runs()) == 1


def test_of_two_monitors_that_ask_at_once_one_is_followed_and_the_other_says_so() -> None:
    """The model takes in one of them, and nothing goes back and forth; the other one's action has failed."""
    loop = Loop(None, *(a_version(number) for number in (1, 2, 3)))
    actions, guard = [BACK], {"cooldown": "1s"}
    loop.world.put(a_monitor(metadata={"name": "other"}, spec={"actions": actions, "guard": guard}))
    loop.world.settle()
    for name, number in (("other", 1), ("rain-drift", 2)):
        time, older = "2026-01-10T10:00:00Z", {"to": f"rain-v{number}", "toArtifact": digest(str(number))}
        live = {"stage": "production", "version": "rain-v3", "artifact": digest("3")}
        status = loop.world.objects[Key("DriftMonitor", "team", name)]["status"]
        status["rollback"] = {"time": time, **live, **older}
        status["lastAction"] = {
            "time": time,
            "kind": "Rollback",
            "verdict": "ConceptDrift",
            "outcome": "Pending",
            "version": older["to"],
        }
    loop.world.settle()
    assert loop.live() == "rain-v1"
    lasts = [loop.world.get("DriftMonitor", name).status.last_action for name in ("other", "rain-drift")]
    assert [each.outcome for each in lasts] == ["RolledBack", "Failed"]
    loop.world.assert_settled()


def test_a_version_that_is_deleted_and_made_again_serves_again() -> None:
    """What was rolled back stands in its status, which goes with it: its monitor has to find it again."""
    loop = Loop()
    loop.check("ConceptDrift", older=better())
    assert loop.live() == "rain-v1"
    loop.world.delete("ModelVersion", "rain-v2")
    loop.world.settle()
    loop.world.put(a_version(2))
    loop.world.settle()
    assert (loop.live(), loop.version(2).status.rolled_back) == ("rain-v2", ())
    loop.check("ConceptDrift", older=better())
    assert loop.live() == "rain-v1"
