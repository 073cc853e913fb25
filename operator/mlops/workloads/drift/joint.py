"""Do inputs go together as they did? Asked when none moved by itself, and no rank correlation did."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from mlops.api.drift_monitor import Check
from mlops.statistics.arrays import LARGEST_SQUARE, FloatArray
from mlops.statistics.joint import MIN_BLOCKS, Coded, Table, coded_categories, coded_numbers, compare_joint
from mlops.statistics.reconstruction import Reconstruction
from mlops.workloads.drift.baseline import limit_of
from mlops.workloads.drift.dependence import Dependence, spacing_of
from mlops.workloads.drift.findings import Joint, JointPair
from mlops.workloads.drift.reference import Reference
from mlops.workloads.floor.records.layout import INPUT

_MIN_ROWS = 50
_MAX_ROWS = 2_000
_MAX_REFERENCE_ROWS = 20_000
_MAX_COLUMNS = 60
# Of the reference's own windows so many at most are looked at, evenly spread.
_MAX_PARTS, _MIN_PARTS = 10, 3
_BEYOND_ALL = 1.25
# Blocks of so many times the inflation of a column are hardly alike; shorter ones where they would be too few.
_LONG, _SHORT, _MANY_BLOCKS, _MOST_BLOCKS = 4.0, 2.0, 20, 100
# Spacings of rows that resemble each other may differ by so much between reference and window.
_NOTICED, _UNEVEN = 1.5, 1.5
# Categories with a code of their own have so many rows on both sides; the others share codes that are signs.
_OWN_CODES, _FEW_OWN_CODES, _FEWEST_ROWS, _SIGNS = 5, 2, 20, 2
# Pairs are made of so many codes at most.
_MOST_CODES = 140
# Units of a change in one unit of minEffectSize, as of rank correlations.
_CORRELATION = 2.0
_PAIRS = 10


def moved_together(
    reference: Reference,
    seen: pl.DataFrame,
    dependence: Dependence,
    blocks: tuple[pl.DataFrame, ...],
    check: Check,
    seed: int,
) -> Joint | str:
    """How far pairs of inputs, numbers and categories, changed what they have to do with each other; or why it cannot
    be told.

    Drifted if the largest change is significant at half of `alpha`, since the rank correlations were asked before, is
    twice `minEffectSize`, and is larger than any of the reference's own `blocks` makes likely. Of more than sixty
    inputs sixty are drawn by the seed; of more than 2,000 rows of a window evenly spread ones are taken.
    """
    known, parts = _parts(reference.frame, blocks)
    here = _spread(seen, _MAX_ROWS)
    if min(known.height, here.height) < _MIN_ROWS:
        return f"fewer than {_MIN_ROWS} rows"
    drawn = _drawn([name for name in reference.fields if _varies(known, name) and _varies(here, name)], seed)
    is_number = {name: name in reference.numeric for name in drawn}
    # Inflations are those of all rows; of every tenth one a tenth is left.
    thinned = seen.height / here.height
    inflations = {
        name: 1.0 + (max(dependence.of(INPUT + name, is_number=is_number[name])) - 1.0) / thinned for name in drawn
    }
    names = [name for name in drawn if here.height >= _SHORT * MIN_BLOCKS * inflations[name]]
    if len(names) < 2:
        return "fewer than two inputs vary within a window and say enough about it"
    inflation = max(inflations[name] for name in names)
    if inflation > _NOTICED and not parts:
        known, here = _evenly(known, here)
    block = _block(here.height, inflation)
    before, after = _coded(known, here, names, is_number, parts)
    # The answer must not depend on the number of threads, not even in its last bit.
    with threadpool_limits(limits=1):
        found = compare_joint(before, after, block=block, parts=parts, pairs=_PAIRS, seed=seed)
        reconstruction = _reconstruction(known, here, names, is_number)
    if found is None:
        return "rows resemble their neighbours so much that they say too little"
    own = found.own
    alpha = float(check.alpha) / 2.0
    limit = limit_of(own, alpha, beyond_all=_BEYOND_ALL) if own.shape[0] >= _MIN_PARTS else None
    pairs = tuple(JointPair(names[pair.one], names[pair.other], pair.change) for pair in found.pairs)
    drifted = (
        found.p_value <= alpha
        and abs(pairs[0].change) >= _CORRELATION * float(check.min_effect_size)
        and (limit is None or found.statistic > limit)
    )
    return Joint(
        found.statistic,
        found.p_value,
        limit,
        found.auc,
        pairs,
        len(names),
        len(drawn) - len(names),
        here.height,
        drifted,
        reconstruction,
    )


def _reconstruction(
    known: pl.DataFrame, here: pl.DataFrame, names: list[str], is_number: dict[str, bool]
) -> tuple[float, float] | None:
    """The mean error of the reference's and of the window's rows, restored from the reference's principal components;
    None of numbers whose squares overflow.

    Missing numbers are the reference's mean, missing categories its most frequent one; categories are their share.
    """
    columns = []
    for name in names:
        there, now = known[INPUT + name], here[INPUT + name]
        if is_number[name]:
            sides = [side.to_numpy().astype(np.float64) for side in (there, now)]
            if max(float(np.nanmax(np.abs(side))) for side in sides) > LARGEST_SQUARE:
                return None
            mean = float(np.nanmean(sides[0]))
            columns.append([np.where(np.isnan(side), mean, side) for side in sides])
        else:
            counts = Counter(there.drop_nulls().to_list())
            counts[None] = max(counts.values())
            columns.append(
                [np.array([counts[value] for value in side.to_list()], dtype=float) for side in (there, now)]
            )
    before, after = (np.column_stack(side) for side in zip(*columns, strict=True))
    fitted = Reconstruction.of(before)
    return float(fitted.errors(before).mean()), float(fitted.errors(after).mean())


def _parts(frame: pl.DataFrame, blocks: Sequence[pl.DataFrame]) -> tuple[pl.DataFrame, tuple[slice, ...]]:
    """Rows of the reference, and which of them are windows of its own; without these, rows from all of it."""
    if not blocks:
        return _spread(frame, _MAX_REFERENCE_ROWS), ()
    taken = [blocks[place] for place in np.unique(np.linspace(0, len(blocks) - 1, _MAX_PARTS).round().astype(int))]
    parts = [_spread(block, _MAX_ROWS) for block in taken]
    ends = np.cumsum([part.height for part in parts]).tolist()
    slices = tuple(slice(end - part.height, end) for end, part in zip(ends, parts, strict=True))
    return pl.concat(parts), slices


def _spread(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    if frame.height <= rows:
        return frame
    return frame[(np.arange(rows) * frame.height // rows).tolist()]


def _evenly(known: pl.DataFrame, here: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both with rows about as far apart: closer ones resemble each other more."""
    there, now = spacing_of(known["time"].drop_nulls()), spacing_of(here["time"])
    if there > _UNEVEN * now > 0.0:
        return known, _spread(here, max(_MIN_ROWS, math.ceil(here.height * now / there)))
    if now > _UNEVEN * there > 0.0:
        return _spread(known, max(_MIN_ROWS, math.ceil(known.height * there / now))), here
    return known, here


def _varies(frame: pl.DataFrame, name: str) -> bool:
    """Whether rows enough have another value than the most frequent one: of fewer nothing is known."""
    rows = frame[INPUT + name].drop_nulls().alias("value").value_counts(name="n")["n"]
    return rows.len() > 1 and int(rows.sum()) - int(rows.max() or 0) >= _FEWEST_ROWS  # type: ignore[arg-type]


def _drawn(names: list[str], seed: int) -> list[str]:
    if len(names) <= _MAX_COLUMNS:
        return names
    rng = np.random.Generator(np.random.PCG64([seed, 11]))
    return [names[place] for place in sorted(rng.choice(len(names), _MAX_COLUMNS, replace=False).tolist())]


def _block(rows: int, inflation: float) -> int:
    """Rows of a block: hardly alike if that leaves twenty blocks, and no more than a hundred."""
    if inflation <= 1.0:
        return max(1, rows // _MOST_BLOCKS)
    wanted = min(math.ceil(_LONG * inflation), max(math.ceil(_SHORT * inflation), rows // _MANY_BLOCKS))
    return max(1, rows // _MOST_BLOCKS, min(wanted, rows // MIN_BLOCKS))


def _coded(
    known: pl.DataFrame, here: pl.DataFrame, names: list[str], is_number: dict[str, bool], parts: Sequence[slice]
) -> tuple[Coded, Coded]:
    """Both as codes. Each of the reference's own windows is coded by itself, as the window is: what inputs share by
    their level, which differs between windows, would else be in the reference and not in the window."""
    numbers = 2 * sum(is_number[name] for name in names)
    of_categories = len(names) - numbers // 2
    own = _OWN_CODES if numbers + of_categories * (_OWN_CODES + _SIGNS) <= _MOST_CODES else _FEW_OWN_CODES
    tables: tuple[list[Table], list[Table]] = ([], [])
    columns: list[int] = []
    for place, name in enumerate(names):
        sides = [frame[INPUT + name] for frame in (known, here)]
        coded = _numbers(sides, parts) if is_number[name] else _categories(sides, own, parts)
        columns += [place] * coded[0].shape[1]
        for table, found in zip(tables, coded, strict=True):
            table.append(found)
    column = np.array(columns, dtype=np.int64)
    before, after = (Coded(np.concatenate(table, axis=1), column) for table in tables)
    return before, after


def _numbers(sides: list[pl.Series], parts: Sequence[slice]) -> list[Table]:
    known, here = (side.to_numpy().astype(np.float64) for side in sides)
    tables = [*(coded_numbers(known[part]) for part in parts or (slice(None),)), coded_numbers(here)]
    if not all(table[:, 1].any() for table in tables):
        # A code that a part of the rows does not have would change by itself.
        tables = [table[:, :1] for table in tables]
    return [np.concatenate(tables[:-1]), tables[-1]]


def _categories(sides: list[pl.Series], own: int, parts: Sequence[slice]) -> list[Table]:
    """Codes of the most frequent categories, and random signs of the others."""
    counted = [Counter(side.drop_nulls().to_list()) for side in sides]
    names = sorted(set().union(*counted))
    place = {name: code for code, name in enumerate(names)}
    enough = [name for name in names if min(counts[name] for counts in counted) >= _FEWEST_ROWS]
    frequent = sorted(enough, key=lambda name: (-counted[0][name], name))
    # The last one of all is told by the others.
    frequent = frequent[: min(own, len(names) - 1)]
    signs = _signs(len(names), [place[name] for name in frequent]) if len(names) > len(frequent) + 1 else []
    place_of = {None: -1, **place}
    codes = [np.array([place_of[name] for name in side.to_list()], dtype=np.int64) for side in sides]
    known, here = codes
    chosen = [place[name] for name in frequent]
    tables = [coded_categories(known[part], chosen, signs) for part in parts or (slice(None),)]
    return [np.concatenate(tables), coded_categories(here, chosen, signs)]


def _signs(categories: int, frequent: Sequence[int]) -> list[FloatArray]:
    rng = np.random.Generator(np.random.PCG64([categories, 13]))
    found = [rng.permutation(np.where(np.arange(categories) % 2, 1.0, -1.0)) for _ in range(_SIGNS)]
    for line in found:
        line[np.array(frequent, dtype=np.int64)] = 0.0
    return found
