"""What broken deliveries look like: values that no change of the world makes.

Each fault is recognised by a mark of its own, in comparison with what the reference shows of itself: one value that
stands out, a run of equal values, rows that come again, a column that is a multiple of what it was, or another one.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import polars as pl

from mlops.statistics.arrays import BoolArray, FloatArray
from mlops.statistics.two_sample import chi_square_homogeneity
from mlops.workloads.drift.alike import exchanged_alike
from mlops.workloads.drift.columns import ALIKE, MIN_ROWS, MOVED, SHAPE, NumericInput, apart, column_of, count_of
from mlops.workloads.drift.dependence import Dependence, spacing_of
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.repeats import EarlierRows, repeated_rows
from mlops.workloads.drift.units import another_unit, unlike_its_windows
from mlops.workloads.floor.records.layout import INPUT

# A value stands out if it is so many times as frequent as the next ones, and as it was.
_PROMINENT = 8.0
_NEXT = slice(1, 6)
# A run of equal values is none by chance if it is so long, and so many times as long as any before.
_MIN_RUN = 20
_RUN = 4.0
_NINES = tuple(sign * float("9" * digits) for digits in range(2, 10) for sign in (1, -1))
# A first look at pairs of columns is at so many quantiles.
_FEW, _SLACK = np.linspace(0.0, 1.0, 201), 0.05
_FEWEST_SPELT = 3
# Texts that are cut in some rows only are a fault from this share on: new ones may begin like known ones.
_CUT_PARTLY = 0.2


def faults_of(
    reference: Reference,
    window: pl.DataFrame,
    blocks: Sequence[pl.DataFrame],
    moved: Collection[str],
    dependence: Dependence,
    *,
    alpha: float,
    min_share: float,
    earlier: EarlierRows | None = None,
) -> dict[str, str]:
    """Return the faults of a window as sentences, by input; one of whole rows stands under the empty name.

    Of two inputs that are exchanged the first one has the sentence. `moved` are the inputs that drifted: only these can
    have another unit, or the values of another one. `blocks` are the reference's own windows: what filled one of them
    is no fault. `min_share` is the smallest share of the rows that is a fault. `earlier` are the rows of the window
    before.
    """
    if window.height < MIN_ROWS or reference.frame.height < MIN_ROWS:
        return {}
    frames = (reference.frame, window)
    columns = [column for name in reference.numeric if (column := column_of(name, *frames, blocks, dependence))]
    told: dict[str, str] = {}
    for one in columns:
        constant = reference.constants.get(one.name)
        if found := _stands_out(one, constant, alpha / max(1, len(columns)), min_share):
            told[one.name] = found
    told = dict(_stuck(reference, window, min_share)) | told | dict(_respelt(reference, window, min_share))
    open_ = [one for one in columns if one.name not in told and one.name in moved]
    kept = [one for one in columns if one.name not in told and one.name not in moved]
    exchanged = dict(_exchanged(open_)) | dict(exchanged_alike(kept, *frames, alpha))
    rescaled = {}
    for one in (*open_, *kept):
        if one.name in exchanged:
            continue
        alone = set(moved) <= {one.name, *told, *exchanged}
        found = another_unit(one, *frames, alone=alone) if one.name in moved else ""
        if found := found or unlike_its_windows(one):
            rescaled[one.name] = found
    again = repeated_rows(reference, window, blocks, earlier, min_share)
    return {**told, **exchanged, **rescaled} | ({"": again} if again else {})


def _stands_out(column: NumericInput, constant: float | str | None, alpha: float, min_share: float) -> str:
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
        before = count_of(column.known_sorted, value)
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


def _is_no_number(column: NumericInput, values: FloatArray) -> BoolArray:
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


def _exchanged(columns: list[NumericInput]) -> Iterator[tuple[str, str]]:
    """Columns each of which looks like the other did."""
    moved = [one for one in columns if one.distance >= max(MOVED, one.noise)]
    few = {one.name: (np.quantile(one.known_sorted, _FEW), np.quantile(one.seen_sorted, _FEW)) for one in moved}
    for one, other in combinations(moved, 2):
        (known, seen), (known_other, seen_other) = few[one.name], few[other.name]
        if max(apart(known_other, seen), apart(known, seen_other)) > SHAPE + _SLACK:
            continue
        crossed = max(apart(other.known_sorted, one.seen_sorted), apart(one.known_sorted, other.seen_sorted))
        noise = max(one.noise, other.noise)
        if crossed <= max(noise, ALIKE * min(one.distance, other.distance)) and crossed < SHAPE:
            yield one.name, f"{one.name} and {other.name} are exchanged: each has the values that the other had"
            yield other.name, ""
