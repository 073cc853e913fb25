"""CSV: a header, commas, double quotes, UTF-8. An empty field is missing; an empty field in quotes is empty text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl

from mlops.workloads.floor.expressions.sql_expressions import DTYPES
from mlops.workloads.floor.log import say
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.text import blocks, format_error, open_text
from mlops.workloads.ingest.typed import bad_value, check_columns, first_unread, from_text, normal, shown

MAX_COLUMNS = 10_000
# These are parsed by the reader itself; the others are read as text first.
_DIRECT = ("float64", "int64", "string")


def read_csv(path: Path, name: str, contract: Contract) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns of a CSV file in its rows' order. Raises BadInput with row and column."""
    pieces = blocks(open_text(path, name), name, quoted=True)
    first = next(pieces, b"")
    if not first:
        raise format_error(name, "the file is empty: it must have a header at least")
    header, rest = _header(first, name, contract)
    check_columns(name, header, contract.fields, contract.pii)
    _note_extra(name, header, contract)
    reader = _Reader(name, header, contract)
    for block in chain([rest], pieces):
        if block.strip(b"\r\n"):
            yield reader.read(block)


def _header(block: bytes, name: str, contract: Contract) -> tuple[list[str], bytes]:
    end = block.find(b"\n") + 1 or len(block)
    while block.count(b'"', 0, end) % 2 and end < len(block):
        end = block.find(b"\n", end) + 1 or len(block)
    line = block[:end].rstrip(b"\r\n")
    if line.count(b",") >= MAX_COLUMNS:
        raise format_error(name, f"the header has more than {MAX_COLUMNS} columns")
    try:
        header = next(csv.reader(io.StringIO(line.decode(), newline=""), strict=True), [])
    except UnicodeDecodeError as error:
        raise format_error(name, f"the header is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    except csv.Error as error:
        raise format_error(name, f"the header cannot be read: {error}") from error
    for i, column in enumerate(header):
        if column in header[:i]:
            # Without a header these are values of the first row.
            known = not contract.pii or column in contract.schema
            what = f'column "{shown(column)}"' if known else "a column that is not in spec.fields"
            raise format_error(name, f"the header has {what} twice")
    return header, block[end:]


def _note_extra(name: str, header: list[str], contract: Contract) -> None:
    extra = [column for column in header if column not in contract.schema]
    if extra:
        say(f"{name}: {len(extra)} columns are not in spec.fields and are left out: {shown(', '.join(extra))}")


class _Reader:
    """Parses block after block of one file and knows how many rows came before."""

    def __init__(self, name: str, header: list[str], contract: Contract) -> None:
        self._name, self._contract = name, contract
        self._width = len(header)
        self._rows = 0
        fields = {field.name: field for field in contract.fields}
        self._fields = [(header.index(field.name), field) for field in contract.fields]
        self._schema: dict[str, pl.DataType] = {
            str(i): DTYPES[fields[column].type] if column in fields and fields[column].type in _DIRECT else pl.String()
            for i, column in enumerate(header)
        }
        # The last column is read in any case: it shows whether a row is too short.
        wanted = {position for position, _ in self._fields} | {self._width - 1}
        self._columns = [str(position) for position in sorted(wanted)]
        self._head = ",".join(self._schema).encode() + b"\n"

    def read(self, block: bytes) -> pl.DataFrame:
        block = block.rstrip(b"\r\n") + b"\n"
        try:
            frame = self._parse(block, self._schema)
        except pl.exceptions.PolarsError as error:
            raise self._explain(block, str(error).partition("\n")[0]) from error
        last = frame[str(self._width - 1)]
        # A row that is too short is filled up with missing values, so look closer only if there are some.
        if last.null_count() and (ragged := _first_ragged(block, self._width)):
            raise self._ragged(*ragged)
        columns = {}
        for position, field in self._fields:
            column = frame[str(position)]
            if field.type not in _DIRECT:
                values = from_text(column, field.type)
                if (at := first_unread(column, values)) is not None:
                    raise bad_value(self._name, self._rows + at + 1, field, column[at], self._contract.pii)
                column = values
            columns[field.name] = normal(column)
        self._rows += frame.height
        return pl.DataFrame(columns)

    def _parse(self, block: bytes, schema: dict[str, pl.DataType]) -> pl.DataFrame:
        return pl.read_csv(self._head + block, schema=schema, columns=self._columns, infer_schema=False)

    def _explain(self, block: bytes, problem: str) -> BadInput:
        """Return the error with its row and column, found by reading the block again with care."""
        if ragged := _first_ragged(block, self._width):
            return self._ragged(*ragged)
        try:
            text = self._parse(block, dict.fromkeys(self._schema, pl.String()))
        except pl.exceptions.PolarsError:
            return format_error(self._name, f"after row {self._rows}: {_encoding_problem(block) or problem}")
        found = []
        for position, field in self._fields:
            column = text[str(position)]
            at = first_unread(column, from_text(column, field.type))
            if at is not None:
                found.append((at, field, column[at]))
        if not found:
            return format_error(self._name, f"after row {self._rows}: {problem}")
        at, field, value = min(found, key=lambda one: one[0])
        return bad_value(self._name, self._rows + at + 1, field, value, self._contract.pii)

    def _ragged(self, at: int, width: int) -> BadInput:
        return format_error(self._name, f"row {self._rows + at + 1} has {width} fields, the header has {self._width}")


def _encoding_problem(block: bytes) -> str:
    try:
        block.decode()
    except UnicodeDecodeError as error:
        return f"byte {block[error.start]:#04x} is not UTF-8: save the file as UTF-8"
    return ""


def _first_ragged(block: bytes, width: int) -> tuple[int, int] | None:
    """Return (index, number of fields) of the first row that has not `width` fields."""
    if b'"' in block:
        try:
            for i, row in enumerate(csv.reader(io.StringIO(block.decode(errors="replace"), newline=""))):
                if len(row) != width:
                    return i, max(1, len(row))
        except csv.Error:
            return None
        return None
    text = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    commas = np.searchsorted(np.flatnonzero(text == ord(",")), ends)
    widths = np.diff(commas, prepend=0) + 1
    wrong = np.flatnonzero(widths != width)
    return (int(wrong[0]), int(widths[wrong[0]])) if len(wrong) else None
