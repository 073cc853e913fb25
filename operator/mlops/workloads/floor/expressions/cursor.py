"""A place among the tokens of an expression."""

from __future__ import annotations

from mlops.workloads.floor.expressions.errors import Refusal
from mlops.workloads.floor.expressions.lexer import Token, tokens_of


class Cursor:
    """The tokens of a text, and which of them comes next. Raises Refusal for a text that has no tokens."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens, self._at = text, tokens_of(text), 0

    @property
    def now(self) -> Token:
        """Return the token that comes next; the last one is the end."""
        return self._tokens[self._at]

    @property
    def ahead(self) -> Token:
        """Return the token after that."""
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def next(self) -> Token:
        """Return the next token and pass it."""
        token = self.now
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def is_(self, *values: str) -> bool:
        """Return whether the next token is one of these words or signs."""
        return self.now.kind in {"word", "sign"} and self.now.value in values

    def take(self, *values: str) -> bool:
        """Pass the next token if it is one of these words or signs; return whether it was."""
        found = self.is_(*values)
        if found:
            self.next()
        return found

    def expect(self, value: str) -> None:
        """Pass a word or a sign. Raises Refusal if another comes."""
        if not self.take(value):
            at = f"before {self.now.written!r}" if self.now.kind != "end" else "at its end"
            raise Refusal(f"cannot be parsed: {value.upper()!r} is missing {at}")

    def since(self, start: int) -> str:
        """Return the text from a place in it to the last token passed."""
        return self._text[start : self._tokens[self._at - 1].end].strip()
