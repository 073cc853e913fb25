"""Expressions of many rows: a tree computed over arrays, with the bits that `scalar` gives for each row alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.expressions.errors import NoValue, RowProblem
from mlops.workloads.floor.expressions.kinds import Kind, Value, is_missing, missing
from mlops.workloads.floor.expressions.scalar import problem_of
from mlops.workloads.floor.expressions.typed import (
    Choice,
    Coalesce,
    ColumnNode,
    Eager,
    Literal,
    Logic,
    Node,
    Operation,
    Strict,
    Switch,
    Values,
)

_DTYPES: Mapping[Kind, Any] = {"float64": np.float64, "boolean": np.bool_, "string": object, "null": np.bool_}
_FILL: Mapping[Kind, Value] = {"float64": np.nan, "boolean": False, "string": "", "null": False}


class RowSet:
    """Rows of columns; `index` says where they are among the rows that were asked for."""

    def __init__(self, columns: Mapping[str, Values], index: NDArray[np.int64]) -> None:
        self._columns, self.index = columns, index

    def column(self, name: str) -> Values:
        """Return the values of a column."""
        return _taken(self._columns[name], self.index)

    def __len__(self) -> int:
        return len(self.index)

    def where(self, chosen: NDArray[np.bool_]) -> RowSet:
        """Return the rows chosen."""
        return RowSet(self._columns, self.index[chosen])


def computed(node: Node, rows: RowSet) -> Values:
    """Return the values of a tree, one per row. Raises RowProblem."""
    match node:
        case ColumnNode(name=name):
            return rows.column(name)
        case Literal(kind=kind, value=value):
            return _constant(kind, value, len(rows))
        case Strict():
            return _strict(node, [computed(one, rows) for one in node.operands], rows.index)
        case Eager():
            return _eager(node, [computed(one, rows) for one in node.operands], rows.index)
        case Logic():
            return _logic(node, rows)
        case Choice():
            return _choice(node, rows)
        case Switch():
            return _switch(node, rows)
        case Coalesce():
            return _coalesce(node, rows)


def values_of(kind: Kind, found: Sequence[Value]) -> Values:
    """Return scalars, some of them missing, as values of a kind."""
    fill = _FILL.get(kind, 0)
    array = np.empty(len(found), dtype=_DTYPES.get(kind, np.int64))
    if kind == "float64":
        array[:] = [fill if one is None else one for one in found]
        return Values(kind, array)
    absent = np.fromiter((one is None for one in found), np.bool_, len(found))
    array[:] = [fill if one is None else one for one in found] if absent.any() else found
    return Values(kind, array, absent if absent.any() else None)


def scalars_of(values: Values) -> list[Value]:
    """Return values as scalars: a missing float is NaN, any other missing value None."""
    found: list[Value] = values.array.tolist()
    if values.kind != "float64" and values.absent is not None:
        for at in np.flatnonzero(values.absent).tolist():
            found[at] = None
    return found


def applied(operation: Operation, kind: Kind, operands: Sequence[Values]) -> tuple[Values, NDArray[np.bool_] | None]:
    """Return what the arrays tell of an operation, and for which rows its function of values must be asked."""
    gone = _any_missing(operands)
    assert operation.vector is not None
    with np.errstate(all="ignore"):
        array, ask = operation.vector(*(one.array for one in operands))
    if ask is not None:
        ask = ask if gone is None else ask & ~gone
        ask = ask if ask.any() else None
    if kind == "float64":
        if gone is not None and not operation.total:
            array = np.where(gone, np.nan, array)
        return Values(kind, array), ask
    return Values(kind, array, gone), ask


def _any_missing(operands: Sequence[Values]) -> NDArray[np.bool_] | None:
    gone: NDArray[np.bool_] | None = None
    for one in operands:
        here = one.missing()
        gone = here if gone is None else gone if here is None else gone | here
    return gone


def _strict(node: Strict, operands: list[Values], index: NDArray[np.int64]) -> Values:
    operation = node.operation
    if operation.vector is None:
        return _one_by_one(node, operands, index, skip=True)
    found, ask = applied(operation, node.kind, operands)
    if ask is None:
        return found
    array = np.array(found.array)
    absent = np.zeros(len(array), np.bool_) if found.absent is None else np.array(found.absent)
    for at in np.flatnonzero(ask).tolist():
        value = _asked(node, [one.array[at : at + 1].tolist()[0] for one in operands], index[at])
        if is_missing(value):
            absent[at] = True
        else:
            array[at] = value
    if node.kind == "float64":
        array[absent] = np.nan
        return Values(node.kind, array)
    return Values(node.kind, array, absent if absent.any() else None)


def _asked(node: Strict | Eager, values: Sequence[Value], row: int) -> Value:
    try:
        return node.operation.scalar(*values)
    except NoValue as error:
        problem = problem_of(node, error, tuple(values))
        problem.row = int(row)
        raise problem from error


def _one_by_one(node: Strict | Eager, operands: list[Values], index: NDArray[np.int64], *, skip: bool) -> Values:
    """Compute each row on its own; `skip`: rows with a missing operand are missing."""
    function, nothing = node.operation.scalar, missing(node.kind)
    gone = _any_missing(operands) if skip else None
    columns = [scalars_of(one) for one in operands]
    if not columns:
        return values_of(node.kind, [function()] * len(index))
    if gone is None:
        compute: Callable[..., Value] = function
    else:
        columns.append(gone.tolist())

        def compute(*values: Value) -> Value:
            return nothing if values[-1] else function(*values[:-1])

    try:
        return values_of(node.kind, list(map(compute, *columns)))
    except NoValue:
        raise _first_problem(node, columns[: len(operands)], gone, index) from None


def _first_problem(
    node: Strict | Eager, columns: list[list[Value]], gone: NDArray[np.bool_] | None, index: NDArray[np.int64]
) -> RowProblem:
    """Return what is wrong with the first row that has no value."""
    for row, values in enumerate(zip(*columns, strict=True)):
        try:
            if gone is None or not gone[row]:
                node.operation.scalar(*values)
        except NoValue as error:
            problem = problem_of(node, error, values)
            problem.row = int(index[row])
            return problem
    raise AssertionError("an operation gave a row a value only the second time")


def _eager(node: Eager, operands: list[Values], index: NDArray[np.int64]) -> Values:
    if node.operation.vector is not None:
        return node.operation.vector(*operands)
    return _one_by_one(node, operands, index, skip=False)


def _constant(kind: Kind, value: Value, count: int) -> Values:
    if value is None:
        absent = None if kind == "float64" else np.ones(count, np.bool_)
        return Values(kind, np.full(count, _FILL.get(kind, 0), dtype=_DTYPES.get(kind, np.int64)), absent)
    array = np.empty(count, dtype=_DTYPES.get(kind, np.int64))
    array[:] = value
    return Values(kind, array)


def _taken(values: Values, index: NDArray[np.int64]) -> Values:
    if len(index) == len(values.array):  # indices only ever become fewer
        return values
    absent = None if values.absent is None else values.absent[index]
    return Values(values.kind, values.array[index], absent)


def is_true(values: Values) -> NDArray[np.bool_]:
    """Return which values of a condition are true: neither false nor unknown."""
    found: NDArray[np.bool_] = values.array if values.absent is None else values.array & ~values.absent
    return found


def _logic(node: Logic, rows: RowSet) -> Values:
    first = computed(node.operands[0], rows)
    decided = is_true(first) if node.decides else is_true(Values("boolean", ~first.array, first.absent))
    if decided.all():
        return first
    open_rows = ~decided
    second = computed(node.operands[1], rows.where(open_rows))
    array, absent = np.array(first.array), np.zeros(len(rows), np.bool_)
    array[open_rows] = second.array
    was_unknown = np.zeros(len(second.array), np.bool_) if first.absent is None else first.absent[open_rows]
    is_unknown = np.zeros(len(second.array), np.bool_) if second.absent is None else second.absent
    absent[open_rows] = is_unknown | (was_unknown & (second.array != node.decides))
    return Values("boolean", array, absent if absent.any() else None)


class _Parts:
    """A result that is put together from the rows of several branches."""

    def __init__(self, kind: Kind, count: int) -> None:
        self._values = _constant(kind, None, count)

    def put(self, where: NDArray[np.bool_], values: Values) -> None:
        self._values.array[where] = values.array
        if self._values.absent is not None:
            self._values.absent[where] = False if values.absent is None else values.absent

    def values(self) -> Values:
        absent = self._values.absent
        return Values(self._values.kind, self._values.array, absent if absent is not None and absent.any() else None)


def _branches(
    kind: Kind,
    rows: RowSet,
    branches: Sequence[tuple[Callable[[NDArray[np.bool_]], NDArray[np.bool_]], Node]],
    last: Node,
) -> Values:
    """Compute each branch for the rows whose condition holds, among those that no earlier one took."""
    parts, left = _Parts(kind, len(rows)), np.ones(len(rows), np.bool_)
    for holds, result in branches:
        if not left.any():
            break
        taken = np.zeros(len(rows), np.bool_)
        taken[left] = holds(left)
        if taken.any():
            parts.put(taken, computed(result, rows.where(taken)))
        left &= ~taken
    if left.any():
        parts.put(left, computed(last, rows.where(left)))
    return parts.values()


def _choice(node: Choice, rows: RowSet) -> Values:
    *pairs, last = node.operands

    def holds(condition: Node) -> Callable[[NDArray[np.bool_]], NDArray[np.bool_]]:
        return lambda left: is_true(computed(condition, rows.where(left)))

    branches = [(holds(condition), result) for condition, result in zip(pairs[::2], pairs[1::2], strict=True)]
    return _branches(node.kind, rows, branches, last)


def _switch(node: Switch, rows: RowSet) -> Values:
    operand, *pairs, last = node.operands
    x = computed(operand, rows)
    gone = x.missing()
    present = np.ones(len(rows), np.bool_) if gone is None else ~gone

    def holds(equals: Operation, value: Node) -> Callable[[NDArray[np.bool_]], NDArray[np.bool_]]:
        def equal(left: NDArray[np.bool_]) -> NDArray[np.bool_]:
            compared, equal_rows = left & present, np.zeros(len(rows), np.bool_)
            if compared.any():
                equal_rows[compared] = _equal(equals, _chosen(x, compared), computed(value, rows.where(compared)))
            return equal_rows[left]

        return equal

    branches = [
        (holds(equals, value), result)
        for equals, value, result in zip(node.equals, pairs[::2], pairs[1::2], strict=True)
    ]
    return _branches(node.kind, rows, branches, last)


def _equal(equals: Operation, x: Values, y: Values) -> NDArray[np.bool_]:
    found, ask = applied(equals, "boolean", [x, y])
    array = np.array(is_true(found))
    for at in np.flatnonzero(ask).tolist() if ask is not None else ():
        array[at] = equals.scalar(x.array[at : at + 1].tolist()[0], y.array[at : at + 1].tolist()[0])
    return array


def _chosen(values: Values, where: NDArray[np.bool_]) -> Values:
    return Values(values.kind, values.array[where], None if values.absent is None else values.absent[where])


def _coalesce(node: Coalesce, rows: RowSet) -> Values:
    parts, left = _Parts(node.kind, len(rows)), np.ones(len(rows), np.bool_)
    for operand in node.operands:
        if not left.any():
            break
        found = computed(operand, rows.where(left))
        gone = found.missing()
        present = np.array(left)
        present[left] = True if gone is None else ~gone
        parts.put(present, found if gone is None else _chosen(found, ~gone))
        left &= ~present
    return parts.values()
