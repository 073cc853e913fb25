"""The columns that captures, labels and the reference share, and one spelling for labels of every type."""

from __future__ import annotations

import polars as pl

INPUT = "in."
PREDICTION = "out.prediction"
PROBABILITY = "out.p."
KEY = ("id", "row")
# Ties in time are broken by the row's identity, so that nothing depends on which file a row came from.
CANONICAL = ("time", "id", "row")
MOMENT = pl.Datetime("us", "UTC")


def label_text(column: str, dtype: pl.DataType) -> pl.Expr:
    """Labels of a classifier as text: a captured 1, a fed back 1.0 and a class "1" are the same class."""
    value = pl.col(column)
    if dtype.is_float():
        whole = value.cast(pl.Int64, strict=False)
        return pl.when(value == whole).then(whole.cast(pl.String)).otherwise(value.cast(pl.String)).alias(column)
    if dtype.is_(pl.Categorical) or isinstance(dtype, pl.Enum):
        return value.cast(pl.String).alias(column)
    return value.cast(pl.String, strict=False).alias(column)


def class_text(value: str | int | float | bool) -> str:
    """The same spelling for a class in the model's description."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def finite(column: str) -> pl.Expr:
    """A number, with NaN and infinity as null: neither can be compared with anything."""
    value = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value).otherwise(None).alias(column)


def moment(column: str) -> pl.Expr:
    """A time in microseconds UTC, whatever resolution it was written with."""
    return pl.col(column).cast(MOMENT).alias(column)
