"""Did the answers move?"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.baseline import baseline
from mlops.workloads.drift.checks.drift_check import Advice, DriftCheck, Evidence
from mlops.workloads.drift.dependence import Dependence
from mlops.workloads.drift.findings import Finding
from mlops.workloads.drift.inputs import compare, plain, short, unlike_each
from mlops.workloads.floor.records.layout import PREDICTION, PROBABILITY


class PredictionDrift(DriftCheck):
    """Did the answers move?"""

    type = "PredictionDrift"
    how = "the same as DataDrift, on answers and probabilities against the held-out rows"
    rank = 5
    advice = Advice(
        "open",
        "only the answers moved",
        "What it does about DataDrift, unless spec.actions names PredictionDrift.",
        "Add labels and a ConceptDrift check: moved answers alone do not tell whether they are wrong.",
    )

    def answer(self, check: Check, evidence: Evidence) -> Finding:
        """Answers and probabilities against those on the reference's held-out rows."""
        held_out = evidence.reference.held_out
        live = evidence.window.frame.filter(pl.col("live"))
        if held_out[PREDICTION].count() < 2 or not live.height:
            few = f"there are no answers of the live version to compare{evidence.reference.remark}"
            return Finding(check, "Inconclusive", few)
        columns = [c for c in held_out.columns if c.startswith(PROBABILITY)]
        columns = [PREDICTION, *(columns[:1] if len(columns) == 2 else columns)]
        regression = not evidence.reference.classes
        dependence = Dependence(held_out, live, evidence.inputs.blocks)
        features = tuple(
            compare(
                column,
                held_out[column],
                live[column],
                is_number=regression or column != PREDICTION,
                inflation=dependence.of(column, is_number=regression or column != PREDICTION),
            )
            for column in columns
        )
        shifts = evidence.inputs.judged(
            check,
            features,
            lambda f, alpha: baseline(
                evidence.inputs.blocks, f.name, live[f.name], is_number=f.kind == "numeric", alpha=alpha
            ),
            lambda f, alpha: unlike_each(
                evidence.inputs.blocks, live, f.name, dependence, alpha, is_number=f.kind == "numeric"
            ),
        )
        if all(shift.feature.effect is None for shift in shifts):
            return Finding(check, "Inconclusive", "no answer has a value in the window")
        top = shifts[0]
        numbers = {"effect": top.feature.effect, "pValue": top.p_value, "baseline": top.baseline}
        drifted = any(shift.drifted for shift in shifts)
        message = f"the answers moved by {short(top.feature.effect)}"
        if not drifted:
            message += f", not significantly or not beyond {plain(check.min_effect_size)}"
        return Finding(check, "Detected" if drifted else "NotDetected", message, numbers)

    def sentence(self, message: str, findings: Sequence[Finding]) -> str:
        """See DriftCheck."""
        return f"The model's answers have moved: {message}."
