"""Conditions in statuses of Kubernetes' own kinds."""

from __future__ import annotations

from collections.abc import Iterable

from mlops.planning.plan import Manifest


def find(conditions: Iterable[Manifest], type_: str) -> Manifest | None:
    """Return the condition of that type, whatever its status."""
    return next((each for each in conditions if each["type"] == type_), None)


def is_true(conditions: Iterable[Manifest], type_: str) -> bool:
    """Return whether the condition is there and True."""
    found = find(conditions, type_)
    return found is not None and found["status"] == "True"


def replaced(conditions: Iterable[Manifest], new: Manifest) -> list[Manifest]:
    """Return the conditions with `new` in the place of that of its type, or at the end."""
    before = list(conditions)
    if find(before, new["type"]) is None:
        return [*before, new]
    return [new if each["type"] == new["type"] else each for each in before]
