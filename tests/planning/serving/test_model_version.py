"""All versions of one model: verified, promoted stage by stage, superseded, withdrawn, rolled back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlops.api import tasks
from mlops.api.conditions import find, is_true
from mlops.api.model_version import ModelVersion
from mlops.planning.plan import Key, Plan
from mlops.planning.serving.planner import plan
from mlops.planning.views import ModelView
from tests.planning.builders import NOW, SETTINGS, a_run, a_verify_report, a_version, digest, merged
from tests.planning.world import World

STAGES = {"stages": [{"name": "dev"}, {"name": "production"}]}
FAST = {"stages": [{"name": "dev"}, {"name": "production", "gates": [{"latency": {"p99Milliseconds": 1}}]}]}


def pods(task: tasks.Task) -> tasks.Report | None:
    return a_verify_report() if isinstance(task, tasks.VerifyTask) else None


def a_world(*versions: ModelVersion) -> World:
    world = World(pods)
    world.put(*versions)
    world.settle()
    return world


def a_view(*versions: ModelVersion, **changes: Any) -> ModelView:
    return ModelView(
        now=NOW, settings=SETTINGS, namespace="team", model_name="rain", versions=versions or (a_version(),), **changes
    )


def ready(world: World, name: str) -> tuple[str, str]:
    found = find(world.get("ModelVersion", name).status.conditions, "Ready")
    return found.status, found.reason  # type: ignore[union-attr]


def stages(world: World, name: str) -> tuple[str, ...]:
    return world.get("ModelVersion", name).status.stages  # type: ignore[no-any-return]


def served(world: World, stage: str = "production") -> str:
    """Return the version that the stage's Deployment is of."""
    there = world.objects[Key("Deployment", "team", f"rain-{stage}")]
    return str(there["metadata"]["labels"]["mlops.dev/model-version"])


def test_a_version_is_verified_first(golden: Callable[[str, Plan], None]) -> None:
    """The artifact is pinned and one Job checks it; nothing serves yet."""
    golden("version-verify", plan(a_view()))
    assert plan(a_view()) == plan(a_view())


def test_a_verified_version_is_served(golden: Callable[[str, Plan], None]) -> None:
    """Its Service and its Deployment, owned by the versions of the model."""
    world = World(pods)
    world.put(a_version())
    for _ in range(2):
        first = world.plan("ModelVersion", "rain-v1")
        world.carry_out(first)
        world.tick()
    golden("version-serve", world.plan("ModelVersion", "rain-v1"))


@pytest.mark.parametrize("speaks_grpc", [True, False])
def test_a_stage_that_asks_for_grpc_has_a_second_port(speaks_grpc: bool) -> None:
    """In its pods, of whatever number, and in its Service, whose number stays; others have nothing of it."""
    stages = [{"name": "production", **({"protocolVersions": ["v2", "grpc-v2"]} if speaks_grpc else {})}]
    world = World(pods)
    world.settings = replace(SETTINGS, grpc_port=9000)
    world.put(a_version(spec={"promotion": {"stages": stages}}))
    for _ in range(4):
        world.carry_out(world.plan("ModelVersion", "rain-v1"))
        world.tick()
    server = world.objects[Key("Deployment", "team", "rain-production")]["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    variables = {one["name"]: one.get("value") for one in server["env"]}
    service = world.objects[Key("Service", "team", "rain-production")]["spec"]["ports"]
    assert (ports["http"], service[0]["name"], service[0]["port"]) == (8080, "http", 80)
    if speaks_grpc:
        assert ports["grpc"] == 9000
        assert variables["MLOPS_GRPC_PORT"] == "9000"
        assert service[1:] == [
            {
                "name": "grpc",
                "port": 8081,
                "targetPort": "grpc",
                "protocol": "TCP",
                "appProtocol": "kubernetes.io/h2c",
            }
        ]
    else:
        assert ports.keys() == {"http"}
        assert "MLOPS_GRPC_PORT" not in variables
        assert len(service) == 1


def test_an_available_version_is_live_and_settled() -> None:
    """Ready=True/Serving, with its address; planning again writes nothing."""
    world = a_world(a_version())
    version = world.get("ModelVersion", "rain-v1")
    assert ready(world, "rain-v1") == ("True", "Serving")
    assert version.status.url == "http://rain-production.team.svc"
    assert [step.to for step in version.status.transitions] == ["production"]
    world.assert_settled()


def test_the_address_is_what_the_node_says() -> None:
    """Where the Service has an ingress address, that is the url."""
    world = a_world(a_version())
    ingress = [{"ip": "127.0.0.1", "ports": [{"port": 40123, "protocol": "TCP"}]}]
    world.objects[Key("Service", "team", "rain-production")]["status"] = {"loadBalancer": {"ingress": ingress}}
    world.settle()
    assert world.get("ModelVersion", "rain-v1").status.url == "http://127.0.0.1:40123"


def test_the_old_version_stays_live_until_the_new_one_is_available() -> None:
    """During the roll-out the version before is what serves; then it is superseded."""
    world = a_world(a_version(1))
    world.put(a_version(2))
    seen = []
    for _ in range(8):
        for each in world.plans():
            world.carry_out(each)
        seen.append(stages(world, "rain-v1") or stages(world, "rain-v2"))
        world.tick()
    assert all(each == ("production",) for each in seen), "never without a live version"
    assert (stages(world, "rain-v1"), stages(world, "rain-v2")) == ((), ("production",))
    assert ready(world, "rain-v1") == ("True", "Superseded")
    assert ready(world, "rain-v2") == ("True", "Serving")
    world.settle()
    world.assert_settled()


@pytest.mark.parametrize(
    ("status", "available"),
    [
        pytest.param(
            {"replicas": 2, "updatedReplicas": 1, "readyReplicas": 1}, False, id="the ready pod is the old one"
        ),
        pytest.param({"replicas": 1, "updatedReplicas": 1, "readyReplicas": 0}, False, id="not ready"),
        pytest.param(
            {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "observedGeneration": 0}, False, id="stale"
        ),
        pytest.param({"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}, True, id="rolled out"),
    ],
)
def test_available_means_that_all_pods_are_new_and_ready(status: dict[str, int], available: bool) -> None:
    """A count of ready pods that includes old ones does not make the new version live."""
    world = a_world(a_version())
    key = Key("Deployment", "team", "rain-production")
    world.objects[key]["status"] = {"observedGeneration": 1, **status}
    world.carry_out(world.plan("ModelVersion", "rain-v1"))
    conditions = world.get("ModelVersion", "rain-v1").status.conditions
    assert is_true(conditions, "Available") is available
    said = find(conditions, "Ready")
    assert said is not None
    assert ("0 of 1 pods ready" in said.message) is not available, said.message


def test_a_version_goes_from_stage_to_stage() -> None:
    """It enters production when it was available in dev."""
    world = World(pods)
    world.put(a_version(spec={"promotion": STAGES}))
    seen = []
    for _ in range(8):
        for each in world.plans():
            world.carry_out(each)
        seen.append(stages(world, "rain-v1"))
        world.tick()
    assert [each for i, each in enumerate(seen) if each and each != seen[i - 1]] == [("dev",), ("dev", "production")]
    assert ready(world, "rain-v1") == ("True", "Serving")


def test_the_time_from_the_delivery_is_that_of_the_first_day_in_the_last_stage() -> None:
    """Neither a rollback nor a roll forward begins it anew; without a time of delivery there is none."""
    delivered = {"lineage": {"dataDeliveredAt": "2026-01-10T11:00:00Z"}}
    world = World(pods)
    world.put(a_version(spec={"promotion": STAGES, **delivered}))
    while stages(world, "rain-v1") != ("dev", "production"):
        assert world.get("ModelVersion", "rain-v1").status.cycle_seconds is None
        for each in world.plans():
            world.carry_out(each)
        world.tick()
    seconds = world.get("ModelVersion", "rain-v1").status.cycle_seconds
    assert seconds == pytest.approx(3600 + (world.now - NOW).total_seconds(), abs=60)
    world.change("ModelVersion", "rain-v1", withdrawn=True)
    world.settle()
    world.change("ModelVersion", "rain-v1", withdrawn=False)
    world.settle()
    assert stages(world, "rain-v1") == ("dev", "production")
    assert world.get("ModelVersion", "rain-v1").status.cycle_seconds == seconds
    assert a_world(a_version()).get("ModelVersion", "rain-v1").status.cycle_seconds is None


def test_a_version_in_dev_does_not_take_production_from_the_one_before() -> None:
    """A newer version whose gates keep it from production leaves the older one there, though dev is the newer one's."""
    world = a_world(a_version(1, spec={"promotion": STAGES}))
    world.put(a_version(2, spec={"promotion": FAST}))
    world.settle()
    assert stages(world, "rain-v1") == ("production",)
    assert stages(world, "rain-v2") == ("dev",)
    assert ready(world, "rain-v1") == ("True", "Serving")
    assert ready(world, "rain-v2") == ("False", "GatesFailed")
    assert is_true(world.get("ModelVersion", "rain-v2").status.conditions, "Stalled")
    world.assert_settled()


def test_pods_that_never_get_ready_bring_the_version_before_back() -> None:
    """ServingFailed is remembered: the good version is deployed again and the bad one is not tried again."""
    world = a_world(a_version(1))
    world.broken_artifacts.add(digest("2"))
    world.put(a_version(2))
    world.settle()
    assert ready(world, "rain-v2") == ("False", "ServingFailed")
    assert ready(world, "rain-v1") == ("True", "Serving")
    assert stages(world, "rain-v1") == ("production",)
    assert served(world) == "rain-v1"
    assert [step.to for step in world.get("ModelVersion", "rain-v2").status.transitions] == ["Failed"]
    world.assert_settled()


@pytest.mark.parametrize("minutes", [pytest.param(0, id="at once"), pytest.param(5, id="and it stays so")])
def test_what_a_deployment_says_of_the_version_that_failed_is_not_said_of_the_one_brought_back(minutes: int) -> None:
    """A Deployment's ProgressDeadlineExceeded stands until a pod of the version that failed is gone: if the good
    version were taken for failed as well, the bad one would be the newest of two bad ones, and deployed for good. It
    has served: however long the Deployment says so, it is not failed by time."""
    world = a_world(a_version(1))
    world.broken_artifacts.add(digest("2"))
    world.put(a_version(2))
    while not world.get("ModelVersion", "rain-v2").status.failed_stages:
        world.tick()
        for each in world.plans():
            world.carry_out(each)
    assert served(world) == "rain-v1"
    deployment = world.objects[Key("Deployment", "team", "rain-production")]
    world.now += timedelta(minutes=minutes)
    exceeded = {"type": "Progressing", "status": "False"}
    deployment["status"] = {
        "observedGeneration": deployment["metadata"]["generation"],
        "conditions": [exceeded],
        "replicas": 2,
        "updatedReplicas": 1,
        "readyReplicas": 1,
    }
    world.carry_out(world.plan("ModelVersion", "rain-v1"))
    assert world.get("ModelVersion", "rain-v1").status.failed_stages == ()
    assert served(world) == "rain-v1"


def test_an_edit_has_a_failed_version_tried_again() -> None:
    """The way out of ServingFailed without a new version."""
    world = a_world(a_version(1))
    world.broken_artifacts.add(digest("2"))
    world.put(a_version(2))
    world.settle()
    world.broken_artifacts.clear()
    world.change("ModelVersion", "rain-v2", capture={"percent": 50})
    world.settle()
    assert ready(world, "rain-v2") == ("True", "Serving")


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"promotion": {"stages": [{"name": "production", "replicas": 3}]}}, id="more pods"),
        pytest.param({"capture": {"percent": 50}}, id="other pods"),
    ],
)
def test_an_edit_is_not_ready_before_its_pods_are(edit: dict[str, Any]) -> None:
    """The status is written before the Deployment: the pods that are there by then are those of the spec before."""
    world = a_world(a_version())
    world.change("ModelVersion", "rain-v1", **edit)
    world.carry_out(world.plan("ModelVersion", "rain-v1"), writes=1)
    assert ready(world, "rain-v1") == ("Unknown", "Progressing")
    assert stages(world, "rain-v1") == ("production",), "they go on answering"
    world.settle()
    assert ready(world, "rain-v1") == ("True", "Serving")
    world.assert_settled()


def test_the_only_version_stays_deployed_when_it_fails_and_may_heal() -> None:
    """There is nothing to roll back to; when its pods get ready after all it is live."""
    world = World(pods)
    world.broken_artifacts.add(digest("1"))
    world.put(a_version(1))
    world.settle()
    assert ready(world, "rain-v1") == ("False", "ServingFailed")
    world.broken_artifacts.clear()
    world.settle()
    assert ready(world, "rain-v1") == ("True", "Serving")


def test_withdrawing_brings_the_version_before_back() -> None:
    """Rollback is one field; putting it back takes the newer version again."""
    world = a_world(a_version(1))
    world.put(a_version(2))
    world.settle()
    world.change("ModelVersion", "rain-v2", withdrawn=True)
    world.settle()
    assert (stages(world, "rain-v1"), stages(world, "rain-v2")) == (("production",), ())
    assert ready(world, "rain-v2") == ("True", "Withdrawn")
    assert ready(world, "rain-v1") == ("True", "Serving")
    assert served(world) == "rain-v1"
    world.change("ModelVersion", "rain-v2", withdrawn=False)
    world.settle()
    assert served(world) == "rain-v2"


def test_withdrawing_the_last_version_stops_serving_but_keeps_the_address() -> None:
    """The Deployment goes, the Service stays."""
    world = a_world(a_version(1))
    world.change("ModelVersion", "rain-v1", withdrawn=True)
    world.settle()
    assert (world.names("Deployment"), world.names("Service")) == ([], ["rain-production"])
    world.assert_settled()


def test_deleting_one_version_leaves_the_model_and_deleting_the_last_takes_all() -> None:
    """The Deployment is owned by all versions, not by the one that it serves."""
    world = a_world(a_version(1))
    world.put(a_version(2))
    world.settle()
    world.delete("ModelVersion", "rain-v2")
    assert world.names("Deployment") == ["rain-production"]
    world.settle()
    assert served(world) == "rain-v1"
    world.delete("ModelVersion", "rain-v1")
    assert [key.kind for key in world.objects] == ["ConfigMap"]  # what was stays on record


def test_a_server_that_somebody_deleted_comes_back() -> None:
    """Deployments and Services are kept as planned."""
    world = a_world(a_version())
    world.delete("Deployment", "rain-production")
    world.delete("Service", "rain-production")
    world.settle()
    assert world.names("Deployment") == world.names("Service") == ["rain-production"]
    assert ready(world, "rain-v1") == ("True", "Serving")


def test_a_stage_that_was_taken_out_is_cleared() -> None:
    """Removing a stage from every version removes what serves there."""
    world = a_world(a_version(spec={"promotion": STAGES}))
    world.change("ModelVersion", "rain-v1", promotion={"stages": [{"name": "production"}]})
    world.settle()
    assert world.names("Deployment") == world.names("Service") == ["rain-production"]


def test_two_objects_with_one_number() -> None:
    """The older keeps it, the other names it."""
    later = a_version(1, metadata={"name": "mine", "uid": "m", "creationTimestamp": "2026-01-10T11:30:00Z"})
    world = a_world(a_version(1), later)
    assert ready(world, "rain-v1") == ("True", "Serving")
    assert ready(world, "mine") == ("False", "VersionConflict")
    conditions = world.get("ModelVersion", "mine").status.conditions
    assert '"rain-v1"' in conditions[0].message
    world.delete("ModelVersion", "rain-v1")
    world.settle()
    assert ready(world, "mine") == ("True", "Serving")


@pytest.mark.parametrize("reason", ["DigestMismatch", "FormatForbidden", "GoldenFailed", "UntrustedType"])
def test_an_artifact_that_is_refused_never_serves(reason: str) -> None:
    """The pod's reason is the version's, and it is final."""
    world = World(lambda task: tasks.FailureReport(reason=reason, message="no"))
    world.put(a_version())
    world.settle()
    assert ready(world, "rain-v1") == ("False", reason)
    assert is_true(world.get("ModelVersion", "rain-v1").status.conditions, "Stalled")
    assert world.names("Deployment") == []
    world.assert_settled()


def test_a_version_of_a_run_waits_for_it() -> None:
    """Missing, then not finished, then pinned: each step heals by itself."""
    source = {"artifact": None, "source": {"trainingRunRef": {"name": "rain-1"}}}
    world = World(pods)
    world.put(a_version(spec=source))
    world.settle()
    assert ready(world, "rain-v1") == ("False", "TrainingRunNotFound")
    world.put(a_run())
    world.settle()
    assert ready(world, "rain-v1") == ("False", "TrainingRunNotReady")
    done = {
        "outputDigest": digest("f"),
        "conditions": [
            {"type": "Succeeded", "status": "True", "reason": "Succeeded"},
            {"type": "Ready", "status": "True", "reason": "Succeeded"},
        ],
    }
    world.put(a_run(status=done))
    world.settle()
    assert world.get("ModelVersion", "rain-v1").status.artifact == digest("f")
    assert world.get("ModelVersion", "rain-v1").status.lineage.training_run == "rain-1"


def test_a_passing_failure_is_tried_again() -> None:
    """A store that is down delays a version, it does not condemn it."""
    answers = iter([None])
    world = World(lambda task: a_verify_report() if next(answers, 1) else None)
    world.put(a_version())
    world.carry_out(world.plan("ModelVersion", "rain-v1"))
    [name] = world.names("Job")
    end = {
        "type": "Failed",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "lastTransitionTime": "2026-01-10T12:00:00Z",
    }
    world.objects[Key("Job", "team", name)]["status"] = {"conditions": [end]}
    world.messages[name] = (tasks.write_report(tasks.FailureReport(reason="StoreUnavailable", message="503")), 1)
    first = world.plan("ModelVersion", "rain-v1")
    assert first.requeue_at is not None
    world.carry_out(first)
    assert ready(world, "rain-v1") == ("False", "StoreUnavailable")
    world.settle()
    assert ready(world, "rain-v1") == ("True", "Serving")
    assert len(world.names("Job")) == 2


def test_versions_that_are_being_deleted_count_for_nothing() -> None:
    """Neither do they serve, nor do they own, nor is their status written."""
    leaving = a_version(2, metadata={"deletionTimestamp": "2026-01-10T12:00:00Z"})
    assert plan(a_view(leaving)) == Plan()
    assert [key.name for key in plan(a_view(a_version(1), leaving)).statuses] == ["rain-v1"]


def test_the_manifest_of_a_large_stage() -> None:
    """Replicas are those of the stage of the version that serves."""
    promotion = {"stages": [{"name": "production", "replicas": 3}]}
    world = a_world(merged_version(promotion))
    assert world.objects[Key("Deployment", "team", "rain-production")]["spec"]["replicas"] == 3


def merged_version(promotion: dict[str, Any]) -> ModelVersion:
    return ModelVersion.model_validate(merged(a_version().dump(), {"spec": {"promotion": promotion}}))
