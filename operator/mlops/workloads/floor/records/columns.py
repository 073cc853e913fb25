"""The columns of captures and labels that every reader needs, and one spelling for labels of every type."""

from __future__ import annotations

import polars as pl

KEY = ("id", "row")
# When the request came, by the clock of the server that answered it.
ARRIVED = "arrived"
# A hash of all that stands in the row, to tell equal ones apart.
CONTENT = "_content"
TIMESTAMP = pl.Datetime("us", "UTC")


def label_text(column: str, dtype: pl.DataType) -> pl.Expr:
    """Labels of a classifier as text: a captured 1, a fed back 1.0 and a class "1" are the same class."""
    value = pl.col(column)
    if dtype.is_float():
        whole = value.cast(pl.Int64, strict=False)
        return pl.when(value == whole).then(whole.cast(pl.String)).otherwise(value.cast(pl.String)).alias(column)
    if dtype.is_(pl.Categorical) or isinstance(dtype, pl.Enum):
        return value.cast(pl.String).alias(column)
    return value.cast(pl.String, strict=False).alias(column)


def finite(column: str) -> pl.Expr:
    """A number, with NaN and infinity as null: neither can be compared with anything."""
    value = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value).otherwise(None).alias(column)


def timestamp(column: str) -> pl.Expr:
    """A time in microseconds UTC, whatever resolution it was written with."""
    return pl.col(column).cast(TIMESTAMP).alias(column)
