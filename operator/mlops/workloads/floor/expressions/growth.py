"""How long the texts become that an expression makes, told before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlops.workloads.floor.expressions.errors import Refusal

LONGEST_PAD = 10_000
MAX_FACTOR, MAX_ADDED = 100, 100_000
# Bytes of a number or a timestamp as text.
SCALAR = 64


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

    def check(self) -> Growth:
        """Return itself. Raises Refusal beyond what is allowed."""
        if self.factor > MAX_FACTOR or self.added > MAX_ADDED:
            raise Refusal(
                f"may make a text {self.factor:.0f} times as long and {self.added:.0f} bytes longer; at most "
                f"{MAX_FACTOR} times and {MAX_ADDED} bytes are allowed: shorten it with left() on the way"
            )
        return self


FIXED = Growth(0.0, SCALAR)


def most(found: list[Growth]) -> Growth:
    """Return the growth of an operation that makes nothing longer than its operands: those were there before."""
    return Growth(max(one.factor for one in found), max(one.added for one in found)) if found else FIXED


def together(found: list[Growth]) -> Growth:
    """Return the growth of texts one after the other."""
    return sum(found, Growth())


def longer(factor: float, added: float = 0.0) -> Callable[[list[Growth]], Growth]:
    """Return the growth of an operation that makes `factor` bytes of each byte of its first operand."""
    return lambda found: found[0].times(factor, added)


def replacement(old: str, new: str, *, pattern: bool) -> Callable[[list[Growth]], Growth]:
    """Return the growth of replacing what `old` says by `new`."""
    length = len(new.encode())
    if old and not pattern:
        return longer(max(1.0, length / len(old.encode())))
    # It may match before each letter, and each $1 of it may be all of the text.
    return longer(1.0 + length + new.count("$") + new.count("\\"), length)


def letters_replaced(pairs: list[tuple[str, str]]) -> Callable[[list[Growth]], Growth]:
    """Return the growth of replacements of one letter each, the first first: each letter is replaced on its own."""
    at_most = 1.0
    for letter, _ in pairs:
        made, size = letter, len(letter.encode())
        for old, new in pairs:
            made = made.replace(old, new)
            at_most = max(at_most, len(made.encode()) / size)
            if at_most > MAX_FACTOR:
                return longer(at_most)
    return longer(at_most)
