"""The dialect of delimited text, guessed from its beginning; what it explains is checked on all of it afterwards."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mlops.api.delimited import Csv
from mlops.cli.errors import UserError
from mlops.cli.init.evidence import NULL_WORDS
from mlops.cli.init.options import InitOptions
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.dialect import dialect_of
from mlops.workloads.ingest.encodings import in_utf8
from mlops.workloads.ingest.structure import BadStructure, Structure, row_end_of, structure
from mlops.workloads.ingest.text import checked_head, open_bytes

_HEAD = 1 << 18
_QUOTES = (('"', ""), ('"', "\\"), ("'", ""), ("", ""))
# Where two explain as many rows: a comma may stand in numbers, the others hardly.
_DELIMITERS = (";", "\t", "|", ",")
_NUMBER = re.compile(r"[+-]?[$€]?([0-9]+([.,' ][0-9]+)*|[.,][0-9]+)([eE][+-]?[0-9]+)?[%€]?")
_DATE = re.compile(r"[0-9]{1,4}[-/.][0-9A-Za-z]{1,3}[-/.][0-9]{1,4}([T ].*)?")
_SAMPLE = 500


@dataclass(frozen=True)
class Head:
    """The beginning of a file as one dialect reads it."""

    csv: Csv
    found: Structure
    width: int
    share: float

    def cells(self, row: int) -> list[str]:
        """Return the fields of a row."""
        cells = self.found.fields_of(row, dialect_of(self.csv))
        return [cell.lstrip(" ") for cell in cells] if self.csv.skip_initial_space else cells


def encoding_of(path: Path, options: InitOptions) -> str:
    """Return the encoding in which every byte of the file has a meaning. Raises UserError if none of the tried has."""
    first = next(open_bytes(path, path.name), b"")
    if options.encoding:
        tried = [options.encoding]
    elif first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        tried = ["utf-16"]
    elif b"\0" in first[:4096]:
        tried = ["utf-16-le", "utf-16-be"]
    else:
        tried = ["utf-8", "cp1252"]
    problem = ""
    for encoding in tried:
        try:
            for _ in in_utf8(checked_head(open_bytes(path, path.name), path.name), path.name, encoding, True):
                pass
        except BadInput as error:
            problem = problem or error.message
            continue
        return encoding
    raise UserError(f"{problem}; none of {', '.join(tried)} reads all of the file: name its encoding by --encoding")


def dialects_of(path: Path, encoding: str, options: InitOptions) -> list[Csv]:
    """Return the dialects that explain the beginning of the file, the likeliest first. Raises UserError."""
    pieces = in_utf8(open_bytes(path, path.name), path.name, encoding, True)
    text, whole = _head(pieces)
    if not text.strip():
        raise UserError(f"{path}: the file is empty")
    if options.delimiter is not None and not 1 <= len(options.delimiter) <= 8:
        raise UserError(f"--delimiter {options.delimiter!r}: 1 to 8 characters stand between two fields")
    found: list[Csv] = []
    for quote, escape in _QUOTES:
        base = Csv.model_validate({"encoding": encoding, "quote": quote, "escape": escape})
        if (head := _best(text, whole, base, options)) and (quote != "'" or _encloses(head, text)):
            completed = _completed(head, text, whole, options)
            # Where single quotes are around most rows' fields, they are no letters.
            is_first = quote == "'" and len(head.found.quotes) >= len(head.found.starts)
            found.insert(0 if is_first else len(found), completed)
    if not found:
        raise UserError(f"{path}: no dialect explains its beginning: name what stands between fields by --delimiter")
    return found


def _head(pieces: object) -> tuple[bytes, bool]:
    text = bytearray()
    iterator = iter(pieces)  # type: ignore[call-overload]
    for piece in iterator:
        text += piece
        if len(text) > _HEAD:
            return bytes(text), next(iterator, None) is None
    return bytes(text), True


def _best(text: bytes, whole: bool, base: Csv, options: InitOptions) -> Head | None:
    heads = []
    for delimiter in [options.delimiter.replace("\\t", "\t")] if options.delimiter else _DELIMITERS:
        if (head := _read(text, whole, base.evolve(delimiter=delimiter))) is not None:
            heads.append(head)
    if not options.delimiter and all(head.width == 1 for head in heads):
        spaced = _read(text, whole, base.evolve(delimiter=" "))
        if spaced is not None and spaced.width > 1 and spaced.share > 0.9:
            heads.append(spaced)
    wide = [head for head in heads if head.width > 1 and head.share > 0.5]
    if wide:
        return max(wide, key=lambda head: round(head.share, 3))
    return heads[-1] if heads else None


def _read(text: bytes, whole: bool, csv: Csv) -> Head | None:
    dialect = dialect_of(csv)
    end = row_end_of(text, dialect, final=whole)
    if not end:
        return None
    try:
        found = structure(text, dialect, end, final=whole, keep_blank=False)
    except BadStructure:
        return None
    if not len(found.starts):
        return None
    widths = Counter(found.widths.tolist())
    width, count = max(widths.items(), key=lambda one: (one[1], one[0]))
    return Head(csv, found, width, count / len(found.starts))


def _encloses(head: Head, text: bytes) -> bool:
    """Return whether single quotes enclose fields here, and double ones do not."""
    return len(head.found.quotes) > 0 and text.count(b'"') == 0


def _completed(head: Head, text: bytes, whole: bool, options: InitOptions) -> Csv:
    csv = head.csv
    before = _before_table(head)
    if before:
        # Also of lines that begin with #: a comment would be left out in the middle of the rows, too.
        csv = csv.evolve(skip_rows=text[: int(head.found.starts[before])].count(head.found.row_end))
    if _has_blanks(head, before):
        csv = csv.evolve(skip_initial_space=True)
    head = Head(csv, head.found, head.width, head.share)
    header = options.header if options.header is not None else _header(head, before, options)
    return csv.evolve(header=header)


def _before_table(head: Head) -> int:
    """Return how many rows stand before the first one that is as wide as most."""
    widths = head.found.widths.tolist()
    at = next((i for i, width in enumerate(widths) if width == head.width), 0)
    # A header that is narrower by trailing columns is one all the same.
    return at if all(width == 1 or width < head.width - 1 for width in widths[:at]) else 0


def _has_blanks(head: Head, before: int) -> bool:
    cells = [cell for row in _rows(head, before) for cell in head.cells(row)[1:] if cell]
    return len(cells) > 1 and sum(cell.startswith(" ") for cell in cells) > 0.9 * len(cells)


def _rows(head: Head, before: int) -> range:
    return range(before, min(len(head.found.starts), before + _SAMPLE))


def _header(head: Head, before: int, options: InitOptions) -> int:
    """Return 1 if the first row of the table holds names, 0 if it is data. Raises UserError if it cannot be told."""
    rows = [head.cells(row) for row in islice(_rows(head, before), _SAMPLE)]
    first, others = rows[0], rows[1:]
    if {options.label, options.time, options.key} & set(first):
        return 1
    columns = [[row[at].strip() for row in others if at < len(row) and row[at].strip()] for at in range(len(first))]
    typed = [all(_is_value(cell) for cell in column) and bool(column) for column in columns]
    if any(is_typed and first[at].strip() and not _is_value(first[at].strip()) for at, is_typed in enumerate(typed)):
        return 1
    if any(typed):
        return 0
    names = [cell.strip() for cell in first]
    if all(names) and len(set(names)) == len(names):
        if not any(name in column for name, column in zip(names, columns, strict=True)):
            return 1
        if any(_is_value(name) for name in names):
            return 0
    raise UserError(
        f"the first row is {', '.join(names)[:200]!r}: nothing tells names from values here: say --header 1 if these "
        "are the columns' names, --header 0 if they are data"
    )


def _is_value(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell)) or cell.lower() in NULL_WORDS
