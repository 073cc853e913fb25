"""The types of values inside an expression.

| kind      | value                                             | missing |
|-----------|---------------------------------------------------|---------|
| boolean   | bool                                              | None    |
| int64     | int, -2^63 to 2^63 - 1                            | None    |
| float64   | float, IEEE 754 double                            | NaN     |
| string    | str                                               | None    |
| timestamp | int, microseconds since 1970-01-01T00:00:00Z      | None    |
| date      | the same, of the day's beginning                  | None    |
| duration  | int, microseconds                                 | None    |
| interval  | (months, microseconds), written out only          |         |
| null      | nothing but NULL: it takes the type that is asked | None    |

The first five are types of columns. A float that is not a number is missing, at once and everywhere.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal, TypeAlias

from mlops.api.dataset import FieldType

Kind: TypeAlias = FieldType | Literal["date", "duration", "interval", "null"]
Value: TypeAlias = Any

LEAST_INT, MOST_INT = -(1 << 63), (1 << 63) - 1
# Years 1 to 9999, in microseconds.
FIRST_TIMESTAMP, LAST_TIMESTAMP = -62_135_596_800_000_000, 253_402_300_799_999_999
SECOND, DAY = 1_000_000, 86_400_000_000
NUMBERS: Final = ("boolean", "int64", "float64")
COLUMN_KINDS: Final[tuple[FieldType, ...]] = ("float64", "int64", "string", "boolean", "timestamp")


def missing(kind: Kind) -> Value:
    """Return how a missing value of this kind is written."""
    return math.nan if kind == "float64" else None


def is_missing(value: Value) -> bool:
    """Return whether a value is missing: None, or a float that is not a number."""
    return value is None or value != value


def column_kind(kind: Kind) -> FieldType | None:
    """Return the type of the column that holds values of this kind; None if there is none."""
    if kind == "date":
        return "timestamp"
    return kind if kind in COLUMN_KINDS else None


# SQL's names of types, and what they are here: INT and SMALLINT are int64 with less room, REAL is rounded to 32 bits.
TYPES: Final[dict[str, Kind]] = {
    **dict.fromkeys(("bigint", "int8", "integer", "int", "int4", "smallint", "int2", "tinyint"), "int64"),
    **dict.fromkeys(("double", "double precision", "float", "float8", "real", "float4"), "float64"),
    **dict.fromkeys(("text", "varchar", "string", "char"), "string"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("timestamp", "datetime"), "timestamp"),
    "date": "date",
}
# Bits of the integers that have fewer than 64.
NARROW: Final = {"integer": 32, "int": 32, "int4": 32, "smallint": 16, "int2": 16, "tinyint": 8}
