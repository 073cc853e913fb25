"""A map of a model's answers that keeps their order, fitted to labels: what mends scores that are right but for scale.

Of classes: softmax(slope * log p + biases), temperature scaling with a bias per class (Guo et al. 2017; Alexandari et
al. 2020). Of two classes that is Platt's logistic curve of the log-odds (1999), with his targets. Of numbers: a line,
by least squares. Of two classes and of numbers the slope decides whether the order stays: it has to be above zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlops.statistics.arrays import FloatArray, IntArray, finite_vector, non_empty

# Logarithms are taken of probabilities of at least this.
LEAST_PROBABILITY = 1e-6
_STEPS = 100
_HALVINGS = 40
_CLOSE = 1e-10


@dataclass(frozen=True)
class ScoreMap:
    """The map: one bias per class, that of the first class zero; of numbers one, in the label's unit."""

    slope: float
    bias: tuple[float, ...]

    @property
    def keeps_order(self) -> bool:
        """Whether a higher score stays the higher one."""
        return self.slope > 0.0

    def after(self, first: ScoreMap) -> ScoreMap:
        """Return the one map that does what `first` and then this one do."""
        bias = tuple(self.slope * one + other for one, other in zip(first.bias, self.bias, strict=True))
        return ScoreMap(self.slope * first.slope, bias)

    def probabilities(self, table: FloatArray) -> FloatArray:
        """Map probabilities (n, k) to others (n, k)."""
        return _softmax(self.slope * _logarithms(table) + np.array(self.bias))

    def values(self, values: FloatArray) -> FloatArray:
        """Map numbers (n,) to others (n,)."""
        return np.asarray(self.slope * values + self.bias[0])


def fit_classes(table: FloatArray, codes: IntArray) -> ScoreMap:
    """Fit to probabilities (n, k) and the rows' classes, codes (n,) from 0, by Newton's method on the log loss.

    Targets are a little less than one and more than zero (Platt 1999), so that classes which are told apart without
    error, and classes without a row, have a finite map too. Raises ValueError when all rows are of one class.
    """
    rows, classes = table.shape
    counts = np.bincount(codes, minlength=classes)
    if (counts > 0).sum() < 2:
        raise ValueError("y: all rows are of one class")
    wanted = np.repeat(1.0 / (counts[codes] + classes)[:, None], classes, axis=1)
    wanted[np.arange(rows), codes] *= counts[codes] + 1.0
    scores = _logarithms(table)
    # The slope, and the biases of all classes but the first, from the classes' shares on.
    at = np.concatenate(([0.0], np.log((counts[1:] + 1.0) / (counts[0] + 1.0))))
    loss = _loss(scores, wanted, at)
    for _ in range(_STEPS):
        step = _newton_step(scores, wanted, at)
        for _ in range(_HALVINGS):
            if (new := _loss(scores, wanted, at - step)) <= loss:
                break
            step = step / 2.0
        else:
            break
        at, loss = at - step, new
        if np.abs(step).max() <= _CLOSE * (1.0 + np.abs(at).max()):
            break
    return ScoreMap(float(at[0]), (0.0, *(float(one) for one in at[1:])))


def fit_numbers(answers: FloatArray, labels: FloatArray) -> ScoreMap:
    """Fit a line to answers (n,) and labels (n,). Raises ValueError when all answers are one number."""
    answers, labels = finite_vector(answers, "prediction"), finite_vector(labels, "y")
    non_empty(answers, "prediction")
    middle, level = float(answers.mean()), float(labels.mean())
    spread = float(np.square(answers - middle).sum())
    if not 0.0 < spread < np.inf:
        raise ValueError("prediction: all answers are one number, or too large to be squared")
    slope = float(((answers - middle) * (labels - level)).sum()) / spread
    return ScoreMap(slope, (level - slope * middle,))


def _newton_step(scores: FloatArray, wanted: FloatArray, at: FloatArray) -> FloatArray:
    share = _softmax(at[0] * scores + np.concatenate(([0.0], at[1:])))
    off = share - wanted
    gradient = np.concatenate(([(off * scores).sum()], off.sum(axis=0)[1:]))
    mean = (share * scores).sum(axis=1)
    cross = (share * (scores - mean[:, None])).sum(axis=0)[1:]
    inner = np.diag(share.sum(axis=0))[1:, 1:] - np.einsum("ic,id->cd", share[:, 1:], share[:, 1:])
    slope = float((share * np.square(scores - mean[:, None])).sum())
    curvature = np.block([[np.array([[slope]]), cross[None, :]], [cross[:, None], inner]])
    ridge = 1e-12 * float(np.trace(curvature)) + 1e-300
    return np.linalg.solve(curvature + ridge * np.eye(at.shape[0]), gradient)


def _loss(scores: FloatArray, wanted: FloatArray, at: FloatArray) -> float:
    value = at[0] * scores + np.concatenate(([0.0], at[1:]))
    top = value.max(axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(value - top).sum(axis=1))
    return float((total - (wanted * value).sum(axis=1)).sum())


def _softmax(value: FloatArray) -> FloatArray:
    shifted = np.exp(value - value.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _logarithms(table: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.maximum(table, LEAST_PROBABILITY)))
