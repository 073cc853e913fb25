"""CSV in the dialect that the contract declares: what is a row is decided by its signs, and compared with what is read.

An empty field is missing; an empty field in quotes is empty text, and missing in a column of another type.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from mlops.api.dataset import DataField
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.log import say
from mlops.workloads.ingest import numbers
from mlops.workloads.ingest.ahead import ahead
from mlops.workloads.ingest.aside import UNREAD, RowsAside
from mlops.workloads.ingest.blocks import Blocks, line_of
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.dialect import notation_of
from mlops.workloads.ingest.encodings import BOM
from mlops.workloads.ingest.places import check_names, positions_of
from mlops.workloads.ingest.plain import NoSigns, Plain, plain
from mlops.workloads.ingest.problems import format_error, shown
from mlops.workloads.ingest.ragged import judged
from mlops.workloads.ingest.regular import Regular
from mlops.workloads.ingest.structure import Mask, Places, Structure
from mlops.workloads.ingest.typed import bad_values, column_of, normal, problem_of, read_text, unread_of, with_missing

MAX_COLUMNS = 10_000


def read_csv(path: Path, name: str, contract: Contract, aside: RowsAside | None = None) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns of a CSV file in its rows' order. Raises BadInput with row, line and column.

    `aside` takes the rows that are put aside, where the contract says so.
    """
    blocks = Blocks(path, name, contract.csv)
    width = blocks.read_header()
    if width > MAX_COLUMNS:
        raise format_error(name, f"the header has more than {MAX_COLUMNS} columns")
    blocks.single_column = width == 1
    check_names(blocks, contract)
    _note_extra(name, blocks.header, contract)
    reader = _Reader(blocks, width, contract, aside or RowsAside())
    if reader.reads_all:
        blocks.regular_width = width
    for block in ahead(blocks.counted()):
        frame = reader.read(block)
        if frame is not None:
            yield frame
    reader.finish()


def csv_columns(path: Path, name: str, contract: Contract) -> list[str]:
    """Return the names of the file's columns; none where there is no header."""
    blocks = Blocks(path, name, contract.csv)
    blocks.read_header()
    return list(blocks.header)


def _note_extra(name: str, header: list[str], contract: Contract) -> None:
    names = {column_of(field) for field in contract.fields if field.position is None}
    places = {field.position for field in contract.fields}
    extra = [column for i, column in enumerate(header, 1) if column not in names and i not in places]
    if extra:
        say(f"{name}: {len(extra)} columns are not in spec.fields and are left out: {shown(', '.join(extra))}")


class _Reader:
    """Parses block after block of one file.

    A row with a value that cannot be read is put aside, if the contract says so; else the file is refused, and from
    that value on read only to find those of other columns.
    """

    def __init__(self, blocks: Blocks, width: int, contract: Contract, aside: RowsAside) -> None:
        self._blocks, self._width, self._contract = blocks, width, contract
        self._aside = aside
        self._notation = notation_of(contract.csv)
        self._fields = list(zip(positions_of(blocks, width, contract), contract.fields, strict=True))
        self._nulls = self._escaped_nulls()
        # Whether numbers are parsed with the rows; else, and after one that is written otherwise, from their text.
        self._direct = True
        self._problems: dict[str, str] = {}

    @property
    def reads_all(self) -> bool:
        """Whether the parser reads each column of the file: only then it tells of rows that have too many fields."""
        return {at for at, _ in self._fields} == set(range(self._width))

    def read(self, block: Structure | Regular) -> pl.DataFrame | None:
        """Return the rows of a block; None if this file has a value that cannot be read."""
        if isinstance(block, Regular):
            if not self._problems and (frame := self._regular(block)) is not None:
                return frame
            block = block.structured()
        rows = judged(block, self._blocks, self._width, self._contract, self._aside)
        try:
            text = plain(block, self._blocks.dialect, rows, self._width, self._nulls)
        except NoSigns as error:
            raise format_error(self._blocks.name, f"{error}: check spec.format and spec.csv.encoding") from error
        frame = self._parse(text)
        if frame.height != int(rows.sum()):
            raise format_error(
                self._blocks.name,
                f"after row {block.rows_before}: {int(rows.sum())} rows were read as {frame.height}: report this",
            )
        index = np.flatnonzero(rows)
        unread = np.zeros(frame.height, dtype=bool)
        columns = {}
        for at, field in self._fields:
            columns[field.name], bad = self._typed(frame[str(at)], field, text)
            if bad is not None:
                self._note(frame[str(at)], field, text, bad, block, index, unread)
        typed = pl.DataFrame(columns)
        if self._contract.puts_aside:
            return typed.filter(pl.Series(~unread)) if unread.any() else typed
        return None if self._problems else typed

    def _regular(self, block: Regular) -> pl.DataFrame | None:
        """Return the rows of a block, if each is of its width, and each of their values of its type."""
        text = Plain(block.text, block.dialect.delimiter[0], None)
        try:
            frame = self._split(text, self._schema(direct=self._direct))
        except pl.exceptions.PolarsError:
            return None
        if frame.height != block.rows:
            return None
        columns = {}
        for at, field in self._fields:
            columns[field.name], bad = self._typed(frame[str(at)], field, text)
            if bad is not None:
                return None
        return pl.DataFrame(columns)

    def finish(self) -> None:
        """Raise BadInput if some column had a value that could not be read."""
        if self._problems and not self._contract.puts_aside:
            problems = [self._problems[field.name] for field in self._contract.fields if field.name in self._problems]
            raise bad_values(self._blocks.name, problems)
        if left_out := str(self._blocks.left_out):
            say(f"{self._blocks.name}: rows: {self._blocks.rows}; left out: {left_out}")

    def _parse(self, text: Plain) -> pl.DataFrame:
        # An empty text in quotes is no number; in a column of numbers it is a missing one.
        special = text.signs is not None and any(bytes([sign]) in text.text for sign in text.special)
        if self._direct and not special:
            try:
                return self._split(text, self._schema(direct=True))
            except pl.exceptions.PolarsError:
                self._direct = False
        return self._split(text, self._schema(direct=False))

    def _schema(self, *, direct: bool) -> dict[str, pl.DataType]:
        schema: dict[str, pl.DataType] = {str(i): pl.String() for i in range(self._width)}
        for at, field in self._fields:
            if direct and self._is_direct(field):
                schema[str(at)] = DTYPES[field.type]
        for at, field in self._fields:
            # Two fields of one column: both are made of its text.
            if DTYPES[field.type] != schema[str(at)]:
                schema[str(at)] = pl.String()
        return schema

    def _is_direct(self, field: DataField) -> bool:
        return (
            field.type in ("float64", "int64")
            and numbers.is_plain(field, self._notation)
            and not self._notation.nulls_of(field)
        )

    def _split(self, text: Plain, schema: dict[str, pl.DataType]) -> pl.DataFrame:
        if not text.text:
            return pl.DataFrame(schema=schema)
        # The parser takes one such mark off the beginning; here it is of the first row's text, as in any other row.
        letters = BOM + text.text if text.text.startswith(BOM) else text.text
        return pl.read_csv(
            letters,
            has_header=False,
            separator=chr(text.separator),
            quote_char=None,
            schema=schema,
            columns=sorted({at for at, _ in self._fields}),
            infer_schema=False,
        )

    def _typed(self, column: pl.Series, field: DataField, text: Plain) -> tuple[pl.Series, Mask | None]:
        """Return the values, and which rows have one that cannot be read, if any has."""
        if column.dtype != pl.String:
            return normal(column), None
        column = with_missing(text.restored(column), field, self._notation)
        values = read_text(column, field, self._notation)
        self._contract.note_zone(column, field)
        bad = unread_of(column, values)
        return normal(values), bad.to_numpy() if bad.any() else None

    def _note(
        self, column: pl.Series, field: DataField, text: Plain, bad: Mask, block: Structure, index: Places, unread: Mask
    ) -> None:
        """Remember a column's first value that cannot be read; put rows with one aside, if the contract says so."""
        written = text.restored(column)
        for at in np.flatnonzero(bad).tolist():
            row = int(index[at])
            column_is, says = f'column "{shown(column_of(field))}"', "a value is not of its type"
            if field.name not in self._problems:
                line = line_of(block.text, int(block.starts[row]), block.row_end, block.lines_before)
                number = block.rows_before + row + 1
                whole = problem_of(number, field, written[at], self._contract.pii, self._notation, line)
                self._problems[field.name], says = whole, whole.partition(f" (line {line}): ")[2]
            if not self._contract.puts_aside:
                return
            if not unread[at]:
                self._aside.add(self._blocks, block, row, UNREAD, f"{column_is}: {says}")
        unread |= bad

    def _escaped_nulls(self) -> tuple[bytes, ...]:
        """Return texts of missing values that hold an escape: they are told as they stand in the file."""
        escape = self._blocks.dialect.escape.decode()
        fields = self._contract.fields
        found = {null for field in fields for null in self._notation.nulls_of(field) if escape and escape in null}
        return tuple(sorted(null.encode() for null in found))
