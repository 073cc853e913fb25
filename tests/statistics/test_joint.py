"""The test of how columns go together: level, power, and what it must not see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress, rankdata
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from mlops.statistics.arrays import FloatArray
from mlops.statistics.joint import Coded, coded_categories, coded_numbers, compare_joint
from tests.statistics.samples import coded, series


def standard(values: FloatArray) -> FloatArray:
    return np.asarray((values - values.mean()) / values.std())


def test_codes_of_numbers_are_their_ranks_and_what_these_leave_of_how_far_they_are_from_the_middle() -> None:
    """Ties share their mean rank, and the least value is that of half of the rows, so that the squares of centred
    ranks are in part linear in the ranks; a missing number has the mean, nought, in both codes."""
    values = np.maximum(np.round(np.random.default_rng(7).normal(size=200), 1), 0.0)
    values[[3, 50, 51]] = np.nan
    present = ~np.isnan(values)
    share = (rankdata(values[present]) - 0.5) / present.sum() - 0.5
    line = linregress(share, share**2)
    assert abs(line.rvalue) > 0.1, "what the ranks say of the squares must not be nothing"

    table = coded_numbers(values)

    left = share**2 - line.slope * share
    assert table[present] == pytest.approx(np.column_stack((standard(share), standard(left))), abs=1e-5)
    assert not table[~present].any()
    assert not coded_numbers(np.full(5, np.nan)).any()
    assert not coded_numbers(np.array([4.0, 4.0, np.nan])).any(), "a constant"


def influences(sample: Coded, block: int) -> tuple[FloatArray, list[tuple[int, int]]]:
    """By definition: the mean over each whole block of the products of two columns' codes, less half the correlation
    times both squares; and which two codes make each product."""
    table = sample.table.astype(np.float64)
    of = [(i, j) for i in range(table.shape[1]) for j in range(i) if sample.column[i] != sample.column[j]]
    of = sorted((j, i) for i, j in of)
    found = []
    for one, other in of:
        x, y = table[:, one], table[:, other]
        influence = x * y - (x * y).mean() / 2 * (x * x - 1 + y * y - 1)
        found.append([influence[at : at + block].mean() for at in range(0, len(x) - block + 1, block)])
    return np.array(found).T, of


def furthest(before: FloatArray, after: FloatArray, spread: FloatArray) -> tuple[float, int]:
    """The largest difference of means in standard errors, and whose it is."""
    errors = np.abs(after.mean(axis=0) - before.mean(axis=0)) / spread / np.sqrt(1 / len(before) + 1 / len(after))
    return float(errors.max()), int(errors.argmax())


def area_by_definition(before: Coded, after: Coded, block: int) -> float:
    """Weights from four fifths of the blocks, the cube of how far each product moved in its spread; the area of the
    scores, products in that spread, of the rows in the last fifth."""
    sides = [influences(each, block)[0] for each in (before, after)]
    of, spread = influences(before, block)[1], np.concatenate(sides).std(axis=0)
    folds = [np.arange(len(side)) * 5 // len(side) for side in sides]
    areas = []
    for number in range(5):
        moved = [side[fold != number].mean(axis=0) for side, fold in zip(sides, folds, strict=True)]
        weights = ((moved[1] - moved[0]) / spread) ** 3 / spread
        scores, is_current = [], []
        for now, (sample, fold) in enumerate(zip((before, after), folds, strict=True)):
            rows = sample.table[: len(fold) * block][np.repeat(fold == number, block)]
            scores.append(sum(w * rows[:, i] * rows[:, j] for w, (i, j) in zip(weights, of, strict=True)))
            is_current += [now] * len(rows)
        areas.append(roc_auc_score(is_current, np.concatenate(scores)))
    return float(np.mean(areas))


@pytest.mark.parametrize("block", [1, 3, 7])
def test_a_comparison_is_its_definition_without_batches(block: int) -> None:
    """In full precision, at sizes that fill no last block and no last batch; parts begin and end within blocks."""
    rng = np.random.default_rng([8, block])
    before, after = (coded(series(rng, block * blocks + block - 1, 0.0, columns=4)) for blocks in (203, 57))
    parts = [slice(0, 101 * block), slice(101 * block + 1, 190 * block - 1), slice(0, 9 * block)]
    parts.append(slice(9 * block, 203 * block))

    found = compare_joint(before, after, block=block, parts=parts)

    assert found is not None
    sides, of = [influences(each, block)[0] for each in (before, after)], influences(before, block)[1]
    spread = np.concatenate(sides).std(axis=0)
    statistic, place = furthest(*sides, spread)
    assert found.statistic == pytest.approx(statistic, rel=1e-3)
    first, change = found.pairs[0], float((sides[1].mean(axis=0) - sides[0].mean(axis=0))[place])
    assert (first.one, first.other) == tuple(before.column[code] for code in of[place])
    assert first.change == pytest.approx(change, abs=1e-5)
    assert found.auc == pytest.approx(area_by_definition(before, after, block), abs=2e-3)
    whole = [list(range(101)), list(range(102, 189))]
    own = [furthest(np.delete(sides[0], part, axis=0), sides[0][part], spread)[0] for part in whole]
    assert found.own == pytest.approx(own, rel=1e-3), "nine blocks are no part, and leave none"


def test_p_values_are_those_of_a_hundred_permutations_or_of_a_thousand_where_these_leave_it_open() -> None:
    """Most draws of one law need the first hundred only."""
    rng = np.random.default_rng(9)
    found = [
        compare_joint(*(coded(series(rng, rows, 0.0, columns=3)) for rows in (300, 200)), block=5) for _ in range(25)
    ]
    values = np.array([each.p_value for each in found if each is not None])
    open_ones = values < 0.05
    assert values[~open_ones] * 100 == pytest.approx(np.round(values[~open_ones] * 100), abs=1e-9)
    assert values[open_ones] * 1000 == pytest.approx(np.round(values[open_ones] * 1000), abs=1e-9)
    assert values.shape == (25,)
    assert open_ones.sum() < 5


def test_ten_blocks_are_enough_and_ten_pairs_are_named() -> None:
    """All fifteen pairs of six columns have moved, each is named once; the seed that nobody gives is nought."""
    rng = np.random.default_rng(10)
    before, after = coded(series(rng, 2000, 0.0, 0.0)), coded(series(rng, 500, 0.0, 0.8))

    found, again = (compare_joint(before, after, block=50, **given) for given in ({}, {"seed": 0}))  # type: ignore[arg-type]

    assert found is not None
    assert again is not None
    assert len({(pair.one, pair.other) for pair in found.pairs}) == len(found.pairs) == 10
    assert found.p_value == again.p_value == 0.001
    assert compare_joint(before, after, block=51) is None, "nine blocks"
    two = compare_joint(before, after, block=50, pairs=2)
    assert two is not None
    assert two.pairs == found.pairs[:2]


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
