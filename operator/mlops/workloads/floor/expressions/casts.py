"""From one type to another: the value stays what it is, or there is none."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.expressions import times
from mlops.workloads.floor.expressions.arithmetic import TO_FLOAT, TO_INTEGER
from mlops.workloads.floor.expressions.errors import NoValue, Refusal
from mlops.workloads.floor.expressions.growth import FIXED, Growth
from mlops.workloads.floor.expressions.intervals import in_calendar
from mlops.workloads.floor.expressions.kinds import DAY, LEAST_INT, MOST_INT, NARROW, TYPES, Kind, Value, missing
from mlops.workloads.floor.expressions.typed import Computed, Literal, Node, Operation, Strict

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|nan)", re.ASCII | re.I)
_LONGEST_NUMBER = 400


def _added(found: list[Growth]) -> Growth:
    return found[0] + FIXED


def float_text(value: float) -> str:
    """Return the shortest text that reads as the same float: 2.0, 0.00001, 1e-6, 1e+16, inf."""
    text = repr(value)
    digits, mark, exponent = text.partition("e-")
    if not mark:
        return text
    if int(exponent) > 5:
        return f"{digits}e-{int(exponent)}"
    sign = "-" if digits.startswith("-") else ""
    return f"{sign}0.0000{digits.lstrip('-').replace('.', '')}"


def _truth_text(value: bool) -> str:
    return "true" if value else "false"


def _whole(value: float) -> int:
    if abs(value) == math.inf or not LEAST_INT <= (found := math.trunc(value)) <= MOST_INT:
        raise NoValue("is beyond int64 (-2^63 to 2^63 - 1)", "TRY_CAST({0} AS BIGINT)")
    return found


def _wholes(values: NDArray[Any]) -> Computed:
    fits = np.abs(values) < 9.2e18
    return np.where(fits, values, 0.0).astype(np.int64), ~fits


def _read_integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or len(text) > _LONGEST_NUMBER or not LEAST_INT <= int(text) <= MOST_INT:
        raise NoValue("is no int64", "TRY_CAST({0} AS BIGINT)")
    return int(text)


def _read_float(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise NoValue("is no number", "TRY_CAST({0} AS DOUBLE)")
    return float(text)


def _of_days(days: int) -> int:
    return in_calendar(days * DAY)


TO_TEXT: Final[dict[Kind, Operation]] = {
    "boolean": Operation("text", _truth_text, grows=_added),
    "int64": Operation("text", str, grows=_added),
    "float64": Operation("text", float_text, grows=_added),
    "timestamp": Operation("text", times.time_text, grows=_added),
    "date": Operation("text", times.date_text, grows=_added),
}
_DAYS = Operation("days", lambda time: time // DAY, lambda time: (time // DAY, None))
_TRUTH = Operation("truth", bool, lambda values: (values != 0, None))
_IN_CALENDAR = Operation("timestamp", in_calendar)
_CASTS: Final[dict[tuple[Kind, Kind], Operation]] = {
    ("boolean", "int64"): TO_INTEGER, ("boolean", "float64"): TO_FLOAT, ("int64", "float64"): TO_FLOAT,
    ("int64", "boolean"): _TRUTH, ("float64", "boolean"): _TRUTH,
    ("float64", "int64"): Operation("cast", _whole, _wholes),
    ("string", "int64"): Operation("cast", _read_integer), ("string", "float64"): Operation("cast", _read_float),
    ("string", "timestamp"): times.READ_TIME, ("string", "date"): times.READ_DATE,
    ("timestamp", "int64"): times.SAME, ("timestamp", "float64"): TO_FLOAT, ("timestamp", "date"): times.DATE_OF,
    ("date", "timestamp"): times.SAME, ("date", "int64"): _DAYS, ("date", "float64"): _DAYS,
    ("duration", "int64"): times.SAME, ("duration", "float64"): TO_FLOAT,
    ("int64", "timestamp"): _IN_CALENDAR, ("int64", "date"): Operation("date", _of_days),
    **{(kind, "string"): operation for kind, operation in TO_TEXT.items()},
}  # fmt: skip


def converted(node: Node, kind: Kind, text: str | None = None) -> Node:
    """Return the node as another kind, for which it must have a cast. Raises Refusal."""
    if node.kind == kind:
        return node
    if node.kind == "null":
        return nothing(kind, node.text)
    operation = _CASTS.get((node.kind, kind))
    if operation is None:
        raise Refusal(f"cannot be computed: {text or node.text}: a {node.kind} is no {kind}{_instead(node, kind)}")
    if (node.kind, kind) == ("date", "float64"):
        return converted(converted(node, "int64", text), "float64", text)
    return Strict(kind, text or node.text, (node,), operation)


def _instead(node: Node, kind: Kind) -> str:
    if kind == "boolean" and node.kind == "string":
        return f": write {node.text} = 'true'"
    return f": write CAST({node.text} AS BIGINT)" if node.kind in ("float64", "duration") else ""


def nothing(kind: Kind, text: str) -> Node:
    """Return NULL of a kind."""
    return Literal(kind, text, None)


def cast(node: Node, type_name: str, text: str, *, softly: bool) -> Node:
    """Return CAST(node AS type); `softly`: what cannot be cast is missing. Raises Refusal."""
    bits = NARROW.get(type_name)
    found = converted(node, TYPES[type_name], text if bits is None else None)
    if bits is not None:
        found = Strict("int64", text, (found,), _narrow(type_name, bits))
    if type_name in ("real", "float4"):
        found = Strict("float64", text, (found,), _SINGLE)
    return _soft(found, node) if softly and found is not node else found


def _single(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


_SINGLE = Operation("real", _single, lambda values: (values.astype(np.float32).astype(np.float64), None), total=True)


def _narrow(name: str, bits: int) -> Operation:
    least, greatest = -(1 << bits - 1), (1 << bits - 1) - 1

    def scalar(value: int) -> int:
        if not least <= value <= greatest:
            raise NoValue(f"is beyond {name.upper()} ({least} to {greatest})", "CAST({0} AS BIGINT)")
        return value

    return Operation("cast", scalar, lambda values: (values, (values < least) | (values > greatest)))


def _soft(node: Node, below: Node) -> Node:
    """Return a cast that gives a missing value where it would have none."""
    if node is below or not isinstance(node, Strict):
        return node
    inner = _soft(node.operands[0], below)
    return Strict(node.kind, node.text, (inner,), _missing_if_none(node.operation, node.kind))


def _missing_if_none(operation: Operation, kind: Kind) -> Operation:
    def scalar(value: Any) -> Value:
        try:
            return operation.scalar(value)
        except NoValue:
            return missing(kind)

    return Operation(operation.name, scalar, operation.vector, grows=operation.grows)
