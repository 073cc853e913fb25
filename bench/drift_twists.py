"""Changes of how inputs go together, each of which keeps its distribution: parts of bench/drift_worlds.py.

All act on standard normal columns (n, d) whose columns 1 and 2 are independent of all others, and leave every column
standard normal, and (but for "coupled" and "sorted-in", whose columns are categories) every rank correlation zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]

# The kinds of columns that an event needs, by their number.
KINDS_OF: Mapping[str, Mapping[int, str]] = {
    "twisted": {0: "normal", 1: "lognormal"},
    "fanned": {0: "heavy", 1: "normal"},
    "coupled": {0: "category", 1: "category"},
    "sorted-in": {0: "category", 1: "normal"},
    "parity": {0: "normal", 1: "normal", 2: "lognormal"},
    "inches-slow": {0: "normal"},
    "feet": {0: "lognormal"},
    "gallons": {0: "lognormal"},
    "inches-part": {0: "lognormal"},
    "twins": {0: "normal", 1: "normal"},
    "dearer": {0: "lognormal"},
}


def _normal(values: Floats) -> Floats:
    """The values' ranks as quantiles of a standard normal law."""
    ranks = values.argsort(kind="stable").argsort(kind="stable")
    return np.asarray(ndtri((ranks + 0.5) / values.shape[0]))


def _mixed(column: Floats, other: Floats, size: float) -> Floats:
    """A column that follows `other`, at size 1 with a correlation of 0.85 where that is monotone."""
    share = 0.85 * size
    return share * other + np.sqrt(1.0 - share * share) * column


def twisted(z: Floats, rng: np.random.Generator, size: float) -> Floats:
    """The second column follows how far the first one is from its middle."""
    z[:, 1] = _normal(_mixed(z[:, 1], _normal(np.abs(z[:, 0])), size))
    return z


def fanned(z: Floats, rng: np.random.Generator, size: float) -> Floats:
    """The second column spreads more where the first one is large."""
    z[:, 1] = _normal(z[:, 1] * np.exp(1.2 * size * z[:, 0]))
    return z


def coupled(z: Floats, rng: np.random.Generator, size: float) -> Floats:
    """The second column follows the first one."""
    z[:, 1] = _mixed(z[:, 1], z[:, 0], size)
    return z


def parity(z: Floats, rng: np.random.Generator, size: float) -> Floats:
    """The sign of the third column is that of the product of the first two, more often than not."""
    told = rng.random(z.shape[0]) < size
    z[told, 2] = np.abs(z[told, 2]) * np.sign(z[told, 0] * z[told, 1])
    return z


TWISTS: Mapping[str, Callable[[Floats, np.random.Generator, float], Floats]] = {
    "twisted": twisted,
    "fanned": fanned,
    "coupled": coupled,
    "sorted-in": coupled,
    "parity": parity,
}
