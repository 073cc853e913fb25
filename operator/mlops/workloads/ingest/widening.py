"""From a typed column to the contract's type, where nothing is lost: 3.0 is an int64, 3.5 is none."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

import polars as pl

from mlops.api.dataset import DataField, FieldType
from mlops.api.reasons import Reason
from mlops.workloads.floor.column_types import DTYPES, FIRST_TIMESTAMP, LAST_TIMESTAMP
from mlops.workloads.floor.model.missing import EXACT
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.times import in_utc
from mlops.workloads.ingest.typed import bad_value, column_of, first_unread, normal, read_text, with_missing

_DAY: Final = 86_400_000_000
# Units of a time unit in a microsecond, or microseconds in a unit.
_PER_UNIT: Final = {"ms": 1000, "us": 1}
_NANO: Final = 1000
_EPOCH_BOUNDS: Final = tuple(
    int(pl.Series([bound]).cast(pl.Datetime("us", "UTC")).to_physical()[0])
    for bound in (FIRST_TIMESTAMP, LAST_TIMESTAMP)
)
_WAY_OUT: Final[dict[FieldType, str]] = {
    "string": "text",
    "float64": "numbers or text",
    "int64": "whole numbers or text",
    "boolean": "true and false, 0 and 1, or text",
    "timestamp": "timestamps, dates or text",
}


def convert(column: pl.Series, field: DataField, name: str, rows_before: int, pii: frozenset[str]) -> pl.Series:
    """Return the column in its field's type. Raises BadInput naming the first value that cannot be."""
    column = _plain(column, field)
    values = _values(column, field)
    at = first_unread(column, values)
    if at is not None:
        cell = shown_cell(column, at)
        refusal = bad_value(name, rows_before + at + 1, field, cell if column.dtype == pl.String else _Cell(cell), pii)
        raise BadInput(refusal.reason, f"{refusal.message}{_hint(field, column.dtype)}")
    return normal(values)


def _hint(field: DataField, dtype: pl.DataType) -> str:
    """Return the way out for a value that its column's type lets expect."""
    if isinstance(dtype, pl.Binary):
        return " (its bytes are no such text: deliver it as text, or leave the field out)"
    if field.type == "float64" and dtype.is_integer():
        return f" (beyond {EXACT} a float64 leaves out whole numbers: say type: int64, or deliver text)"
    if field.type == "int64" and (dtype.is_float() or dtype.is_decimal()):
        return " (say type: float64 to take the nearest number, or deliver text for type: string)"
    if field.type == "int64" and dtype.is_integer():
        return " (it is beyond 64 bits with a sign: deliver text for type: string)"
    if field.type == "boolean" and dtype.is_numeric():
        return f" (only 0 and 1 are: say type: {'int64' if dtype.is_integer() else 'float64'})"
    if field.type == "timestamp" and isinstance(dtype, pl.Datetime | pl.Date):
        zone = "" if field.time_zone is None else f", or is there twice or never on the clocks of {field.time_zone}"
        way_out = "deliver it as text, with nullValues for what means a missing value"
        return f" of the years 1 to 9999 in UTC{zone}: {way_out}"
    return ""


class _Cell:
    """A cell that is no text: what is said of texts is not said of it."""

    def __init__(self, cell: object) -> None:
        self._cell = cell

    def __str__(self) -> str:
        return str(self._cell)


def check_type(name: str, field: DataField, dtype: pl.DataType) -> None:
    """Raise BadInput for a column of a type of which no value could be one of the field's."""
    dtype = _storage(dtype)
    text = isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Binary)
    number = dtype.is_numeric()
    fits = {
        "float64": number or text,
        "int64": number or text,
        "string": text,
        "boolean": dtype == pl.Boolean or number or text,
        "timestamp": isinstance(dtype, pl.Datetime | pl.Date) or text,
    }[field.type] or dtype == pl.Null
    if not fits:
        raise BadInput(
            Reason.SCHEMA_MISMATCH,
            f'{name}: column "{column_of(field)}" is {dtype} in the file, and {field.type} in spec.fields: '
            f"{advice(field, dtype)}",
        )


def shown_cell(column: pl.Series, at: int) -> object:
    """Return a cell; of a timestamp its number, since Python has none beyond the year 9999."""
    if not isinstance(column.dtype, pl.Datetime | pl.Date):
        return column[at]
    unit = column.dtype.time_unit if isinstance(column.dtype, pl.Datetime) else "days"
    return f"{column.to_physical()[at]} {unit} since 1970"


def advice(field: DataField, dtype: pl.DataType) -> str:
    """Return what to do about a column of another type than its field."""
    kinds: dict[FieldType, bool] = {
        "int64": dtype.is_integer(),
        "float64": dtype.is_float() or dtype.is_decimal(),
        "boolean": dtype == pl.Boolean,
        "timestamp": isinstance(dtype, pl.Datetime | pl.Date),
    }
    fitting = next((kind for kind, fits in kinds.items() if fits), None)
    if fitting is not None:
        return f"say type: {fitting}"
    if isinstance(dtype, pl.Struct):
        inner = dtype.fields[0].name if dtype.fields else "name"
        return f'name a value in it, as column: "{column_of(field)}.{inner}"'
    return f"deliver {_WAY_OUT[field.type]}, or leave the field out"


def _storage(dtype: pl.DataType) -> pl.DataType:
    """Return how an extension type, such as JSON, is kept."""
    return pl.Series([], dtype=dtype.ext_storage()).dtype if isinstance(dtype, pl.BaseExtension) else dtype


def _plain(column: pl.Series, field: DataField) -> pl.Series:
    """Return text as text, whatever its writer called it, and floats without NaN, which is how missing is written."""
    if isinstance(column.dtype, pl.BaseExtension):
        column = column.ext.storage()
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if column.dtype == pl.String:
        return with_missing(column, field)
    if field.null_values:
        return _kept(column, ~_means_missing(column, field, field.null_values).fill_null(False))
    return column


def _means_missing(column: pl.Series, field: DataField, nulls: tuple[str, ...]) -> pl.Series:
    """Return which values mean a missing one: the same that their text would be, and no neighbour of a number."""
    dtype = column.dtype
    if isinstance(dtype, pl.Binary):
        return _decoded(column).is_in(list(nulls))
    if isinstance(dtype, pl.Datetime | pl.Date):
        return _instants(column, field).is_in(read_text(pl.Series(list(nulls)), field).drop_nulls())
    if dtype == pl.Boolean:
        return column.is_in([word == "true" for word in map(str.lower, nulls) if word in ("true", "false")])
    return _are_numbers(column, numbers_of(nulls))


def _are_numbers(column: pl.Series, numbers: frozenset[Decimal]) -> pl.Series:
    if column.dtype.is_float():
        # As the column has them: -999.9 of 32 bits is another number than that of 64.
        return column.is_in(pl.Series([float(one) for one in numbers], dtype=column.dtype))
    # Integers and decimals equal a Decimal exactly.
    return pl.Series([value in numbers for value in column.to_list()], dtype=pl.Boolean)


def numbers_of(nulls: tuple[str, ...]) -> frozenset[Decimal]:
    """Return those of the texts that are finite numbers, exactly."""
    found = []
    for text in nulls:
        try:
            found.append(Decimal(text))
        except InvalidOperation:
            continue
    return frozenset(one for one in found if one.is_finite())


def _values(column: pl.Series, field: DataField) -> pl.Series:
    dtype, target = column.dtype, DTYPES[field.type]
    if isinstance(dtype, pl.Binary):
        return read_text(_decoded(column), field)
    if dtype == pl.String:
        return read_text(column, field)
    if field.type == "timestamp" and isinstance(dtype, pl.Datetime | pl.Date):
        return _instants(column, field)
    if field.type == "float64":
        return _floats(column)
    if field.type == "int64":
        return _integers(column)
    if field.type == "boolean" and dtype.is_numeric():
        return _truth(column)
    return column.cast(target, strict=False)


def _decoded(column: pl.Series) -> pl.Series:
    """Return bytes as text; what is not UTF-8 is missing."""
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series(column.name, [_utf8(one) for one in column], dtype=pl.String)


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _floats(column: pl.Series) -> pl.Series:
    if column.dtype.is_decimal():
        # By way of text: the nearest float64, as it is of the same number in CSV.
        return column.cast(pl.String).cast(pl.Float64)
    values = column.cast(pl.Float64)
    if column.dtype.is_integer():
        # Beyond it a float64 leaves out integers: what is whole there may have been another number.
        near = _where(column, pl.col("x").is_between(-EXACT, EXACT))
        if near.null_count() > column.null_count():
            back = values.cast(pl.Int128, strict=False)
            return _kept(values, (back == column.cast(pl.Int128)).fill_null(False))
    return values


def _integers(column: pl.Series) -> pl.Series:
    if column.dtype.is_float():
        whole = pl.col("x").is_between(-EXACT, EXACT) & (pl.col("x") == pl.col("x").round(0))
        return _where(column, whole).cast(pl.Int64)
    if column.dtype.is_decimal():
        text = column.cast(pl.String).str.replace(r"\.0*$", "")
        return text.cast(pl.Int64, strict=False)
    return column.cast(pl.Int64, strict=False)


def _truth(column: pl.Series) -> pl.Series:
    numbers = column.cast(pl.String).cast(pl.Float64) if column.dtype.is_decimal() else column
    return _where(numbers, (pl.col("x") == 0) | (pl.col("x") == 1)).cast(pl.Int8).cast(pl.Boolean)


def _instants(column: pl.Series, field: DataField) -> pl.Series:
    """Return timestamps in microseconds; what lies outside of the years 1 to 9999 is missing.

    By whole numbers: the reader's own arithmetic wraps or ends in a panic far outside.
    """
    number = column.to_physical().cast(pl.Int64)
    first, last = _EPOCH_BOUNDS
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_unit == "ns":
        micros = number // _NANO
    else:
        unit = _PER_UNIT[column.dtype.time_unit] if isinstance(column.dtype, pl.Datetime) else _DAY
        inside = pl.col("x").is_between(-(-first // unit), last // unit)
        micros = _where(number, inside) * unit
    micros = _where(micros, pl.col("x").is_between(first, last))
    if field.time_zone is not None and getattr(column.dtype, "time_zone", None) is None:
        micros = _where(_local(micros, field), pl.col("x").is_between(first, last))
    return micros.cast(pl.Datetime("us", "UTC"))


def _local(micros: pl.Series, field: DataField) -> pl.Series:
    """Return the UTC of times in the field's zone; those that there were twice, or never, as it declares."""
    known = micros.is_not_null()
    local = micros.fill_null(0).to_numpy()
    found, present = in_utc(local, field.time_zone or "UTC", field.ambiguous_times, field.nonexistent_times)
    return _kept(pl.Series(micros.name, found), pl.Series(present) & known)


def _where(column: pl.Series, condition: pl.Expr) -> pl.Series:
    """Return the column with what does not meet the condition on `x` as missing."""
    return pl.DataFrame({"x": column}).select(pl.when(condition).then(pl.col("x"))).to_series().alias(column.name)


def _kept(values: pl.Series, mask: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"x": values, "kept": mask})
    return frame.select(pl.when(pl.col("kept")).then(pl.col("x"))).to_series().alias(values.name)
