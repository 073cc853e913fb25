"""A row that a model answers, for whoever wants to try it.

It is made of the recorded rows column by column, so that it is nobody's row: each number is a median, each other value
the most frequent one. If the model refuses that, values of different rows are put together.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson

from mlops.workloads.floor.model.missing import is_missing
from mlops.workloads.serve.answering import Answering
from mlops.workloads.serve.errors import is_fault
from mlops.workloads.serve.tensors import Array, Column

_MOST_TRIES: Final = 32


def find_example(answering: Answering, recorded: Mapping[str, Array], until: float) -> dict[str, Any] | None:
    """Return such a row; `recorded` are the columns of the model's recorded rows. Nobody else may ask it meanwhile.

    After `until` (of time.monotonic) nothing more is tried: a slow model is not kept from its readiness.
    """

    def answers(row: dict[str, Any]) -> bool:
        if time.monotonic() > until:
            return False
        try:
            answering.answer(answering.read_objects(orjson.dumps({"rows": [row]}), None).inputs)
        except BaseException as error:
            if not is_fault(error):
                raise
            return False
        return True

    return example_row(answering.interface.inputs, recorded, answers)


def example_row(
    columns: Sequence[Column], recorded: Mapping[str, Array], answers: Callable[[dict[str, Any]], bool]
) -> dict[str, Any] | None:
    """Return a row as JSON values by input, to which the model `answers`; None if none was found.

    `recorded` are columns (n,) of rows that the model has answered.
    """
    values = {column.name: _values(column, recorded[column.name]) for column in columns}
    return next((row for row in _rows(columns, values) if answers(row)), None)


def _rows(columns: Sequence[Column], values: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    yield {column.name: _typical(column, values[column.name]) for column in columns}
    length = len(values[columns[0].name])
    for first in range(min(length, _MOST_TRIES)):
        yield {column.name: values[column.name][(first + number) % length] for number, column in enumerate(columns)}


def _typical(column: Column, values: list[Any]) -> Any:
    present = [value for value in values if value is not None]
    if not present:
        return None
    if column.type == "float64":
        return float(f"{statistics.median(present):.4g}")
    return statistics.median_low(present) if column.type == "int64" else statistics.mode(present)


def _values(column: Column, values: Array) -> list[Any]:
    """Return a column as JSON values; null is missing."""
    gaps = is_missing(values)
    if column.type == "timestamp":
        listed: list[Any] = [f"{one}Z" for one in np.datetime_as_string(values, unit="us").tolist()]
    else:
        kind = {"float64": float, "int64": int, "boolean": bool, "string": str}[column.type]
        present = np.where(gaps, 0, values) if gaps.any() else values
        listed = [kind(value) for value in present.tolist()]
    return [None if gap else value for value, gap in zip(listed, gaps.tolist(), strict=True)]
