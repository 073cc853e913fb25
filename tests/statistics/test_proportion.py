"""How well a counted share is known: as scipy says it."""

from __future__ import annotations

import pytest
from scipy import stats

from mlops.statistics.proportion import at_least, wilson


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
