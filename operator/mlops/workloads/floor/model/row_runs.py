"""A few rows of plain values through an engine: a list a row goes in, lists come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlops.workloads.floor.model.answer import Answer
from mlops.workloads.floor.model.missing import array_of_values

if TYPE_CHECKING:
    from mlops.workloads.floor.model.engines import Engine

# Values of n rows, or indices of classes; and probabilities, a list a row.
RowAnswers = tuple[list[Any], list[list[float]] | None]
RowRun = Callable[[Sequence[Sequence[Any]]], RowAnswers]


def columns_of_rows(engine: Engine, types: Mapping[str, str], slots: Mapping[str, int]) -> RowRun:
    """Return what makes columns of rows, for an engine that takes columns of these types."""
    picked = [(name, kind, slots[name]) for name, kind in types.items()]

    def run(rows: Sequence[Sequence[Any]]) -> RowAnswers:
        return lists_of(
            engine.run({name: array_of_values(kind, [row[slot] for row in rows]) for name, kind, slot in picked})
        )

    return run


def lists_of(answer: Answer) -> RowAnswers:
    """Return an engine's answer as lists."""
    table = answer.probabilities
    return answer.values.tolist(), None if table is None else table.tolist()
