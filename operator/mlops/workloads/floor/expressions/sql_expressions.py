"""SQL expressions over the columns of one row, the same at ingest and in the model server.

An expression is polars' SQL dialect. Timestamps are in UTC inside it (`day >= timestamp '2020-01-01'`). It must be a
pure function of its row: what it gives for a row never depends on other rows, on the clock or on chance, because the
model server sees one row at a time.

Division by zero gives infinity for floats (0/0: missing) and missing for `%` and `//` of integers; a result that is
not a number is missing. Infinity stays: the contract of a Dataset refuses it, and so does the model server.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import polars as pl

from mlops.api.dataset import Feature, FieldType
from mlops.workloads.floor.expressions.sql_growth import Growth, Unbounded, growth
from mlops.workloads.floor.expressions.sql_text import SqlRefused, check_text
from mlops.workloads.floor.pod import is_panic

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
MAX_DEPTH = 100
# A text that an expression makes, unless the row's own are longer; and all of them of one frame together.
LONGEST_TEXT, LARGEST_RESULT = 1 << 20, 1 << 30
# What may be in memory at once while texts are computed.
_AT_ONCE = 256 << 20
# Python's timestamps go no further, and what reads a version writes them as such.
FIRST_TIMESTAMP, LAST_TIMESTAMP = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


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
    _check_nodes(expression, parsed, frozenset(name for name, kind in columns.items() if kind == "string"))
    unknown = [name for name in parsed.meta.root_names() if name not in columns]
    if unknown:
        present = ", ".join(columns) or "none"
        raise ExpressionError(expression, f'names "{unknown[0]}", which is no column; there are: {present}')
    empty = pl.LazyFrame(schema={name: _inside(DTYPES[kind]) for name, kind in columns.items()})
    with _engine(expression, "cannot be computed"):
        dtype = empty.select(parsed.alias("result")).collect_schema()["result"]
        empty.select(parsed.alias("result")).collect()
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

    Raises ExpressionError as `check` does; its message shows no value if one of the columns is `hidden`.
    """
    kinds = ((name, _kind(dtype)) for name, dtype in frame.schema.items())
    parsed = _checked(expression, tuple((name, kind) for name, kind in kinds if kind is not None))
    names = sorted(set(parsed.meta.root_names()) & set(frame.columns))
    marker = "\0rows"
    inside = frame.select(pl.int_range(pl.len()).alias(marker), *(_entering(frame, name) for name in names))
    pieces = []
    for piece in _pieces(expression, frame.columns, inside):
        with _engine(expression, "cannot be computed", hidden=bool(hidden.intersection(names))):
            pieces.append(_leaving(piece.select(pl.col(marker), parsed.alias("\0result"))["\0result"]))
        _check_result(expression, pieces, inside)
    return pieces[0] if len(pieces) == 1 else pl.concat(pieces)


def _pieces(expression: str, frame_columns: Iterable[str], inside: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the rows in pieces for which what the expression may make of their texts fits into memory."""
    texts = [name for name, dtype in inside.schema.items() if dtype == pl.String]
    grows = _grows(expression, tuple(frame_columns), frozenset(texts))
    together = (
        inside.select(pl.sum_horizontal(pl.col(texts).str.len_bytes().fill_null(0))).to_series() if texts else None
    )
    longest = cast("int", together.max() or 0) if together is not None else 0
    row = grows.factor * longest + grows.added
    if row > _AT_ONCE:
        raise ExpressionError(
            expression, f"may make a text of {row:.0f} bytes of one of {longest}; at most {_AT_ONCE} are allowed"
        )
    whole = (grows.factor * cast("int", together.sum()) if together is not None else 0.0) + grows.added * len(inside)
    if whole <= _AT_ONCE or not row:
        yield inside
        return
    rows = max(1, int(_AT_ONCE // row))
    for first in range(0, len(inside), rows):
        yield inside[first : first + rows]


def _check_result(expression: str, pieces: list[pl.Series], inside: pl.DataFrame) -> None:
    """Refuse what no column can hold: endless texts, timestamps beyond the calendar."""
    newest = pieces[-1]
    if newest.dtype == pl.String:
        longest = cast("int", newest.str.len_bytes().max() or 0)
        if longest > LONGEST_TEXT:
            texts = [column for column in inside.get_columns() if column.dtype == pl.String]
            own = max((cast("int", column.str.len_bytes().max() or 0) for column in texts), default=0)
            if longest > own:
                raise ExpressionError(
                    expression, f"gives a text of {longest} bytes; at most {LONGEST_TEXT} are allowed: shorten it"
                )
        if len(pieces) > 1 and sum(piece.estimated_size() for piece in pieces) > LARGEST_RESULT:
            raise ExpressionError(
                expression, f"gives more than {LARGEST_RESULT} bytes for {len(inside)} rows: shorten its texts"
            )


@lru_cache(maxsize=512)
def _grows(expression: str, columns: tuple[str, ...], texts: frozenset[str]) -> Growth:
    return growth(_tree(expression, _parse(expression, columns)), texts)


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
    try:
        check_text(expression, columns)
    except SqlRefused as error:
        raise ExpressionError(expression, str(error)) from error
    with _engine(expression, "cannot be parsed"):
        return pl.sql_expr(expression)


@contextmanager
def _engine(expression: str, problem: str, *, hidden: bool = False) -> Iterator[None]:
    """Turn what the engine raises into an error of the expression, also when it gives up; `hidden` shows no value."""
    try:
        yield
    except ExpressionError:
        raise
    except pl.exceptions.PolarsError as error:
        said = _first_line(error)
        if hidden:
            # Polars ends its message in the values that it could not read.
            raise ExpressionError(expression, f"{problem}: {said.partition(': [')[0]}") from None
        raise ExpressionError(expression, f"{problem}: {said}") from error
    except BaseException as error:
        if not (is_panic(error) or isinstance(error, _OF_THE_BINDING)):
            raise
        if hidden:
            raise ExpressionError(expression, f"{problem}: the SQL engine gave up") from None
        raise ExpressionError(expression, f"{problem}: the SQL engine gave up: {_first_line(error)}") from error


# What the engine's Python side raises for values that its types cannot hold.
_OF_THE_BINDING = (ArithmeticError, MemoryError, RecursionError, TypeError, ValueError)


def _tree(expression: str, parsed: pl.Expr) -> Any:
    with warnings.catch_warnings(), _engine(expression, f"is nested too deeply, at most {MAX_DEPTH} are allowed"):
        warnings.simplefilter("ignore")  # the JSON form is for this version only, and is not kept
        return json.loads(parsed.meta.serialize(format="json"))


def _check_nodes(expression: str, parsed: pl.Expr, texts: frozenset[str]) -> None:
    tree = _tree(expression, parsed)
    for depth, tag, member in _nodes(tree):
        if depth > MAX_DEPTH:
            raise ExpressionError(
                expression, f"is nested more than {MAX_DEPTH} deep: split it into several features, or use brackets"
            )
        if tag not in _NODES and tag not in {"function"}:
            raise ExpressionError(expression, _not_row_by_row(tag))
        if tag == "function" and member is not None:
            name, *inner = member
            if name not in _FUNCTIONS or (inner and inner[0] in _REFUSED_MEMBERS):
                raise ExpressionError(expression, _not_row_by_row(inner[0] if inner else name))
    try:
        growth(tree, texts)
    except Unbounded as error:
        raise ExpressionError(expression, str(error)) from error


def _nodes(tree: Any) -> Iterator[tuple[int, str, tuple[str, ...] | None]]:
    """Yield (depth, tag, None) for each node, and (depth, "function", (name, member)) for each function."""
    todo = [(1, tree)]
    while todo:
        depth, node = todo.pop()
        match node:
            case str():
                yield depth, node, None
            case {"Literal": literal} if isinstance(literal, dict) and {"Scalar", "Dyn"} & literal.keys():
                yield depth, "Literal", None
            case {"Column": _}:
                yield depth, "Column", None
            case {"Alias": [inner, _]}:
                yield depth, "Alias", None
                todo.append((depth + 1, inner))
            case {"BinaryExpr": {"left": left, "right": right}}:
                todo += [(depth + 1, right), (depth + 1, left)]
            case {"Cast": {"expr": inner, "dtype": {"Literal": dtype}}}:
                if isinstance(dtype, dict) and dtype.get("Datetime", [None, None])[1] is not None:
                    yield depth, "time zone", None
                todo.append((depth + 1, inner))
            case {"Ternary": {"predicate": predicate, "truthy": truthy, "falsy": falsy}}:
                todo += [(depth + 1, each) for each in (falsy, truthy, predicate)]
            case {"Function": {"input": inputs, "function": function}}:
                yield depth, "function", _member(function)
                todo += [(depth + 1, each) for each in reversed(inputs)]
            case dict():
                yield depth, next(iter(node)), None
            case _:
                yield depth, type(node).__name__, None


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
        timestamps = result.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        if not timestamps.is_between(FIRST_TIMESTAMP, LAST_TIMESTAMP).fill_null(True).all():
            raise pl.exceptions.ComputeError("a timestamp outside of the years 1 to 9999")
        return timestamps
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
            with _engine(expression, "cannot be computed"):
                whole = frame.with_columns(parsed.alias("\0r"))["\0r"]
                single = pl.concat([frame[i : i + 1].with_columns(parsed.alias("\0r"))["\0r"] for i in range(6)])
        except ExpressionError:
            continue  # these values cannot be computed (text that is no number); others may
        if not whole.equals(single, null_equal=True):
            raise ExpressionError(expression, "is not computed row by row: a row's value depends on other rows")


def _first_line(error: BaseException) -> str:
    line = str(error).partition("\n")[0]
    # Some of them go on with the parser's own view of the text, which says nothing to anybody.
    return line if len(line) <= _LONGEST_PROBLEM else line.partition(": ")[0][:_LONGEST_PROBLEM]
