"""When nothing moved, a p-value below .05 comes in 5 % of the checks: 2,000 draws per test, between 4 and 6 %."""

import numpy as np
import pytest

from mlops.statistics.dependence import inflation_of_values
from mlops.statistics.joint import compare_joint
from mlops.statistics.multiplicity import benjamini_hochberg
from mlops.statistics.reference import SortedReference
from mlops.statistics.two_sample import chi_square_homogeneity, compare_categorical, compare_numeric, kolmogorov_smirnov
from tests.statistics.samples import coded, series, wandering

DRAWS = 2_000


def ks(rng: np.random.Generator) -> float:
    """Two continuous samples."""
    return kolmogorov_smirnov(rng.normal(size=500), rng.normal(size=701)).pvalue


def ks_exact(rng: np.random.Generator) -> float:
    """Two small samples, exact law."""
    return kolmogorov_smirnov(rng.normal(size=53), rng.normal(size=59)).pvalue


def chi_square(rng: np.random.Generator) -> float:
    """Two rows of counts over eight categories."""
    shares = np.arange(1, 9) / 36
    return chi_square_homogeneity(rng.multinomial(800, shares), rng.multinomial(600, shares))[0].pvalue


def many_categories(rng: np.random.Generator) -> float:
    """300 categories of very unequal frequency, most of them rare."""
    shares = 1 / np.arange(1, 301)
    before, after = (rng.multinomial(rows, shares / shares.sum()) for rows in (2_000, 700))
    names = [str(i) for i in range(300)]
    return compare_categorical(
        dict(zip(names, before, strict=True)), dict(zip(names, after, strict=True))
    ).chi_square.pvalue


def missing_share(rng: np.random.Generator) -> float:
    """Two columns with a tenth of their rows missing."""
    columns = [np.where(rng.uniform(size=n) < 0.1, np.nan, rng.normal(size=n)) for n in (900, 1_100)]
    return compare_numeric(SortedReference.from_values(columns[0]), columns[1]).missing.pvalue


@pytest.mark.parametrize("test", [ks, ks_exact, chi_square, many_categories, missing_share])
def test_the_false_alarm_rate_is_the_stated_one(test) -> None:
    """P(p < .05) within [.04, .06]."""
    rng = np.random.default_rng(11)
    pvalues = np.array([test(rng) for _ in range(DRAWS)])
    assert 0.04 <= (pvalues < 0.05).mean() <= 0.06


def test_ties_make_ks_conservative_never_bold() -> None:
    """Whole numbers from 0 to 9: fewer false alarms than stated."""
    rng = np.random.default_rng(12)
    samples = [(rng.integers(0, 10, 400), rng.integers(0, 10, 500)) for _ in range(500)]
    assert np.mean([kolmogorov_smirnov(x, y).pvalue < 0.05 for x, y in samples]) <= 0.05


def test_200_stable_columns_raise_one_alarm_in_twenty_checks_at_most() -> None:
    """The whole chain, windows to Benjamini-Hochberg: without it nearly every check would alarm."""
    rng = np.random.default_rng(13)
    checks = 100
    alarms = plain = 0
    for _ in range(checks):
        p = [kolmogorov_smirnov(rng.normal(size=200), rng.normal(size=301)).pvalue for _ in range(200)]
        alarms += bool((benjamini_hochberg(p) <= 0.05).any())
        plain += bool((np.array(p) <= 0.05).any())
    assert alarms <= 12
    assert plain >= 95


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


@pytest.mark.parametrize(("phi", "block"), [(0.0, 5), (0.5, 12), (0.9, 40)])
def test_how_columns_go_together_keeps_its_level_on_dependent_rows(phi: float, block: int) -> None:
    """In 200 draws of independent and of AR(1) rows, within four standard errors; it may be conservative."""
    rng = np.random.default_rng(int(10 * phi))
    found = []
    for seed in range(200):
        before, after = (coded(series(rng, rows, phi)) for rows in (3000, 600))
        compared = compare_joint(before, after, block=block, seed=seed)
        assert compared is not None
        found.append(compared.p_value)
    for level in (0.05, 0.2, 0.5):
        share = float(np.mean(np.array(found) <= level))
        assert share <= level + 4.0 * np.sqrt(level * (1.0 - level) / 200), (level, share)
    assert np.mean(np.array(found) <= 0.5) >= 0.35, "nor are they far too large"
