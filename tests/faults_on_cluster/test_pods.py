"""What becomes of pods: killed, evicted, out of memory, without an image, without a node, crashing.

The faults run side by side, each in a namespace of its own; the two that concern the whole node come after them.
"""

from __future__ import annotations

import io
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import pytest

from mlops.store import Store
from mlops.store.layout import blob_key
from mlops.store.s3 import S3Bucket
from mlops.store.settings import s3_settings
from tests.e2e_cluster.conftest import SYSTEM
from tests.e2e_cluster.kubectl import condition, eventually
from tests.faults_on_cluster import example
from tests.faults_on_cluster.asking import Asking
from tests.faults_on_cluster.conftest import OPERATORS, Cluster
from tests.faults_on_cluster.example import DATASET, LOOP, RUN
from tests.faults_on_cluster.place import Place
from tests.faults_on_cluster.together import Fault, side_by_side

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("cluster"),
]

TOLD_SECONDS = 60.0
TRAINING = "mlops.dev/run=parts,batch.kubernetes.io/job-name"
SERVING = "mlops.dev/stage=production"
# What makes runs, and may be edited where a run may not.
TEMPLATE = f"{RUN}  triggers: [{{templateChange: {{}}}}]\n"


def evict(there: Place, pod: str) -> None:
    """What a drain of its node asks of a pod."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": there.name},
    }
    path = f"/api/v1/namespaces/{there.name}/pods/{pod}/eviction"
    there("create", "--raw", path, "-f", "-", given=json.dumps(eviction))


def evicted_in_training(there: Place) -> str:
    """F24: a training pod is evicted twice, more often than its backoffLimit allows failures: the Job goes on."""
    there.apply(f"{DATASET}---{example.slow_run(8)}  backoffLimit: 0\n")
    for _ in range(2):
        evict(there, there.pod(TRAINING)["metadata"]["name"])
    example.ready(there, RUN)
    (job,) = there.jobs(run="parts")
    assert job["status"].get("failed", 0) == 0
    assert job["status"]["succeeded"] == 1
    return "two evictions, one Job, no attempt counted"


def evicted_in_serving(there: Place) -> str:
    """F24: of two serving pods one after the other is evicted, and no request goes without its answer."""
    two = "  register: {modelName: parts, promotion: {stages: [{name: production, replicas: 2}]}}"
    there.apply(f"{DATASET}---{RUN.replace('  register: {modelName: parts}', two)}")
    example.ready(there, RUN)
    with Asking(there) as asking:
        time.sleep(2)
        for pod in [pod["metadata"]["name"] for pod in there.list("pods", SERVING)]:
            evict(there, pod)
            there.takes("two others are ready", lambda pod=pod: len(_ready_pods(there) - {pod}) == 2, 240)
        time.sleep(2)
    assert asking.failed == []
    return f"{asking.answered} of {asking.answered} requests answered"


def _ready_pods(there: Place) -> set[str]:
    pods = (pod for pod in there.list("pods", SERVING) if "deletionTimestamp" not in pod["metadata"])
    return {pod["metadata"]["name"] for pod in pods if condition(pod, "Ready").get("status") == "True"}


def out_of_memory(there: Place) -> str:
    """F25: the reason and the limit are shown, the Job's retries are kept to, and nothing is tried after them."""
    hungry = RUN.replace("metadata: {name: parts}", "metadata: {name: hungry}")
    there.apply(f"{DATASET}---{hungry}  resources: {{limits: {{memory: 48Mi}}}}\n  backoffLimit: 1\n")
    start = time.monotonic()
    said = there.says("trainingrun", "hungry", "OOMKilled", 300)
    took = time.monotonic() - start
    assert "48Mi" in said["message"], said
    assert condition(there.get("trainingrun", "hungry"), "Stalled")["status"] == "True"
    (job,) = there.jobs(run="hungry")
    assert job["status"]["failed"] == 2
    there.event("hungry", "OOMKilled")
    # The way out: a run with more.
    there.apply(RUN)
    example.ready(there, RUN)
    return f"told after {took:.0f} s and two pods: {said['message']}"


def no_image(there: Place, cluster: Cluster) -> str:
    """F26: the condition names the image within a minute; when the image is there, the same Job goes on."""
    name = "example.com/own-trainer:late"
    there.apply(f"{DATASET}---{example.slow_run(0).replace('example.com/own-trainer:1', name)}")
    there.takes("the image is missed", lambda: _waits_for_an_image(there), 240)
    start = time.monotonic()
    said = there.says("trainingrun", "parts", "ImagePull", TOLD_SECONDS)
    told = time.monotonic() - start
    assert name in said["message"], said
    there.event("parts", "ImagePull")
    command = ["ctr", "--address", str(cluster.runtime), "--namespace", "k8s.io", "images", "tag", "--force"]
    subprocess.run([*command, "example.com/own-trainer:1", name], check=True, capture_output=True)
    start = time.monotonic()
    example.ready(there, RUN, 600)
    assert len(there.jobs(run="parts")) == 1
    return f"told after {told:.0f} s, Ready {time.monotonic() - start:.0f} s after the image came"


def _waits_for_an_image(there: Place) -> bool:
    waiting = [
        each.get("state", {}).get("waiting", {}).get("reason", "")
        for pod in there.list("pods", TRAINING)
        for each in pod["status"].get("initContainerStatuses", ())
    ]
    return any("Image" in reason for reason in waiting)


def no_node(there: Place) -> str:
    """F28: a template that asks for more memory than any node has says so; edited, its next run is Ready."""
    there.apply(f"{DATASET}---{TEMPLATE}  resources: {{requests: {{memory: 465458732Gi}}}}\n")
    there.ready("dataset", "parts")
    start = time.monotonic()
    (run,) = eventually("a run of the template", lambda: _runs(there), 30)
    name = run["metadata"]["name"]
    said = there.says("trainingrun", name, "Unschedulable", TOLD_SECONDS)
    told = time.monotonic() - start
    assert "Insufficient memory" in said["message"], said
    there.event(name, "Unschedulable")
    there.apply(TEMPLATE)
    start = time.monotonic()
    there.ready("modelversion", "parts-v1")
    took = time.monotonic() - start
    there("delete", "trainingrun", name)
    there.takes("its Job and pod are gone", lambda: not there.list("jobs,pods", f"mlops.dev/run={name}"), 30)
    return f"told after {told:.0f} s, Ready {took:.0f} s after the edit"


def _runs(there: Place) -> list[dict[str, Any]]:
    return there.list("trainingruns.mlops.dev", "mlops.dev/template=parts")


def crashing_server(there: Place) -> str:
    """F27, F39: a version's bytes are changed in the store after it was verified. Its new pods refuse to serve them,
    the version before keeps serving; where it serves already, its pods are not disturbed. Mended, it goes live."""
    example.deploy(there)
    first = there.get("trainingrun", "parts")["status"]["outputDigest"]
    other = RUN.replace("seed: 1", "seed: 2").replace("metadata: {name: parts}", "metadata: {name: second}")
    staged = "  register: {modelName: parts, promotion: {stages: [{name: staging}]}}"
    there.apply(
        other.replace("  register: {modelName: parts}", staged).replace(
            "{name: LogisticRegression}", '{name: LogisticRegression, params: {C: "0.5"}}'
        )
    )
    second = there.ready("modelversion", "parts-v2")["status"]["artifact"]
    assert second != first
    staging = there.pod("mlops.dev/stage=staging")["metadata"]["uid"]
    key, right = _tampered(there, second)
    with Asking(there) as asking:
        stages = {"spec": {"promotion": {"stages": [{"name": "staging"}, {"name": "production"}]}}}
        there.patch("modelversion", "parts-v2", stages)
        start = time.monotonic()
        log = there.takes("a new pod says DigestMismatch", lambda: _said_by(there, "DigestMismatch"), 240)
        said = there.says("modelversion", "parts-v2", "DigestMismatch", 60)
        told = time.monotonic() - start
        assert "version 1 serves there" in said["message"], said
        live = there.ready("modelversion", "parts-v1")
        assert live["status"]["stages"] == ["production"]
    assert asking.failed == []
    assert there.pod("mlops.dev/stage=staging")["metadata"]["uid"] == staging
    there.event("parts-v2", "DigestMismatch")
    there.store.client().put_object("mlops", key, *_stream(right))
    # Any edit of the promotion has it tried again.
    stages["spec"]["promotion"]["stages"][1]["replicas"] = 2  # type: ignore[index]
    there.patch("modelversion", "parts-v2", stages)
    there.ready("modelversion", "parts-v2", 180)
    answered = f"{asking.answered} requests answered by version 1 meanwhile"
    return f"refused after {log:.0f} s, told after {told:.0f} s; {answered}"


def _said_by(there: Place, word: str) -> bool:
    """Whether a serving pod of the new version has left that word as its last."""
    for pod in there.list("pods", f"{SERVING},mlops.dev/model-version=parts-v2"):
        for each in pod["status"].get("containerStatuses", ()):
            for state in (each.get("state", {}), each.get("lastState", {})):
                if word in state.get("terminated", {}).get("message", ""):
                    return True
    return False


def _tampered(there: Place, artifact: str) -> tuple[str, bytes]:
    """Change one byte of the model of an artifact; returns its key and what was there."""
    store = Store(S3Bucket(s3_settings(there.store.environ()), "mlops"))
    entry = store.manifest(artifact).entry("model.onnx")
    assert entry is not None
    key = blob_key(entry.sha256)
    answer = there.store.client().get_object("mlops", key)
    right = answer.data
    answer.close()
    wrong = bytes([right[0] ^ 1]) + right[1:]
    there.store.client().put_object("mlops", key, *_stream(wrong))
    return key, right


def _stream(data: bytes) -> tuple[Any, int]:
    return io.BytesIO(data), len(data)


FAULTS: dict[str, Fault] = {
    "F27 F39 server crashes": crashing_server,
    "F24 evicted in training": evicted_in_training,
    "F24 evicted in serving": evicted_in_serving,
    "F25 out of memory": out_of_memory,
    "F28 no node": no_node,
}
IMAGE = "F26 no image"


@pytest.fixture(scope="module")
def outcomes(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[str]]]:
    faults = FAULTS | {IMAGE: lambda there: no_image(there, cluster)}
    with side_by_side(cluster, faults, request) as started:
        yield started


@pytest.mark.parametrize("fault", [pytest.param(name, id=name) for name in (*FAULTS, IMAGE)])
def test_it_ends_well(outcomes: Mapping[str, Future[str]], fault: str) -> None:
    """It is told what is wrong, and mended it goes on; nothing is done twice."""
    print(f"{fault}: {outcomes[fault].result()}")


def test_no_node_for_anybody(cluster: Cluster) -> None:
    """F24: the only node is cordoned while a training pod on it is evicted: told within a minute; uncordoned, Ready."""
    with cluster.place("F24 cordoned") as there:
        there.apply(f"{DATASET}---{example.slow_run(8)}")
        pod = there.pod(TRAINING)
        node = pod["spec"]["nodeName"]
        cluster.kubectl("cordon", node)
        try:
            evict(there, pod["metadata"]["name"])
            start = time.monotonic()
            said = there.says("trainingrun", "parts", "Unschedulable", TOLD_SECONDS)
            told = time.monotonic() - start
        finally:
            cluster.kubectl("uncordon", node)
        assert "unschedulable" in said["message"], said
        example.ready(there, RUN)
        assert len(there.jobs(run="parts")) == 1
        print(f"F24 cordoned: told after {told:.0f} s")


def test_operator_and_training_pod_go_together(cluster: Cluster, undisturbed: dict[str, Any]) -> None:
    """F23: both operators are killed and the pod of each Job is deleted at the same time: one Job each, one model."""
    with cluster.place("F23") as there:
        there.apply(LOOP)
        for label in ("dataset=parts", "run=parts", "model-version=parts-v1"):
            selector = f"mlops.dev/{label},batch.kubernetes.io/job-name"
            there.pod(selector)
            kill = ["delete", "pods", "--force", "--grace-period=0", "--wait=false"]
            cluster.kubectl(*kill, "-n", SYSTEM, "-l", OPERATORS)
            there("delete", "pods", "--wait=false", "-l", selector)
        start = time.monotonic()
        example.ready(there)
        took = time.monotonic() - start
        assert example.outcome(there) | {"jobs": example.jobs(there)} == undisturbed
        print(f"F23: Ready {took:.0f} s after the third time")


def test_nothing_of_it_surprised_the_operator(cluster: Cluster) -> None:
    """No traceback in a log, one restart at most."""
    assert cluster.surprises() == []
