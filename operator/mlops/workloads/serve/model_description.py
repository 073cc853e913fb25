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
    # What each row must meet, and the inputs that it may leave out.
    conditions: tuple[str, ...]
    optional: frozenset[str]
    max_rows: int
    # A row that it answers, as JSON values by input; None where none was found.
    example: dict[str, Any] | None = None


def description_of(signature: Signature, interface: Interface, max_rows: int) -> ModelDescription:
    """Return what the model's own files say. Of what is personal no value is listed."""
    texts = signature.encoding.texts if signature.encoding else ()
    hidden = {one.name for one in signature.inputs if one.pii} | {mask.column for mask in signature.masks or ()}
    steps = signature.clean or ()
    forward = {step.fill_null.field for step in steps if step.fill_null and step.fill_null.value is None}
    needed = forward | {name for step in steps for name in step.drop_nulls or ()}
    return ModelDescription(
        interface=interface,
        known={
            one.column: one.categories
            for one in texts
            if one.column not in hidden and 0 < len(one.categories) <= MOST_LISTED
        },
        conditions=tuple(step.filter for step in steps if step.filter),
        optional=frozenset(one.name for one in interface.inputs if one.nullable and one.name not in needed),
        max_rows=max_rows,
    )
