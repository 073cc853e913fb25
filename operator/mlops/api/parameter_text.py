"""Parameters of an estimator are written as text; this is what such a text means."""

from __future__ import annotations

import re
from typing import Any

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_WORDS: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "~": None,
    "": None,
    "inf": float("inf"),
    ".inf": float("inf"),
}


def parse(text: str) -> Any:
    """Return the scalar or the list of scalars that a parameter's text means, as YAML would; the rest is a string.

    Nothing is evaluated: `$(rm)`, `{{ }}` and `__import__` are strings like any other.
    """
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if len(text) >= 2 and text[0] + text[-1] in ("[]", "()"):
        inner = text[1:-1].strip().rstrip(",")
        return [parse(one) for one in inner.split(",")] if inner else []
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
