"""What expressions give, held against exact integers, against fractions, and against polars where polars is right."""

from __future__ import annotations

import math
import operator
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import polars as pl
import pytest

from mlops.workloads.floor.column_types import DTYPES, kind_of, plain_floats
from mlops.workloads.floor.expressions import ExpressionError, program
from mlops.workloads.floor.expressions.frames import evaluate
from tests.workloads.floor.expressions.drawn import INTEGERS

# -- integers: exact, or an error that names the row

_LEAST, _MOST = -(2**63), 2**63 - 1
Exact = Callable[[dict[str, int]], int]


class Beyond(Exception):
    """An exact value that int64 does not hold."""


def _within(value: int) -> int:
    if not _LEAST <= value <= _MOST:
        raise Beyond
    return value


def _towards_zero(x: int, y: int) -> int:
    return math.trunc(Fraction(x, y)) if y else 0


def _sign_of_dividend(x: int, y: int) -> int:
    return x - y * _towards_zero(x, y) if y else 0


_INTEGER = {
    "({} + {})": operator.add, "({} - {})": operator.sub, "({} * {})": operator.mul,
    "coalesce({} // nullif({}, 0), 0)": _towards_zero, "coalesce(mod({}, {}), 0)": _sign_of_dividend,
    "greatest({}, {})": max, "bit_xor({}, {})": operator.xor, "({} & {})": operator.and_,
}  # fmt: skip
_OF_ONE = {"(-{})": operator.neg, "abs({})": abs, "pow({}, 2)": lambda x: x * x, "bit_not({})": operator.invert}


def _exact(draw: Random, depth: int) -> tuple[str, Exact]:
    """Return an expression of integers, and the same in Python's integers, which do not wrap."""
    if depth == 0 or draw.random() < 0.2:
        if draw.random() < 0.7:
            name = draw.choice("bi")
            return name, lambda row: row[name]
        number = draw.choice([one for one in INTEGERS if one is not None])
        return f"({number})", lambda row: number
    x, of_x = _exact(draw, depth - 1)
    if draw.random() < 0.3:
        form, unary = draw.choice(list(_OF_ONE.items()))
        return form.format(x), lambda row: _within(unary(of_x(row)))
    form, binary = draw.choice(list(_INTEGER.items()))
    y, of_y = _exact(draw, depth - 1)
    return form.format(x, y), lambda row: _within(binary(of_x(row), of_y(row)))


def _value(exact: Exact, row: dict[str, int]) -> int | None:
    try:
        return exact(row)
    except Beyond:
        return None


@pytest.mark.parametrize("seed", range(4))
def test_integers_are_exact_or_an_error_that_names_the_row(seed: int) -> None:
    """4e9 * 4e9 was -2446744073709551616, and passed `<= 1000`."""
    draw, refused = Random(seed), 0
    numbers = [one for one in INTEGERS if one is not None]
    for _ in range(600):
        text, exact = _exact(draw, draw.randint(1, 3))
        rows = [{"b": draw.choice(numbers), "i": draw.choice(numbers)} for _ in range(12)]
        frame = pl.DataFrame(rows, schema={"b": pl.Int64, "i": pl.Int64})
        wanted = [_value(exact, row) for row in rows]
        if None not in wanted:
            assert evaluate(frame, text).to_list() == wanted, text
            continue
        refused += 1
        with pytest.raises(
            ExpressionError, match=r"cannot be computed: row \d+: `.*` \(of .*\) is beyond int64"
        ) as caught:
            evaluate(frame, text)
        number = int(caught.value.problem.split("row ")[1].split(":")[0])
        assert wanted[number - 1] is None, text
    assert 100 < refused < 550


@pytest.mark.parametrize(
    ("text", "rows", "wanted"),
    [
        pytest.param("b * i <= 1000", [(4_000_000_000, 4_000_000_000)], None, id="a product in a rule"),
        pytest.param("b + 1", [(2**63 - 1, 0)], None, id="one more than the largest"),
        pytest.param("length(s) - 20", [(0, 0)], [-18], id="a length less a number"),
        pytest.param("3 - length(s)", [(0, 0)], [1], id="a number less a length"),
        pytest.param("day(t) * 100", [(0, 0)], [2900], id="a day times a hundred"),
        pytest.param("hour(t) * 60 + minute(t)", [(0, 0)], [825], id="minutes of the day"),
        pytest.param("quarter(t) * 100 + week(t) * 7", [(0, 0)], [163], id="quarters and weeks"),
        pytest.param("strpos('ÄÖ', 'Ö')", [(0, 0)], [2], id="a place in letters, not in bytes"),
        pytest.param("b * 0.5", [(7, 0)], [3.5], id="an integer times a fraction"),
        pytest.param("1.0 / 3", [(0, 0)], [1 / 3], id="a fraction"),
        pytest.param(
            "timestamp '2024-01-01T10:00:00+02:00' = timestamp '2024-01-01 08:00'", [(0, 0)], [True], id="zone"
        ),
        pytest.param("9007199254740993 > b + 0.0", [(9007199254740992, 0)], [True], id="an integer no float holds"),
        pytest.param("0.0 / b > 1", [(0, 0)], [None], id="what is not a number is not large"),
        pytest.param("b = 1 IS TRUE", [(0, 0)], [False], id="is true"),
        pytest.param("NULL IS NOT FALSE", [(0, 0)], [True], id="unknown is not false"),
    ],
)
def test_what_polars_had_wrong(text: str, rows: list[tuple[int, int]], wanted: list[Any] | None) -> None:
    """Wrapped int64, int8 of parts of times, uint32 of lengths, decimals, bytes for letters, NaN as the largest."""
    frame = pl.DataFrame(rows, schema={"b": pl.Int64, "i": pl.Int64}, orient="row").with_columns(
        s=pl.lit("ab"), t=pl.lit(datetime(2024, 2, 29, 13, 45, tzinfo=UTC)).cast(pl.Datetime("us", "UTC"))
    )
    if wanted is not None:
        assert evaluate(frame, text).to_list() == wanted
        return
    with pytest.raises(
        ExpressionError, match=r"row 1: .* is beyond int64 \(-2\^63 to 2\^63 - 1\): write CAST\(b AS DOUBLE\)"
    ):
        evaluate(frame, text)


def test_floats_are_rounded_after_each_operation() -> None:
    """IEEE 754: the exact result of one operation, rounded to the nearest double."""
    draw = Random(5)
    pairs = [[draw.uniform(-1, 1) * 10.0 ** draw.randint(-8, 8) for _ in range(2)] for _ in range(3000)]
    frame = pl.DataFrame(pairs, schema=["x", "y"], orient="row")
    for sign, compute in (("+", operator.add), ("-", operator.sub), ("*", operator.mul), ("/", operator.truediv)):
        exact = [float(compute(Fraction(x), Fraction(y))) for x, y in pairs]
        assert evaluate(frame, f"x {sign} y").to_list() == exact
        # One row is computed in another way than many.
        alone = [evaluate(frame[row], f"x {sign} y").item() for row in range(100)]
        assert alone == exact[:100]


# -- polars, where it is right

_WORDS = ("", "a", "Ab cD", "Hello World", "élan", "ÄÖ ß", " x\t", "it's", "b-a_b", "12", "x" * 40, None)
_FLOATS = (0.5, -0.5, 1.0, 2.0, -3.25, 100.0, 0.1, 12345.678, -1e-7, 1e15, None)
_NUMBERS = (0, 1, -1, 2, 5, -8, 100, 12345, None)


def _frame(draw: Random, rows: int = 30) -> pl.DataFrame:
    def time() -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=draw.randint(-(2**55), 2**55))

    data = {
        "a": [draw.choice(_FLOATS) for _ in range(rows)], "x": [draw.uniform(-50, 50) for _ in range(rows)],
        "b": [draw.choice(_NUMBERS) for _ in range(rows)], "i": [draw.choice(_NUMBERS) for _ in range(rows)],
        "s": [draw.choice(_WORDS) for _ in range(rows)], "r": [draw.choice(_WORDS) for _ in range(rows)],
        "t": [time() for _ in range(rows)], "o": [draw.choice((True, False, None)) for _ in range(rows)],
    }  # fmt: skip
    kinds = {"a": "float64", "x": "float64", "b": "int64", "i": "int64", "s": "string", "r": "string"}
    return pl.DataFrame(
        data, schema={**{name: DTYPES[kind] for name, kind in kinds.items()}, "t": DTYPES["timestamp"], "o": pl.Boolean}
    )  # type: ignore[index]


# Where nothing is NaN, wraps, or has a narrower type than int64: there both must agree.
_AGREED: dict[str, tuple[str, ...]] = {
    "f": (
        "({f} + {f})", "({f} - {f})", "({f} * {c})", "(-{f})", "abs({f})", "round({f})", "round({f}, 2)",
        "floor({f})", "ceil({f})",
        "sqrt(abs({f}))", "sign({f})", "exp(sin({f}))", "ln(abs({f}) + 1e0)", "log10(abs({f}) + 1e0)",
        "log2(abs({f}) + 1e0)",
        "log1p(abs({f}))", "log(abs({f}) + 1e0, 3)", "sin({f})", "cos({f})", "atan({f})", "atan2({f}, {f})",
        "degrees({f})",
        "radians({f})", "tand({f})", "atand({f})", "({f} / {c})", "({b} % 3e0)", "({b} + {f})", "({b} / {c})",
        "(a * 0.1)", "pow(abs({f}), 5e-1)", "CAST({b} AS DOUBLE)", "CASE WHEN {o} THEN {f} ELSE {b} END",
        "coalesce({f}, {f})", "greatest({f}, {b})", "least({f}, {f})", "nullif({f}, {f})", "if({o}, {f}, {f})",
    ),
    "c": ("3e0", "9e0", "-7e0", "1e-2"),
    "b": (
        "({b} + {k})", "({b} - {b})", "({b} * {k})", "({b} // {k})", "({b} % {k})", "(-{b})", "abs({b})",
        "sign({b})", "({b} & {k})",
        "({b} | {b})", "bit_xor({b}, {k})", "bit_not({b})", "CAST(round({x}) AS BIGINT)", "CAST(length({s}) AS BIGINT)",
        "CAST(octet_length({s}) AS BIGINT)", "CAST(year({t}) AS BIGINT)", "CAST(month({t}) AS BIGINT)",
        "CAST(day({t}) AS BIGINT)",
        "CAST(hour({t}) AS BIGINT)", "CAST(minute({t}) AS BIGINT)", "CAST(second({t}) AS BIGINT)",
        "CAST(week({t}) AS BIGINT)",
        "CAST(dayofweek({t}) AS BIGINT)", "CAST(dayofyear({t}) AS BIGINT)", "CAST(quarter({t}) AS BIGINT)",
        "CAST(extract(isoyear FROM {t}) AS BIGINT)", "CAST(extract(century FROM {t}) AS BIGINT)",
        "CAST(extract(millennium FROM {t}) AS BIGINT)", "CAST({t} AS BIGINT) // 1000000", "greatest({b}, {b})",
        "coalesce({b}, {k})", "CASE {b} WHEN {k} THEN {b} WHEN 2 THEN 7 ELSE {b} END", "try_cast({s} AS BIGINT)",
    ),
    "k": ("1", "3", "-2", "100", "nullif(i, 0)"),
    "x": ("x", "(x * 3e0)"),
    "s": (
        "({s} || {s})", "concat({s}, {b}, {s})", "concat_ws('-', {s}, {b})", "lower({s})", "upper({s})", "initcap({s})",
        "reverse({s})", "trim({s})", "ltrim({s})", "rtrim({s})", "ltrim({s}, 'aH')", "rtrim({s}, ' xd')",
        "left({s}, 3)", "left({s}, -2)", "right({s}, 2)", "right({s}, -3)", "substr({s}, 2)", "substr({s}, 2, 3)",
        "substr({s}, -1, 4)", "replace({s}, 'a', 'Xy')", "replace({s}, '', '.')", "lpad({s}, 6, '*')", "rpad({s}, 6)",
        "normalize({s}, NFKD)", "regexp_replace({s}, '[a-l]+', '<$1>')", "regexp_replace({s}, 'L', 'x', 'gi')",
        "CAST({b} AS TEXT)", "CAST(a AS TEXT)", "CAST({t} AS TEXT)", "CAST({o} AS TEXT)", "CAST({t}::date AS TEXT)",
        "strftime({t}, '%Y-%m-%d %H:%M:%S %a %B %j')", "CASE WHEN {o} THEN {s} ELSE {b} END", "coalesce({s}, 'none')",
        "nullif({s}, '')", "greatest({s}, {s})",
    ),
    "t": ("({t} + interval '1 day 2 hours')", "({t} - interval '1 month')", "({t} + interval '1 year')"),
    "o": (
        "({f} < {f})", "({b} >= {k})", "({s} < {s})", "({s} = {s})", "({t} > timestamp '2001-02-03 04:05:06')",
        "(NOT {o})",
        "({o} AND {o})", "({o} OR {o})", "({o} XOR {o})", "({b} BETWEEN -1 AND {k})", "({f} NOT BETWEEN {f} AND {f})",
        "({b} IN (1, 5, -8))", "({s} NOT IN ('a', 'élan'))", "({f} IS NULL)", "({s} IS NOT NULL)",
        "({b} IS DISTINCT FROM {b})",
        "({s} LIKE '%l%o%')", "({s} LIKE '_b%')", "({s} ILIKE 'h%D')", "({s} NOT LIKE 'a')", "({s} ~ '^[a-m]')",
        "({s} !~* 'L+')",
        "starts_with({s}, 'a')", "ends_with({s}, 'b')", "regexp_like({s}, '.B', 'i')",
        "({t} - {t} > interval '36 hours')",
        "({b} <=> {k})", "({b} > 5e-1)",
    ),
}  # fmt: skip
_LEAVES = {"f": ("a", "x"), "b": ("b", "i"), "s": ("s", "r"), "t": ("t",), "o": ("o",)}


def _agreed(draw: Random, kind: str, depth: int) -> str:
    leaves = _LEAVES.get(kind)
    if leaves is not None and (depth <= 0 or draw.random() < 0.2):
        return draw.choice(leaves)
    made = ""
    for part in draw.choice(_AGREED[kind]).replace("{", "\0").split("\0"):
        made += _agreed(draw, part[0], depth - 1) + part[2:] if part[1:2] == "}" else part
    return made


def _of_polars(frame: pl.DataFrame, text: str) -> pl.Series:
    naive = frame.with_columns(pl.col("t").dt.replace_time_zone(None))
    found = naive.with_columns(pl.sql_expr(text).alias("\0"))["\0"]
    kind = kind_of(found.dtype)
    assert kind is not None
    if kind == "timestamp":
        return found.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    found = found.cast(DTYPES[kind])
    return plain_floats(found) if kind == "float64" else found


def _close(x: Any, y: Any) -> bool:
    if isinstance(x, float) and isinstance(y, float):
        # A last bit or two: polars divides by reciprocals, and some of its functions come from other libraries.
        return x == y or math.isclose(x, y, rel_tol=1e-11, abs_tol=1e-290)
    return bool(x == y)


@pytest.mark.parametrize("count", [100, pytest.param(450, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("kind", ["f", "b", "s", "t", "o"])
def test_drawn_expressions_give_what_polars_gives(kind: str, count: int) -> None:
    draw, compared = Random(f"oracle {kind}"), 0
    for _ in range(count):
        text, frame = _agreed(draw, kind, draw.randint(1, 2)), _frame(draw)
        try:
            wanted = _of_polars(frame, text)
        except pl.exceptions.PolarsError:
            continue
        found = evaluate(frame, text)
        compared += 1
        assert found.dtype == wanted.dtype, text
        pairs = list(zip(found.to_list(), wanted.to_list(), strict=True))
        assert all(_close(x, y) for x, y in pairs), (text, [pair for pair in pairs if not _close(*pair)][:3])
    assert compared > 0.88 * count


@pytest.mark.parametrize("kind", ["f", "b", "s", "t", "o"])
def test_each_form_of_the_oracle_is_compared_alone(kind: str) -> None:
    """A form that polars refuses would be compared with nothing."""
    draw = Random(7)
    for form in _AGREED[kind]:
        text = form
        for place, leaves in _LEAVES.items():
            text = text.replace(f"{{{place}}}", leaves[0])
        text = text.replace("{c}", "3e0").replace("{k}", "nullif(i, 0)").replace("{x}", "x")
        frame = _frame(draw)
        pairs = list(zip(evaluate(frame, text).to_list(), _of_polars(frame, text).to_list(), strict=True))
        assert all(_close(x, y) for x, y in pairs), (text, [pair for pair in pairs if not _close(*pair)][:3])
        assert program(text, {name: kind_of(dtype) for name, dtype in frame.schema.items()})  # type: ignore[misc]


def test_like_is_that_of_a_regular_expression() -> None:
    """Held against `re`, which would take exponential time for some patterns."""
    draw = Random(11)
    for _ in range(1000):
        pattern = "".join(draw.choice("ab%_!A") for _ in range(draw.randint(0, 7)))
        texts = ["".join(draw.choice("abA_%") for _ in range(draw.randint(0, 9))) for _ in range(18)]
        fold = draw.random() < 0.5
        wanted = re.compile(_as_expression(pattern), re.DOTALL | (re.IGNORECASE if fold else 0))
        text = f"s {'ILIKE' if fold else 'LIKE'} '{pattern}' ESCAPE '!'"
        found = evaluate(pl.DataFrame({"s": texts}), text).to_list()
        assert found == [wanted.fullmatch(one) is not None for one in texts], (text, texts)


def _as_expression(pattern: str) -> str:
    made, letters = "", iter(pattern)
    for letter in letters:
        made += (
            ".*"
            if letter == "%"
            else "."
            if letter == "_"
            else re.escape(next(letters, "!") if letter == "!" else letter)
        )
    return made


def test_a_pattern_of_like_that_keeps_a_regular_expression_busy_is_quick() -> None:
    start = time.monotonic()
    assert evaluate(pl.DataFrame({"s": ["a" * 100_000]}), f"s LIKE '{'%a' * 100}%b'").to_list() == [False]
    assert time.monotonic() - start < 2
