"""The rows of a file, block by block, each block cut where the text from its first byte on says that a row ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mlops.api.delimited import Csv
from mlops.workloads.ingest.dialect import Dialect, dialect_of
from mlops.workloads.ingest.encodings import in_utf8
from mlops.workloads.ingest.lines import LeftOut, without_blank_end, without_first, without_last
from mlops.workloads.ingest.problems import format_error, shown
from mlops.workloads.ingest.regular import Regular, count_of, may_be_regular, rows_in
from mlops.workloads.ingest.structure import CR, LF, BadStructure, Places, Structure, row_end_of, structure
from mlops.workloads.ingest.text import BLOCK, LONGEST_RECORD, checked_head, open_bytes

_FIRST = 1 << 16  # bytes in which a header is sought first


def line_of(text: bytes, at: int, row_end: bytes, before: int) -> int:
    """Return the number of the file's line in which a byte of a text lies, `before` which the file has so many."""
    return before + 1 + text.count(b"\r" if row_end == b"\r" else b"\n", 0, at)


def lines_of(block: Structure) -> Places:
    """Return the numbers of the file's lines in which the rows of a block begin."""
    end = CR if block.row_end == b"\r" else LF
    ends = np.flatnonzero(np.frombuffer(block.text, dtype=np.uint8) == end)
    return np.searchsorted(ends, block.starts) + block.lines_before + 1


@dataclass
class Blocks:
    """Reads a delimited file from its beginning to its end, once. What a block is told with stands in the block, for
    the next one may be read already.

    Raises BadInput with row and line for text that is not of the dialect.
    """

    path: Path
    name: str
    csv: Csv
    left_out: LeftOut = field(default_factory=LeftOut)
    # Of the block at hand: rows and lines of the file before it.
    rows: int = 0
    lines: int = 0
    header: list[str] = field(default_factory=list)
    # An empty line of it is a missing value.
    single_column: bool = False
    # So many fields, all of which are read, each row of a regular block has; none: no block is taken for one.
    regular_width: int = 0

    def __post_init__(self) -> None:
        self.dialect: Dialect = dialect_of(self.csv)
        text = in_utf8(checked_head(open_bytes(self.path, self.name), self.name), self.name, self.csv.encoding, True)
        text = without_first(text, self.csv.skip_rows, self.name, self.left_out)
        self._pieces = without_last(without_blank_end(text), self.csv.footer_rows, self.name, self.left_out)
        self._buffer, self._final = bytearray(), False
        self._row_end = b""
        self._past_header = False
        self.head = b""

    def read_header(self) -> int:
        """Read the names of the columns, if there are any; return the number of fields that each row must have."""
        want, needed = _FIRST, max(1, self.csv.header)
        self.lines = self.csv.skip_rows
        while True:
            self._fill(want)
            found = self._structure(judge=False)
            if found is not None and (len(found.starts) >= needed or self._final):
                break
            want = self._more(want)
        self.head = found.text[:_FIRST]
        if len(found.starts) < needed:
            what = "it must have a header at least" if self.csv.header else "it has no row"
            raise format_error(self.name, f"the file is empty: {what}")
        width = int(found.widths[:needed].max())
        rows = [found.fields_of(i, self.dialect) for i in range(self.csv.header)]
        padded = [row + [""] * (width - len(row)) for row in rows]
        self.header = [" ".join(part for part in parts if part) for parts in zip(*padded, strict=True)]
        if self.csv.header:
            after = int(found.starts[needed]) if len(found.starts) > needed else found.end
            self._judge(found.text[:after], final=self._final and after == found.end)
            self._drop(after)
        self._past_header = True
        return width

    def __iter__(self) -> Iterator[Structure]:
        """Yield the blocks behind the header, each with its rows and fields."""
        return (block.structured() if isinstance(block, Regular) else block for block in self.counted())

    def counted(self) -> Iterator[Structure | Regular]:
        """Yield the blocks behind the header; those of `regular_width` are told by counting."""
        want = BLOCK
        while True:
            self._fill(want)
            if (regular := self._regular()) is not None:
                yield regular
                self.rows += regular.rows
                if self._final:
                    return
                self.lines += regular.rows
                del self._buffer[: len(regular.text)]
                want = BLOCK
                continue
            found = self._structure()
            if found is None or (not found.end and not self._final):
                want = self._more(want)
                continue
            self.left_out.blank += found.blank_lines
            self.left_out.comments += found.comments
            if len(found.starts):
                yield replace(found, rows_before=self.rows, lines_before=self.lines)
            self.rows += len(found.starts)
            if self._final:
                return
            self._drop(found.end)
            want = BLOCK

    def _regular(self) -> Regular | None:
        """Return the rows that are read so far, if counting tells them."""
        width = self.regular_width
        if width < 2 or self._row_end != b"\n" or not may_be_regular(self._buffer, self.dialect):
            return None
        end = len(self._buffer) if self._final else self._buffer.rfind(b"\n") + 1
        text = bytes(memoryview(self._buffer)[:end])
        rows = rows_in(text, self.dialect, width)
        if rows is None:
            return None
        return Regular(text, rows, width, self.dialect, self._final, self.rows, self.lines)

    def _fill(self, want: int) -> None:
        while not self._final and len(self._buffer) < want:
            piece = next(self._pieces, None)
            if piece is None:
                self._final = True
            else:
                self._buffer += piece

    def _more(self, want: int) -> int:
        if want >= LONGEST_RECORD:
            what = f"a row, or a quoted field that is never closed, is longer than {LONGEST_RECORD >> 20} MiB: mend it"
            raise format_error(self.name, f"row {self.rows + 1} (line {self.lines + 1}): {what}")
        return max(want, len(self._buffer)) * 2

    def _structure(self, *, judge: bool = True) -> Structure | None:
        text = bytes(self._buffer)
        if not self._row_end:
            self._row_end = row_end_of(text, self.dialect, final=self._final) or b""
        if not self._row_end:
            return None
        return self._judge(text, final=self._final, judge=judge)

    def _judge(self, text: bytes, *, final: bool, judge: bool = True) -> Structure:
        keep = self.single_column
        try:
            return structure(text, self.dialect, self._row_end, final=final, keep_blank=keep, judge=judge)
        except BadStructure as error:
            raise self._located(text, error) from error

    def _located(self, text: bytes, error: BadStructure) -> Exception:
        """Return the error with the address of its byte, found by a reading of what comes before it."""
        before = text[: error.at]
        found = structure(before, self.dialect, self._row_end, final=True, keep_blank=self.single_column, judge=False)
        row, column = (len(found.starts) - 1, int(found.widths[-1]) - 1) if len(found.starts) else (-1, 0)
        if not before or before.endswith(self._row_end):
            row, column = row + 1, 0
        line = self._line_of(text, error.at)
        if self.csv.header and not self._past_header:
            return format_error(self.name, f"the header, field {column + 1} (line {line}): {error.problem}")
        named = self.header[column] if column < len(self.header) else ""
        where = f'column "{shown(named)}"' if named else f"field {column + 1}"
        return format_error(self.name, f"row {self.rows + row + 1}, {where} (line {line}): {error.problem}")

    def _line_of(self, text: bytes, at: int) -> int:
        return line_of(text, at, self._row_end, self.lines)

    def _drop(self, count: int) -> None:
        end = CR if self._row_end == b"\r" else LF
        self.lines += count_of(np.frombuffer(memoryview(self._buffer)[:count], dtype=np.uint8), end)
        del self._buffer[:count]
