"""Two samples of one column: the numbers are scipy's, whatever the ties, the sizes and the order of the rows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial import distance

from mlops.statistics.arrays import within_reach
from mlops.statistics.kolmogorov import kolmogorov_sf, two_sample_exact_sf
from mlops.statistics.reference import SortedReference
from mlops.statistics.special import chi2_sf, gamma_q, normal_sf
from mlops.statistics.two_sample import (
    chi_square_homogeneity,
    compare_categorical,
    compare_numeric,
    jensen_shannon,
    kolmogorov_smirnov,
    population_stability_index,
    wasserstein,
)

SIZES = [(1, 2), (2, 1), (2, 2), (7, 3), (50, 70), (139, 2_000), (1_000, 1_000), (4_999, 333)]
KINDS = ["continuous", "ties", "constant", "heavy tail"]

columns = arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6, allow_subnormal=False)),
)


def draw(kind: str, rows: int, rng: np.random.Generator) -> np.ndarray:
    """A column of the given kind."""
    if kind == "ties":
        return rng.integers(0, 5, rows).astype(np.float64)
    if kind == "constant":
        return np.full(rows, 3.5)
    return rng.standard_cauchy(rows) if kind == "heavy tail" else rng.normal(size=rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "m"), SIZES)
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_ks_and_wasserstein_equal_scipy(kind: str, n: int, m: int, shift: float) -> None:
    """Statistic, asymptotic p-value and earth mover's distance, with ties and down to one row."""
    rng = np.random.default_rng(n * m)
    x, y = draw(kind, n, rng), draw(kind, m, rng) + shift
    ours, theirs = kolmogorov_smirnov(x, y, method="asymptotic"), stats.ks_2samp(x, y, method="asymp")
    assert ours.value == pytest.approx(theirs.statistic, rel=1e-14, abs=1e-15)
    assert ours.pvalue == pytest.approx(theirs.pvalue, rel=1e-10, abs=1e-12)
    assert wasserstein(x, y) == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (10, 7), (50, 60), (100, 100)])
def test_small_samples_get_the_exact_ks_pvalue(n: int, m: int) -> None:
    """With few rows the asymptotic law is off: the exact one is used and equals scipy's."""
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.normal(0.4, size=m)
    assert kolmogorov_smirnov(x, y).pvalue == pytest.approx(stats.ks_2samp(x, y, method="exact").pvalue, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 100, 139, 140, 141, 500, 5_000, 25_000, 100_000, 250_000])
def test_the_kolmogorov_law_equals_scipy(n: int) -> None:
    """Every regime of n and d: relative 1e-10 where a p-value could matter, absolute 1e-12 elsewhere."""
    rng = np.random.default_rng(n)
    for d in np.concatenate([rng.uniform(0, 1, 20), rng.uniform(0, 3, 20) / np.sqrt(n), rng.uniform(0, 0.6, 20)]):
        expected = float(stats.kstwo.sf(d, n))
        if 0.0 < expected < 1e-290:
            continue
        tolerance = {"rel": 1e-10, "abs": 0.0} if expected < 0.1 else {"abs": 1e-12}
        assert kolmogorov_sf(n, float(d)) == pytest.approx(expected, **tolerance)


@pytest.mark.parametrize("dof", [1, 2, 3, 5, 10, 99, 1_000, 100_000])
def test_the_chi_square_tail_equals_scipy(dof: int) -> None:
    """Relative 1e-12 down to 1e-200."""
    rng = np.random.default_rng(dof)
    for x in np.concatenate([dof * rng.uniform(0, 3, 60), dof + np.sqrt(2 * dof) * rng.uniform(-3, 9, 60)]):
        expected = float(stats.chi2.sf(max(x, 0.0), dof))
        if expected > 1e-200:
            assert chi2_sf(float(x), dof) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_chi_square_and_jensen_shannon_equal_scipy(seed: int) -> None:
    """Random counts, some categories seen on one side only."""
    rng = np.random.default_rng(seed)
    r, c = rng.integers(0, 60, 9), rng.integers(0, 40, 9)
    r[0], c[0], r[1], c[1] = 3, 0, 0, 4
    kept = (r + c) > 0
    expected = stats.chi2_contingency([r[kept], c[kept]], correction=False)
    test, dof = chi_square_homogeneity(r, c)
    assert (test.value, dof) == (pytest.approx(expected.statistic, rel=1e-12), expected.dof)
    assert test.pvalue == pytest.approx(expected.pvalue, rel=1e-11)
    assert jensen_shannon(r, c) == pytest.approx(distance.jensenshannon(r, c, base=2), rel=1e-12)


def test_psi_adds_half_a_row_to_each_bin() -> None:
    """The published formula, on smoothed shares; an empty bin does not make it infinite."""
    p, q = np.array([10.5, 0.5, 5.5]) / 16.5, np.array([3.5, 7.5, 0.5]) / 11.5
    assert population_stability_index([10, 0, 5], [3, 7, 0]) == pytest.approx(((q - p) * np.log(q / p)).sum())


def test_one_comparison_holds_what_the_single_functions_say() -> None:
    """The fused path over a stored reference changes no number."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=3_000), rng.normal(0.2, size=2_000)
    result = compare_numeric(SortedReference.from_values(x), y)
    assert result.ks == kolmogorov_smirnov(x, y)
    assert result.wasserstein == wasserstein(x, y)
    assert result.wasserstein_normalised == pytest.approx(wasserstein(x, y) / x.std(), rel=1e-12)
    edges = np.quantile(x, np.arange(1, 10) / 10, method="inverted_cdf")
    bins = [np.bincount(np.searchsorted(edges, v, side="left"), minlength=10) for v in (x, y)]
    assert result.psi == population_stability_index(*bins)
    assert result.jensen_shannon == jensen_shannon(*bins)


@given(x=columns, y=columns, seed=st.integers(0, 99))
@settings(deadline=None)
def test_row_order_changes_no_bit(x: np.ndarray, y: np.ndarray, seed: int) -> None:
    """Shuffled rows give the same comparison, bit for bit."""
    rng = np.random.default_rng(seed)
    first = compare_numeric(SortedReference.from_values(x), y)
    assert compare_numeric(SortedReference.from_values(rng.permutation(x)), rng.permutation(y)) == first


@given(x=columns, y=columns)
@settings(deadline=None)
def test_bounds_and_symmetry(x: np.ndarray, y: np.ndarray) -> None:
    """Distances are 0 for equal samples, within their bounds, and symmetric where they claim to be."""
    result = compare_numeric(SortedReference.from_values(x), y)
    assert 0.0 <= result.ks.value <= 1.0
    assert 0.0 <= result.ks.pvalue <= 1.0
    assert 0.0 <= result.jensen_shannon <= 1.0
    assert result.psi >= 0.0
    assert kolmogorov_smirnov(y, x).value == result.ks.value
    assert wasserstein(y, x) == pytest.approx(result.wasserstein, rel=1e-12)
    same = compare_numeric(SortedReference.from_values(x), x)
    assert (same.ks.value, same.ks.pvalue, same.wasserstein_normalised, same.psi) == (0.0, 1.0, 0.0, 0.0)
    assert same.jensen_shannon == pytest.approx(0.0, abs=1e-7)


@given(x=columns, y=columns, power=st.integers(-20, 20))
@settings(deadline=None)
def test_ks_ignores_the_unit_and_wasserstein_scales_with_it(x: np.ndarray, y: np.ndarray, power: int) -> None:
    """A change of unit (by a power of two, which is exact) is not drift."""
    scale = 2.0**power
    before = compare_numeric(SortedReference.from_values(x), y)
    after = compare_numeric(SortedReference.from_values(x * scale), y * scale)
    assert after.ks == before.ks
    assert after.wasserstein == pytest.approx(before.wasserstein * scale, rel=1e-12)
    assert after.wasserstein_normalised == pytest.approx(before.wasserstein_normalised, rel=1e-9)


def test_ks_ignores_a_shift_of_both_samples() -> None:
    """Moving both samples alike is not drift."""
    rng = np.random.default_rng(5)
    x, y = rng.integers(0, 50, 300).astype(float), rng.integers(0, 60, 400).astype(float)
    assert kolmogorov_smirnov(x + 1024, y + 1024) == kolmogorov_smirnov(x, y)


def test_missing_values_are_compared_apart() -> None:
    """NaN do not enter a distance, but a delivery with more of them is noticed."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=1_000), rng.normal(size=1_000)
    plain = compare_numeric(SortedReference.from_values(x), y)
    with_gaps = compare_numeric(SortedReference.from_values(x), np.append(y, np.full(200, np.nan)))
    assert with_gaps.ks == plain.ks
    assert plain.missing.pvalue == 1.0
    assert with_gaps.missing_share_current == pytest.approx(1 / 6)
    assert with_gaps.missing.pvalue < 1e-20


def test_values_below_a_reference_that_starts_with_ties_are_seen_by_psi() -> None:
    """A column with many zeros that turns negative: the values do not hide in the zero bin."""
    reference = SortedReference.from_values(np.concatenate([np.zeros(500), np.arange(1.0, 501.0)]))
    current = np.concatenate([np.full(500, -1.0), np.arange(1.0, 501.0)])
    assert compare_numeric(reference, current).psi > 1.0


def test_values_above_a_reference_that_ends_with_ties_are_seen_by_psi() -> None:
    """A column capped at 1 that loses its cap: the values do not hide in the top bin."""
    reference = SortedReference.from_values(np.concatenate([np.ones(500), np.linspace(0.0, 0.9, 500)]))
    current = np.concatenate([np.full(500, 2.0), np.linspace(0.0, 0.9, 500)])
    assert compare_numeric(reference, current).psi > 1.0


def test_a_constant_reference_makes_any_move_infinite() -> None:
    """There is no standard deviation to measure in; staying put is still 0."""
    reference = SortedReference.from_values(np.full(100, 0.1))
    assert compare_numeric(reference, np.full(30, 0.1)).wasserstein_normalised == 0.0
    assert compare_numeric(reference, np.full(30, 0.2)).wasserstein_normalised == math.inf


def test_categories_are_compared_by_name() -> None:
    """Order of the mapping does not matter; new categories are counted as unseen."""
    before, after = {"a": 500, "b": 300, "c": 200}, {"c": 190, "d": 60, "a": 450, "b": 300}
    result = compare_categorical(before, after, missing_current=10)
    assert result == compare_categorical(dict(reversed(before.items())), after, missing_current=10)
    expected = stats.chi2_contingency([[500, 300, 200, 0], [450, 300, 190, 60]], correction=False)
    assert result.chi_square.pvalue == pytest.approx(expected.pvalue, rel=1e-11)
    assert result.unseen_share == pytest.approx(0.06)
    assert result.rows_current == 1_010


def test_rare_categories_are_pooled_for_the_test() -> None:
    """Hundreds of categories seen once would break the chi-square law; one cell holds them."""
    before = {"common": 1_000, **{f"rare-{i}": 1 for i in range(300)}}
    after = {"common": 1_000, **{f"odd-{i}": 1 for i in range(300)}}
    result = compare_categorical(before, after)
    assert (result.degrees_of_freedom, result.chi_square.pvalue) == (1, 1.0)
    assert result.jensen_shannon > 0.4


def test_a_single_new_row_is_no_evidence() -> None:
    """One row of a new category in a small window: pooled with the least frequent other, no alarm."""
    result = compare_categorical({"a": 1_000, "b": 1_000}, {"a": 10, "b": 10, "new": 1})
    assert result.chi_square.pvalue > 0.3
    assert result.unseen_share == pytest.approx(1 / 21)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param([1.0, math.inf], "price: holds infinity", id="infinity"),
        pytest.param([], "price: is empty", id="no rows"),
        pytest.param([math.nan, math.nan], "price: is empty", id="only missing"),
        pytest.param([[1.0], [2.0]], "price: has 2 dimensions", id="table"),
        pytest.param(["a"], "price: has type", id="text"),
    ],
)
def test_bad_columns_are_refused_by_name(values: list[object], message: str) -> None:
    """The message names the column and what is wrong with it."""
    with pytest.raises(ValueError, match=message):
        compare_numeric(SortedReference.from_values([1.0, 2.0]), values, name="price")
    with pytest.raises(ValueError, match=message):
        SortedReference.from_values(values, name="price")


def test_empty_or_negative_counts_are_refused() -> None:
    """A window without a counted row has no distribution."""
    with pytest.raises(ValueError, match="current: is empty"):
        compare_categorical({"a": 1}, {})
    with pytest.raises(ValueError, match="reference: holds negative"):
        chi_square_homogeneity([-1, 2], [1, 2])
    with pytest.raises(ValueError, match="current: has 3 categories"):
        jensen_shannon([1, 2], [1, 2, 3])


def test_a_numeric_comparison_counts_rows_and_missing_ones_of_both_sides() -> None:
    """Shares are of all rows; the test of them is scipy's."""
    reference = SortedReference.from_values([1.0, 2.0, 3.0, 4.0, np.nan])
    result = compare_numeric(reference, [1.0, 2.0, np.nan, np.nan])
    assert (result.rows_reference, result.rows_current) == (5, 4)
    assert (result.missing_share_reference, result.missing_share_current) == (0.2, 0.5)
    expected = stats.chi2_contingency([[4, 1], [2, 2]], correction=False)
    assert result.missing.value == pytest.approx(expected.statistic, rel=1e-12)
    assert result.missing.pvalue == pytest.approx(expected.pvalue, rel=1e-12)
    assert result.ks.value == 0.5


def test_a_categorical_comparison_counts_rows_and_missing_ones_of_both_sides() -> None:
    """Shares are of all rows; the distances are those of the counts, with each category."""
    before, after = {"a": 60, "b": 30}, {"a": 30, "b": 5, "new": 5}
    result = compare_categorical(before, after, missing_reference=10, missing_current=40)
    assert (result.rows_reference, result.rows_current) == (100, 80)
    assert (result.missing_share_reference, result.missing_share_current) == (0.1, 0.5)
    expected = stats.chi2_contingency([[90, 10], [40, 40]], correction=False)
    assert result.missing.pvalue == pytest.approx(expected.pvalue, rel=1e-11)
    assert result.jensen_shannon == jensen_shannon([60, 30, 0], [30, 5, 5])
    assert result.psi == population_stability_index([60, 30, 0], [30, 5, 5])
    assert result.unseen_share == 0.125
    plain = compare_categorical(before, after)
    assert (plain.rows_reference, plain.missing_share_reference, plain.missing_share_current) == (90, 0.0, 0.0)


@pytest.mark.parametrize(
    ("rare", "cells"),
    [
        pytest.param((5, 5), 3, id="five expected on either side"),
        pytest.param((5, 4), 2, id="fewer on both"),
        pytest.param((9, 0), 2, id="fewer, all on one side"),
        pytest.param((10, 0), 3, id="five expected, though none came"),
    ],
)
def test_a_category_is_rare_below_five_expected_rows(rare: tuple[int, int], cells: int) -> None:
    """Of two windows of one size each is expected to hold half of them."""
    a, b = rare
    before, after = {"x": 500, "y": 500 - a, "z": a}, {"x": 500, "y": 500 - b, "z": b}
    result = compare_categorical(before, after)
    assert result.degrees_of_freedom == cells - 1
    table = [[500, 500 - a, a], [500, 500 - b, b]] if cells == 3 else [[500, 500], [500, 500]]
    expected = stats.chi2_contingency(table, correction=False)
    assert result.chi_square.value == pytest.approx(expected.statistic, rel=1e-12, abs=1e-12)


def test_rare_categories_that_make_a_cell_together_leave_the_others_alone() -> None:
    """Six categories of two rows: twelve rows, half of them expected on each side, are enough."""
    before = {"x": 494, "y": 500, **{f"rare-{i}": 1 for i in range(6)}}
    assert compare_categorical(before, before).degrees_of_freedom == 2
    before = {"x": 496, "y": 500, **{f"rare-{i}": 1 for i in range(4)}}
    assert compare_categorical(before, before).degrees_of_freedom == 1


def test_one_category_has_nothing_to_be_tested_against() -> None:
    """No degree of freedom, p-value 1."""
    test, dof = chi_square_homogeneity([0, 5], [0, 7])
    assert (test.value, test.pvalue, dof) == (0.0, 1.0, 0)


def test_the_exact_law_is_left_where_it_would_cost_more() -> None:
    """Up to 10,000 pairs; beyond, and if asked, the asymptotic one; and the exact one at any size if asked."""
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=100), rng.normal(0.3, size=101)
    exact, asymptotic = (kolmogorov_smirnov(x, y, method=method).pvalue for method in ("exact", "asymptotic"))
    assert kolmogorov_smirnov(x, y).pvalue == asymptotic != exact
    assert kolmogorov_smirnov(x, y[:100]).pvalue == kolmogorov_smirnov(x, y[:100], method="exact").pvalue
    assert exact == pytest.approx(stats.ks_2samp(x, y, method="exact").pvalue, rel=1e-12)


def test_the_tails_of_laws_end_where_they_should() -> None:
    """At and beyond their ends, where a series would not."""
    assert (chi2_sf(0.0, 3), chi2_sf(-1.0, 3), chi2_sf(math.inf, 3)) == (1.0, 1.0, 0.0)
    assert (gamma_q(0.5, 0.0), gamma_q(2.0, math.inf)) == (1.0, 0.0)
    assert (kolmogorov_sf(10, 0.0), kolmogorov_sf(10, 1.0), kolmogorov_sf(10, 2.0)) == (1.0, 0.0, 0.0)
    assert (two_sample_exact_sf(3, 4, 0), two_sample_exact_sf(3, 4, -1)) == (1.0, 1.0)
    # Two of the 35 orders of three and four rows keep the samples apart.
    assert two_sample_exact_sf(3, 4, 12) == pytest.approx(2 / 35, rel=1e-14)
    for z in (-9.0, -1.0, 0.0, 0.5, 3.0, 30.0):
        assert normal_sf(z) == pytest.approx(stats.norm.sf(z), rel=1e-13)


@pytest.mark.parametrize("n", [1, 2, 5, 10, 140, 141, 1_000, 100_000, 100_001])
def test_the_kolmogorov_law_equals_scipy_where_its_methods_meet(n: int) -> None:
    """Just at, below and above each value at which another formula takes over."""
    meets = {0.5 / n, 1.0 / n, (n - 1.0) / n, 0.5, (1.4 / n) ** (2 / 3), *(math.sqrt(s / n) for s in (2.2, 4.0, 370.0))}
    for meet in sorted(d for d in meets if d <= 1.0):
        for d in (np.nextafter(meet, 0.0), meet, np.nextafter(meet, 1.0), meet * 0.999, min(1.0, meet * 1.001)):
            expected = float(stats.kstwo.sf(d, n))
            if expected == 0.0 or expected >= 1e-290:
                tolerance = {"rel": 1e-10, "abs": 1e-300} if expected < 0.1 else {"abs": 1e-12}
                assert kolmogorov_sf(n, float(d)) == pytest.approx(expected, **tolerance)


def test_columns_beyond_what_can_be_squared_are_brought_within_reach_together() -> None:
    """By one power of two for all; columns within reach, and empty ones, are left as they are."""
    small, large = np.array([1.0, -3.0]), np.array([-(2.0**600), 2.0**599])
    untouched = within_reach(small, np.array([]))
    assert untouched[0] is small
    at_the_limit = np.array([1e145])
    assert within_reach(at_the_limit)[0] is at_the_limit
    moved = within_reach(small, large)
    assert np.abs(moved[1]).max() == 0.5
    assert (moved[1] / moved[0]).tolist() == (large / small).tolist()
    assert within_reach(np.array([]))[0].shape == (0,)


def test_the_sign_of_zero_is_no_value() -> None:
    """-0.0 and 0.0 are one, to the last bit of what is stored of a reference."""
    assert SortedReference.from_values([-0.0, 1.0]).values.tobytes() == np.array([0.0, 1.0]).tobytes()
    assert SortedReference.from_values([-0.0, 1.0, np.nan]).values.tobytes() == np.array([0.0, 1.0]).tobytes()


def test_a_reference_is_cut_at_its_quantiles() -> None:
    """Ten bins unless said otherwise, each with as many rows, and numpy's standard deviation, also of large numbers."""
    values = np.random.default_rng(4).normal(size=1_000)
    reference = SortedReference.from_values(np.append(values, [np.nan, np.nan]))
    assert reference.counts.tolist() == [100] * 10
    assert reference.edges.tolist() == np.quantile(values, np.arange(1, 10) / 10, method="inverted_cdf").tolist()
    assert (reference.missing, reference.std) == (2, pytest.approx(values.std(), rel=1e-12))
    assert SortedReference.from_values(values, bins=4).counts.tolist() == [250] * 4
    assert SortedReference.from_values(values * 1e200).std == pytest.approx(values.std() * 1e200, rel=1e-12)
    assert SortedReference.from_values(-np.abs(values)).std == pytest.approx(np.abs(values).std(), rel=1e-12)
    tie = SortedReference.from_values([0.0] * 5 + [1.0] * 5, bins=2)
    assert tie.edges.tolist() == [np.nextafter(0.0, -1.0), 0.0]
    assert tie.counts.tolist() == [0, 5, 5]


def test_the_chi_square_tail_keeps_its_digits_where_most_values_lie() -> None:
    """A relative 1e-12 around the mean of 100,000 degrees of freedom, where a plain formula has lost seven times it."""
    dof = 100_000
    for x in dof + np.sqrt(2 * dof) * np.random.default_rng(8).uniform(-3, 3, 200):
        assert chi2_sf(float(x), dof) == pytest.approx(float(stats.chi2.sf(x, dof)), rel=1e-12, abs=0.0)


def test_counts_of_a_small_type_do_not_overflow() -> None:
    """Sums of bytes are beyond a byte."""
    r, c = np.array([200, 100], dtype=np.uint8), np.array([100, 250], dtype=np.uint8)
    wide = r.tolist(), c.tolist()
    assert chi_square_homogeneity(r, c) == chi_square_homogeneity(*wide)
    assert population_stability_index(r, c) == population_stability_index(*wide)


@pytest.mark.parametrize(
    ("n", "m", "inflation"),
    [
        pytest.param(300, 200, (4.0, 1.0), id="the reference, exact"),
        pytest.param(90, 80, (1.0, 2.5), id="the current rows, exact"),
        pytest.param(3_000, 2_000, (3.0, 2.0), id="both, asymptotic"),
        pytest.param(400, 400, (4.0, 4.0), id="as many as are exact"),
        pytest.param(404, 400, (4.0, 4.0), id="a few more"),
        pytest.param(50, 40, (900.0, 900.0), id="no row is left of either"),
        pytest.param(3_000, 4, (1.0, 900.0), id="no row is left of one"),
        pytest.param(30_000, 30_000, (90_000.0, 1.0), id="no row is left of the many"),
    ],
)
def test_dependent_rows_count_as_the_fewer_that_they_say_as_much_as(
    n: int, m: int, inflation: tuple[float, float]
) -> None:
    """The distance stays; the law is that of so many independent rows, at least of one."""
    rng = np.random.default_rng(n + m)
    x, y = rng.normal(size=n), rng.normal(size=m) + 0.15
    found = compare_numeric(SortedReference.from_values(x), y, inflation=inflation).ks
    assert found.value == compare_numeric(SortedReference.from_values(x), y).ks.value
    few, fewer = (max(1, round(rows / by)) for rows, by in zip((n, m), inflation, strict=True))
    if few * fewer <= 10_000:
        wanted = two_sample_exact_sf(few, fewer, math.floor(found.value * few * fewer + 1e-9))
    else:
        wanted = kolmogorov_sf(max(1, round(1.0 / (inflation[0] / n + inflation[1] / m))), found.value)
    assert found.pvalue == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("m", [1, 63, 64, 65, 127, 128, 129, 640, 1_000])
def test_stretches_that_are_not_searched_hold_no_larger_distance(m: int) -> None:
    """Whatever the number of rows, whichever sample is ahead, and wherever the distance is largest."""
    rng = np.random.default_rng(m)
    for n in (3, 200, 2_000):
        for x, y in (
            (rng.normal(size=n), rng.normal(size=m)),
            (rng.normal(size=n) + 0.4, rng.normal(size=m)),
            (rng.normal(size=n), rng.normal(size=m) + 0.4),
            (rng.normal(size=n), 3.0 * rng.normal(size=m)),
            (rng.normal(size=n), 0.1 * rng.normal(size=m)),
            (np.round(rng.normal(size=n)), np.round(rng.normal(size=m), 1)),
        ):
            theirs = stats.ks_2samp(x, y, method="asymp").statistic
            assert kolmogorov_smirnov(x, y, method="asymptotic").value == pytest.approx(theirs, rel=1e-14, abs=1e-15)
