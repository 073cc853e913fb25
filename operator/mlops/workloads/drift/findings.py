"""What the checks found, as plain values that the report and the page are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlops.api.drift_monitor import Check, Verdict
from mlops.api.metrics import Metric
from mlops.workloads.drift.baseline import Baseline

Kind = Literal["numeric", "categorical"]
Result = Literal["Detected", "NotDetected", "Inconclusive"]


@dataclass(frozen=True)
class Segment:
    """The rows of the window in which a column has a value."""

    column: str
    value: str
    rows: int

    @property
    def shown(self) -> str:
        """How a message calls it."""
        return f"{self.column} = {self.value}"


@dataclass(frozen=True)
class Finding:
    """One check's answer with the numbers that it rests on; `segment` is where it detected if the whole is stable."""

    check: Check
    result: Result
    message: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    segment: Segment | None = None


@dataclass(frozen=True)
class FeatureComparison:
    """One input, reference against window.

    `effect` is the Wasserstein distance in standard deviations of the reference, or the Jensen-Shannon distance of
    categories; None when the window has no value of it. `outside_share` counts values far beyond the reference's range.
    """

    name: str
    kind: Kind
    effect: float | None
    statistic: float | None
    p_value: float | None
    missing_reference: float
    missing_current: float
    missing_p_value: float
    unseen_share: float
    unseen_p_value: float
    outside_share: float


@dataclass(frozen=True)
class Shift:
    """A feature's answer to one check: corrected p-value, and how the reference's own windows compare, where needed."""

    feature: FeatureComparison
    p_value: float
    baseline: Baseline | None
    drifted: bool


@dataclass(frozen=True)
class Pair:
    """Two inputs whose rank correlation moved; the p-value is corrected over all pairs."""

    one: str
    other: str
    reference: float
    current: float
    p_value: float


@dataclass(frozen=True)
class JointPair:
    """Two inputs, numbers or categories, and the change of a correlation of functions of them."""

    one: str
    other: str
    change: float


@dataclass(frozen=True)
class Joint:
    """Whether inputs go together as they did: `statistic` is the largest change of a pair in standard errors.

    `limit` is what the reference's own windows allow it, None with fewer than three; `auc` how well a classifier tells
    held-out rows of reference and window apart. `looked_at` are inputs; `left_out` wander too slowly. A second opinion,
    which decides nothing: `reconstruction` is the mean error (reference, window) from principal components.
    """

    statistic: float
    p_value: float
    limit: float | None
    auc: float
    pairs: tuple[JointPair, ...]
    looked_at: int
    left_out: int
    rows: int
    drifted: bool
    reconstruction: tuple[float, float] | None = None


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """The metric in a part of the window that ends at `end` (RFC 3339)."""

    start: str
    end: str
    rows: int
    value: Estimate


@dataclass(frozen=True)
class DropParts:
    """Where a drop comes from."""

    identifiable: bool
    covariate: Estimate | None
    concept: Estimate | None
    concept_p_value: float | None
    ess: float | None
    domain_auc: float | None


@dataclass(frozen=True)
class Challenge:
    """A model refitted on parts of the window against the served one on the other parts; `gain` > 0: it is better."""

    served: float
    refitted: float
    gain: Estimate
    p_value: float
    rows: int


@dataclass(frozen=True)
class CalibrationShift:
    """Whether a map of the scores, which keeps their order, is all that a moved relation takes (`alone`).

    `metric` on the reference, in the window as it was served, and there as mapped by what the other half of the rows
    says. Rankings are ROC areas, or of numbers rank correlations. `obstacle` is why the live model takes no map.
    """

    alone: bool
    metric: Metric
    reference: float
    current: float
    restored: float
    ranking_reference: float
    ranking_current: float
    rows: int
    since: str
    obstacle: str | None = None


@dataclass(frozen=True)
class Detection:
    """A change that a sequential detector saw in the loss, at the time of the row that convinced it."""

    detector: str
    time: str


@dataclass(frozen=True)
class Performance:
    """The metric on the reference's held-out rows and on the live version's labelled rows of the window."""

    metric: str
    higher_is_better: bool
    rows_reference: int
    rows_current: int
    reference: Estimate
    current: Estimate
    drop: Estimate
    p_value: float
    series: tuple[Point, ...] = ()
    # Second opinions on when the loss changed; they decide nothing, for their false alarms are not bounded by alpha.
    detections: tuple[Detection, ...] = ()


@dataclass(frozen=True)
class MeasuredBeside:
    """Estimate and measured value of the same labelled rows. `better` is measured less estimate, positive where the
    model does better than was estimated; `drop` is how much worse the measured value is than the reference's."""

    rows: int
    estimate: float
    measured: Estimate
    better: Estimate
    drop: float


@dataclass(frozen=True)
class PerformanceEstimate:
    """The metric of the window as estimated without its labels, against that measured on the reference's held-out rows.

    `learnt` says how probabilities were calibrated, or what learnt the losses.
    """

    metric: str
    higher_is_better: bool
    method: Literal["CBPE", "DLE"]
    learnt: str
    rows_reference: int
    rows_current: int
    reference: Estimate
    current: Estimate
    drop: Estimate
    min_drop: float
    p_value: float
    measured: MeasuredBeside | None = None


@dataclass(frozen=True)
class Decision:
    """Everything that a check found."""

    verdict: Verdict
    sentence: str
    findings: tuple[Finding, ...]
    shifts: tuple[Shift, ...]
    performance: Performance | None
    estimated: PerformanceEstimate | None
    split: DropParts | None
    challenge: Challenge | None
    calibration: CalibrationShift | None
    change_point: str | None
    notes: tuple[str, ...]


def seed_of(*parts: object) -> int:
    """A seed that is the same for the same task, whatever ran before."""
    return int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:4], "big")
