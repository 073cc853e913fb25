"""The versions of Datasets that a monitor's checks read."""

from __future__ import annotations

from mlops.api import tasks
from mlops.api.dataset import Dataset
from mlops.api.reasons import Reason
from mlops.planning import readiness as say
from mlops.planning.ownership import is_leaving
from mlops.planning.readiness import Readiness
from mlops.planning.training.removed import removed_message, versions_of
from mlops.planning.views import DriftMonitorView


def label_dataset(view: DriftMonitorView) -> tasks.PinnedDataset | Readiness | None:
    """Return the version that labels come from, or why there is none yet; None: none is asked for."""
    name = view.monitor.spec.labels.dataset
    if name is None:
        return None
    return _pinned(view, view.label_dataset, name, "spec.labels.sources[].datasetRef")


def reference_dataset(view: DriftMonitorView) -> tasks.PinnedDataset | Readiness | None:
    """Return the version that the window is compared with, or why there is none; None: none is asked for."""
    wanted = view.monitor.spec.reference
    ref = wanted.dataset_ref if wanted else None
    if ref is None:
        return None
    return _pinned(view, view.reference_dataset, ref.name, "spec.reference.datasetRef", ref.version)


def _pinned(
    view: DriftMonitorView, dataset: Dataset | None, name: str, field: str, version: int | None = None
) -> tasks.PinnedDataset | Readiness:
    """Return the version of the Dataset, the current one if none is named."""
    if dataset is None or is_leaving(dataset):
        return say.waiting(
            Reason.DATASET_NOT_FOUND,
            f'{field}: Dataset "{name}" not found in namespace "{view.monitor.metadata.namespace}": make it, and the '
            "checks go on",
        )
    number = dataset.status.version if version is None else version
    found = next((entry for entry in dataset.status.history if entry.version == number), None)
    if found is not None and found.removed is not None:
        return say.waiting(
            Reason.DATASET_VERSION_REMOVED, f"{field}: {removed_message(dataset, found.version, found.removed)}"
        )
    if found is not None:
        return tasks.PinnedDataset(name=name, version=found.version, digest=found.digest, artifact=found.artifact)
    if (known := _left_the_history(view, dataset, version)) is not None:
        return known
    if version is None or not dataset.status.history:
        return say.in_progress(
            Reason.DATASET_NOT_READY, f'{field}: Dataset "{name}" has no version yet: the checks wait for it'
        )
    return say.waiting(
        Reason.DATASET_VERSION_NOT_FOUND,
        f'{field}: Dataset "{name}" has no version {version}; its versions: {versions_of(dataset)}',
    )


def _left_the_history(view: DriftMonitorView, dataset: Dataset, version: int | None) -> tasks.PinnedDataset | None:
    """Return a version that the Dataset has no record of any more, as the monitor has it on its own; its bytes stay."""
    known = view.monitor.status.reference_dataset
    oldest = min((entry.version for entry in dataset.status.history), default=0)
    if known is None or version is None or version >= oldest:
        return None
    return known if (known.name, known.version) == (dataset.metadata.name, version) else None


def on_record(view: DriftMonitorView) -> tasks.PinnedDataset | None:
    """Return what is to be remembered of the version that the spec names; nothing of one that is the current one."""
    wanted, found = view.monitor.spec.reference, reference_dataset(view)
    if wanted is None or wanted.dataset_ref is None or wanted.dataset_ref.version is None:
        return None
    known = view.monitor.status.reference_dataset
    kept = known if known and (known.name, known.version) == (wanted.dataset, wanted.dataset_ref.version) else None
    return found if isinstance(found, tasks.PinnedDataset) else kept


def waits_for(view: DriftMonitorView) -> Readiness | None:
    """Return why no check can be made, though a version is live; None: it can."""
    found = (label_dataset(view), reference_dataset(view))
    return next((each for each in found if isinstance(each, Readiness)), None)
