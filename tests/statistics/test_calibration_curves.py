"""Calibrated probabilities: the curves are those of scikit-learn and scipy, and none is thrown by what it meets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from mlops.statistics.calibration import MANY_ROWS, Calibration, Curve, best_methods, calibrate, fit, isotonic


def drawn(rows: int, seed: int, *, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are too bold, with ties, and classes by the true ones."""
    rng = np.random.default_rng(seed)
    true = rng.beta(1.2, 2.0, size=rows)
    odds = true / (1 - true)
    return np.round(odds**1.7 / (1 + odds**1.7), digits), rng.random(rows) < true


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [1, 2, 15])
def test_isotonic_regression_is_that_of_scikit_learn(seed: int, digits: int) -> None:
    """At the points that it was fitted to, between them and outside."""
    from sklearn.isotonic import IsotonicRegression

    q, y = drawn(700, seed, digits=digits)
    asked = np.linspace(0, 1, 401)
    expected = IsotonicRegression(out_of_bounds="clip").fit(q, y).predict(asked)
    assert fit("isotonic", q, y)(asked) == pytest.approx(expected, abs=1e-9)
    assert fit("isotonic", q, y)(q).mean() == pytest.approx(y.mean(), abs=1e-12)


def test_pools_are_exact() -> None:
    """Equal shares are one pool, a falling one is joined with what is before it."""
    assert isotonic(np.array([1, 3, 1, 5]), np.array([4, 4, 4, 5])).tolist() == [0.25, 0.5, 0.5, 1.0]


@pytest.mark.parametrize("seed", range(3))
def test_platts_curve_is_the_likeliest(seed: int) -> None:
    """By a general minimiser on the same targets."""
    q, y = drawn(900, seed)
    q = q.clip(1e-6, 1 - 1e-6)
    target = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))
    odds = np.log(q / (1 - q))

    def loss(at: np.ndarray) -> float:
        value = at[0] * odds + at[1]
        return float((np.logaddexp(0, value) - target * value).sum())

    found = optimize.minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-8})
    curve = fit("Platt", q, y)
    assert [curve.slope, curve.intercept] == pytest.approx(found.x, abs=1e-5)
    assert loss(np.array([curve.slope, curve.intercept])) <= found.fun + 1e-9


@pytest.mark.parametrize(
    "q",
    [
        pytest.param([0.0, 0.0, 1.0, 1.0], id="told apart without error"),
        pytest.param([0.3, 0.3, 0.3, 0.3], id="one probability"),
        pytest.param([1.0, 1.0, 0.0, 0.0], id="the wrong way round"),
    ],
)
@pytest.mark.parametrize("method", ["Platt", "isotonic"])
def test_a_curve_is_finite_whatever_it_is_fitted_to(q: list[float], method: str) -> None:
    """Platt's targets keep the slope of separated classes finite."""
    curve = fit(method, np.array(q), np.array([False, False, True, True]))  # type: ignore[arg-type]
    values = curve(np.array([0.0, 0.25, 0.5, 1.0]))
    assert np.isfinite(values).all()
    assert ((values >= 0) & (values <= 1)).all()


def test_probabilities_of_all_classes_add_up_to_one() -> None:
    """Also where every curve says nought."""
    rng = np.random.default_rng(1)
    table = rng.dirichlet([1, 1, 1], size=600)
    codes = np.array([rng.choice(3, p=row) for row in table])
    for method in ("Platt", "isotonic"):
        made = calibrate(table, codes, (method,) * 3)(np.vstack((table, [0.0, 0.0, 0.0])))  # type: ignore[arg-type]
        assert made.sum(axis=1) == pytest.approx(1.0)


def test_the_method_is_chosen_by_held_out_rows() -> None:
    """A logistic distortion of few rows is Platt's; a step is isotonic's, and so are many rows."""
    fold = np.arange(600) * 10 // 600
    q, y = drawn(600, 3, digits=15)
    assert best_methods(q, y.astype(int), fold) == ("Platt",)
    rng = np.random.default_rng(4)
    q = rng.random(600)
    assert best_methods(q, (rng.random(600) < np.where(q > 0.7, 0.9, 0.1)).astype(int), fold) == ("isotonic",)
    q, y = drawn(MANY_ROWS, 3, digits=15)
    assert best_methods(q, y.astype(int), np.arange(MANY_ROWS) * 10 // MANY_ROWS) == ("isotonic",)


def test_a_class_without_rows_is_refused() -> None:
    """Nothing is known of what its probability is worth."""
    with pytest.raises(ValueError, match="a class has no row"):
        calibrate(np.array([0.1, 0.9]), np.array([1, 1]), ("Platt",))


def test_a_method_is_chosen_by_the_squared_error_of_rows_held_out() -> None:
    """The same as fitting to the other folds by hand, for two classes and for three, whatever the folds are called."""
    chosen = set()
    for seed in range(12):
        rng = np.random.default_rng([14, seed])
        k = 2 + seed % 2
        table = rng.dirichlet(np.ones(k), size=80)
        codes = np.array([rng.choice(k, p=row**2 / (row**2).sum()) for row in table])
        codes[: 4 * k] = np.tile(np.arange(k), 4)
        fold = np.arange(80) % 4 * 3 + 1
        asked = table[:, 1] if k == 2 else table
        curves = 1 if k == 2 else 3
        errors = {}
        for method in ("Platt", "isotonic"):
            errors[method] = 0.0
            for held in (1, 4, 7, 10):
                made = calibrate(asked[fold != held], codes[fold != held], (method,) * curves)(asked[fold == held])  # type: ignore[arg-type]
                errors[method] += float(((made - np.eye(k)[codes[fold == held]]) ** 2).sum())
        assert best_methods(asked, codes, fold) == (min(errors, key=errors.__getitem__),) * curves
        chosen.add(best_methods(asked, codes, fold)[0])
    assert chosen == {"Platt", "isotonic"}


def test_few_rows_are_not_taken_for_many() -> None:
    """One row fewer than many: the better of the two is asked for, and here it is Platt's."""
    q, y = drawn(MANY_ROWS - 1, 3, digits=15)
    assert best_methods(q, y.astype(int), np.arange(MANY_ROWS - 1) * 10 // MANY_ROWS) == ("Platt",)


@pytest.mark.parametrize("codes", [[0, 0, 0], [1, 1, 1]])
def test_a_class_that_has_no_row_or_all_is_named(codes: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^y: a class has no row, or all; its probabilities cannot be calibrated$"):
        calibrate(np.array([0.2, 0.5, 0.9]), np.array(codes), ("Platt",))


def test_a_curve_per_class_and_no_fewer() -> None:
    table = np.array([[0.2, 0.3, 0.5], [0.5, 0.2, 0.3], [0.1, 0.8, 0.1]])
    with pytest.raises(ValueError, match="zip"):
        calibrate(table, np.array([2, 0, 1]), ("Platt", "Platt"))
    with pytest.raises(ValueError, match=r"^probability: holds NaN"):
        calibrate(np.array([0.2, np.nan, 0.9]), np.array([0, 1, 1]), ("Platt",))


def test_where_every_curve_says_nought_all_classes_are_as_probable() -> None:
    curve = Curve("isotonic", np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert Calibration((curve,) * 3)(np.array([[0.0, 0.0, 0.0], [0.1, 0.1, 0.2]])) == pytest.approx(
        np.array([[1 / 3, 1 / 3, 1 / 3], [0.25, 0.25, 0.5]])
    )


def test_probabilities_of_nought_and_one_are_a_millionth_from_them() -> None:
    """The logistic curve of no correction gives back what it is asked, up to that."""
    curve = Curve("Platt")
    assert curve(np.array([0.0, 1e-7, 0.3, 1.0])) == pytest.approx([1e-6, 1e-6, 0.3, 1 - 1e-6], abs=1e-12)
