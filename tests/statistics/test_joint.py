"""The test of how columns go together: level, power, and what it must not see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from threadpoolctl import threadpool_limits

from mlops.statistics.arrays import FloatArray
from mlops.statistics.joint import Coded, coded_categories, coded_numbers, compare_joint


def coded(values: FloatArray) -> Coded:
    columns = values.shape[1]
    return Coded(
        np.column_stack([coded_numbers(values[:, column]) for column in range(columns)]),
        np.repeat(np.arange(columns), 2),
    )


def series(rng: np.random.Generator, rows: int, phi: float, correlation: float = 0.3, columns: int = 6) -> FloatArray:
    """Correlated columns, each an AR(1) series."""
    cholesky = np.linalg.cholesky(np.full((columns, columns), correlation) + (1 - correlation) * np.eye(columns))
    noise = rng.normal(size=(rows + 200, columns)) @ cholesky.T
    return np.asarray(lfilter([np.sqrt(1.0 - phi * phi)], [1.0, -phi], noise, axis=0)[200:])


@pytest.mark.parametrize(("phi", "block"), [(0.0, 5), (0.5, 12), (0.9, 40)])
def test_p_values_are_uniform_when_nothing_moved(phi: float, block: int) -> None:
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


def test_a_dependence_without_rank_correlation_is_seen_and_named() -> None:
    """The last column follows how far the first one is from its middle."""
    rng = np.random.default_rng(1)
    before, after = (series(rng, rows, 0.0) for rows in (4000, 500))
    before[:, 5], after[:, 5] = rng.normal(size=4000), 0.4 * (np.abs(after[:, 0]) - 0.8) / 0.6 + rng.normal(size=500)

    found = compare_joint(coded(before), coded(after), block=5)

    assert found is not None
    assert found.p_value == 0.001
    assert (found.pairs[0].one, found.pairs[0].other) == (0, 5)
    assert found.auc > 0.55


def test_what_each_column_does_by_itself_changes_no_bit() -> None:
    """Any increasing function of a column leaves how it goes with others where it was."""
    rng = np.random.default_rng(2)
    before, after = (series(rng, rows, 0.0) for rows in (2000, 500))

    found = [compare_joint(coded(before), coded(part), block=5) for part in (after, np.exp(after) * 9.0 + 4.0)]

    assert found[0] is not None
    assert found[1] is not None
    assert found[0].statistic == found[1].statistic
    assert found[0].pairs == found[1].pairs


def test_missing_values_and_constants_say_nothing() -> None:
    rng = np.random.default_rng(3)
    before, after = (series(rng, rows, 0.0) for rows in (2000, 500))
    after[:, 1], after[:, 2] = np.nan, 4.0
    after[rng.random(500) < 0.3, 3] = np.nan

    found = compare_joint(coded(before), coded(after), block=5)

    assert found is not None
    assert np.isfinite(found.statistic)


def test_parts_of_the_reference_are_compared_with_the_others() -> None:
    """One of four parts has a dependence of its own: as much as the window has, it has changed, too."""
    rng = np.random.default_rng(4)
    parts = [series(rng, 600, 0.0) for _ in range(4)]
    parts[1][:, 5] = parts[1][:, 0]
    slices = [slice(600 * number, 600 * (number + 1)) for number in range(4)]

    found = compare_joint(coded(np.concatenate(parts)), coded(series(rng, 600, 0.0)), block=6, parts=slices)

    assert found is not None
    assert found.own.shape == (4,)
    assert found.own.argmax() == 1
    assert found.own[1] > 2.0 * np.delete(found.own, 1).max()


@pytest.mark.parametrize(("rows", "columns"), [(90, 3), (500, 1)])
def test_too_little_to_compare_is_no_answer(rows: int, columns: int) -> None:
    rng = np.random.default_rng(5)

    assert (
        compare_joint(coded(rng.normal(size=(900, columns))), coded(rng.normal(size=(rows, columns))), block=10) is None
    )


def test_categories_have_a_code_each_and_signs_for_the_rest() -> None:
    codes = np.array([0, 1, 2, 2, -1, 3])

    table = coded_categories(codes, [2], [np.array([1.0, -1.0, 0.0, 1.0])])

    assert table.shape == (6, 2)
    assert table[4].tolist() == [0.0, 0.0], "a missing one says nothing"
    assert table[:, 0].argsort(kind="stable")[-2:].tolist() == [2, 3]
    present = np.delete(table, 4, axis=0)
    assert present.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-6)
    assert present.std(axis=0) == pytest.approx([1.0, 1.0], abs=1e-6)


def test_the_same_rows_and_seed_give_the_same_bits() -> None:
    rng = np.random.default_rng(6)
    before, after = coded(series(rng, 2000, 0.5)), coded(series(rng, 500, 0.5))
    with threadpool_limits(limits=1):
        first, again = (compare_joint(before, after, block=8, seed=3) for _ in range(2))

    assert first is not None
    assert again is not None
    assert (first.statistic, first.p_value, first.auc) == (again.statistic, again.p_value, again.auc)


def test_two_values_have_one_code() -> None:
    """How far a rank is from the middle is another name of the same: with a little more than half of the rows at one
    value, or a little less, it would be one or the other sign."""
    rng = np.random.default_rng(6)
    for share in (0.1, 0.45, 0.5, 0.55, 0.9):
        table = coded_numbers((rng.random(1000) < share).astype(np.float64))
        assert not table[:, 1].any()
    assert coded_numbers(rng.integers(0, 3, 1000).astype(np.float64))[:, 1].any(), "three values say more"
    assert coded_numbers(rng.normal(size=1000))[:, 1].std() == pytest.approx(1.0, abs=1e-4)


def test_a_flag_of_half_of_the_rows_that_goes_with_a_number_has_not_changed() -> None:
    """Of 30 windows, with shares a little above and below one half, none is told from the reference."""
    rng = np.random.default_rng(7)

    def flagged(rows: int, share: float) -> Coded:
        x = rng.normal(size=(rows, 3))
        x[:, 1] = x[:, 0] + 0.5 * rng.normal(size=rows) > np.quantile(x[:, 0], share)
        return coded(x)

    before = flagged(6000, 0.49)
    for share in np.linspace(0.45, 0.55, 30):
        compared = compare_joint(before, flagged(600, float(share)), block=5)
        assert compared is not None
        assert compared.p_value > 0.002
