"""Labels, encoding, and the fitting of one estimator."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
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
from mlops.workloads.floor.model.signature import (
    MAX_LISTED,
    MAX_LONG_TEXT,
    MAX_SIGNATURE_BYTES,
    Encoding,
    LabelColumn,
    ModelColumn,
    NumberEncoding,
    TextEncoding,
    class_name,
)
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.estimators import Kind

# Categories of a string unless the run says otherwise: of a one-hot one, where the rarer ones share the slot "other"
# and each is a column of the matrix; and of an ordinal one, where the rarer ones count as unknown. A description holds
# no more of these.
MAX_ONEHOT = 64
MAX_ORDINAL = MAX_LISTED
# What a category takes in model.json beside its text.
ROOM_A_CATEGORY = 16
MAX_CLASSES = 100
LARGEST_LABEL, SMALLEST_SPREAD = 1e37, 1e-30
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
        _check_sizes(label.name, values)
        return Target(values, None)
    if label.type == "float64":
        raise _unusable(
            f"the label {label.name!r} is a float64 and {estimator} predicts classes: "
            "if its values are whole numbers, declare the label as int64 in the Dataset; else choose a regressor"
        )
    classes = classes_of(label, truth)
    index = {one: code for code, one in enumerate(classes)}
    return Target(np.array([index[one] for one in truth.tolist()], dtype=np.int64), classes)


def _check_sizes(name: str, values: FloatArray) -> None:
    """Refuse values of which no estimator can tell anything: gradients are float32, variances are sums of squares."""
    # Python's floats, whose difference may be infinite without a warning.
    largest, spread = float(np.abs(values).max()), float(values.max()) - float(values.min())
    if spread == 0:
        raise _unusable(
            f"the label {name!r} is {values[0]:g} in all {values.shape[0]} rows to train on: deliver rows with other "
            "values"
        )
    if largest > LARGEST_LABEL:
        raise _unusable(
            f"the label {name!r} reaches {largest:g}, and estimators overflow beyond {LARGEST_LABEL:g}: deliver it in "
            "a larger unit, or filter such rows out (spec.clean)"
        )
    if spread < SMALLEST_SPREAD:
        raise _unusable(
            f"the label {name!r}: its values differ by {spread:g} at most, and below {SMALLEST_SPREAD:g} estimators "
            "see no difference: deliver it in a smaller unit"
        )


def classes_of(label: LabelColumn, truth: NDArray[Any]) -> tuple[Class, ...]:
    """Return the classes in sorted order. Raises BadInput(DataUnusable) if no classifier can be trained on them."""
    counts: Counter[Class] = Counter(truth.tolist())
    _check_length("label", label.name, counts)
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


def positive_of(label: LabelColumn, classes: tuple[Class, ...] | None, named: str | None) -> Class | None:
    """Return which of two classes f1 speaks of: the one that the contract names, else the last; None of more classes.

    Raises BadInput(DataUnusable) if the contract names one that these classes do not have.
    """
    if classes is None or (named is None and len(classes) != 2):
        return None
    if named is None:
        return classes[1]
    if len(classes) != 2:
        raise _unusable(
            f"the label {label.name!r} has {len(classes)} classes, and positiveClass is {named!r}: of more than two "
            "f1 is the mean over all; leave positiveClass out of the Dataset's field"
        )
    wanted = named.lower() if label.type == "boolean" else named
    for one in classes:
        if class_name(one) == wanted:
            return one
    present = " and ".join(class_name(one) for one in classes)
    raise _unusable(
        f"the label {label.name!r} has the classes {present}, and positiveClass is {named!r}: name one of the two in "
        "the Dataset's field"
    )


def encoding_of(
    columns: tuple[ModelColumn, ...],
    data: Mapping[str, NDArray[Any]],
    kind: Kind,
    personal: frozenset[str] = frozenset(),
    max_categories: int | None = None,
) -> Encoding:
    """Learn the encoding that an estimator of this kind needs from the rows to train on.

    Of a string, the `max_categories` most frequent values are told apart (None: the default of its kind). What is
    missing becomes the median, which is a value of one row; of `personal` columns the mean, which is nobody's.
    Raises BadInput(DataUnusable) for a column without a single value, and ParameterInvalid for more categories than
    there can be.
    """
    most = _most_categories(kind, max_categories)
    numbers: list[NumberEncoding] = []
    flags: list[str] = []
    texts: list[TextEncoding] = []
    for column in columns:
        if column.type == "string":
            texts.append(_text(column.name, data[column.name], kind, most))
            continue
        values = np.asarray(data[column.name], dtype=np.float64)
        usable = np.abs(values) <= LARGEST
        if not usable.any():
            raise _without_value(column.name, values)
        numbers.append(_number(column.name, values[usable], kind, personal=column.name in personal))
        if not kind.missing and not usable.all():
            flags.append(column.name)
    _check_room(texts)
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


def _without_value(name: str, values: FloatArray) -> BadInput:
    if np.isnan(values).all():
        return _unusable(f"the feature {name!r} has no value in the rows to train on: leave it out (ignored)")
    return _unusable(
        f"the feature {name!r} has only values beyond {LARGEST:.1e} in the rows to train on, which float32 does not "
        "hold: deliver it in a larger unit, or leave it out (ignored)"
    )


def _check_room(texts: list[TextEncoding]) -> None:
    """Refuse categories that a model's description cannot hold."""
    sizes = {text.column: sum(len(one.encode()) + ROOM_A_CATEGORY for one in text.categories) for text in texts}
    if sum(sizes.values()) > MAX_SIGNATURE_BYTES // 2:
        largest = max(sizes, key=lambda name: sizes[name])
        raise _unusable(
            f"the categories of the strings take {sum(sizes.values()):,} bytes, most of them those of {largest!r}, and "
            f"a model's description has room for {MAX_SIGNATURE_BYTES // 2:,}: set estimator.maxCategories lower"
        )


def _check_length(what: str, name: str, values: Iterable[Any]) -> None:
    longest = max((len(value) for value in values if isinstance(value, str)), default=0)
    if longest > MAX_LONG_TEXT:
        raise _unusable(
            f"the {what} {name!r} has a text of {longest:,} characters, and one to tell apart has {MAX_LONG_TEXT:,} at "
            "most: filter such rows out (spec.clean)"
        )


def _most_categories(kind: Kind, wanted: int | None) -> int:
    """Return how many are told apart; more slots than there can be were refused with the run's spec."""
    return wanted or (MAX_ORDINAL if kind.texts == "ordinal" else MAX_ONEHOT)


def _text(name: str, values: NDArray[Any], kind: Kind, most: int) -> TextEncoding:
    counts: Counter[str] = Counter(value for value in values.tolist() if value)
    _check_length("feature", name, counts)
    if not counts:
        raise _unusable(f"the feature {name!r} has no value in the rows to train on: leave it out (ignored)")
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
