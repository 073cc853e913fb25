"""Expressions drawn by type, and rows of the hardest values."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from random import Random
from typing import Any

import polars as pl

from mlops.api.dataset import FieldType
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.expressions import ExpressionError, Program
from mlops.workloads.floor.expressions.errors import RowProblem
from mlops.workloads.floor.expressions.frames import values_of_series
from mlops.workloads.floor.expressions.vector import scalars_of

COLUMNS: dict[str, FieldType] = {
    "a": "float64", "x": "float64", "b": "int64", "i": "int64", "s": "string", "r": "string", "t": "timestamp",
    "u": "timestamp", "o": "boolean", "p": "boolean",
}  # fmt: skip
FLOATS = (
    0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, 2.5, -2.5, 3.5, 5e-324, -5e-324, 2.2250738585072014e-308, 1e308, -1e308,
    1.7976931348623157e308, math.inf, -math.inf, math.nan, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63),
    9.007199254740993e15,
    math.pi, 100.0, 1e-5, 1.2345e-5, 1e16, 123456789.125, None,
)  # fmt: skip
INTEGERS = (
    0, 1, -1, 2, 3, 7, -7, 9, 10, 63, 64, 2**31, -(2**31), 2**32 - 1, 2**53, 2**53 + 1, 2**62, -(2**62), 2**63 - 1,
    -(2**63), -(2**63) + 1, 3037000500, 4_000_000_000, 86_400_000_000, 128, 255, 1000, -20, 12345, None,
)  # fmt: skip
TEXTS = (
    "", "a", "A", "Hello world", " x ", "\t\u00a0y\u2003", "ß", "ÄÖÜ äöü", "ŉﬁ", "ΑΣ ΣΑΣ", "İi", "e\u0301\u0301b",
    "👨\u200d👩\u200d👧 🇩🇪", "%_\\", "a%b_c", "it's", "12", "-3.5", "+4", "1e3", "9223372036854775808", "nan", "inf",
    "(((", "$1 \\1",
    "2024-02-29", "2024-02-29T12:30:45.123456Z", "0001-01-01", "x" * 300, None,
)  # fmt: skip
TIMES = (
    datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 2, 29, 13, 45, 59, 123456, tzinfo=UTC),
    datetime(2000, 1, 1, tzinfo=UTC), datetime(1900, 3, 1, tzinfo=UTC), datetime(2021, 1, 3, 23, 0, tzinfo=UTC),
    datetime(2020, 12, 31, 12, tzinfo=UTC), datetime(2024, 12, 30, tzinfo=UTC), datetime(4, 2, 29, tzinfo=UTC),
    datetime(2262, 4, 12, tzinfo=UTC), datetime(1677, 9, 21, tzinfo=UTC), datetime(2024, 1, 31, tzinfo=UTC), None,
)  # fmt: skip
TRUTHS = (True, False, None)
_VALUES: dict[FieldType, tuple[Any, ...]] = {
    "float64": FLOATS, "int64": INTEGERS, "string": TEXTS, "timestamp": TIMES, "boolean": TRUTHS,
}  # fmt: skip


def hard_rows(draw: Random, rows: int) -> pl.DataFrame:
    """Return rows of hard values: each value of a type in the first columns, any in the others."""
    data = {}
    for name, kind in COLUMNS.items():
        values = _VALUES[kind]
        first = name in "absto"
        data[name] = [values[row % len(values)] if first else draw.choice(values) for row in range(rows)]
    return pl.DataFrame(data, schema={name: DTYPES[kind] for name, kind in COLUMNS.items()}, strict=False)


def bits(value: Any) -> Any:
    """Return a value so that equal means equal bits: minus zero is not zero, True is not 1, NaN is missing."""
    if isinstance(value, float):
        return None if value != value else struct.pack("<d", value)
    return (type(value).__name__, value) if value is not None else None


def one_by_one(made: Program, frame: pl.DataFrame) -> list[Any]:
    """Return what each row gives alone, as a model server computes it: its bits, or what is wrong with it."""
    columns = [scalars_of(values_of_series(frame[name])) for name in made.reads]
    compute = made.on({name: slot for slot, name in enumerate(made.reads)})
    found: list[Any] = []
    for row in zip(*columns, strict=True) if columns else [()] * frame.height:
        try:
            found.append(bits(compute(row)))
        except RowProblem as problem:
            found.append(ExpressionError(made.expression, problem.message(hidden=False)))
    return found


_LITERALS = {
    "float64": ("0.0", "-1.5", "2.5", "1e308", "0.1", "1e-300", "3.0", "9.0", "100.0"),
    "int64": ("0", "1", "-1", "2", "3", "100", "9223372036854775807", "-9223372036854775808", "4611686018427387904"),
    "string": ("''", "'a'", "'Σß'", "' x'", "'12'", "'2024-02-29'"),
    "timestamp": ("timestamp '2024-02-29 12:00:00'", "timestamp '0001-01-01'", "date '9999-12-31'"),
    "boolean": ("TRUE", "FALSE", "NULL"),
}
# {f} a float, {n} a number, {i} an integer, {s} a text, {t} a time, {o} a condition, {@} of the same type
_FORMS: dict[str, tuple[str, ...]] = {
    "float64": (
        "({n} + {f})", "({f} - {n})", "({f} * {f})", "({f} / {f})", "({i} / {i})", "({f} % {f})", "(-{f})", "abs({f})",
        "sqrt({n})", "exp({f})", "ln({n})", "log10({f})", "log2({f})", "log1p({f})", "cbrt({f})", "sin({f})",
        "cos({n})",
        "tan({f})", "cot({f})", "asin({f})", "acos({f})", "atan({f})", "sind({f})", "cosd({f})", "tand({f})",
        "cotd({f})",
        "asind({f})", "acosd({f})", "atand({f})", "atan2({f}, {n})", "atan2d({f}, {f})", "degrees({f})", "radians({f})",
        "pow({f}, {n})", "log({f}, {n})", "round({f})", "round({f}, 2)", "round({f}, 20)", "floor({f})", "ceil({f})",
        "sign({f})", "CAST({n} AS DOUBLE)", "CAST({n} AS REAL)", "TRY_CAST({s} AS DOUBLE)", "extract(epoch FROM {t})",
        "extract(millisecond FROM {t})", "(({t} - {t}) / interval '1 day')", "mod({f}, {f})", "pi()",
    ),
    "int64": (
        "({i} + {i})", "({i} - {i})", "({i} * {i})", "({i} % {i})", "({i} // {i})", "({f} // {f})", "(-{i})",
        "abs({i})",
        "sign({i})", "({i} & {i})", "({i} | {i})", "({i} XOR {i})", "bit_not({i})", "bit_count({i})", "pow({i}, {i})",
        "length({s})", "octet_length({s})", "bit_length({s})", "strpos({s}, {s})", "position({s} IN {s})", "year({t})",
        "month({t})", "day({t})", "hour({t})", "minute({t})", "second({t})", "quarter({t})", "week({t})",
        "weekday({t})",
        "dayofyear({t})", "extract(isoyear FROM {t})", "extract(decade FROM {t})", "extract(century FROM {t})",
        "date_part('millennium', {t})", "CAST({f} AS BIGINT)", "TRY_CAST({f} AS BIGINT)", "TRY_CAST({s} AS BIGINT)",
        "CAST({i} AS INT)", "TRY_CAST({i} AS SMALLINT)", "CAST({t} AS BIGINT)", "CAST({o} AS INT)", "round({i}, 1)",
        "floor({i})", "CAST({t} - {t} AS BIGINT)", "CAST({s} AS BIGINT)", "div({i}, {i})", "mod({i}, {i})",
    ),
    "string": (
        "({s} || {s})", "({s} + {s})", "concat({s}, {n}, {t})", "concat_ws('-', {s}, {i})", "concat_ws({s}, {s}, {s})",
        "lower({s})", "upper({s})", "initcap({s})", "reverse({s})", "trim({s})", "ltrim({s}, 'aH')", "rtrim({s})",
        "trim(both ' ' FROM {s})", "left({s}, {i})", "right({s}, {i})", "substr({s}, {i})", "substr({s}, {i}, 3)",
        "replace({s}, 'a', 'bb')", "replace({s}, '', '-')", "lpad({s}, 5, 'x')", "rpad({s}, 7)", "normalize({s}, NFKD)",
        "regexp_replace({s}, '[a-l]+', '<&>', 'g')", "CAST({f} AS VARCHAR)", "CAST({i} AS TEXT)",
        "CAST({t} AS VARCHAR)",
        "CAST({o} AS TEXT)", "CAST(date({t}) AS TEXT)", "strftime({t}, '%Y/%m/%d %H')", "({s} || {n})",
    ),
    "timestamp": (
        "({t} + interval '1 month')", "({t} - interval '1 year 2 days')", "({t} + ({t} - {t}))", "date({t})",
        "CAST({t} AS DATE)", "CAST({i} AS TIMESTAMP)", "TRY_CAST({s} AS TIMESTAMP)", "strptime({s}, '%Y-%m-%d')",
        "({t} + interval '1 hour')", "(({t} - {t}) * {i} + {t})", "timestamp({s})",
    ),
    "boolean": (
        "({n} < {n})", "({f} <= {i})", "({n} = {n})", "({i} <> {f})", "({s} < {s})", "({s} = {s})", "({t} >= {t})",
        "({o} = {o})",
        "({o} AND {o})", "({o} OR {o})", "(NOT {o})", "({o} XOR {o})", "({o} & {o})", "({n} BETWEEN {n} AND {n})",
        "(a BETWEEN {i} AND {f})", "({s} BETWEEN {s} AND {s})", "({n} IN (1, 2.5, {n}))", "({i} IN (1, 3, 64))",
        "({f} IN (0, 2.5, 100))", "({s} IN ('a', ''))", "({s} NOT IN ('a', {s}))", "({n} IS NULL)", "({s} IS NOT NULL)",
        "({o} IS TRUE)", "({o} IS NOT FALSE)", "({n} IS DISTINCT FROM {n})", "({s} <=> {s})", "({s} LIKE '%a_%')",
        "({s} ILIKE 'h%D')", "({s} NOT LIKE '%')", "({s} ~ '^[a-m]')", "({s} !~* 'L+')", "starts_with({s}, {s})",
        "ends_with({s}, 'b')", "regexp_like({s}, '.b', 'i')", "(({t} - {t}) > interval '36 hours')",
        "CAST({n} AS BOOLEAN)",
        "({s} ^@ 'H')", "regexp_like({s}, {s})",
    ),
}  # fmt: skip
_ANY = (
    "CASE WHEN {o} THEN {@} ELSE {@} END", "CASE WHEN {o} THEN {@} WHEN {o} THEN {@} END", "coalesce({@}, {@}, {@})",
    "CASE {i} WHEN 1 THEN {@} WHEN {f} THEN {@} ELSE {@} END", "CASE {s} WHEN 'a' THEN {@} WHEN {s} THEN {@} END",
    "nullif({@}, {@})", "if({o}, {@}, {@})", "ifnull({@}, {@})", "greatest({@}, {@})", "least({@}, {@}, {@})",
)  # fmt: skip
_PLACES = {"f": "float64", "i": "int64", "s": "string", "t": "timestamp", "o": "boolean"}
KINDS = tuple(_FORMS)


def forms(kind: str) -> tuple[str, ...]:
    """Return the operators and functions that give this type, with places for their operands."""
    return (*_FORMS[kind], *_ANY)


def expression(draw: Random, kind: str, depth: int) -> str:
    """Return an expression of this type, at most `depth` operations deep."""
    if depth == 0 or draw.random() < 0.15:
        columns = [name for name, of in COLUMNS.items() if of == kind]
        return draw.choice((*columns, *columns, draw.choice(_LITERALS[kind])))
    return filled(draw, draw.choice(forms(kind)), kind, depth)


def filled(draw: Random, form: str, kind: str, depth: int) -> str:
    """Return a form with an expression in each place."""
    parts = form.replace("{", "\0{").split("\0")
    made = [parts[0]]
    for part in parts[1:]:
        place, rest = part[1], part[3:]
        of = kind if place == "@" else draw.choice(("float64", "int64")) if place == "n" else _PLACES[place]
        made.append(expression(draw, of, depth - 1) + rest)
    return "".join(made)
