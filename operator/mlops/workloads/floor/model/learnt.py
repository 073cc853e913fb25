"""The cleaning that training data went through, as it travels with a version of the data and with a model.

A Dataset says what to do (`spec.clean`); here stands what was done: the mean is a number by now. `deduplicate` is not
among the steps: it chooses among rows, and does nothing to the values of one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from mlops.api.base import Expression, FieldName, Model, exactly_one_of
from mlops.api.dataset import FieldType

# A timestamp is RFC 3339 in UTC with microseconds.
Constant = (
    StrictBool
    | Annotated[StrictInt, Field(ge=-(1 << 63), lt=1 << 63)]
    | Annotated[StrictFloat, Field(allow_inf_nan=False)]
    | Annotated[StrictStr, Field(max_length=65_536)]
)
_PYTHON: Mapping[FieldType, type] = {
    "float64": float,
    "int64": int,
    "boolean": bool,
    "string": str,
    "timestamp": str,
}


class LearntFill(Model):
    """What stands where a value of the field was missing; without `value`: that of an earlier row."""

    field: FieldName
    value: Constant | None = None
    # Of how many rows it was, as a share: drift checks compare what is missing with it. None: not recorded.
    missing: Annotated[StrictFloat, Field(ge=0, le=1)] | None = None


class LearntStep(Model):
    """One step of cleaning as it was done."""

    fill_null: LearntFill | None = None
    drop_nulls: Annotated[tuple[FieldName, ...], Field(min_length=1, max_length=64)] | None = None
    filter: Expression | None = None
    rules: ClassVar = (exactly_one_of("fillNull", "dropNulls", "filter", path="clean[]"),)


LearntSteps = Annotated[tuple[LearntStep, ...], Field(max_length=32)]  # as in a Dataset


def of_inputs(
    steps: Iterable[LearntStep], inputs: Collection[str], reads: Mapping[str, frozenset[str]]
) -> tuple[LearntStep, ...]:
    """Return the steps as far as a request can be held to them: those of its inputs.

    `reads` are the columns of each filter. A filter that reads what no request carries, such as the label, says nothing
    about one.
    """
    kept: list[LearntStep] = []
    for step in steps:
        if step.drop_nulls:
            names = tuple(name for name in step.drop_nulls if name in inputs)
            kept += [LearntStep(drop_nulls=names)] if names else []
        elif step.fill_null:
            kept += [step] if step.fill_null.field in inputs else []
        elif step.filter and reads[step.filter] <= set(inputs):
            kept.append(step)
    return tuple(kept)


def problem_of(steps: Iterable[LearntStep], inputs: Mapping[str, FieldType]) -> str | None:
    """Return what is wrong with steps that somebody wrote, or None: fields that are inputs, constants of their type."""
    for number, step in enumerate(steps):
        fill = step.fill_null
        names = step.drop_nulls or ((fill.field,) if fill else ())
        if unknown := [name for name in names if name not in inputs]:
            return f"clean[{number}]: {unknown[0]!r} is no input"
        if fill and fill.value is not None and type(fill.value) is not _PYTHON[inputs[fill.field]]:
            return f"clean[{number}].fillNull.value: {fill.value!r} is no {inputs[fill.field]}"
        if fill and fill.value is not None and inputs[fill.field] == "timestamp" and not _is_time(str(fill.value)):
            return f"clean[{number}].fillNull.value: {fill.value!r} is no time with an offset from UTC"
    return None


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def hashed(steps: Iterable[LearntStep]) -> list[dict[str, Any]]:
    """Return the steps as they enter the digest of a version: what changes an answer, and no count of rows."""
    return [
        step.evolve(fill_null=step.fill_null.evolve(missing=None) if step.fill_null else None).dump() for step in steps
    ]


def constants(steps: Iterable[LearntStep]) -> dict[str, bool | int | float | str]:
    """Return by field the first constant that stands for a missing value."""
    return {name: fill.value for name, fill in fills(steps).items() if fill.value is not None}


def fills(steps: Iterable[LearntStep]) -> dict[str, LearntFill]:
    """Return by field the first fill with a constant: later ones find nothing missing."""
    found: dict[str, LearntFill] = {}
    for step in steps:
        if step.fill_null is not None and step.fill_null.value is not None:
            found.setdefault(step.fill_null.field, step.fill_null)
    return found
