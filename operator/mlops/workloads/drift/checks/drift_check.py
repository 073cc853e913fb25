"""What a type of check is, and what the checks of one window share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from mlops.api.drift_monitor import Check, CheckType
from mlops.workloads.drift.estimation import Estimates
from mlops.workloads.drift.findings import CalibrationShift, Challenge, DropParts, Finding, PerformanceEstimate, Shift
from mlops.workloads.drift.inputs import Inputs
from mlops.workloads.drift.performance import Judged, Labelled
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.window import Window


@dataclass(frozen=True)
class Advice:
    """What a verdict means, and what the report says of it: what the operator does unless spec.actions says otherwise,
    and what a person should do."""

    tone: Literal["good", "open", "bad"]
    means: str
    operator: str
    person: str


@dataclass
class Evidence:
    """Reference and window, what was measured of them, and what is gathered beside the answers."""

    reference: Reference
    window: Window
    inputs: Inputs
    labelled: Labelled
    shifts: tuple[Shift, ...] = ()
    judged: Judged | None = None
    alpha: float = 0.0
    split: DropParts | None = None
    challenge: Challenge | None = None
    calibration: CalibrationShift | None = None
    estimates: Estimates | None = None
    estimated: PerformanceEstimate | None = None
    findings: list[Finding] = field(default_factory=list)

    def drop(self, check: Check) -> Judged | str:
        """The drop that a check asks for, or why it cannot be told; the report shows the first that is asked for."""
        judged = self.labelled.drop(check)
        if self.judged is None and not isinstance(judged, str):
            self.judged, self.alpha = judged, float(check.alpha)
        return judged

    def estimate(self, check: Check) -> PerformanceEstimate | str:
        """The estimate that a check asks for, or why there is none; the report shows the first that is asked for."""
        self.estimates = self.estimates or Estimates(self.labelled)
        found = self.estimates.of(check)
        if self.estimated is None and not isinstance(found, str):
            self.estimated = found
        return found


class DriftCheck(ABC):
    """A type of check. Without state: what it finds goes into its answer and the evidence."""

    type: ClassVar[CheckType]
    # How it answers its question, in a line of docs/drift.md.
    how: ClassVar[str]
    # Among checks that detect, the lowest is the verdict: what asks for more outranks what asks for less.
    rank: ClassVar[int]
    advice: ClassVar[Advice]
    # Whether `spec.checks[].metric` is what it measures.
    measures: ClassVar[bool] = False
    # Whether it cannot be answered without labels.
    needs_labels: ClassVar[bool] = False
    # Whether a window with fewer rows than minSamples may have it as its verdict.
    needs_no_rows: ClassVar[bool] = False

    @abstractmethod
    def answer(self, check: Check, evidence: Evidence) -> Finding:
        """Answer a check of a window with enough rows."""

    @abstractmethod
    def sentence(self, message: str, findings: Sequence[Finding]) -> str:
        """The verdict in a sentence; `message` is that of the check that detected, `findings` are all answers."""

    def answer_of_few(self, check: Check, window: Window, min_samples: int, few: str) -> Finding:
        """Answer a check of a window with fewer rows than minSamples, or of a reference with too `few`."""
        few = few or f"{window.counts.samples} rows in the window, minSamples is {min_samples}"
        return Finding(check, "Inconclusive", few)

    def is_explained(self, evidence: Evidence) -> bool:
        """Whether another check's answer explains this one, which is then no verdict."""
        return False
