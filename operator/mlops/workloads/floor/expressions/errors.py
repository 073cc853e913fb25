"""What can be wrong with an expression, and with the values of one row."""

from __future__ import annotations

from typing import Any

_SHOWN = 60


class ExpressionError(ValueError):
    """An expression that cannot be used; the message names the expression and what to change."""

    def __init__(self, expression: str, problem: str) -> None:
        shown = expression if len(expression) <= 120 else expression[:117] + "..."
        super().__init__(f"the expression `{shown}` {problem}")
        self.expression, self.problem = expression, problem


class Refusal(ValueError):
    """The text of an expression cannot be used; the message goes on after "the expression ..."."""


class NoValue(ValueError):
    """An operation has no value for these operands.

    `way_out` is what to write instead: `{0}` is the text of the first operand, `{1}` that of the second.
    """

    def __init__(self, problem: str, way_out: str = "") -> None:
        super().__init__(problem)
        self.problem, self.way_out = problem, way_out


class RowProblem(ValueError):
    """A part of an expression has no value for one row: the values are apart, since not everybody may see them."""

    def __init__(self, part: str, values: tuple[Any, ...], problem: str, way_out: str) -> None:
        super().__init__(problem)
        self.part, self.values, self.problem, self.way_out = part, values, problem, way_out
        # Index among the rows that were computed together.
        self.row = 0

    def message(self, hidden: bool, first_row: int = 0) -> str:
        """Return the sentence; `first_row` rows came before those that were computed. `hidden` shows no value."""
        values = "" if hidden or not self.values else f" (of {', '.join(_shown(value) for value in self.values)})"
        way_out = f": write {self.way_out}" if self.way_out else ""
        return f"cannot be computed: row {first_row + self.row + 1}: {self.part}{values} {self.problem}{way_out}"


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
