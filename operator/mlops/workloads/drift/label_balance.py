"""Is a moved class balance all that moved? A pure shift of it leaves rows of one class where they were."""

from __future__ import annotations

import polars as pl

from mlops.api.drift_monitor import Check
from mlops.workloads.drift.correlation import moved_pairs
from mlops.workloads.drift.dependence import Dependence
from mlops.workloads.drift.inputs import compare, corrected
from mlops.workloads.drift.performance import MIN_ROWS, Labelled
from mlops.workloads.floor.records.layout import INPUT, PROBABILITY


def moved_within_classes(labelled: Labelled, check: Check) -> bool:
    """Whether inputs, what they have to do with each other, or the answers moved within a class.

    Where a threshold moved, rows change their class and neither class stays what it was, though the inputs as a whole
    did not move. Corrected over all inputs and classes.
    """
    reference, window = labelled.reference, labelled.window
    found: list[tuple[float, float]] = []
    joint = False
    for label in reference.classes:
        before = reference.frame.filter(pl.col("label") == label)
        after = window.labelled.filter(pl.col("label") == label)
        if min(after.height, before.height) < MIN_ROWS:
            continue
        found += _columns(labelled, before, after)
        dependence = Dependence(before, after)
        joint = joint or bool(moved_pairs(reference, before, after, dependence, (), check))
    adjusted = corrected([p for p, _ in found], check.correction)
    return joint or any(
        p <= float(check.alpha) and effect >= float(check.min_effect_size)
        for p, (_, effect) in zip(adjusted, found, strict=True)
    )


def _columns(labelled: Labelled, before: pl.DataFrame, after: pl.DataFrame) -> list[tuple[float, float]]:
    """P-value and effect of each input, and of the live version's probabilities against those on held-out rows."""
    reference = labelled.reference
    answers = [c for c in before.columns if c.startswith(PROBABILITY)]
    asked = [(INPUT + name, name in reference.numeric, before, after) for name in reference.fields]
    held_out, live = before.filter(pl.col("part") == "test"), after.filter(pl.col("live"))
    if min(held_out.height, live.height) >= MIN_ROWS:
        asked += [(column, True, held_out, live) for column in (answers[:1] if len(answers) == 2 else answers)]
    found = []
    for column, is_number, known, seen in asked:
        inflation = Dependence(known, seen).of(column, is_number=is_number)
        compared = compare(column, known[column], seen[column], is_number=is_number, inflation=inflation)
        if compared.p_value is not None and compared.effect is not None:
            found.append((compared.p_value, compared.effect))
    return found
