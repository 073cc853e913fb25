"""Real objects to write: those that planners make, those of the examples, and every kind's valid ones."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mlops.engine.events import events_of
from tests.api.objects import VALID

Manifest = dict[str, Any]

_TESTS = Path(__file__).resolve().parents[2]
_EXAMPLES = _TESTS.parent / "examples"
_NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
OURS = ("Dataset", "TrainingRun", "ModelVersion", "DriftMonitor")


@cache
def manifests() -> dict[str, list[Manifest]]:
    """By kind; those of one kind differ in more than their names."""
    found: dict[str, list[Manifest]] = {}
    for manifest in [*VALID.values(), *_planned(), *_examples()]:
        bare = {key: value for key, value in manifest.items() if key != "status"}
        found.setdefault(bare["kind"], []).append(bare)
    found["Pod"] = [_pod(job) for job in found["Job"]]
    found["Lease"] = [_lease("a"), _lease("b")]
    found["Event"] = _events()
    return found


@cache
def statuses() -> dict[str, list[Manifest]]:
    """By kind: statuses that the operator and the controllers write."""
    found: dict[str, list[Manifest]] = {kind: [] for kind in OURS}
    for plan in _plans():
        for address, status in (plan.get("statuses") or {}).items():
            found[address.split("/")[0]].append(status)
    condition = {
        "status": "True",
        "lastProbeTime": "2026-01-10T12:00:00Z",
        "lastTransitionTime": "2026-01-10T12:00:00Z",
    }
    started = {"startTime": "2026-01-10T12:00:00Z"}
    met = {**condition, "type": "SuccessCriteriaMet", "reason": "CompletionsReached"}
    doomed = {**condition, "type": "FailureTarget", "reason": "BackoffLimitExceeded"}
    found["Job"] = [
        {**started, "active": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}},
        {**started, "active": 1, "ready": 1, "terminating": 0, "uncountedTerminatedPods": {}},
        {**started, "succeeded": 1, "terminating": 0, "conditions": [met], "uncountedTerminatedPods": {}},
        {
            **started,
            "succeeded": 1,
            "completionTime": "2026-01-10T12:05:00Z",
            "conditions": [met, {**condition, "type": "Complete", "reason": "CompletionsReached"}],
            "uncountedTerminatedPods": {},
        },
        {**started, "failed": 3, "conditions": [doomed], "uncountedTerminatedPods": {}},
        {
            **started,
            "failed": 3,
            "conditions": [doomed, {**condition, "type": "Failed", "reason": "BackoffLimitExceeded"}],
            "uncountedTerminatedPods": {},
        },
    ]
    found["Deployment"] = [
        {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1},
        {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1},
        {
            "observedGeneration": 2,
            "replicas": 1,
            "conditions": [
                {
                    "type": "Available",
                    "status": "True",
                    "reason": "MinimumReplicasAvailable",
                    "lastUpdateTime": "2026-01-10T12:00:00Z",
                    "lastTransitionTime": "2026-01-10T12:00:00Z",
                }
            ],
        },
    ]
    found["CronJob"] = [
        {"lastScheduleTime": "2026-01-10T12:00:00Z"},
        {"active": [{"kind": "Job", "name": "one", "namespace": "<ns>", "apiVersion": "batch/v1"}]},
    ]
    found["Pod"] = [
        {"phase": "Running", "startTime": "2026-01-10T12:00:00Z", "podIP": "10.0.0.7"},
        {"phase": "Succeeded", "containerStatuses": [_ended("main", 0)]},
        {"phase": "Failed", "reason": "Evicted", "message": "out of disk", "containerStatuses": [_ended("main", 2)]},
        {
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node fits"}
            ],
        },
    ]
    return found


def _plans() -> list[Manifest]:
    return [yaml.safe_load(path.read_text("utf-8")) for path in sorted((_TESTS / "planning" / "golden").glob("*.yaml"))]


def _planned() -> list[Manifest]:
    return [child for plan in _plans() for child in [*(plan.get("apply") or ()), *(plan.get("create") or ())]]


def _examples() -> list[Manifest]:
    files = sorted(_EXAMPLES.glob("*/*.yaml"))
    documents = [document for path in files for document in yaml.safe_load_all(path.read_text("utf-8"))]
    return [document for document in documents if document and document.get("kind") in OURS]


def _pod(job: Manifest) -> Manifest:
    template = job["spec"]["template"]
    metadata = {"name": job["metadata"]["name"], "labels": template["metadata"]["labels"]}
    # Of a class admission asks whether there is one: none is served here.
    spec = {name: value for name, value in template["spec"].items() if name != "priorityClassName"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, "nodeName": "node"}}


def _lease(holder: str) -> Manifest:
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-10T12:00:00.000000Z",
        "renewTime": "2026-01-10T12:00:00.123456Z",
        "leaseTransitions": 0,
    }
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "lease"}, "spec": spec}


def _events() -> list[Manifest]:
    found = []
    for plan in _plans():
        for address, status in (plan.get("statuses") or {}).items():
            kind, namespace, name = address.split("/")
            metadata = {"name": name, "namespace": namespace, "uid": "1234"}
            present = {"apiVersion": "mlops.dev/v1alpha1", "kind": kind, "metadata": metadata}
            found += events_of(present, status, _NOW)
    for event in found:
        event["regarding"]["namespace"] = "<ns>"
    return found


def _ended(container: str, code: int) -> Manifest:
    terminated = {
        "exitCode": code,
        "reason": "Completed" if code == 0 else "Error",
        "message": '{"ok":true}',
        "startedAt": "2026-01-10T12:00:00Z",
        "finishedAt": "2026-01-10T12:01:00Z",
    }
    return {
        "name": container,
        "image": "workloads",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": terminated},
    }
