"""Is a column that moved in another unit? All of it, or a part of its rows.

A multiple of what was is a mark of its own where the factor is large, or exactly one of two units. A window of some
hundred rows tells a factor less exactly than that: then the labels must say that values mean what they meant before in
the other unit, and not what they meant as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl

from mlops.statistics.arrays import FloatArray
from mlops.statistics.dependence import inflation
from mlops.workloads.drift.columns import ALIKE, MIN_ROWS, MOVED, SHAPE, NumericInput, apart
from mlops.workloads.floor.records.layout import INPUT

# Units that are mistaken for each other, by how much they differ: inch, foot, mile, pound; beyond the last, any factor
# is one.
_FACTORS = (2.54, 3.2808, 1.60934, 2.20462)
# Further ones, which labels must confirm: gallon, calorie, knot, metre a second, pound-force, psi, mmHg, week, degree.
_RARER = (3.78541, 4.184, 4.54609, 1.852, 3.6, 4.44822, 6.89476, 7.50062, 7.0, 1.8)
_ANY_FACTOR = 8.0
_PRECISION = 0.015
# What a factor near these is called.
_ROUND = (10.0, 12.0, 24.0, 60.0, 100.0, 1000.0, 3600.0, 1e4, 1e5, 1e6, 1e9)
_NEAR_ROUND = 0.1
# A part of a column is another unit from this share on, and beyond so many times the outermost hundredth.
_PART = 0.05
_BEYOND = 4.0
# A part in a unit of the table lies where nothing was, and almost all of what lies there is of it.
_CLEAR, _ALMOST_ALL = 1.05, 0.95
_QUANTILES = np.linspace(0.05, 0.95, 19)
# Labels agree, or contradict, from so many standard errors on; then a smaller move and a less exact factor are enough.
_AGREE, _CONTRADICT = 2.33, -1.64
_MOVED_LITTLE = 0.1
_ERRORS, _LEAST_PRECISION = 3.0, 0.1
_BINS = 10
# Of so many of its own windows at least the reference says how they differ.
_FEWEST_WINDOWS = 3
# Degrees of the other kind are told by their zero as well: it is so many widths of the column off.
_LEVEL = 0.25

Back = Callable[[FloatArray], FloatArray]


def another_unit(column: NumericInput, known: pl.DataFrame, seen: pl.DataFrame, *, alone: bool) -> str:
    """The unit that an input of both frames changed to, in a sentence; empty if it did not.

    `alone`: no other input moved, which labels would follow, too.
    """
    return _rescaled(column, known, seen, alone=alone) or _partly(column)


def _rescaled(column: NumericInput, known: pl.DataFrame, seen: pl.DataFrame, *, alone: bool) -> str:
    """A column whose values are those of before times a number: another unit."""
    if column.distance < max(_MOVED_LITTLE, column.noise):
        return ""
    before, after = (np.quantile(values, _QUANTILES) for values in (column.known_sorted, column.seen_sorted))
    factor = _ratio(before, after)
    if factor <= 0.0 or not math.isfinite(factor):
        return ""
    moved = column.distance >= max(MOVED, column.noise)
    distance = apart(np.sort(column.known_sorted * factor), column.seen_sorted)
    size = max(factor, 1.0 / factor)
    allowed = column.noise if size < _ANY_FACTOR else max(column.noise, ALIKE * column.distance)
    if distance > min(allowed, SHAPE):
        return _fahrenheit(column, known, seen) if moved else ""
    if size >= _ANY_FACTOR:
        return f"{column.name} has about {_named(factor)} times its values: another unit" if moved else ""
    told = told_by_labels(column.name, known, seen, lambda values: values / factor)
    over = "" if factor >= 1.0 else "1/"
    unit = next((each for each in _FACTORS if abs(size / each - 1.0) <= _PRECISION), None)
    if unit is not None and moved and told > _CONTRADICT:
        return f"{column.name} has about {over}{unit:g} times its values: another unit"
    precision = min(_LEAST_PRECISION, max(_PRECISION, _ERRORS * _error_of_factor(column)))
    near = min(abs(size / each - 1.0) for each in (*_FACTORS, *_RARER))
    if not alone or told < _AGREE or near > precision:
        return ""
    return f"{column.name} has about {over}{size:.2g} times its values, and the labels that these had: another unit"


def _error_of_factor(column: NumericInput) -> float:
    """The standard error of the logarithm of the factor between two samples of one shape, by their quartiles."""
    low, middle, high = np.quantile(column.known_sorted, (0.25, 0.5, 0.75))
    if column.known_sorted[0] > 0.0:
        return 1.25 / 1.35 * math.log(high / low) * column.error
    spread = max(float(high - low) / 1.35, 1e-300)
    # Of a column about zero the spread tells the factor, of one far from it the middle.
    return column.error * min(1.0, spread / max(abs(float(middle)), 1e-300))


def told_by_labels(name: str, known: pl.DataFrame, seen: pl.DataFrame, back: Back) -> float:
    """By how many standard errors the labels of the window are told better by an input's values as they were, `back`,
    than as they are; 0 without labels.

    Told by the mean label in tenths of the reference's values.
    """
    rows = [frame.filter(pl.col("label").is_not_null() & pl.col(INPUT + name).is_not_null()) for frame in (known, seen)]
    if min(part.height for part in rows) < MIN_ROWS:
        return 0.0
    (before, after), (x, now) = _targets(rows), (part[INPUT + name].to_numpy().astype(np.float64) for part in rows)
    edges = np.unique(np.quantile(x, np.linspace(0.0, 1.0, _BINS + 1)[1:-1]))
    places = edges.searchsorted(x, side="right")
    count = np.bincount(places, minlength=edges.shape[0] + 1).astype(np.float64)
    overall = before.mean(axis=0)
    means = np.stack(
        [
            (np.bincount(places, weights=line, minlength=count.shape[0]) + middle) / (count + 1.0)
            for line, middle in zip(before.T, overall, strict=True)
        ],
        axis=1,
    )
    losses = [np.square(after - means[edges.searchsorted(v, side="right")]).sum(axis=1) for v in (now, back(now))]
    gain = losses[0] - losses[1]
    error = float(gain.std()) * math.sqrt(inflation(gain) / gain.shape[0])
    return float(gain.mean()) / error if error > 0.0 else 0.0


def _targets(rows: list[pl.DataFrame]) -> tuple[FloatArray, FloatArray]:
    """Labels as numbers (n, k): 1 for each class, or a number in standard deviations of the reference's."""
    labels = [part["label"] for part in rows]
    if labels[0].dtype.is_numeric():
        before, after = (each.to_numpy().astype(np.float64) for each in labels)
        scale = float(before.std()) or 1.0
        middle = float(before.mean())
        return ((before - middle) / scale)[:, None], ((after - middle) / scale)[:, None]
    classes = sorted(set(labels[0].unique()))
    before, after = (np.stack([(each == name).to_numpy() for name in classes], axis=1) for each in labels)
    return before.astype(np.float64), after.astype(np.float64)


def _partly(column: NumericInput) -> str:
    """A part of a column is in another unit: beyond all that was, and of its shape once it is multiplied."""
    sizes, seen = np.sort(np.abs(column.known)), np.abs(column.seen)
    least, most = sizes[int(0.01 * (sizes.shape[0] - 1))], sizes[int(np.ceil(0.99 * (sizes.shape[0] - 1)))]
    for part in (column.seen[(seen > 0.0) & (seen < least / _BEYOND)], column.seen[seen > most * _BEYOND]):
        factor, matches = _of_part(column, part)
        if matches and max(factor, 1.0 / factor) >= _ANY_FACTOR:
            return _told_part(column, part, _named(factor))
    for unit in _FACTORS:
        for part in (column.seen[(seen > 0.0) & (seen < least / _CLEAR)], column.seen[seen > most * _CLEAR]):
            factor, matches = _of_part(column, part)
            size = max(factor, 1.0 / factor) if factor > 0.0 else 0.0
            clear = unit * least > most * _CLEAR
            of_unit = np.abs(part) * (unit if factor < 1.0 else 1.0 / unit)
            inside = (of_unit >= least / _CLEAR) & (of_unit <= most * _CLEAR)
            exact = max(_PRECISION, column.error * (most - least) / most)
            if matches and clear and inside.mean() >= _ALMOST_ALL and abs(size / unit - 1.0) <= exact:
                return _told_part(column, part, f"{'' if factor >= 1.0 else '1/'}{unit:g}")
    return ""


def _of_part(column: NumericInput, part: FloatArray) -> tuple[float, bool]:
    """The factor of a part of a column, and whether the part is large enough and has the column's shape."""
    if part.shape[0] < max(MIN_ROWS, _PART * column.seen.shape[0]):
        return 0.0, False
    ordered = np.sort(part)
    factor = _ratio(*(np.quantile(values, _QUANTILES) for values in (column.known_sorted, ordered)))
    if factor <= 0.0:
        return 0.0, False
    return factor, apart(np.sort(column.known_sorted * factor), ordered) <= SHAPE


def _told_part(column: NumericInput, part: FloatArray, factor: str) -> str:
    share = part.shape[0] / column.seen.shape[0]
    return f"{column.name} has about {factor} times its values in {share:.0%} of the rows: another unit"


def _named(factor: float) -> str:
    """A factor of another unit, as people call it."""
    size = max(factor, 1.0 / factor)
    named = next((known for known in _ROUND if abs(size / known - 1.0) <= _NEAR_ROUND), float(f"{size:.3g}"))
    return f"{'' if factor >= 1.0 else '1/'}{named:.7g}"


def _ratio(before: FloatArray, after: FloatArray) -> float:
    """The factor between quantiles of one sign, or by least squares where they have both."""
    if (before > 0.0).all() and (after > 0.0).all():
        return float(np.exp(np.median(np.log(after) - np.log(before))))
    squares = float((before * before).sum())
    return float((before * after).sum()) / squares if squares > 0.0 else 0.0


def _fahrenheit(column: NumericInput, known: pl.DataFrame, seen: pl.DataFrame) -> str:
    """Degrees of the other kind, in all rows or in some: what of the move these leave is noise, and little of it."""
    for slope, level, unit in ((1.8, 32.0, "Fahrenheit for Celsius"), (1 / 1.8, -32 / 1.8, "Celsius for Fahrenheit")):
        # Of values that spread over hundreds, 32 is nothing: they would be called so by the factor alone.
        if abs(level) < _LEVEL * slope * _width(column.known_sorted):
            continue
        share, left = _mixed(column.known_sorted, column.known_sorted * slope + level, column.seen_sorted)
        if share < _PART or left > min(column.noise, SHAPE, ALIKE * column.distance):
            continue
        every = share >= _ALMOST_ALL
        back = partial(_linear, slope=1.0 / slope, level=-level / slope)
        if every and told_by_labels(column.name, known, seen, back) <= _CONTRADICT:
            continue
        rows = "" if every else f" in {share:.0%} of the rows"
        return f"{column.name} has {slope:.3g} times its values and {level:+.3g}{rows}: {unit}"
    return ""


def _linear(values: FloatArray, slope: float, level: float) -> FloatArray:
    return values * slope + level


def _mixed(known: FloatArray, other: FloatArray, seen: FloatArray) -> tuple[float, float]:
    """The share of `other` that makes the distribution of `seen` out of that of `known`, by least squares, and how far
    the two are still apart; all are ascending."""
    at = np.concatenate((known, other, seen))
    was, would, is_ = (each.searchsorted(at, side="right") / each.shape[0] for each in (known, other, seen))
    squares = float(np.square(would - was).sum())
    share = float(np.clip(((is_ - was) * (would - was)).sum() / squares, 0.0, 1.0)) if squares > 0.0 else 0.0
    return share, float(np.abs(is_ - was - share * (would - was)).max())


def unlike_its_windows(column: NumericInput) -> str:
    """The unit of an input that resembles itself for so long, or moves so much with the seasons, that no p-value says
    that it moved: its values are spread eight times less, or more, than in any of the reference's own windows, and have
    the shape that one of them had."""
    blocks = [block for block in column.blocks if block.shape[0] >= MIN_ROWS]
    if len(blocks) < _FEWEST_WINDOWS:
        return ""
    width, widths = _width(column.seen_sorted), [_width(block) for block in blocks]
    if min(widths) <= 0.0 or not (0.0 < width < min(widths) / _ANY_FACTOR or width > max(widths) * _ANY_FACTOR):
        return ""
    now = np.quantile(column.seen_sorted, _QUANTILES)
    factors = [_ratio(np.quantile(block, _QUANTILES), now) for block in blocks]
    shapes = [
        (apart(block * factor, column.seen_sorted), factor)
        for block, factor in zip(blocks, factors, strict=True)
        if factor > 0.0 and math.isfinite(factor) and max(factor, 1.0 / factor) >= _ANY_FACTOR
    ]
    distance, factor = min(shapes, default=(1.0, 1.0))
    return f"{column.name} has about {_named(factor)} times its values: another unit" if distance <= SHAPE else ""


def _width(ordered: FloatArray) -> float:
    low, high = np.quantile(ordered, _QUANTILES[[0, -1]])
    return float(high - low)
