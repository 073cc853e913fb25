"""Which fields of a Dataset a request carries: one rule for ingest, training and what is served."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from mlops.api.dataset import Role
from mlops.workloads.floor.expressions import computed_from

# Of these roles a request carries a field if a feature is computed of it.
_IF_READ: frozenset[Role] = frozenset({"timestamp", "entityKey"})


def read_fields(fields: Iterable[str], features: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return which of the fields the features (name, expression) are computed of. Raises ExpressionError."""
    known, own = list(fields), set(fields)
    read: set[str] = set()
    for name, expression in features:
        read |= computed_from(expression, known)
        known.append(name)
    return frozenset(read & own)


def requested_fields(roles: Mapping[str, Role], read: Collection[str]) -> tuple[str, ...]:
    """Return the names of the fields that a request carries, in the order of `roles`.

    They are those of role feature and input, and a timestamp or entity key that is among those `read` by features.
    """
    return tuple(
        name for name, role in roles.items() if role in ("feature", "input") or (role in _IF_READ and name in read)
    )
