"""The columns of a query's result: which may be which field, and their values in the contract's types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

import polars as pl

from mlops.api.dataset import DataField, FieldType
from mlops.api.reasons import Reason
from mlops.api.sql_source import Engine
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.numbers import only_where
from mlops.workloads.ingest.problems import shown
from mlops.workloads.ingest.typed import check_columns, column_of
from mlops.workloads.ingest.widening import convert, numbers_of

QUERY: Final = "spec.source.sql.query"

# What a column holds, whatever its database calls it. local: a time without a zone.
Kind = Literal["integer", "numeric", "float", "text", "boolean", "date", "local", "instant"]
_FITS: Final[dict[Kind, tuple[FieldType, ...]]] = {
    "integer": ("int64", "float64", "boolean"),
    "numeric": ("float64", "int64"),
    "float": ("float64", "int64"),
    "text": ("string", "float64", "int64", "boolean", "timestamp"),
    "boolean": ("boolean",),
    "date": ("timestamp",),
    "local": ("timestamp",),
    "instant": ("timestamp",),
}
_CASTS: Final[dict[Engine, dict[FieldType, str]]] = {
    "postgresql": {
        "string": "text",
        "float64": "double precision",
        "int64": "bigint",
        "boolean": "boolean",
        "timestamp": "timestamptz",
    },
    "mariadb": {
        "string": "CHAR",
        "float64": "DOUBLE",
        "int64": "SIGNED",
        "boolean": "SIGNED",
        "timestamp": "DATETIME(6)",
    },
}
GEOMETRY: Final = "GEOMETRY"  # the one type that has no cast
# What a column may be by which a source is read incrementally: what its database compares as the contract does.
_ORDERED: Final = ("integer", "numeric", "date", "local", "instant")


@dataclass(frozen=True)
class QueryColumn:
    """A column as a query gives it: its type in the words of its database, and what that is here, if it is read."""

    name: str
    type_name: str
    kind: Kind | None


def chosen(present: Sequence[QueryColumn], contract: Contract, engine: Engine) -> list[QueryColumn]:
    """Return the column of each field. Raises BadInput (SchemaMismatch, QueryInvalid) naming column and type."""
    names = [one.name for one in present]
    check_columns(QUERY, names, contract.fields, contract.pii)
    found = []
    for field in contract.fields:
        wanted = column_of(field)
        if names.count(wanted) > 1:
            raise BadInput(
                Reason.QUERY_INVALID,
                f'{QUERY}: {names.count(wanted)} columns are called "{shown(wanted)}": name them apart by AS',
            )
        column = present[names.index(wanted)]
        _check_type(column, field, engine)
        found.append(column)
    return found


def _check_type(column: QueryColumn, field: DataField, engine: Engine) -> None:
    if column.kind is not None and field.type in _FITS[column.kind]:
        return
    name = shown(column.name)
    in_sql = quoted(name, engine)
    made = f"CAST({in_sql} AS {_CASTS[engine][field.type]})"
    if column.type_name == GEOMETRY:
        made = f"ST_AsText({in_sql})"
    cast = f"write {made} AS {in_sql} in the query"
    if column.kind is None:
        problem = f'column "{name}" is {column.type_name}, which is not read'
        way_out = f"{cast} if that is what is meant, or leave the field out"
    else:
        problem = f'column "{name}" is {column.type_name}, and {field.type} in spec.fields'
        way_out = f"say type: {_FITS[column.kind][0]}, or {cast}"
    raise BadInput(Reason.SCHEMA_MISMATCH, f"{QUERY}: {problem}: {way_out}")


def check_watermark(column: QueryColumn) -> None:
    """Raise BadInput for a column of a type whose order is not that of the field."""
    if column.kind not in _ORDERED:
        raise BadInput(
            Reason.SCHEMA_MISMATCH,
            f'spec.source.sql.incremental.column: "{shown(column.name)}" is {column.type_name}: name a column of whole '
            "numbers or times, or read all rows at each sync",
        )


def quoted(name: str, engine: Engine) -> str:
    """Return a column's name as it stands in SQL."""
    sign = "`" if engine == "mariadb" else '"'
    return sign + name.replace(sign, sign * 2) + sign


def converted(
    values: Sequence[pl.Series], columns: Sequence[QueryColumn], contract: Contract, rows_before: int
) -> pl.DataFrame:
    """Return rows in the types of the contract; `values` has a series for each field. Raises BadInput."""
    made = []
    for field, column, series in zip(contract.fields, columns, values, strict=True):
        contract.note_zone(series, field)
        if column.kind == "numeric" and field.null_values:
            series = _without_nulls(series, field)
        made.append(convert(series.alias(field.name), field, QUERY, rows_before, contract.pii))
    return pl.DataFrame(made)


def _without_nulls(series: pl.Series, field: DataField) -> pl.Series:
    """Return decimals, which come as text, without those that mean a missing value: 5.00 is the 5 of nullValues."""
    nulls = numbers_of(field.null_values or ())
    return only_where(series, pl.Series([not _is_one_of(text, nulls) for text in series], dtype=pl.Boolean))


def _is_one_of(text: str | None, numbers: frozenset[Decimal]) -> bool:
    try:
        return text is not None and Decimal(text) in numbers
    except InvalidOperation:
        return False


def bad_time(column: QueryColumn, row: int, engine: Engine, what: str = "") -> BadInput:
    """Return the error for a time that no calendar has; `what`: how its database writes it, where it has a word."""
    name = quoted(shown(column.name), engine)
    said = what or "a value"
    way_out = (
        f"write NULLIF({name}, '{what}') AS {name} in the query if it means a missing value"
        if what
        else "leave such rows out in the query"
    )
    return BadInput(
        Reason.SCHEMA_MISMATCH,
        f'{QUERY}: row {row}, column "{shown(column.name)}": {said} is no time of the years 1 to 9999: {way_out}',
    )
