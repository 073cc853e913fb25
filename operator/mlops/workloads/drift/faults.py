"""What broken deliveries look like: values that no change of the world makes.

Each fault is recognised by a mark of its own, in comparison with what the reference shows of itself: one value that
stands out, a run of equal values, rows that come again, a column that is a multiple of what it was, or another one.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from mlops.statistics.arrays import LARGEST_SQUARE, BoolArray, FloatArray
from mlops.statistics.two_sample import chi_square_homogeneity
from mlops.workloads.drift.dependence import spacing_of
from mlops.workloads.drift.reference import Reference
from mlops.workloads.floor.records.layout import INPUT

_MIN_ROWS = 30
# A value stands out if it is so many times as frequent as the next ones, and as it was.
_PROMINENT = 8.0
_NEXT = slice(1, 6)
# A run of equal values is none by chance if it is so long, and so many times as long as any before.
_MIN_RUN = 20
_RUN = 4.0
# Rows may come again: a client that asks twice, or a test of load. From this share on it is the delivery.
_AGAIN = 0.1
_MOVED = 0.25
_ALIKE = 0.3
# Distributions further apart have not one shape.
_SHAPE = 0.15
# Units that are mistaken for each other, by how much they differ; beyond the last, any factor is one.
_FACTORS = (2.54, 3.2808, 1.60934, 2.20462)
_ANY_FACTOR = 8.0
_PRECISION = 0.015
# What a factor near these is called.
_ROUND = (10.0, 12.0, 24.0, 60.0, 100.0, 1000.0, 3600.0, 1e4, 1e5, 1e6, 1e9)
_NEAR_ROUND = 0.1
_NINES = tuple(sign * float("9" * digits) for digits in range(2, 10) for sign in (1, -1))
# A part of a column is another unit from this share on, and beyond so many times the outermost hundredth.
_PART = 0.05
_BEYOND = 4.0
# A first look at pairs of columns is at so many quantiles.
_FEW, _SLACK = np.linspace(0.0, 1.0, 201), 0.05
_FEWEST_SPELT = 3
# Texts that are cut in some rows only are a fault from this share on: new ones may begin like known ones.
_CUT_PARTLY = 0.2
_QUANTILES = np.linspace(0.05, 0.95, 19)


@dataclass(frozen=True, eq=False)
class _Column:
    """A numeric input that is there on both sides, in time order and sorted."""

    name: str
    known: FloatArray
    seen: FloatArray
    known_sorted: FloatArray
    seen_sorted: FloatArray
    blocks: tuple[FloatArray, ...]
    distance: float

    def share_before(self, value: float) -> float:
        """The largest share that a value had in the reference, or in one of its own windows."""
        ordered = (self.known_sorted, *self.blocks)
        return max(_count(each, value) / len(each) for each in ordered if len(each))

    @property
    def noise(self) -> float:
        """A distance of distribution functions that chance seldom exceeds."""
        return 1.95 * math.sqrt(1.0 / self.known.shape[0] + 1.0 / self.seen.shape[0])


def faults_of(
    reference: Reference,
    window: pl.DataFrame,
    blocks: Sequence[pl.DataFrame],
    moved: Collection[str],
    *,
    alpha: float,
    min_share: float,
) -> dict[str, str]:
    """Return the faults of a window as sentences, by input; one of whole rows stands under the empty name.

    Of two inputs that are exchanged the first one has the sentence. `moved` are the inputs that drifted: only these can
    have another unit, or the values of another one. `blocks` are the reference's own windows: what filled one of them
    is no fault. `min_share` is the smallest share of the rows that is a fault.
    """
    if window.height < _MIN_ROWS or reference.frame.height < _MIN_ROWS:
        return {}
    columns = [column for name in reference.numeric if (column := _column(name, reference.frame, window, blocks))]
    told: dict[str, str] = {}
    for one in columns:
        constant = reference.constants.get(one.name)
        if found := _stands_out(one, constant, alpha / max(1, len(columns)), min_share):
            told[one.name] = found
    told = dict(_stuck(reference, window, min_share)) | told | dict(_respelt(reference, window, min_share))
    open_ = [one for one in columns if one.name not in told and one.name in moved]
    exchanged = dict(_exchanged(open_))
    rescaled = {
        one.name: text for one in open_ if one.name not in exchanged and (text := _rescaled(one) or _partly(one))
    }
    return {**told, **exchanged, **rescaled, **dict(_again(reference, window))}


def _column(name: str, known: pl.DataFrame, seen: pl.DataFrame, blocks: Sequence[pl.DataFrame]) -> _Column | None:
    before, after = (frame[INPUT + name].drop_nulls().to_numpy() for frame in (known, seen))
    if min(before.shape[0], after.shape[0]) < _MIN_ROWS:
        return None
    known_sorted, seen_sorted = np.sort(before), np.sort(after)
    if max(abs(float(each)) for each in (*known_sorted[[0, -1]], *seen_sorted[[0, -1]])) > LARGEST_SQUARE:
        return None
    own = tuple(np.sort(block[INPUT + name].drop_nulls().to_numpy()) for block in blocks)
    return _Column(name, before, after, known_sorted, seen_sorted, own, _apart(known_sorted, seen_sorted))


def _count(ordered: FloatArray, value: float) -> int:
    return int(ordered.searchsorted(value, "right") - ordered.searchsorted(value))


def _apart(one: FloatArray, other: FloatArray) -> float:
    """The largest distance of two distribution functions, of ascending values."""
    at = np.concatenate((one, other))
    below_one, below_other = one.searchsorted(at, side="right"), other.searchsorted(at, side="right")
    return float(np.abs(below_one / one.shape[0] - below_other / other.shape[0]).max())


def _stands_out(column: _Column, constant: float | str | None, alpha: float, min_share: float) -> str:
    """A value that fills a column, or part of it: zero, a sentinel, the last one before a source froze.

    The model's own `constant` for what is missing is none: what is missing is counted apart.
    """
    values, rows = np.unique(column.seen_sorted, return_counts=True)
    order = np.argsort(-rows, kind="stable")
    m, n = column.seen.shape[0], column.known.shape[0]
    most = int(order[0])
    suspects = np.flatnonzero(_is_no_number(column, values) & (rows >= max(2.0, min_share * m)))
    for place in dict.fromkeys((most, *suspects.tolist())):
        value, count = float(values[place]), int(rows[place])
        before = _count(column.known_sorted, value)
        share, share_before = count / m, column.share_before(value)
        if value == constant or share - share_before < min_share or share < 3.0 * share_before:
            continue
        if chi_square_homogeneity([n - before, before], [m - count, count])[0].pvalue > alpha:
            continue
        if count == m:
            return f"{column.name} is {value:g} in every row, in {share_before:.1%} before"
        # Where values are few, frequencies move; a value stands out if none is like it.
        following = max(float(rows[order[_NEXT]].mean()) / m, 1.0 / m, share_before)
        if place != most or share >= _PROMINENT * following:
            return f"{column.name} is {value:g} in {share:.1%} of the rows, in {share_before:.1%} before"
    return ""


def _is_no_number(column: _Column, values: FloatArray) -> BoolArray:
    """Which values stand for something else: negative ones where there were none, nines beyond all that was, and
    whatever lies further beyond it than all that was is wide."""
    low, high = column.known_sorted[0], column.known_sorted[-1]
    negative = (values < 0.0) & bool(low >= 0.0)
    outside = (values < low) | (values > high)
    far = (values < low - (high - low)) | (values > high + (high - low))
    return np.asarray(negative | (np.isin(values, _NINES) & outside) | far)


def _stuck(reference: Reference, window: pl.DataFrame, min_share: float) -> Iterator[tuple[str, str]]:
    """Columns that stay at one value for longer than they ever did."""
    timed = reference.frame.filter(pl.col("time").is_not_null())
    for name in reference.fields:
        seen = window[INPUT + name].drop_nulls()
        run, value = _longest_run(seen)
        if value == reference.constants.get(name):
            continue
        if run < max(_MIN_RUN, min_share * window.height):
            continue
        known = timed[INPUT + name].drop_nulls()
        share = (known == value).sum() / known.len() if known.len() else 1.0
        # Of a thinned reference only some rows of a run are there.
        thinned = max(1.0, spacing_of(timed["time"]) / (spacing_of(window["time"]) or 1.0))
        longest = round(_longest_run(known)[0] * thinned)
        # As long by chance, with the value as frequent as it was: hardly ever.
        chance = window.height * share**run if share < 1.0 else 1.0
        if run >= _RUN * max(1, longest) and chance < 1e-6:
            yield name, f"{name} stays at {_shown(value)} for {run} rows, for {longest} at most before"


def _longest_run(values: pl.Series) -> tuple[int, object]:
    if not values.len():
        return 0, None
    runs = values.rle().struct.unnest()
    best = int(runs["len"].arg_max() or 0)
    return int(runs["len"][best]), runs["value"][best]


def _shown(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _respelt(reference: Reference, window: pl.DataFrame, min_share: float) -> Iterator[tuple[str, str]]:
    """Categories that are known ones in another spelling: capitals, blanks, accents, or cut short."""
    for name in reference.categorical:
        known = set(reference.frame[INPUT + name].drop_nulls().unique())
        counted = window[INPUT + name].drop_nulls().value_counts(name="n")
        unseen = {value: rows for value, rows in counted.iter_rows() if value not in known}
        spellings = Counter(map(_plain, known))
        plain = {_plain(value): value for value in sorted(known) if spellings[_plain(value)] == 1 and _plain(value)}
        spelt = {value: plain[_plain(value)] for value in unseen if _plain(value) in plain}
        longest = max((len(value) for value, _ in counted.iter_rows()), default=0)
        cut = _cut(unseen, known)
        if cut and longest > len(next(iter(cut))) and sum(unseen.values()) < _CUT_PARTLY * window.height:
            cut = {}
        for found, what in ((spelt, "is spelt otherwise"), (cut, "is cut short")):
            rows = sum(unseen[value] for value in found)
            if rows >= max(float(_FEWEST_SPELT), min_share * window.height):
                value = max(found, key=lambda each: (unseen[each], each))
                share = rows / window.height
                yield name, f"{name} {what} in {share:.1%} of the rows, such as {value!r} for {found[value]!r}"
                break


def _cut(unseen: Mapping[str, int], known: Collection[str]) -> dict[str, str]:
    """Unseen texts that are the beginning of known ones: of one length, two at least, and none is longer."""
    lengths = {len(value) for value in unseen}
    if len(unseen) < 2 or len(lengths) != 1:
        return {}
    length = lengths.pop()
    whole = {value[:length]: value for value in sorted(known) if len(value) > length}
    return {value: whole[value] for value in unseen} if length and all(value in whole for value in unseen) else {}


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).casefold()
    return "".join(one for one in letters if not (unicodedata.combining(one) or one.isspace() or one == "_"))


def _exchanged(columns: list[_Column]) -> Iterator[tuple[str, str]]:
    """Columns each of which looks like the other did."""
    moved = [one for one in columns if one.distance >= max(_MOVED, one.noise)]
    few = {one.name: (np.quantile(one.known_sorted, _FEW), np.quantile(one.seen_sorted, _FEW)) for one in moved}
    for one, other in combinations(moved, 2):
        (known, seen), (known_other, seen_other) = few[one.name], few[other.name]
        if max(_apart(known_other, seen), _apart(known, seen_other)) > _SHAPE + _SLACK:
            continue
        crossed = max(_apart(other.known_sorted, one.seen_sorted), _apart(one.known_sorted, other.seen_sorted))
        noise = max(one.noise, other.noise)
        if crossed <= max(noise, _ALIKE * min(one.distance, other.distance)) and crossed < _SHAPE:
            yield one.name, f"{one.name} and {other.name} are exchanged: each has the values that the other had"
            yield other.name, ""


def _rescaled(column: _Column) -> str:
    """A column whose values are those of before times a number: another unit."""
    if column.distance < max(_MOVED, column.noise):
        return ""
    before, after = (np.quantile(values, _QUANTILES) for values in (column.known_sorted, column.seen_sorted))
    factor = _ratio(before, after)
    if factor <= 0.0 or not math.isfinite(factor):
        return ""
    distance = _apart(np.sort(column.known_sorted * factor), column.seen_sorted)
    size = max(factor, 1.0 / factor)
    allowed = column.noise if size < _ANY_FACTOR else max(column.noise, _ALIKE * column.distance)
    if distance > min(allowed, _SHAPE):
        return _fahrenheit(column)
    if size >= _ANY_FACTOR:
        return f"{column.name} has about {_named(factor)} times its values: another unit"
    known = next((known for known in _FACTORS if abs(size / known - 1.0) <= _PRECISION), None)
    if known is None:
        return ""
    return f"{column.name} has about {'' if factor >= 1.0 else '1/'}{known:g} times its values: another unit"


def _partly(column: _Column) -> str:
    """A part of a column is in another unit: beyond all that was, and of its shape once it is multiplied."""
    sizes, seen = np.sort(np.abs(column.known)), np.abs(column.seen)
    least, most = sizes[int(0.01 * (sizes.shape[0] - 1))], sizes[int(np.ceil(0.99 * (sizes.shape[0] - 1)))]
    for part in (column.seen[(seen > 0.0) & (seen < least / _BEYOND)], column.seen[seen > most * _BEYOND]):
        share = part.shape[0] / seen.shape[0]
        if share < _PART or part.shape[0] < _MIN_ROWS:
            continue
        ordered = np.sort(part)
        factor = _ratio(*(np.quantile(values, _QUANTILES) for values in (column.known_sorted, ordered)))
        size = max(factor, 1.0 / factor) if factor > 0.0 else 0.0
        if size >= _ANY_FACTOR and _apart(np.sort(column.known_sorted * factor), ordered) <= _SHAPE:
            return f"{column.name} has about {_named(factor)} times its values in {share:.0%} of the rows: another unit"
    return ""


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


def _fahrenheit(column: _Column) -> str:
    for slope, level, unit in ((1.8, 32.0, "Fahrenheit for Celsius"), (1 / 1.8, -32 / 1.8, "Celsius for Fahrenheit")):
        if _apart(np.sort(column.known_sorted * slope + level), column.seen_sorted) <= column.noise:
            return f"{column.name} has {slope:.3g} times its values and {level:+.3g}: {unit}"
    return ""


def _again(reference: Reference, window: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Rows of the window that come again."""
    columns = [INPUT + name for name in reference.fields if window[INPUT + name].null_count() < window.height]
    if not columns:
        return
    seen = window.select(columns).hash_rows(seed=0)
    known = reference.frame.select(columns).hash_rows(seed=0)
    m = window.height
    blocks = [known[start : start + m] for start in range(0, max(1, known.len() - m + 1), m)]
    repeated = 1.0 - seen.n_unique() / m
    # Of more rows more are alike, where few different ones are possible.
    before = max((1.0 - block.n_unique() / block.len()) * max(1.0, m / block.len()) for block in blocks)
    if repeated >= max(_AGAIN, 3.0 * before):
        yield "", f"{repeated:.0%} of the rows repeat another one in all inputs, {before:.0%} at most before"
