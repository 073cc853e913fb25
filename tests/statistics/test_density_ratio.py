"""Re-weighting the reference to the current inputs, and saying when that cannot be done."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mlops.statistics.density_ratio import effective_sample_size, importance_weights
from mlops.statistics.logistic import cross_fitted_probability, fit_logistic, fold_of_rows


def windows(shift: float, n: int = 2_000, m: int = 1_500) -> tuple[np.ndarray, np.ndarray]:
    """Normal inputs of two columns, the current ones moved by `shift` in the first."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 2)), rng.normal([shift, 0.0], 1.0, size=(m, 2))


def domain_weights(shift: float):
    """Weights by a cross-fitted logistic domain classifier."""
    reference, current = windows(shift)
    is_current = np.arange(3_500) >= 2_000
    p = cross_fitted_probability(np.concatenate((reference, current)), is_current, seed=1)
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
    assert (result.weights == 1.0).all()


def test_effective_sample_size() -> None:
    """Equal weights count in full, one heavy row counts as one; the unit of the weights does not matter."""
    assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(7.0)
    assert effective_sample_size([1e300, 0.0, 0.0]) == pytest.approx(1.0)
    assert effective_sample_size([1.0, 2.0]) == pytest.approx(9 / 5)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_the_logistic_regression_equals_scikit_learn(penalty: float, weighted: bool) -> None:
    """On standardised inputs, with columns of very different units and a constant one."""
    rng = np.random.default_rng(4)
    x = np.column_stack((rng.normal(size=(300, 3)) * [1.0, 1e4, 1e-3] + [5.0, 0.0, 1.0], np.full(300, 2.0)))
    y = rng.uniform(size=300) < 1 / (1 + np.exp(-(x[:, 0] - 5.0 + x[:, 1] / 1e4)))
    w = rng.exponential(size=300) if weighted else None
    oracle = LogisticRegression(C=1 / penalty, tol=1e-12, max_iter=10_000)
    scaled = StandardScaler().fit_transform(x)
    oracle.fit(scaled, y, sample_weight=w)
    ours = fit_logistic(x, y, penalty=penalty, weights=w).probability(x)
    np.testing.assert_allclose(ours, oracle.predict_proba(scaled)[:, 1], atol=2e-6)


def test_perfectly_separable_rows_still_have_an_answer() -> None:
    """The penalty keeps the coefficients finite."""
    model = fit_logistic(np.arange(10.0)[:, None], np.arange(10) >= 5)
    p = model.probability(np.arange(10.0)[:, None])
    assert (np.diff(p) > 0).all()
    assert p[0] < 0.1
    assert p[-1] > 0.9


def test_row_order_changes_no_bit_of_the_classifier() -> None:
    """Shuffled rows: the same fit, and each row the same out-of-fold probability."""
    rng = np.random.default_rng(6)
    x, y = np.round(rng.normal(size=(200, 3)), 1), rng.integers(0, 2, 200).astype(bool)
    order = rng.permutation(200)
    first, second = fit_logistic(x, y), fit_logistic(x[order], y[order])
    assert first.intercept == second.intercept
    np.testing.assert_array_equal(first.coefficients, second.coefficients)
    p, q = cross_fitted_probability(x, y, seed=3), cross_fitted_probability(x[order], y[order], seed=3)
    np.testing.assert_array_equal(p[order], q)


def test_equal_rows_share_a_fold() -> None:
    """Else a row would be scored by a model that saw its twin, and every window would look separable."""
    x = np.repeat(np.arange(40.0), 5)[:, None]
    fold = fold_of_rows(x, np.arange(200) % 2 == 0, folds=4, seed=0).reshape(40, 5)
    assert (fold == fold[:, :1]).all()
    assert sorted(np.unique(fold)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: importance_weights([], [0.5]), "reference_probability: is empty", id="empty"),
        pytest.param(lambda: importance_weights([0.5], [1.5]), "current_probability: must lie", id="no probability"),
        pytest.param(lambda: importance_weights([np.nan], [0.5]), "reference_probability: holds NaN", id="missing"),
        pytest.param(lambda: importance_weights([0.5], [0.5], clip=0), "clip: is 0", id="clip"),
        pytest.param(lambda: fit_logistic([[1.0], [2.0]], [True, True]), "one class only", id="one class"),
        pytest.param(lambda: fit_logistic([[np.inf], [2.0]], [True, False]), "inputs: holds NaN", id="infinity"),
        pytest.param(lambda: fit_logistic([[1.0], [2.0]], [True, False], penalty=0), "penalty: is 0", id="penalty"),
        pytest.param(
            lambda: cross_fitted_probability(np.zeros((9, 1)), np.arange(9) > 4), "distinct rows", id="all equal"
        ),
    ],
)
def test_impossible_requests_are_refused(call, message: str) -> None:
    """The message names the argument and the reason."""
    with pytest.raises(ValueError, match=message):
        call()
