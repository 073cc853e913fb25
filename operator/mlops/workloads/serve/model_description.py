"""What a person or a program has to know of a model to ask it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.serve.inference import Interface

# A list of more is no help, and as long as the model.
MOST_LISTED: Final = 100


@dataclass(frozen=True)
class ModelDescription:
    """One model version; `known` are the values of texts that it was trained with, by input."""

    interface: Interface
    known: Mapping[str, tuple[str, ...]]
    # What each row must meet, and inputs that must not be missing in any.
    conditions: tuple[str, ...]
    needed: frozenset[str]
    max_rows: int
    # A row that it answers, as JSON values by input; None where none was found.
    example: dict[str, Any] | None = None

    def may_be_missing(self, name: str) -> bool:
        """Whether a row may leave this input out."""
        column = next(column for column in self.interface.inputs if column.name == name)
        return column.nullable and name not in self.needed


def description_of(signature: Signature, interface: Interface, max_rows: int) -> ModelDescription:
    """Return what the model's own files say. Of what is personal no value is listed."""
    texts = signature.encoding.texts if signature.encoding else ()
    hidden = {one.name for one in signature.inputs if one.pii} | {mask.column for mask in signature.masks or ()}
    steps = signature.clean or ()
    forward = {step.fill_null.field for step in steps if step.fill_null and step.fill_null.value is None}
    return ModelDescription(
        interface=interface,
        known={
            one.column: one.categories
            for one in texts
            if one.column not in hidden and 0 < len(one.categories) <= MOST_LISTED
        },
        conditions=tuple(step.filter for step in steps if step.filter),
        needed=frozenset(forward | {name for step in steps for name in step.drop_nulls or ()}),
        max_rows=max_rows,
    )
