"""The types of conditions. Without pydantic: small processes name reasons, and parse no object."""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """What a condition of one of the four kinds may observe: three as kstatus reads them, and those of the kinds."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    # A Dataset.
    VERSIONED = "Versioned"
    VALIDATED = "Validated"
    FRESH = "Fresh"
    WITHIN_RETENTION = "WithinRetention"
    # A TrainingRun; its gates and those of a ModelVersion.
    DATASET_READY = "DatasetReady"
    SUCCEEDED = "Succeeded"
    GATES_PASSED = "GatesPassed"
    REPRODUCIBLE = "Reproducible"
    # A ModelVersion.
    ARTIFACT_VERIFIED = "ArtifactVerified"
    APPROVED = "Approved"
    CANARY_HEALTHY = "CanaryHealthy"
    AVAILABLE = "Available"
    SUPERSEDED = "Superseded"
    ROLLED_BACK = "RolledBack"
    # A DriftMonitor.
    CHECKED = "Checked"
    LABELS_AVAILABLE = "LabelsAvailable"
    DATA_DRIFT = "DataDriftDetected"
    CONCEPT_DRIFT = "ConceptDriftDetected"
    RETRAINING_TRIGGERED = "RetrainingTriggered"
