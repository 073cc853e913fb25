"""How long the texts become that a SQL expression makes, told from its tree before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LONGEST_PAD = 10_000
MAX_FACTOR, MAX_ADDED = 100, 100_000
# Bytes of a number or a moment as text.
_SCALAR = 64
_SAME = {
    "Slice", "StripChars", "StripCharsStart", "StripCharsEnd", "Reverse", "Contains", "EndsWith", "StartsWith", "Find",
    "LenBytes", "LenChars", "Strptime",
}  # fmt: skip
# Bytes that one byte may become: "ΐ" in upper case has three letters, "ﷺ" in NFKC eighteen.
_FACTORS = {"Lowercase": 3, "Uppercase": 3, "Titlecase": 3, "Normalize": 18}


class Unbounded(ValueError):
    """Nobody knows how long the result may become; the message goes on after "the expression ..."."""


@dataclass(frozen=True)
class Growth:
    """A result has at most `factor` times the bytes of the row's texts, and `added` more."""

    factor: float = 0.0
    added: float = 0.0

    def __add__(self, other: Growth) -> Growth:
        return Growth(self.factor + other.factor, self.added + other.added)

    def times(self, factor: float, added: float = 0.0) -> Growth:
        """Return the growth when each byte becomes `factor` bytes."""
        return Growth(self.factor * factor, self.added * factor + added)


def growth(node: Any) -> Growth:
    """Return what the expression of this tree adds at most. Raises Unbounded."""
    found = _growth(node)
    if found.factor > MAX_FACTOR or found.added > MAX_ADDED:
        raise Unbounded(
            f"may make a text {found.factor:.0f} times as long and {found.added:.0f} bytes longer; at most "
            f"{MAX_FACTOR} times and {MAX_ADDED} bytes are allowed"
        )
    return found


def _growth(node: Any) -> Growth:
    match node:
        case {"Column": _}:
            return Growth(1.0)
        case {"Literal": _}:
            return Growth(0.0, _SCALAR + 4 * len(text_of(node) or ""))
        case {"Alias": [inner, _]}:
            return _growth(inner)
        case {"BinaryExpr": {"left": left, "right": right}}:
            return _growth(left) + _growth(right)
        case {"Cast": {"expr": inner}}:
            return _growth(inner) + _FIXED
        case {"Ternary": {"predicate": predicate, "truthy": truthy, "falsy": falsy}}:
            return _most([_growth(predicate), _growth(truthy), _growth(falsy)])
        case {"Function": {"input": inputs, "function": function}}:
            return _of_function(function, inputs)
    return _FIXED


_FIXED = Growth(0.0, _SCALAR)


def _most(found: list[Growth]) -> Growth:
    return Growth(max(one.factor for one in found), max(one.added for one in found)) if found else _FIXED


def _of_function(function: Any, inputs: list[Any]) -> Growth:
    name, inner = (function, None) if isinstance(function, str) else next(iter(function.items()))
    found = [_growth(one) for one in inputs]
    if name == "StringExpr":
        return _of_text(inner, inputs, found)
    if name == "TemporalExpr" and isinstance(inner, dict) and "ToString" in inner:
        # The longest of chrono's items are names of days and months and whole dates.
        return Growth(0.0, _SCALAR * (1 + len(str(inner["ToString"]))))
    return _most(found)


def _of_text(function: Any, inputs: list[Any], found: list[Growth]) -> Growth:
    name, options = (function, None) if isinstance(function, str) else next(iter(function.items()))
    if name in _SAME:
        return _most(found)
    if name in _FACTORS:
        return found[0].times(_FACTORS[name])
    if name == "ConcatHorizontal":
        between = len(str((options or {}).get("delimiter", ""))) * 4
        return sum(found, Growth(0.0, between * len(found)))
    if name in ("PadStart", "PadEnd"):
        length = _whole_number(inputs[1])
        if length is None or not 0 <= length <= LONGEST_PAD:
            raise Unbounded(f"pads a text to a length that must be a number from 0 to {LONGEST_PAD}, written out")
        return found[0].times(1.0, length * 4)
    if name in ("Replace", "ReplaceAll"):
        old, new = text_of(inputs[1]), text_of(inputs[2])
        if old is None or new is None:
            raise Unbounded("replaces what must be two texts, written out: the result could be of any length")
        length = len(new.encode("utf-8", "replace"))
        if old and (options or {}).get("literal", False):
            return found[0].times(max(1.0, length / len(old.encode("utf-8", "replace"))))
        # It may match before each letter, and each $1 of it may be all of the text.
        return found[0].times(1.0 + length + new.count("$"), length)
    raise Unbounded(f"is not computed row by row: it has {name}")


def text_of(node: Any) -> str | None:
    """Return the text of a literal; None if it is none."""
    match node:
        case {"Literal": {"Scalar": {"String": str(text)}}} | {"Literal": {"Dyn": {"Str": str(text)}}}:
            return text
    return None


def _whole_number(node: Any) -> int | None:
    match node:
        case {"Literal": {"Dyn": {"Int": int(number)}}}:
            return number
        case {"Literal": {"Scalar": dict(scalar)}}:
            value = next(iter(scalar.values()), None)
            return value if isinstance(value, int) else None
    return None
