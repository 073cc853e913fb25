"""Expressions over frames of polars, as at ingest: columns in, columns out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from mlops.api.dataset import Feature, FieldType
from mlops.workloads.floor.column_types import kind_of
from mlops.workloads.floor.expressions.errors import ExpressionError, RowProblem
from mlops.workloads.floor.expressions.program import AT_ONCE, Program, program
from mlops.workloads.floor.expressions.typed import Values

# All texts that an expression makes of one frame.
LARGEST_RESULT = 1 << 30
# Rows of texts, as objects of Python, in memory at once.
_ROWS_AT_ONCE = 1 << 16


def compute(
    frame: pl.DataFrame, features: Iterable[Feature], hidden: frozenset[str] = frozenset(), first_row: int = 0
) -> pl.DataFrame:
    """Return `frame` with one column more for each feature, in order; a later one may use an earlier one.

    Raises ExpressionError for a feature that `check` refuses, and for a row that has no value, such as an overflow:
    it names the row, counted from `first_row`, and shows no value of a `hidden` column.
    """
    for feature in features:
        result = evaluate(frame, feature.expression, hidden, first_row)
        frame = frame.with_columns(result.alias(feature.name))
    return frame


def evaluate(
    frame: pl.DataFrame, expression: str, hidden: frozenset[str] = frozenset(), first_row: int = 0
) -> pl.Series:
    """Return the expression's values, one per row, in the type of a column. Raises ExpressionError as `compute`."""
    kinds = ((name, kind_of(dtype)) for name, dtype in frame.schema.items())
    made = program(expression, {name: kind for name, kind in kinds if kind is not None})
    pieces: list[pl.Series] = []
    for start, piece in _pieces(made, frame):
        columns = {name: values_of_series(piece[name]) for name in made.reads}
        try:
            pieces.append(series_of_values(made.of_rows(columns, piece.height)))
        except RowProblem as problem:
            message = problem.message(bool(hidden.intersection(made.reads)), first_row + start)
            raise ExpressionError(expression, message) from None
        if len(pieces) > 1 and sum(one.estimated_size() for one in pieces) > LARGEST_RESULT:
            raise ExpressionError(
                expression, f"gives more than {LARGEST_RESULT} bytes for {frame.height} rows: shorten its texts"
            )
    return pieces[0] if len(pieces) == 1 else pl.concat(pieces)


def _pieces(made: Program, frame: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield the rows in pieces for which what the expression may make of their texts fits into memory."""
    if not made.texts and not (made.type == "string" or made.grows.added > 1 << 10):
        yield 0, frame
        return
    longest = sum(int(np.max(frame[name].str.len_bytes().fill_null(0).to_numpy(), initial=0)) for name in made.texts)
    row = made.grows.factor * longest + made.grows.added
    rows = max(1, min(_ROWS_AT_ONCE, int(AT_ONCE // max(row, 1.0))))
    for start in range(0, max(frame.height, 1), rows):
        yield start, frame[start : start + rows]


def values_of_series(column: pl.Series) -> Values:
    """Return a column (n,) as values; timestamps are microseconds since 1970 in UTC."""
    kind = kind_of(column.dtype)
    assert kind is not None
    absent = column.is_null().to_numpy() if column.null_count() else None
    if kind == "float64":
        return Values(kind, column.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    if kind == "string":
        texts = np.empty(column.len(), dtype=object)
        texts[:] = column.fill_null("").to_list()
        return Values(kind, texts, absent)
    if kind == "boolean":
        return Values(kind, column.fill_null(False).to_numpy().astype(np.bool_), absent)
    if isinstance(column.dtype, pl.Date | pl.Datetime):
        column = column.cast(pl.Datetime("us")) if isinstance(column.dtype, pl.Date) else column.dt.cast_time_unit("us")
        column = column.to_physical()
    return Values(kind, column.cast(pl.Int64).fill_null(0).to_numpy(), absent)


def series_of_values(values: Values) -> pl.Series:
    """Return values as a column of their type."""
    kind: Any = values.kind
    if kind == "float64":
        return pl.Series(values.array, dtype=pl.Float64, nan_to_null=True)
    plain = pl.Series(values.array.tolist() if kind == "string" else values.array, dtype=_PLAIN[kind])
    if values.absent is not None:
        plain = plain.set(pl.Series(values.absent), None)
    return plain.cast(pl.Datetime("us")).dt.replace_time_zone("UTC") if kind == "timestamp" else plain


_PLAIN: Mapping[FieldType, pl.DataType] = {
    "int64": pl.Int64(), "timestamp": pl.Int64(), "boolean": pl.Boolean(), "string": pl.String(),
}  # fmt: skip
