"""Where in time did the mean loss move? One change point, found after the fact."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlops.statistics.arrays import FloatArray, finite_vector

_BUDGET = 1 << 19


@dataclass(frozen=True)
class ChangePoint:
    """`row` is the first row of the new regime (0-based); the means are those of the rows before it and from it on.

    `pvalue` is the probability of a statistic as large when the mean never moved: without significance the row is
    noise.
    """

    row: int
    mean_before: float
    mean_after: float
    statistic: float
    pvalue: float


def change_point(losses: ArrayLike, *, block: int = 1, permutations: int = 0, seed: int = 0) -> ChangePoint:
    """The row where the cumulated deviation from the mean is largest (CUSUM), with its p-value.

    `losses` (n,) in time order. `block` > 1 averages consecutive rows first, for losses that depend on each other over
    fewer than `block` rows; the row is then a multiple of `block`, and rows after the last whole block do not count.
    The p-value is that of the Brownian bridge, slightly conservative for short series, or with `permutations` > 0 the
    permutation one. Raises ValueError with fewer than 4 blocks, on NaN and on infinity.
    """
    x = finite_vector(losses, "losses")
    if block < 1 or permutations < 0:
        raise ValueError(f"block: is {block}, permutations: is {permutations}; expected >= 1 and >= 0")
    count = x.shape[0] // block
    if count < 4:
        raise ValueError(f"losses: {x.shape[0]} rows make {count} blocks of {block}; at least 4 are needed")
    means = x[: count * block].reshape(count, block).mean(axis=1)
    deviation = means - means.mean()
    scale = float(np.sqrt(np.square(deviation).sum()))
    if np.ptp(means) == 0.0 or scale == 0.0:
        return ChangePoint(0, float(means[0]), float(means[0]), 0.0, 1.0)
    path = np.abs(np.cumsum(deviation[:-1]))
    cut = int(path.argmax()) + 1
    statistic = float(path[cut - 1]) / scale
    if permutations:
        pvalue = _permutation_pvalue(deviation, float(path[cut - 1]), permutations, seed)
    else:
        pvalue = brownian_bridge_sf(statistic)
    row = cut * block
    return ChangePoint(row, float(x[:row].mean()), float(x[row : count * block].mean()), statistic, pvalue)


def brownian_bridge_sf(x: float) -> float:
    """P(max |B| > x) of the Brownian bridge B, the limit law of Kolmogorov."""
    if x < 0.2:
        return 1.0
    total = 0.0
    for j in range(100, 0, -1):
        total += (-1) ** (j - 1) * math.exp(-2.0 * (j * x) ** 2)
    return min(1.0, 2.0 * total)


def _permutation_pvalue(deviation: FloatArray, observed: float, permutations: int, seed: int) -> float:
    rng = np.random.Generator(np.random.PCG64(seed))
    n = deviation.shape[0]
    at_once = max(1, _BUDGET // n)
    at_least = 0
    for first in range(0, permutations, at_once):
        lines = np.tile(deviation, (min(at_once, permutations - first), 1))
        paths = np.cumsum(rng.permuted(lines, axis=1)[:, :-1], axis=1)
        # An equal arrangement may differ in the last bits: count it as at least as large.
        at_least += int((np.abs(paths).max(axis=1) >= observed * (1.0 - 1e-9)).sum())
    return (1 + at_least) / (1 + permutations)
