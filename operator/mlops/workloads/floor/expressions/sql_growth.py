"""How long the texts become that a SQL expression makes, told from its tree before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LONGEST_PAD = 10_000
MAX_FACTOR, MAX_ADDED = 100, 100_000
# Bytes of a number or a timestamp as text.
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


def growth(node: Any, texts: frozenset[str]) -> Growth:
    """Return what the expression of this tree adds at most to texts; `texts` are the columns of text.

    Raises Unbounded.
    """
    found = _Grown(texts).of(node)
    if found.factor > MAX_FACTOR or found.added > MAX_ADDED:
        raise Unbounded(
            f"may make a text {found.factor:.0f} times as long and {found.added:.0f} bytes longer; at most "
            f"{MAX_FACTOR} times and {MAX_ADDED} bytes are allowed"
        )
    return found


@dataclass(frozen=True)
class _Grown:
    """Growths of nodes over these columns of text; a number is what its operands were, since they were there before."""

    texts: frozenset[str]

    def of(self, node: Any) -> Growth:
        match node:
            case {"Column": name}:
                return Growth(1.0) if name in self.texts else _FIXED
            case {"Literal": _}:
                return Growth(0.0, _SCALAR + 4 * len(text_of(node) or ""))
            case {"Alias": [inner, _]}:
                return self.of(inner)
            case {"BinaryExpr": {"left": left, "op": op, "right": right}}:
                found = [self.of(left), self.of(right)]
                # Of two texts a sum is both of them, one after the other.
                joins = op == "Plus" and not _is_number(left) and not _is_number(right)
                return found[0] + found[1] if joins else _most(found)
            case {"Cast": {"expr": inner}}:
                return self.of(inner) + _FIXED
            case {"Ternary": {"predicate": predicate, "truthy": truthy, "falsy": falsy}}:
                return _most([self.of(predicate), self.of(truthy), self.of(falsy)])
            case {"Function": {"input": inputs, "function": function}}:
                if (chain := _replaced_letters(node)) is not None:
                    inner, letters = chain
                    return self.of(inner).times(_most_of_a_letter(letters))
                return _of_function(function, inputs, [self.of(one) for one in inputs])
        return _FIXED


_NUMBERS = {"Contains", "EndsWith", "StartsWith", "Find", "LenBytes", "LenChars"}


def _is_number(node: Any) -> bool:
    """Whether a node is certainly no text."""
    match node:
        case {"BinaryExpr": {"left": left, "op": op, "right": right}}:
            return op != "Plus" or _is_number(left) or _is_number(right)
        case {"Cast": {"dtype": {"Literal": dtype}}}:
            return bool(dtype != "String")
        case {"Function": {"function": {"StringExpr": str(name)}}}:
            return name in _NUMBERS
        case {"Function": {"function": {"StringExpr": dict(name)}}}:
            return not _NUMBERS.isdisjoint(name)
        case {"Function": {"function": {"TemporalExpr": str(_)}}} | {"Function": {"function": {"Boolean": _}}}:
            return True
    return False


def _replaced_letters(node: Any) -> tuple[Any, list[tuple[str, str]]] | None:
    """Return what stands within replacements of one letter each, and those, the innermost first; None if it is none."""
    letters: list[tuple[str, str]] = []
    while True:
        match node:
            case {
                "Function": {
                    "input": [inner, old, new],
                    "function": {"StringExpr": {"Replace": {"literal": True}} | {"ReplaceAll": {"literal": True}}},
                }
            } if len(text_of(old) or "") == 1 and text_of(new) is not None:
                letters.append((text_of(old) or "", text_of(new) or ""))
                node = inner
            case _:
                return (node, letters[::-1]) if letters else None


def _most_of_a_letter(letters: list[tuple[str, str]]) -> float:
    """Return how many times its bytes a letter may become at any time: each is replaced on its own."""
    most = 1.0
    for letter, _ in letters:
        made, own = letter, len(letter.encode("utf-8", "replace"))
        for old, new in letters:
            made = made.replace(old, new)
            most = max(most, len(made.encode("utf-8", "replace")) / own)
            if most > MAX_FACTOR:
                return most
    return most


_FIXED = Growth(0.0, _SCALAR)


def _most(found: list[Growth]) -> Growth:
    return Growth(max(one.factor for one in found), max(one.added for one in found)) if found else _FIXED


def _of_function(function: Any, inputs: list[Any], found: list[Growth]) -> Growth:
    name, inner = (function, None) if isinstance(function, str) else next(iter(function.items()))
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
