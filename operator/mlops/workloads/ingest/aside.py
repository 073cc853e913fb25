"""Rows that a reader puts aside with their text, where the contract says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.blocks import Blocks, lines_of
from mlops.workloads.ingest.structure import Places, Structure

RAGGED = "rows with another number of fields"
UNREAD = "values that are not of their type"
# They are held in memory until it is known whether they are too many.
MAX_BYTES, MAX_ROWS = 16 << 20, 100_000


@dataclass(frozen=True)
class Rejected:
    """A row that is put aside: where it was, what is wrong with it, and how it was written."""

    file: str
    row: int
    line: int
    problem: str
    text: str


@dataclass
class RowsAside:
    """The rows of all files that were put aside, and how many for which rule."""

    rows: list[Rejected] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)
    # How many rows of the files were not put aside, before windows and cleaning leave some of them out.
    kept: int = 0
    _bytes: int = 0
    # The lines of the rows of the block at hand.
    _block: Structure | None = None
    _lines: Places = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def add(self, blocks: Blocks, block: Structure, row: int, rule: str, problem: str) -> None:
        """Put a row of a block aside. Raises BadInput if they have become too many to be remarks."""
        if block is not self._block:
            self._block, self._lines = block, lines_of(block)
        text = block.text[int(block.starts[row]) : int(block.ends[row])].decode()
        self.rows.append(Rejected(blocks.name, block.rows_before + row + 1, int(self._lines[row]), problem, text))
        self.rules[rule] += 1
        self._bytes += len(text)
        if self._bytes > MAX_BYTES or len(self.rows) > MAX_ROWS:
            raise BadInput(
                Reason.REJECTED,
                f"more than {MAX_ROWS} rows, or {MAX_BYTES >> 20} MiB, would be put aside; the first: {self.first}",
            )

    def row_of(self, file: str, kept: int) -> int:
        """Return the number in the file of the row that is number `kept` of those that were not put aside."""
        row = kept
        for one in sorted(one.row for one in self.rows if one.file == file):
            row += one <= row
        return row

    @property
    def share(self) -> Fraction:
        """Return the share of the files' rows that were put aside."""
        put = len(self.rows)
        return Fraction(put, put + self.kept) if put else Fraction(0)

    @property
    def first(self) -> str:
        """Return what is wrong with the first of them, and where."""
        one = self.rows[0]
        return f"{one.file}: row {one.row} (line {one.line}): {one.problem}"
