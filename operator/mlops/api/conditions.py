"""Conditions as every Kubernetes tool knows them: `metav1.Condition`, and kstatus' Ready, Reconciling and Stalled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mlops.api.base import Model
from mlops.api.condition_types import ConditionType as ConditionType

ConditionStatus = Literal["True", "False", "Unknown"]


READY, RECONCILING, STALLED = ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED


class Condition(Model):
    """One observation of an object's state."""

    type: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]*$", max_length=64)] = Field(
        description="What is observed, such as Ready."
    )
    status: ConditionStatus = Field(description="Whether it holds: True, False or Unknown.")
    reason: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=64)] = Field(
        description="Why, in one CamelCase word that programs may read."
    )
    message: Annotated[str, StringConstraints(max_length=2048)] = Field(
        default="", description="Why, in a sentence for a person, with the way out where there is one."
    )
    last_transition_time: str = Field(
        default="", description="When the status last flipped.", json_schema_extra={"format": "date-time"}
    )
    observed_generation: int = Field(default=0, description="The generation of the spec this was observed for.")


def find(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """Return the condition of that type, or None."""
    return next((condition for condition in conditions if condition.type == type_), None)


def is_true(conditions: Iterable[Condition], type_: str) -> bool:
    """Return whether the condition of that type is there and True."""
    found = find(conditions, type_)
    return found is not None and found.status == "True"


def is_false(conditions: Iterable[Condition], type_: str) -> bool:
    """Return whether the condition of that type is there and False."""
    found = find(conditions, type_)
    return found is not None and found.status == "False"
