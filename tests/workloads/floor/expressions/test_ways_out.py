"""What an error says to write is an expression that works, on the very rows that had none."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import polars as pl
import pytest

from mlops.workloads.floor.expressions import ExpressionError
from mlops.workloads.floor.expressions.frames import evaluate

FRAME = pl.DataFrame(
    {
        "b": [1, 2**63 - 1, -(2**63), None],
        "i": [2, 2**62, -1, 3],
        "a": [1.5, 1e300, float("inf"), None],
        "s": ["1", "x", "2024-05-01", None],
        "n": ["1", "2.5", "-3", None],
        "d": ["03.04.2024", "01.01.2000", "31.12.1999", None],
        "w": ["2024-05-01", "2024-05-01 12:00:00", "0001-01-01", None],
        "t": [datetime(2024, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), None],
        "o": [True, False, None, True],
        "my col": [1, 2, 3, 4],
    }
)


@pytest.mark.parametrize(
    "expression",
    [
        # no value for a row
        "b * i", "b + i", "-2 - b", "(i - b) + 1", "i * b + 1", "-b", "abs(b)", "pow(i, 3)", "pow(i, i)", "b // -1",
        "(b + 1) * (i + 2)",
        "a // 1", "CAST(a AS BIGINT)", "CAST(s AS BIGINT)", "CAST(s AS DOUBLE)", "CAST(b AS INT)", "timestamp(d)",
        "CAST(d AS TIMESTAMP)", "b::smallint", "a::int",
        # types that do not go together
        "a + n", "n * 2", "n > 1", "n = i", "t > '2024-01-01'", "t > w", "t + 1", "t > b", "w <= t", "n - 1 > 2",
        "sqrt(n)", "upper(i)", "length(b)", "month(w)", "bit_and(i, o + 0.0) > 0", "NOT i", "o AND i",
        "CASE WHEN i THEN 1 END",
        "if(i, 1, 2)", "s LIKE '%' AND i", "n::boolean", "date_part('hour', w)",
        # results that no column holds
        "interval '1 day'", "t - timestamp '2000-01-01'", "NULL", "99999999999999999999", "nullif(NULL, 1)",
        # syntax
        "CAST(i AS VARCHAR(3))", "timestamp 'yesterday'", "date '2024-1-1'", "t + interval '1 fortnight'",
        "rpad(s, 5, 'ab')",
    ],
)  # fmt: skip
def test_what_an_error_says_to_write_works(expression: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(FRAME, expression)
    found = re.search(r": write (.*)$", caught.value.problem)
    assert found, caught.value.problem
    way_out = found[1]
    part = _part(caught.value.problem)
    mended = _mended(expression, part, way_out)
    assert evaluate(FRAME, mended).len() == FRAME.height, mended


def _part(problem: str) -> str | None:
    """Return the part of the expression that a message is about, where it says so."""
    in_row = re.search(r"row \d+: `(.*)` \(of ", problem)
    if in_row:
        return in_row[1]
    alone = re.search(r"cannot be computed: (.*) is an? \w+(?:, and not|, which)", problem)
    return alone[1] if alone else None


def _mended(expression: str, part: str | None, way_out: str) -> str:
    """Put what is to be written where it belongs, as a user would."""
    sized = re.match(r"(\w+) without it", way_out)
    if sized:
        return re.sub(r"VARCHAR\(3\)", sized[1], expression)
    literal = re.search(r"(timestamp|date) '[^']*'|interval '[^']*'", expression)
    if part is None and literal and re.match(r"(timestamp|date|interval) '", way_out):
        return expression.replace(literal[0], way_out)
    if part is None:
        # The message shows the two operands with their operator, or a whole call.
        return way_out if way_out.count("(") == way_out.count(")") else expression
    return re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", lambda _: way_out, expression, count=1)


def test_a_hidden_column_shows_no_value() -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(FRAME, "b * i", frozenset({"b"}))
    assert "9223372036854775807" not in str(caught.value)
    assert "row 2: `b * i` is beyond int64" in str(caught.value)


def test_a_pattern_that_is_a_hidden_value_is_not_shown() -> None:
    frame = pl.DataFrame({"s": ["a"], "p": ["Alice (("]})
    with pytest.raises(ExpressionError, match="row 1: `regexp_like") as caught:
        evaluate(frame, "regexp_like(s, p)", frozenset({"p"}))
    assert "Alice" not in str(caught.value)


def test_rows_are_counted_over_all_chunks() -> None:
    with pytest.raises(ExpressionError, match="row 1002: "):
        evaluate(FRAME, "b * i", first_row=1000)


def test_an_error_of_a_branch_that_is_not_taken_is_none() -> None:
    """As in SQL: CASE, COALESCE, AND and OR compute what they need, for many rows as for one."""
    assert evaluate(FRAME, "CASE WHEN abs(i) < 100 AND i > 0 THEN i * i ELSE 0 END").to_list() == [4, 0, 0, 9]
    assert evaluate(FRAME, "n NOT LIKE '%.%' AND CAST(n AS BIGINT) > 0").to_list() == [True, False, False, None]
    assert evaluate(FRAME, "coalesce(i, CAST(s AS BIGINT))").to_list() == FRAME["i"].to_list()
