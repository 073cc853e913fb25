"""Whose fault it is that a version does not come up: its own, named at once, or the cluster's, which passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops.api import tasks
from mlops.api.conditions import find, is_true
from mlops.api.model_version import ModelVersion
from mlops.planning.plan import Key, Plan
from mlops.planning.serving import manifests as serving_manifests
from mlops.planning.views import PodEnd, ServerPod
from tests.planning.builders import SETTINGS, a_verify_report, a_version, digest
from tests.planning.world import World

LATER = datetime(2030, 1, 1, tzinfo=UTC)
PULL = {"waits": "ImagePullBackOff", "image": "registry.example/serve:2"}
FULL = {"unschedulable": "0/3 nodes are available"}
CONFIG = {"waits": "CreateContainerConfigError", "why": "secret has no key"}


def ended(reason: str | None, code: int = 2, *, of: str = "Error", restarts: int = 1) -> dict[str, Any]:
    """Return a pod whose server has ended with this report, or without any, and is to be started again."""
    said = tasks.write_report(tasks.FailureReport(reason=reason, message=f"told {reason}")) if reason else ""
    return {"waits": "CrashLoopBackOff", "restarts": restarts, "end": PodEnd(code, of, said, LATER, LATER)}


def a_world(*numbers: int, **trouble: Any) -> World:
    """Return a world in which these versions were rolled out one after the other; the last is in trouble from the
    beginning, if one is given."""
    world = World(lambda task: a_verify_report() if isinstance(task, tasks.VerifyTask) else None)
    for number in numbers:
        if trouble and number == numbers[-1]:
            hit(world, number, trouble)
        world.put(a_version(number))
        world.settle()
    return world


def hit(world: World, number: int, trouble: dict[str, Any]) -> None:
    world.broken_artifacts.add(digest(str(number)))
    world.troubles[digest(str(number))] = trouble


def mend(world: World) -> None:
    world.broken_artifacts.clear()
    world.troubles.clear()
    world.settle()


def roll_again(world: World, trouble: dict[str, Any], number: int = 2, *, answers: bool) -> None:
    """Have the pods of a version replaced, as by a new image: the new ones are in trouble, the old ones answer on."""
    hit(world, number, trouble)
    if answers:
        world.left["production"] = (f"rain-v{number}", digest(str(number)))
    world.settle()
    # However long it takes.
    world.now += timedelta(hours=2)
    world.settle()


def status(world: World, name: str) -> Any:
    return world.get("ModelVersion", name).status


def ready(world: World, name: str) -> tuple[str, str]:
    found = find(status(world, name).conditions, "Ready")
    assert found is not None
    return found.status, found.reason


def served(world: World) -> str:
    there = world.objects[Key("Deployment", "team", "rain-production")]
    return str(there["metadata"]["labels"]["mlops.dev/model-version"])


CLUSTER = [
    pytest.param(PULL, "ImagePull", id="image cannot be pulled"),
    pytest.param(FULL, "Unschedulable", id="no node fits"),
    pytest.param(CONFIG, "ContainerConfig", id="container cannot be made"),
    pytest.param(ended("StoreUnavailable", 1), "StoreUnavailable", id="store away"),
    pytest.param(ended("BucketMissing", 1), "BucketMissing", id="no bucket"),
    pytest.param(ended("CredentialsMissing", 1), "CredentialsMissing", id="no Secret"),
    pytest.param(ended("AccessDenied"), "AccessDenied", id="keys revoked"),
    pytest.param(ended("TaskInvalid"), "TaskInvalid", id="image of another release"),
    pytest.param(ended("ServingFailed"), "ServingFailed", id="a wrong setting of the installation"),
    pytest.param(ended("InternalError", 1), "InternalError", id="an error of its node"),
]
MODEL = ["ArtifactNotFound", "DigestMismatch", "GoldenFailed", "FormatForbidden", "UntrustedType", "Incompatible"]
SLOW = [
    pytest.param({"waits": "ContainerCreating"}, id="creating"),
    pytest.param({"waits": "PodInitializing"}, id="no word yet"),
    pytest.param({"running_since": datetime(2026, 1, 1, tzinfo=UTC)}, id="does not answer, or has no artifact yet"),
    pytest.param(ended(None, 137, restarts=9) | {"end": PodEnd(137, "Error", "", LATER, LATER + timedelta(minutes=10))},
                 id="ended by the startup probe"),
]  # fmt: skip


@pytest.mark.parametrize(("trouble", "reason"), CLUSTER)
def test_trouble_of_the_cluster_fails_no_new_version(trouble: dict[str, Any], reason: str) -> None:
    """It is named and waited for, however long; the version before goes on serving, and the new one takes over when
    the trouble has passed, without anybody's help."""
    world = a_world(1, 2, **trouble)
    world.now += timedelta(days=2)
    world.settle()
    assert ready(world, "rain-v2") == ("False", reason)
    assert is_true(status(world, "rain-v2").conditions, "Reconciling")
    assert status(world, "rain-v2").failed_stages == ()
    assert ready(world, "rain-v1") == ("True", "Serving")
    world.assert_settled()
    mend(world)
    assert ready(world, "rain-v2") == ("True", "Serving")
    assert ready(world, "rain-v1") == ("True", "Superseded")


@pytest.mark.parametrize(("trouble", "reason"), [*CLUSTER, pytest.param(None, "Progressing", id="no pod at all")])
def test_a_version_of_which_no_pod_answers_does_not_say_that_it_serves(trouble: Any, reason: str) -> None:
    """Another one is chosen and cannot start; then the node of the one that is live dies. It is not chosen, so its
    Deployment says nothing of it: its pods do, and if none is left, nobody answers."""
    world = a_world(1, 2, **FULL)
    assert is_true(status(world, "rain-v1").conditions, "Available")
    world.left.clear()
    if trouble is not None:
        digits = digest("1").removeprefix("sha256:")[:16]
        world.more_pods = [ServerPod("rain-production-9", "production", "rain-v1", digits, **trouble)]
    world.settle()
    assert ready(world, "rain-v1") == ("False" if trouble else "Unknown", reason)
    available = find(status(world, "rain-v1").conditions, "Available")
    assert available is not None
    assert available.status == "False"
    assert status(world, "rain-v1").stages == ("production",), "who is live is not who answers"
    world.assert_settled()
    world.more_pods = [replace(each, ready=True) for each in world.more_pods]
    if trouble is not None:
        world.settle()
        assert ready(world, "rain-v1") == ("True", "Serving")
    mend(world)
    assert ready(world, "rain-v2") == ("True", "Serving")


@pytest.mark.parametrize("numbers", [(1,), (1, 2)], ids=["the only version", "another one serves meanwhile"])
def test_a_retry_is_not_lost_between_its_two_writes(numbers: tuple[int, ...]) -> None:
    """That it was acted on stands in the status before the Deployment is written. If that does not happen, what the
    pods said before the retry still counts for nothing."""
    world = a_world(*numbers[:-1])
    last = f"rain-v{numbers[-1]}"
    said = ended("ArtifactNotFound")
    hit(world, numbers[-1], {"waits": "ContainerCreating"})
    world.put(a_version(numbers[-1]))
    world.settle()
    hit(world, numbers[-1], {**said, "end": replace(said["end"], began=world.now, at=world.now)})
    world.settle()
    assert ready(world, last) == ("False", "ArtifactNotFound")
    world.annotate("ModelVersion", last, "mlops.dev/retry", "the artifact is back")
    world.now += timedelta(minutes=5)
    statuses = Plan(statuses=world.plan("ModelVersion", last).statuses)
    world.carry_out(statuses)
    assert status(world, last).retried == "the artifact is back"
    world.carry_out(world.plan("ModelVersion", last), writes=1)
    world.carry_out(world.plan("ModelVersion", last))
    assert status(world, last).failed_stages == ()
    assert served(world) == last
    for each in world.plans():
        world.carry_out(each)
    assert ready(world, last) == ("Unknown", "Progressing"), "nobody has said anything since"
    mend(world)
    assert ready(world, last) == ("True", "Serving")
    world.assert_settled()


SLOW_GATE = [{"latency": {"p99Milliseconds": 1}}]


@pytest.mark.parametrize(
    ("first", "trouble", "ready_by_now"),
    [
        pytest.param({}, None, ("True", "Serving"), id="it comes up there as well"),
        pytest.param({}, PULL, ("False", "ImagePull"), id="it does not come up there"),
        pytest.param({"gates": SLOW_GATE}, None, ("False", "GatesFailed"), id="its gates do not hold there"),
    ],
)
def test_a_stage_that_is_put_in_front_of_a_live_one_takes_nobody_down(
    first: Any, trouble: Any, ready_by_now: tuple[str, str]
) -> None:
    """Where it has served it may stay: neither is its Deployment deleted, nor does an older version take its place."""
    world = a_world(1, 2)
    key = Key("Deployment", "team", "rain-production")
    uid = world.objects[key]["metadata"]["uid"]
    if trouble:
        world.troubled_stages["staging"] = trouble
    stages = [{"name": "staging", "replicas": 1, **first}, {"name": "production", "replicas": 1}]
    world.change("ModelVersion", "rain-v2", promotion={"stages": stages})
    for _ in range(6):
        for each in world.plans():
            world.carry_out(each)
            assert key in world.objects, "nobody serves"
            assert served(world) == "rain-v2"
            assert "production" in status(world, "rain-v2").stages
        world.tick()
    assert world.objects[key]["metadata"]["uid"] == uid
    assert ready(world, "rain-v2") == ready_by_now
    assert is_true(status(world, "rain-v2").conditions, "Available")


@pytest.mark.parametrize("trouble", SLOW)
def test_a_slow_start_fails_no_new_version(trouble: dict[str, Any]) -> None:
    """What has not looked at the model says nothing about it."""
    world = a_world(1, 2, **trouble)
    world.now += timedelta(hours=2)
    world.settle()
    assert ready(world, "rain-v2") == ("Unknown", "Progressing")
    assert ready(world, "rain-v1") == ("True", "Serving")
    mend(world)
    assert ready(world, "rain-v2") == ("True", "Serving")


def test_the_time_in_which_the_artifact_came_is_not_the_models() -> None:
    """The store answered after nine minutes: that the server is not ready a minute later says nothing of the model."""
    world = a_world(1)
    hit(world, 2, {"started": True, "running_since": world.now})
    start = world.now
    world.put(a_version(2))
    while world.now < start + timedelta(minutes=10):
        for each in world.plans():
            world.carry_out(each)
        world.tick()
    assert ready(world, "rain-v2") == ("Unknown", "Progressing")
    world.settle()
    assert ready(world, "rain-v2") == ("False", "ServingFailed")


@pytest.mark.parametrize("reason", MODEL)
def test_a_new_model_that_its_server_refuses_is_named_at_once(reason: str) -> None:
    """In the pod's own words, as an end, and the good version serves on; nothing waits for a deadline."""
    world = a_world(1)
    hit(world, 2, ended(reason))
    world.put(a_version(2))
    start = world.now
    while not status(world, "rain-v2").failed_stages:
        assert world.now - start < timedelta(minutes=6)
        for each in world.plans():
            world.carry_out(each)
        world.tick()
    world.settle()
    found = find(status(world, "rain-v2").conditions, "Stalled")
    assert found is not None
    assert (found.reason, f"told {reason}" in found.message) == (reason, True), found
    assert "version 1 serves there" in found.message
    assert [each.reason for each in status(world, "rain-v2").failures] == [reason]
    [step] = status(world, "rain-v2").transitions
    assert (step.to, step.reason.startswith(f"{reason} in production: ")) == ("Failed", True)
    assert (served(world), ready(world, "rain-v1")) == ("rain-v1", ("True", "Serving"))
    world.assert_settled()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        pytest.param(ended(None, 137, of="OOMKilled"), "OOMKilled", id="out of memory"),
        pytest.param(ended(None, 139, restarts=3), "ServingFailed", id="crashes"),
        pytest.param(ended("InternalError"), "InternalError", id="an error that nobody foresaw"),
        pytest.param(
            {"started": True, "running_since": datetime(2026, 1, 1, tzinfo=UTC)}, "ServingFailed", id="silent"
        ),
    ],
)
def test_a_new_model_that_takes_its_server_down_has_failed(trouble: dict[str, Any], reason: str) -> None:
    """Nothing else is new: it is the model. One that has served is another matter, see below."""
    world = a_world(1, 2, **trouble)
    assert ready(world, "rain-v2") == ("False", reason)
    assert is_true(status(world, "rain-v2").conditions, "Stalled")
    assert served(world) == "rain-v1"
    proven = a_world(1, 2)
    roll_again(proven, trouble, answers=False)
    assert status(proven, "rain-v2").failed_stages == ()
    assert served(proven) == "rain-v2"


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize(
    "trouble",
    [
        *(pytest.param(each.values[0], id=each.id) for each in (*CLUSTER, *SLOW)),
        pytest.param({"started": True, "running_since": datetime(2026, 1, 1, tzinfo=UTC)}, id="silent"),
    ],
)
def test_a_rollout_in_trouble_brings_no_older_version_back(trouble: dict[str, Any], answers: bool) -> None:
    """The version has served: what has changed is not the model. Its pods that answer stay, and it stays chosen."""
    world = a_world(1, 2)
    roll_again(world, trouble, answers=answers)
    assert served(world) == "rain-v2"
    assert status(world, "rain-v2").stages == ("production",)
    assert status(world, "rain-v2").failed_stages == ()
    assert ready(world, "rain-v1") == ("True", "Superseded")
    world.assert_settled()
    world.left.clear()
    mend(world)
    assert ready(world, "rain-v2") == ("True", "Serving")


@pytest.mark.parametrize("reason", MODEL)
def test_a_model_that_new_pods_refuse_stays_as_long_as_old_ones_answer(reason: str) -> None:
    """Somebody is told, in the pods' words; nobody's requests are lost."""
    world = a_world(1, 2)
    roll_again(world, ended(reason), answers=True)
    assert (served(world), status(world, "rain-v2").stages) == ("rain-v2", ("production",))
    assert ready(world, "rain-v2") == ("False", reason)
    assert is_true(status(world, "rain-v2").conditions, "Stalled")
    assert is_true(status(world, "rain-v2").conditions, "Available")
    world.assert_settled()
    world.left.clear()
    mend(world)
    assert ready(world, "rain-v2") == ("True", "Serving")


def test_an_artifact_that_is_gone_under_a_live_version_brings_the_older_one() -> None:
    """No pod answers, and the pods say that the model is to blame: the older good version serves, which its transition,
    condition and message tell. An edit tries the newer one again, and when its artifact is back, it takes over."""
    world = a_world(1, 2)
    roll_again(world, ended("ArtifactNotFound"), answers=False)
    assert ready(world, "rain-v2") == ("False", "ArtifactNotFound")
    found = find(status(world, "rain-v2").conditions, "Stalled")
    assert found is not None
    assert "told ArtifactNotFound; version 1 serves there" in found.message
    assert status(world, "rain-v2").stages == ()
    assert (served(world), ready(world, "rain-v1")) == ("rain-v1", ("True", "Serving"))
    assert status(world, "rain-v2").transitions[0].to == "Failed"
    world.assert_settled()
    world.change("ModelVersion", "rain-v2", capture={"percent": 50})
    world.settle()
    assert (served(world), ready(world, "rain-v2")) == ("rain-v1", ("False", "ArtifactNotFound"))
    mend(world)
    assert served(world) == "rain-v1", "nobody has asked for the newer one"
    world.change("ModelVersion", "rain-v2", capture={"percent": 60})
    world.settle()
    assert (served(world), ready(world, "rain-v2")) == ("rain-v2", ("True", "Serving"))


def test_two_versions_whose_artifacts_are_gone_are_not_tried_in_turns() -> None:
    """The newest stays, says why, and heals by itself."""
    world = a_world(1, 2)
    hit(world, 1, ended("ArtifactNotFound"))
    roll_again(world, ended("DigestMismatch"), answers=False)
    assert ready(world, "rain-v1") == ("False", "ArtifactNotFound")
    assert ready(world, "rain-v2") == ("False", "DigestMismatch")
    assert served(world) == "rain-v2"
    world.assert_settled()
    mend(world)
    assert ready(world, "rain-v2") == ("True", "Serving")
    assert served(world) == "rain-v2"


def test_the_only_version_says_why_it_does_not_answer_and_comes_back() -> None:
    """There is no other: it stays deployed, is live no longer, and is again when its artifact is."""
    world = a_world(1)
    roll_again(world, ended("ArtifactNotFound"), 1, answers=False)
    assert ready(world, "rain-v1") == ("False", "ArtifactNotFound")
    assert (served(world), status(world, "rain-v1").stages) == ("rain-v1", ())
    assert not is_true(status(world, "rain-v1").conditions, "Available")
    world.assert_settled()
    mend(world)
    assert ready(world, "rain-v1") == ("True", "Serving")


def test_what_pods_said_before_an_edit_is_an_earlier_attempt() -> None:
    """The same pods are there after an edit of the gates; only what they say from then on counts."""
    world = a_world(1)
    hit(world, 2, ended("GoldenFailed") | {"end": PodEnd(2, "Error", ended("GoldenFailed")["end"].message, None, None)})
    world.put(a_version(2))
    world.settle()
    assert ready(world, "rain-v2") == ("False", "GoldenFailed")
    said = ended("GoldenFailed")["end"].message
    hit(world, 2, ended("GoldenFailed") | {"end": PodEnd(2, "Error", said, world.now, world.now)})
    world.now += timedelta(minutes=5)
    world.change("ModelVersion", "rain-v2", capture={"percent": 50})
    world.settle()
    assert ready(world, "rain-v2") == ("Unknown", "Progressing")


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"promotion": {"stages": [{"name": "production", "replicas": 3}]}}, id="more pods"),
        pytest.param({"capture": {"percent": 50}}, id="other pods"),
        pytest.param(
            {"promotion": {"stages": [{"name": "production", "resources": {"limits": {"cpu": "4"}}}]}},
            id="more compute",
        ),
    ],
)
def test_an_edit_that_the_cluster_has_no_room_for_brings_no_older_version(edit: dict[str, Any]) -> None:
    """The edit waits, named; the pods of before serve."""
    world = a_world(1, 2)
    world.change("ModelVersion", "rain-v2", **edit)
    roll_again(world, FULL, answers=True)
    assert (served(world), ready(world, "rain-v2")) == ("rain-v2", ("False", "Unschedulable"))
    assert is_true(status(world, "rain-v2").conditions, "Available")


def test_a_stage_before_in_trouble_leaves_the_stage_after_alone() -> None:
    """Trouble in dev fails nobody in production, and the way on is not closed for ever."""
    stages = {"stages": [{"name": "dev"}, {"name": "production"}]}
    world = World(lambda task: a_verify_report() if isinstance(task, tasks.VerifyTask) else None)
    world.put(a_version(1, spec={"promotion": stages}))
    world.settle()
    hit(world, 2, PULL)
    world.put(a_version(2, spec={"promotion": stages}))
    world.settle()
    assert ready(world, "rain-v2") == ("False", "ImagePull")
    assert (served(world), status(world, "rain-v1").stages) == ("rain-v1", ("dev", "production"))
    mend(world)
    assert status(world, "rain-v2").stages == ("dev", "production")


def test_a_withdrawn_version_is_no_way_out() -> None:
    """The proven version's model is gone and the older one is withdrawn: nobody brings that back."""
    world = a_world(1, 2)
    world.change("ModelVersion", "rain-v1", withdrawn=True)
    roll_again(world, ended("ArtifactNotFound"), answers=False)
    assert (served(world), ready(world, "rain-v2")) == ("rain-v2", ("False", "ArtifactNotFound"))
    assert ready(world, "rain-v1") == ("True", "Withdrawn")


def test_a_quota_is_said_in_the_same_words_each_time() -> None:
    """A Deployment repeats the name of a pod that could not be made; it is another one with every attempt."""
    world = a_world(1)
    world.change("ModelVersion", "rain-v1", capture={"percent": 1})
    said = []
    for name in ("x1", "x2"):
        for each in world.plans():
            world.carry_out(each)
        there = world.objects[Key("Deployment", "team", "rain-production")]
        message = f'pods "rain-production-{name}" is forbidden: exceeded quota: pods'
        there["status"] = {
            "observedGeneration": there["metadata"]["generation"],
            "conditions": [{"type": "ReplicaFailure", "status": "True", "message": message}],
        }
        world.carry_out(world.plan("ModelVersion", "rain-v1"))
        assert ready(world, "rain-v1") == ("False", "ChildRefused")
        said.append(status(world, "rain-v1"))
    assert said[0] == said[1]
    assert "exceeded quota" in said[0].conditions[0].message


def test_a_failure_of_an_earlier_release_is_still_one() -> None:
    """It recorded the stage alone."""
    world = a_world(1)
    world.broken_artifacts.add(digest("2"))
    world.put(a_version(2))
    world.settle()
    key = Key("ModelVersion", "team", "rain-v2")
    del world.objects[key]["status"]["failures"]
    world.settle()
    assert ready(world, "rain-v2") == ("False", "ServingFailed")
    assert served(world) == "rain-v1"


def test_the_stages_own_compute_and_the_installations_priority() -> None:
    """Defaults are overridden one by one; who names one side only gets the other equal to it."""

    def pod(resources: Any, **settings: Any) -> Any:
        stage = {"name": "production", **({"resources": resources} if resources else {})}
        version: ModelVersion = a_version(spec={"promotion": {"stages": [stage]}})
        made = serving_manifests.deployment(
            SETTINGS.__class__(**{**vars(SETTINGS), **settings}), version, digest("1"), "production", [version], ""
        )
        return made["spec"]["template"]["spec"]

    default = pod(None)
    assert "priorityClassName" not in default
    assert pod(None, serving_priority_class="models")["priorityClassName"] == "models"
    asked = default["containers"][0]["resources"]["requests"]
    assert (asked["cpu"], asked["memory"]) == ("200m", "512Mi")
    own = pod({"requests": {"cpu": "1500m"}, "limits": {"memory": "3Gi"}})["containers"][0]["resources"]
    for side in ("requests", "limits"):
        assert (own[side]["cpu"], own[side]["memory"]) == ("1500m", "3Gi")


@pytest.mark.parametrize(("drain", "grace"), [("", 60), ("5", 45), ("120", 160), ("soon", 60)])
def test_a_server_has_the_time_to_drain_and_to_end(drain: str, grace: int) -> None:
    """However long the installation has it drain."""
    settings = SETTINGS.__class__(**{**vars(SETTINGS), "environment": {tasks.DRAIN_VARIABLE: drain}})
    version = a_version()
    made = serving_manifests.deployment(settings, version, digest("1"), "production", [version], "")
    assert made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == grace
