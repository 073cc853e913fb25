"""Is an older version better on the window? Each answers the labelled rows that the live one has answered.

Both are measured on the same rows, so the difference is paired: rows are drawn in blocks of time, the same for both.
An older version is better if it is so by the check's minDrop, at its alpha, corrected for how many were measured. One
that could not take all of these rows, or takes an input that is not recorded, is not measured: the reason is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.drift_task import DriftTask, OlderCandidate
from mlops.api.metrics import METRICS
from mlops.statistics.dependence import inflation
from mlops.statistics.metrics import Sample, evaluate
from mlops.statistics.resampling import replicate
from mlops.statistics.special import normal_sf
from mlops.store.artifacts import Store
from mlops.store.errors import NotFound, StoreError
from mlops.workloads.drift.findings import Decision, Estimate, Finding
from mlops.workloads.drift.performance import resampling, smallest_drop
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.window import Window
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.model.cleaning import Cleaning, OutsideTraining
from mlops.workloads.floor.model.features import array_of
from mlops.workloads.floor.model.isolated import IsolatedPredictor, child_for
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.floor.model.signature import Signature, class_name
from mlops.workloads.floor.pod import BadInput, PassingFault
from mlops.workloads.floor.records.layout import (
    DIGEST,
    INPUT,
    KEY,
    PREDICTION,
    PROBABILITY,
    TIME,
    captures_prefix,
)
from mlops.workloads.floor.records.reading import first_of_each, request_files
from mlops.workloads.floor.samples import losses, sample_of

_MOST_ROWS = 100_000
# The fewest blocks of rows that say how much a metric varies.
_BLOCKS = 8


@dataclass(frozen=True)
class MeasuredOlder:
    """An older version against the live one; `gain` > 0: it is better. `p_value` is corrected."""

    version: str
    artifact: str
    older: float
    gain: Estimate
    p_value: float


@dataclass(frozen=True)
class OlderVersions:
    """What was found of all that were asked about, the best one first; `others` says why some were not measured."""

    metric: str
    live: float
    rows: int
    min_drop: float
    alpha: float
    measured: tuple[MeasuredOlder, ...]
    others: tuple[str, ...]

    @property
    def better(self) -> MeasuredOlder | None:
        """The best one, if it is shown to be better than the live one."""
        best = self.measured[0] if self.measured else None
        return best if best is not None and best.p_value <= self.alpha else None


def older_versions(
    store: Store,
    scratch: Path,
    task: DriftTask,
    reference: Reference,
    window: Window,
    decision: Decision,
    seed: int,
) -> OlderVersions | None:
    """Measure the versions that the task names; None if the verdict does not call for it.

    Raises BadInput for captures that cannot be read, and StoreError for what passes.
    """
    question, finding = task.rollback, _finding(decision)
    if question is None or decision.verdict not in question.when or finding is None:
        return None
    metric, check = str(finding.numbers["metric"]), finding.check
    rows = _thinned(window.live_labelled)
    known = (reference.classes, reference.costs)
    served = sample_of(metric, rows, *known)
    least = smallest_drop(metric, sample_of(metric, reference.labelled("test"), *known))
    if check.min_drop is not None:
        least = float(check.min_drop)
    recorded = _recorded(store, task, window, rows)
    answered: dict[OlderCandidate, pl.DataFrame] = {}
    others = []
    for number, candidate in enumerate(question.older):
        try:
            given = _answers(store, scratch / f"older-{number}", candidate.artifact, reference, recorded)
        except (NotMeasured, BadInput, PassingFault, OutsideTraining, NotFound) as error:
            # A check is not worth less for an older model that cannot be opened, or whose process was killed.
            others.append(f"{candidate.version}: {error}")
            continue
        except StoreError as error:
            if error.retryable:
                raise
            others.append(f"{candidate.version}: {error}")
            continue
        answered[candidate] = rows.with_columns(given)
    if question.left_out:
        others.append(f"{question.left_out} older ones were left out: {len(question.older)} are measured")
    found = []
    for candidate, frame in answered.items():
        one = measured(candidate, metric, served, rows, frame, reference, least, seed, len(answered))
        if one is None:
            others.append(f"{candidate.version}: {metric} of its answers is no number")
        else:
            found.append(one)
    best = sorted(found, key=lambda each: (-each.gain.value, each.version))
    return OlderVersions(
        metric, evaluate(metric, served), rows.height, least, float(check.alpha), tuple(best), tuple(others)
    )


class NotMeasured(Exception):
    """A version that cannot be held against the live one; the message says why."""


def _finding(decision: Decision) -> Finding | None:
    """Return the answer that the verdict rests on, if it has a metric."""
    detected = (each for each in decision.findings if each.check.type == decision.verdict)
    return next((each for each in detected if each.result == "Detected" and "metric" in each.numbers), None)


def _thinned(rows: pl.DataFrame) -> pl.DataFrame:
    """At most a hundred thousand rows, evenly spread over time."""
    if rows.height <= _MOST_ROWS:
        return rows
    return rows[(np.arange(_MOST_ROWS) * rows.height // _MOST_ROWS).tolist()]


def _recorded(store: Store, task: DriftTask, window: Window, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the inputs of the rows (id, row, in.*) as they were recorded, in the order of the rows.

    The window has them as checks compare them: numbers as floats, gaps filled. A model takes what was sent.
    """
    wanted = rows.select(KEY)
    place = captures_prefix(task.namespace, task.target.model_name, task.target.stage)
    span = window.judged_span
    kept = [
        frame.filter(span.holds(TIME).fill_null(False)).join(wanted, on=KEY, how="semi")
        for frame in request_files(store, place, span)
    ]
    every = first_of_each(pl.concat([each for each in kept if each.height], how="diagonal_relaxed"))
    own = every.filter((pl.col(DIGEST) == task.artifact).fill_null(False))
    inputs = [name for name in own.columns if name.startswith(INPUT)]
    return wanted.join(own.select(*KEY, *inputs), on=KEY, how="left", maintain_order="left")


def _answers(
    store: Store, folder: Path, artifact: str, reference: Reference, recorded: pl.DataFrame
) -> list[pl.Series]:
    """Return the columns `out.*` that the model gives. It is opened in a child: somebody may have made it elsewhere."""
    store.get(artifact, folder)
    with child_for(folder) as child:
        model = IsolatedPredictor.open(folder, child)
        signature = model.signature
        _fits(signature, reference)
        columns = dict(inputs_of(signature, recorded))
        return list(_outputs(signature, model.predict(Cleaning(signature)(columns))))


def _fits(signature: Signature, reference: Reference) -> None:
    if signature.label.name != reference.label:
        raise NotMeasured(f"it predicts {signature.label.name!r}, the live version {reference.label!r}")
    if {class_name(each) for each in signature.classes or ()} != set(reference.classes):
        raise NotMeasured("it knows other classes than the live version")


def inputs_of(signature: Signature, recorded: pl.DataFrame) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield each input of the model as it was recorded (n,). Raises NotMeasured for one that was not."""
    for one in signature.inputs:
        column = recorded[INPUT + one.name] if INPUT + one.name in recorded.columns else None
        if column is None or column.null_count() == column.len():
            raise NotMeasured(f"its input {one.name!r} is not recorded")
        if column.dtype != DTYPES[one.type]:
            raise NotMeasured(f"its input {one.name!r} is a {one.type}, recorded is {column.dtype}")
        if column.null_count() and not one.nullable and one.name not in _filled(signature):
            raise NotMeasured(f"its input {one.name!r} is missing in {column.null_count()} rows, which it refuses")
        yield one.name, array_of(column)


def _filled(signature: Signature) -> set[str]:
    """Return the inputs whose gaps the model's own cleaning fills, or refuses in its own words."""
    steps = signature.clean or ()
    return {step.fill_null.field for step in steps if step.fill_null} | {n for s in steps for n in s.drop_nulls or ()}


def _outputs(signature: Signature, answer: Prediction) -> Iterator[pl.Series]:
    if signature.classes is None:
        yield pl.Series(PREDICTION, answer.prediction, dtype=pl.Float64)
        return
    yield pl.Series(PREDICTION, [class_name(value) for value in answer.prediction.tolist()], dtype=pl.String)
    for index, value in enumerate(signature.classes):
        given = None if answer.probabilities is None else answer.probabilities[:, index]
        missing = np.full(len(answer.prediction), np.nan)
        name = PROBABILITY + class_name(value)
        yield pl.Series(name, missing if given is None else given, dtype=pl.Float64, nan_to_null=True)


def measured(
    candidate: OlderCandidate,
    metric: str,
    served: Sample,
    rows: pl.DataFrame,
    answered: pl.DataFrame,
    reference: Reference,
    least: float,
    seed: int,
    tried: int,
) -> MeasuredOlder | None:
    """Return the older version's gain on the same draws of rows; None where the metric has no value."""
    plan = resampling(rows.height, seed)
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    try:
        sample = sample_of(metric, answered, reference.classes, reference.costs)
        apart = losses(rows, reference.classes) - losses(answered, reference.classes)
        # A gain that comes and goes in time needs longer blocks.
        block = max(plan.block, min(round(2.0 * inflation(apart)), rows.height // _BLOCKS))
        plan = replace(plan, block=block)
        draws = [replicate(metric, each, [None], plan, stream=3)[:, 0] for each in (sample, served)]
    except ValueError:
        return None
    spread = sign * (draws[0] - draws[1])
    spread = spread[np.isfinite(spread)]
    if spread.shape[0] < plan.replicates // 2:
        return None
    value = evaluate(metric, sample)
    gain, error = sign * (value - evaluate(metric, served)), float(spread.std(ddof=1))
    low, high = (float(q) for q in np.quantile(spread, [0.025, 0.975]))
    if not all(map(math.isfinite, (value, gain, error, low, high))):
        return None
    p_value = normal_sf((gain - least) / error) if error > 0.0 else float(gain <= least)
    return MeasuredOlder(
        candidate.version, candidate.artifact, value, Estimate(gain, low, high), min(1.0, p_value * tried)
    )
