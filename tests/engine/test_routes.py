"""From an object that changed to the keys that have to be looked at."""

from __future__ import annotations

import pytest

from mlops.engine.routes import keys_of
from mlops.planning.plan import Key, Manifest
from tests.engine.objects import (
    DIGEST,
    NotedCluster,
    a_child,
    a_dataset,
    a_monitor,
    a_run,
    a_version,
)

TEMPLATE_LABELS = {"labels": {"mlops.dev/template": "rain-template"}}


def key(kind: str, name: str) -> Key:
    return Key(kind, "default", name)


def captures_of(model: str) -> Manifest:
    fields = [{"name": "x", "type": "float64"}, {"name": "t", "type": "timestamp", "role": "timestamp"}]
    return {"source": {"captured": {"modelName": model, "window": "30d"}}, "fields": fields}


@pytest.mark.parametrize(
    ("changed", "others", "want"),
    [
        pytest.param(a_dataset(), [], {key("Dataset", "rain")}, id="an object wakes itself"),
        pytest.param(a_version(), [], {key("Model", "rain")}, id="a version wakes its model"),
        pytest.param(
            a_child("Job", "j", dataset="rain"), [], {key("Dataset", "rain")}, id="a child wakes its owner by its label"
        ),
        pytest.param(a_child("Deployment", "d", model="rain"), [], {key("Model", "rain")}, id="a server its model"),
        pytest.param(
            a_dataset(),
            [a_run("on-it"), a_run("on-another", datasetRef={"name": "snow"})],
            {key("Dataset", "rain"), key("TrainingRun", "on-it")},
            id="a Dataset wakes the runs on it",
        ),
        pytest.param(
            a_dataset("outcomes"),
            [
                a_monitor(labels={"sources": [{"feedback": {}}, {"datasetRef": {"name": "outcomes"}}]}),
                a_monitor("other", labels={"sources": [{"datasetRef": {"name": "rain"}}]}),
            ],
            {key("Dataset", "outcomes"), key("DriftMonitor", "watch")},
            id="a Dataset wakes the monitors whose labels come of it",
        ),
        pytest.param(
            a_run(metadata=TEMPLATE_LABELS, datasetRef={"name": "rain", "notBefore": "2026-11-21T00:00:00Z"}),
            [a_monitor(), a_monitor("other", trainingRunRef={"name": "other-template"})],
            {
                key("TrainingRun", "rain-1"),
                key("TrainingRun", "rain-template"),
                key("Dataset", "rain"),
                key("DriftMonitor", "watch"),
            },
            id="a run wakes its template, the Dataset whose refresh it waits for, and who made it",
        ),
        pytest.param(
            a_run(),
            [a_version("by-run", source={"trainingRunRef": {"name": "rain-1"}}, modelName="umbrella")],
            {key("TrainingRun", "rain-1"), key("Model", "umbrella")},
            id="a run wakes the model that waits for its output, and no Dataset that it takes as it is",
        ),
        pytest.param(
            a_version(lineage={"trainingRun": "rain-1"}),
            [
                a_monitor(),
                a_dataset("loop", **captures_of("rain")),
                a_dataset("elsewhere", **captures_of("snow")),
            ],
            {
                key("Model", "rain"),
                key("TrainingRun", "rain-1"),
                key("DriftMonitor", "watch"),
                key("Dataset", "loop"),
            },
            id="a version wakes its run, the monitors of its model and the Datasets of its captures",
        ),
        pytest.param({**a_dataset(), "spec": None}, [], {key("Dataset", "rain")}, id="what does not parse has routes"),
    ],
)
def test_routes(cluster: NotedCluster, changed: Manifest, others: list[Manifest], want: set[Key]) -> None:
    for manifest in others:
        cluster.by_user(manifest)
    assert keys_of(changed, cluster) == want


def test_a_pod_wakes_the_owner_of_its_job(cluster: NotedCluster) -> None:
    """The termination message is in the pod, and the Job's own event may have come before it."""
    cluster.create_as("test", a_child("Job", "train", run="rain-1"))
    labels = {"batch.kubernetes.io/job-name": "train"}
    pod = {"kind": "Pod", "metadata": {"name": "p", "namespace": "default", "labels": labels}}
    assert keys_of(pod, cluster) == {key("TrainingRun", "rain-1")}


def test_a_run_wakes_those_that_wait_for_the_same_result(cluster: NotedCluster) -> None:
    for name in ("twin", "stranger"):
        cluster.by_user(a_run(name))
    status = {"inputsDigest": DIGEST}
    cluster.set_status(key("TrainingRun", "twin"), status)
    cluster.set_status(key("TrainingRun", "stranger"), {"inputsDigest": "sha256:" + "b" * 64})
    woken = keys_of({**a_run(), "status": status}, cluster)
    assert key("TrainingRun", "twin") in woken
    assert key("TrainingRun", "stranger") not in woken


def test_what_is_over_is_left_alone(cluster: NotedCluster) -> None:
    """A thousand finished runs are not looked at whenever their Dataset or a run like them changes; a template is."""
    over = {
        "type": "Ready",
        "status": "True",
        "reason": "R",
        "message": "",
        "lastTransitionTime": "2026-01-10T12:00:00Z",
    }
    failed = {**over, "type": "Stalled"}
    triggers = {"triggers": [{"datasetVersion": {}}]}
    for name, condition, spec in (
        ("open", {**over, "status": "Unknown"}, {}),
        ("over", over, {}),
        ("failed", failed, {}),
        ("template", over, triggers),
    ):
        cluster.by_user(a_run(name, **spec))
        cluster.set_status(key("TrainingRun", name), {"inputsDigest": DIGEST, "conditions": [condition]})
    woken = {key("TrainingRun", name) for name in ("open", "template")}
    assert keys_of(a_dataset(), cluster) == {key("Dataset", "rain")} | woken
    assert keys_of({**a_run(), "status": {"inputsDigest": DIGEST}}, cluster) == {key("TrainingRun", "rain-1")} | woken


def test_events_wake_nobody(cluster: NotedCluster) -> None:
    """Else every reconcile would cause the next one."""
    event = {"kind": "Event", "metadata": {"name": "e", "namespace": "default", "labels": {"mlops.dev/run": "r"}}}
    assert keys_of(event, cluster) == set()
