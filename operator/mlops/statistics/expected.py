"""What a metric is expected to be on rows without labels, given how probable each answer is.

A row stands once for each truth that it may have, weighted by that truth's probability. Every metric of weighted rows
then has an expected value, computed by the same code as on labelled rows: of classes, confidence-based performance
estimation (CBPE); of numbers, direct loss estimation (DLE), whose truths lie as far from the answer as the loss that
was estimated. Of a ratio of sums (ROC area, F1) it is the ratio of the expected sums, which differs by O(1/n).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.statistics.arrays import FloatArray, IntArray
from mlops.statistics.metrics import Label, Sample, evaluate
from mlops.statistics.resampling import Resampling, replicate
from mlops.statistics.special import student_isf, student_sf


@dataclass(frozen=True, eq=False)
class ExpectedSample:
    """Rows of which `together` in a row are the truths that one row may have, with their probabilities as weights."""

    sample: Sample
    together: int

    @property
    def rows(self) -> int:
        """The rows that were looked at."""
        return int(self.sample.y.shape[0]) // self.together


@dataclass(frozen=True)
class Spread:
    """A number and its standard error, which is known from so many degrees of freedom."""

    value: float
    error: float
    freedoms: int

    def interval(self) -> tuple[float, float]:
        """The 95 % interval by Student's law."""
        reach = student_isf(0.025, self.freedoms) * self.error
        return self.value - reach, self.value + reach

    def beyond(self, least: float) -> float:
        """The one-sided p-value of "no more than `least`", by Student's law; without an error 0 or 1."""
        excess = self.value - least
        if self.error <= 0.0:
            return float(excess <= 0.0)
        t = excess / self.error
        return student_sf(t, self.freedoms) if t > 0.0 else 1.0 - student_sf(-t, self.freedoms)


def of_classes(prediction: NDArray[Any], probability: FloatArray, classes: tuple[Label, ...]) -> ExpectedSample:
    """Rows (n,) or (n, k) as the metric reads them, and how probable each class is (n, k), columns as `classes`."""
    n, k = probability.shape
    truth = np.tile(np.array(classes), n)
    return ExpectedSample(Sample(truth, np.repeat(prediction, k, axis=0), probability.ravel(), classes), k)


def of_numbers(metric: str, prediction: FloatArray, losses: dict[str, FloatArray]) -> ExpectedSample:
    """Answers (n,) and their expected losses (n,): `absolute` for mae, `squared` for rmse, and `error` too for r2."""
    if metric == "mae":
        return ExpectedSample(Sample(prediction + losses["absolute"], prediction, np.ones_like(prediction)), 1)
    squared = np.maximum(losses["squared"], 0.0)
    if metric == "rmse":
        return ExpectedSample(Sample(prediction + np.sqrt(squared), prediction, np.ones_like(prediction)), 1)
    if metric != "r2":
        raise ValueError(f"metric: {metric} of a regression cannot be estimated; mae, rmse or r2 can")
    # Two truths about the expected one, so far apart that the mean square of the error is the expected one.
    apart = np.sqrt(np.maximum(squared - np.square(losses["error"]), 0.0))
    truth = (prediction + losses["error"])[:, None] + apart[:, None] * np.array([-1.0, 1.0])
    return ExpectedSample(Sample(truth.ravel(), np.repeat(prediction, 2), np.full(2 * len(prediction), 0.5)), 2)


def expectation(metric: str, expected: ExpectedSample) -> float:
    """The expected value of the metric. Raises ValueError where it has none."""
    return evaluate(metric, expected.sample)


def sampling_error(metric: str, expected: ExpectedSample, plan: Resampling) -> float:
    """The standard error of the expected value, by block bootstrap of the rows with all their truths."""
    draws = replicate(metric, expected.sample, [expected.sample.weights], plan, stream=3, together=expected.together)
    return _spread(draws[:, 0])


def beside(metric: str, expected: ExpectedSample, measured: Sample, plan: Resampling) -> tuple[float, float]:
    """Measured less expected value on the same rows, and its standard error on the same draws of them.

    Rows may have weights: then `measured` has them, and those of `expected` are multiplied by them.
    """
    k, n = expected.together, expected.rows
    guess = expected.sample
    assert guess.weights is not None

    own = np.ones(n) if measured.weights is None else measured.weights

    def both_of(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
        shape = (n, k, *one.shape[1:])
        pairs = np.concatenate((one.reshape(shape), other.reshape(n, 1, *one.shape[1:])), axis=1)
        return pairs.reshape(n * (k + 1), *one.shape[1:])

    both = Sample(both_of(guess.y, measured.y), both_of(guess.prediction, measured.prediction), None, guess.classes)
    weightings: list[FloatArray | None] = [
        both_of(guess.weights, np.zeros(n)),
        both_of(np.zeros(n * k), own),
    ]
    draws = replicate(metric, both, weightings, plan, stream=4, together=k + 1)
    return evaluate(metric, measured) - expectation(metric, expected), _spread(draws[:, 1] - draws[:, 0])


def jackknife(groups: IntArray, value: Callable[[int], FloatArray]) -> FloatArray:
    """Standard errors (d,) of what is computed of rows in `groups` (n,): `value(g)` (d,) is without those of group g.

    The delete-a-group jackknife: it takes in how what was fitted to the rows depends on them.
    """
    names = np.unique(groups)
    without = np.array([value(int(name)) for name in names])
    count = names.shape[0]
    return np.asarray(np.sqrt((count - 1.0) / count * np.square(without - without.mean(axis=0)).sum(axis=0)))


def joined(parts: list[ExpectedSample]) -> ExpectedSample:
    """The rows of all parts, in their order."""
    samples = [part.sample for part in parts]
    weights = [one.weights for one in samples if one.weights is not None]
    return ExpectedSample(
        Sample(
            np.concatenate([one.y for one in samples]),
            np.concatenate([one.prediction for one in samples]),
            np.concatenate(weights),
            samples[0].classes,
        ),
        parts[0].together,
    )


def added(value: float, parts: list[tuple[float, int]]) -> Spread:
    """A value with independent errors, each a variance with its degrees of freedom."""
    return Spread(value, math.sqrt(sum(variance for variance, _ in parts)), freedoms(parts))


def freedoms(parts: list[tuple[float, int]]) -> int:
    """Degrees of freedom of a sum of variances, each known from so many (Satterthwaite 1946), rounded down."""
    total = sum(variance for variance, _ in parts)
    rest = sum(variance * variance / known for variance, known in parts)
    largest = max(known for _, known in parts)
    return largest if rest <= 0.0 else max(1, min(largest, math.floor(total * total / rest + 1e-9)))


def _spread(draws: FloatArray) -> float:
    defined = draws[np.isfinite(draws)]
    if defined.shape[0] < max(2, draws.shape[0] // 2):
        raise ValueError("y: a class is too improbable for an interval; most resamples do not contain it")
    return float(defined.std(ddof=1))
