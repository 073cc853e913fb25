"""A pod that does not start is told where the user looks, and forgotten when it starts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mlops.api import labels
from mlops.api.dataset import DatasetStatus
from mlops.engine.gather import Gatherer
from mlops.engine.metrics import Counters
from mlops.engine.reconcile import Reconciler
from mlops.engine.waiting import trouble_of
from mlops.local.clock import VirtualClock
from mlops.planning.plan import Key, Manifest, Plan, Settings
from tests.engine.objects import NotedCluster, a_dataset

RAIN = Key("Dataset", "default", "rain")


def a_pod(status: Manifest, name: str = "rain-1-abc", dataset: str = "rain") -> Manifest:
    own = labels.standard("ingest", dataset, dataset=dataset)
    metadata = {"name": name, "namespace": "default", "labels": own}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": status}


def waits(reason: str, message: str = "why") -> Manifest:
    container = {"name": "main", "image": "example.com/none:1"}
    return {
        "phase": "Pending",
        "containerStatuses": [{**container, "state": {"waiting": {"reason": reason, "message": message}}}],
    }


NO_NODE = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}
    ],
}


def in_progress(cluster: NotedCluster, ready: str = "Unknown") -> Plan:
    common = {"reason": "Ingesting", "message": "reading", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    conditions = [{"type": "Ready", "status": ready, **common}, {"type": "Reconciling", "status": "True", **common}]
    status = DatasetStatus.model_validate({"observedGeneration": 1, "conditions": conditions})
    return Plan(statuses={RAIN: status})


@pytest.fixture
def reconcile(cluster: NotedCluster, clock: VirtualClock) -> Any:
    cluster.by_user(a_dataset())

    async def run(ready: str = "Unknown") -> Manifest:
        planners: dict[str, Any] = {"Dataset": lambda _: in_progress(cluster, ready)}
        await Reconciler(cluster, Gatherer(cluster, Settings(), clock), planners, clock, Counters()).reconcile(RAIN)
        conditions = cluster.now("Dataset", "rain")["status"]["conditions"]
        return {each["type"]: each for each in conditions}

    return run


@pytest.mark.parametrize(
    ("status", "reason", "says"),
    [
        pytest.param(waits("ImagePullBackOff"), "ImagePull", "example.com/none:1", id="no such image"),
        pytest.param(waits("ErrImagePull"), "ImagePull", "why", id="the first failure already"),
        pytest.param(waits("InvalidImageName"), "ImagePull", "InvalidImageName", id="no image's name"),
        pytest.param(
            waits("CreateContainerConfigError", 'secret "keys" not found'),
            "ContainerConfig",
            'secret "keys" not found',
            id="a Secret that is not there",
        ),
        pytest.param(NO_NODE, "Unschedulable", "0/1 nodes are available", id="no node fits"),
    ],
)
async def test_the_reason_stands_in_ready(
    cluster: NotedCluster, reconcile: Any, status: Manifest, reason: str, says: str
) -> None:
    cluster.by_user(a_pod({}))
    cluster.set_status(Key("Pod", "default", "rain-1-abc"), status)
    conditions = await reconcile()
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("False", reason)
    assert says in conditions["Ready"]["message"]
    assert (conditions["Reconciling"]["status"], conditions["Reconciling"]["reason"]) == ("True", reason)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(waits("ImagePullBackOff"), "ImagePull", id="the image can be pulled"),
        pytest.param(waits("CreateContainerConfigError"), "ContainerConfig", id="the Secret is there"),
        pytest.param(NO_NODE, "Unschedulable", id="there is room"),
    ],
)
async def test_a_pod_that_starts_after_all_takes_it_back(
    cluster: NotedCluster, reconcile: Any, status: Manifest, reason: str
) -> None:
    cluster.by_user(a_pod({}))
    cluster.set_status(Key("Pod", "default", "rain-1-abc"), status)
    assert (await reconcile())["Ready"]["reason"] == reason
    cluster.set_status(Key("Pod", "default", "rain-1-abc"), {"phase": "Running"})
    assert (await reconcile())["Ready"]["reason"] == "Ingesting"


async def test_it_is_said_once_and_taken_back(cluster: NotedCluster, clock: VirtualClock, reconcile: Any) -> None:
    pod = Key("Pod", "default", "rain-1-abc")
    cluster.by_user(a_pod({}))
    cluster.set_status(pod, waits("ImagePullBackOff"))
    first = await reconcile()
    clock.advance(clock.now() + timedelta(minutes=5))
    assert await reconcile() == first
    assert len(cluster.writes) == 1
    cluster.set_status(pod, {"phase": "Running"})
    assert (await reconcile())["Ready"]["reason"] == "Ingesting"


@pytest.mark.parametrize(
    ("pod", "ready"),
    [
        pytest.param(a_pod(waits("ContainerCreating")), "Unknown", id="a pod that starts"),
        pytest.param(a_pod({**waits("ImagePullBackOff"), "phase": "Failed"}), "Unknown", id="a pod that is over"),
        pytest.param(a_pod(waits("ImagePullBackOff"), dataset="sun"), "Unknown", id="another object's pod"),
        pytest.param(a_pod(waits("ImagePullBackOff")), "True", id="an object that is ready all the same"),
    ],
)
async def test_nothing_else_is_touched(cluster: NotedCluster, reconcile: Any, pod: Manifest, ready: str) -> None:
    cluster.by_user({**pod, "status": {}})
    cluster.set_status(Key("Pod", "default", "rain-1-abc"), pod["status"])
    assert (await reconcile(ready))["Ready"]["reason"] == "Ingesting"


def test_the_pod_of_a_check_is_no_trouble_of_the_version_that_it_checks(cluster: NotedCluster) -> None:
    """It carries the version's name, and works for the monitor."""
    pod = a_pod(NO_NODE)
    pod["metadata"]["labels"] = labels.standard("drift", "watch", monitor="watch", model_version="rain-v1")
    cluster.by_user(pod)
    cluster.set_status(Key("Pod", "default", "rain-1-abc"), NO_NODE)
    assert trouble_of(Key("ModelVersion", "default", "rain-v1"), cluster) is None
    found = trouble_of(Key("DriftMonitor", "default", "watch"), cluster)
    assert found is not None
    assert found.reason == "Unschedulable"
