"""Re-weighting the reference to the current inputs, and saying when that cannot be done."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_predict

from mlops.statistics.density_ratio import effective_sample_size, importance_weights


def windows(shift: float, n: int = 2_000, m: int = 1_500) -> tuple[np.ndarray, np.ndarray]:
    """Normal inputs of two columns, the current ones moved by `shift` in the first."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 2)), rng.normal([shift, 0.0], 1.0, size=(m, 2))


def domain_weights(shift: float):
    """Weights by a cross-fitted logistic domain classifier."""
    reference, current = windows(shift)
    is_current = np.arange(3_500) >= 2_000
    folds = KFold(5, shuffle=True, random_state=1)
    rows = np.concatenate((reference, current))
    p = cross_val_predict(LogisticRegression(), rows, is_current, cv=folds, method="predict_proba")[:, 1]
    return reference, current, importance_weights(p[:2_000], p[2_000:])


def test_weights_move_the_reference_to_the_current_inputs() -> None:
    """After weighting, the mean of the reference is the mean of the current window, and weights average 1."""
    reference, current, result = domain_weights(0.7)
    weighted = (reference * result.weights[:, None]).mean(axis=0)
    np.testing.assert_allclose(weighted, current.mean(axis=0), atol=0.08)
    assert result.weights.mean() == pytest.approx(1.0)
    assert result.overlap.identifiable
    assert 0.6 < result.overlap.domain_auc < 0.75


def test_equal_windows_overlap_fully() -> None:
    """Nothing moved: weights near 1, the domain classifier guesses."""
    overlap = domain_weights(0.0)[2].overlap
    assert overlap.identifiable
    assert overlap.ess_share > 0.95
    assert abs(overlap.domain_auc - 0.5) < 0.04


def test_windows_apart_are_not_identifiable() -> None:
    """Five deviations apart: the verdict must not rest on a handful of rows."""
    overlap = domain_weights(5.0)[2].overlap
    assert not overlap.identifiable
    assert overlap.domain_auc > 0.99
    assert overlap.ess_share < 0.1


def test_weights_are_the_odds_times_the_ratio_of_sizes() -> None:
    """Bayes' rule, cut at `clip`; a certain row does not take all."""
    result = importance_weights([0.5, 0.8, 1.0, 0.0], [0.5, 0.6], clip=10.0)
    raw = np.array([2.0, 8.0, 10.0, 0.0])
    np.testing.assert_allclose(result.weights, raw / raw.mean())
    assert result.overlap.clipped_share == 0.25


def test_no_common_row_at_all() -> None:
    """Every reference row is surely reference: nothing to weight, and no division by zero."""
    result = importance_weights(np.zeros(50), np.ones(50))
    assert not result.overlap.identifiable
    assert result.overlap.ess == 0.0
    assert result.weights.tolist() == [1.0] * 50


def test_effective_sample_size() -> None:
    """Equal weights count in full, one heavy row counts as one; the unit of the weights does not matter."""
    assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(7.0)
    assert effective_sample_size([1e300, 0.0, 0.0]) == pytest.approx(1.0)
    assert effective_sample_size([1.0, 2.0]) == pytest.approx(9 / 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: importance_weights([], [0.5]), "reference_probability: is empty", id="empty"),
        pytest.param(lambda: importance_weights([0.5], [1.5]), "current_probability: must lie", id="no probability"),
        pytest.param(lambda: importance_weights([np.nan], [0.5]), "reference_probability: holds NaN", id="missing"),
        pytest.param(lambda: importance_weights([0.5], [0.5], clip=0), "clip: is 0", id="clip"),
    ],
)
def test_impossible_requests_are_refused(call, message: str) -> None:
    """The message names the argument and the reason."""
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("limits", "identifiable"),
    [
        pytest.param({}, True, id="as many rows as are needed"),
        pytest.param({"min_ess": 100.5}, False, id="a row too few"),
        pytest.param({"min_ess_share": 1.0}, True, id="all of the reference"),
        pytest.param({"min_ess_share": 1.01}, False, id="more than all of it"),
        pytest.param({"max_domain_auc": 0.5}, True, id="told apart as well as allowed"),
        pytest.param({"max_domain_auc": 0.49}, False, id="told apart better than allowed"),
    ],
)
def test_windows_overlap_at_each_limit_and_not_beyond_it(limits: dict[str, float], identifiable: bool) -> None:
    """A hundred rows of which each could be from either window: a hundred effective rows, and nothing to tell."""
    overlap = importance_weights(np.full(100, 0.5), np.full(70, 0.5), **limits).overlap
    assert (overlap.ess, overlap.ess_share, overlap.domain_auc) == (100.0, 1.0, 0.5)
    assert overlap.identifiable is identifiable


def test_the_limits_that_nobody_sets() -> None:
    """A hundred effective rows, a tenth of the reference, an area of 0.95, and weights up to 50 times the mean odds."""
    few = importance_weights(np.full(99, 0.5), np.full(99, 0.5)).overlap
    assert (few.ess, few.identifiable) == (99.0, False)
    a_ninth, a_tenth = np.repeat([0.5, 0.0], [120, 1_080]), np.repeat([0.5, 0.0], [120, 1_081])
    assert importance_weights(a_ninth, np.full(50, 0.5), max_domain_auc=1.0).overlap.identifiable
    assert not importance_weights(a_tenth, np.full(50, 0.5), max_domain_auc=1.0).overlap.identifiable
    reference = np.repeat([0.4, 0.6], [950, 50])
    apart = importance_weights(reference, np.full(20, 0.5)).overlap
    assert (apart.domain_auc, apart.identifiable) == (0.95, True)
    further = importance_weights(np.repeat([0.4, 0.6], [951, 49]), np.full(20, 0.5)).overlap
    assert (further.domain_auc > 0.95, further.identifiable) == (True, False)
    certain = importance_weights([1.0, 0.5], [0.5, 0.5])
    np.testing.assert_allclose(certain.weights, np.array([50.0, 1.0]) * 2 / 51)
    assert certain.overlap.clipped_share == 0.5


def test_a_weight_of_just_the_limit_is_not_cut() -> None:
    """Odds of one, where one is the limit."""
    assert importance_weights([0.5, 0.5], [0.5, 0.5], clip=1.0).overlap.clipped_share == 0.0


def test_rows_of_certainty_are_weighted_without_a_warning() -> None:
    """Warnings are errors here, and a program of a user may have made them so."""
    assert importance_weights([1.0, 1.0], [1.0]).weights.tolist() == [1.0, 1.0]
