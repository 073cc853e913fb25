"""The metric of a window without labels: its estimate, how sure it is, and how it compares where labels are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mlops.api.drift_monitor import Check
from mlops.api.metrics import METRICS
from mlops.statistics.arrays import LARGEST_SQUARE, FloatArray
from mlops.statistics.bootstrap import metric_interval
from mlops.statistics.dependence import inflation
from mlops.statistics.expected import (
    ExpectedSample,
    Spread,
    added,
    beside,
    expectation,
    jackknife,
    sampling_error,
)
from mlops.statistics.metrics import Sample, evaluate
from mlops.statistics.resampling import Resampling
from mlops.workloads.drift.baseline import windows_of
from mlops.workloads.drift.estimators import GROUPS, PerformanceEstimator, estimator_of
from mlops.workloads.drift.findings import Estimate, MeasuredBeside, PerformanceEstimate
from mlops.workloads.drift.performance import MIN_ROWS, Labelled, resampling, smallest_drop, span_of
from mlops.workloads.floor.records.layout import PREDICTION
from mlops.workloads.floor.samples import sample_of

# Of fewer held-out rows nothing can be learnt that ten parts of them agree on.
_MIN_REFERENCE = 200
_MAX_ROWS = 20_000
# Rows times the truths that each may have, which bounds memory and time.
_MAX_TRUTHS = 400_000
# The fewest blocks of rows that say how much a metric varies.
_BLOCKS = 8
# A standard error is known to 5 % of so many.
_REPLICATES = 200
# Degrees of freedom of what is resampled: as good as the normal law.
_MANY = 1000
_MIN_FREEDOMS = 3


@dataclass(frozen=True, eq=False)
class _EstimateAsked:
    """One question: the metric, the two samples, and how the rows of the window are resampled."""

    metric: str
    min_drop: float
    reference: Sample
    rows: pl.DataFrame
    expected: ExpectedSample
    plan: Resampling

    @property
    def sign(self) -> float:
        return 1.0 if METRICS[self.metric].higher_is_better else -1.0


class Estimates:
    """Estimates of one window. Each is made once per question."""

    def __init__(self, labelled: Labelled) -> None:
        self.labelled, self.reference, self.window = labelled, labelled.reference, labelled.window
        self._estimator: PerformanceEstimator | None = None
        self._found: dict[tuple[str, float | None], PerformanceEstimate | str] = {}

    def of(self, check: Check) -> PerformanceEstimate | str:
        """The estimate that a check asks for, or why there is none; of several metrics the one that fell the most."""
        metrics = self.labelled.metrics_of(check)
        if few := self._too_few():
            return few
        asked = None if check.min_drop is None else float(check.min_drop)
        for metric in metrics:
            if (metric, asked) not in self._found:
                self._found[metric, asked] = self._estimated(metric, asked)
        answers = [self._found[metric, asked] for metric in metrics]
        found = [each for each in answers if not isinstance(each, str)]
        if not found:
            return answers[0]
        first = min(found, key=lambda each: each.p_value)
        return replace(first, p_value=min(1.0, first.p_value * len(metrics)))

    def _too_few(self) -> str:
        live, known = self._answered().height, self._held_out().height
        if live < self.labelled.limits.min_samples:
            return f"{live} rows were answered by the live version, minSamples is {self.labelled.limits.min_samples}"
        if known < _MIN_REFERENCE:
            return f"the reference has {known} held-out rows, an estimate needs {_MIN_REFERENCE}"
        return ""

    def _answered(self) -> pl.DataFrame:
        return self.window.frame.filter(pl.col("live") & pl.col(PREDICTION).is_not_null())

    def _held_out(self) -> pl.DataFrame:
        return self.reference.labelled("test")

    def _estimated(self, metric: str, asked_drop: float | None) -> PerformanceEstimate | str:
        try:
            return self._judged(self._asked(metric, asked_drop))
        except ValueError as error:
            return f"{metric} cannot be estimated: {error}"

    def _asked(self, metric: str, asked_drop: float | None) -> _EstimateAsked:
        if self._estimator is None:
            self._estimator = estimator_of(self.reference, self._held_out())
        reference = sample_of(metric, self._estimator.rows, self.reference.classes, self.reference.costs)
        rows = _thinned(self._answered(), max(1, len(self.reference.classes)))
        expected = self._estimator.expected(metric, rows)
        min_drop = smallest_drop(metric, reference) if asked_drop is None else asked_drop
        plan = resampling(rows.height, self.labelled.seed)
        # Losses that resemble their neighbours for longer need longer blocks.
        block = max(plan.block, min(round(2.0 * inflation(_losses(expected))), rows.height // _BLOCKS))
        plan = replace(plan, block=max(2, block), replicates=_REPLICATES)
        return _EstimateAsked(metric, min_drop, reference, rows, expected, plan)

    def _judged(self, asked: _EstimateAsked) -> PerformanceEstimate:
        assert self._estimator is not None
        metric, sign, estimator = asked.metric, asked.sign, self._estimator
        before, now = evaluate(metric, asked.reference), expectation(metric, asked.expected)
        sampled = sampling_error(metric, asked.expected, asked.plan)

        def without(group: int) -> FloatArray:
            kept = _rows_of(asked.reference, estimator.groups != group)
            estimate = expectation(metric, estimator.expected(metric, asked.rows, group))
            return np.array([estimate, sign * (evaluate(metric, kept) - estimate)])

        of_estimate, of_drop = jackknife(estimator.groups, without).tolist()
        excess, known = self._between(asked, sampled)
        current = added(now, [(sampled**2, _MANY), (of_estimate**2, GROUPS - 1)])
        drop = added(sign * (before - now), [(sampled**2, _MANY), (of_drop**2, GROUPS - 1), (excess, known)])
        return PerformanceEstimate(
            metric=metric,
            higher_is_better=METRICS[metric].higher_is_better,
            method=estimator.method,
            learnt=estimator.how,
            rows_reference=estimator.rows.height,
            rows_current=asked.rows.height,
            reference=span_of(metric_interval(metric, asked.reference, self._plan_of_reference(asked))),
            current=_span(current),
            drop=_span(drop),
            min_drop=asked.min_drop,
            p_value=drop.beyond(asked.min_drop),
            measured=self._beside(asked, before),
        )

    def _plan_of_reference(self, asked: _EstimateAsked) -> Resampling:
        rows = asked.reference.y.shape[0]
        return replace(asked.plan, block=max(2, min(max(asked.plan.block, round(rows ** (1 / 3))), rows // 4)))

    def _between(self, asked: _EstimateAsked, sampled: float) -> tuple[float, int]:
        """By how much more the estimate varies between the reference's own windows than resampling makes it: a season,
        or users, have a metric of their own. A variance, and its degrees of freedom."""
        assert self._estimator is not None
        span, largest = self.window.span, (0.0, _MANY)
        for part in ("train", "test"):
            known = self.reference.frame.filter(pl.col("part") == part).drop_nulls([PREDICTION])
            values, sizes = [], []
            for block in windows_of(known, span.end - span.start):
                try:
                    values.append(expectation(asked.metric, self._estimator.expected(asked.metric, block)))
                except ValueError:
                    continue
                sizes.append(block.height)
            if len(values) > _MIN_FREEDOMS and max(map(abs, values)) < LARGEST_SQUARE:
                chance = sampled**2 * asked.rows.height / float(np.mean(sizes))
                largest = max(largest, (float(np.var(values, ddof=1)) - chance, len(values) - 1))
        return largest

    def _beside(self, asked: _EstimateAsked, before: float) -> MeasuredBeside | None:
        """Estimate and measured value on the same labelled rows; None without enough of them."""
        rows = _thinned(self.window.live_labelled, max(1, len(self.reference.classes)))
        if rows.height < MIN_ROWS or self._estimator is None:
            return None
        estimator, metric = self._estimator, asked.metric
        try:
            measured = sample_of(metric, rows, self.reference.classes, self.reference.costs)
            expected = estimator.expected(metric, rows)
            plan = replace(asked.plan, block=max(2, min(asked.plan.block, rows.height // 4)))
            difference, error = beside(metric, expected, measured, plan)
            learnt = jackknife(
                estimator.groups,
                lambda group: np.array([expectation(metric, estimator.expected(metric, rows, group))]),
            )
        except ValueError:
            return None
        better = asked.sign * difference
        spread = added(better, [(error**2, _MANY), (float(learnt[0]) ** 2, GROUPS - 1)])
        value = evaluate(metric, measured)
        return MeasuredBeside(
            rows=rows.height,
            estimate=expectation(metric, expected),
            measured=span_of(metric_interval(metric, measured, plan)),
            better=_span(spread),
            drop=asked.sign * (before - value),
        )


def _losses(expected: ExpectedSample) -> FloatArray:
    """An expected loss per row (n,): how improbable the most probable truth is, or how far truths are from the answer.

    For how alike neighbours are, whatever the metric is.
    """
    sample, k = expected.sample, expected.together
    assert sample.weights is not None
    if sample.classes is None:
        return np.asarray(np.abs(sample.y - sample.prediction).reshape(-1, k).mean(axis=1))
    return np.asarray(1.0 - sample.weights.reshape(-1, k).max(axis=1))


def _rows_of(sample: Sample, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Sample:
    return Sample(sample.y[kept], sample.prediction[kept], None, sample.classes)


def _span(spread: Spread) -> Estimate:
    return Estimate(spread.value, *spread.interval())


def _thinned(rows: pl.DataFrame, truths: int) -> pl.DataFrame:
    """At most twenty thousand rows, evenly spread over time; fewer of many classes."""
    most = min(_MAX_ROWS, _MAX_TRUTHS // truths)
    if rows.height <= most:
        return rows
    return rows[(np.arange(most) * rows.height // most).tolist()]
