"""Did an input move?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.checks.drift_check import Advice, DriftCheck, Evidence
from mlops.workloads.drift.findings import Finding, Joint
from mlops.workloads.drift.inputs import plain

# Pairs that the report names.
_PAIRS = 10


class DataDrift(DriftCheck):
    """Did an input move?"""

    type = "DataDrift"
    how = (
        "numbers: KS test and Wasserstein; categories: chi-square and Jensen-Shannon; how they go together: rank "
        "correlations, and products of functions of any two inputs by block permutation"
    )
    rank = 3
    advice = Advice(
        "open",
        "inputs moved; the relation is not shown to have moved",
        "Retrain: the same recipe on refreshed data. It must pass the gates.",
        "Look at the inputs below: is it a change of the world, of the users, or of the way a field is made?",
    )

    def answer(self, check: Check, evidence: Evidence) -> Finding:
        """Answer of every input."""
        shifts = evidence.inputs.shifts(check)
        evidence.shifts = evidence.shifts or shifts
        drifted = [shift for shift in shifts if shift.drifted]
        known = [shift for shift in shifts if shift.feature.effect is not None]
        numbers: dict[str, Any] = {"features": len(shifts), "compared": len(known), "drifted": len(drifted)}
        if not known:
            return Finding(check, "Inconclusive", "no input has a value in the window", numbers)
        enough = len(drifted) >= max(1.0, float(check.min_share or 0) * len(known))
        pairs = () if drifted else evidence.inputs.pairs(check)
        numbers |= {"pairs": pairs[:_PAIRS]}
        together = {name for pair in pairs for name in (pair.one, pair.other)}
        if pairs and len(together) >= float(check.min_share or 0) * len(known):
            first = pairs[0]
            message = (
                f"{first.one} and {first.other} moved together: their rank correlation is {first.current:.2f},"
                f" {first.reference:.2f} before"
            )
            return Finding(check, "Detected", message, numbers)
        if not drifted and not pairs:
            joint = evidence.inputs.joint(check, evidence.labelled.seed)
            numbers |= {"joint": joint}
            if not isinstance(joint, str) and joint.drifted:
                together = {name for pair in joint.pairs for name in (pair.one, pair.other)}
                if len(together) >= float(check.min_share or 0) * len(known):
                    return Finding(check, "Detected", _together(joint), numbers)
        if not drifted:
            message = f"none of {len(known)} inputs moved beyond {plain(check.min_effect_size)}"
        else:
            named = ", ".join(shift.feature.name for shift in drifted[:3])
            message = f"{len(drifted)} of {len(known)} inputs moved: {named}{', …' if len(drifted) > 3 else ''}"
            message += "" if enough else f"; fewer than minShare {plain(check.min_share or '0')}"
        return Finding(check, "Detected" if enough else "NotDetected", message, numbers)

    def sentence(self, message: str, findings: Sequence[Finding]) -> str:
        """See DriftCheck."""
        asked = any(each.check.type == "ConceptDrift" for each in findings)
        concept = "; the relation of inputs to target is not shown to have moved" if asked else ""
        return f"The inputs have moved: {message}{concept}."


def _together(joint: Joint) -> str:
    first, *others = joint.pairs
    more = f", and {len(others)} more pairs" if len(others) > 1 else ", and one more pair" if others else ""
    return (
        f"{first.one} and {first.other}{more} go together in another way, though each has the values that it had:"
        f" a classifier tells held-out rows from the reference's with a ROC area of {joint.auc:.2f}"
    )
