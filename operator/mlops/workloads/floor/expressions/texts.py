"""Functions of texts: of one value each, counted in Unicode code points."""

from __future__ import annotations

import re
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


def like(pattern: str, escape: str, *, ignore_case: bool) -> Callable[[str], bool]:
    """Return the test for a pattern of LIKE, which takes time linear in the text for each part between two %."""
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    parts = [re.compile(part, flags) for part in _between_percents(pattern, escape)]
    if len(parts) == 1:
        return lambda text: parts[0].fullmatch(text) is not None
    first, *middle, last = parts
    # Every part matches texts of one length, so the last has to stand at the end.
    size = len(_between_letters(pattern, escape)[-1])

    def matches(text: str) -> bool:
        found = first.match(text)
        for part in middle:
            found = part.search(text, found.end()) if found else None
        return found is not None and len(text) - size >= found.end() and bool(last.match(text, len(text) - size))

    return matches


def _between_letters(pattern: str, escape: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    letters = iter(pattern)
    for letter in letters:
        if escape and letter == escape:
            parts[-1].append(re.escape(next(letters, escape)))
        elif letter == "%":
            parts.append([])
        else:
            parts[-1].append("." if letter == "_" else re.escape(letter))
    return parts


def _between_percents(pattern: str, escape: str) -> list[str]:
    return ["".join(part) for part in _between_letters(pattern, escape)]


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
