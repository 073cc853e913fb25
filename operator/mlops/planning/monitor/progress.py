"""How far the checks of a monitor have come: its status, and what the newest of them says."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.api.conditions import Condition
from mlops.api.drift_monitor import DriftMonitorStatus

# Whether the newest check came to a verdict.
CHECKED = "Checked"

LABELS_AVAILABLE = "LabelsAvailable"

DATA_DRIFT = "DataDriftDetected"

CONCEPT_DRIFT = "ConceptDriftDetected"

TRIGGERED = "RetrainingTriggered"

OWN = (CHECKED, LABELS_AVAILABLE, DATA_DRIFT, CONCEPT_DRIFT, TRIGGERED)

# Of verdicts in the status.
LONGEST_HISTORY = 100


@dataclass(frozen=True)
class Progress:
    """The status after some of the checks, and what the newest of them says."""

    status: DriftMonitorStatus
    own: dict[str, Condition]
