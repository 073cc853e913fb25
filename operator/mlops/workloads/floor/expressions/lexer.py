"""The tokens of an expression. What it does not understand it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mlops.workloads.floor.expressions.errors import Refusal

LONGEST = 1024
# Directly before a quotation mark they begin a text in which other rules hold.
_PREFIXES = {"b", "e", "n", "q", "nq", "r", "u", "x"}
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*'?)|(?P<quoted>"(?:[^"]|"")*"?|`[^`]*`?)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"""
    r"""|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<comment>--|/\*)|(?P<blank>[ \t]+)"""
    r"""|(?P<sign>::|<=>|<=|>=|<>|!=|==|//|\|\||!~~\*|!~~|~~\*|~~|!~\*|!~|~\*|~|\^@|[-+*/%=<>&|(),\[\].])"""
)
Kind = Literal["text", "quoted", "word", "number", "sign", "end"]


@dataclass(frozen=True)
class Token:
    """One token; `value` is a word in lower case, a text without its quotation marks, else what is written."""

    kind: Kind
    value: str
    start: int
    end: int
    written: str


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of an expression, the end last. Raises Refusal."""
    if len(text) > LONGEST:
        raise Refusal(f"has {len(text)} characters; at most {LONGEST} are allowed: split it into several features")
    found = list(_tokens(text))
    return [*found, Token("end", "", len(text), len(text), "")]


def _tokens(text: str) -> Iterator[Token]:
    at, before = 0, ""
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Refusal(f"cannot be parsed: the character {text[at]!r} has no meaning here")
        at, kind, written = match.end(), match.lastgroup or "", match[0]
        if kind == "comment":
            raise Refusal("has a comment: leave it out")
        if written in {"[", "]"}:
            raise Refusal("cannot be parsed: lists ([ ]) are not supported")
        if kind == "text" and before.lower() in _PREFIXES:
            raise Refusal(f"cannot be parsed: {before}'...' is not supported; write a text as '...'")
        if kind == "number" and re.match(r"[A-Za-z_]", text[at : at + 1]):
            raise Refusal(f"cannot be parsed: {written}{text[at]} is neither a number nor a name")
        before = written
        if kind != "blank":
            yield Token(kind, _value(kind, written), match.start(), at, written)  # type: ignore[arg-type]


def _value(kind: str, written: str) -> str:
    if kind not in {"text", "quoted"}:
        return written.lower() if kind == "word" else written
    mark = written[0]
    if len(written) == 1 or written[-1] != mark or (len(written) - len(written.strip(mark))) == 1:
        raise Refusal(f"cannot be parsed: a {mark} is not closed")
    return written[1:-1].replace(mark * 2, mark)
