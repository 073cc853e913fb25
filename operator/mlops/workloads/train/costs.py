"""Costs of a run, held to its data and its model."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.api.costs import Costs, columns_of, unknown_class, wrong_column
from mlops.api.mistakes.of_run import COSTS_OF_NUMBERS
from mlops.api.reasons import Reason
from mlops.workloads.floor.model.learnt import constants
from mlops.workloads.floor.model.signature import Class, Input, class_name
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.data import Data


def check_costs(costs: Costs | None, data: Data, inputs: Sequence[Input], classes: Sequence[Class] | None) -> None:
    """Raise BadInput(ParameterInvalid) for costs that do not fit the classes or the inputs of a model."""
    if costs is None:
        return
    if classes is None:
        raise _invalid("spec.costs", f"are those of classes, and the model predicts numbers: {COSTS_OF_NUMBERS}")
    # A class that the Dataset names may have no row yet.
    names = dict.fromkeys([*map(class_name, classes), *(data.label.enum or ())])
    if found := unknown_class(costs, tuple(names)):
        raise _invalid(*found)
    carried = {one.name: one for one in inputs}
    types = {one.name: one.type for one in data.schema.fields}
    for name, path in columns_of(costs):
        one = carried.get(name)
        problem = wrong_column(
            name,
            types.get(name),
            carried=one is not None,
            personal=name in data.schema.pii,
            may_be_missing=one is not None and one.nullable and name not in _never_missing(data),
        )
        if problem:
            raise _invalid(path, problem)


def _never_missing(data: Data) -> set[str]:
    """Return the fields whose gaps the model's own cleaning fills, or whose rows it refuses."""
    return {*constants(data.clean or ()), *(name for step in data.clean or () for name in step.drop_nulls or ())}


def _invalid(path: str, problem: str) -> BadInput:
    return BadInput(Reason.PARAMETER_INVALID, f"{path}: {problem}")
