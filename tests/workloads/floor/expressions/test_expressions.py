"""SQL expressions: what is computed, and what is refused because it is not a function of one row."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import polars as pl
import pytest

from mlops.api.dataset import Feature, FieldType
from mlops.api.expression_columns import columns_named
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.expressions import ExpressionError, check
from mlops.workloads.floor.expressions.frames import compute, evaluate
from mlops.workloads.floor.expressions.vocabulary import ARITIES

COLUMNS: dict[str, FieldType] = {"a": "float64", "b": "int64", "s": "string", "t": "timestamp", "o": "boolean"}


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        pytest.param("a - b", "float64", id="arithmetic"),
        pytest.param("b % 2", "int64", id="remainder"),
        pytest.param("CASE WHEN a > 1 THEN 'x' ELSE s END", "string", id="case"),
        pytest.param("a BETWEEN 1 AND 2 OR s IN ('x', 'y')", "boolean", id="condition"),
        pytest.param("coalesce(a, 0)", "float64", id="coalesce"),
        pytest.param("greatest(a, b)", "float64", id="greatest of a row"),
        pytest.param("extract(hour FROM t)", "int64", id="part of a timestamp"),
        pytest.param("t >= timestamp '2020-01-01'", "boolean", id="timestamp compared with a literal"),
        pytest.param("cast(t AS date)", "timestamp", id="date"),
        pytest.param("upper(s) LIKE 'X%'", "boolean", id="text"),
        pytest.param("ln(a) + sqrt(a) + pow(a, 2) + round(a, 1) + abs(a)", "float64", id="functions"),
        pytest.param("NOT o AND s IS NOT NULL", "boolean", id="truth"),
        pytest.param("cast(s AS double)", "float64", id="cast of text"),
        pytest.param("s = 'now() select random()'", "boolean", id="words in a text are no words"),
        pytest.param("1", "int64", id="constant"),
    ],
)
def test_an_expression_over_one_row_has_the_type_of_a_column(expression: str, want: str) -> None:
    assert check(expression, COLUMNS) == want


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        pytest.param("nope + 1", 'names "nope", which is no column; there are: a, b, s, t, o', id="unknown name"),
        pytest.param("a +", "cannot be parsed", id="half an expression"),
        pytest.param("a, b", "cannot be parsed", id="two expressions"),
        pytest.param("a; b", "cannot be parsed", id="two statements"),
        pytest.param("$(rm -rf /)", "cannot be parsed", id="shell"),
        pytest.param("{{ a }}", "cannot be parsed", id="template"),
        pytest.param("a > 1 -- all", "has a comment", id="comment"),
        pytest.param("sum(a)", "not computed row by row", id="sum"),
        pytest.param("a - avg(a)", "not computed row by row", id="mean inside"),
        pytest.param("count(*)", "not computed row by row", id="count"),
        pytest.param("first(s)", "not computed row by row", id="first"),
        pytest.param("row_number() OVER (ORDER BY a)", "not computed row by row", id="row number"),
        pytest.param("sum(a) OVER (PARTITION BY s)", "not computed row by row", id="window"),
        pytest.param("lag(a) OVER (ORDER BY t)", "not computed row by row", id="lag"),
        pytest.param("unnest(s)", "not computed row by row", id="unnest"),
        pytest.param("array_agg(a)", "not computed row by row", id="array"),
        pytest.param("columns('a')", "not computed row by row", id="pattern of columns"),
        pytest.param("a IN (SELECT b FROM self)", "has a subquery", id="subquery"),
        pytest.param("EXISTS (SELECT 1)", "has a subquery", id="exists"),
        pytest.param("random()", "must always give the same value", id="chance"),
        pytest.param("now() > t", "uses the clock (now)", id="now"),
        pytest.param("t > current_timestamp", "uses the clock (current_timestamp)", id="clock without brackets"),
        pytest.param("CURRENT_DATE", "uses the clock (current_date)", id="date of today"),
        pytest.param("s * 2", "cannot be computed", id="text times number"),
        pytest.param("interval '1 day'", "which no column can hold", id="a span of time"),
    ],
)
def test_what_is_not_a_function_of_one_row_is_refused_with_its_reason(expression: str, says: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        check(expression, COLUMNS)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"the expression `{expression}` ")


def test_features_build_on_each_other_and_a_row_alone_gives_what_it_gives_among_others() -> None:
    """The model server computes one row at a time; ingest computes millions at once."""
    features = (
        Feature(name="gap", expression="a - b"),
        Feature(name="late", expression="t > timestamp '2020-06-01' AND gap > 0"),
        Feature(name="day", expression="cast(t AS date)"),
    )
    frame = pl.DataFrame(
        {
            "a": [1.5, None, 7.0],
            "b": [1, 2, 3],
            "t": pl.Series(
                [datetime(2020, month, 3, 5, tzinfo=UTC) for month in (1, 6, 9)], dtype=pl.Datetime("us", "UTC")
            ),
        }
    )
    whole = compute(frame, features)
    assert whole["gap"].to_list() == [0.5, None, 4.0]
    assert whole["late"].to_list() == [False, None, True]
    assert whole["day"].to_list() == [datetime(2020, month, 3, tzinfo=UTC) for month in (1, 6, 9)]
    for i in range(3):
        assert compute(frame[i : i + 1], features).equals(whole[i : i + 1], null_equal=True)


def test_division_by_zero_is_infinite_or_missing_but_never_nan() -> None:
    frame = pl.DataFrame({"a": [1.0, 0.0, -1.0], "z": [0.0, 0.0, 0.0], "i": [1, 2, 3], "n": [0, 0, 0]})
    assert evaluate(frame, "a / z").to_list() == [float("inf"), None, float("-inf")]
    assert evaluate(frame, "i % n").to_list() == [None] * 3


def test_a_constant_has_a_value_for_every_row() -> None:
    assert evaluate(pl.DataFrame({"a": [1.0, 2.0]}), "1").to_list() == [1, 1]


def test_a_value_that_cannot_be_computed_is_an_error_of_the_expression() -> None:
    with pytest.raises(ExpressionError, match="cannot be computed"):
        evaluate(pl.DataFrame({"s": ["1", "x"]}), "cast(s AS double)")


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        pytest.param("least()", "least() takes 1 to 64 arguments, here it has 0", id="no argument"),
        pytest.param("greatest()", "greatest() takes 1 to 64 arguments", id="no argument of another"),
        pytest.param("+".join("a" * 500), "nested", id="sum of five hundred"),
        pytest.param("||".join("s" * 300), "nested", id="three hundred texts"),
        pytest.param("(" * 200 + "a" + ")" * 200, "nested", id="two hundred brackets"),
        pytest.param("not " * 200 + "o", "nested", id="two hundred negations"),
        pytest.param("rpad(s, 1000000000, 'x')", "pads a text to a length that must be", id="a gigabyte of x"),
        pytest.param("lpad(s, 9223372036854775807)", "pads a text to a length that must be", id="exabytes of blanks"),
        pytest.param("rpad(s, b, 'x')", "pads a text to a length that must be", id="a length from the data"),
        pytest.param("replace(" * 6 + "s" + f",'','{'x' * 100}')" * 6, "may make a text", id="replace within replace"),
        pytest.param("replace(s, 'a', s)", "could be of any length", id="replaced by the data"),
        pytest.param("regexp_replace(s, '.*', '" + "$0" * 60 + "')", "may make a text", id="references to all of it"),
        pytest.param("concat(" + ",".join(["concat(s,s,s,s,s)"] * 30) + ")", "may make a text", id="concat of concat"),
        pytest.param("concat(" + ",".join("s" * 65) + ")", "takes 1 to 64 arguments", id="too many arguments"),
        pytest.param("e'\\' || nullif(nullif(a,b),b)'", "is not supported", id="a text of other rules"),
        pytest.param("$$ ' $$", "has no meaning here", id="dollars around a text"),
        pytest.param("s = 'a", "is not closed", id="open text"),
        pytest.param('"sum"(a)', "is quoted, and no function", id="quoted function"),
        pytest.param("array[1, 2]", "lists ([ ]) are not supported", id="list"),
        pytest.param("a)", "closes nothing", id="a bracket too many"),
        pytest.param("a" + " " * 1030, "at most 1024 are allowed", id="too long"),
        pytest.param("split_part(s, 'a', 1)", "not on the list of functions in docs/dataset.md", id="unknown function"),
    ],
)
def test_what_could_grow_without_bound_is_refused_at_once(expression: str, says: str) -> None:
    """Neither the engine's panic nor its memory nor Python's recursion decides: the text does."""
    start = time.monotonic()
    with pytest.raises(ExpressionError) as caught:
        check(expression, COLUMNS)
    assert says in str(caught.value)
    assert time.monotonic() - start < 2


# One call of each function of the list: by the arguments that it is given.
_BY_ARGUMENTS = {
    "(a)": "abs cbrt exp ln log10 log1p log2 sign sqrt degrees radians ceil ceiling floor round",
    "(a * 0.1)": "acos acosd asin asind atan atand cos cosd cot cotd sin sind tan tand",
    "(b)": "bit_count bit_not",
    "(b, 2)": "bit_and bit_or bit_xor xor",
    "(a, 2)": "atan2 atan2d div log mod pow power ifnull nullif",
    "(s)": "bit_length char_length character_length initcap length lower octet_length reverse upper ltrim rtrim trim "
    "normalize concat date datetime timestamp",
    "(s, 'a')": "ends_with starts_with strpos regexp_like",
    "(s, 2)": "left right substr substring",
    "(s, 5, 'x')": "lpad rpad",
    "(s, 'a', 'b')": "replace regexp_replace",
    "(t)": "day dayofmonth dayofweek dayofyear hour minute month quarter second week weekday year",
    "(a, b)": "coalesce greatest least",
    "(s AS double)": "cast try_cast",
}
CALLS = {
    **{name: name + given for given, names in _BY_ARGUMENTS.items() for name in names.split()},
    "pi": "pi()", "if": "if(o, a, b)", "position": "position('a' in s)", "concat_ws": "concat_ws('-', s, s)",
    "extract": "extract(year from t)", "date_part": "date_part('year', t)", "strftime": "strftime(t, '%Y')",
    "strptime": "strptime(s, '%Y')",
}  # fmt: skip


@pytest.mark.parametrize("name", ARITIES)
def test_every_function_of_the_list_works(name: str) -> None:
    check(CALLS[name], COLUMNS)


@pytest.mark.parametrize(
    "expression",
    [
        pytest.param("nullif(" * 40 + "b" + ",3)" * 40, id="nullif within nullif"),
        pytest.param("right(" * 40 + "s" + ",2)" * 40, id="right within right"),
        pytest.param("(" * 30 + "b" + " between 1 and 2)" * 30, id="between in between"),
        pytest.param("(" * 30 + "b" + " in (b, 1))" * 30, id="in within in"),
        pytest.param("case " * 20 + "b" + " when 1 then 1 when 2 then 3 end" * 20, id="case of case"),
    ],
)
def test_an_operand_that_is_needed_twice_is_computed_once(expression: str) -> None:
    """Two to the power of the depth would take for ever."""
    start = time.monotonic()
    evaluate(_HARD, expression)
    assert time.monotonic() - start < 2


def test_the_documentation_lists_the_functions() -> None:
    """docs/dataset.md says all of them and no other."""
    page = (Path(__file__).resolve().parents[4] / "docs" / "dataset.md").read_text()
    section = page.split("### Functions of expressions")[1].split("###")[0].split("\n## ")[0]
    listed = [name for line in section.splitlines() if line.startswith("|") for name in re.findall(r"`(\w+)`", line)]
    assert sorted(listed) == sorted(ARITIES)


def test_features_that_build_on_each_other_make_no_endless_texts() -> None:
    """Each doubles what the one before made: bounded for each expression, and for the values of a frame."""
    features = tuple(
        Feature(name=f"f{number}", expression=f"concat({','.join([f'f{number - 1}' if number else 's'] * 60)})")
        for number in range(6)
    )
    with pytest.raises(ExpressionError, match=r"gives a text of|may make a text of"):
        compute(pl.DataFrame({"s": ["abcdef"]}), features)


def test_long_texts_of_the_data_are_no_mistake_of_an_expression() -> None:
    text = "x" * (3 << 20)
    assert evaluate(pl.DataFrame({"s": [text, None]}), "upper(s)").to_list() == [text.upper(), None]


def test_a_frame_is_computed_in_pieces_when_its_texts_could_fill_the_memory() -> None:
    rows = 3000
    frame = pl.DataFrame({"s": [str(number) for number in range(rows)]})
    got = evaluate(frame, "rpad(s, 10000, 'x')")
    assert [text.rstrip("x") for text in got.to_list()] == frame["s"].to_list()


@pytest.mark.parametrize(
    "timestamp", ["t + interval '9000 years'", "t - interval '3000 years'", "t + interval '300000 years'"]
)
def test_a_moment_beyond_the_calendar_is_an_error_of_the_expression(timestamp: str) -> None:
    frame = pl.DataFrame({"t": pl.Series([datetime(2024, 1, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))})
    with pytest.raises(ExpressionError, match=r"outside of the years 1 to 9999|none is longer than 9999 years"):
        evaluate(frame, timestamp)


_LITERALS = (
    "0", "1", "-1", "9223372036854775807", "-9223372036854775808", "1e308", "1e999", "0.1", "''", "'a'", "'(['", "'%Q'",
    "'\U0001f600'", "NULL", "TRUE", "interval '1 day'", "interval '99999999 years'", "timestamp '9999-12-31'", "1" * 38,
    "1" * 400, "date '0001-01-01'", "'" + "x" * 60 + "'",
)  # fmt: skip
_BINARY = (
    "+",
    "-",
    "*",
    "/",
    "%",
    "//",
    "||",
    "=",
    "<",
    "<>",
    "and",
    "or",
    "like",
    "~",
    "is distinct from",
    "xor",
    "&",
    "|",
    ">=",
    "ilike",
    "<=>",
)
_UNARY = ("-{}", "not {}", "{} is null", "{}::int", "{}::text", "{}::double", "{}::date", "({})", "{}::timestamp")


def _draw(draw: Random, depth: int) -> str:
    kind = draw.random()
    if depth == 0 or kind < 0.2:
        return draw.choice([*COLUMNS, draw.choice(_LITERALS)])
    if kind < 0.6:
        name = draw.choice(list(ARITIES))
        count = draw.randint(ARITIES[name][0], min(ARITIES[name][1], 3)) + draw.choice((0, 0, 0, 0, -1, 1))
        return f"{name}({', '.join(_draw(draw, depth - 1) for _ in range(max(0, count)))})"
    if kind < 0.75:
        return f"({_draw(draw, depth - 1)} {draw.choice(_BINARY)} {_draw(draw, depth - 1)})"
    if kind < 0.9:
        return draw.choice(_UNARY).format(_draw(draw, depth - 1))
    return draw.choice(
        (
            f"CASE {_draw(draw, depth - 1)} WHEN {_draw(draw, depth - 1)} THEN {_draw(draw, depth - 1)} END",
            f"({_draw(draw, depth - 1)} BETWEEN {_draw(draw, depth - 1)} AND {_draw(draw, depth - 1)})",
            f"({_draw(draw, depth - 1)} IN ({_draw(draw, depth - 1)}, {_draw(draw, depth - 1)}))",
        )
    )


_HARD = pl.DataFrame(
    {
        "a": [1e308, -0.0, float("inf"), None],
        "b": [2**63 - 1, -(2**63), 0, None],
        "s": ["", "\U0001f600" * 50, "(((", None],
        "t": [
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
            None,
        ],
        "o": [True, False, None, True],
    },
    schema={name: DTYPES[kind] for name, kind in COLUMNS.items()},
)


def _any_expressions(seed: int, count: int) -> None:
    draw, accepted = Random(seed), 0
    for number in range(count):
        expression, start = _draw(draw, draw.randint(1, 4)), time.monotonic()
        try:
            check(expression, COLUMNS)
            accepted += 1
            evaluate(_HARD, expression)
        except ExpressionError:
            pass
        assert time.monotonic() - start < 5, (seed, number, expression)
    assert accepted > count / 50, "hardly any expression is one"


def test_any_expression_is_computed_or_refused() -> None:
    """Drawn from the list with the hardest literals and values: never another exception."""
    _any_expressions(seed=1, count=400)


@pytest.mark.long
def test_many_more_expressions_are_computed_or_refused() -> None:
    _any_expressions(seed=2, count=50_000)


def _sum_of(names: list[str]) -> str:
    """In brackets of fifty each, since a sum is as deep as it is long."""
    return " + ".join(f"({'+'.join(names[first : first + 50])})" for first in range(0, len(names), 50))


def _replacing(*pairs: tuple[str, str]) -> str:
    made = "s"
    for old, new in pairs:
        made = f"replace({made}, '{old}', '{new}')"
    return made


ESCAPES = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("''", "&#39;")]


@pytest.mark.parametrize(
    ("expression", "columns"),
    [
        pytest.param(
            _sum_of([f"c{i}" for i in range(200)]), {f"c{i}": "float64" for i in range(200)}, id="a sum of many columns"
        ),
        pytest.param(_sum_of(["length(s)"] * 90), {"s": "string"}, id="lengths of a text"),
        pytest.param(_replacing(*ESCAPES), {"s": "string"}, id="letters of HTML"),
        pytest.param(
            _replacing(*((one, one * 2) for one in "abcdefgh")), {"s": "string"}, id="other letters each time"
        ),
    ],
)
def test_what_makes_no_long_text_is_no_reason(expression: str, columns: dict[str, FieldType]) -> None:
    """Numbers are no growing texts, and each letter is replaced once."""
    assert check(expression, columns)


@pytest.mark.parametrize(
    "expression",
    [
        pytest.param(_replacing(*[("a", "aa")] * 8), id="the same letter each time"),
        pytest.param(f"length({_replacing(*[('a', 'aa')] * 8)}) > 1", id="though only its length is asked"),
        pytest.param(_replacing(*[("a", "aa")] * 7, ("a", "")), id="though it is gone at last"),
        pytest.param(_replacing(("a", "bb"), ("b", "cc"), ("c", "x" * 30)), id="letters that come of letters"),
        pytest.param(" || ".join([f"({'+'.join(['s'] * 60)})"] * 3), id="texts joined"),
    ],
)
def test_what_makes_long_texts_on_its_way_is_still_refused(expression: str) -> None:
    """The text is made, whatever becomes of it."""
    with pytest.raises(ExpressionError, match="may make a text"):
        check(expression, {"s": "string"})


@pytest.mark.parametrize(
    "expression",
    [
        "case when price > 1 then 1 else 0 end",
        "extract(day from t)",
        "t + interval '1' day",
        "CAST(price AS double precision)",
        "s like 'x' escape '!'",
        "price is null or true",
        "date '2020-01-01' < t",
    ],
)
def test_a_word_of_sql_is_no_column_to_who_does_not_parse(expression: str) -> None:
    """The operator tells columns from words alone: it may overlook one, and never invents one."""
    words = ["case", "end", "then", "else", "from", "day", "precision", "like", "null", "true", "date", "interval"]
    columns = ["price", "s", "t", *words]
    assert columns_named(expression, columns) <= {"price", "s", "t"}
