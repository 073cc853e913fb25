"""The metric on the labelled rows of a window: its drop, its course over time, and the change point."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl

from mlops.api.base import format_time
from mlops.api.drift_monitor import Check, Labels
from mlops.api.metrics import METRICS, of_task
from mlops.api.reasons import Reason
from mlops.statistics.arrays import LARGEST_SQUARE, FloatArray
from mlops.statistics.bootstrap import DropTest, Interval, drop_test, metric_interval
from mlops.statistics.change_point import change_point
from mlops.statistics.dependence import inflation
from mlops.statistics.metrics import Label, Sample, evaluate
from mlops.statistics.resampling import Resampling
from mlops.statistics.sequential import ADWIN, DDM, HDDMA, Detector, PageHinkley, detect
from mlops.statistics.special import student_sf
from mlops.workloads.drift.baseline import windows_of
from mlops.workloads.drift.findings import Detection, Estimate, Performance, Point
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.window import Window
from mlops.workloads.floor.model.costs import NO_COSTS
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.samples import losses, sample_of, wrong_rows

_POINTS = 12
# Fewer rows say nothing of a metric or a class.
MIN_ROWS = 30
_SMALLEST_DROP = 0.02
_SMALLEST_RISE = 0.1
# The fewest blocks of rows that say how much a metric varies.
_BLOCKS = 8
# Fewer windows of the reference do not say how much the metric differs between them.
_MIN_FREEDOMS = 3


@dataclass(frozen=True)
class Limits:
    """With fewer rows, or a smaller share of labels, there is no answer."""

    min_samples: int
    min_coverage: float

    @classmethod
    def of(cls, min_samples: int, labels: Labels) -> Limits:
        """The limits of a monitor."""
        return cls(min_samples, float(labels.min_coverage))


@dataclass(frozen=True, eq=False)
class Judged:
    """A drop that was measured, and the two samples it was measured on, both in time order.

    `p_value` is that of the test, corrected for the metrics that were asked; `min_drop` is in the metric's unit.
    """

    metric: str
    test: DropTest
    min_drop: float
    p_value: float
    reference_rows: pl.DataFrame
    current_rows: pl.DataFrame
    reference: Sample
    current: Sample


class Labelled:
    """The labelled rows of a window against the reference's held-out rows. Each drop is tested once per question."""

    def __init__(self, reference: Reference, window: Window, limits: Limits, seed: int) -> None:
        self.reference, self.window, self.limits, self.seed = reference, window, limits, seed
        self._drops: dict[tuple[str, float | None], Judged | str] = {}

    def metrics_of(self, check: Check) -> tuple[str, ...]:
        """The metrics of a check: how well answers are ranked, and how far they are off, unless it names one.

        Raises BadInput when that one does not fit the model.
        """
        classifier = bool(self.reference.classes)
        if check.metric is None:
            return ("roc_auc", "brier") if classifier else ("mae",)
        fitting = of_task("classification" if classifier else "regression", costs=bool(self.reference.costs))
        if check.metric == "cost" and classifier and not self.reference.costs:
            raise BadInput(Reason.CONFIGURATION_INVALID, f"spec.checks[{check.name}].metric: cost: {NO_COSTS}")
        if check.metric not in fitting:
            raise BadInput(
                Reason.CONFIGURATION_INVALID,
                f"spec.checks[{check.name}].metric: {check.metric} does not fit a {self.reference.task} model;"
                f" one of {', '.join(fitting)}",
            )
        return (check.metric,)

    def too_few(self) -> str:
        """Why the live version cannot be judged by labels; empty when it can."""
        counts = self.window.counts
        if counts.live_judged < self.limits.min_samples:
            return (
                f"{counts.live_judged} rows answered by the live version are old enough to have labels,"
                f" minSamples is {self.limits.min_samples}"
            )
        if counts.live_coverage < self.limits.min_coverage:
            return f"{counts.live_coverage:.1%} of the rows have labels, minCoverage is {self.limits.min_coverage:.1%}"
        return ""

    def drop(self, check: Check) -> Judged | str:
        """The drop that a check asks for, or why it cannot be told; of several metrics the one that shows it best."""
        metrics = self.metrics_of(check)
        if few := self.too_few():
            return few
        found = [self._drop(metric, check, len(metrics)) for metric in metrics]
        judged = [each for each in found if not isinstance(each, str)]
        return min(judged, key=lambda each: each.p_value) if judged else found[0]

    def _drop(self, metric: str, check: Check, asked: int) -> Judged | str:
        key = (metric, None if check.min_drop is None else float(check.min_drop))
        if key not in self._drops:
            self._drops[key] = self._measured(*key)
        judged = self._drops[key]
        if isinstance(judged, str):
            return judged
        return replace(judged, p_value=min(1.0, judged.p_value * asked))

    def _measured(self, metric: str, asked_drop: float | None) -> Judged | str:
        before = self.reference.labelled("test")
        after = self.window.live_labelled
        if before.height < MIN_ROWS:
            few = f"the reference has {before.height} held-out rows, at least {MIN_ROWS} are needed"
            return f"{few}{self.reference.remark}"
        try:
            reference, current = (self._sample(metric, rows) for rows in (before, after))
            min_drop = smallest_drop(metric, reference) if asked_drop is None else asked_drop
            plan = resampling(max(before.height, after.height), self.seed, after.height)
            # Losses that resemble their neighbours for longer need longer blocks.
            alike = max(inflation(losses(rows, self.reference.classes)) for rows in (before, after))
            block = max(plan.block, min(round(2.0 * alike), after.height // _BLOCKS))
            # Both samples are resampled by one plan, and a small reference needs a few blocks, too.
            plan = replace(plan, block=max(2, min(block, before.height // 4)))
            test = drop_test(metric, reference, current, plan, min_drop=min_drop)
            p_value = self._p_value(metric, test, after.height)
        except ValueError as error:
            return f"{metric} cannot be compared: {error}"
        return Judged(metric, test, min_drop, p_value, before, after, reference, current)

    def _sample(self, metric: str, rows: pl.DataFrame) -> Sample:
        return sample_of(metric, rows, self.reference.classes, self.reference.costs)

    def _p_value(self, metric: str, test: DropTest, rows: int) -> float:
        """The test's p-value, less sure where the metric differs between the reference's own windows by more than
        resampling makes it: a season, or users, have a metric of their own."""
        span = self.window.span
        largest = (0.0, 0)
        # Of rows that it was trained on a model is too good, in all windows alike.
        for part in ("train", "test"):
            known = self.reference.labelled(part)
            values, sizes = [], []
            for block in windows_of(known, span.end - span.start):
                try:
                    values.append(evaluate(metric, self._sample(metric, block)))
                except ValueError:
                    continue
                sizes.append(block.height)
            if len(values) > _MIN_FREEDOMS and 0.0 < max(map(abs, values)) < LARGEST_SQUARE:
                chance = test.current.standard_error**2 * rows / float(np.mean(sizes))
                largest = max(largest, (float(np.var(values, ddof=1)) - chance, len(values) - 1))
        (excess, freedoms), error = largest, test.drop.standard_error
        if excess <= 0.0 or error <= 0.0:
            return test.pvalue
        t = (test.drop.value - test.min_drop) / math.sqrt(error**2 + excess)
        return student_sf(t, freedoms) if t > 0.0 else 1.0 - student_sf(-t, freedoms)

    def summary(self, judged: Judged) -> Performance:
        """The drop in the report's words, with the metric over time."""
        return Performance(
            metric=judged.metric,
            higher_is_better=METRICS[judged.metric].higher_is_better,
            rows_reference=judged.reference_rows.height,
            rows_current=judged.current_rows.height,
            reference=span_of(judged.test.reference),
            current=span_of(judged.test.current),
            drop=span_of(judged.test.drop),
            p_value=judged.p_value,
            series=self._series(judged),
            detections=self._detections(judged),
        )

    def _series(self, judged: Judged) -> tuple[Point, ...]:
        """The metric in consecutive parts with equally many rows; parts without a value are left out."""
        rows = judged.current_rows
        parts = max(1, min(_POINTS, rows.height // MIN_ROWS))
        edges = [rows.height * part // parts for part in range(parts + 1)]
        points = []
        for number, (first, last) in enumerate(pairwise(edges)):
            part = rows[first:last]
            try:
                sample = self._sample(judged.metric, part)
                plan = replace(resampling(part.height, self.seed + 1 + number), replicates=200)
                value = span_of(metric_interval(judged.metric, sample, plan))
            except ValueError:
                continue
            points.append(Point(format_time(part["time"][0]), format_time(part["time"][-1]), part.height, value))
        return tuple(points)

    def _detections(self, judged: Judged) -> tuple[Detection, ...]:
        """What sequential detectors that first saw the reference's held-out losses say of the window's."""
        classes, before, after = self.reference.classes, judged.reference_rows, judged.current_rows
        loss = np.concatenate((losses(before, classes), losses(after, classes)))
        asked: list[tuple[str, Detector, FloatArray]] = [
            ("ADWIN", ADWIN(), loss),
            ("Page-Hinkley", PageHinkley(), loss),
        ]
        if classes:
            # These two are made for right or wrong answers.
            wrong = np.concatenate([wrong_rows(rows) for rows in (before, after)])
            asked += [("DDM", DDM(), wrong), ("HDDM-A", HDDMA(), wrong)]
        return tuple(
            Detection(name, format_time(after["time"][row - before.height]))
            for name, detector, stream in asked
            for row in detect(detector, stream)
            if row >= before.height
        )

    def changed_at(self, judged: Judged, alpha: float) -> datetime | None:
        """The time of the first row of the new regime, or None when no change of the mean loss is significant.

        The reference's held-out losses stand before the window's: a loss that was high all along changed no later than
        the window's first row, whose time is then the answer.
        """
        classes = self.reference.classes
        before, after = losses(judged.reference_rows, classes), losses(judged.current_rows, classes)
        series = np.concatenate((before, after))
        block = _block(after.shape[0])
        if series.shape[0] < 4 * block or change_point(series, block=block).pvalue > alpha:
            return None
        row = max(0, change_point(series).row - before.shape[0])
        time: datetime = judged.current_rows["time"][row]
        return time


def smallest_drop(metric: str, reference: Sample) -> float:
    """The drop that counts, in the metric's unit, where nobody says another one.

    Errors have a unit, or a level of their own: of those it is a tenth of what they were on the reference.
    """
    if METRICS[metric].higher_is_better:
        return _SMALLEST_DROP
    return _SMALLEST_RISE * abs(evaluate(metric, reference))


def resampling(rows: int, seed: int, rows_in_time: int | None = None) -> Resampling:
    """Fewer replicates of large samples: the standard error is then small, and known to 5 % from 200.

    Neighbours in time depend on each other, so blocks of n^(1/3) rows are drawn (Hall, Horowitz and Jing 1995).
    """
    return Resampling(replicates=1000 if rows <= 5000 else 200, block=_block(rows_in_time or rows), seed=seed)


def class_counts(labels: pl.Series) -> dict[Label, int]:
    """Rows per class."""
    table = labels.cast(pl.String).alias("label").value_counts(name="n").sort("label")
    return dict(zip(table["label"].to_list(), table["n"].to_list(), strict=True))


def span_of(interval: Interval) -> Estimate:
    """The same without the bootstrap's particulars."""
    return Estimate(interval.value, interval.low, interval.high)


def describe(judged: Judged, check: Check) -> str:
    """A drop in a sentence."""
    test = judged.test
    return (
        f"{judged.metric} {test.current.value:.3f} against {test.reference.value:.3f} of the reference:"
        f" worse by {test.drop.value:.3f} ({test.drop.low:.3f} to {test.drop.high:.3f}),"
        f" {'more' if judged.p_value <= float(check.alpha) else 'not shown to be more'} than {judged.min_drop:.3g}"
    )


def numbers_of(judged: Judged) -> dict[str, object]:
    """The numbers of a drop."""
    test = judged.test
    return {
        "metric": judged.metric,
        "drop": test.drop.value,
        "standardError": test.drop.standard_error,
        "z": test.z,
        "pValue": judged.p_value,
        "rowsReference": judged.reference_rows.height,
        "rowsCurrent": judged.current_rows.height,
    }


def _block(rows: int) -> int:
    return max(2, round(math.cbrt(rows)))
