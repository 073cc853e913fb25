"""What probabilities may be: engines that add up in float32 miss it, and are brought back in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# What rounding may add to a sum of probabilities in float64, in which case they stay as they are, bit for bit.
ROUNDING = 1e-10
# By how much rows of probabilities may miss 0, 1 and the sum 1: a thousand float32 trees stay far below. What misses
# more are scores, and no probabilities.
SLACK = 1e-3


def as_probabilities(table: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return rows (n, k) that lie in [0, 1] and add up to 1; None if they miss it by more than an engine rounds.

    Engines add up in float32 and give 1.0000004. Rows that float64 already holds to the bounds are returned as they
    are, so that doing it twice changes nothing.
    """
    if not table.size or _holds(table, 0.0, ROUNDING):
        return table
    if not _holds(table, SLACK, SLACK):
        return None
    inside = np.clip(table, 0.0, 1.0)
    return np.asarray(inside / inside.sum(axis=1, keepdims=True))


def _holds(table: NDArray[np.float64], beyond: float, off: float) -> bool:
    # Comparisons with NaN are false.
    inside = table.min() >= -beyond and table.max() <= 1.0 + beyond
    return bool(inside and np.abs(table.sum(axis=1) - 1.0).max() <= off)


def bounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return recorded probabilities (any shape) within [0, 1]; what misses that by more than rounding stays.

    Servers of earlier releases recorded what their engine had added up: 1.0000004. One column has no sum to be held to.
    """
    inside = np.clip(values, 0.0, 1.0)
    return np.where(np.abs(values - inside) <= SLACK, inside, values)
