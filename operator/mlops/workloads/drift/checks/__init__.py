"""The checks, each one object in a file of its own: what answers, what the answer means, what to do, how it ranks.

A new type is a file here, an entry in `ALL`, and its name in `api.drift_monitor.CheckType`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mlops.api.drift_monitor import CheckType
from mlops.workloads.drift.checks.concept_drift import ConceptDrift
from mlops.workloads.drift.checks.data_drift import DataDrift
from mlops.workloads.drift.checks.data_quality import DataQuality
from mlops.workloads.drift.checks.drift_check import DriftCheck
from mlops.workloads.drift.checks.label_shift import LabelShift
from mlops.workloads.drift.checks.performance_drop import PerformanceDrop
from mlops.workloads.drift.checks.prediction_drift import PredictionDrift

# By rank: of several that detect, the first one is the verdict.
ALL: tuple[DriftCheck, ...] = tuple(
    sorted(
        (DataQuality(), DataDrift(), PredictionDrift(), LabelShift(), PerformanceDrop(), ConceptDrift()),
        key=lambda each: each.rank,
    )
)
CHECKS: Mapping[CheckType, DriftCheck] = MappingProxyType({each.type: each for each in ALL})
