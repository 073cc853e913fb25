"""The criteria of answers: are they as good, as far as labels say, and are they much alike?"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from mlops.api.canary import CriterionResult, MetricCriterion, PredictionDriftCriterion
from mlops.api.metrics import METRICS
from mlops.api.reasons import Reason
from mlops.statistics.dependence import inflation, inflation_of_codes, inflation_of_values
from mlops.statistics.distance_bounds import (
    DistanceBounds,
    ks_bounds,
    ks_distance,
    scale,
    total_variation,
    variation_bounds,
)
from mlops.statistics.loss_bounds import LossBounds, loss_bounds
from mlops.statistics.resampling import Resampling
from mlops.workloads.analysis.answers import Answers, RowsOfBoth
from mlops.workloads.analysis.finding import Found, cut, decided, more_needed, rounded, shown, undecided
from mlops.workloads.analysis.measuring import ComparableModels
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import LABEL, PREDICTION, PROBABILITY
from mlops.workloads.floor.samples import losses, sample_of

# With fewer labelled rows of either version, or of a class, a standard error says nothing.
MIN_ROWS: Final = 100
MIN_ROWS_OF_CLASS: Final = 10
_BLOCKS: Final = 8
# Metrics of which a class is a part of its own.
_OF_CLASSES: Final = ("roc_auc", "balanced_accuracy", "f1")


@dataclass(frozen=True, eq=False)
class _Distance:
    """How far answers are apart, of as many independent rows of both versions, its bounds, and what they are in the
    mean: None of classes."""

    value: float
    sizes: tuple[float, float]
    bounds: Callable[..., DistanceBounds]
    means: tuple[float | None, float | None] = (None, None)


def judge_metric(
    answers: Answers, measured: ComparableModels, criterion: MetricCriterion, tail: float, seed: int
) -> CriterionResult:
    """Compare the metric on labelled rows; `tail` is the probability that a bound misses.

    On pairs, if there are at least as many as labelled rows that the candidate answered itself: a choice by numbers
    alone. Raises BadInput for models whose answers the metric cannot be measured of.
    """
    metric, limit = str(measured.metric), float(criterion.max_loss)
    is_paired = answers.labelled_paired.sizes[1] >= max(1, answers.labelled_apart.sizes[1])
    compared = _known(answers.labelled_paired if is_paired else answers.labelled_apart, measured, paired=is_paired)
    if few := _too_few(compared, measured):
        return undecided("metric", f"{metric}: {few}")
    try:
        stable, candidate = (sample_of(metric, rows, measured.classes, measured.costs) for rows in _both(compared))
        found = loss_bounds(metric, stable, candidate, _plan(compared, measured, seed), tail, paired=is_paired)
    except ValueError as error:
        return undecided("metric", f"{metric} cannot be compared: {error}")
    on = f"{compared.sizes[1]:,} shadow answers" if is_paired else f"{compared.sizes[1]:,} rows"
    says = (
        f"{metric} {shown(found.second)} on {on} of the candidate, {shown(found.first)} on {compared.sizes[0]:,} of "
        f"the stable version: worse by {shown(found.value)} ({shown(found.low)} to {shown(found.high)}), limit "
        f"{shown(limit)}"
    )
    return decided(
        "metric",
        Found(found.low, found.high, found.first, found.second),
        limit,
        says,
        lambda: more_needed(_if_times(found), limit, compared.sizes[1], "labelled rows of the candidate"),
    )


def judge_distance(
    answers: Answers, measured: ComparableModels, criterion: PredictionDriftCriterion, tail: float
) -> CriterionResult:
    """Compare the distributions of the answers.

    Of rows that each version answered itself, or of pairs, whichever give the shorter interval by their numbers.
    """
    limit = float(criterion.max_distance)
    is_paired = _is_better_paired(answers)
    compared = answers.paired if is_paired else answers.apart
    if not min(compared.sizes):
        which = "candidate" if not compared.sizes[1] else "stable version"
        return undecided(
            "predictionDrift", f"waits for recorded answers of the {which}: none came since the canary began"
        )
    column = _number(measured, compared)
    distance = _of_numbers(compared, column) if column else _of_classes(compared, measured)

    def if_times(times: float) -> tuple[float, float]:
        sizes = (times * distance.sizes[0], times * distance.sizes[1])
        scaled = distance.bounds(distance.value, sizes, tail, paired=is_paired)
        return scaled.low, scaled.high

    low, high = if_times(1.0)
    says = (
        f"{'Kolmogorov-Smirnov distance' if column else 'total variation'} {distance.value:.3g} of "
        f"{compared.sizes[1]:,} {'shadow answers' if is_paired else 'answers'} of the candidate and "
        f"{compared.sizes[0]:,} of the stable version ({low:.3g} to {high:.3g}), limit {limit:.3g}"
    )

    return decided(
        "predictionDrift",
        Found(low, high, *distance.means),
        limit,
        says,
        lambda: more_needed(if_times, limit, compared.sizes[1], "answers of the candidate"),
    )


def seed_of(*parts: object) -> int:
    """A seed that is the same for the same analysis, whatever ran before."""
    return int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:4], "big")


def _both(compared: RowsOfBoth) -> tuple[pl.DataFrame, pl.DataFrame]:
    return compared.stable, compared.candidate


def _known(compared: RowsOfBoth, measured: ComparableModels, *, paired: bool) -> RowsOfBoth:
    """Return the rows whose label is a class that either model knows, with the probabilities that the metric reads.

    Raises BadInput for a version that gives none.
    """
    stable, candidate = (
        rows.with_columns(pl.lit(0.0).alias(PROBABILITY + name) for name in unknown)
        for rows, unknown in zip(_both(compared), measured.unknown, strict=True)
    )
    if measured.classes:
        stable, candidate = (rows.filter(pl.col(LABEL).is_in(list(measured.classes))) for rows in (stable, candidate))
    if METRICS[str(measured.metric)].needs_probabilities:
        stable, candidate = _with_probabilities(stable, candidate, measured, paired=paired)
    return RowsOfBoth(stable, candidate)


def _with_probabilities(
    stable: pl.DataFrame, candidate: pl.DataFrame, measured: ComparableModels, *, paired: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    columns = [PROBABILITY + name for name in measured.classes]
    whole = [rows.select(pl.all_horizontal(pl.col(columns).is_not_null())).to_series() for rows in (stable, candidate)]
    for name, rows, each in (("stable version", stable, whole[0]), ("candidate", candidate, whole[1])):
        if rows.height and not each.any():
            raise BadInput(
                Reason.CONFIGURATION_INVALID,
                f"analysis.metric.name: {measured.metric} needs probabilities, and the {name} gives none: name a "
                "metric of labels such as accuracy",
            )
    if paired:
        whole = [whole[0] & whole[1]] * 2
    return stable.filter(whole[0]), candidate.filter(whole[1])


def _too_few(compared: RowsOfBoth, measured: ComparableModels) -> str:
    """Why the metric cannot be measured yet; empty when it can."""
    for name, rows in (("candidate", compared.candidate), ("stable version", compared.stable)):
        if rows.height < MIN_ROWS:
            return (
                f"{rows.height} labelled rows of the {name}, at least {MIN_ROWS} are needed; waits for about "
                f"{rounded(MIN_ROWS - rows.height)} more labels of its rows"
            )
        if measured.metric in _OF_CLASSES and (few := _rarest(rows, compared, measured)):
            rare, count = few
            missing = (MIN_ROWS_OF_CLASS - count) * rows.height / max(1, count)
            return (
                f"{count} labelled rows of the {name} are {cut(rare, 40)}, at least {MIN_ROWS_OF_CLASS} are needed; "
                f"waits for about {rounded(missing)} more labels of its rows"
            )
    return ""


def _rarest(rows: pl.DataFrame, compared: RowsOfBoth, measured: ComparableModels) -> tuple[str, int] | None:
    """Return a class that has too few rows, and how many: of roc_auc any, of others one that there is."""
    either = set(compared.stable[LABEL].to_list()) | set(compared.candidate[LABEL].to_list())
    wanted = [name for name in measured.classes if measured.metric == "roc_auc" or name in either]
    # Of one class alone there is nothing to tell apart.
    wanted = wanted if len(wanted) > 1 else list(measured.classes[:2])
    rare, count = min(((name, int((rows[LABEL] == name).sum())) for name in wanted), key=lambda one: one[1])
    return (rare, count) if count < MIN_ROWS_OF_CLASS else None


def _plan(compared: RowsOfBoth, measured: ComparableModels, seed: int) -> Resampling:
    """Return how rows are drawn: in blocks of neighbours, the longer the more their losses resemble each other."""
    rows = min(compared.sizes)
    alike = max(inflation(losses(each, measured.classes)) for each in _both(compared))
    block = max(2, round(math.cbrt(rows)), min(round(2.0 * alike), rows // _BLOCKS))
    return Resampling(replicates=400 if max(compared.sizes) <= 5000 else 200, block=block, seed=seed)


def _if_times(found: LossBounds) -> Callable[[float], tuple[float, float]]:
    """Return the interval if there were so many times as many rows, which said the same."""

    def bounds(times: float) -> tuple[float, float]:
        scaled = replace(found, sampled=found.sampled / math.sqrt(times), unseen=found.unseen / times)
        return scaled.low, scaled.high

    return bounds


def _is_better_paired(answers: Answers) -> bool:
    if not min(answers.paired.sizes):
        return False
    if not min(answers.apart.sizes):
        return True
    return scale(answers.paired.sizes, paired=True) < scale(answers.apart.sizes, paired=False)


def _number(measured: ComparableModels, compared: RowsOfBoth) -> str | None:
    """Return the column whose numbers are compared; None where classes are."""
    if not measured.classes:
        return PREDICTION
    if len(measured.classes) > 2 or any(measured.unknown):
        return None
    column = PROBABILITY + measured.classes[1]
    return column if all(rows[column].null_count() < rows.height for rows in _both(compared)) else None


def _of_numbers(compared: RowsOfBoth, column: str) -> _Distance:
    """Return the distance of numbers."""
    values = [rows[column].drop_nulls().to_numpy() for rows in _both(compared)]
    sizes = _effective(*(one.shape[0] / inflation_of_values(one) for one in values))
    return _Distance(ks_distance(*values), sizes, ks_bounds, (float(values[0].mean()), float(values[1].mean())))


def _of_classes(compared: RowsOfBoth, measured: ComparableModels) -> _Distance:
    """Return the distance of predicted classes."""
    said = set(compared.stable[PREDICTION].to_list()) | set(compared.candidate[PREDICTION].to_list())
    names = [*measured.classes, *sorted(said - set(measured.classes))]
    numbers = {name: code for code, name in enumerate(names)}
    codes = [np.array([numbers[one] for one in rows[PREDICTION].to_list()]) for rows in _both(compared)]
    sizes = _effective(*(one.shape[0] / inflation_of_codes(one) for one in codes))
    first, second = (np.bincount(one, minlength=len(names)) for one in codes)

    def bounds(value: float, sizes: tuple[float, float], tail: float, *, paired: bool = False) -> DistanceBounds:
        return variation_bounds(value, len(names), sizes, tail, paired=paired)

    return _Distance(total_variation(first, second), sizes, bounds)


def _effective(first: float, second: float) -> tuple[float, float]:
    return max(1.0, first), max(1.0, second)
