"""Did the class balance move, with or without labels?"""

import math

import numpy as np
import pytest
from scipy import stats

from mlops.statistics.label_shift import black_box_shift, compare_labels


def test_label_counts_are_compared_by_chi_square() -> None:
    """Scipy's test, and the ratio of shares per class; a new class has ratio infinity."""
    result = compare_labels({"good": 900, "bad": 100}, {"good": 350, "bad": 150})
    expected = stats.chi2_contingency([[900, 100], [350, 150]], correction=False)
    assert result.chi_square.pvalue == pytest.approx(expected.pvalue, rel=1e-11)
    assert result.ratio == pytest.approx({"bad": 3.0, "good": 0.7 / 0.9})
    assert compare_labels({0: 10}, {0: 5, 1: 5}).ratio == {0: 0.5, 1: math.inf}


def test_the_new_balance_is_estimated_without_labels() -> None:
    """Three classes, a classifier that errs, a balance that moved: shares within three points of the truth."""
    rng = np.random.default_rng(0)
    confusion_law = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.05, 0.15, 0.8]])

    def predictions(y: np.ndarray) -> np.ndarray:
        return (rng.uniform(size=(y.shape[0], 1)) > confusion_law[y].cumsum(axis=1)).sum(axis=1)

    y = rng.choice(3, 20_000, p=[0.5, 0.3, 0.2])
    table = np.zeros((3, 3))
    np.add.at(table, (y, predictions(y)), 1)
    moved = predictions(rng.choice(3, 20_000, p=[0.2, 0.2, 0.6]))
    result = black_box_shift(table, np.bincount(moved, minlength=3))
    np.testing.assert_allclose(result.shares, [0.2, 0.2, 0.6], atol=0.03)
    np.testing.assert_allclose(result.weights, [0.4, 2 / 3, 3.0], atol=0.15)
    assert result.condition < 10


def test_an_unmoved_balance_has_weights_of_one() -> None:
    """The predictions of the reference itself."""
    table = np.array([[80, 20], [30, 70]])
    np.testing.assert_allclose(black_box_shift(table, table.sum(axis=0)).weights, 1.0)


def test_impossible_shares_are_cut_at_zero() -> None:
    """Fewer predictions of a class than its errors alone would give."""
    result = black_box_shift([[80, 20], [30, 70]], [100, 0])
    np.testing.assert_allclose(result.shares, [1.0, 0.0])


@pytest.mark.parametrize(
    ("table", "predicted", "message"),
    [
        pytest.param([[50, 50], [50, 50]], [1, 1], "singular", id="useless classifier"),
        pytest.param([[5, 5], [0, 0]], [1, 1], "a class has no reference row", id="class missing"),
        pytest.param([[5, 5], [1, 9]], [0, 0], "no prediction", id="empty window"),
        pytest.param([[5, 5], [1, 9]], [1, 2, 3], "expected", id="shape"),
        pytest.param([[5, -5], [1, 9]], [1, 2], "finite and >= 0", id="negative"),
    ],
)
def test_what_cannot_be_solved_is_refused(table: list[list[int]], predicted: list[int], message: str) -> None:
    """The message says why."""
    with pytest.raises(ValueError, match=message):
        black_box_shift(table, predicted)
