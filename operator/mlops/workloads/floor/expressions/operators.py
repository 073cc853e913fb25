"""Operators: which types they take, and what they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np

from mlops.workloads.floor.expressions import engine_texts, texts, times
from mlops.workloads.floor.expressions.arithmetic import (
    COMPARISONS,
    FLOAT,
    FLOAT_WITH_INTEGER,
    INTEGER,
    INTEGER_WITH_FLOAT,
    NOT,
)
from mlops.workloads.floor.expressions.casts import TO_TEXT, converted, nothing
from mlops.workloads.floor.expressions.errors import Refusal
from mlops.workloads.floor.expressions.kinds import NUMBERS, Value, is_missing
from mlops.workloads.floor.expressions.syntax import Call
from mlops.workloads.floor.expressions.typed import (
    Choice,
    ColumnNode,
    Eager,
    Literal,
    Logic,
    Node,
    Operation,
    Strict,
    Switch,
    Values,
    Whole,
    constant,
)
from mlops.workloads.floor.expressions.unify import (
    TIMES,
    apart,
    condition,
    float_of,
    integer_of,
    number,
    shared,
    text_of,
)

Builder: TypeAlias = Callable[[Call, Sequence[Node]], Node]


def arithmetic(call: Call, operands: Sequence[Node]) -> Node:
    """Build + - * / % // of numbers, texts (+) and times. Raises Refusal."""
    x, y = operands
    sign = {"div": "//", "mod": "%"}.get(call.name, call.name)
    if sign == "+" and x.kind == y.kind == "string":
        return Strict("string", call.text, (x, y), texts.JOIN)
    if {x.kind, y.kind} & {*TIMES, "duration", "interval"}:
        return _of_times(call, sign, x, y)
    if not {x.kind, y.kind} <= {*NUMBERS, "null"}:
        raise apart(x, y, sign)
    x, y = number(x), number(y)
    if sign != "/" and x.kind == y.kind == "int64":
        return Strict("int64", call.text, (x, y), INTEGER[sign])
    return Strict("int64" if sign == "//" else "float64", call.text, (float_of(x), float_of(y)), FLOAT[sign])


def _of_times(call: Call, sign: str, x: Node, y: Node) -> Node:
    if x.kind in ("duration", "interval", "null") and y.kind in TIMES and sign == "+":
        x, y = y, x
    if x.kind in TIMES and y.kind == "null":
        return nothing("timestamp", call.text)
    match x.kind, sign, y.kind:
        case "timestamp" | "date", "+" | "-", "duration":
            operation = times.LATER if sign == "+" else times.EARLIER
            return Strict("timestamp", call.text, (x, y), operation)
        case "timestamp" | "date", "+" | "-", "interval":
            assert isinstance(y, Literal)
            months, microseconds = y.value
            return Strict("timestamp", call.text, (x,), times.later_by(months, microseconds, 1 if sign == "+" else -1))
        case "timestamp" | "date", "-", "timestamp" | "date":
            return Strict("duration", call.text, (x, y), times.BETWEEN_TIMES)
        case "duration", "+" | "-", "duration":
            return Strict("duration", call.text, (x, y), times.DURATIONS[sign])
        case "duration", "*", "int64":
            return Strict("duration", call.text, (x, y), times.DURATIONS[sign])
        case "int64", "*", "duration":
            return Strict("duration", call.text, (y, x), times.DURATIONS[sign])
        case "duration", "/", "duration":
            both = (converted(x, "float64"), converted(y, "float64"))
            return Strict("float64", call.text, both, FLOAT["/"])
    raise apart(x, y, sign)


def comparison(sign: str, x: Node, y: Node) -> tuple[Operation, tuple[Node, Node]]:
    """Return how two operands are compared, and these as they are compared. Raises Refusal."""
    if "null" in (x.kind, y.kind):
        x, y = shared([x, y], texts=False)
    if x.kind == y.kind or (x.kind in TIMES and y.kind in TIMES):
        if x.kind == "interval":
            raise apart(x, y, sign)
        return COMPARISONS[sign], (x, y)
    if not {x.kind, y.kind} <= set(NUMBERS):
        raise apart(x, y, sign)
    x, y = number(x), number(y)
    table = COMPARISONS if x.kind == y.kind else INTEGER_WITH_FLOAT if x.kind == "int64" else FLOAT_WITH_INTEGER
    return table[sign], (x, y)


def compared(call: Call, operands: Sequence[Node]) -> Node:
    """Build = <> < <= > >=. Raises Refusal."""
    operation, both = comparison(call.name, *operands)
    return Strict("boolean", call.text, both, operation)


def distinct(call: Call, operands: Sequence[Node]) -> Node:
    """Build IS NOT DISTINCT FROM: missing values are equal. Raises Refusal."""
    operation, both = comparison("=", *operands)

    def same(x: Value, y: Value) -> bool:
        if is_missing(x) or is_missing(y):
            return is_missing(x) and is_missing(y)
        return bool(operation.scalar(x, y))

    return Eager("boolean", call.text, both, Whole("<=>", same))


def logic(call: Call, operands: Sequence[Node]) -> Node:
    """Build AND and OR. Raises Refusal."""
    x, y = (condition(one) for one in operands)
    return Logic("boolean", call.text, (x, y), decides=call.name == "or")


def negation(call: Call, operands: Sequence[Node]) -> Node:
    """Build NOT. Raises Refusal."""
    return Strict("boolean", call.text, (condition(operands[0]),), NOT)


def bits(call: Call, operands: Sequence[Node]) -> Node:
    """Build & | XOR of integers, or of conditions. Raises Refusal."""
    sign = {"bit_and": "&", "bit_or": "|", "bit_xor": "xor"}.get(call.name, call.name)
    x, y = operands
    if x.kind == y.kind == "boolean":
        if sign == "xor":
            return Strict("boolean", call.text, (x, y), COMPARISONS["<>"])
        return Logic("boolean", call.text, (x, y), decides=sign == "|")
    return Strict("int64", call.text, (integer_of(x), integer_of(y)), INTEGER[sign])


def sign_of(call: Call, operands: Sequence[Node]) -> Node:
    """Build unary minus and plus, abs. Raises Refusal."""
    (x,) = operands
    if x.kind == "duration" and call.name in times.DURATIONS:
        return Strict("duration", call.text, (x,), times.DURATIONS[call.name])
    x = number(x)
    if call.name == "plus":
        return x
    table = INTEGER if x.kind == "int64" else FLOAT
    return Strict(x.kind, call.text, (x,), table[call.name])


def _is_null(values: Values) -> Values:
    found = values.missing()
    return Values("boolean", np.zeros(len(values.array), np.bool_) if found is None else found)


_IS_NULL = Whole("is null", is_missing, _is_null)
_IS_TRUTH = {
    "is true": Whole("is true", lambda value: value is True),
    "is false": Whole("is false", lambda value: value is False),
}


def tested(call: Call, operands: Sequence[Node]) -> Node:
    """Build IS NULL, IS TRUE, IS FALSE, which are never missing. Raises Refusal."""
    if call.name == "is null":
        return Eager("boolean", call.text, (operands[0],), _IS_NULL)
    return Eager("boolean", call.text, (condition(operands[0]),), _IS_TRUTH[call.name])


def between(call: Call, operands: Sequence[Node]) -> Node:
    """Build BETWEEN. Raises Refusal."""
    x, low, high = operands
    least, (x1, low) = comparison(">=", x, low)
    most, (x2, high) = comparison("<=", x, high)
    if isinstance(x, ColumnNode | Literal):
        both = (Strict("boolean", call.text, (x1, low), least), Strict("boolean", call.text, (x2, high), most))
        return Logic("boolean", call.text, both, decides=False)
    # What is compared twice is computed once.
    wide = x if x1.kind == x2.kind == x.kind else None
    if wide is None:
        x, low, high = shared([x, low, high], texts=False)
        least, most = COMPARISONS[">="], COMPARISONS["<="]

    def within(x: Value, low: Value, high: Value) -> Value:
        above = None if is_missing(x) or is_missing(low) else least.scalar(x, low)
        below = None if is_missing(x) or is_missing(high) else most.scalar(x, high)
        return False if above is False or below is False else None if above is None or below is None else True

    return Eager("boolean", call.text, (x, low, high), Whole("between", within))


def among(call: Call, operands: Sequence[Node]) -> Node:
    """Build IN. Raises Refusal."""
    x, *items = operands
    if not items:
        raise Refusal("cannot be parsed: IN () has no values")
    compares = [comparison("=", x, item)[0] for item in items]
    if all(isinstance(item, Literal) and item.value is not None for item in items) and x.kind != "null":
        members = frozenset(item.value for item in items if isinstance(item, Literal))
        operation = Operation(
            "in",
            lambda value: value in members,
            lambda array: (np.fromiter((one in members for one in array.tolist()), np.bool_, len(array)), None),
        )
        return Strict("boolean", call.text, (x,), operation)

    def one_of(value: Value, *others: Value) -> Value:
        unknown = is_missing(value)
        for compare, other in zip(compares, others, strict=True):
            if is_missing(other):
                unknown = True
            elif not is_missing(value) and compare.scalar(value, other):
                return True
        return None if unknown else False

    return Eager("boolean", call.text, (x, *items), Whole("in", one_of))


def liked(call: Call, operands: Sequence[Node]) -> Node:
    """Build LIKE and ILIKE. Raises Refusal."""
    pattern = constant(operands[1], "string")
    if pattern is None:
        raise Refusal(f"cannot be computed: the pattern of LIKE is a text, written out, and not {operands[1].text}")
    test = texts.like(pattern, call.option, ignore_case=call.name == "ilike")
    return Strict("boolean", call.text, (text_of(operands[0]),), Operation("like", test))


def matched(call: Call, operands: Sequence[Node]) -> Node:
    """Build regexp_like, ~ and ~*. Raises Refusal."""
    text, pattern, *rest = (text_of(one) for one in operands)
    flags = "i" if call.name == "iregexp" else ""
    if rest:
        flags = engine_texts.checked_flags(constant(rest[0], "string") or "", "imsUux")
    written = constant(pattern, "string")
    if written is None:
        return Strict("boolean", call.text, (text, pattern), engine_texts.matching_of_row(flags))
    operation = engine_texts.matching(engine_texts.flagged(written, flags))
    return Strict("boolean", call.text, (text,), operation)


def joined(call: Call, operands: Sequence[Node]) -> Node:
    """Build ||, which is missing if one of the texts is. Raises Refusal."""
    x, y = (_as_text(one) for one in operands)
    return Strict("string", call.text, (x, y), texts.JOIN)


def _as_text(node: Node) -> Node:
    if node.kind not in ("string", "null", *TO_TEXT):
        raise Refusal(f"cannot be computed: {node.text} is a {node.kind}, which has no text: cast it to BIGINT")
    return converted(node, "string")


def concatenated(call: Call, operands: Sequence[Node]) -> Node:
    """Build concat and concat_ws, which pass over missing texts. Raises Refusal."""
    made = tuple(_as_text(one) for one in operands)
    if call.name == "concat":
        return Eager("string", call.text, made, texts.joined(""))
    separator = constant(made[0], "string")
    if separator is not None:
        return Eager("string", call.text, made[1:], texts.joined(separator))
    return Eager("string", call.text, made, texts.JOIN_FIRST)


def case(call: Call, operands: Sequence[Node]) -> Node:
    """Build CASE. Raises Refusal."""
    first, pairs = (operands[:1], operands[1:-1]) if call.option else ((), operands[:-1])
    results = shared([*pairs[1::2], operands[-1]], texts=True)
    if not first:
        conditions = [condition(one) for one in pairs[::2]]
        woven = [one for pair in zip(conditions, results[:-1], strict=True) for one in pair]
        return Choice(results[-1].kind, call.text, (*woven, results[-1]))
    found = [comparison("=", first[0], value) for value in pairs[::2]]
    (x,) = first
    if any(both[0].kind != x.kind for _, both in found):  # a truth beside numbers
        x = found[0][1][0]
        found = [comparison("=", x, value) for value in pairs[::2]]
    woven = [one for (_, both), result in zip(found, results, strict=False) for one in (both[1], result)]
    return Switch(results[-1].kind, call.text, (x, *woven, results[-1]), tuple(operation for operation, _ in found))


OPERATORS: Final[dict[str, Builder]] = {
    **dict.fromkeys(("+", "-", "*", "/", "%", "//", "div", "mod"), arithmetic),
    **dict.fromkeys(("=", "<>", "<", "<=", ">", ">="), compared),
    **dict.fromkeys(("&", "|", "xor", "bit_and", "bit_or", "bit_xor"), bits),
    **dict.fromkeys(("negate", "plus", "abs"), sign_of),
    **dict.fromkeys(("is null", "is true", "is false"), tested),
    **dict.fromkeys(("and", "or"), logic),
    **dict.fromkeys(("like", "ilike"), liked),
    **dict.fromkeys(("regexp", "iregexp", "regexp_like"), matched),
    **dict.fromkeys(("concat", "concat_ws"), concatenated),
    "<=>": distinct, "not": negation, "between": between, "in": among, "||": joined, "case": case,
}  # fmt: skip
