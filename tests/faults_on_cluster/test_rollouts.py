"""What becomes of requests while pods of a model come and go: an image that comes late, pods deleted and evicted, a
node that is busy. Somebody asks fifty times a second; not one request may go without its answer."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e_cluster.conftest import CHART, RELEASE, SYSTEM
from tests.e2e_cluster.kubectl import condition
from tests.faults_on_cluster import example
from tests.faults_on_cluster.asking import Asking
from tests.faults_on_cluster.conftest import Cluster
from tests.faults_on_cluster.example import DATASET, RUN
from tests.faults_on_cluster.place import Place

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("cluster"),
]

SERVING = "mlops.dev/stage=production"
RATE = 50
# Five minutes are asked for; fewer while working on this.
PULL_SECONDS = int(os.environ.get("MLOPS_PULL_SECONDS", "300"))
BUSY_SECONDS = 60
WORKLOADS = "docker.io/library/mlops-workloads"


def serving(there: Place, replicas: int = 1) -> None:
    """Have a model served, which has been through everything: a version with a number of pods."""
    staged = f"  register: {{modelName: parts, promotion: {{stages: [{{name: production, replicas: {replicas}}}]}}}}"
    there.apply(f"{DATASET}---{RUN.replace('  register: {modelName: parts}', staged)}")
    example.ready(there, RUN)


def ready_pods(there: Place) -> set[str]:
    """The names of the pods that take requests and are to stay."""
    pods = (pod for pod in there.list("pods", SERVING) if "deletionTimestamp" not in pod["metadata"])
    return {pod["metadata"]["name"] for pod in pods if condition(pod, "Ready").get("status") == "True"}


def evict(there: Place, pod: str) -> bool:
    """Ask as a drain does; returns whether the pod may go."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": there.name}}
    path = f"/api/v1/namespaces/{there.name}/pods/{pod}/eviction"
    return there.run("create", "--raw", path, "-f", "-", given=json.dumps(eviction)).returncode == 0


@pytest.mark.parametrize("how", ["deleted", "evicted"])
def test_the_only_pod_of_a_stage_may_go(cluster: Cluster, how: str) -> None:
    """It answers on until the next one does."""
    with cluster.place(f"lone {how}") as there:
        serving(there)
        (pod,) = ready_pods(there)
        with Asking(there, rate=RATE) as asking:
            time.sleep(3)
            if how == "deleted":
                there("delete", "pod", pod, "--wait=false")
            else:
                there.takes("the eviction is granted", lambda: evict(there, pod), 30)
            took = there.takes("another pod is ready", lambda: ready_pods(there) - {pod}, 240)
            there.takes("the first is gone", lambda: there.find("pod", pod) is None, 240)
            time.sleep(3)
        assert asking.failed == []
        print(f"{how}: {asking.answered} requests answered, the next pod ready after {took:.1f} s")


def test_both_pods_of_a_stage_are_never_evicted_together(cluster: Cluster) -> None:
    """A drain asks for both; the second may go when the first has a successor."""
    with cluster.place("two evicted") as there:
        serving(there, replicas=2)
        there.takes("two pods are ready", lambda: len(ready_pods(there)) == 2, 240)
        first, second = sorted(ready_pods(there))
        with Asking(there, rate=RATE) as asking:
            time.sleep(3)
            there.takes("the first eviction is granted", lambda: evict(there, first), 30)
            assert not evict(there, second), "both were evicted together"
            took = there.takes("the second eviction is granted", lambda: evict(there, second), 240)
            there.takes("two others are ready", lambda: len(ready_pods(there) - {first, second}) == 2, 240)
            time.sleep(3)
        assert asking.failed == []
        print(f"{asking.answered} requests answered, the second eviction granted after {took:.1f} s")


def test_a_busy_node_drops_no_request(cluster: Cluster) -> None:
    """Two pods beside the model do nothing but use up processors, as batch work does that asks for what ours does."""
    with cluster.place("busy") as there:
        serving(there)
        (pod,) = ready_pods(there)
        image = there.get("pod", pod)["spec"]["containers"][0]["image"]
        there.apply("\n---\n".join(json.dumps(_loop(name, image)) for name in ("one", "two")))
        for name in ("one", "two"):
            there.takes(f"{name} runs", lambda name=name: there.get("pod", name)["status"]["phase"] == "Running", 120)
        with Asking(there, rate=RATE) as asking:
            time.sleep(BUSY_SECONDS)
        assert asking.failed == []
        status = there.get("pod", pod)["status"]["containerStatuses"][0]
        assert (status["restartCount"], ready_pods(there)) == (0, {pod})
        print(f"{asking.answered} requests answered in {BUSY_SECONDS} s beside two busy loops")


def _loop(name: str, image: str) -> dict[str, object]:
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "loop",
        "image": image,
        "command": ["python", "-c", "while True: pass"],
        "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}},
        "securityContext": security,
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_an_image_that_comes_late_costs_no_request_and_no_version(cluster: Cluster) -> None:
    """An upgrade names an image that the node does not get for minutes. The pods that answer stay, the version stays,
    the condition says why; then the new pods take over."""
    with cluster.place("late image") as there:
        serving(there)
        # A second version, so that there is an older one to fall back to.
        second = RUN.replace("metadata: {name: parts}", "metadata: {name: second}").replace("seed: 1", "seed: 2")
        there.apply(second.replace("{name: LogisticRegression}", '{name: LogisticRegression, params: {C: "0.5"}}'))
        live = there.ready("modelversion", "parts-v2")
        assert live["status"]["stages"] == ["production"]
        (pod,) = ready_pods(there)
        image = there.get("pod", pod)["spec"]["containers"][0]["image"]
        tag = f"late-{time.monotonic_ns() % 100_000}"
        with Asking(there, rate=RATE) as asking, _upgraded(cluster, tag):
            start = time.monotonic()
            said = there.says("modelversion", "parts-v2", "ImagePull", 240)
            assert "its other pods answer" in said["message"], said
            while time.monotonic() - start < PULL_SECONDS:
                time.sleep(5)
                status = there.get("modelversion", "parts-v2")["status"]
                assert (status["stages"], status["failedStages"]) == (["production"], []), status
                assert ready_pods(there) == {pod}
                assert asking.failed == []
            assert condition(there.get("modelversion", "parts-v2"), "Ready")["reason"] == "ImagePull"
            assert condition(there.get("modelversion", "parts-v1"), "Ready")["reason"] == "Superseded"
            command = ["ctr", "--address", str(cluster.runtime), "--namespace", "k8s.io", "images", "tag", "--force"]
            names = (f"docker.io/library/{image}", f"{WORKLOADS}:{tag}")
            subprocess.run([*command, *names], check=True, capture_output=True)
            took = there.takes("the new pod takes over", lambda: ready_pods(there) not in (set(), {pod}), 600)
            there.takes("the old pod is gone", lambda: there.find("pod", pod) is None, 240)
            there.ready("modelversion", "parts-v2")
            (after,) = ready_pods(there)
            assert there.get("pod", after)["spec"]["containers"][0]["image"].endswith(tag)
            time.sleep(3)
        assert asking.failed == []
        print(
            f"{asking.answered} requests answered, {PULL_SECONDS} s without the image, taken over {took:.0f} s after it"
        )


@contextmanager
def _upgraded(cluster: Cluster, tag: str) -> Iterator[None]:
    """Upgrade the release to another tag of the workload image, and back."""
    upgrade = ("upgrade", RELEASE, str(CHART), "-n", SYSTEM, "--wait", "--timeout", "4m")
    cluster.world.helm(*upgrade, "--reset-then-reuse-values", "--set", f"workloadsImage.tag={tag}")
    try:
        yield
    finally:
        cluster.world.helm(*upgrade, "--reset-then-reuse-values", "--set", "workloadsImage.tag=")
