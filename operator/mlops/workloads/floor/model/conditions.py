"""The filters of a Dataset, asked of the rows of a request: the same expressions over the same engine as at ingest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.dataset import FieldType
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions.sql_expressions import ExpressionError, check, computed_from, evaluate
from mlops.workloads.floor.model.features import series_of
from mlops.workloads.floor.model.signature import SIGNATURE_FILE, Signature
from mlops.workloads.floor.pod import BadInput


def check_conditions(signature: Signature) -> None:
    """Hold the filters of a model.json, whoever wrote it, against the list of what a Dataset may have.

    Raises BadInput(OutputInvalid).
    """
    types: dict[str, FieldType] = {one.name: one.type for one in signature.inputs}
    for number, step in enumerate(signature.clean or ()):
        if step.filter is None:
            continue
        where = f"{SIGNATURE_FILE}: clean[{number}].filter"
        try:
            kind = check(step.filter, types)
        except ExpressionError as error:
            raise BadInput(Reason.OUTPUT_INVALID, f"{where}: {error}") from error
        if kind != "boolean":
            raise BadInput(Reason.OUTPUT_INVALID, f"{where}: gives {kind}, and is no condition")


def holds(condition: str, types: Mapping[str, FieldType], columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return for each row (n,) whether the condition is true; one that is unknown is not. Raises BadInput."""
    names = [name for name in types if name in computed_from(condition, types)]
    rows = len(next(iter(columns.values())))
    frame = pl.DataFrame([series_of(name, types[name], columns[name]) for name in names])
    if not names:  # a condition that reads nothing is the same for every row
        frame = pl.DataFrame({"": [0] * rows})
    try:
        # Who asks need not see values again: they may be personal.
        truth = evaluate(frame, condition, frozenset(names))
    except ExpressionError as error:
        raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE}: clean: {error}") from error
    found: NDArray[np.bool_] = truth.fill_null(False).to_numpy().astype(np.bool_)
    return found
