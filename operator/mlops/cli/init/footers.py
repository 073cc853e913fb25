"""Lines that are no rows: at the end of a file, and comments between its rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mlops.api.delimited import Csv
from mlops.cli.init.evidence import NULL_WORDS
from mlops.cli.init.tops import is_value
from mlops.workloads.ingest.dialect import dialect_of
from mlops.workloads.ingest.structure import Structure

_COMMENTS = (b"#", b"//", b"%", b"!", b"--")
_MOST_NARROW, _MOST_HOLLOW = 60, 1000
_LONG = 40
_SAMPLE = 200
_PIECE = re.compile(r"[+-]?[0-9][0-9.,:/ T+-]*")  # of a number or a time that is cut off


@dataclass
class Widths:
    """The rows of one file by their widths, block by block."""

    csv: Csv
    width: int
    count: int = 0
    # Number and width of rows that are not as wide as the header.
    odd: list[tuple[int, int]] = field(default_factory=list)
    # Rows at the end that are narrower, empty, or a remark in the first field, and how many of them are not narrower.
    trailing: int = 0
    hollow: int = 0
    # The row below which nothing stands, if it is narrower and holds what the columns do.
    ends_short: bool = False
    _columns: list[set[str]] = field(default_factory=list)
    _signs: set[bytes] = field(default_factory=lambda: set(_COMMENTS))

    def add(self, block: Structure) -> None:
        """Take a block in."""
        widths = block.widths
        if not self._columns:
            self._columns = self._sampled(block)
        odd = (widths != self.width).nonzero()[0].tolist()
        self.odd += [(self.count + at, int(widths[at])) for at in odd]
        self.count += len(widths)
        for sign in list(self._signs):
            begins = sum(block.text.startswith(sign, int(block.starts[at])) for at in odd)
            lines = block.text.count(block.row_end + sign, 0, block.end) + block.text.startswith(sign)
            if begins < len(odd) or lines > begins:
                self._signs.discard(sign)
        self._note_end(block)

    @property
    def comment(self) -> str | None:
        """Return what all rows of another width begin with, and no other line."""
        return next((sign.decode() for sign in _COMMENTS if sign in self._signs), None) if self.odd else None

    @property
    def footer(self) -> int:
        """Return how many lines at the end are no rows."""
        narrow = self.trailing - self.hollow
        return self.trailing if narrow <= _MOST_NARROW and self.count >= 2 * narrow else 0

    @property
    def is_cut_off(self) -> bool:
        """Return whether the last row is the beginning of one, in a file whose other rows are not narrower."""
        return self.ends_short and not any(width < self.width for _, width in self.odd[:-1])

    def _sampled(self, block: Structure) -> list[set[str]]:
        """Return the texts of each column in the first rows that are as wide as the header."""
        dialect = dialect_of(self.csv)
        whole = [at for at in range(min(len(block.starts), _SAMPLE)) if int(block.widths[at]) == self.width]
        rows = [[cell.strip() for cell in block.fields_of(at, dialect)] for at in whole]
        return [set(column) for column in zip(*rows, strict=True)]

    def _is_of_columns(self, cells: list[str]) -> bool:
        """Return whether every field of a narrower row is a value of its column, the last one perhaps a piece of it."""
        if not self._columns or not any(cells):
            return False
        last = len(cells) - 1
        return all(
            _is_of(cell, column, may_be_piece=at == last)
            for at, (cell, column) in enumerate(zip(cells, self._columns, strict=False))
        )

    def _note_end(self, block: Structure) -> None:
        dialect = dialect_of(self.csv)
        self.trailing = self.hollow = 0
        self.ends_short = False
        remarks = 0
        for row in range(len(block.starts) - 1, -1, -1):
            if self.trailing >= _MOST_HOLLOW:
                break
            cells = [cell.strip() for cell in block.fields_of(row, dialect)]
            if len(cells) < self.width:
                if self._is_of_columns(cells):
                    self.ends_short = not self.trailing
                    break
                self.trailing, remarks = self.trailing + 1, 0
                continue
            if self.width < 2 or len(cells) > self.width or any(cells[1:]):
                break
            if cells[0] and (self.width < 3 or len(cells[0]) < 3):
                break
            # A remark in the first field is one if it is long, or if an empty row is above it.
            remarks = remarks + 1 if cells[0] and not (":" in cells[0] or len(cells[0]) > _LONG) else 0
            self.trailing, self.hollow = self.trailing + 1, self.hollow + 1
        self.trailing, self.hollow = self.trailing - remarks, self.hollow - min(remarks, self.hollow)


def _is_of(cell: str, column: set[str], *, may_be_piece: bool) -> bool:
    """Return whether a text may be a value of a column, by those in its first rows."""
    values = column - {""}
    if cell in values or not cell:
        return bool(cell) or may_be_piece or "" in column
    values = {value for value in values if value.lower() not in NULL_WORDS}
    if values and all(map(is_value, values)):
        return is_value(cell) or (may_be_piece and bool(_PIECE.fullmatch(cell)))
    if may_be_piece and any(value.startswith(cell) for value in values):
        return True
    # Ids and codes are all different: they are alike in their letters, with digits between.
    return any(map(str.isdigit, cell)) and _pattern(cell) in set(map(_pattern, values))


def _pattern(text: str) -> str:
    return re.sub(r"[0-9]+", "9", text)
