"""The row where the mean loss moved."""

import math

import numpy as np
import pytest
from scipy import special

from mlops.statistics import change_point as module
from mlops.statistics.change_point import ChangePoint, brownian_bridge_sf, change_point


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
    # The path is 12 * 0.4 there, and the deviations' length the root of as much.
    assert found.statistic == pytest.approx(math.sqrt(4.8))
    assert found.pvalue == pytest.approx(special.kolmogorov(math.sqrt(4.8)))


@pytest.mark.parametrize(("losses", "row"), [([0, 0, 1, 1], 2), ([0] * 9 + [1], 9), ([1] + [0] * 9, 1)])
def test_the_shortest_series_and_its_edges(losses: list[float], row: int) -> None:
    """Four rows are enough, and a new regime may be one row long."""
    assert change_point(losses).row == row


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
    assert change_point(np.full(50, 0.1)) == ChangePoint(0, 0.1, 0.1, 0.0, 1.0)


def test_a_change_below_what_numbers_can_square_is_none() -> None:
    """No division by a spread of zero."""
    assert change_point([0.0] * 6 + [1e-200] * 6) == ChangePoint(0, 0.0, 0.0, 0.0, 1.0)


def test_the_permutation_p_value_counts_what_is_at_least_as_large() -> None:
    """The one in [0, 0, 0, 1] is at an end in half of the arrangements; a clean long step in next to none."""
    assert change_point([0, 0, 0, 1], permutations=4_000).pvalue == pytest.approx(0.5, abs=0.03)
    assert change_point([0.0] * 30 + [1.0] * 30, permutations=99).pvalue == 1 / 100
    assert change_point([0, 1] * 4, permutations=60).pvalue == 1.0, "no arrangement has a lower path"


def test_permutations_come_from_the_seed() -> None:
    """The same seed, the same p-value; none given is 0."""
    losses = np.random.default_rng(5).normal(size=40)
    pvalues = [change_point(losses, permutations=999, seed=seed).pvalue for seed in (0, 1, 2, 3)]
    assert pvalues == [change_point(losses, permutations=999, seed=seed).pvalue for seed in (0, 1, 2, 3)]
    assert change_point(losses, permutations=999).pvalue == pvalues[0]
    assert len(set(pvalues)) > 1


@pytest.mark.parametrize("lines", [1, 7, 25])
def test_the_memory_for_permutations_changes_no_p_value(monkeypatch: pytest.MonkeyPatch, lines: int) -> None:
    """They are made a few lines at a time, the last time the rest of them."""
    losses = np.random.default_rng(6).normal(size=20)
    expected = change_point(losses, permutations=60).pvalue
    monkeypatch.setattr(module, "_BUDGET", 20 * lines)
    assert change_point(losses, permutations=60).pvalue == expected


@pytest.mark.parametrize(("block", "permutations"), [(0, 0), (1, -1)])
def test_settings_without_a_meaning_are_refused(block: int, permutations: int) -> None:
    """With both values and what is expected."""
    message = f"block: is {block}, permutations: is {permutations}; expected >= 1 and >= 0"
    with pytest.raises(ValueError, match=message):
        change_point([0.0, 0.0, 1.0, 1.0], block=block, permutations=permutations)


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
