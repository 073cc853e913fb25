"""Recorded rows with their labels as metrics read them: for programs that measure a model on what it answered."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from mlops.api.costs import Cost
from mlops.api.metrics import METRICS
from mlops.statistics.arrays import FloatArray
from mlops.statistics.metrics import Sample, brier_rows, encode
from mlops.workloads.floor.model.costs import cost_table
from mlops.workloads.floor.model.probabilities import bounded
from mlops.workloads.floor.records.layout import INPUT, PREDICTION, PROBABILITY


def sample_of(metric: str, rows: pl.DataFrame, classes: tuple[str, ...], costs: tuple[Cost, ...] = ()) -> Sample:
    """The rows as the metric reads them. Raises ValueError without the probabilities or the costs that it needs."""
    reads = METRICS[metric].reads
    if reads == "value":
        return Sample(rows["label"].to_numpy(), rows[PREDICTION].to_numpy())
    y = _labels(rows["label"])
    if reads == "label":
        return Sample(y, _labels(rows[PREDICTION]), None, classes)
    if reads == "cost":
        return Sample(y, costs_of(rows, classes, costs), None, classes)
    return Sample(y, probabilities(rows, classes), None, classes)


def costs_of(rows: pl.DataFrame, classes: tuple[str, ...], costs: tuple[Cost, ...]) -> FloatArray:
    """What the answers cost, by the class that may be true (n, k). Raises ValueError where nothing says so."""

    def amounts(name: str) -> FloatArray:
        if INPUT + name not in rows.columns:
            raise ValueError(f"{name}, by which a cost is multiplied, is not among the recorded inputs")
        return rows[INPUT + name].cast(pl.Float64).fill_null(math.nan).to_numpy()

    return cost_table(costs, classes, encode(_labels(rows[PREDICTION]), classes), amounts)


def probabilities(rows: pl.DataFrame, classes: tuple[str, ...]) -> FloatArray:
    """Of two classes the second one's (n,), of more all (n, k). Raises ValueError when they were not captured."""
    wanted = classes[1:] if len(classes) == 2 else classes
    columns = [PROBABILITY + name for name in wanted]
    if any(column not in rows.columns or rows[column].null_count() for column in columns):
        raise ValueError("out.p: rows without probabilities; choose a metric of labels such as accuracy")
    table = bounded(rows.select(columns).to_numpy())
    return table[:, 0] if len(columns) == 1 else table


def losses(rows: pl.DataFrame, classes: tuple[str, ...]) -> FloatArray:
    """A bounded loss per row (n,): squared error of the probability, wrong or right, or absolute error."""
    if not classes:
        return np.asarray(np.abs(rows["label"].to_numpy() - rows[PREDICTION].to_numpy()))
    try:
        return brier_rows(_labels(rows["label"]), probabilities(rows, classes), classes)
    except ValueError:
        return wrong_rows(rows)


def wrong_rows(rows: pl.DataFrame) -> FloatArray:
    """One where the answer was wrong, zero where it was right (n,)."""
    return (rows["label"] != rows[PREDICTION]).cast(pl.Float64).to_numpy()


def _labels(column: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    return column.cast(pl.String).to_numpy().astype(str)
