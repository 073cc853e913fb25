"""The inflation of dependent rows is what theory says, and tests that use it keep their level."""

from __future__ import annotations

import numpy as np
import pytest

from mlops.statistics.dependence import inflation, inflation_of_codes, inflation_of_values, pooled, stretched
from mlops.statistics.reference import SortedReference
from mlops.statistics.special import student_isf, student_sf
from mlops.statistics.two_sample import compare_categorical, compare_numeric

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


def wandering(rng: np.random.Generator, rows: int, phi: float) -> Floats:
    noise, state = rng.normal(size=rows) * np.sqrt(1 - phi * phi), rng.normal()
    values = np.empty(rows)
    for row in range(rows):
        state = phi * state + noise[row]
        values[row] = state
    return values


@pytest.mark.parametrize(("phi", "wanted"), [(0.0, 1.0), (0.5, 3.0), (0.9, 19.0)])
def test_the_inflation_of_a_mean_is_that_of_theory(phi: float, wanted: float) -> None:
    """Of AR(1) it is (1 + phi) / (1 - phi)."""
    rng = np.random.default_rng(1)
    found = [inflation(wandering(rng, 8000, phi)) for _ in range(20)]
    assert np.median(found) == pytest.approx(wanted, rel=0.1)


def test_what_swings_within_the_series_does_not_move_its_mean() -> None:
    """Days within eight weeks: neighbours are alike, and weeks have one mean."""
    hours = np.arange(24 * 7 * 8)
    noise = np.random.default_rng(2).normal(size=hours.shape[0])
    assert inflation(np.sin(2 * np.pi * hours / 24) + 0.3 * noise) < 1.5


@pytest.mark.parametrize(
    "series",
    [
        pytest.param(np.zeros(0), id="no row"),
        pytest.param(np.ones(100), id="a constant"),
        pytest.param(np.arange(19.0), id="few rows"),
        pytest.param(np.tile([0.0, 1.0], 50), id="neighbours that differ"),
    ],
)
def test_rows_that_tell_nothing_of_each_other_are_independent(series: Floats) -> None:
    """Never below one: to count rows more than once would be a guess."""
    assert inflation(series) == 1.0
    assert inflation_of_values(series) == 1.0


def test_codes_in_runs_inflate_and_drawn_ones_do_not() -> None:
    """Runs of ten say a tenth."""
    rng = np.random.default_rng(3)
    drawn = rng.integers(0, 5, size=3000)
    assert inflation_of_codes(drawn) < 1.15
    assert inflation_of_codes(np.repeat(drawn[:600], 10)) == pytest.approx(10.0, rel=0.2)


def test_an_inflation_holds_in_time() -> None:
    """Rows twice as dense resemble each other for twice as many."""
    assert stretched(5.0, 60.0, 30.0) == 9.0
    assert stretched(1.0, 60.0, 30.0) == 1.0
    assert stretched(5.0, 0.0, 30.0) == 5.0
    assert pooled(3.0, 100, 1.0, 100) == 2.0


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_the_ks_test_keeps_its_level_on_dependent_rows(phi: float) -> None:
    """Of 200 pairs of one distribution, at most a share of alpha is called different, within three standard errors."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(200):
        known, seen = wandering(rng, 3000, phi), wandering(rng, 600, phi)
        inflations = inflation_of_values(known), max(inflation_of_values(known), inflation_of_values(seen))
        found.append(compare_numeric(SortedReference.from_values(known), seen, inflation=inflations).ks.pvalue)
    for alpha in (0.01, 0.05, 0.2):
        assert np.mean(np.array(found) <= alpha) <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / 200)


def test_an_inflated_chi_square_is_rao_and_scotts() -> None:
    """Divided by the mean inflation of both samples; without inflation nothing changes."""
    before, after = {"a": 500, "b": 500}, {"a": 560, "b": 440}
    plain = compare_categorical(before, after).chi_square
    half = compare_categorical(before, after, inflation=(2.0, 2.0)).chi_square
    assert half.value == plain.value
    assert plain.pvalue < 0.01 < half.pvalue
    quarter = compare_categorical({"a": 1000, "b": 1000}, {"a": 1120, "b": 880}, inflation=(2.0, 2.0)).chi_square
    assert quarter.pvalue == pytest.approx(plain.pvalue, rel=1e-9)


@pytest.mark.parametrize("freedoms", [1, 2, 3, 4, 7, 10, 39])
def test_students_law_is_scipys(freedoms: int) -> None:
    """Survival and its inverse."""
    from scipy import stats

    for t in (0.1, 1.0, 2.5, 6.0):
        assert student_sf(t, freedoms) == pytest.approx(stats.t.sf(t, freedoms), rel=1e-8)
    for p in (0.5e-3, 0.01, 0.2):
        assert student_isf(p, freedoms) == pytest.approx(stats.t.isf(p, freedoms), rel=1e-9)
