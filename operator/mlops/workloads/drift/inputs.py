"""The inputs of a window against those of the reference: what checks without labels compare."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import polars as pl

from mlops.api.drift_monitor import Check
from mlops.statistics.arrays import within_reach
from mlops.statistics.multiplicity import benjamini_hochberg, bonferroni
from mlops.statistics.reference import SortedReference
from mlops.statistics.two_sample import chi_square_homogeneity, compare_categorical, compare_numeric
from mlops.workloads.drift.baseline import Baseline, baseline, beyond, far_beyond, windows_of
from mlops.workloads.drift.correlation import moved_pairs
from mlops.workloads.drift.dependence import Dependence
from mlops.workloads.drift.findings import FeatureComparison, Joint, Kind, Pair, Shift
from mlops.workloads.drift.joint import moved_together
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.window import Window
from mlops.workloads.floor.records.layout import INPUT

_FAR = 3.0


class Inputs:
    """The inputs of a window against those of the reference. Each comparison is made once, when first needed."""

    def __init__(self, reference: Reference, window: Window) -> None:
        self._reference, self._window = reference, window
        self._baselines: dict[tuple[str, float], Baseline | None] = {}

    @cached_property
    def dependence(self) -> Dependence:
        """How much less than their number the rows of both say."""
        return Dependence(self._reference.frame, self._window.frame, self.blocks)

    @cached_property
    def features(self) -> tuple[FeatureComparison, ...]:
        """All inputs by name."""
        frame = self._reference.frame
        numeric = set(self._reference.numeric)
        return tuple(
            compare(
                name,
                frame[INPUT + name],
                self._window.frame[INPUT + name],
                is_number=name in numeric,
                inflation=self.dependence.of(INPUT + name, is_number=name in numeric),
                missing=self._missing(name),
            )
            for name in self._reference.fields
        )

    def _missing(self, name: str) -> tuple[int, int] | None:
        """Rows without a value before the model's constant took its place, in the reference and in the window."""
        if name not in self._window.missing:
            return None
        return round(self._reference.filled[name] * self._reference.frame.height), self._window.missing[name]

    @cached_property
    def blocks(self) -> tuple[pl.DataFrame, ...]:
        """The reference cut into windows as long as the one that is checked; empty when there are too few."""
        span = self._window.span
        return windows_of(self._reference.frame, span.end - span.start)

    def baseline(self, feature: FeatureComparison, alpha: float) -> Baseline | None:
        """How the input compares with the reference's own windows; None when the reference is too short to say."""
        asked = (feature.name, alpha)
        if asked not in self._baselines:
            column = INPUT + feature.name
            self._baselines[asked] = baseline(
                self.blocks,
                column,
                self._window.frame[column],
                is_number=feature.kind == "numeric",
                alpha=alpha,
            )
        return self._baselines[asked]

    def shifts(self, check: Check) -> tuple[Shift, ...]:
        """Every input's answer to a DataDrift check, the largest effect first."""
        return self.judged(check, self.features, self.baseline, self._is_unlike_each)

    def _is_unlike_each(self, feature: FeatureComparison, alpha: float) -> bool:
        column, is_number = INPUT + feature.name, feature.kind == "numeric"
        return unlike_each(self.blocks, self._window.frame, column, self.dependence, alpha, is_number=is_number)

    def pairs(self, check: Check) -> tuple[Pair, ...]:
        """The pairs of inputs that moved together."""
        known, seen = self._reference.frame, self._window.frame
        return moved_pairs(self._reference, known, seen, self.dependence, self.blocks, check)

    def joint(self, check: Check, seed: int) -> Joint | str:
        """Whether inputs go together as they did, or why it cannot be told."""
        return moved_together(self._reference, self._window.frame, self.dependence, self.blocks, check, seed)

    def judged(
        self,
        check: Check,
        features: tuple[FeatureComparison, ...],
        baseline_of: Callable[[FeatureComparison, float], Baseline | None],
        is_unlike_each: Callable[[FeatureComparison, float], bool],
    ) -> tuple[Shift, ...]:
        """The answer of each feature to a check, the largest effect of those that moved first.

        `is_unlike_each` tells whether the window differs from each of the reference's own by more than rows that follow
        each other do; it is asked about those that are far beyond all of them.
        """
        known = {feature.name: feature.p_value for feature in features if feature.p_value is not None}
        adjusted = dict(zip(known, corrected(list(known.values()), check.correction), strict=True))
        shifts = []
        for feature in features:
            p_value = float(adjusted.get(feature.name, 1.0))
            passed = (
                feature.effect is not None
                and p_value <= float(check.alpha)
                and feature.effect >= float(check.min_effect_size)
            )
            large = feature.effect is not None and feature.effect >= float(check.min_effect_size)
            known_windows = baseline_of(feature, float(check.alpha) / len(features)) if large else None
            drifted = (passed and beyond(known_windows, float(check.min_effect_size))) or (
                far_beyond(known_windows) and is_unlike_each(feature, float(check.alpha))
            )
            shifts.append(Shift(feature, p_value, known_windows, drifted))
        return tuple(sorted(shifts, key=lambda s: (not s.drifted, -(s.feature.effect or 0.0), s.feature.name)))


def unlike_each(
    blocks: tuple[pl.DataFrame, ...],
    window: pl.DataFrame,
    column: str,
    dependence: Dependence,
    alpha: float,
    *,
    is_number: bool,
) -> bool:
    """Whether a window differs significantly from each of `blocks`, by what its rows say of it.

    Rows that wander slowly take a window far from all others by chance; those of a season do not, since within a window
    they say more.
    """
    inflation = dependence.within(column, is_number=is_number)
    found = (
        compare(column, block[column], window[column], is_number=is_number, inflation=(inflation, inflation))
        for block in blocks
    )
    return all(each.p_value is None or each.p_value <= alpha for each in found)


def compare(
    name: str,
    reference: pl.Series,
    current: pl.Series,
    *,
    is_number: bool,
    inflation: tuple[float, float] = (1.0, 1.0),
    missing: tuple[int, int] | None = None,
) -> FeatureComparison:
    """Compare one column; a column without any value on one side has no effect size and no p-value.

    `inflation` is by how much rows of the reference and of the window say less than independent ones. `missing` are the
    rows without a value, (reference, current), of columns whose values were filled.
    """
    n, m = reference.len(), current.len()
    missing_n, missing_m = missing or (reference.null_count(), current.null_count())
    shares = (missing_n / n if n else 0.0, missing_m / m if m else 0.0)
    rise = chi_square_homogeneity([n - missing_n, missing_n], [m - missing_m, missing_m])[0].pvalue if n and m else 1.0
    if reference.null_count() == n or current.null_count() == m:
        kind: Kind = "numeric" if is_number else "categorical"
        return FeatureComparison(name, kind, None, None, None, *shares, rise, 0.0, 1.0, 0.0)
    if is_number:
        known, values = within_reach(reference.drop_nulls().to_numpy(), current.drop_nulls().to_numpy())
        sorted_reference = SortedReference.from_values(known)
        found = compare_numeric(sorted_reference, values, inflation=inflation)
        return FeatureComparison(
            name,
            "numeric",
            found.wasserstein_normalised,
            found.ks.value,
            found.ks.pvalue,
            *shares,
            rise,
            0.0,
            1.0,
            _outside(sorted_reference, values),
        )
    before, after = counts(reference), counts(current)
    categories = compare_categorical(before, after, inflation=inflation)
    return FeatureComparison(
        name,
        "categorical",
        categories.jensen_shannon,
        categories.chi_square.value,
        categories.chi_square.pvalue,
        *shares,
        rise,
        categories.unseen_share,
        _unseen_pvalue(before, after),
        0.0,
    )


def counts(column: pl.Series) -> dict[str, int]:
    """Rows per category; missing ones are not counted."""
    table = column.drop_nulls().cast(pl.String).alias("value").value_counts(name="n").sort("value")
    return dict(zip(table["value"].to_list(), table["n"].to_list(), strict=True))


def _outside(reference: SortedReference, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """The share of values beyond the reference's extremes and by three times its central 98 % beyond those."""
    ordered = reference.values
    n = ordered.shape[0]
    low, high = ordered[int(0.01 * (n - 1))], ordered[int(np.ceil(0.99 * (n - 1)))]
    width = high - low
    if width <= 0.0:
        return 0.0
    below = values < min(ordered[0], low - _FAR * width)
    above = values > max(ordered[-1], high + _FAR * width)
    return float((below | above).mean())


def _unseen_pvalue(before: dict[str, int], after: dict[str, int]) -> float:
    """Are unseen categories more frequent than rare ones make likely? Their share in the reference is estimated by the
    share of categories seen once (Good 1953)."""
    once = sum(1 for rows in before.values() if rows == 1)
    unseen = sum(rows for name, rows in after.items() if name not in before)
    if not unseen:
        return 1.0
    n, m = sum(before.values()), sum(after.values())
    return chi_square_homogeneity([n - once, once], [m - unseen, unseen])[0].pvalue


def corrected(pvalues: list[float], correction: str) -> list[float]:
    """P-values of several questions, adjusted as a check demands."""
    if not pvalues:
        return []
    adjust = bonferroni if correction == "Bonferroni" else benjamini_hochberg
    return [float(p) for p in adjust(np.array(pvalues, dtype=np.float64))]


def plain(text: str) -> str:
    return f"{float(text):g}"


def short(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.3g}"
