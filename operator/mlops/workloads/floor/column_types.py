"""The types of a Dataset's columns as polars holds them, and the one way in which a number is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mlops.api.dataset import FieldType

DTYPES: Mapping[FieldType, pl.DataType] = {
    "float64": pl.Float64(),
    "int64": pl.Int64(),
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "timestamp": pl.Datetime("us", "UTC"),
}
# Python's timestamps go no further, and what reads a version writes them as such.
FIRST_TIMESTAMP, LAST_TIMESTAMP = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)

_MINUS_ZERO = np.iinfo(np.int64).min  # its bits as an integer


def series_of(name: str, kind: FieldType, values: NDArray[Any]) -> pl.Series:
    """Return an array as a series of the declared type; NaN, NaT, None are null."""
    if values.dtype.kind == "M":
        return pl.Series(name, values.astype("datetime64[us]")).dt.replace_time_zone("UTC")
    if values.dtype == object or values.dtype.kind == "U":
        return pl.Series(name, values.tolist(), dtype=DTYPES[kind])
    return pl.Series(name, values, nan_to_null=True).cast(DTYPES[kind])


def kind_of(dtype: pl.DataType) -> FieldType | None:
    """Return the type of a column in which values of this data type are held; None if there is none."""
    if dtype.is_integer():
        return "int64"
    if dtype.is_float():
        return "float64"
    if isinstance(dtype, pl.Date | pl.Datetime):
        return "timestamp"
    return "boolean" if dtype == pl.Boolean else "string" if dtype == pl.String else None


def plain_floats(column: pl.Series) -> pl.Series:
    """Return floats with NaN as missing and minus zero as zero: one number is written in one way.

    Adding 0.0 would do for zero, but polars takes that for nothing to do.
    """
    values = column.drop_nulls().to_numpy()
    if not len(values) or (not np.isnan(values.min()) and values.view(np.int64).min() != _MINUS_ZERO):
        # The rule, told in two passes over memory: NaN is the least where there is one, and so are minus zero's bits.
        return column
    plain = column.fill_nan(None)
    return plain.zip_with((plain != 0.0).fill_null(True), pl.Series([0.0]))
