"""What a plain scalar of YAML means, as `kubectl` reads it: what runs here has to mean the same there.

kubectl reads YAML 1.1 by sigs.k8s.io/yaml: y, no and on are booleans, 010 is eight, 1:30 and dates are texts, and the
values become JSON, in which 1.0 and 1 are the same number.
"""

from __future__ import annotations

import re
from typing import Any

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
# What a person who does not think of YAML 1.1 means as a text.
LOOSE_BOOLEANS = frozenset(_WORDS) - {
    "true",
    "True",
    "TRUE",
    "false",
    "False",
    "FALSE",
    "",
    "~",
    "null",
    "Null",
    "NULL",
}
_BEYOND_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Go's: a leading 0 alone means octal.
_HEXADECIMAL = re.compile(r"[-+]?0[xX][0-9a-fA-F]+")
_BINARY = re.compile(r"[-+]?0[bB][01]+")
_OCTAL = re.compile(r"[-+]?0[oO]?[0-7]+")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# Beyond these JSON is read as a number with a fraction.
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


class NoJsonNumber(ValueError):
    """The scalar is a number that JSON has not."""


def resolved(text: str) -> Any:
    """Return what a scalar without quotation marks means: None, a boolean, a number, or the text itself.

    Raises NoJsonNumber for infinity and what is no number, which kubectl cannot send either.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _BEYOND_JSON.fullmatch(text):
        raise NoJsonNumber(f"{text} is a number that JSON has not: put it in quotes")
    if not (text[0].isdigit() or text[0] in "+-."):
        return text
    plain = text if text[0] == "." else text.replace("_", "")
    number = _whole(plain)
    return number if number is not None else _fraction(plain, text)


def _whole(plain: str) -> int | None:
    if _HEXADECIMAL.fullmatch(plain):
        number = int(plain, 16)
    elif _BINARY.fullmatch(plain):
        number = int(plain, 2)
    elif _OCTAL.fullmatch(plain):
        number = int(plain.lower().replace("o", ""), 8)
    elif _DECIMAL.fullmatch(plain):
        number = int(plain)
    else:
        return None
    return number if _SMALLEST <= number <= _LARGEST else None


def _fraction(plain: str, text: str) -> Any:
    if not _FLOAT.fullmatch(plain):
        return text
    number = float(plain)
    if number in (float("inf"), float("-inf")):
        return text
    # In JSON it is written without a point, and read as a whole number again.
    return int(number) if number.is_integer() and abs(number) < 2**63 else number
