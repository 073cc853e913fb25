"""Functions: which types they take, and what they become."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from mlops.workloads.floor.expressions import calendar_parts, casts, engine_texts, texts, times
from mlops.workloads.floor.expressions.arithmetic import INTEGER
from mlops.workloads.floor.expressions.elementary import ELEMENTARY, rounding
from mlops.workloads.floor.expressions.errors import Refusal
from mlops.workloads.floor.expressions.growth import LONGEST_PAD
from mlops.workloads.floor.expressions.kinds import Value, is_missing, missing
from mlops.workloads.floor.expressions.operators import OPERATORS, Builder, comparison
from mlops.workloads.floor.expressions.syntax import Call
from mlops.workloads.floor.expressions.typed import (
    Choice,
    Coalesce,
    Eager,
    Literal,
    Node,
    Operation,
    Strict,
    Values,
    Whole,
    constant,
)
from mlops.workloads.floor.expressions.unify import (
    condition,
    float_of,
    integer_of,
    number,
    shared,
    text_of,
    time_node,
)


def _elementary(call: Call, operands: Sequence[Node]) -> Node:
    return Strict("float64", call.text, tuple(float_of(one) for one in operands), ELEMENTARY[call.name])


def _whole_or_float(call: Call, operands: Sequence[Node]) -> Node:
    """Build floor, ceil and sign, which leave an integer one."""
    x = number(operands[0])
    name = {"ceiling": "ceil"}.get(call.name, call.name)
    if x.kind == "int64":
        return Strict("int64", call.text, (x,), INTEGER.get(name, times.SAME))
    return Strict("float64", call.text, (x,), ELEMENTARY[name])


def _round(call: Call, operands: Sequence[Node]) -> Node:
    x, digits = number(operands[0]), 0
    if len(operands) == 2:
        digits = constant(operands[1], "int64")
        if digits is None or digits < 0:
            raise Refusal("rounds to digits that must be a whole number from 0 on, written out: round(x, 2)")
    if x.kind == "int64":
        return Strict("int64", call.text, (x,), times.SAME)
    return Strict("float64", call.text, (x,), rounding(digits))


def _power(call: Call, operands: Sequence[Node]) -> Node:
    x, y = (number(one) for one in operands)
    if x.kind == y.kind == "int64":
        return Strict("int64", call.text, (x, y), INTEGER["pow"])
    return Strict("float64", call.text, (float_of(x), float_of(y)), ELEMENTARY["pow"])


def _bits(call: Call, operands: Sequence[Node]) -> Node:
    return Strict("int64", call.text, (integer_of(operands[0]),), INTEGER[call.name])


def _pi(call: Call, operands: Sequence[Node]) -> Node:
    return Literal("float64", call.text, math.pi)


def _of_text(call: Call, operands: Sequence[Node]) -> Node:
    return Strict("string", call.text, tuple(text_of(one) for one in operands), texts.OF_TEXT[call.name])


def _count(call: Call, operands: Sequence[Node]) -> Node:
    name = {"char_length": "length", "character_length": "length"}.get(call.name, call.name)
    return Strict("int64", call.text, tuple(text_of(one) for one in operands), texts.COUNTS[name])


def _test(call: Call, operands: Sequence[Node]) -> Node:
    return Strict("boolean", call.text, tuple(text_of(one) for one in operands), texts.TESTS[call.name])


def _cut(call: Call, operands: Sequence[Node]) -> Node:
    text, *numbers = operands
    name = "substr" if call.name == "substring" else call.name
    name = f"{name} of" if len(numbers) == 2 else name
    made = (text_of(text), *(integer_of(one) for one in numbers))
    return Strict("string", call.text, made, texts.CUTS[name])


def _pad(call: Call, operands: Sequence[Node]) -> Node:
    length = constant(operands[1], "int64")
    if length is None or not 0 <= length <= LONGEST_PAD:
        raise Refusal(f"pads a text to a length that must be a number from 0 to {LONGEST_PAD}, written out")
    fill = constant(operands[2], "string") if len(operands) == 3 else " "
    if fill is None or len(fill) != 1:
        raise Refusal(
            f"pads a text by what must be one character: write {call.name}({operands[0].text}, {length}, 'x')"
        )
    operation = texts.padded(length, fill, left=call.name == "lpad")
    return Strict("string", call.text, (text_of(operands[0]),), operation)


def _written_out(operands: Sequence[Node]) -> tuple[str, str]:
    old, new = (constant(one, "string") for one in operands)
    if old is None or new is None:
        raise Refusal("replaces what must be two texts, written out: the result could be of any length")
    return old, new


def _replace(call: Call, operands: Sequence[Node]) -> Node:
    old, new = _written_out(operands[1:3])
    return Strict("string", call.text, (text_of(operands[0]),), texts.replaced(old, new))


def _replace_pattern(call: Call, operands: Sequence[Node]) -> Node:
    pattern, new = _written_out(operands[1:3])
    flags = (constant(operands[3], "string") or "") if len(operands) == 4 else ""
    operation = engine_texts.replacing(pattern, new, engine_texts.checked_flags(flags, "gimsUux"))
    return Strict("string", call.text, (text_of(operands[0]),), operation)


def _reverse(call: Call, operands: Sequence[Node]) -> Node:
    return Strict("string", call.text, (text_of(operands[0]),), Operation("reverse", engine_texts.reversed_text))


def _normalize(call: Call, operands: Sequence[Node]) -> Node:
    return Strict("string", call.text, (text_of(operands[0]),), texts.normalized(call.option))


_NAMED_PARTS: Final = {
    "day": "day", "dayofmonth": "day", "dayofweek": "dow", "dayofyear": "doy", "hour": "hour", "minute": "minute",
    "month": "month", "quarter": "quarter", "second": "second", "week": "week", "weekday": "isodow", "year": "year",
}  # fmt: skip


def _part(call: Call, operands: Sequence[Node]) -> Node:
    """Build parts of times: by their name, EXTRACT(part FROM t), date_part('part', t)."""
    name, time = call.option, operands[-1]
    if call.name == "date_part":
        name = str(constant(operands[0], "string") or "").lower()
    name = _NAMED_PARTS.get(call.name, name)
    time = time_node(time)
    if name in calendar_parts.WHOLE:
        return Strict("int64", call.text, (time,), times.part(calendar_parts.WHOLE[name]))
    if name in calendar_parts.FRACTIONS:
        return Strict("float64", call.text, (time,), times.part(calendar_parts.FRACTIONS[name]))
    known = ", ".join([*calendar_parts.WHOLE, *calendar_parts.FRACTIONS])
    raise Refusal(f"asks for the part '{name[:20]}' of a time, which is none; there are: {known}")


def _read(call: Call, operands: Sequence[Node]) -> Node:
    """Build date, datetime, timestamp and strptime, which read texts."""
    kind, first = "date" if call.name == "date" else "timestamp", operands[0]
    if len(operands) == 1:
        if first.kind not in ("string", "timestamp", "date", "null"):
            raise Refusal(f"cannot be computed: {first.text} is a {first.kind}, and not a text or a timestamp")
        return casts.converted(first, "date" if kind == "date" else "timestamp", call.text)
    form = constant(operands[1], "string")
    if form is None:
        raise Refusal(f"reads a time by a format that must be a text, written out, and not {operands[1].text}")
    read: Node = Strict("timestamp", call.text, (text_of(first),), engine_texts.read_by(form))
    return casts.converted(read, "date", call.text) if kind == "date" else read


def _format(call: Call, operands: Sequence[Node]) -> Node:
    time, form = time_node(operands[0]), constant(operands[1], "string")
    if form is None:
        raise Refusal(f"writes a time by a format that must be a text, written out, and not {operands[1].text}")
    return Strict("string", call.text, (time,), engine_texts.formatted(form, time.kind))


def _cast(call: Call, operands: Sequence[Node]) -> Node:
    return casts.cast(operands[0], call.option, call.text, softly=call.name == "try_cast")


def _coalesce(call: Call, operands: Sequence[Node]) -> Node:
    made = shared(operands, texts=True)
    return Coalesce(made[0].kind, call.text, tuple(made))


def _if(call: Call, operands: Sequence[Node]) -> Node:
    yes, no = shared(operands[1:], texts=True)
    return Choice(yes.kind, call.text, (condition(operands[0]), yes, no))


def _extreme(call: Call, operands: Sequence[Node]) -> Node:
    made = shared(operands, texts=False)
    kind, choose = made[0].kind, max if call.name == "greatest" else min
    if kind == "interval":
        raise Refusal("cannot be computed: intervals have no order")

    def scalar(*values: Value) -> Value:
        present = [one for one in values if not is_missing(one)]
        return choose(present) if present else missing(kind)

    def vector(*values: Values) -> Values:
        best, *others = values
        for other in others:
            best = _better(best, other, greatest=call.name == "greatest")
        return best

    return Eager(kind, call.text, tuple(made), Whole(call.name, scalar, vector))


def _better(x: Values, y: Values, *, greatest: bool) -> Values:
    """Return the greater (lesser) of two values, the first of equal ones; a missing one is passed over."""
    taken = y.array > x.array if greatest else y.array < x.array
    no_x, no_y = x.missing(), y.missing()
    taken = taken if no_x is None else taken | no_x
    taken = taken if no_y is None else taken & ~no_y
    array = np.where(taken, y.array, x.array)
    absent = no_x & no_y if no_x is not None and no_y is not None and x.kind != "float64" else None
    return Values(x.kind, array, absent)


def _nullif(call: Call, operands: Sequence[Node]) -> Node:
    operation, _ = comparison("=", *operands)
    kind = operands[0].kind

    def scalar(x: Value, y: Value) -> Value:
        equal = not is_missing(x) and not is_missing(y) and operation.scalar(x, y)
        return missing(kind) if equal else x

    return Eager(kind, call.text, tuple(operands), Whole("nullif", scalar))


BUILDERS: Final[dict[str, Builder]] = {
    **OPERATORS,
    **dict.fromkeys(ELEMENTARY, _elementary),
    **dict.fromkeys(("ceil", "ceiling", "floor", "sign"), _whole_or_float),
    **dict.fromkeys(("pow", "power"), _power),
    **dict.fromkeys(("bit_not", "bit_count"), _bits),
    **dict.fromkeys(texts.OF_TEXT, _of_text),
    **dict.fromkeys(("length", "char_length", "character_length", "octet_length", "bit_length", "strpos"), _count),
    **dict.fromkeys(texts.TESTS, _test),
    **dict.fromkeys(("left", "right", "substr", "substring"), _cut),
    **dict.fromkeys(("lpad", "rpad"), _pad),
    **dict.fromkeys((*_NAMED_PARTS, "extract", "date_part"), _part),
    **dict.fromkeys(("date", "datetime", "timestamp", "strptime"), _read),
    **dict.fromkeys(("cast", "try_cast"), _cast),
    **dict.fromkeys(("coalesce", "ifnull"), _coalesce),
    **dict.fromkeys(("greatest", "least"), _extreme),
    "round": _round, "pi": _pi, "replace": _replace, "regexp_replace": _replace_pattern, "reverse": _reverse,
    "normalize": _normalize, "strftime": _format, "if": _if, "nullif": _nullif,
}  # fmt: skip
