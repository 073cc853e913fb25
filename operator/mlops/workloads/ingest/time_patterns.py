"""Formats of timestamps as regular expressions: a text has one reading in a format, or none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NAMES = {"b": _MONTHS, "B": _FULL_MONTHS, "a": _DAYS, "A": _FULL_DAYS, "p": ("am", "pm")}
# Digits of each word: at least (where a separator follows), at most.
_DIGITS = {
    "Y": (4, 4), "y": (2, 2), "m": (1, 2), "d": (1, 2), "j": (1, 3), "H": (1, 2), "I": (1, 2), "M": (1, 2),
    "S": (1, 2), "f": (1, 9),
}  # fmt: skip
_OFFSET = r"[Zz]|[+-][0-9]{2}:?[0-9]{2}"
EPOCH = {
    "%s": (r"^(-?[0-9]{1,12})(?:\.([0-9]{1,6}))?$", 1_000_000),
    "%Q": (r"^(-?[0-9]{1,15})(?:\.([0-9]{1,3}))?$", 1000),
}
# Words of which a format has one at most.
_ALIKE = ({"Y", "y"}, {"m", "b", "B", "j"}, {"d", "j"}, {"H", "I"}, {"a", "A"})


@dataclass(frozen=True)
class Pattern:
    """A regular expression, and the words that its groups are."""

    expression: str
    words: tuple[str, ...]


@lru_cache(maxsize=256)
def pattern_of(form: str) -> Pattern:
    """Return the pattern of a format of strptime's words. Raises ValueError for a format with two readings."""
    if form in EPOCH:
        return Pattern(EPOCH[form][0], ())
    parts = _parts(form)
    expression, words = "^", []
    for i, part in enumerate(parts):
        word = part[1] if part.startswith("%") else ""
        if not word or word == "%":
            literal = "%" if word else part
            while "  " in literal:
                literal = literal.replace("  ", " ")
            expression += " +".join(re.escape(one) for one in literal.split(" "))
            continue
        words.append(word)
        if word in _DIGITS:
            least, most = _DIGITS[word]
            # Digits that follow each other without a sign between have one reading only if they are all written.
            beside = _ends_in_digit(parts[:i]) or _begins_with_digit(parts[i + 1 :])
            expression += f"([0-9]{{{most if beside and word != 'f' else least},{most}}})"
        elif word == "z":
            expression += f"({_OFFSET})"
        else:
            expression += f"((?i:{'|'.join(NAMES[word])}))"
    _check_words(words)
    return Pattern(expression + "$", tuple(words))


def _parts(form: str) -> list[str]:
    """Return the words of a format and the texts between them, in order."""
    parts, at = [], 0
    while at < len(form):
        end = at + 2 if form[at] == "%" else form.find("%", at)
        end = len(form) if end < 0 else end
        parts.append(form[at:end])
        at = end
    return parts


def _ends_in_digit(parts: list[str]) -> bool:
    return bool(parts) and (parts[-1][1:] in _DIGITS if parts[-1].startswith("%") else parts[-1][-1].isdigit())


def _begins_with_digit(parts: list[str]) -> bool:
    return bool(parts) and (parts[0][1:] in _DIGITS if parts[0].startswith("%") else parts[0][0].isdigit())


def _check_words(words: list[str]) -> None:
    for word in words:
        if words.count(word) > 1:
            raise ValueError(f"%{word} stands in it twice: keep one")
    for alike in _ALIKE:
        if len(both := sorted(alike & set(words))) > 1:
            raise ValueError(f"%{both[0]} and %{both[1]} say the same: keep one")
    if ("I" in words) != ("p" in words):
        raise ValueError("%I and %p belong together: add the other, or use %H for hours of 0 to 23")
    for word, needed in (("M", {"H", "I"}), ("S", {"M"}), ("f", {"S"})):
        if word in words and not needed & set(words):
            raise ValueError(f"%{word} needs %{sorted(needed)[0]}: add it")
    if set("sQ") & set(words):
        raise ValueError("%s and %Q are formats of their own: say them alone")
