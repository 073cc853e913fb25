"""What a monitor's window is compared with: the version of a Dataset is pinned, or said why there is none."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.planning.monitor.planner import plan
from tests.planning.builders import a_dataset, a_monitor, a_versioned_dataset, digest, merged
from tests.planning.monitor.test_drift_monitor import a_view, after, said
from tests.planning.monitor.test_label_sources import pod_of, task_of


def compared_with(**reference: Any) -> Any:
    return a_monitor(spec={"reference": reference})


def test_training_data_needs_nothing_pinned() -> None:
    """Left out, the task says nothing of a reference: an upgrade changes no CronJob."""
    task = task_of(pod_of(plan(a_view()))["containers"][0])
    assert not {"reference", "referenceDataset"} & task.keys()


@pytest.mark.parametrize(
    ("ref", "want"),
    [
        pytest.param({"name": "weather"}, 3, id="the current version"),
        pytest.param({"name": "weather", "version": 1}, 1, id="a version that stays"),
    ],
)
def test_the_version_of_the_dataset_is_pinned(ref: dict[str, Any], want: int) -> None:
    """By number, digest and address: what the check reads is what the status names."""
    view = a_view(compared_with(datasetRef=ref), reference_dataset=a_versioned_dataset(3))
    task = task_of(pod_of(plan(view))["containers"][0])
    pinned = {"name": "weather", "version": want, "digest": digest(str(want)), "artifact": digest("a")}
    assert task["referenceDataset"] == pinned


def removed(version: int) -> Any:
    """Return the Dataset with a version that its retention has removed."""
    dataset = a_versioned_dataset(3).dump()
    for entry in dataset["status"]["history"]:
        if entry["version"] == version:
            entry["removed"] = {"at": "2026-01-01T00:00:00Z"}
    return a_versioned_dataset(3, **merged({}, {"status": dataset["status"]}))


@pytest.mark.parametrize(
    ("dataset", "want"),
    [
        pytest.param(None, "DatasetNotFound", id="there is none"),
        pytest.param(a_dataset(), "DatasetNotReady", id="it has no version"),
        pytest.param(a_versioned_dataset(1), "DatasetVersionNotFound", id="it has not that version"),
        pytest.param(removed(2), "DatasetVersionRemoved", id="that version was removed"),
    ],
)
def test_without_its_reference_no_check_is_made(dataset: Any, want: str) -> None:
    """The monitor says why, and goes on when there is one."""
    monitor = compared_with(datasetRef={"name": "weather", "version": 2})
    view = after(after(a_view(monitor, reference_dataset=dataset)))
    assert plan(view).apply == ()
    assert said(view)[1] == want
    healed = after(view, reference_dataset=a_versioned_dataset(3))
    assert said(healed)[1] == "WaitingForFirstCheck"


def test_a_version_that_has_left_the_history_is_compared_with_as_it_was_found() -> None:
    """A Dataset has its newest hundred versions on record; the bytes of one that is named stay."""
    monitor = compared_with(datasetRef={"name": "weather", "version": 2})
    view = after(a_view(monitor, reference_dataset=a_versioned_dataset(3)))
    pinned = view.monitor.status.reference_dataset
    assert pinned is not None
    assert (pinned.name, pinned.version, pinned.digest) == ("weather", 2, digest("2"))
    later = a_versioned_dataset(9)
    entries = [entry for entry in later.status.history if entry.version > 4]
    later = later.evolve(status=later.status.evolve(history=tuple(entries)))
    left = after(after(view, reference_dataset=later))
    assert said(left)[1] == "WaitingForFirstCheck"
    task = task_of(pod_of(plan(left))["containers"][0])
    assert task["referenceDataset"] == pinned.dump()
    other = after(a_view(compared_with(datasetRef={"name": "weather", "version": 3}), reference_dataset=later))
    assert said(after(other))[1] == "DatasetVersionNotFound"


def test_a_version_that_is_the_current_one_is_not_put_on_record() -> None:
    """It is another one with the next sync."""
    view = after(a_view(compared_with(datasetRef={"name": "weather"}), reference_dataset=a_versioned_dataset(3)))
    assert view.monitor.status.reference_dataset is None
