"""SQL expressions over the columns of one row, the same at ingest and in the model server.

An expression is polars' SQL dialect. Timestamps are in UTC inside it (`day >= timestamp '2020-01-01'`). It must be a
pure function of its row: what it gives for a row never depends on other rows, on the clock or on chance, because the
model server sees one row at a time.

Division by zero gives infinity for floats (0/0: missing) and missing for `%` and `//` of integers; a result that is
not a number is missing. Infinity is left standing: the contract of a Dataset refuses it, and so does the model server.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

import polars as pl

from mlops.api.dataset import Feature, FieldType

DTYPES: Mapping[FieldType, pl.DataType] = {
    "float64": pl.Float64(),
    "int64": pl.Int64(),
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "timestamp": pl.Datetime("us", "UTC"),
}

# Only what is on these lists is let through: a new polars may bring new ways to look at other rows.
_NODES = {"Alias", "BinaryExpr", "Cast", "Column", "Function", "Literal", "Ternary"}
_FUNCTIONS = {
    "Abs", "Atan2", "BinaryExpr", "Boolean", "Cbrt", "Ceil", "Clip", "Coalesce", "Degrees", "Exp", "Expm1", "Floor",
    "Log", "Log1p", "MaxHorizontal", "MinHorizontal", "Negate", "NullCount", "Pow", "Radians", "Round", "RoundSF",
    "Sign", "Sql", "Sqrt", "StringExpr", "TemporalExpr", "Trigonometry", "FillNull", "FillNan", "NullIf", "Bitwise",
}  # fmt: skip
_REFUSED_MEMBERS = {"All", "Any", "ConcatVertical", "IsDuplicated", "IsFirstDistinct", "IsLastDistinct", "IsUnique"}
_LONGEST_PROBLEM = 200
_CLOCK = {"now", "today", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "getdate"}
_CHANCE = {"random", "rand", "uuid", "gen_random_uuid"}
_SUBQUERY = {"select", "exists"}
_WORD = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_]*|--|/\*""")


class ExpressionError(ValueError):
    """An expression that cannot be used; the message names the expression and what to change."""

    def __init__(self, expression: str, problem: str) -> None:
        shown = expression if len(expression) <= 120 else expression[:117] + "..."
        super().__init__(f"the expression `{shown}` {problem}")
        self.expression, self.problem = expression, problem


def check(expression: str, columns: Mapping[str, FieldType]) -> FieldType:
    """Return the type of the expression over columns of these types.

    Raises ExpressionError if it cannot be parsed, names a column that is not there, has a type that a column cannot
    have, or is not row by row: aggregates, windows, shifts, subqueries, chance, the clock.
    """
    parsed = _parse(expression, tuple(columns))
    for tag, member in _nodes(_tree(parsed)):
        if tag not in _NODES and tag not in {"function"}:
            raise ExpressionError(expression, _not_row_by_row(tag))
        if tag == "function" and member is not None:
            name, *inner = member
            if name not in _FUNCTIONS or (inner and inner[0] in _REFUSED_MEMBERS):
                raise ExpressionError(expression, _not_row_by_row(inner[0] if inner else name))
    unknown = [name for name in parsed.meta.root_names() if name not in columns]
    if unknown:
        there = ", ".join(columns) or "none"
        raise ExpressionError(expression, f'names "{unknown[0]}", which is no column; there are: {there}')
    empty = pl.LazyFrame(schema={name: _inside(DTYPES[kind]) for name, kind in columns.items()})
    try:
        dtype = empty.select(parsed.alias("result")).collect_schema()["result"]
        empty.select(parsed.alias("result")).collect()
    except pl.exceptions.PolarsError as error:
        raise ExpressionError(expression, f"cannot be computed: {_first_line(error)}") from error
    kind = _kind(dtype)
    if kind is None:
        allowed = ", ".join(DTYPES)
        raise ExpressionError(expression, f"gives {dtype}, which no column can hold; columns are {allowed}: cast it")
    _try_out(expression, parsed, columns)
    return kind


def compute(frame: pl.DataFrame, features: Iterable[Feature], hidden: frozenset[str] = frozenset()) -> pl.DataFrame:
    """Return `frame` with one column more for each feature, in order; a later one may use an earlier one.

    Raises ExpressionError for a feature that `check` refuses, and if a value cannot be computed, such as a cast of text
    that is no number; it shows no value of a `hidden` column.
    """
    for feature in features:
        result = evaluate(frame, feature.expression, hidden)
        frame = frame.with_columns(result.alias(feature.name))
    return frame


def evaluate(frame: pl.DataFrame, expression: str, hidden: frozenset[str] = frozenset()) -> pl.Series:
    """Return the expression's values, one per row, in the type of a column.

    Raises ExpressionError as `check` does, and one whose message shows no value if one of the columns is `hidden`.
    """
    kinds = ((name, _kind(dtype)) for name, dtype in frame.schema.items())
    parsed = _checked(expression, tuple((name, kind) for name, kind in kinds if kind is not None))
    names = sorted(set(parsed.meta.root_names()) & set(frame.columns))
    marker = "\0rows"
    inside = frame.select(pl.int_range(pl.len()).alias(marker), *(_entering(frame, name) for name in names))
    try:
        result = inside.select(pl.col(marker), parsed.alias("\0result"))["\0result"]
    except pl.exceptions.PolarsError as error:
        problem = _first_line(error)
        if hidden.intersection(names):
            # Polars ends its message in the values that it could not read.
            raise ExpressionError(expression, f"cannot be computed: {problem.partition(': [')[0]}") from None
        raise ExpressionError(expression, f"cannot be computed: {problem}") from error
    return _leaving(result)


def computed_from(expression: str, columns: Iterable[str]) -> frozenset[str]:
    """Return which of the columns an expression reads. Raises ExpressionError."""
    known = tuple(columns)
    return frozenset(_parse(expression, known).meta.root_names()) & frozenset(known)


def with_derived(names: Iterable[str], features: Iterable[tuple[str, str]], columns: Iterable[str]) -> frozenset[str]:
    """Return the columns named, and every feature (name, expression) that is computed from one of them, however far."""
    found, known = set(names), list(columns)
    for name, expression in features:
        if computed_from(expression, known) & found:
            found.add(name)
        known.append(name)
    return frozenset(found)


# Whoever computes an expression comes through here, so that there is no way around the check. A model server computes
# the same few expressions for every request.
@lru_cache(maxsize=512)
def _checked(expression: str, columns: tuple[tuple[str, FieldType], ...]) -> pl.Expr:
    check(expression, dict(columns))
    return _parse(expression, tuple(name for name, _ in columns))


@lru_cache(maxsize=512)
def _parse(expression: str, columns: tuple[str, ...]) -> pl.Expr:
    known = set(columns)
    for match in _WORD.finditer(expression):
        word = match[0].lower()
        called = expression[match.end() :].lstrip().startswith("(")
        if match[0] in known and not called:
            continue
        if word in {"--", "/*"}:
            raise ExpressionError(expression, "has a comment: leave it out")
        if word in _SUBQUERY:
            raise ExpressionError(expression, "has a subquery, but must be computed row by row from the row's columns")
        if word in _CHANCE and called:
            raise ExpressionError(expression, f"uses {word}(): a row must always give the same value")
        if word in _CLOCK and (called or word.startswith(("current_", "local"))):
            raise ExpressionError(expression, f"uses the clock ({word}): a row must always give the same value")
    try:
        return pl.sql_expr(expression)
    except pl.exceptions.PolarsError as error:
        raise ExpressionError(expression, f"cannot be parsed: {_first_line(error)}") from error


def _tree(parsed: pl.Expr) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the JSON form is for this version only, and is not kept
        return json.loads(parsed.meta.serialize(format="json"))


def _nodes(tree: Any) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    """Yield (tag, None) for each node of an expression, and ("function", (name, member)) for each function."""
    match tree:
        case str():
            yield tree, None
        case {"Literal": literal} if isinstance(literal, dict) and {"Scalar", "Dyn"} & literal.keys():
            yield "Literal", None
        case {"Column": _}:
            yield "Column", None
        case {"Alias": [inner, _]}:
            yield "Alias", None
            yield from _nodes(inner)
        case {"BinaryExpr": {"left": left, "right": right}}:
            yield from _nodes(left)
            yield from _nodes(right)
        case {"Cast": {"expr": inner, "dtype": {"Literal": dtype}}}:
            if isinstance(dtype, dict) and dtype.get("Datetime", [None, None])[1] is not None:
                yield "time zone", None
            yield from _nodes(inner)
        case {"Ternary": {"predicate": predicate, "truthy": truthy, "falsy": falsy}}:
            for inner in (predicate, truthy, falsy):
                yield from _nodes(inner)
        case {"Function": {"input": inputs, "function": function}}:
            yield "function", _member(function)
            for inner in inputs:
                yield from _nodes(inner)
        case dict():
            yield next(iter(tree)), None
        case _:
            yield type(tree).__name__, None


def _member(function: Any) -> tuple[str, ...]:
    if isinstance(function, str):
        return (function,)
    name, inner = next(iter(cast("dict[str, Any]", function).items()))
    if isinstance(inner, str):
        return (name, inner)
    return (name, next(iter(inner))) if isinstance(inner, dict) and inner else (name,)


def _not_row_by_row(what: str) -> str:
    names = {
        "Agg": "an aggregate",
        "Len": "a count of rows",
        "Over": "a window",
        "SubPlan": "a subquery",
        "Explode": "unnest",
        "Selector": "a choice of columns",
        "time zone": "a cast to a time zone: timestamps are in UTC here",
    }
    return f"is not computed row by row: it has {names.get(what, what)}"


def _kind(dtype: pl.DataType) -> FieldType | None:
    if dtype.is_integer():
        return "int64"
    if dtype.is_float():
        return "float64"
    if isinstance(dtype, pl.Date | pl.Datetime):
        return "timestamp"
    return "boolean" if dtype == pl.Boolean else "string" if dtype == pl.String else None


def _inside(dtype: pl.DataType) -> pl.DataType:
    """Timestamps are without a zone inside an expression, so that SQL's literals can be compared with them."""
    return pl.Datetime("us") if isinstance(dtype, pl.Datetime) else dtype


def _entering(frame: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    dtype = frame.schema[name]
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column


def _leaving(result: pl.Series) -> pl.Series:
    kind = _kind(result.dtype)
    if kind == "timestamp":
        return result.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    result = result.cast(DTYPES[kind]) if kind is not None else result
    return plain_floats(result) if kind == "float64" else result


def plain_floats(column: pl.Series) -> pl.Series:
    """Return floats with NaN as missing and minus zero as zero: one number is written in one way.

    Adding 0.0 would do for zero, but polars takes that for nothing to do.
    """
    plain = column.fill_nan(None)
    return plain.zip_with((plain != 0.0).fill_null(True), pl.Series([0.0]))


_SAMPLES: Mapping[FieldType, tuple[list[Any], list[Any]]] = {
    "float64": ([1.0, 2.5, -3.0, 0.25, 7.0, 2.5], [3.0, 1.0, None, 2.0, 0.5, 9.0]),
    "int64": ([1, 2, -3, 4, 7, 2], [3, 1, None, 2, 5, 9]),
    "string": (["7", "1.5", "2", "30", "4", "1.5"], ["b", "a", None, "c a", "", "Z"]),
    "boolean": ([True, False, True, True, False, False], [False, True, None, True, False, True]),
    "timestamp": ([1, 86_400_000_000, 3, 10**15, 5, 3], [7, 1, None, 10**15, 10**14, 2]),
}


def _try_out(expression: str, parsed: pl.Expr, columns: Mapping[str, FieldType]) -> None:
    """Compute a small frame as a whole and row by row: a second net below the list of functions."""
    names = sorted(set(parsed.meta.root_names()))
    for sample in range(2):
        data = {name: pl.Series(_SAMPLES[columns[name]][sample]) for name in names}
        frame = pl.DataFrame(data or {"\0": [0] * 6}).cast({name: _inside(DTYPES[columns[name]]) for name in names})
        try:
            whole = frame.with_columns(parsed.alias("\0r"))["\0r"]
            single = pl.concat([frame[i : i + 1].with_columns(parsed.alias("\0r"))["\0r"] for i in range(6)])
        except pl.exceptions.PolarsError:
            continue  # these values cannot be computed (text that is no number); others may
        if not whole.equals(single, null_equal=True):
            raise ExpressionError(expression, "is not computed row by row: a row's value depends on other rows")


def _first_line(error: Exception) -> str:
    line = str(error).partition("\n")[0]
    # Some of them go on with the parser's own view of the text, which says nothing to anybody.
    return line if len(line) <= _LONGEST_PROBLEM else line.partition(": ")[0][:_LONGEST_PROBLEM]
