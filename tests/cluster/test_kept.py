"""What of an object is kept in memory."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from mlops.api import labels
from mlops.cluster.kept import Keeper
from mlops.engine.cluster import owners_of
from mlops.engine.waiting import trouble_of
from mlops.planning.plan import Key, Manifest
from mlops.planning.serving.server_pods import server_pod
from tests.engine.objects import a_run

OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": "u", "controller": True}


def a_child(kind: str, spec: Manifest, status: Manifest) -> Manifest:
    metadata = {
        "name": "train",
        "namespace": "team",
        "uid": "one",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-10T12:00:00Z",
        "generation": 1,
        "labels": {labels.RUN: "rain", labels.MANAGED_BY: labels.MANAGER, "batch.kubernetes.io/job-name": "train"},
        "annotations": {"kept": "yes", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        "ownerReferences": [OWNER],
        "managedFields": [{"manager": "kubectl"}],
    }
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec, "status": status}


def a_pod(phase: str, state: Manifest) -> Manifest:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
    status = {"phase": phase, "podIP": "10.0.0.1", "conditions": [scheduled, {"type": "Ready", "status": "False"}]}
    container = {"name": "main", "image": "workloads:1", "imageID": "x", "state": state, "restartCount": 0}
    return a_child("Pod", {"containers": []}, {**status, "containerStatuses": [container]})


def kept(manifest: Manifest) -> Manifest:
    before = copy.deepcopy(manifest)
    found = Keeper().kept(manifest)
    assert manifest == before, "it belongs to whoever gave it"
    return found


def test_a_job_keeps_what_tells_how_it_ended() -> None:
    """Its end and its limits, which stand in messages; whose it is."""
    resources = {"limits": {"memory": "1Gi"}}
    container = {"name": "main", "image": "x", "env": [{"name": "MLOPS_TASK", "value": "long"}], "resources": resources}
    spec = {"activeDeadlineSeconds": 60, "backoffLimit": 2, "template": {"spec": {"containers": [container]}}}
    end = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "lastTransitionTime": "t", "message": "m"}
    job = kept(a_child("Job", spec, {"failed": 1, "completionTime": "t", "conditions": [end]}))
    containers = [{"name": "main", "image": "x", "resources": resources}]
    assert job["spec"] == {"activeDeadlineSeconds": 60, "template": {"spec": {"containers": containers}}}
    assert job["status"]["completionTime"] == "t"
    assert job["status"]["conditions"] == [{name: end[name] for name in end if name != "message"}]
    assert [(owner["kind"], owner["name"], owner["uid"]) for owner in owners_of(job)] == [("Job", "train", "u")]
    assert job["metadata"]["annotations"]["kept"] == "yes"
    assert "managedFields" not in job["metadata"]


def test_a_pod_keeps_its_last_words() -> None:
    said = {"exitCode": 2, "reason": "Error", "message": "no such column", "finishedAt": "t"}
    pod = kept(a_pod("Failed", {"terminated": {**said, "containerID": "containerd://1"}}))
    assert pod["status"] == {"phase": "Failed", "containerStatuses": [{"state": {"terminated": said}}]}
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "train"


@pytest.mark.parametrize(
    ("state", "want"),
    [
        pytest.param({"waiting": {"reason": "ImagePullBackOff", "message": "m"}}, "ImagePull", id="image"),
        pytest.param({"running": {"startedAt": "t"}}, None, id="running"),
    ],
)
def test_a_pod_that_does_not_start_keeps_why(state: Manifest, want: str | None) -> None:
    """The message is the same with what is kept as with the whole pod."""
    pod = a_pod("Pending", state)
    if want is not None:
        pod["status"]["conditions"] = []

    class Reader:
        def __init__(self, pod: Manifest) -> None:
            self.pod = pod

        def list(self, *_: Any) -> list[Manifest]:
            return [self.pod]

    whole, ours = (trouble_of(Key("TrainingRun", "team", "rain"), Reader(each)) for each in (pod, kept(pod)))  # type: ignore[arg-type]
    assert whole == ours
    assert ours is not None
    assert ours.reason == (want or "Unschedulable")


def test_an_object_of_a_user_is_kept_as_it_is() -> None:
    """But for what tools have noted in it."""
    run = a_run(metadata={"labels": {"team": "grid"}, "generation": 3, "managedFields": [], "uid": "u"})
    whole = {**run, "status": {"conditions": [{"type": "Ready", "status": "True"}], "attempts": 2}}
    found = kept(whole)
    assert found["metadata"].pop("managedFields", None) is None
    del whole["metadata"]["managedFields"]
    assert found == whole


def test_a_thousand_objects_have_the_same_texts_and_the_same_recipe() -> None:
    """Read from a thousand answers, kept once."""
    keeper = Keeper()
    text = json.dumps(a_run("rain", metadata={"labels": {"a-label": "a-value"}}))
    one, two = (keeper.kept(json.loads(text)) for _ in range(2))
    assert one["spec"]["trainer"] is two["spec"]["trainer"]
    (first, second) = (next(iter(each["metadata"]["labels"].items())) for each in (one, two))
    assert first[0] is second[0]
    assert first[1] is second[1]


def test_a_pod_that_serves_keeps_what_it_says_of_its_model() -> None:
    """Whether it answers, and how its server ended the last time: what a plan reads, and no more."""
    end = {"exitCode": 2, "reason": "Error", "message": "said", "startedAt": "t", "finishedAt": "t"}
    pod = a_pod("Running", {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}})
    pod["metadata"]["labels"] |= {
        labels.STAGE: "production",
        labels.MODEL_VERSION: "rain-v1",
        labels.DIGEST: "1",
        labels.CANARY: "c",
    }
    container = pod["status"]["containerStatuses"][0]
    container |= {"name": "server", "lastState": {"terminated": {**end, "containerID": "x"}}, "started": False}
    again = kept(pod)
    assert server_pod(again) == server_pod(pod)
    assert again["status"]["containerStatuses"] == [
        {
            "name": "server",
            "image": "workloads:1",
            "started": False,
            "restartCount": 0,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            "lastState": {"terminated": end},
        }
    ]
    running = a_pod("Running", {"running": {"startedAt": "2026-01-10T12:00:00Z"}})
    running["metadata"]["labels"] = pod["metadata"]["labels"]
    assert server_pod(kept(running)) == server_pod(running)
