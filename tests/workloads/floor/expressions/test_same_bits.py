"""A row alone gives the bits that it gives among others: ingest computes millions at once, a model server one."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest

from mlops.workloads.floor.expressions import ExpressionError, program
from mlops.workloads.floor.expressions.frames import evaluate
from tests.workloads.floor.expressions.drawn import (
    COLUMNS,
    KINDS,
    bits,
    expression,
    filled,
    forms,
    hard_rows,
    one_by_one,
)


def _of_microseconds(column: pl.Series) -> list[object]:
    return column.to_physical().to_list() if column.dtype.is_temporal() else column.to_list()


def _hold(text: str, frame: pl.DataFrame) -> str:
    """Compare all rows at once with each row alone; return whether it was computed, had no value, or was refused."""
    try:
        made = program(text, COLUMNS)
    except ExpressionError:
        return "refused"
    alone = one_by_one(made, frame)
    wrong = {row: one.problem for row, one in enumerate(alone) if isinstance(one, ExpressionError)}
    if wrong:
        with pytest.raises(ExpressionError) as caught:
            evaluate(frame, text)
        said = {problem.replace("row 1:", f"row {row + 1}:") for row, problem in wrong.items()}
        assert caught.value.problem in said, text
        frame = frame.filter(pl.Series([row not in wrong for row in range(frame.height)]))
        alone = [one for one in alone if not isinstance(one, ExpressionError)]
    together = [bits(value) for value in _of_microseconds(evaluate(frame, text))]
    assert together == alone, (text, [(x, y) for x, y in zip(together, alone, strict=True) if x != y][:3])
    return "no value" if wrong else "computed"


@pytest.mark.parametrize("kind", KINDS)
def test_every_operator_and_function_gives_a_row_alone_what_it_gives_among_others(kind: str) -> None:
    """Over nulls, infinities, minus zero, subnormals, the ends of int64 and of the calendar, and all of Unicode."""
    draw = Random(1)
    for form in forms(kind):
        outcomes = [_hold(filled(draw, form, kind, 1), hard_rows(draw, 120)) for _ in range(4)]
        assert set(outcomes) != {"refused"}, f"{form} is never computed"


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(1, 5))])
def test_drawn_expressions_give_a_row_alone_what_they_give_among_others(seed: int) -> None:
    draw = Random(seed)
    outcomes = [
        _hold(expression(draw, draw.choice(KINDS), draw.randint(1, 4)), hard_rows(draw, 40)) for _ in range(500)
    ]
    assert outcomes.count("computed") > 150
    assert outcomes.count("no value") > 50


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_more_expressions_give_a_row_alone_what_they_give_among_others() -> None:
    draw = Random(99)
    for _ in range(10_000):
        _hold(expression(draw, draw.choice(KINDS), draw.randint(1, 5)), hard_rows(draw, 30))


@pytest.mark.parametrize("text", ["x / 9.0", "a / 100", "(x - 32) * 5 / 9", "a / 3", "x * 0.1 / 7"])
def test_a_division_by_a_constant_has_the_same_bits_for_many_rows_and_for_one(text: str) -> None:
    """polars multiplies many rows by the reciprocal: 521 of 1,500 values differed in the last bit."""
    draw = Random(3)
    frame = pl.DataFrame({name: [draw.uniform(-1e3, 1e3) for _ in range(1500)] for name in "ax"})
    assert [bits(value) for value in evaluate(frame, text)] == one_by_one(program(text, COLUMNS), frame)
    assert evaluate(frame, "x / 9.0").to_list() == [value / 9.0 for value in frame["x"]]
