"""What an engine is given, what it gives back, and what an answer may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput

Columns = Mapping[str, NDArray[Any]]
# What rounding may add to a sum of probabilities in float64, in which case they stay as they are, bit for bit.
ROUNDING = 1e-10
# By how much rows of probabilities may miss 0, 1 and the sum 1: a thousand float32 trees stay far below. What misses
# more are scores, and no probabilities.
SLACK = 1e-3
_SHOWN = 10
_FAR = "leave out rows with numbers as far away as that one's (spec.clean of the Dataset), or train another estimator"
_SCORES = "end the model in a sigmoid or softmax, or have it give labels only"


@dataclass(frozen=True, eq=False)
class Answer:
    """`values` (n,) are float64 of a regressor, indices of classes (int64) of a classifier; probabilities (n, k)."""

    values: NDArray[Any]
    probabilities: NDArray[np.float64] | None = None


def checked(answer: Answer, file: str) -> Answer:
    """Return an engine's answer as it is measured, recorded, served and compared: finite, with probabilities.

    Raises BadInput(OutputInvalid) naming `file` and the first row that has no such answer.
    """
    if answer.values.dtype.kind == "f" and not np.isfinite(answer.values).all():
        row = int(np.argmin(np.isfinite(answer.values)))
        raise _no_answer(file, row, f"{answer.values[row]}, which is no finite number: {_FAR}")
    if answer.probabilities is None:
        return answer
    table = as_probabilities(answer.probabilities)
    if table is None:
        row = _first_wrong(answer.probabilities)
        found = answer.probabilities[row]
        way_out = _SCORES if np.isfinite(found).all() else _FAR
        raise _no_answer(file, row, f"{found[:_SHOWN].tolist()}, which are no probabilities: {way_out}")
    return answer if table is answer.probabilities else replace(answer, probabilities=table)


def as_probabilities(table: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return rows (n, k) that lie in [0, 1] and add up to 1; None if they miss it by more than an engine rounds.

    Engines add up in float32 and give 1.0000004. Rows that float64 already holds to the bounds are returned as they
    are, so that doing it twice changes nothing.
    """
    if not table.size or _holds(table, 0.0, ROUNDING):
        return table
    if not _holds(table, SLACK, SLACK):
        return None
    inside = np.clip(table, 0.0, 1.0)
    return np.asarray(inside / inside.sum(axis=1, keepdims=True))


def _holds(table: NDArray[np.float64], beyond: float, off: float) -> bool:
    # Comparisons with NaN are false.
    inside = table.min() >= -beyond and table.max() <= 1.0 + beyond
    return bool(inside and np.abs(table.sum(axis=1) - 1.0).max() <= off)


def _first_wrong(table: NDArray[np.float64]) -> int:
    return next(row for row in range(table.shape[0]) if as_probabilities(table[row : row + 1]) is None)


def _no_answer(file: str, row: int, found: str) -> BadInput:
    return BadInput(Reason.OUTPUT_INVALID, f"{file}: the answer to row {row} is {found}")
