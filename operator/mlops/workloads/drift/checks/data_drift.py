"""Did an input move?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.checks.drift_check import Advice, DriftCheck, Evidence
from mlops.workloads.drift.findings import Finding
from mlops.workloads.drift.inputs import plain

# Pairs that the report names.
_PAIRS = 10


class DataDrift(DriftCheck):
    """Did an input move?"""

    type = "DataDrift"
    how = "numbers: KS test and Wasserstein, and rank correlations; categories: chi-square and Jensen-Shannon"
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
