"""Is the delivery broken? Missing values, unseen categories, far outliers, absent inputs, no rows."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.checks.drift_check import Advice, DriftCheck, Evidence
from mlops.workloads.drift.faults import faults_of
from mlops.workloads.drift.findings import FeatureComparison, Finding
from mlops.workloads.drift.inputs import corrected
from mlops.workloads.drift.window import Window
from mlops.workloads.floor.records.layout import INPUT

# The smallest share of the rows that is a fault, unless the check says another one.
_MIN_SHARE = 0.01
# A column of which so many rows are unseen is another column.
_MOST = 0.5


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
        problems = [f"the window lacks the input {name}" for name in evidence.window.absent]
        features = [feature for feature in evidence.inputs.features if feature.name not in evidence.window.absent]
        # What is told of an input by a mark of its own is not told again as far or unseen.
        told = _beyond(check, features) | faults_of(
            evidence.reference,
            evidence.window.frame,
            evidence.inputs.blocks,
            {shift.feature.name for shift in evidence.inputs.shifts(check) if shift.drifted},
            evidence.inputs.dependence,
            alpha=float(check.alpha),
            min_share=_share(check),
            earlier=evidence.window.earlier,
        )
        problems += _missing(check, evidence, features)
        problems += [told[name] for name in sorted(told) if told[name]]
        if not problems:
            return Finding(check, "NotDetected", "values are delivered as in the reference", {"problems": []})
        more = f" (and {len(problems) - 2} more)" if len(problems) > 2 else ""
        return Finding(check, "Detected", "; ".join(problems[:2]) + more, {"problems": problems})

    def sentence(self, message: str, findings: Sequence[Finding]) -> str:
        """See DriftCheck."""
        return f"The delivery of data is broken: {message}."

    def answer_of_few(self, check: Check, window: Window, min_samples: int, few: str) -> Finding:
        """Requests that no longer come at all are no small window."""
        if window.counts.samples == 0 and window.counts.captured_before:
            message = "no request was captured in the window, though there were some before it"
            return Finding(check, "Detected", message)
        return super().answer_of_few(check, window, min_samples, few)


def _share(check: Check) -> float:
    return _MIN_SHARE if check.min_share is None else float(check.min_share)


def _missing(check: Check, evidence: Evidence, features: Sequence[FeatureComparison]) -> list[str]:
    """Inputs that are missing in more rows than before, and in more than in any of the reference's own windows."""
    problems = []
    corrected_ones = corrected([feature.missing_p_value for feature in features], check.correction)
    for feature, p_value in zip(features, corrected_ones, strict=True):
        blocks = (block[INPUT + feature.name] for block in evidence.inputs.blocks)
        before = max([feature.missing_reference, *(block.null_count() / block.len() for block in blocks)])
        rise = feature.missing_current - before
        spoiled = feature.missing_current == 1.0 and feature.name in evidence.window.spoiled
        redacted = feature.missing_current == 1.0 and feature.name in evidence.reference.required and not spoiled
        if spoiled:
            problems.append(f"{feature.name} is no finite number in any row")
            continue
        if p_value <= float(check.alpha) and rise >= _share(check) and rise > 0 and not redacted:
            problems.append(
                f"{feature.name} is missing in {feature.missing_current:.0%} of the rows,"
                f" {feature.missing_reference:.0%} before"
            )
    return problems


def _beyond(check: Check, features: Sequence[FeatureComparison]) -> dict[str, str]:
    """Inputs that the reference does not know at all: one new category is a change of the world, most rows are none."""
    problems = {}
    limit = max(float(check.min_effect_size), 1e-12)
    corrected_ones = corrected([feature.unseen_p_value for feature in features], check.correction)
    for feature, p_value in zip(features, corrected_ones, strict=True):
        name = feature.name
        if p_value <= float(check.alpha) and feature.unseen_share >= max(limit, _MOST):
            problems[name] = f"{name} has unseen categories in {feature.unseen_share:.0%} of the rows"
        if feature.outside_share >= limit:
            problems[name] = f"{name} is far outside its range in {feature.outside_share:.0%} of the rows"
    return problems
