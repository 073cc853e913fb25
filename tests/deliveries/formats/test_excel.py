"""Excel: cells with their types; errors, formulas and gaps are told, never made missing values."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from typing import Any

import openpyxl
import pytest

from tests.deliveries.formats.reading import WRITTEN, Outcome, field, read, read_written

NOON = dt.datetime(2024, 5, 1, 12, 30)  # noqa: DTZ001 - a cell has no time zone
FIELDS = (field("i", "int64"), field("f"), field("s", "string"), field("b", "boolean"), field("t", "timestamp"))
HEADER = ["i", "f", "s", "b", "t"]
GOOD = [1, 1.5, "x", True, NOON]
READ = (1, 1.5, "x", True, "2024-05-01T12:30:00Z")


def book(*rows: list[Any], at: tuple[int, int] = (1, 1), sheets: tuple[str, ...] = ()) -> bytes:
    """A workbook with these rows from a cell on, and further sheets."""
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.title = "Data"
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            if value is not None:
                sheet.cell(at[0] + i, at[1] + j, value)
    for name in sheets:
        made.create_sheet(name)
    sink = io.BytesIO()
    made.save(sink)
    return sink.getvalue()


def _row(**cells: Any) -> list[Any]:
    return list((dict(zip(HEADER, GOOD, strict=True)) | cells).values())


CASES: list[tuple[str, bytes, dict[str, Any], Outcome]] = [
    ("plain", book(HEADER, GOOD), {}, [READ]),
    ("whole floats, days, 0 and 1", book(HEADER, _row(i=2.0, t=dt.date(2024, 5, 2), b=0)), {},
     [(2, 1.5, "x", False, "2024-05-02T00:00:00Z")]),
    ("text beside numbers", book(HEADER, GOOD, _row(f="3.5", t="2024-05-03T00:00:00Z", i=None)), {},
     [READ, (None, 3.5, "x", True, "2024-05-03T00:00:00Z")]),
    ("header alone", book(HEADER), {}, []),
    ("blank rows around", book(HEADER, GOOD, [None], at=(3, 2)), {}, [READ]),
    ("from a cell on", book(["note"], HEADER, GOOD), {"range": "A2"}, [READ]),
    ("a region", book([*HEADER, "z"], [*GOOD, 5], ["total"]), {"range": "A1:E2"}, [READ]),
    ("one of two sheets", book(HEADER, GOOD, sheets=("Other",)), {"sheet": "Data"}, [READ]),
    ("two sheets", book(HEADER, GOOD, sheets=("Other",)), {}, "the sheets Data, Other: name one in"),
    ("no such sheet", book(HEADER, GOOD), {"sheet": "data"}, 'there is no sheet "data" (spec.excel.sheet)'),
    ("a note below", book(HEADER, GOOD, [None], ["total"]), {}, "row 3 is empty and row 4 is not: end"),
    ("a title above", book(["Sales"], HEADER, GOOD), {}, "of spec.fields not found; the file has Sales"),
    ("corners out of order", book(HEADER, GOOD), {"range": "C9:A1"}, "name the corners in order"),
    ("nothing", book(), {}, "the sheet is empty"),
    ("column twice", book([*HEADER, "i"], [*GOOD, 2]), {}, 'the header has column "i" twice: rename one'),
    ("fraction", book(HEADER, _row(i=2.5)), {}, 'row 2, column "i": "2.5" is not an int64'),
    ("number for text", book(HEADER, _row(s=5)), {}, 'row 2, column "s": "5" is not a string: say type: int64'),
    ("number for a day", book(HEADER, _row(t=45000)), {}, "give the cells a date format in the sheet"),
    ("time of day", book(HEADER, _row(t=dt.time(1, 2))), {}, 'row 2, column "t": "01:02:00" is not a timestamp'),
    ("text for a number", book(HEADER, _row(f="n/a")), {}, 'row 2, column "f": "n/a" is not a float64'),
    ("error", book(HEADER, _row(f="#DIV/0!")), {}, 'column "f": cell B2 holds the error #DIV/0!: mend it in the sheet'),
    ("formula", book(HEADER, _row(f="=1/2")), {}, "cell B2 has a formula that was never computed: open the workbook"),
    ("cut off", book(HEADER, GOOD)[:-100], {}, "damaged or cut off"),
    ("CSV", b"i,f\n1,2\n", {}, "this is no Excel workbook: check spec.format"),
    (".xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, {}, "save it as .xlsx without one"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "where", "want"), [pytest.param(*one[1:], id=one[0]) for one in CASES])
def test_a_sheet_is_read_cell_by_cell(content: bytes, where: dict[str, Any], want: Outcome) -> None:
    outcome = read(content, "excel", *FIELDS, **({"excel": where} if where else {}))
    if isinstance(want, str):
        assert isinstance(outcome, str), outcome
        assert want in outcome
    else:
        assert outcome == want


def test_an_error_is_missing_where_the_field_says_so() -> None:
    fields = [one | {"nullValues": ["#DIV/0!"]} if one["name"] == "f" else one for one in FIELDS]
    assert read(book(HEADER, _row(f="#DIV/0!")), "excel", *fields) == [(1, None, "x", True, READ[4])]


def test_what_a_spreadsheet_program_writes_is_read() -> None:
    """Values of formulas, empty text of a formula, shared texts, days since 1904, a hidden sheet."""
    fields = (field("v"), field("x", "string"), field("day", "timestamp"))
    noon = "2024-05-01T06:30:00Z"
    assert read_written("sheet.xlsx", *fields) == [(1.5, "a", noon), (2.5, "b", noon)]
    assert read_written("since-1904.xlsx", field("v"), field("day", "timestamp")) == [(1.5, noon)]
    assert read_written("two-sheets.xlsx", field("v"), excel={"sheet": "June"}) == [(6.0,)]
    two = read_written("two-sheets.xlsx", field("v"))
    assert isinstance(two, str)
    assert "the sheets May, June: name one" in two
    error = read_written("errors.xlsx", field("v"), field("x", "string"))
    assert isinstance(error, str)
    assert "cell B2 holds the error #DIV/0!" in error


def test_a_workbook_cut_anywhere_is_refused() -> None:
    whole = (WRITTEN / "sheet.xlsx").read_bytes()
    for end in range(0, len(whole) - 1, 61):
        assert isinstance(read(whole[:end], "excel", field("v")), str), end


def test_a_workbook_that_grows_to_fill_a_memory_is_refused() -> None:
    """By what its archive says, before anything is unpacked."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<workbook/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            for _ in range(300):
                sheet.write(b" " * (1 << 20))
    message = read(sink.getvalue(), "excel", field("v"))
    assert isinstance(message, str)
    assert "more than 250 to 1: deliver it as CSV" in message


def test_other_sheets_are_told_by_their_kind() -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("content.xml", b"<office/>")
    message = read(sink.getvalue(), "excel", field("v"))
    assert isinstance(message, str)
    assert "this is an OpenDocument sheet: save it as .xlsx" in message
    workbook = read(book(HEADER, GOOD), "csv", *FIELDS)
    assert isinstance(workbook, str)
    assert "this is an Excel workbook: set spec.format to excel" in workbook
