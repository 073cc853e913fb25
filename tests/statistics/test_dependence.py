"""The inflation of dependent rows is what theory says, and tests that use it keep their level."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from scipy.stats import chi2

from mlops.statistics.dependence import (
    at_most,
    between,
    between_codes,
    between_counts,
    beyond_chance,
    inflation,
    inflation_of_codes,
    inflation_of_values,
    pooled,
    stretched,
)
from mlops.statistics.special import student_isf, student_sf
from mlops.statistics.two_sample import compare_categorical
from tests.statistics.samples import Floats, wandering


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


def test_from_twenty_rows_on_they_are_asked() -> None:
    """A step in the middle."""
    for rows, inflates in ((18, False), (20, True)):
        step = np.repeat([0, 1], rows // 2)
        for found in (inflation(step.astype(float)), inflation_of_values(step.astype(float)), inflation_of_codes(step)):
            assert (found > 1.0) is inflates


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


# --- to the digit ---


def by_definition(series: Floats) -> float:
    """The inflation as its docstring says it, sum by sum: no transform, no rescaling."""
    n = len(series)
    x = series - series.mean()
    if n < 20 or series.min() == series.max():
        return 1.0
    square = float((x * x).sum())
    r = [float((x[: n - lag] * x[lag:]).sum()) / square for lag in range(n)]
    if r[1] < 2.0 / math.sqrt(n):
        return 1.0
    total, lag = 0.0, 1
    while lag + 1 <= 2 * ((n - 1) // 2) and r[lag] + r[lag + 1] >= 2.0 * math.sqrt(2.0 / n):
        total += r[lag] + r[lag + 1]
        lag += 2
    found = 1.0 + 2.0 * (total if lag > 1 else r[1])
    lowest = min(16, n // 2)
    power = [
        abs(sum(value * cmath.exp(-2j * math.pi * k * t / n) for t, value in enumerate(x))) ** 2 / square
        for k in range(1, lowest + 1)
    ]
    return max(1.0, min(found, sum(power) / lowest * (1.0 + 1.645 / math.sqrt(lowest))))


def many_series() -> list[Floats]:
    """Short and long, odd and even, wandering, swinging, stepping, tilted, and far from zero."""
    rng = np.random.default_rng(11)
    drawn = [wandering(rng, rows, phi) for rows in (20, 21, 31, 32, 33, 34, 120) for phi in (0.3, 0.6, 0.9, 0.97)]
    hours = np.arange(96.0)
    shaped = [
        np.sin(2 * np.pi * hours / 24),
        np.sin(2 * np.pi * hours / 24) + rng.normal(size=96),
        np.repeat([0.0, 1.0], 12),
        np.repeat([0.0, 1.0], 10),
        hours[:24],
        1e6 + 3.0 * wandering(rng, 60, 0.8),
        np.repeat(rng.normal(size=20), 3),
    ]
    return drawn + shaped


@pytest.mark.parametrize("series", many_series())
def test_the_inflation_is_what_its_definition_says(series: Floats) -> None:
    """Autocorrelations up to the noise, but no more than the power of slow movements allows."""
    assert inflation(series) == pytest.approx(by_definition(series), rel=1e-9)


def test_both_bounds_of_the_inflation_are_reached() -> None:
    """Else a test of the definition would not tell them apart."""
    found = [by_definition(series) for series in many_series()]
    assert min(found) == 1.0 < sorted(found)[len(found) // 2] < max(found)
    swinging = np.sin(2 * np.pi * np.arange(96.0) / 24)
    assert by_definition(swinging) == pytest.approx(3.0 * (1.0 + 1.645 / 4.0)), "of 16 frequencies it has one"


def test_neighbours_are_noticed_from_two_standard_errors_on() -> None:
    """A little less alike than that is chance."""
    rng = np.random.default_rng(5)
    firsts, found = [], []
    for _ in range(300):
        series = wandering(rng, 100, 0.2)
        x = series - series.mean()
        firsts.append(float((x[1:] * x[:-1]).sum() / (x * x).sum()))
        found.append(inflation(series))
    chance = np.array(firsts) < 2.0 / math.sqrt(100)
    assert 20 < chance.sum() < 280
    assert np.array(found)[chance].tolist() == [1.0] * int(chance.sum())
    assert (np.array(found)[~chance] > 1.0).mean() > 0.8


def test_the_inflation_of_values_is_that_of_their_shares_below_five_edges() -> None:
    """The mean, or that of the middle edge if it is more; edges that are the same one count once, the largest value
    none: at or below it are all rows, and a column of two values would say half of what it does."""
    rng = np.random.default_rng(12)
    for values in (
        wandering(rng, 100, 0.9),
        wandering(rng, 61, 0.6),
        np.round(wandering(rng, 80, 0.9)),
        (wandering(rng, 80, 0.9) > 1.0).astype(np.float64),
        np.exp(3 * wandering(rng, 90, 0.95)),
    ):
        ordered = sorted(values)
        edges = list(dict.fromkeys(ordered[int(share * (len(values) - 1))] for share in (0.1, 0.25, 0.5, 0.75, 0.9)))
        edges = [edge for edge in edges if edge < ordered[-1]] or [max(v for v in ordered if v < ordered[-1])]
        found = [by_definition((values <= edge).astype(np.float64)) for edge in edges]
        wanted = max(found[len(found) // 2], sum(found) / len(found))
        assert inflation_of_values(values) == pytest.approx(wanted, rel=1e-9)


def test_the_inflation_of_codes_weighs_each_class_by_its_variance() -> None:
    """The twelve most frequent, of those equally frequent the first."""
    rng = np.random.default_rng(13)
    few, many = np.repeat(rng.integers(0, 4, size=30), 3), np.repeat(rng.integers(0, 20, size=60), 3)
    for codes in (few, many, np.repeat([0, 2, 0, 2, 5], 4)):
        shares = [float((codes == code).mean()) for code in range(codes.max() + 1)]
        frequent = sorted(range(len(shares)), key=lambda code: -shares[code])[:12]
        weights = [shares[code] * (1.0 - shares[code]) for code in frequent]
        found = [by_definition((codes == code).astype(np.float64)) for code in frequent]
        wanted = sum(w * f for w, f in zip(weights, found, strict=True)) / sum(weights)
        assert inflation_of_codes(codes) == pytest.approx(wanted, rel=1e-9)
        assert wanted > 1.0


@pytest.mark.parametrize("codes", [np.zeros(0, int), np.zeros(30, int), np.full(30, 3), np.repeat([0, 1], [10, 9])])
def test_codes_that_are_few_or_all_the_same_tell_nothing(codes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    """There is nothing that could move."""
    assert inflation_of_codes(codes) == 1.0


def between_by_definition(blocks: list[Floats]) -> float:
    """The chi-square statistic of the shares below each quartile over its degrees of freedom, in the mean."""
    blocks = [block for block in blocks if len(block)]
    every = sorted(value for block in blocks for value in block)
    found = []
    largest_but_one = max((value for value in every if value < every[-1]), default=every[-1])
    for edge in dict.fromkeys(min(every[len(every) * quarter // 4], largest_but_one) for quarter in (1, 2, 3)):
        below = [sum(value <= edge for value in block) for block in blocks]
        share = sum(below) / len(every)
        if 0.0 < share < 1.0:
            chi = sum(
                (b - len(block) * share) ** 2 / (len(block) * share * (1.0 - share))
                for b, block in zip(below, blocks, strict=True)
            )
            found.append(chi / (len(blocks) - 1))
    return sum(found) / len(found) if found else 1.0


def shifted(rng: np.random.Generator, rows: tuple[int, ...], by: float) -> list[Floats]:
    return [rng.normal(size=size) + by * rng.normal() for size in rows]


def test_blocks_that_differ_inflate_by_their_chi_square() -> None:
    """Of blocks of any size; a block without rows is none."""
    rng = np.random.default_rng(14)
    seen = []
    for rows in ((40, 40, 40), (10, 80, 33, 51), (25,) * 9, (30, 0, 30, 30)):
        for by in (0.0, 0.2, 0.4, 0.7, 1.5):
            blocks = shifted(rng, rows, by)
            wanted = between_by_definition(blocks)
            assert between(blocks) == pytest.approx(wanted, rel=1e-9)
            seen.append(beyond_chance(wanted, len(rows)))
            assert seen[-1] == (wanted if wanted > 1.0 + 2.5 * math.sqrt(2.0 / (len(rows) - 1)) else 1.0)
    assert 3 < seen.count(1.0) < len(seen) - 6, "some of them differ by chance only"


def test_blocks_differ_by_no_more_than_their_bound_in_nineteen_of_twenty() -> None:
    """Eight blocks of wandering rows: the bound of what they differ by holds what a thousand blocks do."""
    rng = np.random.default_rng(16)
    many = between([wandering(rng, 200, 0.9) for _ in range(1000)])
    found = [at_most(between([wandering(rng, 200, 0.9) for _ in range(8)]), 8) for _ in range(300)]
    assert 0.9 < np.mean(np.array(found) >= many) < 1.0
    assert at_most(2.0, 9) == pytest.approx(2.0 * 8 / chi2.ppf(0.05, 8), rel=0.01)


def test_shares_of_categories_that_differ_inflate_as_those_of_numbers_do() -> None:
    """Of two categories it is the ratio of the one share; of many the mean, weighted by their variances."""
    rng = np.random.default_rng(17)
    blocks = [(rng.random(90) < share).astype(np.int64) for share in (0.2, 0.5, 0.4, 0.7)]
    assert between_codes(blocks) == pytest.approx(between([block.astype(np.float64) for block in blocks]), rel=1e-9)
    drawn = [rng.integers(0, 6, size=400) for _ in range(40)]
    assert between_codes(drawn) == pytest.approx(1.0, abs=0.3)
    levels = [rng.choice(6, size=400, p=rng.dirichlet(np.full(6, 20.0))) for _ in range(40)]
    assert between_codes(levels) > 2.0
    assert between_codes([np.zeros(50, dtype=np.int64)] * 4) == between_codes(drawn[:2]) == 1.0


def test_few_values_have_fewer_edges() -> None:
    """Quartiles that are one value count once, and instead of the largest value the one before counts."""
    rng = np.random.default_rng(15)
    for share in (0.2, 0.3, 0.45, 0.6, 0.9):
        blocks = [(rng.random(60) < share * weight).astype(np.float64) for weight in (0.2, 1.0, 1.1, 0.4)]
        assert between(blocks) == pytest.approx(between_by_definition(blocks), rel=1e-9)
    thirds = [rng.choice(3, 50, p=p).astype(np.float64) for p in ([0.8, 0.1, 0.1], [0.2, 0.4, 0.4], [0.1, 0.1, 0.8])]
    wanted = between_by_definition(thirds)
    assert wanted > 5.0
    assert between(thirds) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([], id="none"),
        pytest.param([np.zeros(0)] * 3, id="without rows"),
        pytest.param([np.arange(50.0), 100 + np.arange(50.0)], id="two"),
        pytest.param([np.arange(50.0), np.zeros(0), 100 + np.arange(50.0)], id="two and an empty one"),
        pytest.param([np.ones(50)] * 3, id="constant"),
    ],
)
def test_blocks_that_are_few_or_all_the_same_tell_nothing(blocks: list[Floats]) -> None:
    """Three at least."""
    assert between(blocks) == 1.0


def test_blocks_of_which_every_quartile_is_the_largest_value_tell_by_the_others() -> None:
    """At or below it are all rows: what is smaller is the share that may differ."""
    alike = between([np.array([0.0, *np.ones(20)]) for _ in range(40)])
    rng = np.random.default_rng(18)
    assert alike == pytest.approx(0.0, abs=1e-12)
    assert between([(rng.random(100) > share).astype(np.float64) for share in (0.01, 0.2, 0.01, 0.2)]) > 5.0


def test_three_blocks_are_enough() -> None:
    """If they differ by more than chance."""
    assert between([np.arange(50.0), 100 + np.arange(50.0), 200 + np.arange(50.0)]) > 10.0


@pytest.mark.parametrize(
    ("found", "spacing", "wanted", "stretches"),
    [
        pytest.param(5.0, 30.0, 60.0, 3.0, id="further apart"),
        pytest.param(5.0, 60.0, 60.0, 5.0, id="as far apart"),
        pytest.param(1.5, 1.0, 0.25, 3.0, id="closer"),
        pytest.param(1.0, 60.0, 30.0, 1.0, id="independent"),
        pytest.param(0.5, 60.0, 30.0, 1.0, id="never below one"),
        pytest.param(5.0, 0.0, 30.0, 5.0, id="at one time"),
        pytest.param(5.0, 60.0, 0.0, 5.0, id="wanted at one time"),
        pytest.param(5.0, -1.0, 2.0, 5.0, id="backwards"),
        pytest.param(5.0, 1.0, -2.0, 5.0, id="wanted backwards"),
        pytest.param(5.0, 0.5, 0.25, 9.0, id="in fractions"),
    ],
)
def test_an_inflation_is_stretched_with_time(found: float, spacing: float, wanted: float, stretches: float) -> None:
    """What is above one, by how much closer the rows are."""
    assert stretched(found, spacing, wanted) == stretches


def test_inflations_are_pooled_by_the_variance_of_each_mean() -> None:
    """The smaller sample counts for more."""
    assert pooled(3.0, 100, 1.0, 300) == pytest.approx((3 / 100 + 1 / 300) / (1 / 100 + 1 / 300))
    assert pooled(1.0, 7, 4.0, 2) == pytest.approx((1 / 7 + 4 / 2) / (1 / 7 + 1 / 2))


def test_what_comes_in_bursts_says_as_much_as_its_bursts() -> None:
    """Of independent events 1; of ten at a time about 10; of too few blocks nothing is known."""
    rng = np.random.default_rng(5)
    of = np.full(30, 1000.0)
    single = [between_counts(rng.binomial(1000, 0.02, 30).astype(float), of) for _ in range(200)]
    tens = [between_counts(10.0 * rng.binomial(100, 0.02, 30), of) for _ in range(200)]
    assert 1.0 <= np.mean(single) < 1.25
    assert np.mean(tens) == pytest.approx(10.0, rel=0.1)
    assert between_counts(np.array([0.0, 50.0]), np.array([100.0, 100.0])) == 1.0
    assert between_counts(np.zeros(30), of) == between_counts(of, of) == between_counts(of, np.zeros(30)) == 1.0
