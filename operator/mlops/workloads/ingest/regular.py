"""Blocks of delimited text that need no resolving: no quote, no escape, no comment, no blank line, rows of one width.

That is told by counting, several times as fast as where each row and field begins: the text has as many delimiters as
its rows should have together, and the parser, when it reads all columns, refuses a row that has more than its share. So
none has fewer. What is not told here, or cannot be read, goes the long way of `structure`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from mlops.workloads.ingest.dialect import Dialect
from mlops.workloads.ingest.structure import LF, Structure, structure

# Bytes compared at a time: what is made of them stays in a processor's cache.
_SLICE: Final = 1 << 18


@dataclass(frozen=True)
class Regular:
    """Rows of `width` fields in the parser's own dialect, if the parser finds no row with more fields."""

    text: bytes
    rows: int
    width: int
    dialect: Dialect
    # Whether the file ends with it.
    final: bool
    # Of the file, before the block.
    rows_before: int
    lines_before: int

    def structured(self) -> Structure:
        """Return where the rows and fields of the block are."""
        found = structure(self.text, self.dialect, b"\n", final=self.final)
        return replace(found, rows_before=self.rows_before, lines_before=self.lines_before)


def may_be_regular(text: bytes | bytearray, dialect: Dialect) -> bool:
    """Return whether the text holds no sign that has to be resolved."""
    if len(dialect.delimiter) != 1 or dialect.skip_blanks or dialect.delimiter in (b"\n", b"\r"):
        return False
    signs = (dialect.quote, dialect.escape, dialect.comment, b"\r")
    return not any(sign in text for sign in signs if sign)


def rows_in(text: bytes, dialect: Dialect, width: int) -> int | None:
    """Return how many rows a text that ends with a row has; None if not all can have that width.

    A blank line counts as a row: it has no delimiter, so that the text has too few of them.
    """
    letters = np.frombuffer(text, dtype=np.uint8)
    if not len(text):
        return None
    rows = count_of(letters, LF) + (text[-1] != LF)
    return rows if count_of(letters, dialect.delimiter[0]) == rows * (width - 1) else None


def count_of(letters: npt.NDArray[np.uint8], sign: int) -> int:
    """Return how often a byte stands among these."""
    return sum(
        int(np.count_nonzero(letters[start : start + _SLICE] == sign)) for start in range(0, len(letters), _SLICE)
    )
