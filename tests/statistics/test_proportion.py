"""How well a counted share is known: as scipy says it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mlops.statistics.proportion import at_least, difference_bounds, exact_bounds, shares_of_tail, wilson


@pytest.mark.parametrize(("hits", "of"), [(0, 1), (1, 1), (0, 20), (3, 20), (20, 20), (7, 1000)])
def test_the_interval_is_wilsons(hits: int, of: int) -> None:
    """At the level of 95 %."""
    wanted = stats.binomtest(hits, of).proportion_ci(0.95, method="wilson")
    assert wilson(hits, of) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@pytest.mark.parametrize(("hits", "of"), [(0, 0), (3, 2), (-1, 2)])
def test_a_count_that_is_none_is_refused(hits: int, of: int) -> None:
    """With both numbers."""
    with pytest.raises(ValueError, match=f"are {hits} and {of}"):
        wilson(hits, of)


@pytest.mark.parametrize(("hits", "of", "share"), [(0, 5, 0.1), (1, 5, 0.1), (5, 5, 0.5), (3, 40, 0.02), (1, 9, 1.0)])
def test_so_many_or_more_are_as_likely_as_the_binomial_law_says(hits: int, of: int, share: float) -> None:
    """The tail with the count itself."""
    assert at_least(hits, of, share) == pytest.approx(float(stats.binom.sf(hits - 1, of, share)), abs=1e-12)


@pytest.mark.parametrize(("hits", "of"), [(0, 50), (3, 10), (50, 1000), (10, 10), (1, 1), (2, 1_000_000)])
@pytest.mark.parametrize("tail", [0.0125, 1e-5])
def test_exact_bounds_are_those_of_clopper_and_pearson(hits: int, of: int, tail: float) -> None:
    wanted = stats.binomtest(hits, of).proportion_ci(1 - 2 * tail, method="exact")
    low, high = exact_bounds(hits, of, tail)
    assert low == pytest.approx(wanted.low, rel=1e-7)
    assert 1 - high == pytest.approx(1 - wanted.high, rel=1e-7, abs=1e-9)


def test_exact_bounds_need_a_trial() -> None:
    with pytest.raises(ValueError, match="are 0 and 0, expected"):
        exact_bounds(0, 0, 0.01)


def test_the_smaller_sample_gets_the_larger_part_of_the_tail() -> None:
    """All parts together are the tail."""
    assert shares_of_tail(900, 100, 0.01) == pytest.approx((0.001, 0.009))


@pytest.mark.parametrize(("of_first", "of_second"), [(50, 10), (10, 50), (50, 300), (300, 50), (60, 60)])
@pytest.mark.parametrize("tail", [0.0125, 1e-4])
def test_bounds_of_a_difference_miss_as_seldom_as_said(of_first: int, of_second: int, tail: float) -> None:
    """Counted over all that may come, for rare and frequent events: no approximation, and no draws."""
    first, second = np.arange(of_first + 1), np.arange(of_second + 1)
    bounds = np.array(
        [[difference_bounds((one, of_first), (other, of_second), tail) for other in second] for one in first]
    )
    for share in (0.0, 0.003, 0.01, 0.1, 0.5, 0.7):
        for more in (0.0, 0.01, 0.05, 0.2):
            chance = np.outer(stats.binom.pmf(first, of_first, share), stats.binom.pmf(second, of_second, share + more))
            assert chance[bounds[:, :, 0] > more + 1e-12].sum() <= tail
            assert chance[bounds[:, :, 1] < more - 1e-12].sum() <= tail


def test_what_is_too_little_decides_nothing() -> None:
    """None of 50 and 3 of 10 is much, and yet hardly any requests."""
    low, high = difference_bounds((0, 50), (3, 10), 0.0125)
    assert low < 0.0 < 0.5 < high
