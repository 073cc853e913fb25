"""What users and the installation say of pods reaches every kind of them, and nothing that nobody allowed does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from mlops.api import tasks
from mlops.api.conditions import find
from mlops.api.pod_template import PodTemplate
from mlops.api.training_run import Resolved
from mlops.planning.dataset import planner as dataset_planner
from mlops.planning.dataset.manifests import content_digest, ingest_job, refresh_cron_job, removal_job
from mlops.planning.monitor import planner as monitor_planner
from mlops.planning.monitor.manifests import Read, check_job, cron_job
from mlops.planning.plan import Key, Plan, Settings
from mlops.planning.pod_policy import PodPolicy
from mlops.planning.serving.manifests import deployment, verify_job
from mlops.planning.training import run as run_planner
from mlops.planning.training.manifests import training_job
from mlops.planning.training.recipe import recipe_digest
from mlops.planning.views import DatasetView, DriftMonitorView, TrainingRunView
from tests.api.objects import VALID
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_container_run,
    a_dataset,
    a_monitor,
    a_run,
    a_template,
    a_verify_report,
    a_version,
    digest,
)
from tests.planning.limits import check_child
from tests.planning.world import World

TEMPLATE: dict[str, Any] = VALID["monitor"]["spec"]["podTemplate"]
ALL = PodPolicy(*[("*",)] * len(fields(PodPolicy)))
OPEN = replace(SETTINGS, pod_policy=ALL)
RESOLVED = Resolved(
    dataset_version=1, dataset_digest=digest("d"), dataset_artifact=digest("a"), environment_digest=digest("e")
)
STAGES = {"stages": [{"name": "production", "podTemplate": TEMPLATE}]}
READ = Read("rain-v1", digest("1"))


def _version(template: Any) -> Any:
    return a_version(spec={"promotion": {"stages": [{"name": "production", "podTemplate": template}]}})


def _training(settings: Settings, run: Any) -> Any:
    return training_job(settings, run, RESOLVED, digest("1"), 0, verifying=False)


Make = Callable[[Settings, Any], Any]
MAKERS: dict[str, Make] = {
    "ingest": lambda s, t: ingest_job(
        s, a_dataset(spec={"podTemplate": t}), as_of="2026-01-10T12:00:00Z", attempt=0, captures=False
    ),
    "refresh": lambda s, t: refresh_cron_job(
        s, a_dataset(spec={"podTemplate": t}), schedule="0 * * * *", time_zone=None, suspend=False, captures=False
    ),
    "removal": lambda s, t: removal_job(
        s, a_dataset(spec={"podTemplate": t}), [digest("a")], "2026-01-10T12:00:00Z", 0
    ),
    "training": lambda s, t: _training(s, a_run(spec={"podTemplate": t})),
    "own code": lambda s, t: _training(s, a_container_run(spec={"podTemplate": t})),
    "verification": lambda s, t: verify_job(s, _version(t), digest("1"), attempt=0),
    "server": lambda s, t: deployment(s, _version(t), digest("1"), "production", [_version(t)], "2026-01-10T12:00:00Z"),
    "checks": lambda s, t: cron_job(s, a_monitor(spec={"podTemplate": t}), READ, suspend=False),
    "check": lambda s, t: check_job(
        s, a_monitor(spec={"podTemplate": t}), READ, asked="x", as_of="2026-01-10T12:00:00Z"
    ),
}
EVERY = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in MAKERS.items()])


def pod_of(child: Any) -> Any:
    """Return the pod template of a child."""
    return child["spec"].get("jobTemplate", child)["spec"]["template"]


def ours(pod: Any) -> list[Any]:
    """Return the containers that run a task of ours."""
    every = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
    return [each for each in every if any(one["name"] == "MLOPS_TASK" for one in each["env"])]


@EVERY
def test_it_reaches_every_kind_of_pod(make: Make) -> None:
    """Nodes, taints, affinity, spread, classes, account, pull secrets, labels, annotations and variables."""
    child = make(OPEN, TEMPLATE)
    check_child(child)
    pod = pod_of(child)
    spec = pod["spec"]
    for field in (
        "nodeSelector",
        "tolerations",
        "affinity",
        "priorityClassName",
        "runtimeClassName",
        "serviceAccountName",
        "imagePullSecrets",
    ):
        assert spec[field] == TEMPLATE[field], field
    (spread,) = spec["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert len(spread["labelSelector"]["matchLabels"]) == 2
    assert TEMPLATE["labels"].items() <= pod["metadata"]["labels"].items()
    assert TEMPLATE["annotations"].items() <= pod["metadata"]["annotations"].items()
    assert all(TEMPLATE["env"][0] in each["env"] for each in ours(pod))


@EVERY
def test_what_no_list_allows_reaches_no_pod(make: Make) -> None:
    """Without the administrator's word there is no other identity, label, annotation, variable or class."""
    closed, plain = pod_of(make(SETTINGS, TEMPLATE)), pod_of(make(SETTINGS, None))
    assert closed["metadata"] == plain["metadata"]
    assert [each["env"] for each in ours(closed)] == [each["env"] for each in ours(plain)]
    assert not {"serviceAccountName", "priorityClassName", "runtimeClassName"} & closed["spec"].keys()
    assert closed["spec"]["nodeSelector"] == TEMPLATE["nodeSelector"]


@EVERY
def test_what_is_ours_is_never_replaced(make: Make) -> None:
    """Labels that selectors and policies go by, the task, keys and the numeric environment, whatever a list says."""
    fixed = {each["name"]: each for each in ours(pod_of(make(OPEN, None)))[0]["env"]}
    names = [name for name in fixed if not name.startswith("MLOPS_")]
    said = PodTemplate.model_construct(
        labels={"app.kubernetes.io/component": "x", "mlops.dev/stage": "x"},
        annotations={"mlops.dev/artifact": "x"},
    )
    template = PodTemplate.model_validate({"env": [{"name": name, "value": "x"} for name in names]})
    defaults = template.evolve(labels=said.labels, annotations=said.annotations)
    pod, plain = pod_of(make(replace(OPEN, pod_defaults=defaults), template.dump())), pod_of(make(OPEN, None))
    assert plain["metadata"]["labels"].items() <= pod["metadata"]["labels"].items()
    assert [each["env"] for each in ours(pod)] == [each["env"] for each in ours(plain)]


@EVERY
def test_defaults_lie_under_what_an_object_says(make: Make) -> None:
    """Maps are merged, taints added, one class stands in the place of the other."""
    given = {"nodeSelector": {"zone": "a", "pool": "cpu"}, "tolerations": [{"key": "a", "operator": "Exists"}]}
    settings = replace(OPEN, pod_defaults=PodTemplate.model_validate({**given, "runtimeClassName": "gvisor"}))
    own = {"nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "b", "operator": "Exists"}]}
    spec = pod_of(make(settings, own))["spec"]
    assert spec["nodeSelector"] == {"zone": "a", "pool": "gpu"}
    assert [each["key"] for each in spec["tolerations"]] == ["a", "b"]
    assert spec["runtimeClassName"] == "gvisor"
    assert pod_of(make(settings, {"runtimeClassName": "kata"}))["spec"]["runtimeClassName"] == "kata"


@EVERY
def test_the_cluster_chooses_the_user_where_none_is_fixed(make: Make) -> None:
    """OpenShift refuses a pod that names one."""
    pod = pod_of(make(replace(SETTINGS, pod_user=None), None))
    assert "65532" not in str(pod)
    contexts = [pod["spec"]["securityContext"], *(each["securityContext"] for each in ours(pod))]
    assert not [each for each in contexts if {"runAsUser", "runAsGroup", "fsGroup"} & each.keys()]
    assert all(each["runAsNonRoot"] for each in contexts)


def test_the_account_of_all_pods_is_not_given_to_a_users_code() -> None:
    """It may open the store. One that the run names is the administrator's word for that account."""
    settings = replace(OPEN, pod_defaults=PodTemplate(service_account_name="store"))
    assert pod_of(MAKERS["training"](settings, None))["spec"]["serviceAccountName"] == "store"
    assert "serviceAccountName" not in pod_of(MAKERS["own code"](settings, None))["spec"]
    named = pod_of(MAKERS["own code"](settings, {"serviceAccountName": "reader"}))
    assert named["spec"]["serviceAccountName"] == "reader"


def test_a_users_container_gets_no_variable_of_the_template() -> None:
    """Its own are a part of the run's inputs."""
    pod = pod_of(MAKERS["own code"](OPEN, {"env": [{"name": "HTTPS_PROXY", "value": "x"}]}))
    (trainer,) = (each for each in pod["spec"]["initContainers"] if each["name"] == "trainer")
    assert "HTTPS_PROXY" not in [each["name"] for each in trainer["env"]]


def test_devices_are_requested_as_they_are_limited() -> None:
    """An API server refuses a device that is not, and one without a limit."""
    run = a_run(spec={"resources": {"limits": {"nvidia.com/gpu": "2"}}})
    (container,) = pod_of(_training(SETTINGS, run))["spec"]["containers"]
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "2"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert container["resources"]["requests"]["cpu"] == "150m"


def test_it_is_a_part_of_no_digest() -> None:
    """An edit makes no Dataset be read again and no template retrain; the pod's task does not speak of it."""
    said = {"podTemplate": TEMPLATE, "resources": {"limits": {"cpu": "3"}}}
    assert content_digest(a_dataset(spec=said)) == content_digest(a_dataset())
    assert recipe_digest(a_template(spec=said)) == recipe_digest(a_template())
    (container,) = pod_of(MAKERS["ingest"](OPEN, TEMPLATE))["spec"]["containers"]
    task = next(each["value"] for each in container["env"] if each["name"] == "MLOPS_TASK")
    assert "podTemplate" not in task


def _said(plan: Plan) -> tuple[str, str]:
    (status,) = plan.statuses.values()
    ready = find(status.conditions, "Ready")
    assert ready is not None
    assert "'reader' is not among podPolicy.serviceAccountNames of the installation" in ready.message
    return ready.status, ready.reason


def test_no_work_starts_that_the_installation_does_not_allow() -> None:
    """It is said what, where, and whom to ask; with the administrator's word it goes on."""
    account = {"podTemplate": {"serviceAccountName": "reader"}}
    source = DatasetView(NOW, SETTINGS, a_dataset(spec=account | {"refresh": {"schedule": "0 * * * *"}}))
    plan = dataset_planner.plan(replace(source, dataset=_seen(dataset_planner.plan(source), source.dataset)))
    assert _said(plan) == ("False", "PodForbidden")
    assert not plan.create
    assert all(each["spec"]["suspend"] for each in plan.apply)
    assert dataset_planner.plan(replace(source, settings=OPEN)).create
    training = TrainingRunView(NOW, SETTINGS, a_run(spec=account))
    training = replace(training, run=_seen(run_planner.plan(training), training.run))
    assert _said(run_planner.plan(training)) == ("False", "PodForbidden")
    checks = DriftMonitorView(NOW, SETTINGS, a_monitor(spec=account))
    checks = replace(checks, monitor=_seen(monitor_planner.plan(checks), checks.monitor))
    assert _said(monitor_planner.plan(checks)) == ("False", "PodForbidden")


def _seen(plan: Plan, resource: Any) -> Any:
    """Return the object as it is after its very first plan, which only says that it was seen."""
    (status,) = plan.statuses.values()
    return resource.evolve(status=status)


def _served(stage: Any) -> World:
    world = World(lambda task: a_verify_report() if isinstance(task, tasks.VerifyTask) else None)
    world.put(a_version(spec={"promotion": {"stages": [{"name": "production", **stage}]}}))
    world.settle()
    return world


def _ready(world: World) -> tuple[str, str]:
    found = find(world.get("ModelVersion", "rain-v1").status.conditions, "Ready")
    assert found is not None
    return found.status, found.reason


def test_a_server_goes_on_without_what_is_not_allowed() -> None:
    """An edit, or a list that got shorter, takes nothing down that answers; the version says so."""
    world = _served({"podTemplate": {"serviceAccountName": "reader"}})
    assert _ready(world) == ("False", "PodForbidden")
    assert world.get("ModelVersion", "rain-v1").status.stages == ("production",)
    assert "serviceAccountName" not in str(world.objects[Key("Deployment", "team", "rain-production")])


HPA = Key("HorizontalPodAutoscaler", "team", "rain-production")
SERVER = Key("Deployment", "team", "rain-production")
SCALED = {"autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilization": 70}}


def test_an_autoscaled_stage_has_one_owner_of_its_number_of_pods() -> None:
    """The operator makes the autoscaler and writes no spec.replicas."""
    world = _served(SCALED)
    spec = world.objects[HPA]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "rain-production"}
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert world.objects[HPA]["metadata"]["ownerReferences"] == world.objects[SERVER]["metadata"]["ownerReferences"]
    version = a_version(spec={"promotion": {"stages": [{"name": "production", **SCALED}]}})
    assert "replicas" not in deployment(SETTINGS, version, digest("1"), "production", [version], "x")["spec"]


def test_an_autoscaler_by_concurrency_asks_for_the_metric_of_the_pods() -> None:
    """As the API of HorizontalPodAutoscalers has it, to the letter."""
    world = _served({"autoscaling": {"minReplicas": 1, "maxReplicas": 5, "targetConcurrency": 30}})
    pods = {
        "metric": {"name": "mlops_concurrent_requests"},
        "target": {"type": "AverageValue", "averageValue": "30"},
    }
    assert world.objects[HPA]["spec"]["metrics"] == [{"type": "Pods", "pods": pods}]


def test_an_autoscaler_goes_when_it_is_no_longer_wanted() -> None:
    """By its own deletion: nobody else takes it, and it would go on scaling."""
    world = _served(SCALED)
    assert HPA in world.objects
    edited = world.get("ModelVersion", "rain-v1")
    stage = edited.spec.promotion.stages[0].evolve(autoscaling=None)
    spec = edited.spec.evolve(promotion=edited.spec.promotion.evolve(stages=(stage,)))
    world.put(edited.evolve(spec=spec, metadata=edited.metadata.model_copy(update={"generation": 2})))
    world.now += timedelta(minutes=1)
    world.settle()
    assert HPA not in world.objects
    assert world.objects[SERVER]["spec"]["replicas"] == 1


def test_external_autoscalers_are_left_alone() -> None:
    """KEDA makes its own; the operator neither makes one nor writes the number."""
    external = {"autoscaling": {"autoscalerClass": "External", "minReplicas": 0}}
    world = _served(external)
    assert HPA not in world.objects
    assert _ready(world) == ("True", "Serving")


def test_a_version_stays_ready_while_it_is_scaled() -> None:
    """Each number of pods is a new generation of the Deployment, which its controller takes in a little later."""
    world = _served({"autoscaling": SCALED["autoscaling"] | {"minReplicas": 1}})
    assert _ready(world) == ("True", "Serving")
    server = world.objects[SERVER]
    server["spec"]["replicas"] = 4
    server["metadata"]["generation"] = server["metadata"].get("generation", 1) + 1
    for plan in world.plans():
        world.carry_out(plan)
    assert _ready(world) == ("True", "Serving")


def test_an_edit_of_its_pods_is_no_fault_of_a_version_that_has_served() -> None:
    """Pods that no node fits say nothing of the model: it stays the stage's, and what answers goes on."""
    world = _served({})
    world.troubled_stages["production"] = {"unschedulable": "0/1 nodes are available"}
    nowhere = {"nodeSelector": {"example.com/pool": "none"}}
    world.change("ModelVersion", "rain-v1", promotion={"stages": [{"name": "production", "podTemplate": nowhere}]})
    world.settle()
    world.now += timedelta(hours=3)
    world.settle()
    version = world.get("ModelVersion", "rain-v1")
    assert version.status.failures == ()
    assert world.objects[SERVER]["spec"]["template"]["spec"]["nodeSelector"] == nowhere["nodeSelector"]
    world.troubled_stages.clear()
    world.settle()
    assert _ready(world) == ("True", "Serving")
