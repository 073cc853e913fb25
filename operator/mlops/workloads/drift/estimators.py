"""How probable each answer of a row without a label is: learnt of the reference's held-out rows, which have labels.

Of classes the model's probabilities are calibrated (CBPE, confidence-based performance estimation). Of numbers boosted
trees learn the loss from the inputs and the answer (DLE, direct loss estimation). Both take for granted that the
relation of inputs to target is the one of the reference.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.metrics import METRICS
from mlops.statistics.arrays import LARGEST_SQUARE, FloatArray, IntArray
from mlops.statistics.calibration import Calibration, best_methods, calibrate
from mlops.statistics.expected import ExpectedSample, of_classes, of_numbers
from mlops.workloads.drift.reference import Reference
from mlops.workloads.floor.records.layout import INPUT, PREDICTION
from mlops.workloads.floor.samples import costs_of, probabilities

# Parts of the reference, in time, that are left out by turns.
GROUPS = 10
_MAX_CATEGORIES = 250
# Small trees: a held-out part has hundreds or thousands of rows, and a loss is mostly noise.
_SETTINGS: dict[str, Any] = {
    "max_iter": 60,
    "learning_rate": 0.1,
    "max_leaf_nodes": 16,
    "min_samples_leaf": 40,
    "l2_regularization": 1.0,
    "early_stopping": False,
    "random_state": 0,
}
_LOSSES = {"mae": ("absolute",), "rmse": ("squared",), "r2": ("squared", "error")}


class PerformanceEstimator(Protocol):
    """What is learnt of the reference, and of it without one of its groups."""

    method: ClassVar[Literal["CBPE", "DLE"]]
    rows: pl.DataFrame
    groups: IntArray

    @property
    def how(self) -> str:
        """What was learnt, in a word or two."""

    def expected(self, metric: str, rows: pl.DataFrame, without: int | None = None) -> ExpectedSample:
        """Rows with the truths that they may have, learnt without a group of the reference, if one is named.

        Raises ValueError when rows lack what is needed.
        """


def estimator_of(reference: Reference, rows: pl.DataFrame) -> PerformanceEstimator:
    """The estimator that fits the model; `rows` are labelled ones of the reference, in time order."""
    return Cbpe(reference, rows) if reference.classes else Dle(reference, rows)


def _probabilities(rows: pl.DataFrame, classes: tuple[str, ...]) -> FloatArray:
    try:
        return probabilities(rows, classes)
    except ValueError as error:
        raise ValueError(
            "out.p: rows without probabilities; an estimate needs them, whatever the metric: send labels, and ask for a"
            " PerformanceDrop of a metric of labels such as accuracy"
        ) from error


def groups_of(rows: int) -> IntArray:
    """Ten consecutive parts (n,): rows that resemble their neighbours are left out together."""
    return np.asarray(np.arange(rows) * GROUPS // max(1, rows), dtype=np.int64)


class Cbpe:
    """Calibrated probabilities of a classifier."""

    method: ClassVar[Literal["CBPE", "DLE"]] = "CBPE"

    def __init__(self, reference: Reference, rows: pl.DataFrame) -> None:
        self.rows, self.groups, self._classes = rows, groups_of(rows.height), reference.classes
        self._costs = reference.costs
        self._scores = _probabilities(rows, self._classes)
        code = {name: number for number, name in enumerate(self._classes)}
        self._codes = np.array([code[name] for name in rows["label"].cast(pl.String).to_list()], dtype=np.int64)
        self._methods = best_methods(self._scores, self._codes, self.groups)
        self._fitted: dict[int | None, Calibration] = {}

    @property
    def how(self) -> str:
        """How probabilities were corrected."""
        return self._methods[0]

    def expected(self, metric: str, rows: pl.DataFrame, without: int | None = None) -> ExpectedSample:
        """See PerformanceEstimator."""
        scores = _probabilities(rows, self._classes)
        return of_classes(self._read(metric, rows, scores), self._calibration(without)(scores), self._classes)

    def _read(self, metric: str, rows: pl.DataFrame, scores: FloatArray) -> NDArray[Any]:
        """The answers as the metric reads them."""
        reads = METRICS[metric].reads
        if reads == "cost":
            return costs_of(rows, self._classes, self._costs)
        return rows[PREDICTION].cast(pl.String).to_numpy().astype(str) if reads == "label" else scores

    def _calibration(self, without: int | None) -> Calibration:
        if without not in self._fitted:
            kept = self.groups != (-1 if without is None else without)
            self._fitted[without] = calibrate(self._scores[kept], self._codes[kept], self._methods)
        return self._fitted[without]


class Dle:
    """Losses of a regression, learnt from the inputs and the answer."""

    method: ClassVar[Literal["CBPE", "DLE"]] = "DLE"
    how = "boosted trees"

    def __init__(self, reference: Reference, rows: pl.DataFrame) -> None:
        self.rows, self.groups, self._reference = rows, groups_of(rows.height), reference
        # A limit on threads holds for libraries that are loaded: scikit-learn brings one.
        import sklearn.ensemble  # noqa: F401

        error = rows["label"].to_numpy() - rows[PREDICTION].to_numpy()
        if not np.abs(error).max(initial=0.0) < LARGEST_SQUARE:
            raise ValueError("label: its distance to the answer is too large to be squared")
        self._losses = {"error": error, "absolute": np.abs(error), "squared": np.square(error)}
        self._fitted: dict[tuple[str, int | None], Any] = {}

    def expected(self, metric: str, rows: pl.DataFrame, without: int | None = None) -> ExpectedSample:
        """See PerformanceEstimator."""
        from threadpoolctl import threadpool_limits

        # The answer must not depend on the number of threads, not even in its last bit.
        with threadpool_limits(limits=1):
            table = self._encoded(rows)
            losses = {name: self._model(name, without).predict(table) for name in _LOSSES[metric]}
        # Trees may go below the losses that they have seen.
        losses |= {name: np.maximum(values, 0.0) for name, values in losses.items() if name != "error"}
        return of_numbers(metric, rows[PREDICTION].to_numpy(), losses)

    def _model(self, loss: str, without: int | None) -> Any:
        if (loss, without) not in self._fitted:
            from sklearn.ensemble import HistGradientBoostingRegressor

            kept = self.groups != (-1 if without is None else without)
            numbers, texts = len(self._reference.numeric), len(self._reference.categorical)
            categorical = np.array([False] * (1 + numbers) + [True] * texts)
            model = HistGradientBoostingRegressor(**_SETTINGS, categorical_features=categorical)
            self._fitted[loss, without] = model.fit(self._table[kept], self._losses[loss][kept])
        return self._fitted[loss, without]

    @cached_property
    def _table(self) -> FloatArray:
        return self._encoded(self.rows)

    @cached_property
    def _codes(self) -> dict[str, dict[str, float]]:
        """By input the codes of its most frequent categories; the rare and the new ones share another."""
        codes = {}
        for name in self._reference.categorical:
            counted = self.rows[INPUT + name].drop_nulls().value_counts(name="n")
            common = counted.sort("n", INPUT + name, descending=[True, False])[INPUT + name].head(_MAX_CATEGORIES)
            codes[name] = {value: float(code) for code, value in enumerate(sorted(common.to_list()))}
        return codes

    def _encoded(self, rows: pl.DataFrame) -> FloatArray:
        """The answer and the inputs (n, d) as numbers, NaN for missing."""
        columns = [rows[PREDICTION].to_numpy().astype(np.float64)]
        columns += [rows[INPUT + name].to_numpy().astype(np.float64) for name in self._reference.numeric]
        for name, codes in self._codes.items():
            values = rows[INPUT + name].to_list()
            rest = float(len(codes))
            columns.append(np.array([np.nan if value is None else codes.get(value, rest) for value in values]))
        return np.column_stack(columns)
