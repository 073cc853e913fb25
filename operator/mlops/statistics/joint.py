"""Did columns change how they go together, while each by itself kept its distribution?

Every column is coded by a few functions of its ranks, or of its categories, taken within its own sample: a column that
only moved by itself changes nothing. Compared are the mean products of any two columns' codes. The null law of the
largest studentised change comes from permuting whole blocks of neighbouring rows between the samples, so it holds for
any number of products and for rows that resemble their neighbours (Westfall and Young 1993; Chung and Romano 2013).
A discriminant on the products, trained on four fifths of the time and applied to the last one by turns, says how well
single rows can be told apart (a classifier two-sample test's area, Lopez-Paz and Oquab 2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlops.statistics.arrays import BoolArray, FloatArray, IntArray

Table = NDArray[np.float32]

# The fewest blocks of a sample that say how much they differ.
MIN_BLOCKS = 10
_FOLDS = 5
# Permutations: first few, and many if these leave it open.
_FIRST, _MORE, _OPEN = 99, 900, 0.05
# The discriminant's weights grow faster than differences do: few pairs of many change.
_POWER = 3.0
# Of a column of few values, how far ranks are from the middle says hardly more than the ranks, and what it says turns
# with the smallest change of a share: a second code needs such a part of the variance that it has of many values.
_LEAST_OF_ITS_OWN = 0.05 / 180.0
_BATCH = 100
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Coded:
    """A sample's rows in time order: `table` (n, k) of codes, mean 0 and variance 1, of the columns `column` (k,)."""

    table: Table
    column: IntArray


@dataclass(frozen=True)
class Together:
    """Two columns, by number, and how far the mean product of two of their codes moved: a change of a correlation."""

    one: int
    other: int
    change: float


@dataclass(frozen=True, eq=False)
class JointComparison:
    """`statistic` is the largest change in standard errors, `auc` how well held-out rows tell the samples apart.

    `own` (w,) are the statistics of parts of the reference, each against its other rows. `pairs` are the one that
    changed most, and those that changed more than the largest of all does by chance, once in twenty.
    """

    statistic: float
    p_value: float
    auc: float
    own: FloatArray
    pairs: tuple[Together, ...]


def coded_numbers(values: FloatArray) -> Table:
    """Two codes (n, 2) of numbers, NaN for missing: their ranks, and how far these are from the middle, as far as the
    ranks do not say it; zeros if they say all, as of two values."""
    present = ~np.isnan(values)
    share = np.zeros(values.shape[0])
    if present.any():
        _, place, count = np.unique(values[present], return_inverse=True, return_counts=True)
        last = np.cumsum(count)
        share[present] = ((last - (count - 1) / 2.0) - 0.5)[place] / last[-1] - 0.5
    return np.column_stack([_standard(share, present), _standard(_of_its_own(share, present), present)])


def _of_its_own(share: FloatArray, present: BoolArray) -> FloatArray:
    """Squares (n,) of centred ranks less what is linear in the ranks; zeros if that is hardly anything."""
    if not present.any():
        return np.zeros(share.shape[0])
    rank, square = (values - values[present].mean() for values in (share, share * share))
    variance = float((rank[present] ** 2).sum())
    slope = float((rank[present] * square[present]).sum()) / variance if variance > 0.0 else 0.0
    left = np.where(present, square - slope * rank, 0.0)
    return left if left[present].var() >= _LEAST_OF_ITS_OWN else np.zeros(share.shape[0])


def coded_categories(codes: IntArray, frequent: Sequence[int], signs: Sequence[FloatArray]) -> Table:
    """Codes (n, k) of categories given as numbers from 0, -1 for missing: one per `frequent` category, and one per
    line of `signs` (c,), which gives each category a sign or 0."""
    present = codes >= 0
    columns = [_standard((codes == code).astype(np.float64), present) for code in frequent]
    columns += [_standard(line[np.maximum(codes, 0)], present) for line in signs]
    return np.column_stack(columns)


def compare_joint(
    reference: Coded, current: Coded, *, block: int, parts: Sequence[slice] = (), pairs: int = 10, seed: int = 0
) -> JointComparison | None:
    """Compare two coded samples; None with fewer than ten blocks of `block` rows in either, or fewer than two columns.

    `parts` are rows of the reference, each of which is compared with the others as the current sample is with all.
    """
    before, after = (_block_means(sample, block) for sample in (reference, current))
    n, m = before.shape[0], after.shape[0]
    if min(n, m) < MIN_BLOCKS or not before.shape[1]:
        return None
    difference = (after.mean(axis=0) - before.mean(axis=0)).astype(np.float64)
    means = np.concatenate((before, after))
    spread = means.std(axis=0)
    scale = np.where(spread > _TINY, 1.0 / np.maximum(spread, _TINY), 0.0).astype(np.float32)
    means *= scale
    is_current = np.arange(n + m) >= n
    statistic = float(_largest(means, is_current[None])[0])
    null = _null(means, is_current, statistic, seed)
    errors = difference * scale / math.sqrt(1.0 / n + 1.0 / m)
    return JointComparison(
        statistic,
        (1 + int((null >= statistic).sum())) / (1 + null.shape[0]),
        _area(reference, current, means, scale, is_current, block),
        np.array(list(_own(means[:n], parts, block))),
        _furthest(reference.column, difference, np.abs(errors), float(np.quantile(null, 1.0 - _OPEN)), pairs),
    )


def _standard(values: FloatArray, present: BoolArray) -> Table:
    """Mean 0 and variance 1 among the rows that are present, 0 in the others and of a constant."""
    found = np.zeros(values.shape[0], dtype=np.float32)
    if present.any():
        centred = values[present] - values[present].mean()
        scale = float(centred.std())
        if scale > _TINY:
            found[present] = centred / scale
    return found


def _products(column: IntArray) -> tuple[IntArray, IntArray]:
    """Which two codes make each product: of two columns, never of one."""
    one, other = np.triu_indices(column.shape[0], 1)
    apart = column[one] != column[other]
    return one[apart], other[apart]


def _block_means(sample: Coded, block: int) -> Table:
    """Mean products (blocks, p) of consecutive rows; rows at the end that fill no block are left out.

    Codes have mean 0 and variance 1 in their sample, so that a correlation varies less than the mean of a product does:
    what is averaged is its influence function, the product less half of the correlation times both squares.
    """
    k = sample.table.shape[1]
    one, other = _products(sample.column)
    blocks = sample.table.shape[0] // block
    rows = sample.table[: blocks * block].reshape(blocks, block, k)
    found = np.empty((blocks, one.shape[0]), dtype=np.float32)
    half = (sample.table.T @ sample.table)[one, other] / np.float32(2 * max(1, sample.table.shape[0]))
    for first in range(0, blocks, _BATCH):
        some = rows[first : first + _BATCH]
        sums = some.transpose(0, 2, 1) @ some / np.float32(block)
        squares = np.diagonal(sums, axis1=1, axis2=2) - 1
        found[first : first + _BATCH] = sums[:, one, other] - half * (squares[:, one] + squares[:, other])
    return found


def _largest(means: Table, is_current: BoolArray) -> FloatArray:
    """The largest difference of mean products (b,) under labels (b, blocks), in standard errors."""
    here = is_current.astype(np.float32)
    m = here.sum(axis=1, keepdims=True)
    n = here.shape[1] - m
    inside = here @ means
    difference = inside / m - (means.sum(axis=0) - inside) / n
    return np.asarray(np.abs(difference).max(axis=1) / np.sqrt(1.0 / m + 1.0 / n)[:, 0], dtype=np.float64)


def _null(means: Table, is_current: BoolArray, statistic: float, seed: int) -> FloatArray:
    """The largest differences under permuted labels: more of them where the first ones leave it open."""
    rng = np.random.Generator(np.random.PCG64([seed, 7]))
    found: list[FloatArray] = []
    for wanted in (_FIRST, _MORE):
        for first in range(0, wanted, _BATCH):
            labels = rng.permuted(np.repeat(is_current[None], min(_BATCH, wanted - first), axis=0), axis=1)
            found.append(_largest(means, labels))
        if np.mean(np.concatenate(found) >= statistic) > _OPEN:
            break
    return np.concatenate(found)


def _own(means: Table, parts: Sequence[slice], block: int) -> Iterator[float]:
    """The statistic of each part of the reference against all its other rows."""
    for part in parts:
        inside = np.zeros(means.shape[0], dtype=np.bool_)
        inside[math.ceil(part.start / block) : part.stop // block] = True
        if min(int(inside.sum()), int((~inside).sum())) >= MIN_BLOCKS:
            yield float(_largest(means, inside[None])[0])


def _area(reference: Coded, current: Coded, means: Table, scale: Table, is_current: BoolArray, block: int) -> float:
    """The ROC area of held-out scores of single rows, in the mean over the folds: consecutive fifths of each sample."""
    one, other = _products(reference.column)
    k = reference.table.shape[1]
    rows = np.concatenate([each.table[: each.table.shape[0] // block * block] for each in (reference, current)])
    fold = np.concatenate(
        [np.arange(len(side)) * _FOLDS // len(side) for side in (means[~is_current], means[is_current])]
    )
    areas = []
    for number in range(_FOLDS):
        others = fold != number
        difference = means[others & is_current].mean(axis=0) - means[others & ~is_current].mean(axis=0)
        form = np.zeros((k, k), dtype=np.float32)
        form[one, other] = np.sign(difference) * np.abs(difference) ** np.float32(_POWER) * scale
        inside = np.repeat(~others, block)
        scores = ((rows[inside] @ form) * rows[inside]).sum(axis=1)
        areas.append(_rank_area(scores, np.repeat(is_current, block)[inside]))
    return float(np.mean(areas))


def _rank_area(scores: Table, is_current: BoolArray) -> float:
    high, low = np.sort(scores[is_current]), np.sort(scores[~is_current])
    below = low.searchsorted(high) + low.searchsorted(high, side="right")
    return float(below.sum() / 2.0 / high.shape[0] / low.shape[0])


def _furthest(
    column: IntArray, difference: FloatArray, errors: FloatArray, least: float, wanted: int
) -> tuple[Together, ...]:
    """The pairs of columns that moved by most standard errors, each pair once: the first one, and those by `least`."""
    one, other = _products(column)
    found: dict[tuple[int, int], float] = {}
    for place in np.argsort(-errors, kind="stable").tolist():
        if len(found) == wanted or (found and errors[place] < least):
            break
        found.setdefault((int(column[one[place]]), int(column[other[place]])), float(difference[place]))
    return tuple(Together(*pair, change) for pair, change in found.items())
