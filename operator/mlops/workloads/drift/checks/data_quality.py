"""Is the delivery broken? Missing values, unseen categories, far outliers, absent inputs, no rows."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.checks.drift_check import Advice, DriftCheck, Evidence
from mlops.workloads.drift.findings import Finding
from mlops.workloads.drift.inputs import corrected
from mlops.workloads.drift.window import Window


class DataQuality(DriftCheck):
    """Is the delivery broken? Missing values, unseen categories, far outliers, absent inputs, no rows."""

    type = "DataQuality"
    how = "missing values, unseen categories, far outliers, absent inputs, no rows"
    rank = 0
    advice = Advice(
        "bad",
        "the delivery is broken",
        "Hold: nothing is trained, since broken data would be learnt.",
        "Find out what changed in the delivery of the fields named below, and repair it at the source.",
    )
    needs_no_rows = True

    def answer(self, check: Check, evidence: Evidence) -> Finding:
        """Answer of a window that has rows.

        A server refuses requests that lack a required input, so one that is missing in every row was redacted.
        """
        problems = [f"the captures lack the input {name}" for name in evidence.window.absent]
        limit, alpha = float(check.min_effect_size), float(check.alpha)
        features = [feature for feature in evidence.inputs.features if feature.name not in evidence.window.absent]
        missing = corrected([feature.missing_p_value for feature in features], check.correction)
        unseen = corrected([feature.unseen_p_value for feature in features], check.correction)
        for feature, p_missing, p_unseen in zip(features, missing, unseen, strict=True):
            rise = feature.missing_current - feature.missing_reference
            redacted = feature.missing_current == 1.0 and feature.name in evidence.reference.required
            if p_missing <= alpha and rise >= limit and rise > 0 and not redacted:
                problems.append(
                    f"{feature.name} is missing in {feature.missing_current:.0%} of the rows,"
                    f" {feature.missing_reference:.0%} before"
                )
            if p_unseen <= alpha and feature.unseen_share >= max(limit, 1e-12):
                problems.append(f"{feature.name} has unseen categories in {feature.unseen_share:.0%} of the rows")
            if feature.outside_share >= max(limit, 1e-12):
                problems.append(f"{feature.name} is far outside its range in {feature.outside_share:.0%} of the rows")
        if not problems:
            return Finding(check, "NotDetected", "values are delivered as in the reference", {"problems": []})
        more = f" (and {len(problems) - 2} more)" if len(problems) > 2 else ""
        return Finding(check, "Detected", "; ".join(problems[:2]) + more, {"problems": problems})

    def sentence(self, message: str, findings: Sequence[Finding]) -> str:
        """See DriftCheck."""
        return f"The delivery of data is broken: {message}."

    def answer_of_few(self, check: Check, window: Window, min_samples: int) -> Finding:
        """Requests that no longer come at all are no small window."""
        if window.counts.samples == 0 and window.counts.captured_before:
            message = "no request was captured in the window, though there were some before it"
            return Finding(check, "Detected", message)
        return super().answer_of_few(check, window, min_samples)
