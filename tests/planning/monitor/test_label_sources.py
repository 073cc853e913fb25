"""A monitor whose labels come from elsewhere: who reads them with whose keys, and which version of a Dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mlops.planning.monitor.planner import plan
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest, Plan
from tests.planning.builders import a_dataset, a_monitor, a_versioned_dataset
from tests.planning.monitor.test_drift_monitor import a_view, after, said, started

DELIVERED = {"s3": {"uri": "s3://truth/rain/", "secretRef": {"name": "truth"}, "format": "GroundTruthJSONL"}}
WEB = {"http": {"url": "https://example.com/truth.csv", "secretRef": {"name": "web"}, "format": "csv"}}
OF_DATASET = {"datasetRef": {"name": "outcomes"}, "within": "2d"}


def judged_by(*sources: dict[str, Any]) -> Any:
    return a_monitor(spec={"labels": {"sources": list(sources)}})


def outcomes(version: int = 1) -> Any:
    return a_versioned_dataset(version, metadata={"name": "outcomes"})


def pod_of(planned: Plan) -> Manifest:
    [cron] = planned.apply
    spec: Manifest = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def task_of(container: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(e["value"] for e in container["env"] if e["name"] == "MLOPS_TASK"))
    return found


def test_the_cron_job_of_delivered_labels(golden: Callable[[str, Plan], None]) -> None:
    """A container reads each delivered source before the check; the Dataset's version is pinned."""
    view = a_view(judged_by({"feedback": {}}, DELIVERED, OF_DATASET), label_dataset=outcomes())
    golden("monitor-label-sources", plan(view))


def test_only_the_container_of_a_source_has_its_keys() -> None:
    """The check itself, which has the store's, never sees them, nor does one source those of another."""
    pod = pod_of(plan(a_view(judged_by({"feedback": {}}, DELIVERED, WEB))))
    secrets = {
        each["name"]: [one["secretRef"]["name"] for one in each["envFrom"] if one.get("prefix") == "SOURCE_"]
        for each in (*pod["initContainers"], *pod["containers"])
    }
    assert secrets == {"labels-1": ["truth"], "labels-2": ["web"], "main": []}


def test_feedback_alone_is_one_container() -> None:
    """Named or left out: nothing else has to run."""
    assert "initContainers" not in pod_of(plan(a_view(judged_by({"feedback": {}}))))
    assert task_of(pod_of(plan(a_view()))["containers"][0])["labels"] == {"maxDelay": "0s", "minCoverage": "0.2"}


def test_a_new_version_of_the_dataset_is_what_the_next_check_reads() -> None:
    """Its current one, whatever the model was trained on."""
    found = [
        task_of(pod_of(plan(a_view(judged_by(OF_DATASET), label_dataset=outcomes(n))))["containers"][0])["labelDataset"]
        for n in (1, 2)
    ]
    assert [each["version"] for each in found] == [1, 2]
    assert found[0]["digest"] != found[1]["digest"]


@pytest.mark.parametrize(
    ("dataset", "want"),
    [
        pytest.param(None, "DatasetNotFound", id="there is none"),
        pytest.param(a_dataset(metadata={"name": "outcomes"}), "DatasetNotReady", id="it has no version"),
    ],
)
def test_a_check_waits_for_the_dataset_and_goes_on(dataset: Any, want: str) -> None:
    """No check is made that could not find its labels, not even one that a person asks for."""
    asked = a_monitor(metadata={"annotations": {"mlops.dev/retry": "now"}}, spec={"labels": {"sources": [OF_DATASET]}})
    view = a_view(asked, label_dataset=dataset)
    assert (plan(view).apply, plan(view).create) == ((), ())
    view = after(after(view))
    assert said(view)[1] == want
    assert said(after(view, label_dataset=outcomes()))[1] == "WaitingForFirstCheck"


def test_a_cron_job_rests_while_its_dataset_is_away() -> None:
    """As it does while no version is live."""
    monitor = judged_by(OF_DATASET)
    view = started(monitor, label_dataset=outcomes())
    [cron] = plan(view).apply
    [resting] = plan(after(view, label_dataset=None, cron_job=cron)).apply
    assert resting["spec"]["suspend"] is True
    assert key_of(monitor).name == "rain-drift"
