"""An expression over columns of known types: a tree whose nodes say what they give.

Two back ends compute it: `scalar` for one row, `vector` for many. Both go by the same operations, so a row alone gives
the bits that it gives among others:

- a `Strict` operation is missing where an operand is missing; it has a function of values, and may have one of arrays
  that gives the same bits. Where the arrays cannot tell (an overflow, a division by zero) they ask the function of
  values for these rows.
- an `Eager` operation sees missing operands.
- `Logic`, `Choice` and `Coalesce` compute an operand only for rows that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.expressions.growth import Growth, most
from mlops.workloads.floor.expressions.kinds import Kind, Value

# Values of n rows, and the rows (n,) for which only the function of values knows; None: none of them.
Computed: TypeAlias = tuple[NDArray[Any], NDArray[np.bool_] | None]
GrowthRule: TypeAlias = Callable[[list[Growth]], Growth]


@dataclass(frozen=True, eq=False)
class Values:
    """Values of n rows: float64, int64, bool or objects (str). A missing float is NaN.

    Of the other kinds `absent` (n,) says which are missing (None: none is); what stands there is any valid value.
    """

    kind: Kind
    array: NDArray[Any]
    absent: NDArray[np.bool_] | None = None

    def missing(self) -> NDArray[np.bool_] | None:
        """Return which values are missing; None if none is."""
        if self.kind != "float64":
            return self.absent
        found: NDArray[np.bool_] = np.isnan(self.array)
        return found if found.any() else None


@dataclass(frozen=True, eq=False)
class Operation:
    """What a Strict node does to values that are there.

    `scalar` takes values and gives one, or a missing one, or raises NoValue. `vector` takes arrays. `total`: missing
    floats go in and come out by themselves, as NaN.
    """

    name: str
    scalar: Callable[..., Value]
    vector: Callable[..., Computed] | None = None
    total: bool = False
    grows: GrowthRule = most


@dataclass(frozen=True, eq=False)
class Whole:
    """What an Eager node does to values that may be missing."""

    name: str
    scalar: Callable[..., Value]
    vector: Callable[..., Values] | None = None
    grows: GrowthRule = most


@dataclass(frozen=True, eq=False)
class ColumnNode:
    """A column of the row."""

    kind: Kind
    text: str
    name: str


@dataclass(frozen=True, eq=False)
class Literal:
    """A value that is written out."""

    kind: Kind
    text: str
    value: Value


@dataclass(frozen=True, eq=False)
class Strict:
    """An operation on operands that are there."""

    kind: Kind
    text: str
    operands: tuple[Node, ...]
    operation: Operation


@dataclass(frozen=True, eq=False)
class Eager:
    """An operation that sees missing operands."""

    kind: Kind
    text: str
    operands: tuple[Node, ...]
    operation: Whole


@dataclass(frozen=True, eq=False)
class Logic:
    """AND or OR in three-valued logic: `decides` (False of AND, True of OR) leaves the second operand uncomputed."""

    kind: Kind
    text: str
    operands: tuple[Node, Node]
    decides: bool


@dataclass(frozen=True, eq=False)
class Choice:
    """The result of the first condition that holds, else the last operand: condition, result, ..., otherwise."""

    kind: Kind
    text: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Switch:
    """CASE operand WHEN value THEN result: operand, value, result, ..., otherwise; the operand is computed once."""

    kind: Kind
    text: str
    operands: tuple[Node, ...]
    # How the operand is compared with each value: gives True where they are equal.
    equals: tuple[Operation, ...]


@dataclass(frozen=True, eq=False)
class Coalesce:
    """The first operand that is not missing."""

    kind: Kind
    text: str
    operands: tuple[Node, ...]


Node: TypeAlias = ColumnNode | Literal | Strict | Eager | Logic | Choice | Switch | Coalesce


def operands_of(node: Node) -> tuple[Node, ...]:
    """Return what a node is computed from."""
    return () if isinstance(node, ColumnNode | Literal) else node.operands


def columns_of(node: Node) -> Iterator[ColumnNode]:
    """Yield the columns that an expression reads, as often as it does."""
    todo = [node]
    while todo:
        one = todo.pop()
        if isinstance(one, ColumnNode):
            yield one
        todo.extend(operands_of(one))


def constant(node: Node, kind: Kind) -> Value:
    """Return the value of a literal of this kind; None for what is none."""
    return node.value if isinstance(node, Literal) and node.kind == kind else None
