"""What a person asks for by the annotation `mlops.dev/retry`: to try again what failed, now."""

from __future__ import annotations

from mlops.api import labels
from mlops.api.dataset import Dataset
from mlops.api.drift_monitor import DriftMonitor
from mlops.api.model_version import ModelVersion
from mlops.api.training_run import TrainingRun

LONGEST = 256


def wanted(resource: Dataset | TrainingRun | ModelVersion | DriftMonitor) -> str | None:
    """Return the annotation's text if it asks for a retry that was not acted on yet, None if it does not.

    Any text that differs from the one in the status asks: a time, a ticket, a person's name.
    """
    text = resource.metadata.annotations.get(labels.RETRY, "")[:LONGEST]
    return text if text and text != resource.status.retried else None
