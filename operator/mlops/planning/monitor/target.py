"""The version that a monitor watches, and how it was made."""

from __future__ import annotations

from mlops.api.model_version import ModelVersion
from mlops.planning.liveness import live_in
from mlops.planning.monitor.manifests import Champion
from mlops.planning.training.children import trained_as
from mlops.planning.views import DriftMonitorView


def target_of(view: DriftMonitorView) -> ModelVersion | None:
    target = view.monitor.spec.target_ref
    live = live_in([v for v in view.versions if v.spec.model_name == target.model_name], target.stage)
    return live if live is not None and live.status.artifact is not None else None


def champion_of(view: DriftMonitorView) -> Champion:
    """Return how the live version was made: by its own record, or by the run of a version that has none."""
    target = target_of(view)
    lineage = (target.status.lineage or target.spec.lineage) if target else None
    if lineage is None or lineage.estimator is not None:
        return Champion(lineage.estimator, lineage.since) if lineage else Champion()
    run = next((run for run in view.runs if run.metadata.name == lineage.training_run), None)
    if run is None:
        return Champion(since=lineage.since)
    return Champion(trained_as(run), lineage.since or run.spec.dataset_ref.since)
