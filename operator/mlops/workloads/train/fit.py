"""Labels, encoding, and the fitting of one estimator."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from mlops.api.metrics import Task
from mlops.api.reasons import Reason
from mlops.workloads.floor.log import say
from mlops.workloads.floor.model.encoding import LARGEST, Encoder, FloatArray
from mlops.workloads.floor.model.signature import Encoding, LabelColumn, ModelColumn, NumberEncoding, TextEncoding
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.estimators import Kind

MAX_ONEHOT = 64  # categories of a one-hot string; the rarer ones share the slot "other"
MAX_ORDINAL = 1024  # categories of an ordinal string; the rarer ones count as unknown
MAX_CLASSES = 100
MIN_CLASS_ROWS = 2

Class = bool | int | str


@dataclass(frozen=True, eq=False)
class Target:
    """What is fitted: float64 of a regression, indices of `classes` (int64) of a classification."""

    values: NDArray[Any]
    classes: tuple[Class, ...] | None


def target_of(label: LabelColumn, truth: NDArray[Any], task: Task, estimator: str) -> Target:
    """Return the training target. Raises BadInput(DataUnusable) where label and estimator do not fit together."""
    if truth.shape[0] == 0:
        raise _unusable(f"the label {label.name!r} has no value in the rows to train on")
    if task == "regression":
        if label.type not in ("float64", "int64"):
            raise _unusable(
                f"the label {label.name!r} is a {label.type} and {estimator} predicts numbers: "
                "choose a classifier, or a numeric label"
            )
        values = truth.astype(np.float64)
        if not np.isfinite(values).all():
            raise _unusable(
                f"the label {label.name!r} has infinite values: filter them out in the Dataset (spec.clean)"
            )
        if np.unique(values).shape[0] < 2:
            raise _unusable(f"the label {label.name!r} is {values[0]:g} in all {values.shape[0]} rows to train on")
        return Target(values, None)
    if label.type == "float64":
        raise _unusable(
            f"the label {label.name!r} is a float64 and {estimator} predicts classes: "
            "choose a regressor, or declare the label as int64, string or boolean"
        )
    classes = classes_of(label, truth)
    index = {one: code for code, one in enumerate(classes)}
    return Target(np.array([index[one] for one in truth.tolist()], dtype=np.int64), classes)


def classes_of(label: LabelColumn, truth: NDArray[Any]) -> tuple[Class, ...]:
    """Return the classes in sorted order. Raises BadInput(DataUnusable) if no classifier can be trained on them."""
    counts: Counter[Class] = Counter(truth.tolist())
    if len(counts) < 2:
        only = next(iter(counts))
        raise _unusable(
            f"the label {label.name!r} has 1 class in the {truth.shape[0]} rows to train on ({only!r}); it takes two: "
            "deliver rows of another class, or split otherwise"
        )
    if len(counts) > MAX_CLASSES:
        raise _unusable(
            f"the label {label.name!r} has {len(counts)} classes, more than {MAX_CLASSES}: "
            "choose a regressor, or fewer classes"
        )
    rare = sorted((str(one), count) for one, count in counts.items() if count < MIN_CLASS_ROWS)
    if rare:
        raise _unusable(
            f"the label {label.name!r}: class {rare[0][0]!r} has {rare[0][1]} row to train on, fewer than "
            f"{MIN_CLASS_ROWS}: deliver more rows of it, or filter it out (spec.clean)"
        )
    return tuple(sorted(counts))


def encoding_of(
    columns: tuple[ModelColumn, ...],
    data: Mapping[str, NDArray[Any]],
    kind: Kind,
    personal: frozenset[str] = frozenset(),
) -> Encoding:
    """Learn the encoding that an estimator of this kind needs from the rows to train on.

    What is missing becomes the median, which is a value of one row; of `personal` columns the mean, which is nobody's.
    Raises BadInput(DataUnusable) for a column without a single value.
    """
    numbers: list[NumberEncoding] = []
    flags: list[str] = []
    texts: list[TextEncoding] = []
    for column in columns:
        if column.type == "string":
            texts.append(_text(column.name, data[column.name], kind))
            continue
        values = np.asarray(data[column.name], dtype=np.float64)
        usable = np.abs(values) <= LARGEST
        if not usable.any():
            raise _unusable(f"the feature {column.name!r} has no value in the rows to train on: leave it out (ignored)")
        numbers.append(_number(column.name, values[usable], kind, personal=column.name in personal))
        if not kind.missing and not usable.all():
            flags.append(column.name)
    return Encoding(numbers=tuple(numbers), flags=tuple(flags), texts=tuple(texts), single=kind.single)


def _number(name: str, values: FloatArray, kind: Kind, *, personal: bool) -> NumberEncoding:
    fill = None if kind.missing else float(values.mean() if personal else np.median(values))
    if not kind.scale:
        return NumberEncoding(column=name, fill=fill)
    mean, scale = float(values.mean()), float(values.std())
    if not np.isfinite(mean) or not np.isfinite(scale) or scale == 0:
        # A constant column tells nothing; centring it keeps it harmless.
        return NumberEncoding(column=name, fill=fill, mean=mean if np.isfinite(mean) else 0.0)
    return NumberEncoding(column=name, fill=fill, mean=mean, scale=scale)


def _text(name: str, values: NDArray[Any], kind: Kind) -> TextEncoding:
    counts: Counter[str] = Counter(value for value in values.tolist() if value)
    if not counts:
        raise _unusable(f"the feature {name!r} has no value in the rows to train on: leave it out (ignored)")
    most = MAX_ONEHOT if kind.texts == "onehot" else MAX_ORDINAL
    by_count = sorted(counts, key=lambda one: (-counts[one], one))
    kept = tuple(sorted(by_count[:most]))
    if kind.texts == "ordinal":
        return TextEncoding(column=name, kind="ordinal", categories=kept, unknown=None if kind.missing else -1.0)
    missing = any(not value for value in values.tolist())
    return TextEncoding(column=name, kind="onehot", categories=kept, other=len(counts) > most, missing=missing)


def fit(estimator: Any, encoding: Encoding, data: Mapping[str, NDArray[Any]], target: Target) -> Any:
    """Fit in place and return the estimator. Raises BadInput(TrainingFailed) with scikit-learn's own words."""
    matrix = Encoder(encoding).matrix(data)
    try:
        # One thread: sums in another order give other bits. np.errstate: an overflow inside a solver is its business.
        with threadpool_limits(1), np.errstate(all="ignore"), warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            estimator.fit(matrix, target.values)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, NotImplementedError, TypeError) as error:
        raise BadInput(
            Reason.TRAINING_FAILED,
            f"{type(estimator).__name__} could not be fitted on {matrix.shape[0]} rows of {matrix.shape[1]} numbers: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}",
        ) from error
    for text in sorted({_note(note) for note in notes if issubclass(note.category, (ConvergenceWarning, UserWarning))}):
        say(f"{type(estimator).__name__}: {text}")
    return estimator


def _note(note: warnings.WarningMessage) -> str:
    return str(note.message).splitlines()[0]


def _unusable(message: str) -> BadInput:
    return BadInput(Reason.DATA_UNUSABLE, message)
