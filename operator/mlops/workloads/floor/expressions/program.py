"""An expression, checked and ready to be computed: for one row, or for many at once with the same bits.

What it gives for a row never depends on other rows, on the clock or on chance: there is nothing in its grammar that
could. A result that is not a number is missing, minus zero is zero. Infinity is left as it is: the contract of a
Dataset refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mlops.api.dataset import FieldType
from mlops.workloads.floor.expressions.errors import ExpressionError, Refusal, RowProblem
from mlops.workloads.floor.expressions.growth import Growth
from mlops.workloads.floor.expressions.kinds import COLUMN_KINDS, Value, column_kind
from mlops.workloads.floor.expressions.parser import parse
from mlops.workloads.floor.expressions.resolve import growth_of, resolved
from mlops.workloads.floor.expressions.scalar import OfRow, compiled
from mlops.workloads.floor.expressions.syntax import names_in
from mlops.workloads.floor.expressions.typed import Node, Values, columns_of
from mlops.workloads.floor.expressions.vector import RowSet, computed, scalars_of

# A text that an expression makes, unless the row's own are longer; what may be in memory at once on the way.
LONGEST_TEXT, AT_ONCE = 1 << 20, 256 << 20


@dataclass(frozen=True, eq=False)
class Program:
    """A checked expression. `type` is that of its column, `reads` are the columns that it needs."""

    expression: str
    type: FieldType
    reads: tuple[str, ...]
    texts: tuple[str, ...]
    grows: Growth
    node: Node

    def on(self, slots: Mapping[str, int]) -> OfRow:
        """Return the function of a row whose columns stand in these slots; a missing float is NaN, else None.

        It raises RowProblem.
        """
        finish, texts = _FINISHES.get(self.type), [slots[name] for name in self.texts]
        inner = compiled(self.node, slots)
        if self.type != "string" and texts:
            bare = inner

            def inner(row: Sequence[Value]) -> Value:
                self._check_room(sum(len(row[slot].encode()) for slot in texts if row[slot] is not None))
                return bare(row)

        if finish is not None:
            return lambda row: finish(inner(row))
        if self.type != "string":
            return inner

        def text(row: Sequence[Value]) -> Value:
            own = [len(row[slot].encode()) for slot in texts if row[slot] is not None]
            self._check_room(sum(own))
            found = inner(row)
            if found is not None and len(found) > LONGEST_TEXT // 4:
                self._check_length(len(found.encode()), max(own, default=0))
            return found

        return text

    def of_rows(self, columns: Mapping[str, Values], count: int) -> Values:
        """Return the values of `count` rows. Raises RowProblem."""
        if self.texts:
            self._check_rooms(columns)
        found = computed(self.node, RowSet(columns, np.arange(count)))
        if self.type == "float64":
            return Values("float64", found.array + 0.0)  # minus zero becomes zero
        if self.type == "string":
            self._check_lengths(found, columns)
        return Values(self.type, found.array, found.absent)

    def _check_room(self, own: int) -> None:
        room = self.grows.factor * own + self.grows.added
        if room > AT_ONCE:
            raise RowProblem(
                "it", (), f"may make a text of {room:.0f} bytes of {own}; at most {AT_ONCE} are allowed", ""
            )

    def _check_rooms(self, columns: Mapping[str, Values]) -> None:
        sizes = [_sizes(columns[name]) for name in self.texts]
        if self.grows.factor * sum(max(size, default=0) for size in sizes) + self.grows.added <= AT_ONCE:
            return
        for row, own in enumerate(zip(*sizes, strict=True)):
            with _at(row):
                self._check_room(sum(own))

    def _check_lengths(self, found: Values, columns: Mapping[str, Values]) -> None:
        for row, text in enumerate(scalars_of(found)):
            if text is not None and len(text) > LONGEST_TEXT // 4:
                own = (columns[name].array[row] for name in self.texts)
                with _at(row):
                    self._check_length(len(text.encode()), max((len(one.encode()) for one in own), default=0))

    def _check_length(self, length: int, own: int) -> None:
        if length > max(LONGEST_TEXT, own):
            problem = f"gives a text of {length} bytes; at most {LONGEST_TEXT} are allowed"
            raise RowProblem("it", (), problem, f"left({self.node.text}, {LONGEST_TEXT // 4})")


class _at:
    """Says of a problem in which row it is."""

    def __init__(self, row: int) -> None:
        self._row = row

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, problem: object, __: object) -> None:
        if isinstance(problem, RowProblem):
            problem.row = self._row


def _sizes(values: Values) -> list[int]:
    return [len(text) if text.isascii() else len(text.encode()) for text in values.array.tolist()]


_FINISHES: Mapping[FieldType, Callable[[Value], Value]] = {"float64": lambda value: value + 0.0}


def check(expression: str, columns: Mapping[str, FieldType]) -> FieldType:
    """Return the type of an expression over columns of these types.

    Raises ExpressionError if it cannot be parsed, names a column that is not there, has a type that a column cannot
    have, or is not row by row: aggregates, windows, subqueries, chance, the clock.
    """
    return program(expression, columns).type


def program(expression: str, columns: Mapping[str, FieldType]) -> Program:
    """Return an expression over columns of these types, ready to be computed. Raises ExpressionError as `check`."""
    return _program(expression, tuple(columns.items()))


@lru_cache(maxsize=512)
def _program(expression: str, columns: tuple[tuple[str, FieldType], ...]) -> Program:
    types = dict(columns)
    try:
        node = resolved(parse(expression), types)
        grows = growth_of(node).check()
    except Refusal as error:
        raise ExpressionError(expression, str(error)) from error
    kind = column_kind(node.kind)
    if kind is None:
        raise ExpressionError(expression, _no_column(node))
    reads = tuple(dict.fromkeys(one.name for one in columns_of(node)))
    texts = tuple(name for name in reads if types[name] == "string")
    return Program(expression, kind, reads, texts, grows, node)


def _no_column(node: Node) -> str:
    way_out = {
        "null": "CAST(NULL AS DOUBLE)",
        "duration": f"({node.text}) / interval '1 day'",
        "interval": "it beside a timestamp",
    }[node.kind]
    return f"gives a {node.kind}, which no column can hold; columns are {', '.join(COLUMN_KINDS)}: write {way_out}"


def computed_from(expression: str, columns: Iterable[str]) -> frozenset[str]:
    """Return which of the columns an expression reads. Raises ExpressionError for what cannot be parsed."""
    try:
        return frozenset(names_in(parse(expression))) & frozenset(columns)
    except Refusal as error:
        raise ExpressionError(expression, str(error)) from error


def with_derived(names: Iterable[str], features: Iterable[tuple[str, str]], columns: Iterable[str]) -> frozenset[str]:
    """Return the columns named, and every feature (name, expression) that is computed from one of them, however far."""
    found, known = set(names), list(columns)
    for name, expression in features:
        if computed_from(expression, known) & found:
            found.add(name)
        known.append(name)
    return frozenset(found)


class Chain:
    """Features (name, expression) in order: a later one may use an earlier one."""

    def __init__(self, features: Iterable[tuple[str, str]], columns: Mapping[str, FieldType]) -> None:
        """Check all of them. Raises ExpressionError."""
        self.types = dict(columns)
        self.programs: list[tuple[str, Program]] = []
        for name, expression in features:
            made = program(expression, self.types)
            self.programs.append((name, made))
            self.types[name] = made.type
        computed_here: set[str] = {name for name, _ in self.programs}
        read = dict.fromkeys(name for _, one in self.programs for name in one.reads if name not in computed_here)
        # The columns that a row begins with, in this order; the features' values follow.
        self.reads = tuple(read)
        slots = {name: slot for slot, name in enumerate([*self.reads, *(name for name, _ in self.programs)])}
        self._steps = [one.on(slots) for _, one in self.programs]

    def extend(self, row: list[Value], *, hidden: bool, number: int = 0) -> None:
        """Append the features' values to a row (values of `reads`); `number` rows came before it.

        Raises ExpressionError, which shows no value if `hidden`.
        """
        before = len(row)
        try:
            for step in self._steps:
                row.append(step(row))
        except RowProblem as problem:
            _, failed = self.programs[len(row) - before]
            raise ExpressionError(failed.expression, problem.message(hidden, number)) from None
