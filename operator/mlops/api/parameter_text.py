"""Text to scalars, lists and mappings, as YAML's flow style would read it; nothing is evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
_OPENS, _CLOSES = "[({", "])}"


def parse(text: str) -> Any:
    """Return the scalar, the list or the mapping that a parameter's text means; the rest is a string.

    Lists and mappings may be nested; keys stay texts (`{1: 5}` has the key "1"). `$(rm)`, `{{ }}` and `__import__` are
    strings like any other.
    """
    text = text.strip()
    if is_quoted(text):
        return text[1:-1]
    if len(text) >= 2 and text[0] + text[-1] in ("[]", "()"):
        inner = text[1:-1].strip().rstrip(",")
        return [parse(one) for one in _split(inner, ",")] if inner else []
    if len(text) >= 2 and text[0] + text[-1] == "{}" and (found := _mapping(text[1:-1])) is not None:
        return found
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def is_quoted(text: str) -> bool:
    """Return whether the text is one string in quotation marks."""
    return len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" and text[0] not in text[1:-1]


def unquoted(text: str) -> str:
    """Return a text as it is meant, whatever it would mean as a number or a word: a class, a name."""
    text = text.strip()
    return text[1:-1] if is_quoted(text) else text


def _mapping(inner: str) -> dict[str, Any] | None:
    """Return what `key: value, ...` means; None if it is something else in braces."""
    found: dict[str, Any] = {}
    for item in _split(inner.strip().rstrip(","), ",") if inner.strip() else ():
        parts = list(_split(item, ":"))
        key = unquoted(parts[0])
        if len(parts) != 2 or not key or key in found:
            return None
        found[key] = parse(parts[1])
    return found


def _split(text: str, mark: str) -> Iterator[str]:
    """Yield what stands between the marks, but for those in quotation marks or brackets."""
    start, depth, quote = 0, 0, ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"" and not text[start:at].strip():
            quote = letter
        elif letter in _OPENS:
            depth += 1
        elif letter in _CLOSES:
            depth -= 1
        elif letter == mark and depth == 0:
            yield text[start:at]
            start = at + 1
    yield text[start:]
