"""The filters of a Dataset, asked of the rows of a request: the same expressions with the same bits as at ingest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.api.dataset import FieldType
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions import ExpressionError, check, program
from mlops.workloads.floor.expressions.errors import RowProblem
from mlops.workloads.floor.model.features import values_of_array
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
    made = program(condition, types)
    read = {name: values_of_array(types[name], columns[name]) for name in made.reads}
    try:
        truth = made.of_rows(read, len(next(iter(columns.values()))))
    except RowProblem as problem:
        # Who asks need not see values again: they may be personal.
        error = ExpressionError(condition, problem.message(hidden=True))
        raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE}: clean: {error}") from error
    found: NDArray[np.bool_] = truth.array.astype(np.bool_)
    return found if truth.absent is None else found & ~truth.absent
