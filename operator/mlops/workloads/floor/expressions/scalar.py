"""Expressions of one row: a tree becomes nested functions that take the row's values and give the expression's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NoReturn, TypeAlias

from mlops.workloads.floor.expressions.errors import NoValue, RowProblem
from mlops.workloads.floor.expressions.kinds import Kind, Value, is_missing, missing
from mlops.workloads.floor.expressions.times import time_text
from mlops.workloads.floor.expressions.typed import (
    Choice,
    Coalesce,
    ColumnNode,
    Eager,
    Literal,
    Logic,
    Node,
    Strict,
    Switch,
    operands_of,
)

# The row's values by slot; a missing float is NaN, any other missing value None.
OfRow: TypeAlias = Callable[[Sequence[Value]], Value]


def compiled(node: Node, slots: Mapping[str, int]) -> OfRow:
    """Return the function of a row for a tree over columns in these slots. It raises RowProblem."""
    operands = [compiled(one, slots) for one in operands_of(node)]
    match node:
        case ColumnNode(name=name):
            return itemgetter(slots[name])
        case Literal(kind=kind, value=value):
            constant = missing(kind) if value is None else value
            return lambda row: constant
        case Strict():
            return _strict(node, operands)
        case Eager(operation=operation):
            return _eager(node, operation.scalar, operands)
        case Logic(decides=decides):
            return _logic(decides, *operands)
        case Choice(kind=kind):
            return _choice(operands)
        case Switch():
            return _switch(node, operands)
        case Coalesce(kind=kind):
            return _coalesce(operands, missing(kind))


def problem_of(node: Strict | Eager | Switch, error: NoValue, values: tuple[Any, ...]) -> RowProblem:
    """Return what is wrong with a row, for which an operation has no value."""
    way_out = error.way_out.format(*(one.text for one in node.operands))
    shown = tuple(_shown(one.kind, value) for one, value in zip(node.operands, values, strict=True))
    return RowProblem(f"`{node.text}`", shown, error.problem, way_out)


def _shown(kind: Kind, value: Value) -> Value:
    if value is None or kind not in ("timestamp", "date", "duration"):
        return value
    return _Written(f"{value} microseconds") if kind == "duration" else _Written(time_text(value))


class _Written(str):
    """A time as it is shown: not a text, so without quotation marks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _raise(node: Strict | Eager, error: NoValue, *values: Any) -> NoReturn:
    raise problem_of(node, error, values) from error


def _strict(node: Strict, operands: list[OfRow]) -> OfRow:
    function, nothing = node.operation.scalar, missing(node.kind)
    if node.operation.total:
        return _total(function, operands)
    if len(operands) == 1:
        return _of_one(node, function, operands[0], nothing)
    if len(operands) == 2:
        first, second = operands
        return _of_two(node, function, first, second, nothing)

    def compute(row: Sequence[Value]) -> Value:
        values = [operand(row) for operand in operands]
        if any(value is None or value != value for value in values):
            return nothing
        try:
            return function(*values)
        except NoValue as error:
            _raise(node, error, *values)

    return compute


def _total(function: Callable[..., Value], operands: list[OfRow]) -> OfRow:
    if len(operands) == 1:
        (only,) = operands
        return lambda row: function(only(row))
    first, second = operands
    return lambda row: function(first(row), second(row))


def _of_one(node: Strict, function: Callable[..., Value], operand: OfRow, nothing: Value) -> OfRow:
    def compute(row: Sequence[Value]) -> Value:
        value = operand(row)
        if value is None or value != value:
            return nothing
        try:
            return function(value)
        except NoValue as error:
            _raise(node, error, value)

    return compute


def _of_two(node: Strict, function: Callable[..., Value], first: OfRow, second: OfRow, nothing: Value) -> OfRow:
    def compute(row: Sequence[Value]) -> Value:
        x, y = first(row), second(row)
        if x is None or x != x or y is None or y != y:
            return nothing
        try:
            return function(x, y)
        except NoValue as error:
            _raise(node, error, x, y)

    return compute


def _eager(node: Eager, function: Callable[..., Value], operands: list[OfRow]) -> OfRow:
    def compute(row: Sequence[Value]) -> Value:
        values = [operand(row) for operand in operands]
        try:
            return function(*values)
        except NoValue as error:
            _raise(node, error, *values)

    return compute


def _logic(decides: bool, first: OfRow, second: OfRow) -> OfRow:
    def compute(row: Sequence[Value]) -> Value:
        x = first(row)
        if x is decides:
            return x
        y = second(row)
        # Unknown, unless the second decides.
        return y if x is not None or y is decides else None

    return compute


def _choice(operands: list[OfRow]) -> OfRow:
    *branches, otherwise = operands
    pairs = list(zip(branches[::2], branches[1::2], strict=True))

    def compute(row: Sequence[Value]) -> Value:
        for condition, result in pairs:
            if condition(row):
                return result(row)
        return otherwise(row)

    return compute


def _switch(node: Switch, operands: list[OfRow]) -> OfRow:
    operand, *branches, otherwise = operands
    triples = list(zip(node.equals, branches[::2], branches[1::2], strict=True))

    def compute(row: Sequence[Value]) -> Value:
        x = operand(row)
        if is_missing(x):
            return otherwise(row)
        for equals, value, result in triples:
            y = value(row)
            if not is_missing(y) and equals.scalar(x, y):
                return result(row)
        return otherwise(row)

    return compute


def _coalesce(operands: list[OfRow], nothing: Value) -> OfRow:
    def compute(row: Sequence[Value]) -> Value:
        for operand in operands:
            value = operand(row)
            if value is not None and value == value:
                return value
        return nothing

    return compute
