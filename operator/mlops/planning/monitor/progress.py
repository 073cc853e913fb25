"""How far the checks of a monitor have come: its status, and what the newest of them says."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.api.conditions import Condition, ConditionType
from mlops.api.drift_monitor import DriftMonitorStatus

# Whether the newest check came to a verdict.
CHECKED = ConditionType.CHECKED
LABELS_AVAILABLE = ConditionType.LABELS_AVAILABLE
DATA_DRIFT = ConditionType.DATA_DRIFT
CONCEPT_DRIFT = ConditionType.CONCEPT_DRIFT
TRIGGERED = ConditionType.RETRAINING_TRIGGERED

OWN = (CHECKED, LABELS_AVAILABLE, DATA_DRIFT, CONCEPT_DRIFT, TRIGGERED)

# Of verdicts in the status.
LONGEST_HISTORY = 100


@dataclass(frozen=True)
class MonitorProgress:
    """The status after some of the checks, and what the newest of them says."""

    status: DriftMonitorStatus
    own: dict[str, Condition]
