"""What an engine is given, what it gives back, and what an answer may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.floor.model.probabilities import as_probabilities
from mlops.workloads.floor.pod import BadInput

Columns = Mapping[str, NDArray[Any]]
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


def _first_wrong(table: NDArray[np.float64]) -> int:
    return next(row for row in range(table.shape[0]) if as_probabilities(table[row : row + 1]) is None)


def _no_answer(file: str, row: int, found: str) -> BadInput:
    return BadInput(Reason.OUTPUT_INVALID, f"{file}: the answer to row {row} is {found}")
