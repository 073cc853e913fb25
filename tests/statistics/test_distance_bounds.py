"""Distances of two distributions: the estimates are scipy's, the bounds hold for any sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlops.statistics.distance_bounds import ks_bounds, ks_distance, total_variation, variation_bounds


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_of_numbers_is_scipys(seed: int) -> None:
    """With ties, too."""
    rng = np.random.default_rng(seed)
    first, second = np.round(rng.normal(size=211), 1), np.round(rng.normal(0.3, 1.0, size=97), 1)
    assert ks_distance(first, second) == pytest.approx(stats.ks_2samp(first, second).statistic)


def test_the_distance_of_categories_is_the_largest_difference_of_any_set_of_them() -> None:
    assert total_variation(np.array([5, 3, 2]), np.array([2, 3, 5])) == pytest.approx(0.3)


def test_bounds_are_those_of_mcdiarmid_and_of_massart() -> None:
    """Written out: above the root of ln(1 / tail) / 2 (1 / n + 1 / m), below two bands that share the tail."""
    found = ks_bounds(0.3, (400, 100), 0.01)
    assert found.high == pytest.approx(0.3 + math.sqrt(math.log(100) / 2 * (1 / 400 + 1 / 100)))
    bands = math.sqrt(math.log(2 / 0.002) / 800) + math.sqrt(math.log(2 / 0.008) / 200)
    assert found.low == pytest.approx(0.3 - bands)
    categories = variation_bounds(0.3, 5, (400, 100), 0.01)
    assert categories.high == found.high
    assert categories.low == pytest.approx(0.3 - (found.high - 0.3) - math.sqrt(1 / 400 + 1 / 100))
    assert (ks_bounds(0.0, (5, 5), 0.01).low, ks_bounds(1.0, (5, 5), 0.01).high) == (0.0, 1.0)


def test_pairs_may_depend_on_each_other_in_any_way() -> None:
    """A row moves both samples: n pairs count as a quarter as much as 1 / n says."""
    assert ks_bounds(0.1, (100, 100), 0.01, paired=True).high - 0.1 == pytest.approx(
        math.sqrt(math.log(100) / 2 * 4 / 100)
    )


@pytest.mark.parametrize("paired", [False, True])
def test_bounds_of_numbers_miss_as_seldom_as_said(paired: bool) -> None:
    """In 500 draws each way, at a tail of a tenth: normal laws at a known distance; of pairs one is the other's
    opposite."""
    rng = np.random.default_rng(3)
    truth = 2 * stats.norm.cdf(0.2) - 1
    missed = 0
    for _ in range(500):
        first = rng.normal(size=150)
        second = (-first if paired else rng.normal(size=150)) + 0.4
        found = ks_bounds(ks_distance(first, second), (150, 150), 0.1, paired=paired)
        missed += not found.low <= truth <= found.high
    assert missed <= 500 * 0.2


def test_bounds_of_categories_miss_as_seldom_as_said() -> None:
    """In 500 draws, at a tail of a tenth each way, for equal distributions and for a distance of 0.3."""
    rng = np.random.default_rng(4)
    for shares, truth in (((0.2,) * 5, 0.0), ((0.5, 0.1, 0.1, 0.1, 0.2), 0.3)):
        missed = 0
        for _ in range(500):
            first, second = rng.multinomial(300, (0.2,) * 5), rng.multinomial(100, shares)
            found = variation_bounds(total_variation(first, second), 5, (300, 100), 0.1)
            missed += not found.low <= truth <= found.high
        assert missed <= 500 * 0.2
