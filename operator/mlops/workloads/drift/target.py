"""The labels of a window against those of the reference; and whether a number moved though its inputs did not."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from mlops.api.drift_monitor import Check
from mlops.statistics.label_shift import compare_labels
from mlops.workloads.drift.baseline import Baseline, baseline, beyond, windows_of
from mlops.workloads.drift.dependence import Dependence
from mlops.workloads.drift.inputs import Inputs, compare
from mlops.workloads.drift.performance import Labelled, class_counts
from mlops.workloads.floor.records.layout import PREDICTION

_ERROR = "error"
# Answers that moved by this part of what the target did followed inputs that moved together, each but a little.
_FOLLOWS = 0.5


@dataclass(frozen=True)
class MovedLabels:
    """How far the labels moved. `passed`: it is significant and large; `shifted`: and no window of the reference's
    own is like it."""

    effect: float
    p_value: float
    passed: bool
    shifted: bool
    baseline: Baseline | None
    numbers: dict[str, object]


def moved_labels(labelled: Labelled, inputs: Inputs, check: Check) -> MovedLabels:
    """Compare the labels of all versions' rows with those of the whole reference."""
    reference, window = labelled.reference, labelled.window
    frame = reference.frame.drop_nulls(["label"])
    classes, alpha, least = reference.classes, float(check.alpha), float(check.min_effect_size)
    inflation = Dependence(frame, window.labelled, inputs.blocks).of("label", is_number=not classes)
    numbers: dict[str, object] = {}
    if classes:
        before, after = class_counts(frame["label"]), class_counts(window.truths)
        compared = compare_labels(before, after, inflation=inflation)
        effect, p_value = compared.jensen_shannon, compared.chi_square.pvalue
        numbers = {"reference": before, "current": after}
    else:
        found = compare("label", frame["label"], window.truths, is_number=True, inflation=inflation)
        effect, p_value = found.effect or 0.0, 1.0 if found.p_value is None else found.p_value
    passed = p_value <= alpha and effect >= least
    own = None
    if passed:
        blocks = windows_of(frame, window.span.end - window.span.start)
        own = baseline(blocks, "label", window.truths, is_number=not classes, alpha=alpha)
    return MovedLabels(effect, p_value, passed, passed and beyond(own, least), own, numbers)


def moved_alone(labelled: Labelled, inputs: Inputs, check: Check) -> MovedLabels | None:
    """Whether a number moved and its inputs did not, nor the answers to them: then the relation moved.

    None if not. A drop of the metric needs more: an offset within the model's errors hardly makes them larger.
    """
    if labelled.reference.classes:
        return None
    before = _with_errors(labelled.reference.held_out)
    after = _with_errors(labelled.window.live_labelled)
    if min(before.height, after.height) < labelled.limits.min_samples:
        return None
    moved = moved_labels(labelled, inputs, check)
    if not moved.shifted or any(shift.drifted for shift in inputs.shifts(check)) or inputs.pairs(check):
        return None
    dependence = Dependence(before, after)
    error, answers = (
        compare(column, before[column], after[column], is_number=True, inflation=dependence.of(column, is_number=True))
        for column in (_ERROR, PREDICTION)
    )
    if error.p_value is None or error.p_value > float(check.alpha):
        return None
    return moved if (answers.effect or 0.0) < _FOLLOWS * moved.effect else None


def _with_errors(rows: pl.DataFrame) -> pl.DataFrame:
    known = rows.drop_nulls(["label", PREDICTION])
    return known.with_columns((pl.col("label") - pl.col(PREDICTION)).alias(_ERROR))
