"""A map of scores that keeps their order: it finds the one that the data was made with, and that of known methods."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mlops.statistics.calibration import platt
from mlops.statistics.score_map import LEAST_PROBABILITY, ScoreMap, fit_classes, fit_numbers


def a_table(rows: int, classes: int, seed: int = 3) -> np.ndarray:
    """Return probabilities (rows, classes)."""
    scores = np.random.default_rng(seed).normal(size=(rows, classes)) * 1.5
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def drawn(table: np.ndarray, seed: int = 5) -> np.ndarray:
    """Return a class for each row, by its probabilities."""
    return (np.random.default_rng(seed).random((len(table), 1)) > table.cumsum(axis=1)).sum(axis=1)


def test_of_two_classes_it_is_platts_curve() -> None:
    """The curve that the calibration of estimates fits to the same rows."""
    table = a_table(2000, 2)
    codes = drawn(ScoreMap(0.4, (0.0, 1.5)).probabilities(table))
    found = fit_classes(table, codes)
    points, inverse = np.unique(table[:, 1], return_inverse=True)
    slope, intercept = platt(points, np.bincount(inverse, weights=codes).astype(int), np.bincount(inverse))
    assert (found.slope, found.bias[1]) == pytest.approx((slope, intercept), rel=1e-6)


@pytest.mark.parametrize("classes", [pytest.param(2, id="two"), pytest.param(4, id="four")])
def test_it_finds_the_map_that_the_labels_were_drawn_by(classes: int) -> None:
    """To the error of its rows."""
    made = ScoreMap(0.6, (0.0, 1.0, -0.5, 0.3)[:classes])
    table = a_table(60_000, classes)
    found = fit_classes(table, drawn(made.probabilities(table)))
    assert (found.slope, *found.bias) == pytest.approx((made.slope, *made.bias), abs=0.05)
    mapped = found.probabilities(table)
    assert mapped.sum(axis=1) == pytest.approx(1.0)
    assert np.abs(mapped - made.probabilities(table)).max() < 0.02


def test_scores_that_come_true_stay_where_they_are() -> None:
    """The map of a calibrated model is none."""
    table = a_table(60_000, 3)
    found = fit_classes(table, drawn(table))
    assert (found.slope, *found.bias) == pytest.approx((1.0, 0.0, 0.0, 0.0), abs=0.05)


def test_classes_that_are_told_apart_without_error_and_those_without_a_row_have_a_finite_map() -> None:
    """Platt's targets keep it from infinity, and a probability of zero has a logarithm."""
    table = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] * 50)
    found = fit_classes(table, np.array([0, 1] * 50))
    assert np.isfinite((found.slope, *found.bias)).all()
    assert found.keeps_order
    assert np.isfinite(found.probabilities(table)).all()
    assert found.probabilities(table)[:, 2].max() < 0.05


def test_scores_that_rank_the_wrong_way_do_not_keep_their_order() -> None:
    """Turned round, they are another model."""
    table = a_table(2000, 2)
    codes = drawn(table)
    assert not fit_classes(table[:, ::-1], codes).keeps_order
    values = np.arange(100.0)
    assert not fit_numbers(values, -values).keeps_order


def test_two_maps_are_one() -> None:
    """What a model that is recalibrated twice is described by."""
    first, second = ScoreMap(0.5, (0.0, 1.0, -0.3)), ScoreMap(1.7, (0.0, -0.4, 0.2))
    table = a_table(200, 3)
    one = second.after(first).probabilities(table)
    assert one == pytest.approx(second.probabilities(first.probabilities(table)), abs=1e-9)
    line = ScoreMap(2.0, (1.0,)).after(ScoreMap(3.0, (-2.0,)))
    assert line.values(np.array([1.0, 4.0])).tolist() == [3.0, 21.0]


def test_of_numbers_it_is_the_line_of_least_squares() -> None:
    """As scikit-learn fits it, far from zero too."""
    random = np.random.default_rng(1)
    answers = 1e6 + random.normal(size=500)
    labels = 3.0 * answers + 7.0 + random.normal(size=500)
    line = LinearRegression().fit(answers[:, None] - 1e6, labels)
    found = fit_numbers(answers, labels)
    assert found.slope == pytest.approx(line.coef_[0], rel=1e-9)
    assert found.values(answers) == pytest.approx(line.predict(answers[:, None] - 1e6), rel=1e-9)


@pytest.mark.parametrize("least", [0.0, LEAST_PROBABILITY / 2])
def test_what_cannot_be_fitted_is_refused(least: float) -> None:
    """One class alone, or answers that are all one number, say nothing of a map."""
    with pytest.raises(ValueError, match="all rows are of one class"):
        fit_classes(np.array([[1.0 - least, least]] * 9), np.zeros(9, dtype=np.int64))
    with pytest.raises(ValueError, match="all answers are one number"):
        fit_numbers(np.ones(9), np.arange(9.0))
