"""Reads the bytes of a CSV file by the product's reader, and by a reader of its own that goes letter by letter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlops.api.dataset import DataField
from mlops.api.delimited import Csv
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.delimited import read_csv

Row = tuple[Any, ...]
Object = dict[str, Any]


def texts(*names: str, **changes: Any) -> list[Object]:
    """Return text fields of these names that may be missing."""
    return [{"name": name, "type": "string", "nullable": True, **changes} for name in names]


def at_positions(count: int) -> list[Object]:
    """Return text fields for a file without a header."""
    return [{"name": f"c{i}", "type": "string", "nullable": True, "position": i} for i in range(1, count + 1)]


def contract(fields: list[Object], dialect: Object, pii: frozenset[str] = frozenset()) -> Contract:
    """Return a contract of these fields."""
    parsed = tuple(DataField.model_validate(field) for field in fields)
    return Contract(parsed, {}, pii, csv=Csv.model_validate(dialect))


def read(
    path: Path, data: bytes | str, fields: list[Object], dialect: Object, rejected: RowsAside | None = None
) -> list[Row]:
    """Return the rows of a file with this content. Raises BadInput."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    frames = read_csv(path, "x.csv", contract(fields, dialect), rejected)
    return [row for frame in frames for row in frame.rows()]


def outcome(path: Path, data: bytes | str, fields: list[Object], dialect: Object) -> list[Row] | str:
    """Return the rows, or what is said in their place."""
    try:
        return read(path, data, fields, dialect)
    except BadInput as error:
        return error.message


class Refused(ValueError):
    """The text is not of the dialect."""


def letter_by_letter(text: str, delimiter: str = ",", quote: str = '"', escape: str = "") -> list[list[str]]:
    """Return the records of text whose rows end in LF or CRLF, by a machine with one state per letter.

    It shares nothing with the product's reader. Blank lines are no records. Raises Refused for a quote that neither
    opens nor closes a field, for one that is never closed, and for a CR that ends no row.
    """
    rows: list[list[str]] = []
    row: list[str] = []
    value, state, i = "", "start", 0
    while i < len(text):
        letter = text[i]
        crlf = letter == "\r" and text[i + 1 : i + 2] in ("\n", "")
        if escape and letter == escape and i + 1 < len(text):
            if state == "after quote" or (state != "quoted" and text[i + 1 : i + 3] == "\r\n"):
                raise Refused("an escape behind a quote, or before the end of a row")
            value, state, i = value + text[i + 1], "plain" if state == "start" else state, i + 2
            continue
        if state == "quoted":
            if letter == quote:
                state = "after quote"
            else:
                value += letter
        elif state == "after quote" and letter == quote:
            value, state = value + quote, "quoted"
        elif letter == delimiter:
            row, value, state = [*row, value], "", "start"
        elif letter == "\n" or crlf:
            i += crlf and text[i + 1 : i + 2] == "\n"
            if row or value or state != "start":
                rows.append([*row, value])
            row, value, state = [], "", "start"
        elif letter == quote and state == "start":
            state = "quoted"
        elif letter in (quote, "\r") or state == "after quote":
            raise Refused(f"{letter!r} at {i}")
        else:
            value, state = value + letter, "plain"
        i += 1
    if state == "quoted":
        raise Refused("never closed")
    if row or value or state != "start":
        rows.append([*row, value])
    return rows
