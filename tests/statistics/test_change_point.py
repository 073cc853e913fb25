"""The row where the mean loss moved."""

import math

import numpy as np
import pytest
from scipy import special

from mlops.statistics.change_point import brownian_bridge_sf, change_point


def test_a_step_is_found_where_it_is() -> None:
    """A step of one deviation after 700 of 1,000 rows: within ten rows, beyond doubt, with both means."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=700), rng.normal(1.0, size=300)])
    found = change_point(x)
    assert abs(found.row - 700) <= 10
    assert found.pvalue < 1e-10
    assert found.mean_before == pytest.approx(x[: found.row].mean())
    assert found.mean_after == pytest.approx(x[found.row :].mean())


def test_a_clean_step_is_found_exactly() -> None:
    """The row is the first of the new regime."""
    found = change_point([0.0] * 12 + [1.0] * 8)
    assert (found.row, found.mean_before, found.mean_after) == (12, 0.0, 1.0)


@pytest.mark.parametrize("permutations", [0, 199], ids=["Brownian bridge", "permutations"])
def test_stable_losses_are_flagged_as_rarely_as_promised(permutations: int) -> None:
    """2,000 (500) stable series of 300 skewed losses at the 5 % level; the bridge errs on the safe side."""
    rng = np.random.default_rng(1)
    runs = 500 if permutations else 2_000
    pvalues = [change_point(rng.exponential(size=300), permutations=permutations).pvalue for _ in range(runs)]
    assert 0.03 <= np.mean(np.array(pvalues) <= 0.05) <= (0.075 if permutations else 0.06)


def test_losses_that_depend_on_each_other_need_blocks() -> None:
    """Runs of 20 equal losses: row by row nearly everything is a change, in blocks of 40 it is not."""
    rng = np.random.default_rng(2)
    streams = [np.repeat(rng.normal(size=100), 20) for _ in range(200)]
    assert np.mean([change_point(x).pvalue < 0.05 for x in streams]) > 0.5
    assert np.mean([change_point(x, block=40).pvalue < 0.05 for x in streams]) <= 0.08


def test_a_constant_loss_has_no_change() -> None:
    """No spread, no statistic: p-value 1."""
    assert change_point(np.full(50, 0.1)).pvalue == 1.0


def test_the_limit_law_equals_scipy() -> None:
    """Kolmogorov's distribution."""
    for x in np.linspace(0.0, 3.0, 100):
        assert brownian_bridge_sf(float(x)) == pytest.approx(special.kolmogorov(x), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        pytest.param([0.1, 0.2, 0.3], "at least 4", id="short"),
        pytest.param([0.1, math.nan, 0.3, 0.4], "losses: holds NaN or infinity", id="missing"),
        pytest.param([], "at least 4", id="empty"),
    ],
)
def test_series_without_an_answer_are_refused(losses: list[float], message: str) -> None:
    """Too short, or not numbers."""
    with pytest.raises(ValueError, match=message):
        change_point(losses)
