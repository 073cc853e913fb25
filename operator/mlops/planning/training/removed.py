"""What a run is told whose version of the Dataset was removed by its retention."""

from __future__ import annotations

from mlops.api.dataset import Dataset
from mlops.api.reasons import Reason
from mlops.api.retention import Removal
from mlops.api.training_run import Resolved
from mlops.planning.views import TrainingRunView

# What a run says that was refused for it, and needs the version no more.
REFUSED = Reason.DATASET_VERSION_REMOVED


def removed_message(dataset: Dataset, number: int, removed: Removal) -> str:
    """Return that a version is there no more, and which are."""
    return (
        f'version {number} of Dataset "{dataset.metadata.name}" was removed at {removed.at} by its spec.retention; '
        f"its versions: {versions_of(dataset)}"
    )


def left_message(dataset: Dataset, number: int) -> str | None:
    """Return that a version has left the history of a Dataset whose older versions are removed; None if it has not."""
    oldest = min((entry.version for entry in dataset.status.history), default=number)
    if dataset.spec.retention is None or number >= oldest:
        return None
    return (
        f'version {number} of Dataset "{dataset.metadata.name}" is older than its history, which begins at {oldest} '
        f"and from which its spec.retention removes; its versions: {versions_of(dataset)}"
    )


def versions_of(dataset: Dataset) -> str:
    """Return the versions that a run may be pinned to, the oldest first."""
    return ", ".join(str(entry.version) for entry in reversed(dataset.status.history) if entry.removed is None)


def removed_meanwhile(view: TrainingRunView, resolved: Resolved) -> str | None:
    """Return why no Job may be made on what the run is pinned to: the version was removed; None if it was not.

    The operator that pinned the run did not know of the mark yet, or the run was over and is tried again.
    """
    if view.dataset is None:
        return None
    for entry in view.dataset.status.history:
        pinned = (entry.version, entry.artifact) == (resolved.dataset_version, resolved.dataset_artifact)
        if pinned and entry.removed is not None:
            return removed_message(view.dataset, entry.version, entry.removed)
    return left_message(view.dataset, resolved.dataset_version)
