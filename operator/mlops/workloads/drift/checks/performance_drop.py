"""Is the model worse than it was on the reference's held-out rows?"""

from __future__ import annotations

from collections.abc import Sequence

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.checks.drift_check import Advice, DriftCheck, Evidence
from mlops.workloads.drift.findings import Finding
from mlops.workloads.drift.performance import Judged, describe, numbers_of


class PerformanceDrop(DriftCheck):
    """Is the model worse than it was on the reference's held-out rows?"""

    type = "PerformanceDrop"
    how = "the metric on labelled rows against held-out rows, by block bootstrap"
    rank = 4
    advice = Advice(
        "bad",
        "the model is worse, and no check says why",
        "Nothing, unless spec.actions names PerformanceDrop.",
        "Add checks of type DataDrift, LabelShift and ConceptDrift, which tell the causes of a drop apart.",
    )
    measures = True
    needs_labels = True

    def answer(self, check: Check, evidence: Evidence) -> Finding:
        """Answer whether the drop is larger than minDrop."""
        return answer_of_drop(check, evidence.drop(check))

    def sentence(self, message: str, findings: Sequence[Finding]) -> str:
        """See DriftCheck."""
        return f"The model has become worse, for reasons that the checks do not tell: {message}."

    def is_explained(self, evidence: Evidence) -> bool:
        """Whether the drop is one that recurs: it comes with inputs that the reference has seen at other times.

        A season has its own metric. It is no drop of the model if the inputs explain it, and if each input that is
        unlike the whole reference is like one of the reference's own windows.
        """
        split = evidence.split
        asked = [each for each in evidence.findings if each.check.type == "ConceptDrift"]
        if not asked or any(each.result != "NotDetected" for each in asked):
            return False
        if split is None or split.covariate is None or split.concept is None:
            return False
        own = [shift.baseline for shift in evidence.shifts if shift.baseline is not None]
        recurs = bool(own) and all(each.nearest <= each.limit for each in own)
        drifted = any(shift.drifted for shift in evidence.shifts)
        return recurs and not drifted and split.covariate.value >= split.concept.value


def answer_of_drop(check: Check, judged: Judged | str) -> Finding:
    """Whether a drop is shown; `judged` may be why it cannot be told."""
    if isinstance(judged, str):
        return Finding(check, "Inconclusive", judged)
    shown = judged.p_value <= float(check.alpha)
    return Finding(check, "Detected" if shown else "NotDetected", describe(judged, check), numbers_of(judged))
