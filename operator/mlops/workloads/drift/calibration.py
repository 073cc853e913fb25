"""Which way a relation moved: does a map of the scores alone, which keeps their order, explain the window's labels?

The map is fitted to one half of the labelled rows from after the change and measured on the other, by turns, in blocks
of time. Calibration alone moved (a threshold, an offset, a scale) if three things hold: the ranking is not shown to be
worse than on the reference; the map gains, by half of what was lost at least; and what then is left of the drop is not
shown to exceed the smallest drop that counts. Brier score of classes, absolute error of numbers.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from mlops.api.base import format_time
from mlops.api.drift_monitor import Check
from mlops.api.metrics import Metric
from mlops.statistics.arrays import FloatArray, IntArray
from mlops.statistics.bootstrap import DropTest, drop_test
from mlops.statistics.metrics import Sample, encode, evaluate
from mlops.statistics.resampling import replicate
from mlops.statistics.score_map import ScoreMap, fit_classes, fit_numbers
from mlops.statistics.special import normal_sf
from mlops.workloads.drift.findings import CalibrationShift
from mlops.workloads.drift.performance import Judged, Labelled, resampling, smallest_drop
from mlops.workloads.floor.records.layout import PREDICTION
from mlops.workloads.floor.samples import sample_of

# Fewer rows from after the change do not show a map on either half.
_MIN_ROWS = 100
_BLOCKS = 20
# What is shown at this level: a wrong answer either way is put right by the next checks.
_SHOWN = 0.05
# A ranking that is worse by no more than this has stayed.
_SMALLEST_RANKING = 0.02


def calibration_shift(labelled: Labelled, judged: Judged, check: Check) -> CalibrationShift | None:
    """Return whether calibration alone moved; None with too few rows after the change, or without probabilities."""
    classes = labelled.reference.classes
    changed = labelled.changed_at(judged, float(check.alpha))
    before, after = judged.reference_rows, judged.current_rows
    after = after if changed is None else after.filter(pl.col("time") >= changed)
    if after.height < _MIN_ROWS:
        return None
    metric: Metric = "brier" if classes else "mae"
    try:
        return _measured(metric, labelled, before, after, check)
    except ValueError:
        # No probabilities, one class alone, or answers that are all one number.
        return None


def in_words(shift: CalibrationShift) -> str:
    """Say what a map of the scores mends."""
    return (
        f"calibration alone: a map of the scores brings {shift.metric} from {shift.current:.3f} to"
        f" {shift.restored:.3f} ({shift.reference:.3f} on the reference)"
    )


def _measured(
    metric: Metric, labelled: Labelled, before: pl.DataFrame, after: pl.DataFrame, check: Check
) -> CalibrationShift:
    classes, seed = labelled.reference.classes, labelled.seed
    reference, served = (sample_of(metric, rows, classes) for rows in (before, after))
    mapped, keeps_order = _cross_fitted(served)
    plan = resampling(max(before.height, after.height), seed, min(before.height, after.height))
    least = smallest_drop(metric, reference)
    if check.metric == metric and check.min_drop is not None:
        least = float(check.min_drop)
    left = drop_test(metric, reference, mapped, plan, min_drop=least)
    lost, gain = evaluate(metric, served) - left.reference.value, evaluate(metric, served) - left.current.value
    ranking = _ranking(before, after, classes, labelled)
    return CalibrationShift(
        alone=keeps_order
        and ranking[2] > _SHOWN
        and left.pvalue > _SHOWN
        and gain >= lost / 2.0
        and _gains(metric, served, mapped, gain, seed),
        metric=metric,
        reference=left.reference.value,
        current=evaluate(metric, served),
        restored=left.current.value,
        ranking_reference=ranking[0],
        ranking_current=ranking[1],
        rows=after.height,
        since=format_time(after["time"][0]),
    )


def _cross_fitted(served: Sample) -> tuple[Sample, bool]:
    """Return the rows as maps answer them that were fitted to the other half, and whether both keep the order."""
    rows = served.y.shape[0]
    half = (np.arange(rows) * min(rows, _BLOCKS) // rows) % 2
    classes = tuple(served.classes or ())
    table = np.asarray(served.prediction, dtype=np.float64)
    codes = encode(served.y, classes) if classes else None
    if classes and table.ndim == 1:
        table = np.column_stack((1.0 - table, table))
    mapped = np.empty(table.shape)
    kept = True
    for number in (0, 1):
        held = half == number
        made = _fitted(table[~held], served.y[~held], None if codes is None else codes[~held])
        kept = kept and made.keeps_order
        mapped[held] = made.probabilities(table[held]) if classes else made.values(table[held])
    answers = mapped[:, 1] if classes and served.prediction.ndim == 1 else mapped
    return Sample(served.y, answers, None, served.classes), kept


def _fitted(table: FloatArray, y: FloatArray, codes: IntArray | None) -> ScoreMap:
    return fit_numbers(table, y) if codes is None else fit_classes(table, codes)


def _gains(metric: Metric, served: Sample, mapped: Sample, gain: float, seed: int) -> bool:
    """Whether the map is shown to be better than the answers as they were served, on the same rows."""
    # Blocks of more than one row keep both replicates on the same draws of rows: the difference is paired.
    plan = resampling(served.y.shape[0], seed)
    now, then = (replicate(metric, sample, [None], plan, stream=4)[:, 0] for sample in (mapped, served))
    spread = (then - now)[np.isfinite(then - now)]
    error = float(spread.std(ddof=1)) if spread.shape[0] > 1 else 0.0
    return gain > 0.0 and (error == 0.0 or normal_sf(gain / error) <= _SHOWN)


def _ranking(
    before: pl.DataFrame, after: pl.DataFrame, classes: tuple[str, ...], labelled: Labelled
) -> tuple[float, float, float]:
    """Return how well answers are ranked (ROC area; of numbers, rank correlation) before and after, and the p-value of
    a drop beyond what counts."""
    if not classes:
        return _rank_correlation(before, after)
    samples = [sample_of("roc_auc", rows, classes) for rows in (before, after)]
    plan = resampling(max(before.height, after.height), labelled.seed, min(before.height, after.height))
    test: DropTest = drop_test("roc_auc", samples[0], samples[1], plan, min_drop=_SMALLEST_RANKING)
    return test.reference.value, test.current.value, test.pvalue


def _rank_correlation(before: pl.DataFrame, after: pl.DataFrame) -> tuple[float, float, float]:
    then, now = (float(rows.select(pl.corr("label", PREDICTION, method="spearman")).item()) for rows in (before, after))
    if not (math.isfinite(then) and math.isfinite(now)):
        raise ValueError("prediction: all answers, or all labels, are one number")
    # Fisher's transformation, with the error that ranks have (Fieller, Hartley and Pearson 1957).
    one, other = (math.atanh(max(-0.999999, min(0.999999, value))) for value in (then - _SMALLEST_RANKING, now))
    error = math.sqrt(1.06 / (before.height - 3) + 1.06 / (after.height - 3))
    return then, now, normal_sf((one - other) / error)
