"""Which type operands of several types share, and what is said where they share none."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.workloads.floor.expressions.casts import converted, nothing
from mlops.workloads.floor.expressions.errors import Refusal
from mlops.workloads.floor.expressions.intervals import time_of
from mlops.workloads.floor.expressions.kinds import NUMBERS, Kind
from mlops.workloads.floor.expressions.typed import Literal, Node

TIMES = ("timestamp", "date")


def number(node: Node) -> Node:
    """Return a number; a truth counts as 0 or 1. Raises Refusal for what is none."""
    if node.kind == "boolean":
        return converted(node, "int64")
    if node.kind == "null":
        return nothing("int64", node.text)
    if node.kind not in NUMBERS:
        raise Refusal(f"cannot be computed: {described(node)}, and not a number{_cast_to_number(node)}")
    return node


def float_of(node: Node) -> Node:
    """Return a number as float64. Raises Refusal."""
    return converted(number(node), "float64")


def integer_of(node: Node) -> Node:
    """Return an integer. Raises Refusal."""
    found = number(node)
    if found.kind != "int64":
        raise Refusal(f"cannot be computed: {described(node)}, and not an integer: write CAST({node.text} AS BIGINT)")
    return found


def text_of(node: Node) -> Node:
    """Return a text. Raises Refusal for what is none."""
    if node.kind not in ("string", "null"):
        raise Refusal(f"cannot be computed: {described(node)}, and not a string: write CAST({node.text} AS VARCHAR)")
    return converted(node, "string")


def time_node(node: Node) -> Node:
    """Return a timestamp or a date. Raises Refusal for what is none."""
    if node.kind == "null":
        return nothing("timestamp", node.text)
    if node.kind not in TIMES:
        way_out = f": write timestamp({node.text})" if node.kind == "string" else ""
        raise Refusal(f"cannot be computed: {described(node)}, and not a timestamp{way_out}")
    return node


def condition(node: Node) -> Node:
    """Return a condition. Raises Refusal for what is none."""
    if node.kind not in ("boolean", "null"):
        way_out = f": write {node.text} <> 0" if node.kind in NUMBERS else ""
        raise Refusal(f"cannot be computed: {described(node)}, and not a condition{way_out}")
    return converted(node, "boolean")


def shared(nodes: Sequence[Node], *, texts: bool) -> list[Node]:
    """Return results as one type: numbers widen; `texts`: beside a text, numbers become texts. Raises Refusal."""
    kinds: set[Kind] = {node.kind for node in nodes} - {"null"}
    if not kinds:
        return list(nodes)
    if len(kinds) == 1:
        kind = kinds.pop()
    elif kinds <= set(NUMBERS):
        kind = "float64" if "float64" in kinds else "int64"
    elif kinds <= set(TIMES):
        kind = "timestamp"
    elif texts and kinds <= {"string", *NUMBERS, *TIMES}:
        kind = "string"
    else:
        raise apart(*_two_kinds(nodes))
    return [converted(node, kind) for node in nodes]


def _two_kinds(nodes: Sequence[Node]) -> tuple[Node, Node]:
    known = [node for node in nodes if node.kind != "null"]
    return known[0], next(node for node in known if node.kind != known[0].kind)


def apart(x: Node, y: Node, sign: str = "") -> Refusal:
    """Return what to say of operands that do not go together, with what to write instead."""
    return Refusal(f"cannot be computed: {described(x)} and {described(y)}{_way_out(x, y, sign)}")


def described(node: Node) -> str:
    """Return what a message calls an operand."""
    return f"{node.text} is a {node.kind}"


def _cast_to_number(node: Node) -> str:
    return f": write CAST({node.text} AS DOUBLE)" if node.kind == "string" else ""


def _way_out(x: Node, y: Node, sign: str) -> str:
    as_written = [x.text, y.text]
    for at, (one, other) in enumerate(((x, y), (y, x))):
        if one.kind == "string" and other.kind in NUMBERS:
            as_written[at] = f"CAST({one.text} AS DOUBLE)"
        elif one.kind == "string" and other.kind in TIMES:
            known = isinstance(one, Literal) and time_of(str(one.value)) is not None
            as_written[at] = f"timestamp {one.text}" if known else f"timestamp({one.text})"
        elif one.kind in TIMES and other.kind in NUMBERS and sign in ("+", "-"):
            as_written[1 - at] = "interval '1 day'"
        elif one.kind in TIMES and other.kind in NUMBERS:
            as_written[at] = f"CAST({one.text} AS BIGINT)"
    changed = as_written != [x.text, y.text]
    return f": write {f' {sign} '.join(as_written) if sign else ', '.join(as_written)}" if changed else ""
