"""The rows of a replay's CSV as text, and that text as what a model's inputs and labels are: nothing is guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from mlops.api.dataset import DataField, FieldType
from mlops.cli.errors import UserError
from mlops.workloads.ingest.typed import first_unread, read_text, shown, with_missing

# The number of a row in the file, from 1, without the header.
ROW: Final = "\0row"
_TYPES: Final[dict[str, FieldType]] = {
    "FP64": "float64",
    "FP32": "float64",
    "INT64": "int64",
    "INT32": "int64",
    "BOOL": "boolean",
    "BYTES": "string",
}


def read_csv(path: Path) -> pl.DataFrame:
    """Return every column as the text that stands in the file; an empty field is missing. Raises a polars error."""
    return pl.read_csv(path, infer_schema=False)


def times(frame: pl.DataFrame, column: str, place: Path) -> pl.Series:
    """Return a column's text as times, read as a Dataset reads them; without a zone they are in UTC."""
    return _parsed(frame, column, "timestamp", place)


def as_datatype(frame: pl.DataFrame, column: str, datatype: str, place: Path) -> pl.Series:
    """Return a column's text as values of an input's datatype. Raises UserError with row, column and value."""
    if frame.schema[column] != pl.String or datatype not in _TYPES:
        return frame[column]
    return _parsed(frame, column, _TYPES[datatype], place)


def _parsed(frame: pl.DataFrame, column: str, kind: FieldType, place: Path) -> pl.Series:
    field = DataField(name="text", type=kind, time_zone="UTC" if kind == "timestamp" else None)
    text = with_missing(frame[column], field)
    values = read_text(text, field)
    at = first_unread(text, values)
    if at is not None:
        row = int(frame[ROW][at]) if ROW in frame.columns else at + 1
        hint = ": write RFC 3339, such as 2024-05-01T12:00:00Z" if kind == "timestamp" else ": mend it in the file"
        raise UserError(
            f'{place}: row {row}, column "{column}": "{shown(text[at])}" is not {_article(kind)} {kind}{hint}'
        )
    return values.alias(column)


def ids(column: pl.Series, place: Path) -> pl.Series:
    """Return ids as text. Raises UserError for fractions: the id 7 would be 7.0."""
    if column.dtype.is_float():
        raise UserError(
            f'{place}: column "{column.name}" has numbers with a fraction ({column.dtype}), so that the id 7 would be '
            "7.0: write ids as whole numbers or text"
        )
    return column.cast(pl.String)


def _article(kind: FieldType) -> str:
    return "an" if kind == "int64" else "a"
