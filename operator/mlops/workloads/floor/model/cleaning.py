"""What ingest did to rows before training, done to the rows of a request: the same steps in the same order.

A missing value becomes the constant that it became in training. A row that training cannot have seen is refused: one
that `dropNulls` or a filter would have dropped, and one in which a value is missing that ingest took from an earlier
row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.api.dataset import FieldType
from mlops.workloads.floor.model.conditions import holds
from mlops.workloads.floor.model.learnt import LearntFill
from mlops.workloads.floor.model.missing import is_missing, objects
from mlops.workloads.floor.model.signature import Signature

Columns = Mapping[str, NDArray[Any]]
Step = Callable[[Columns], Columns]


class OutsideTraining(ValueError):
    """A row of the kind that training left out; the message names row, field or condition, and the way out."""


def may_miss(signature: Signature) -> frozenset[str]:
    """Return the names of the inputs of which a request may lack a value; where not after all, says `Cleaning`."""
    # What is filled may be missing.
    filled = {step.fill_null.field for step in signature.clean or () if step.fill_null}
    return frozenset(one.name for one in signature.inputs if one.nullable or one.name in filled)


class Cleaning:
    """The steps of one model, made ready. Without steps it returns what it is given."""

    def __init__(self, signature: Signature) -> None:
        self._types: dict[str, FieldType] = {one.name: one.type for one in signature.inputs}
        self._steps = [self._made(step) for step in signature.clean or ()]

    def __call__(self, columns: Columns) -> Columns:
        """Return the columns (n,) as training saw such rows. Raises OutsideTraining."""
        for step in self._steps:
            columns = step(columns)
        return columns

    def _made(self, step: Any) -> Step:
        if step.drop_nulls:
            return lambda columns: _complete(columns, step.drop_nulls)
        if step.filter:
            return lambda columns: self._chosen(columns, step.filter)
        fill: LearntFill = step.fill_null
        if fill.value is None:
            return lambda columns: _preceded(columns, fill.field)
        constant = _constant(fill.value, self._types[fill.field])
        return lambda columns: _filled(columns, fill.field, constant)

    def _chosen(self, columns: Columns, condition: str) -> Columns:
        row = _first(~holds(condition, self._types, columns))
        if row is not None:
            raise not_chosen(condition, row)
        return columns


_SEND = "send a value"


def not_chosen(condition: str, row: int) -> OutsideTraining:
    """Return what is said of a row that the filter leaves out."""
    return OutsideTraining(
        f"row {row} does not meet the condition `{condition}` by which the rows to train on were chosen "
        "(clean.filter of the Dataset): the model has learnt nothing about such rows; send rows that meet it"
    )


def missing_here(name: str, row: int) -> OutsideTraining:
    """Return what is said of a value that `dropNulls` asks for."""
    return OutsideTraining(
        f"input {name!r} is missing in row {row}, and rows without it were left out of training (clean."
        f"dropNulls of the Dataset): {_SEND}"
    )


def not_preceded(name: str, row: int) -> OutsideTraining:
    """Return what is said of a value that only a row before it could give."""
    return OutsideTraining(
        f"input {name!r} is missing in row {row}; in training such a value was taken from an earlier row in "
        f"time (clean.fillNull of the Dataset, strategy forward), and a request has no such row: {_SEND}"
    )


def _complete(columns: Columns, names: tuple[str, ...]) -> Columns:
    for name in names:
        if (row := _first(is_missing(columns[name]))) is not None:
            raise missing_here(name, row)
    return columns


def _preceded(columns: Columns, name: str) -> Columns:
    if (row := _first(is_missing(columns[name]))) is not None:
        raise not_preceded(name, row)
    return columns


def _filled(columns: Columns, name: str, constant: Any) -> Columns:
    values = columns[name]
    gaps = is_missing(values)
    if not gaps.any():
        return columns
    if isinstance(constant, str):
        filled = objects([constant if value is None else value for value in values.tolist()])
    elif isinstance(constant, int):
        # What is float64 for its gaps' sake holds whole numbers or booleans exactly.
        present = objects([0 if gap else value for value, gap in zip(values.tolist(), gaps.tolist(), strict=True)])
        filled = present.astype(np.bool_ if isinstance(constant, bool) else np.int64)
        filled[gaps] = constant
    else:
        filled = np.where(gaps, constant, values)
    return {**columns, name: filled}


def _constant(value: bool | int | float | str, kind: FieldType) -> Any:
    if kind != "timestamp":
        return value
    return np.datetime64(datetime.fromisoformat(str(value)).astimezone(UTC).replace(tzinfo=None), "us")


def _first(rows: NDArray[np.bool_]) -> int | None:
    return int(rows.argmax()) if rows.any() else None
