"""Quantiles of times in buckets: the bounds hold for the times themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlops.statistics.quantile_ratio import quantile_bounds, ratio_bounds

BOUNDS = 0.001 * 1.1 ** np.arange(80)


def counted(seconds: np.ndarray) -> np.ndarray:
    """Counts per bucket: up to its bound, the last one all above."""
    return np.bincount(np.minimum(BOUNDS.searchsorted(seconds), 79), minlength=80).astype(float)


@pytest.mark.parametrize(("rows", "tail"), [(500, 0.0125), (5000, 1e-3), (200_000, 1e-5)])
def test_bounds_are_order_statistics_at_the_ends_of_their_buckets(rows: int, tail: float) -> None:
    """As the binomial law says which."""
    seconds = np.sort(np.random.default_rng(rows).lognormal(-4, 0.5, rows))
    found = quantile_bounds(counted(seconds), BOUNDS, 0.99, tail)
    below = max(k for k in range(rows - rows // 20, rows) if stats.binom.cdf(k - 1, rows, 0.99) <= tail)
    above = min((k for k in range(below, rows + 1) if stats.binom.sf(k - 1, rows, 0.99) <= tail), default=rows + 1)
    assert found.low == BOUNDS[BOUNDS.searchsorted(seconds[below - 1]) - 1] <= seconds[below - 1]
    if above > rows:
        assert math.isinf(found.high)
    else:
        assert found.high == BOUNDS[BOUNDS.searchsorted(seconds[above - 1])] >= seconds[above - 1]
    assert found.low <= np.quantile(seconds, 0.99) <= found.value * 1.0001 <= found.high * 1.0001


def test_few_times_bound_no_high_quantile() -> None:
    """Of 50 times the 99th percentile may be any above; of what the last bucket holds, too."""
    found = quantile_bounds(counted(np.full(50, 0.01)), BOUNDS, 0.99, 0.01)
    assert math.isinf(found.high)
    assert math.isinf(quantile_bounds(counted(np.full(5000, 1e9)), BOUNDS, 0.99, 0.01).high)
    assert quantile_bounds(counted(np.full(5000, 1e-9)), BOUNDS, 0.99, 0.01).low == 0.0


def test_bursts_widen_the_bounds() -> None:
    """As a tenth of the times would."""
    seconds = np.random.default_rng(1).lognormal(-4, 0.5, 20_000)
    tenth = quantile_bounds(counted(seconds) / 10.0, BOUNDS, 0.99, 0.001)
    assert quantile_bounds(counted(seconds), BOUNDS, 0.99, 0.001, inflation=10.0) == tenth
    assert tenth.high > quantile_bounds(counted(seconds), BOUNDS, 0.99, 0.001).high


def test_the_ratio_misses_as_seldom_as_said() -> None:
    """In 400 draws each way, at a tail of a twentieth."""
    rng = np.random.default_rng(2)
    missed = [0, 0]
    for _ in range(400):
        first, second = (counted(factor * rng.lognormal(-4, 0.5, 800)) for factor in (1.0, 1.5))
        _, _, low, high = ratio_bounds(first, second, BOUNDS, 0.99, 0.05)
        missed[0] += low > 1.5
        missed[1] += high < 1.5
    assert max(missed) <= 400 * 0.05


def test_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="counts: is empty; at least one time must be counted"):
        quantile_bounds(np.zeros(80), BOUNDS, 0.99, 0.01)
