"""Canary: a new version takes over a stage step by step, and what goes wrong with it stops nothing that serves."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from mlops.api import labels, tasks
from mlops.api.base import parse_time
from mlops.api.canary import CanaryStatus
from mlops.api.conditions import find
from mlops.api.model_version import ModelVersion
from mlops.api.serving_task import ServeCandidate
from mlops.planning.history_entries import entries
from mlops.planning.history_replay import after
from mlops.planning.liveness import live_in
from mlops.planning.plan import Key, Manifest, Plan
from mlops.planning.serving.way_back import WayBack, way_back
from mlops.planning.views import PodEnd
from tests.containers import task_of
from tests.planning.builders import a_verify_report, a_version, an_analysis_report, digest
from tests.planning.serving.test_model_version import ready, served
from tests.planning.world import Answer, End, World

ANALYSIS: dict[str, Any] = {"errorRate": {}, "interval": "2m"}
STEPS: list[dict[str, Any]] = [{"setWeight": 10}, {"pause": "30m"}, {"analysis": ANALYSIS}, {"setWeight": 50}]


def stage(*steps: dict[str, Any], name: str = "production", **more: Any) -> dict[str, Any]:
    return {"name": name, "canary": {"steps": list(steps or STEPS)}, **more}


def a_candidate(number: int, *steps: dict[str, Any], **more: Any) -> ModelVersion:
    return a_version(number, spec={"promotion": {"stages": [stage(*steps, **more)]}})


class Canaries:
    """A world whose looks find what `found` says, the last of it again and again; None: nothing yet."""

    def __init__(self, *versions: ModelVersion, found: tuple[Answer, ...] = (an_analysis_report(),)) -> None:
        self.found, self.looks = found, list[tasks.AnalysisTask]()
        self.world = World(self._answer)
        self.world.put(a_candidate(1))
        self.world.settle()
        for version in versions:
            self.world.put(version)
            self.minutes(4)

    def _answer(self, task: tasks.Task) -> Answer:
        if isinstance(task, tasks.AnalysisTask):
            self.looks.append(task)
            return self.found[min(len(self.looks), len(self.found)) - 1]
        return a_verify_report() if isinstance(task, tasks.VerifyTask) else None

    def minutes(self, number: int) -> None:
        """Let minutes go by, in each of which everything is planned."""
        for _ in range(number):
            for plan in self.world.plans():
                self.world.carry_out(plan)
            self.world.tick()

    def until(self, wanted: Callable[[], bool], most: int = 600) -> None:
        for _ in range(most):
            self.minutes(1)
            if wanted():
                return
        raise AssertionError("it did not come to that")

    def record(self, name: str = "rain-v2") -> CanaryStatus | None:
        return self.world.get("ModelVersion", name).status.canary  # type: ignore[no-any-return]

    def said(self, name: str = "rain-v2", type_: str = "CanaryHealthy") -> tuple[str, str, str]:
        found = find(self.world.get("ModelVersion", name).status.conditions, type_)
        assert found is not None
        return found.status, found.reason, found.message

    def deployment(self, name: str = "rain-production") -> Manifest:
        return self.world.objects[Key("Deployment", "team", name)]

    def told(self, name: str = "rain-production") -> ServeCandidate | None:
        task = task_of(self.deployment(name)["spec"]["template"]["spec"]["containers"][0])
        assert isinstance(task, tasks.ServeTask)
        return task.candidate

    def events(self, name: str) -> list[tuple[str, str | None, str | None]]:
        steps = entries(self.world._history("rain"))
        return [(each["event"], each.get("stage"), each.get("cause")) for each in steps if each["version"] == name]

    def retry(self, name: str = "rain-v2", text: str = "again") -> None:
        self.world.annotate("ModelVersion", name, labels.RETRY, text)


def test_the_first_version_of_a_stage_has_no_canary() -> None:
    run = Canaries()
    assert ready(run.world, "rain-v1") == ("True", "Serving")
    assert run.told() is None
    assert run.record("rain-v1") is None
    assert find(run.world.get("ModelVersion", "rain-v1").status.conditions, "CanaryHealthy") is None


def test_what_the_deployment_says_while_a_version_is_tried(golden: Callable[[str, Plan], None]) -> None:
    """The stable version's pods, that have the candidate too; the stable version stays live and Ready."""
    run = Canaries(a_candidate(2, name="production", shadow={"percent": 20}))
    golden("version-canary", run.world.plan("ModelVersion", "rain-v2"))
    assert served(run.world) == "rain-v1"
    assert run.told() == ServeCandidate(
        version=2, object_name="rain-v2", artifact=digest("2"), weight=10, shadow_percent=20
    )
    assert ready(run.world, "rain-v1") == ("True", "Serving")
    assert ready(run.world, "rain-v2") == ("Unknown", "CanaryRunning")
    assert run.said()[:2] == ("True", "CanaryRunning")
    assert run.said()[2].startswith("production: step 2 of 4: pause until 2026-01-10T12:")
    assert run.said()[2].endswith(
        "It answers 10 % of the requests, rain-v1 the others; of those 20 % for the record too"
    )


def test_it_goes_through_its_steps_and_takes_over() -> None:
    """Step by step, and then by the rollover that any version has; the record says when it began."""
    run = Canaries(a_candidate(2))
    seen = list[tuple[int, int]]()
    while served(run.world) == "rain-v1":
        record = run.record()
        if record is not None and (record.step, record.weight) not in seen:
            seen.append((record.step, record.weight))
            assert ready(run.world, "rain-v1") == ("True", "Serving")
        run.minutes(1)
    assert seen == [(1, 10), (2, 10), (3, 50)]
    run.world.settle()
    assert run.told() is None
    assert ready(run.world, "rain-v2") == ("True", "Serving")
    assert ready(run.world, "rain-v1") == ("True", "Superseded")
    assert run.record() is None
    assert run.events("rain-v2") == [
        ("Registered", None, "user"),
        ("CanaryStarted", "production", "rollout"),
        ("Live", "production", "rollout"),
    ]
    assert {stage: entry["version"] for stage, entry in after(entries(run.world._history("rain"))).live.items()} == {
        "production": "rain-v2"
    }
    assert not [key for key in run.world.objects if key.kind == "Job" and "analysis" in str(run.world.objects[key])]
    run.world.assert_settled()


def test_a_pause_begins_when_all_pods_have_the_weight() -> None:
    """Not when the step is on record: pods that are slow to come lose it no time."""
    run = Canaries(a_candidate(2, {"setWeight": 10}, {"pause": "10m"}))
    run.world.put(a_candidate(3, {"setWeight": 20}, {"pause": "10m"}))
    run.world.broken_candidates[digest("3")] = {"waits": "ImagePullBackOff"}
    run.minutes(30)
    record = run.record("rain-v3")
    assert record is not None
    assert (record.step, record.step_since, record.weight) == (0, None, 20)
    assert run.said("rain-v3")[:2] == ("Unknown", "CanaryWaiting")
    assert "ImagePull: pod rain-production-1: cannot pull its image" in run.said("rain-v3")[2]
    assert ready(run.world, "rain-v3") == ("False", "CanaryWaiting")
    assert ready(run.world, "rain-v1") == ("True", "Serving")
    run.world.broken_candidates.clear()
    run.minutes(2)
    record = run.record("rain-v3")
    assert record is not None
    assert record.step == 1
    assert record.step_since is not None
    until = parse_time(record.step_since) + timedelta(minutes=10)
    run.until(lambda: served(run.world) == "rain-v3")
    assert timedelta() <= run.world.now - until <= timedelta(minutes=2)


def test_a_look_says_who_is_compared_since_when() -> None:
    run = Canaries(a_candidate(2), found=(None,))
    run.until(lambda: bool(run.looks))
    record, look = run.record(), run.looks[0]
    assert record is not None
    assert (look.stage, look.look, look.object_name) == ("production", 1, "rain-v2")
    assert (look.stable, look.candidate) == (
        tasks.Arm(version=1, artifact=digest("1")),
        tasks.Arm(version=2, artifact=digest("2")),
    )
    assert look.since == record.asked_since
    assert look.analysis.interval == "2m"
    jobs = [key.name for key in run.world.objects if key.kind == "Job"]
    run.minutes(10)
    assert jobs == [key.name for key in run.world.objects if key.kind == "Job"]


def test_what_cannot_be_told_yet_is_looked_at_again_ever_later() -> None:
    """It says what it waits for; look k is numbered, and the time between two looks grows by half, up to an hour."""
    waits = an_analysis_report("Inconclusive", "needs about 400 more requests")
    run = Canaries(a_candidate(2), found=(*[waits] * 12, an_analysis_report()))
    times = list[Any]()
    for number in range(1, 13):
        run.until(lambda number=number: (run.record() or a_record()).looks == number)  # type: ignore[misc]
        record = run.record()
        assert record is not None
        assert record.analysis is not None
        assert (record.step, record.weight) == (2, 10)
        times.append(parse_time(record.analysis.time))
    assert run.said()[:2] == ("Unknown", "CanaryWaiting")
    assert "errorRate: needs about 400 more requests" in run.said()[2]
    assert ready(run.world, "rain-v2") == ("False", "CanaryWaiting")
    assert find(run.world.get("ModelVersion", "rain-v2").status.conditions, "Stalled") is None
    waited = [(after - before).total_seconds() / 60 for before, after in itertools.pairwise(times)]
    assert waited[0] <= 5
    assert all(later >= earlier for earlier, later in itertools.pairwise(waited))
    assert 60 <= waited[-1] <= 62
    assert [look.look for look in run.looks] == [*range(1, 13)]
    run.until(lambda: served(run.world) == "rain-v2")


def a_record() -> CanaryStatus:
    return CanaryStatus(
        stage="production",
        stable="rain-v1",
        stable_artifact=digest("1"),
        steps_digest=digest("0"),
        started_at="2026-01-10T12:00:00Z",
        step=0,
        weight=0,
    )


def a_failed_canary() -> Canaries:
    run = Canaries(a_candidate(2), found=(an_analysis_report("Failed", "fails 5 % of its requests, allowed are 1 %"),))
    run.until(lambda: ready(run.world, "rain-v2")[1] == "CanaryFailed")
    run.minutes(2)
    return run


def test_a_candidate_that_is_found_worse_fails_and_gets_no_requests() -> None:
    """The numbers stand in its conditions and on record; the version before serves alone, as if nothing had been."""
    run = a_failed_canary()
    assert run.told() is None
    assert served(run.world) == "rain-v1"
    assert ready(run.world, "rain-v1") == ("True", "Serving")
    assert run.said("rain-v2", "Ready") == (
        "False",
        "CanaryFailed",
        "production: step 3 of 4, beside rain-v1: errorRate: fails 5 % of its requests, allowed are 1 %; version 1 "
        "serves there. A retry, or any edit of spec.promotion or spec.capture, starts its canary again, or make a new "
        "version",
    )
    assert run.said()[:2] == ("False", "CanaryFailed")
    status = run.world.get("ModelVersion", "rain-v2").status
    assert status.failed_stages == ("production",)
    assert (status.canary.weight, status.canary.analysis.criteria[0].candidate) == (0, "0.05")
    assert find(status.conditions, "Stalled") is not None
    assert run.events("rain-v2")[1:] == [
        ("CanaryStarted", "production", "rollout"),
        ("Failed", "production", "canary"),
    ]
    run.world.settle()
    run.world.assert_settled()
    assert len(run.looks) == 1


@pytest.mark.parametrize("how", ["retry", "edit"])
def test_a_person_may_have_a_failed_candidate_tried_anew(how: str) -> None:
    """From the first step, with other Jobs; what its pods said of the canary before counts no more."""
    run = a_failed_canary()
    run.found = (an_analysis_report(),)
    if how == "retry":
        run.retry()
    else:
        run.world.change("ModelVersion", "rain-v2", capture={"percent": 50})
    run.minutes(3)
    record = run.record()
    assert record is not None
    assert (record.step, record.weight, record.analysis) == (1, 10, None)
    run.until(lambda: served(run.world) == "rain-v2")
    assert [each[0] for each in run.events("rain-v2")].count("CanaryStarted") == 2


def test_a_job_that_fails_is_nothing_against_the_version() -> None:
    """It is tried again ever later, with the same number of the look; the weight stays as it is."""
    away = tasks.FailureReport(reason="StoreUnavailable", message="the store does not answer")
    run = Canaries(a_candidate(2), found=(away, End(exit_code=137, container="OOMKilled"), away, an_analysis_report()))
    run.until(lambda: (run.record() or a_record()).attempts == 2)
    run.minutes(2)
    assert run.said()[:2] == ("Unknown", "CanaryWaiting")
    assert "OOMKilled: Job rain-v2-" in run.said()[2]
    assert run.said()[2].split(". It answers")[0].endswith("attempt 3 follows")
    assert ready(run.world, "rain-v2") == ("False", "CanaryWaiting")
    told = run.told()
    assert told is not None
    assert told.weight == 10
    run.until(lambda: served(run.world) == "rain-v2")
    assert [look.look for look in run.looks] == [1, 1, 1, 1]
    assert run.world.get("ModelVersion", "rain-v2").status.failed_stages == ()
    run.world.settle()
    left = [key.name for key, each in run.world.objects.items() if key.kind == "Job" and is_analysis(each)]
    assert left == []


def is_analysis(job: Manifest) -> bool:
    return bool(job["metadata"]["labels"][labels.COMPONENT] == "analysis")


OUT_OF_MEMORY = {"restarts": 1, "end": PodEnd(137, "OOMKilled")}
CRASHES = {"restarts": 3, "end": PodEnd(139, "Error")}
REFUSES = {
    "restarts": 1,
    "end": PodEnd(2, message='{"report": "failure", "reason": "GoldenFailed", "message": "row 0"}'),
}


@pytest.mark.parametrize(
    ("ails", "reason"),
    [
        pytest.param(OUT_OF_MEMORY, "OOMKilled", id="out of memory"),
        pytest.param(CRASHES, "ServingFailed", id="crashes"),
    ],
)
def test_pods_that_go_down_with_a_candidate_fail_it_alone(ails: dict[str, Any], reason: str) -> None:
    """The stable version's older pods go on; a retry has it tried again, and the same pods fail it no more."""
    run = Canaries()
    run.world.broken_candidates[digest("2")] = ails
    run.world.put(a_candidate(2))
    run.until(lambda: ready(run.world, "rain-v2") == ("False", reason), most=10)
    assert run.said()[:2] == ("False", "CanaryFailed")
    assert "beside rain-v1: pod rain-production-1: " in run.said("rain-v2", "Ready")[2]
    run.minutes(2)
    assert run.told() is None
    assert ready(run.world, "rain-v1") == ("True", "Serving")
    assert run.world.get("ModelVersion", "rain-v1").status.failed_stages == ()
    assert ("more resources of production in rain-v1" in run.said("rain-v2", "Ready")[2]) == (reason == "OOMKilled")
    run.world.settle()
    run.world.assert_settled()
    run.world.broken_candidates.clear()
    run.retry()
    run.until(lambda: served(run.world) == "rain-v2")


def test_pods_that_refuse_the_stable_model_are_nothing_against_the_candidate() -> None:
    """A server goes down for no candidate that it cannot load: what it says when it ends is of the other model."""
    run = Canaries()
    run.world.broken_candidates[digest("2")] = REFUSES
    run.world.put(a_candidate(2))
    run.minutes(6)
    assert ready(run.world, "rain-v2") == ("False", "CanaryWaiting")
    assert "GoldenFailed: pod rain-production-1: row 0" in run.said("rain-v2", "Ready")[2]
    assert ready(run.world, "rain-v1") == ("False", "GoldenFailed")
    assert run.world.get("ModelVersion", "rain-v1").status.stages == ("production",)


def test_pods_that_are_silent_with_a_candidate_fail_it_in_the_end() -> None:
    run = Canaries()
    run.world.broken_candidates[digest("2")] = {"started": True, "running_since": run.world.now}
    run.world.put(a_candidate(2))
    run.minutes(10)
    assert ready(run.world, "rain-v2") == ("Unknown", "CanaryRunning")
    run.minutes(6)
    assert ready(run.world, "rain-v2") == ("False", "ServingFailed")


def test_it_is_planned_again_when_silent_pods_have_had_their_time() -> None:
    """Without anything else that happens."""
    run = Canaries()
    run.world.broken_candidates[digest("2")] = {"started": True, "running_since": run.world.now}
    run.world.put(a_candidate(2))
    run.minutes(5)
    again = run.world.plan("ModelVersion", "rain-v2").requeue_at
    assert again is not None
    assert timedelta() < again - run.world.now < timedelta(minutes=12)


def test_a_newer_version_takes_the_candidates_place() -> None:
    """The canary of the one before ends, and it says so; when the newer one fails, it is tried again."""
    failed = an_analysis_report("Failed", "worse")
    run = Canaries(a_candidate(2), a_candidate(3), found=(failed, an_analysis_report()))
    told = run.told()
    assert told is not None
    assert told.version == 3
    assert run.record() is None
    assert run.said("rain-v2", "Ready") == (
        "Unknown",
        "Progressing",
        "production: version 3 came later and is tried in its place",
    )
    run.until(lambda: ready(run.world, "rain-v3")[1] == "CanaryFailed")
    run.until(lambda: served(run.world) == "rain-v2")
    run.world.settle()
    assert ready(run.world, "rain-v2") == ("True", "Serving")
    assert ready(run.world, "rain-v3") == ("False", "CanaryFailed")
    assert [each[0] for each in run.events("rain-v2")].count("CanaryStarted") == 2
    run.world.assert_settled()


def test_a_candidate_that_a_newer_one_has_passed_by_is_superseded() -> None:
    run = Canaries(a_candidate(2), a_candidate(3))
    run.until(lambda: served(run.world) == "rain-v3")
    run.world.settle()
    assert ready(run.world, "rain-v2") == ("True", "Superseded")
    assert ready(run.world, "rain-v1") == ("True", "Superseded")


@pytest.mark.parametrize("how", ["withdrawn", "deleted", "approval"])
def test_a_candidate_that_may_serve_no_more_loses_its_weight(how: str) -> None:
    run = Canaries(
        a_version(
            2,
            spec={
                "promotion": {"stages": [stage(approval={"group": "approvers"})]},
                "approvals": [{"stage": "production", "user": "bob", "artifact": digest("2")}],
            },
        )
    )
    assert run.told() is not None
    if how == "withdrawn":
        run.world.change("ModelVersion", "rain-v2", withdrawn=True)
    elif how == "deleted":
        run.world.delete("ModelVersion", "rain-v2")
    else:
        run.world.change("ModelVersion", "rain-v2", approvals=[])
    run.minutes(2)
    assert run.told() is None
    assert ready(run.world, "rain-v1") == ("True", "Serving")
    if how == "deleted":
        return
    assert run.record() is None
    assert find(run.world.get("ModelVersion", "rain-v2").status.conditions, "CanaryHealthy") is None
    assert (
        ready(run.world, "rain-v2")
        == {
            "withdrawn": ("True", "Withdrawn"),
            "approval": ("False", "ApprovalWanted"),
        }[how]
    )


def three_versions() -> Canaries:
    """Two that have served, and a third that is tried beside the second."""
    run = Canaries(a_candidate(2))
    run.until(lambda: served(run.world) == "rain-v2")
    run.world.settle()
    run.world.put(a_candidate(3))
    run.until(lambda: (run.record("rain-v3") or a_record()).step == 1)
    return run


@pytest.mark.parametrize("how", ["withdrawn", "deleted"])
def test_another_stable_version_has_the_canary_start_anew(how: str) -> None:
    run = three_versions()
    run.minutes(20)
    if how == "withdrawn":
        run.world.change("ModelVersion", "rain-v2", withdrawn=True)
    else:
        run.world.delete("ModelVersion", "rain-v2")
    run.minutes(1)
    assert served(run.world) == "rain-v1"
    assert run.told() is None
    run.until(lambda: run.told() is not None, most=5)
    record = run.record("rain-v3")
    assert record is not None
    assert (record.stable, record.step) == ("rain-v1", 0)
    run.minutes(25)
    assert served(run.world) == "rain-v1"
    run.until(lambda: served(run.world) == "rain-v3")


@pytest.mark.parametrize("how", ["withdrawn", "deleted"])
def test_without_a_version_to_compare_with_the_candidate_serves_at_once(how: str) -> None:
    run = Canaries(a_candidate(2))
    if how == "withdrawn":
        run.world.change("ModelVersion", "rain-v1", withdrawn=True)
    else:
        run.world.delete("ModelVersion", "rain-v1")
    run.minutes(2)
    assert served(run.world) == "rain-v2"
    run.world.settle()
    assert ready(run.world, "rain-v2") == ("True", "Serving")
    assert run.record() is None


def test_a_stable_version_that_is_down_by_its_own_fault_holds_up_nobody() -> None:
    """The version that mends it does not wait for all pods of the broken one."""
    run = Canaries()
    run.world.broken_artifacts.add(digest("1"))
    run.world.troubles[digest("1")] = OUT_OF_MEMORY
    run.world.put(a_candidate(2))
    run.minutes(4)
    assert served(run.world) == "rain-v2"


def test_a_canary_begins_when_the_stable_version_is_well() -> None:
    """What ails its pods before that is not the candidate's fault."""
    run = Canaries()
    run.world.troubled_stages["production"] = {"waits": "ImagePullBackOff"}
    run.world.change("ModelVersion", "rain-v1", capture={"percent": 50})
    run.minutes(2)
    run.world.put(a_candidate(2))
    run.minutes(3)
    assert run.told() is None
    assert run.said("rain-v2", "Ready") == (
        "Unknown",
        "CanaryRunning",
        "production: its canary begins when all pods of rain-v1 are ready",
    )
    run.world.troubled_stages.clear()
    run.minutes(3)
    assert run.told() is not None


def test_other_steps_start_the_canary_anew_and_another_edit_does_not() -> None:
    run = Canaries(a_candidate(2))
    run.minutes(5)
    began = run.record()
    assert began is not None
    assert began.step == 1
    run.world.change("ModelVersion", "rain-v2", capture={"percent": 50})
    run.minutes(3)
    record = run.record()
    assert record is not None
    assert record.started_at == began.started_at
    steps = [{"setWeight": 5}, {"pause": "30m"}]
    run.world.change("ModelVersion", "rain-v2", promotion={"stages": [stage(*steps)]})
    run.minutes(3)
    record = run.record()
    assert record is not None
    assert record.started_at > began.started_at
    assert (record.step, record.weight) == (1, 5)


def test_a_retry_of_a_candidate_starts_it_anew() -> None:
    run = Canaries(a_candidate(2))
    began = run.record()
    run.retry()
    run.minutes(2)
    record = run.record()
    assert began is not None
    assert record is not None
    assert record.started_at > began.started_at


def test_a_version_that_has_served_takes_over_at_once() -> None:
    """Going back, and on again, is no trial."""
    run = three_versions()
    run.until(lambda: served(run.world) == "rain-v3")
    run.world.settle()
    run.world.change("ModelVersion", "rain-v3", withdrawn=True)
    run.minutes(2)
    assert (served(run.world), run.told()) == ("rain-v2", None)
    run.world.change("ModelVersion", "rain-v3", withdrawn=False)
    run.minutes(2)
    assert (served(run.world), run.told()) == ("rain-v3", None)


def test_each_stage_has_its_own() -> None:
    """A version enters the next stage when it has taken over the one before."""
    two = [stage({"setWeight": 20}, {"pause": "10m"}, name="dev"), stage({"setWeight": 10}, {"pause": "10m"})]
    run = Canaries()
    run.world.change("ModelVersion", "rain-v1", promotion={"stages": two})
    run.world.settle()
    run.world.put(a_version(2, spec={"promotion": {"stages": two}}))
    run.minutes(5)
    assert (run.told("rain-dev"), run.told()) != (None, None)
    assert run.told() is None
    run.until(lambda: run.told() is not None)
    assert served(run.world, "dev") == "rain-v2"
    assert run.told("rain-dev") is None
    assert ready(run.world, "rain-v1") == ("True", "Serving")
    run.until(lambda: served(run.world) == "rain-v2")


def test_in_an_autoscaled_stage_it_goes_on_with_as_many_pods_as_there_are() -> None:
    scaled = {"autoscaling": {"minReplicas": 2, "maxReplicas": 4, "targetCPUUtilization": 70}}
    run = Canaries()
    run.world.change("ModelVersion", "rain-v1", promotion={"stages": [stage(**scaled)]})
    run.world.settle()
    run.world.put(a_candidate(2, **scaled))
    run.until(lambda: run.told() is not None, most=10)
    assert "replicas" not in run.deployment()["spec"]
    run.until(lambda: served(run.world) == "rain-v2")


def test_shadow_alone_asks_the_candidate_for_the_record_only() -> None:
    shadow = {"percent": 100}
    run = Canaries(a_candidate(2, {"analysis": ANALYSIS}, shadow=shadow), found=(None,))
    run.until(lambda: bool(run.looks))
    told, record = run.told(), run.record()
    assert told is not None
    assert (told.weight, told.shadow_percent) == (0, 100)
    assert record is not None
    assert record.asked_since == run.looks[0].since


def test_a_monitor_watches_the_stable_version_meanwhile() -> None:
    run = Canaries(a_candidate(2))
    versions = [run.world.get("ModelVersion", name) for name in ("rain-v1", "rain-v2")]
    live = live_in(versions, "production")
    assert live is not None
    assert live.metadata.name == "rain-v1"


def test_the_way_back_passes_over_who_is_only_tried() -> None:
    run = three_versions()
    versions = [run.world.get("ModelVersion", f"rain-v{number}") for number in (1, 2, 3)]
    back = way_back(versions, run.world.now)
    assert isinstance(back, WayBack)
    assert (back.current.metadata.name, back.to.metadata.name) == ("rain-v2", "rain-v1")


def test_after_a_crash_between_any_two_writes_it_goes_on_where_it_was() -> None:
    """Each plan is cut off after some of its writes; nothing is skipped, done twice, or forgotten."""
    for cut in range(1, 7):
        run = Canaries(a_candidate(2))
        steps, weights = [0], [10]
        for minute in range(300):
            for plan in run.world.plans():
                run.world.carry_out(plan, writes=cut if minute % 2 else 1)
            run.world.tick()
            if (record := run.record()) is not None:
                steps.append(record.step)
            if (told := run.told()) is not None and told.weight != weights[-1]:
                weights.append(told.weight)
            if served(run.world) == "rain-v2":
                break
        assert (steps, weights) == (sorted(steps), [10, 50]), cut
        assert len(run.looks) == 1
        run.world.settle()
        assert ready(run.world, "rain-v2") == ("True", "Serving")
