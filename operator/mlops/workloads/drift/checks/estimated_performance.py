"""Is the model worse than it was, as far as can be told without labels?"""

from __future__ import annotations

from collections.abc import Sequence

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.checks.drift_check import Advice, DriftCheck, Evidence
from mlops.workloads.drift.findings import Finding
from mlops.workloads.drift.findings import PerformanceEstimate as Found


class EstimatedPerformance(DriftCheck):
    """Is the model worse than it was, as far as can be told without labels?"""

    type = "EstimatedPerformance"
    how = "the metric expected of calibrated probabilities (CBPE), or of learnt losses (DLE); see below"
    # The last: it must not take an action away that another check's verdict calls for.
    rank = 90
    advice = Advice(
        "bad",
        "the model is likely to be worse; no label was needed to see it",
        "Nothing, unless spec.actions names EstimatedPerformance.",
        "Get labels for this window and add a PerformanceDrop check: an estimate takes for granted that the relation of"
        " inputs to target is still the old one.",
    )
    measures = True

    def answer(self, check: Check, evidence: Evidence) -> Finding:
        """Answer whether the estimate is worse by more than minDrop, and labels do not show that it is wrong."""
        found = evidence.estimate(check)
        if isinstance(found, str):
            return Finding(check, "Inconclusive", found)
        shown, refuted = found.p_value <= float(check.alpha), _is_refuted(found)
        message = _message(found, shown=shown)
        if shown and refuted is not None:
            message += f"; but {refuted}"
        return Finding(check, "Detected" if shown and refuted is None else "NotDetected", message, _numbers(found))

    def sentence(self, message: str, findings: Sequence[Finding]) -> str:
        """See DriftCheck."""
        return f"The model has likely become worse, as far as can be told without labels: {message}."


def _is_refuted(found: Found) -> str | None:
    """Why the estimate is wrong: the labels that are there show a better value, and no drop."""
    beside = found.measured
    if beside is None or beside.better.low <= 0.0 or beside.drop > found.min_drop:
        return None
    return (
        f"the {beside.rows} rows with labels have {beside.measured.value:.3f}, where {beside.estimate:.3f} was"
        " estimated of them: the estimate is wrong"
    )


def _message(found: Found, *, shown: bool) -> str:
    now, drop = found.current, found.drop
    return (
        f"{found.metric} is estimated at {now.value:.3f} ({now.low:.3f} to {now.high:.3f}), against"
        f" {found.reference.value:.3f} measured on the reference: worse by {drop.value:.3f} ({drop.low:.3f} to"
        f" {drop.high:.3f}), {'more' if shown else 'not shown to be more'} than {found.min_drop:.3g}"
    )


def _numbers(found: Found) -> dict[str, object]:
    return {
        "metric": found.metric,
        "method": found.method,
        "learnt": found.learnt,
        "estimate": found.current.value,
        "drop": found.drop.value,
        "pValue": found.p_value,
        "rowsReference": found.rows_reference,
        "rowsCurrent": found.rows_current,
    }
