"""A reference column in the form that makes later comparisons cheap: sorted once, at training time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlops.statistics.arrays import FloatArray, IntArray, non_empty, without_missing


@dataclass(frozen=True, eq=False)
class SortedReference:
    """A numeric column (n,) sorted ascending, with its bins.

    `edges` (k - 1,) cut the line into k bins, each open below and closed above, the outer two unbounded: quantiles of
    the reference without repetition, and one edge just below the minimum when the lowest quantile is the minimum
    itself. So values beyond a tie at either end do not hide in its bin. `counts` (k,) are the reference's rows per bin.
    `missing` is the number of NaN; `std` the standard deviation (divided by n).
    """

    values: FloatArray
    missing: int
    edges: FloatArray
    counts: IntArray
    std: float

    @classmethod
    def from_values(cls, values: ArrayLike, *, bins: int = 10, name: str = "reference") -> SortedReference:
        """Sort the present values (NaN are counted apart) and count them in `bins` quantile bins.

        Raises ValueError when no value is present, on infinity, and on bins < 2.
        """
        if bins < 2:
            raise ValueError(f"bins: is {bins}, expected at least 2")
        present, missing = without_missing(values, name)
        non_empty(present, name)
        ordered = np.sort(present)
        n = ordered.shape[0]
        ranks = (np.arange(1, bins) * n + bins - 1) // bins - 1
        edges = np.unique(ordered[ranks])
        if edges[0] == ordered[0]:
            edges = np.concatenate(([np.nextafter(edges[0], -np.inf)], edges))
        return cls(ordered, missing, edges, bin_counts(ordered, edges), _std(ordered))


def bin_counts(ordered: FloatArray, edges: FloatArray) -> IntArray:
    """How many of the ascending values `ordered` (n,) fall into each of the len(edges) + 1 bins."""
    below = ordered.searchsorted(edges, side="right")
    return np.diff(below, prepend=0, append=ordered.shape[0])


def _std(ordered: FloatArray) -> float:
    """Scaled by a power of two, which is exact, so that squares of very large or small values neither over- nor
    underflow."""
    if ordered[0] == ordered[-1]:
        return 0.0
    exponent = int(np.frexp(max(-ordered[0], ordered[-1]))[1])
    return float(np.ldexp(np.ldexp(ordered, -exponent).std(), exponent))
