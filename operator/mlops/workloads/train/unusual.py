"""Rows that held-out data seldom has: a value missing, a text that nobody has seen, a number far away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.model.missing import floats, objects, whole_numbers
from mlops.workloads.floor.model.signature import ModelColumn

UNSEEN: Final = "never-seen-in-training"
# How far beyond the smallest and the largest value, in widths of what lies between them.
_FAR: Final = 10
_INT64: Final = range(-(1 << 63), 1 << 63)
Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Unusual:
    """Columns (n,) as an engine takes them, and of each row in words what is unusual in it."""

    columns: dict[str, NDArray[Any]]
    words: tuple[str, ...]

    def only(self, rows: Sequence[int]) -> Unusual:
        """Return some of the rows."""
        chosen = list(rows)
        return Unusual(
            {name: values[chosen] for name, values in self.columns.items()}, tuple(self.words[i] for i in rows)
        )


def unusual_rows(columns: tuple[ModelColumn, ...], known: Columns, required: frozenset[str]) -> Unusual:
    """Return a row for each unusual value of each column: a usual row (of n) with that value in it.

    A `required` column is never missing: requests without it are refused.
    """
    changes = [(one.name, *change) for one in columns for change in _values_of(one, known[one.name], required)]
    count = len(next(iter(known.values()))) if known else 0
    if not count:
        return Unusual({}, ())
    made = {}
    for one in columns:
        values = known[one.name].tolist()
        rows = [values[number % count] for number in range(len(changes))]
        for number, (name, value, _) in enumerate(changes):
            if name == one.name:
                rows[number] = value
        made[one.name] = _array(one, rows)
    return Unusual(made, tuple(f"{name} {words}" for name, _, words in changes))


def _values_of(one: ModelColumn, values: NDArray[Any], required: frozenset[str]) -> Iterator[tuple[Any, str]]:
    if one.name not in required:
        yield None, "missing"
    if one.type == "string":
        yield UNSEEN, "unseen"
    elif one.type in ("float64", "int64"):
        known = [value for value in values.tolist() if value is not None and value == value]
        if not known:
            return
        low, high = min(known), max(known)
        width = _FAR * ((high - low) or max(1, abs(high)))
        for far in (low - width, high + width):
            if one.type == "float64" and np.isfinite(far):
                yield float(far), "far away"
            elif one.type == "int64" and round(far) in _INT64:
                yield round(far), "far away"


def _array(one: ModelColumn, rows: list[Any]) -> NDArray[Any]:
    """Return values as `missing` says; NaN is missing."""
    plain = [None if value is None or value != value else value for value in rows]
    if one.type == "string":
        return objects(plain)
    if one.type == "int64":
        return whole_numbers([None if value is None else int(value) for value in plain])
    if one.type == "boolean" and None not in plain:
        return np.array(plain, dtype=np.bool_)
    return floats(np.array([np.nan if value is None else value for value in plain], dtype=np.float64))
