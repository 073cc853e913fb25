"""The versions of Datasets that a monitor's checks read."""

from __future__ import annotations

from mlops.api import tasks
from mlops.api.dataset import Dataset
from mlops.api.reasons import Reason
from mlops.planning import readiness as say
from mlops.planning.ownership import is_leaving
from mlops.planning.readiness import Readiness
from mlops.planning.views import DriftMonitorView


def label_dataset(view: DriftMonitorView) -> tasks.PinnedDataset | Readiness | None:
    """Return the version that labels come from, or why there is none yet; None: none is asked for."""
    name = view.monitor.spec.labels.dataset
    if name is None:
        return None
    return _pinned(view, view.label_dataset, name, "spec.labels.sources[].datasetRef")


def _pinned(view: DriftMonitorView, dataset: Dataset | None, name: str, field: str) -> tasks.PinnedDataset | Readiness:
    """Return the current version of the Dataset."""
    if dataset is None or is_leaving(dataset):
        return say.waiting(
            Reason.DATASET_NOT_FOUND,
            f'{field}: Dataset "{name}" not found in namespace "{view.monitor.metadata.namespace}": make it, and the '
            "checks go on",
        )
    found = next((entry for entry in dataset.status.history if entry.version == dataset.status.version), None)
    if found is None or found.removed is not None:
        return say.in_progress(
            Reason.DATASET_NOT_READY, f'{field}: Dataset "{name}" has no version yet: the checks wait for it'
        )
    return tasks.PinnedDataset(name=name, version=found.version, digest=found.digest, artifact=found.artifact)


def waits_for(view: DriftMonitorView) -> Readiness | None:
    """Return why no check can be made, though a version is live; None: it can."""
    found = label_dataset(view)
    return found if isinstance(found, Readiness) else None
