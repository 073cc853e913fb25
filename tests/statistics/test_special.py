"""Laws as scipy has them."""

from __future__ import annotations

import pytest
from scipy import special, stats

from mlops.statistics.special import beta_cdf, normal_isf


@pytest.mark.parametrize("p", [0.5, 0.025, 0.9, 1e-5, 1e-12])
def test_normal_quantiles_are_scipys(p: float) -> None:
    """Far out in the tails, too."""
    assert normal_isf(p) == pytest.approx(stats.norm.isf(p), abs=1e-11)


@pytest.mark.parametrize(
    ("x", "a", "b"),
    [(0.1, 2, 5), (0.5, 30, 70), (0.01, 1, 1000), (0.011, 1e4, 1e6), (1e-6, 1, 1e6), (0.999, 50, 1), (0.3, 0.7, 12.4)],
)
def test_the_beta_law_is_scipys(x: float, a: float, b: float) -> None:
    """For parameters up to a million, whole or not."""
    assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-8)


def test_the_beta_law_ends_at_0_and_1() -> None:
    assert beta_cdf(0.0, 2, 3) == 0.0
    assert beta_cdf(1.0, 2, 3) == 1.0
