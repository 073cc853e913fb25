"""From what a file holds to the contract's types: strictly, and with the address of what cannot be."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from mlops.api.dataset import DataField, FieldType
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions.sql_expressions import DTYPES, FIRST_TIMESTAMP, LAST_TIMESTAMP, plain_floats
from mlops.workloads.floor.pod import BadInput

_FORMATS = (
    ("%Y-%m-%dT%H:%M:%S%.f%#z", True),
    ("%Y-%m-%dT%H:%M:%S%.f", False),
    ("%Y-%m-%dT%H:%M", False),
    ("%Y-%m-%d", False),
)
_SHOWN = 60
# A year that is written as one, and is none of the four digits that RFC 3339 has.
_BEYOND = re.compile(r"(?:[+-][0-9]{4}|[+]?[0-9]{5}|0000)[0-9]{0,10}-[0-9]")


def bad_value(name: str, row: int, field: DataField, value: object, pii: frozenset[str]) -> BadInput:
    """Return the error for a value that is not of its field's type; `row` counts from 1, without the header."""
    text = "a value" if field.name in pii else f'"{shown(value)}"'
    hint = " (write RFC 3339, such as 2024-05-01T12:00:00Z)" if field.type == "timestamp" else ""
    if field.type == "timestamp" and _BEYOND.match(str(value)):
        hint = " of the years 1 to 9999"
    article = "an" if field.type == "int64" else "a"
    return BadInput(
        Reason.SCHEMA_MISMATCH, f'{name}: row {row}, column "{field.name}": {text} is not {article} {field.type}{hint}'
    )


def shown(value: object) -> str:
    """Return a value as it may stand in a message: short, on one line."""
    text = re.sub(r"[\x00-\x1f\x7f]", "?", str(value))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def check_columns(
    name: str, present: Sequence[str], fields: Sequence[DataField], pii: frozenset[str] = frozenset()
) -> None:
    """Raise BadInput if a column of the contract is not in the file."""
    missing = [field.name for field in fields if field.name not in present]
    if not missing:
        return
    named = ", ".join(f'"{one}"' for one in missing[:10]) + (" ..." if len(missing) > 10 else "")
    has = ", ".join(shown(one) for one in present[:20]) + (" ..." if len(present) > 20 else "")
    if pii and len(missing) == len(fields):
        # Without a header these are values of the first row.
        has = f"{len(present)} others"
    hint = "; is the header missing?" if len(missing) == len(fields) else ""
    plural = "s" if len(missing) > 1 else ""
    raise BadInput(
        Reason.SCHEMA_MISMATCH, f"{name}: column{plural} {named} of spec.fields not found; the file has {has}{hint}"
    )


def from_text(text: pl.Series, kind: FieldType) -> pl.Series:
    """Return the values of text; what cannot be read is missing."""
    if kind == "boolean":
        lower = text.str.to_lowercase()
        frame = pl.DataFrame({"text": lower})
        return frame.select(
            pl.when(pl.col("text") == "true").then(True).when(pl.col("text") == "false").then(False)
        ).to_series()
    if kind == "timestamp":
        return _timestamps(text)
    return text if kind == "string" else text.str.strip_chars(" ").cast(DTYPES[kind], strict=False)


def normal(column: pl.Series) -> pl.Series:
    """Return floats with NaN as missing and minus zero as zero; other types as they are."""
    return plain_floats(column) if column.dtype == pl.Float64 else column


def first_unread(text: pl.Series, values: pl.Series) -> int | None:
    """Return the index of the first text that gave no value."""
    unread = text.is_not_null() & values.is_null()
    if text.dtype == pl.String and values.dtype == pl.Float64:
        unread = unread & (text.str.strip_chars(" ").str.to_lowercase().str.strip_prefix("-") != "nan")
    return unread.arg_max() if unread.any() else None


def _timestamps(text: pl.Series) -> pl.Series:
    values: pl.Series | None = None
    normalised = text.str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T")
    for form, zoned in _FORMATS:
        dtype = pl.Datetime("us", "UTC") if zoned else pl.Datetime("us")
        tried = normalised.str.strptime(dtype, form, strict=False)
        tried = tried if zoned else tried.dt.replace_time_zone("UTC")
        values = tried if values is None else values.zip_with(values.is_not_null(), tried)
        if not (values.is_null() & text.is_not_null()).any():
            break
    assert values is not None
    return in_calendar(values)


def in_calendar(timestamps: pl.Series) -> pl.Series:
    """Return the timestamps of the years 1 to 9999; any other, which no reader of a version could hold, is missing."""
    frame = pl.DataFrame({"timestamp": timestamps})
    inside = pl.col("timestamp").is_between(FIRST_TIMESTAMP, LAST_TIMESTAMP)
    return frame.select(pl.when(inside).then(pl.col("timestamp"))).to_series().alias(timestamps.name)
