"""SQL expressions: what is computed, and what is refused because it is not a function of one row."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from mlops.api.dataset import Feature, FieldType
from mlops.workloads.expressions import ExpressionError, check, compute, evaluate

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
        pytest.param("extract(hour FROM t)", "int64", id="part of a moment"),
        pytest.param("t >= timestamp '2020-01-01'", "boolean", id="moment compared with a literal"),
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
