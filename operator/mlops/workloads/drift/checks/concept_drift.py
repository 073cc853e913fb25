"""Did the relation of inputs to target move?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.calibration import calibration_shift, in_words
from mlops.workloads.drift.checks.drift_check import Advice, DriftCheck, Evidence
from mlops.workloads.drift.checks.performance_drop import answer_of_drop
from mlops.workloads.drift.findings import Finding
from mlops.workloads.drift.performance import Judged
from mlops.workloads.drift.target import moved_alone


class ConceptDrift(DriftCheck):
    """Did the relation of inputs to target move?"""

    type = "ConceptDrift"
    how = "when a drop is shown, or a number moved without its inputs; see below"
    rank = 1
    advice = Advice(
        "bad",
        "the relation of inputs to target moved",
        "Recalibrate if calibration alone moved: the live model with a map of its scores, fitted to rows from after"
        " the change. Else Rebuild: a new run with the search re-opened, on these rows. It must pass the gates.",
        "Find out what changed in the world, or in how a field is made, at the change point. With do: Rollback an"
        " older version serves again that is better on this window; or set spec.withdrawn of the live one.",
    )
    measures = True
    needs_labels = True

    def answer(self, check: Check, evidence: Evidence) -> Finding:
        """Answer why the metric has dropped, if it has."""
        judged = evidence.drop(check)
        if isinstance(judged, str):
            return answer_of_drop(check, judged)
        if judged.p_value > float(check.alpha):
            return _which_way(judged, evidence, _of_the_target(check, evidence, answer_of_drop(check, judged)))
        # It imports scikit-learn, which only a drop is worth.
        from mlops.workloads.drift.concept import concept_drift

        finding, split, challenge = concept_drift(evidence.labelled, judged, check)
        evidence.split, evidence.challenge = evidence.split or split, evidence.challenge or challenge
        return _which_way(judged, evidence, finding)

    def sentence(self, message: str, findings: Sequence[Finding]) -> str:
        """See DriftCheck."""
        return f"The relation of inputs to target has changed: {message}."


def _which_way(judged: Judged, evidence: Evidence, finding: Finding) -> Finding:
    """The answer with the way in which a relation that moved did so: in calibration alone, or not."""
    if finding.result != "Detected":
        return finding
    evidence.calibration = evidence.calibration or calibration_shift(evidence.labelled, judged, finding.check)
    if evidence.calibration is None or not evidence.calibration.alone:
        return finding
    return replace(finding, message=f"{finding.message}; {in_words(evidence.calibration)}")


def _of_the_target(check: Check, evidence: Evidence, found: Finding) -> Finding:
    """The answer about a drop that is not shown, unless a target moved whose inputs did not: no law of the inputs
    makes another target of the same inputs but another relation."""
    if found.result != "NotDetected":
        return found
    moved = moved_alone(evidence.labelled, evidence.inputs, check)
    if moved is None:
        return found
    message = f"the target moved by {moved.effect:.3g}, and its inputs and the answers to them did not"
    return Finding(check, "Detected", message, {**found.numbers, "effect": moved.effect})
