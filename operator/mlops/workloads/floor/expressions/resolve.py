"""From a tree of words to one of operations, once the types of the columns are known."""

from __future__ import annotations

from collections.abc import Mapping

from mlops.api.dataset import FieldType
from mlops.workloads.floor.expressions.errors import Refusal
from mlops.workloads.floor.expressions.functions import BUILDERS
from mlops.workloads.floor.expressions.growth import FIXED, Growth, letters_replaced, most
from mlops.workloads.floor.expressions.syntax import Constant, Name, Syntax
from mlops.workloads.floor.expressions.texts import LetterReplaced
from mlops.workloads.floor.expressions.typed import ColumnNode, Eager, Literal, Logic, Node, Strict, operands_of
from mlops.workloads.floor.expressions.vocabulary import CLOCK


def resolved(tree: Syntax, columns: Mapping[str, FieldType]) -> Node:
    """Return the typed tree. Raises Refusal for an unknown column and for types that do not go together."""
    match tree:
        case Name(name=name, text=text):
            if name not in columns:
                raise Refusal(_unknown(name, columns))
            return ColumnNode(columns[name], text, name)
        case Constant(kind=kind, value=value, text=text):
            return Literal(kind, text, value)
    return BUILDERS[tree.name](tree, [resolved(one, columns) for one in tree.operands])


def _unknown(name: str, columns: Mapping[str, FieldType]) -> str:
    if name.lower() in CLOCK:
        return f"uses the clock ({name.lower()}): a row must always give the same value"
    present = ", ".join(columns) or "none"
    return f'names "{name}", which is no column; there are: {present}'


def growth_of(node: Node) -> Growth:
    """Return how long the texts become at most that an expression makes on its way."""
    match node:
        case ColumnNode(kind=kind):
            return Growth(1.0) if kind == "string" else FIXED
        case Literal(value=value):
            return Growth(0.0, FIXED.added + (4 * len(value) if isinstance(value, str) else 0))
        case Strict(operation=LetterReplaced()):
            return _of_letters(node)
        case Strict(operation=operation) | Eager(operation=operation):
            return operation.grows([growth_of(one) for one in node.operands])
        case Logic():
            return most([growth_of(one) for one in node.operands])
    return most([growth_of(one) for one in operands_of(node)])


def _of_letters(node: Node) -> Growth:
    pairs: list[tuple[str, str]] = []
    while isinstance(node, Strict) and isinstance(node.operation, LetterReplaced):
        pairs.append((node.operation.old, node.operation.new))
        node = node.operands[0]
    return letters_replaced(pairs[::-1])([growth_of(node)])
