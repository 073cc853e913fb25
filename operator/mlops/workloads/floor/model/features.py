"""Computed features at prediction: the expressions of ingest, by the same operations and with the same bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isinf
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.api.dataset import FieldType
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions import Chain, ExpressionError, Program
from mlops.workloads.floor.expressions.errors import RowProblem
from mlops.workloads.floor.expressions.typed import Values
from mlops.workloads.floor.expressions.vector import scalars_of, values_of
from mlops.workloads.floor.model.missing import EXACT, array_of_values, objects
from mlops.workloads.floor.model.signature import SIGNATURE_FILE, Signature
from mlops.workloads.floor.pod import BadInput

if TYPE_CHECKING:
    import polars as pl

# Up to here row by row is faster than by arrays; both give the same bits.
FEW_ROWS = 32


def array_of(series: pl.Series) -> NDArray[Any]:
    """Return a series as an array, see `missing`."""
    import polars as pl

    if series.dtype == pl.String:
        return objects(series.to_list())
    if isinstance(series.dtype, pl.Datetime):
        return series.dt.cast_time_unit("us").dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    if series.dtype == pl.Boolean and series.null_count() == 0:
        return series.to_numpy().astype(np.bool_)
    if series.dtype.is_integer() and series.null_count() == 0:
        return series.to_numpy().astype(np.int64)
    if series.dtype.is_integer() and not series.is_between(-EXACT, EXACT).fill_null(True).all():
        return objects(series.to_list())
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


class Features:
    """The computed features of a model, checked once and ready for every request."""

    def __init__(self, signature: Signature) -> None:
        """Hold the expressions of a model.json, whoever wrote it, against the list of what a Dataset may have.

        Raises BadInput(OutputInvalid) for an expression that is not allowed, or that gives another type than it says.
        """
        types: dict[str, FieldType] = {one.name: one.type for one in signature.inputs}
        for number, feature in enumerate(signature.features):
            where = f"{SIGNATURE_FILE}: features[{number}].expression"
            try:
                kind = Chain([(feature.name, feature.expression)], types).types[feature.name]
            except ExpressionError as error:
                raise BadInput(Reason.OUTPUT_INVALID, f"{where}: {error}") from error
            if kind != feature.type:
                raise BadInput(Reason.OUTPUT_INVALID, f"{where}: gives {kind}, and {feature.name!r} is {feature.type}")
            types[feature.name] = feature.type
        inputs = {one.name: one.type for one in signature.inputs}
        self._chain = Chain([(one.name, one.expression) for one in signature.features], inputs)
        self._inputs = [(name, inputs[name]) for name in self._chain.reads]
        names = list(inputs)
        self._slots = [names.index(name) for name in self._chain.reads]

    def added(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return inputs (n,) with the computed features of the same rows, written as `missing` says.

        Raises BadInput for a row that has no value, and for one with an infinite number, which no row of a Dataset
        has; it shows no value, since what a run or a version says is read by many.
        """
        count = len(next(iter(inputs.values())))
        try:
            found = self._by_row(inputs, count) if count <= FEW_ROWS else self._by_array(inputs, count)
        except ExpressionError as error:
            raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE}: features: {error}") from error
        for name, values in found.items():
            if values.dtype == np.float64 and (endless := np.isinf(values)).any():
                raise _infinite(name, int(endless.argmax()))
        return {**inputs, **found}

    def added_to(self, row: list[Any]) -> list[Any]:
        """Return one row's inputs, plain values in the order of the signature, with the features' values behind them.

        Missing numbers are NaN, all else that is missing None; times are microseconds. Raises BadInput as `added`.
        """
        values = [row[slot] for slot in self._slots]
        given = len(values)
        try:
            self._chain.extend(values, hidden=True)
        except ExpressionError as error:
            raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE}: features: {error}") from error
        found = values[given:]
        for (name, _), value in zip(self._chain.programs, found, strict=True):
            if type(value) is float and isinf(value):
                raise _infinite(name, 0)
        return [*row, *found]

    def _by_row(self, inputs: Mapping[str, NDArray[Any]], count: int) -> dict[str, NDArray[Any]]:
        columns = [(inputs[name].item, _SCALARS[kind]) for name, kind in self._inputs]
        rows = []
        for number in range(count):
            row = [scalar(item(number)) for item, scalar in columns]
            self._chain.extend(row, hidden=True, number=number)
            rows.append(row)
        given = len(columns)
        return {
            name: array_of_values(made.type, [row[given + at] for row in rows])
            for at, (name, made) in enumerate(self._chain.programs)
        }

    def _by_array(self, inputs: Mapping[str, NDArray[Any]], count: int) -> dict[str, NDArray[Any]]:
        columns = {name: values_of_array(kind, inputs[name]) for name, kind in self._inputs}
        for name, made in self._chain.programs:
            columns[name] = _of_rows(made, columns, count)
        return {name: array_of_values(made.type, scalars_of(columns[name])) for name, made in self._chain.programs}


def _infinite(name: str, row: int) -> BadInput:
    return BadInput(
        Reason.OUTPUT_INVALID,
        f"{SIGNATURE_FILE}: features: {name!r} is infinite in row {row + 1}, and a Dataset has no such row: send "
        "inputs for which it is a number",
    )


def _of_rows(made: Program, columns: Mapping[str, Values], count: int) -> Values:
    try:
        return made.of_rows(columns, count)
    except RowProblem as problem:
        raise ExpressionError(made.expression, problem.message(hidden=True)) from None


def values_of_array(kind: FieldType, values: NDArray[Any]) -> Values:
    """Return an array (n,) of a request as values of a declared type; NaN, NaT and None are missing."""
    if kind == "float64" and values.dtype == np.float64:
        return Values(kind, values)
    if kind == "int64" and values.dtype == np.int64:
        return Values(kind, values)
    if kind == "boolean" and values.dtype == np.bool_:
        return Values(kind, values)
    scalar = _SCALARS[kind]
    return values_of(kind, [scalar(value) for value in values.tolist()])


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None if value is None or value != value else int(value)


def _truth(value: Any) -> bool | None:
    return value if type(value) is bool else None if value is None or value != value else bool(value)


def _text(value: Any) -> str | None:
    return value if type(value) is str else None if value is None or value != value else str(value)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _microseconds(value: Any) -> int | None:
    """A time of a request: microseconds since 1970, or a datetime; without a zone it is in UTC."""
    if not isinstance(value, datetime):
        return _whole(value)
    since = (value if value.tzinfo is not None else value.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_SCALARS: Final[Mapping[FieldType, Callable[[Any], Any]]] = {
    "float64": _float, "int64": _whole, "boolean": _truth, "string": _text, "timestamp": _microseconds,
}  # fmt: skip
