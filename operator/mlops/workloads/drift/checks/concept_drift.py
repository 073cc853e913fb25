"""Did the relation of inputs to target move?"""

from __future__ import annotations

from collections.abc import Sequence

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.checks.drift_check import Advice, DriftCheck, Evidence
from mlops.workloads.drift.checks.performance_drop import answer_of_drop
from mlops.workloads.drift.findings import Finding
from mlops.workloads.drift.target import moved_alone


class ConceptDrift(DriftCheck):
    """Did the relation of inputs to target move?"""

    type = "ConceptDrift"
    how = "when a drop is shown, or a number moved without its inputs; see below"
    rank = 1
    advice = Advice(
        "bad",
        "the relation of inputs to target moved",
        "Rebuild: a new run with the search re-opened, on rows from after the change. It must pass the gates.",
        "Find out what changed in the world, or in how a field is made, at the change point. With do: Rollback an"
        " older version serves again that is better on this window; or set spec.withdrawn of the live one.",
    )
    measures = True
    needs_labels = True

    def answer(self, check: Check, evidence: Evidence) -> Finding:
        """Answer why the metric has dropped, if it has."""
        judged = evidence.drop(check)
        if isinstance(judged, str) or judged.p_value > float(check.alpha):
            return _of_the_target(check, evidence, answer_of_drop(check, judged))
        # It imports scikit-learn, which only a drop is worth.
        from mlops.workloads.drift.concept import concept_drift

        finding, split, challenge = concept_drift(evidence.labelled, judged, check)
        evidence.split, evidence.challenge = evidence.split or split, evidence.challenge or challenge
        return finding

    def sentence(self, message: str, findings: Sequence[Finding]) -> str:
        """See DriftCheck."""
        return f"The relation of inputs to target has changed: {message}."


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
