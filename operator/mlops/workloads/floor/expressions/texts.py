"""Functions of texts: of one value each, counted in Unicode code points."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mlops.workloads.floor.expressions.errors import NoValue
from mlops.workloads.floor.expressions.growth import FIXED, longer, replacement
from mlops.workloads.floor.expressions.kinds import Value
from mlops.workloads.floor.expressions.typed import Operation, Whole

# Unicode's property White_Space; Python's strip() takes four control characters more.
_BLANK = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _right(text: str, count: int) -> str:
    return text[-count:] if count else ""


def _substring(text: str, start: int, length: int) -> str:
    if length < 0:
        raise NoValue("has a negative length")
    return text[max(start - 1, 0) : max(start - 1 + length, 0)]


@dataclass(frozen=True)
class _Piece:
    """What stands between two % of a pattern: texts at their places, any letters between them."""

    length: int
    pieces: tuple[tuple[int, str], ...]

    def is_at(self, text: str, start: int) -> bool:
        """Return whether it stands there."""
        if start < 0 or start + self.length > len(text):
            return False
        return all(text.startswith(piece, start + offset) for offset, piece in self.pieces)

    def find(self, text: str, start: int) -> int:
        """Return the first place from `start` on where it stands; -1 if there is none."""
        if not self.pieces:
            return start if self.is_at(text, start) else -1
        offset, piece = self.pieces[0]
        while (hit := text.find(piece, start + offset)) >= 0:
            if self.is_at(text, hit - offset):
                return hit - offset
            start = hit - offset + 1
        return -1


def like(pattern: str, escape: str, *, ignore_case: bool) -> Callable[[str], bool]:
    """Return the test for a pattern of LIKE, without a regular expression: each part is taken where it comes first."""
    parts = _parts(_folded(pattern) if ignore_case else pattern, _folded(escape) if ignore_case else escape)
    first, *middle, last = parts if len(parts) > 1 else [*parts, *parts]

    def matches(text: str) -> bool:
        text = _folded(text) if ignore_case else text
        if not first.is_at(text, 0):
            return False
        if len(parts) == 1:
            return len(text) == first.length
        at = first.length
        for part in middle:
            found = part.find(text, at)
            if found < 0:
                return False
            at = found + part.length
        return len(text) - last.length >= at and last.is_at(text, len(text) - last.length)

    return matches


def _folded(text: str) -> str:
    """Return a text without case, letter by letter: none becomes two."""
    if text.isascii():
        return text.lower()
    return "".join(fold if len(fold := letter.casefold()) == 1 else letter for letter in text)


def _parts(pattern: str, escape: str) -> list[_Piece]:
    parts: list[list[str]] = [[]]
    letters = iter(pattern)
    for letter in letters:
        if escape and letter == escape:
            parts[-1].append(next(letters, escape))
        elif letter == "%":
            parts.append([])
        else:
            parts[-1].append("" if letter == "_" else letter)
    return [_Piece(len(part), tuple(_pieces(part))) for part in parts]


def _pieces(part: list[str]) -> list[tuple[int, str]]:
    """Return the texts of a part with their offsets; an empty letter is any letter."""
    found: list[tuple[int, str]] = []
    for offset, letter in enumerate(part):
        if not letter:
            continue
        if found and found[-1][0] + len(found[-1][1]) == offset:
            found[-1] = (found[-1][0], found[-1][1] + letter)
        else:
            found.append((offset, letter))
    return found


def present(value: Value) -> bool:
    """Return whether a value is not missing."""
    return value is not None and value == value


def joined(separator: str) -> Whole:
    """Return the operation that puts texts together and passes over missing ones."""
    size = 4 * len(separator)
    return Whole(
        "concat",
        lambda *texts: separator.join(text for text in texts if text is not None),
        grows=lambda found: sum(found, FIXED.times(1.0, size * len(found))),
    )


def joined_by_first(separator: Value, *texts: Value) -> Value:
    """Return texts put together by a separator of the row; missing if that is."""
    return None if separator is None else separator.join(text for text in texts if text is not None)


def normalized(form: str) -> Operation:
    """Return the operation for a normal form of Unicode."""
    return Operation("normalize", lambda text: unicodedata.normalize(form.upper(), text), grows=longer(18))  # type: ignore[arg-type]


def padded(length: int, fill: str, *, left: bool) -> Operation:
    """Return the operation that makes texts of exactly this length."""
    pad = (lambda text: text[:length].rjust(length, fill)) if left else (lambda text: text[:length].ljust(length, fill))
    return Operation("pad", pad, grows=longer(1.0, length * 4))


@dataclass(frozen=True, eq=False)
class LetterReplaced(Operation):
    """Replaces one letter: several of them in a row grow a text by what becomes of each letter, not by the product."""

    old: str = ""
    new: str = ""


def replaced(old: str, new: str) -> Operation:
    """Return the operation that replaces a text by another, wherever it stands."""
    if len(old) == 1:
        return LetterReplaced("replace", lambda text: text.replace(old, new), old=old, new=new)
    rule = replacement(old, new, pattern=False)
    return Operation("replace", lambda text: text.replace(old, new), grows=rule)


# Of texts alone: operands, then what is given.
OF_TEXT: Final[dict[str, Operation]] = {
    "lower": Operation("lower", str.lower, grows=longer(3)),
    "upper": Operation("upper", str.upper, grows=longer(3)),
    "initcap": Operation("initcap", str.title, grows=longer(3)),
    "trim": Operation("trim", lambda text, letters=_BLANK: text.strip(letters)),
    "ltrim": Operation("ltrim", lambda text, letters=_BLANK: text.lstrip(letters)),
    "rtrim": Operation("rtrim", lambda text, letters=_BLANK: text.rstrip(letters)),
}
COUNTS: Final[dict[str, Operation]] = {
    "length": Operation("length", len),
    "octet_length": Operation("octet_length", _octets),
    "bit_length": Operation("bit_length", lambda text: 8 * _octets(text)),
    "strpos": Operation("strpos", lambda text, part: text.find(part) + 1),
}
TESTS: Final[dict[str, Operation]] = {
    "starts_with": Operation("starts_with", str.startswith),
    "ends_with": Operation("ends_with", str.endswith),
}
CUTS: Final[dict[str, Operation]] = {
    "left": Operation("left", lambda text, count: text[:count]),
    "right": Operation("right", _right),
    "substr": Operation("substr", lambda text, start: text[max(start - 1, 0) :]),
    "substr of": Operation("substr", _substring),
}
JOIN: Final = Operation("||", str.__add__, grows=lambda found: found[0] + found[1])
JOIN_FIRST: Final = Whole(
    "concat_ws", joined_by_first, grows=lambda found: found[0].times(len(found)) + sum(found[1:], FIXED)
)
