"""What an expression says, before anybody knows the types of its columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from mlops.workloads.floor.expressions.kinds import Kind, Value


@dataclass(frozen=True)
class Name:
    """A column."""

    name: str
    text: str
    depth: int = 1


@dataclass(frozen=True)
class Constant:
    """A value that is written out."""

    kind: Kind
    value: Value
    text: str
    depth: int = 1


@dataclass(frozen=True)
class Call:
    """An operator or a function (lower case) with its operands; `option` is a word of its syntax, such as a type."""

    name: str
    operands: tuple[Syntax, ...]
    text: str
    option: str = ""
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", 1 + max((one.depth for one in self.operands), default=0))


Syntax: TypeAlias = Name | Constant | Call


def names_in(tree: Syntax) -> Iterator[str]:
    """Yield the names of the columns, in the order of the text, as often as they occur."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, Name):
            yield node.name
        elif isinstance(node, Call):
            todo.extend(reversed(node.operands))
