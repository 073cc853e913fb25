"""Cells of an Excel workbook (.xlsx): a sheet's rows as they stand there, each cell with its type.

openpyxl tells an error and a formula that nobody computed from an empty cell; readers that do not would make both
missing values.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, iterparse

import openpyxl
from openpyxl.utils.cell import column_index_from_string, coordinate_from_string, get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

from mlops.api.file_formats import Excel
from mlops.api.reasons import Reason
from mlops.workloads.floor.parquet_file import FREE_OF_RATIO, MAX_RATIO
from mlops.workloads.floor.pod import BadInput

_OLD: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP: Final = b"PK\x03\x04"


@dataclass(frozen=True)
class ErrorCell:
    """A cell that holds an error, such as #DIV/0!."""

    text: str


Cell = str | int | float | bool | datetime | date | ErrorCell | None


@dataclass(frozen=True)
class SheetRow:
    """A row that has values: its number in the sheet, and its cells from the first column that is read on."""

    number: int
    cells: list[Any]


def sheet_rows(path: Path, name: str, where: Excel | None, *, computed: bool = False) -> Iterator[SheetRow]:
    """Yield the rows of the sheet that have a value. Raises BadInput for what is no workbook, or another sheet.

    `computed`: it is known that every formula has its value, which takes as long to find out as to read the sheet.
    """
    _check_kind(path, name)
    first, last = _corners(where, name)
    with _opened(path, name) as book:
        sheet = _sheet(book, where, name)
        if not computed:
            _check_computed(path, name, sheet)
        sheet.reset_dimensions()  # Some writers say A1 of a sheet of any size.
        rows = sheet.iter_rows(
            min_row=first[1], max_row=last[1] if last else None, min_col=first[0], max_col=last[0] if last else None
        )
        for number, row in enumerate(rows, first[1]):
            if any(cell.value is not None for cell in row):
                yield SheetRow(number, [_value(cell, name) for cell in row])


def read_sheet_through(path: Path, name: str, where: Excel | None) -> None:
    """In a child: read the sheet to its end."""
    for _ in sheet_rows(path, name, where):
        pass


def letter(first: Excel | None, index: int) -> str:
    """Return the letters of the column that is `index` columns after the first one read."""
    return str(get_column_letter(_corners(first, "")[0][0] + index))


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Any]:
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            # It warns of what it does not keep (colours, checks of input): of no value.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
            try:
                yield book
            finally:
                book.close()
    except (InvalidFileException, zipfile.BadZipFile, ParseError, EOFError) as error:
        raise _problem(name, f"the workbook is damaged or cut off: {_line(error)}: save it again") from error
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise _problem(
            name, f"the workbook cannot be read ({type(error).__name__}: {_line(error)}): save it again as .xlsx"
        ) from error


def _sheet(book: Any, where: Excel | None, name: str) -> Any:
    present = [sheet.title for sheet in book.worksheets]
    visible = [sheet.title for sheet in book.worksheets if sheet.sheet_state == "visible"]
    wanted = where.sheet if where else None
    if wanted is None and len(visible) == 1:
        wanted = visible[0]
    if wanted is None:
        raise _problem(name, f"the workbook has the sheets {', '.join(visible)}: name one in spec.excel.sheet")
    if wanted not in present:
        raise _problem(name, f'there is no sheet "{wanted}" (spec.excel.sheet); the workbook has {", ".join(present)}')
    return book[wanted]


def _check_computed(path: Path, name: str, sheet: Any) -> None:
    """Raise BadInput for a formula without its value: programs that write formulas do not compute them."""
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(stream) as archive, archive.open(sheet._worksheet_path) as xml:
            found = _uncomputed(xml)
    if found:
        raise _problem(
            name,
            f"cell {found} has a formula that was never computed: open the workbook in a spreadsheet program and save "
            "it, or write values",
        )


def _uncomputed(xml: Any) -> str | None:
    """Return the first cell with a formula and no value; one whose value is empty text has a place for it."""
    for _, element in iterparse(xml):
        if (tag := _name(element)) == "row":
            element.clear()
        elif tag == "c":
            parts = {_name(one): one for one in element}
            value = parts.get("v")
            is_empty = value is None or (not value.text and element.get("t") != "str")
            if "f" in parts and is_empty:
                return str(element.get("r", "?"))
    return None


def _name(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _value(cell: Any, name: str) -> Cell:
    value = cell.value
    if cell.data_type == "e" and value is not None:
        return ErrorCell(str(value))
    if value is None or isinstance(value, str | bool | int | float | datetime | date):
        return value
    # A time of day or a duration: of no type of the contract, and shown in its message.
    return str(value)


def _corners(where: Excel | None, name: str) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """Return the first and the last (column, row) that are read, from 1; no last one: to the end."""
    text = where.range if where else None
    if text is None:
        return (1, 1), None
    corners = [
        (column_index_from_string(letters), row) for letters, row in map(coordinate_from_string, text.split(":"))
    ]
    first, last = corners[0], corners[1] if len(corners) > 1 else None
    if last is not None and (last[0] < first[0] or last[1] <= first[1]):
        raise BadInput(
            Reason.FORMAT_ERROR,
            f"{name}: spec.excel.range {text} has no row below its header: name the corners in order",
        )
    return first, last


def _check_kind(path: Path, name: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
    if head == _OLD:
        raise _problem(name, "this is an .xls file, or a workbook with a password: save it as .xlsx without one")
    if not head.startswith(_ZIP):
        raise _problem(name, "this is no Excel workbook: check spec.format")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise _problem(name, f"the workbook is damaged or cut off ({error}): deliver it again") from error
    if not any(one.filename == "xl/workbook.xml" for one in members):
        others = {"content.xml": "an OpenDocument sheet", "xl/workbook.bin": "an .xlsb workbook"}
        what = next((text for one in members if (text := others.get(one.filename))), "no Excel workbook")
        raise _problem(name, f"this is {what}: save it as .xlsx")
    whole = sum(one.file_size for one in members)
    if whole > FREE_OF_RATIO and whole > MAX_RATIO * size:
        raise _problem(name, f"{size} bytes decompress to {whole} bytes, more than {MAX_RATIO} to 1: deliver it as CSV")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _problem(name: str, problem: str) -> BadInput:
    return BadInput(Reason.FORMAT_ERROR, f"{name}: {problem}")
