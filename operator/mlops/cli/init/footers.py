"""Lines that are no rows: at the end of a file, and comments between its rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlops.api.delimited import Csv
from mlops.workloads.ingest.dialect import dialect_of
from mlops.workloads.ingest.structure import Structure

_COMMENTS = (b"#", b"//", b"%", b"!", b"--")
_MOST_NARROW, _MOST_HOLLOW = 60, 1000
_LONG = 40


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
    _signs: set[bytes] = field(default_factory=lambda: set(_COMMENTS))

    def add(self, block: Structure) -> None:
        """Take a block in."""
        widths = block.widths
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

    def _note_end(self, block: Structure) -> None:
        dialect = dialect_of(self.csv)
        self.trailing = self.hollow = 0
        remarks = 0
        for row in range(len(block.starts) - 1, -1, -1):
            if self.trailing >= _MOST_HOLLOW:
                break
            if int(block.widths[row]) < self.width:
                self.trailing, remarks = self.trailing + 1, 0
                continue
            cells = [cell.strip() for cell in block.fields_of(row, dialect)]
            if self.width < 2 or len(cells) > self.width or any(cells[1:]):
                break
            if cells[0] and (self.width < 3 or len(cells[0]) < 3):
                break
            # A remark in the first field is one if it is long, or if an empty row is above it.
            remarks = remarks + 1 if cells[0] and not (":" in cells[0] or len(cells[0]) > _LONG) else 0
            self.trailing, self.hollow = self.trailing + 1, self.hollow + 1
        self.trailing, self.hollow = self.trailing - remarks, self.hollow - min(remarks, self.hollow)
