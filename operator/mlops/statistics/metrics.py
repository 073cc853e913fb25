"""Model metrics with optional row weights; they equal scikit-learn's to 1e-12.

Results do not depend on the order of the rows, bit for bit: terms are added in sorted order, counts are whole numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlops.api.metrics import METRICS, MetricFacts
from mlops.statistics.arrays import FloatArray, IntArray, finite_vector, non_empty, ordered_sum, row_weights

Label = str | int | bool


class Undefined(ValueError):
    """These rows do not define the metric: a class has no row, or the model does not know one."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Labelled rows: truth `y` (n,), what the model said, weights (n,) or None, and the classes in column order.

    `prediction` is (n,) or, for scores and probabilities of several classes, (n, k) with columns as in `classes`. For
    the metric cost it is what the answer costs if a class is true, (n, k) of two classes as well.
    With two classes a vector holds the score of `classes[1]`; without `classes` the truth must be 0 or 1.
    """

    y: NDArray[Any]
    prediction: NDArray[Any]
    weights: FloatArray | None = None
    classes: tuple[Label, ...] | None = None

    @property
    def has_several_classes(self) -> bool:
        """Whether there are more than two: metrics of one class then become means over the classes."""
        return self.classes is not None and len(self.classes) > 2


def evaluate(metric: str, sample: Sample) -> float:
    """The value of the metric called `metric` (a key of METRICS) on `sample`. Raises ValueError on an unknown name."""
    facts = metric_named(metric)
    y, prediction, weights = sample.y, sample.prediction, sample.weights
    if facts.needs_probabilities:
        return float(_PROBABILISTIC[metric](y, prediction, weights, sample.classes))
    if metric == "cost":
        return cost(y, prediction, weights, sample.classes)
    if metric == "f1" and not sample.has_several_classes:
        return f1(y, prediction, weights, positive=positive_class(sample.classes))
    return float(_PLAIN[metric](y, prediction, weights))


def metric_named(name: str) -> MetricFacts:
    """The entry of METRICS. Raises ValueError listing the known names."""
    if name not in METRICS:
        raise ValueError(f"metric: {name!r} is unknown; one of {', '.join(METRICS)}")
    return METRICS[name]


def positive_class(classes: Sequence[Label] | None) -> Label:
    """The class that a binary score speaks of."""
    return 1 if classes is None else classes[-1]


def encode(y: ArrayLike, classes: Sequence[Label] | None) -> IntArray:
    """Each label's index in `classes` (default 0, 1), shape (n,). Raises Undefined on a label that is none of them."""
    labels = np.asarray(y)
    non_empty(labels, "y")
    names = list(classes) if classes is not None else [0, 1]
    codes = np.full(labels.shape[0], -1)
    for code, name in enumerate(names):
        codes[labels == name] = code
    unknown = labels[codes < 0].tolist()
    if unknown:
        raise Undefined(f"y: label {unknown[0]!r} is none of the classes {names}")
    return codes


def roc_auc(
    y: ArrayLike, score: ArrayLike, weights: ArrayLike | None = None, classes: Sequence[Label] | None = None
) -> float:
    """Area under the ROC curve; tied scores count one half. Several classes: mean of one-versus-rest.

    Raises Undefined when a class has no row.
    """
    codes, columns = scored_classes(y, score, classes)
    w = row_weights(weights, codes.shape[0])
    areas = [_binary_auc(codes == code, column, w) for code, column in columns]
    return sum(areas) / len(areas)


def scored_classes(
    y: ArrayLike, score: ArrayLike, classes: Sequence[Label] | None
) -> tuple[IntArray, list[tuple[int, FloatArray]]]:
    """Codes (n,), and per one-versus-rest problem the code and its score (n,). Two classes make one problem."""
    codes = encode(y, classes)
    table = np.asarray(score)
    if table.ndim == 1:
        if classes is not None and len(classes) != 2:
            raise ValueError(f"score: one column for {len(classes)} classes; give one per class")
        columns = [(1, finite_vector(table, "score"))]
    else:
        _columns_match(table, classes)
        wanted = range(table.shape[1]) if table.shape[1] > 2 else [1]
        columns = [(code, finite_vector(table[:, code], "score")) for code in wanted]
    _same_rows(codes, columns[0][1], "score")
    return codes, columns


def log_loss(
    y: ArrayLike, probability: ArrayLike, weights: ArrayLike | None = None, classes: Sequence[Label] | None = None
) -> float:
    """Mean negative log-probability of the true class, natural logarithm."""
    return _mean(log_loss_rows(y, probability, classes), weights)


def log_loss_rows(y: ArrayLike, probability: ArrayLike, classes: Sequence[Label] | None = None) -> FloatArray:
    """Negative log-probability of the true class per row (n,), probabilities clipped to [2.2e-16, 1 - 2.2e-16]."""
    codes, table = _probabilities(y, probability, classes)
    chosen = table[np.arange(codes.shape[0]), codes]
    epsilon = sys.float_info.epsilon
    return np.asarray(-np.log(np.clip(chosen, epsilon, 1.0 - epsilon)))


def brier(
    y: ArrayLike, probability: ArrayLike, weights: ArrayLike | None = None, classes: Sequence[Label] | None = None
) -> float:
    """Mean squared error of the probability; with more than two classes the squares are added over the classes."""
    return _mean(brier_rows(y, probability, classes), weights)


def brier_rows(y: ArrayLike, probability: ArrayLike, classes: Sequence[Label] | None = None) -> FloatArray:
    """Squared error of the probability per row (n,)."""
    codes, table = _probabilities(y, probability, classes)
    if table.shape[1] == 2:
        return np.asarray(np.square(table[:, 1] - codes))
    truth = np.arange(table.shape[1]) == codes[:, None]
    return np.asarray(np.square(table - truth).sum(axis=1))


def cost(
    y: ArrayLike, costs: ArrayLike, weights: ArrayLike | None = None, classes: Sequence[Label] | None = None
) -> float:
    """Mean of what the answers cost; `costs` (n, k) says what each costs if a class is true, columns as `classes`."""
    return _mean(cost_rows(y, costs, classes), weights)


def cost_rows(y: ArrayLike, costs: ArrayLike, classes: Sequence[Label] | None = None) -> FloatArray:
    """What the answer costs per row (n,): the column of its true class."""
    codes, table = encode(y, classes), np.asarray(costs, dtype=np.float64)
    _columns_match(table, classes)
    _same_rows(codes, table, "costs")
    return finite_vector(table[np.arange(codes.shape[0]), codes], "costs")


def accuracy(y: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Share of rows whose label is right."""
    truth, said = _label_pair(y, label)
    return _mean((truth == said).astype(np.float64), weights)


def balanced_accuracy(y: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean recall over the classes that occur in `y`."""
    table = confusion(y, label, weights)
    true = table.sum(axis=1)
    return float((table.diagonal()[true > 0] / true[true > 0]).mean())


def f1(y: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None, *, positive: Label = 1) -> float:
    """Harmonic mean of precision and recall of the class `positive`; 0 when it neither occurs nor is predicted."""
    truth, said = _label_pair(y, label)
    table = confusion(truth == positive, said == positive, weights)
    hits = float(table[-1, -1]) if (truth == positive).any() or (said == positive).any() else 0.0
    total = float(table[-1, :].sum() + table[:, -1].sum())
    return 2.0 * hits / total if hits else 0.0


def f1_macro(y: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean F1 over the classes that occur or are predicted; 0 of a class whose rows have no weight, as scikit-learn."""
    table = confusion(y, label, weights)
    total = table.sum(axis=0) + table.sum(axis=1)
    return float(np.divide(2.0 * table.diagonal(), total, out=np.zeros_like(total), where=total > 0).mean())


def confusion(y: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None) -> FloatArray:
    """Weight of rows per (true, predicted) class, (k, k), classes ascending over both."""
    truth, said = _label_pair(y, label)
    names, codes = np.unique(np.concatenate((truth, said)), return_inverse=True)
    k, n = names.shape[0], truth.shape[0]
    cells = codes[:n] * k + codes[n:]
    w = row_weights(weights, n)
    if w is not None:
        order = np.lexsort((w, cells))
        cells, w = cells[order], w[order]
    return np.bincount(cells, weights=w, minlength=k * k).astype(np.float64).reshape(k, k)


def mae(y: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean absolute error. Raises Undefined where no float64 holds it."""
    truth, said, exponent = _value_pair(y, value)
    return _scaled_back(_mean(np.abs(truth - said), weights), exponent)


def rmse(y: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Root of the mean squared error. Raises Undefined where no float64 holds it."""
    truth, said, exponent = _value_pair(y, value)
    return _scaled_back(math.sqrt(_mean(np.square(truth - said), weights)), exponent)


def r2(y: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Share of the variance of `y` explained. A constant `y` gives 1 for no error and 0 otherwise, as scikit-learn.

    Raises Undefined of one row, which has no variance.
    """
    truth, said, _ = _value_pair(y, value)
    if truth.shape[0] < 2:
        raise Undefined("y: one row has no variance")
    residual = _mean(np.square(truth - said), weights)
    # The mean of equal numbers may be another one in the last bit.
    constant = truth.min() == truth.max()
    total = 0.0 if constant else _mean(np.square(truth - _mean(truth, weights)), weights)
    if total == 0.0:
        return 1.0 if residual == 0.0 else 0.0
    return 1.0 - residual / total


def _binary_auc(positive: NDArray[np.bool_], score: FloatArray, weights: FloatArray | None) -> float:
    if positive.all() or not positive.any():
        raise Undefined("y: a class has no row; the ROC area needs both")
    if weights is None:
        high, low = np.sort(score[positive]), np.sort(score[~positive])
        twice = int(low.searchsorted(high).sum()) + int(low.searchsorted(high, "right").sum())
        return float(twice / (2.0 * high.shape[0] * low.shape[0]))
    order = np.lexsort((weights, score))
    score, positive, weights = score[order], positive[order], weights[order]
    low, high = score[~positive], score[positive]
    below = np.concatenate(([0.0], np.cumsum(weights[~positive])))
    mass = (below[low.searchsorted(high)] + below[low.searchsorted(high, "right")]) / 2.0
    total = float(weights[positive].sum()) * float(below[-1])
    if total == 0.0:
        raise Undefined("weights: a class has no weight; the ROC area needs both")
    return float((weights[positive] * mass).sum()) / total


def _mean(terms: FloatArray, weights: ArrayLike | None) -> float:
    w = row_weights(weights, terms.shape[0])
    if w is None:
        return ordered_sum(terms) / len(terms)
    return ordered_sum(terms * w) / ordered_sum(w)


def _probabilities(
    y: ArrayLike, probability: ArrayLike, classes: Sequence[Label] | None
) -> tuple[IntArray, FloatArray]:
    """Codes (n,) and probabilities (n, k)."""
    codes = encode(y, classes)
    given = np.asarray(probability)
    if given.ndim == 1:
        if classes is not None and len(classes) != 2:
            raise ValueError(f"probability: one column for {len(classes)} classes; give one per class")
        p = finite_vector(given, "probability")
        table = np.column_stack((1.0 - p, p))
    else:
        _columns_match(given, classes)
        table = np.asarray(given, dtype=np.float64)
    _same_rows(codes, table, "probability")
    if not ((table >= 0.0) & (table <= 1.0)).all():
        raise ValueError("probability: must lie between 0 and 1")
    return codes, table


def _columns_match(table: NDArray[Any], classes: Sequence[Label] | None) -> None:
    expected = 2 if classes is None else len(classes)
    if table.ndim != 2 or table.shape[1] != expected:
        raise ValueError(f"prediction: has shape {table.shape}, expected one column for each of {expected} classes")


def _label_pair(y: ArrayLike, label: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    truth, said = np.asarray(y), np.asarray(label)
    non_empty(truth, "y")
    _same_rows(truth, said, "label")
    return truth, said


# Squares of numbers within these, and sums of them, neither overflow nor vanish.
_LARGE, _SMALL = 1e140, 1e-140


def _value_pair(y: ArrayLike, value: ArrayLike) -> tuple[FloatArray, FloatArray, int]:
    """Truth and answers (n,), both divided by 2**exponent, and the exponent: 0 unless their squares would not fit."""
    truth, said = finite_vector(y, "y"), finite_vector(value, "value")
    non_empty(truth, "y")
    _same_rows(truth, said, "value")
    largest = max(float(np.abs(truth).max()), float(np.abs(said).max()))
    if _SMALL <= largest <= _LARGE or largest == 0.0:
        return truth, said, 0
    exponent = math.frexp(largest)[1]
    return np.ldexp(truth, -exponent), np.ldexp(said, -exponent), exponent


def _scaled_back(value: float, exponent: int) -> float:
    try:
        return math.ldexp(value, exponent)
    except OverflowError as error:
        raise Undefined("y, value: their difference is larger than any float64") from error


def _same_rows(y: NDArray[Any], other: NDArray[Any], name: str) -> None:
    if y.shape[0] != other.shape[0]:
        raise ValueError(f"{name}: has {other.shape[0]} rows, y has {y.shape[0]}")


_PROBABILISTIC: Mapping[str, Callable[..., float]] = {"roc_auc": roc_auc, "log_loss": log_loss, "brier": brier}
_PLAIN: Mapping[str, Callable[..., float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1": f1_macro,
    "mae": mae,
    "rmse": rmse,
    "r2": r2,
}
