"""Did the class balance move?"""

from __future__ import annotations

from collections.abc import Sequence

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.checks.drift_check import Advice, DriftCheck, Evidence
from mlops.workloads.drift.findings import Finding
from mlops.workloads.drift.label_balance import moved_within_classes
from mlops.workloads.drift.target import moved_labels


class LabelShift(DriftCheck):
    """Did the class balance move?"""

    type = "LabelShift"
    how = "chi-square and Jensen-Shannon on labels; of a regression, as a number"
    rank = 2
    advice = Advice(
        "open",
        "the class balance moved",
        "Retrain: the same recipe on refreshed data. It must pass the gates.",
        "Check decision thresholds: they were chosen for another class balance.",
    )
    needs_labels = True

    def answer(self, check: Check, evidence: Evidence) -> Finding:
        """Answer of all labelled rows, of whatever version: the class balance is the world's."""
        counts, limits = evidence.window.counts, evidence.labelled.limits
        if counts.judged < limits.min_samples:
            return Finding(
                check,
                "Inconclusive",
                f"{counts.judged} rows are old enough to have labels, minSamples is {limits.min_samples}",
            )
        new = counts.labels_unknown
        coverage = (counts.labelled + new) / counts.judged if counts.judged else 0.0
        if coverage < limits.min_coverage or not counts.labelled + new:
            return Finding(
                check,
                "Inconclusive",
                f"{coverage:.1%} of the rows have labels, minCoverage is {limits.min_coverage:.1%}",
            )
        if evidence.reference.name and not evidence.reference.frame["label"].count():
            return Finding(check, "Inconclusive", f"the reference has no labels{evidence.reference.remark}")
        found = moved_labels(evidence.labelled, evidence.inputs, check)
        moved = f"the labels moved by {found.effect:.3g}"
        if found.passed and not found.shifted:
            moved += ", but are like those of one of the reference's own windows"
        elif not found.shifted:
            moved += f", not significantly or not beyond {float(check.min_effect_size):g}"
        if new:
            named = ", ".join(sorted(evidence.window.unknown)[:5])
            moved += f"; {new} of them are classes that the model does not know ({named})"
        numbers = {**found.numbers, "effect": found.effect, "pValue": found.p_value, "baseline": found.baseline}
        return Finding(check, "Detected" if found.shifted else "NotDetected", moved, numbers)

    def sentence(self, message: str, findings: Sequence[Finding]) -> str:
        """See DriftCheck."""
        return f"The class balance has changed: {message}."

    def is_explained(self, evidence: Evidence) -> bool:
        """Whether the class balance followed something else.

        It did if rows of one class are no longer what they were: then it is no pure shift of the balance, and another
        check says what moved. A number follows its inputs as soon as these, or the answers, moved.
        """
        others = ("DataDrift", "PredictionDrift", "PerformanceDrop", "ConceptDrift")
        moved = [each for each in evidence.findings if each.check.type in others and each.result == "Detected"]
        if not evidence.reference.classes:
            return bool(moved)
        return bool(moved) and moved_within_classes(evidence.labelled, moved[0].check)
