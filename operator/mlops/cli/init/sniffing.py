"""The dialect of delimited text, guessed from its beginning; what it explains is checked on all of it afterwards."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mlops.api.delimited import Csv
from mlops.cli.errors import UserError
from mlops.cli.init.options import InitOptions
from mlops.cli.init.tops import is_value, top_of
from mlops.workloads.ingest.dialect import dialect_of
from mlops.workloads.ingest.encodings import in_utf8
from mlops.workloads.ingest.structure import BadStructure, Structure, row_end_of, structure
from mlops.workloads.ingest.text import open_bytes

_HEAD = 1 << 18
_QUOTES = (('"', ""), ('"', "\\"), ("'", ""), ("", ""))
# Where two explain as many rows: a comma may stand in numbers, the others hardly.
_DELIMITERS = (";", "\t", "|", "~", "^", "\x01", "\x1f", ",")
# What Excel takes its delimiter from.
_SEP = re.compile(r'"?sep=([^\r\n])"?[ \t]*(\r\n|\n|\r)', re.IGNORECASE)
_SAMPLE = 500
_MOST_TITLES = 30


@dataclass(frozen=True)
class Sniffed:
    """A dialect; where quotes are letters in it, why, and whether a user must say so."""

    csv: Csv
    letters: str = ""
    asks: bool = False


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


def dialects_of(path: Path, encoding: str, options: InitOptions) -> Iterator[Sniffed]:
    """Yield the dialects that explain the beginning of the file, the likeliest first. Raises UserError."""
    pieces = in_utf8(open_bytes(path, path.name), path.name, encoding, True)
    text, whole = _head(pieces)
    if not text.strip():
        raise UserError(f"{path}: the file is empty")
    if options.delimiter is not None and not 1 <= len(options.delimiter) <= 8:
        raise UserError(f"--delimiter {options.delimiter!r}: 1 to 8 characters stand between two fields")
    said = _SEP.match(text[:16].decode("latin-1"))
    if said and options.delimiter is None:
        # What Excel writes for itself.
        options = replace(options, delimiter=said[1])
    first = 1 if said else 0
    text = text[said.end() :] if said else text
    heads: list[Head] = []
    for quote, escape in _QUOTES if options.quote is None else [(options.quote, ""), (options.quote, "\\")]:
        base = Csv.model_validate({"encoding": encoding, "quote": quote, "escape": escape})
        head = _best(text, whole, base, options)
        if head is None and quote:
            # A quote behind a blank opens a field where blanks at the beginning are none of it.
            head = _best(text, whole, base.evolve(skip_initial_space=True), options)
        if head and (quote != "'" or options.quote or _encloses(head, text)):
            # Where single quotes are around most rows' fields, they are no letters.
            is_first = quote == "'" and len(head.found.quotes) >= len(head.found.starts)
            heads.insert(0 if is_first else len(heads), head)
    if not heads:
        raise UserError(f"{path}: no dialect explains its beginning: name what stands between fields by --delimiter")
    for head in heads:
        csv = _completed(head, text, options, first)
        yield Sniffed(csv, *_fallback(head, text, whole, options))


def _fallback(head: Head, text: bytes, whole: bool, options: InitOptions) -> tuple[str, bool]:
    """Return what is told of a dialect in which quotes are letters, and whether it needs the user's word."""
    if head.csv.quote or options.quote is not None or b'"' not in text:
        return "", False
    delimiter = head.csv.delimiter.encode()
    opens = text.startswith(b'"') or any(sign + b'"' in text for sign in (delimiter, head.found.row_end))
    dialect = dialect_of(head.csv.evolve(quote='"'))
    why = "quotes are letters here, by --quote they are none"
    try:
        structure(text, dialect, head.found.row_end, final=whole)
    except BadStructure as error:
        line = text.count(head.found.row_end, 0, error.at) + 1
        why = f"line {line}: {error.problem}"
    return why, opens and head.csv.delimiter in ",;"


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
        for sign in (" ", ":"):
            other = _read(text, whole, base.evolve(delimiter=sign))
            if other is not None and other.width > (1 if sign == " " else 2) and other.share > 0.9:
                heads.append(other)
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
    widths = found.widths.tolist()
    width, count = max(Counter(widths).items(), key=lambda one: (one[1], one[0]))
    head = Head(csv, found, width, count / len(widths))
    return _below_titles(head, widths) or head


def _below_titles(head: Head, widths: list[int]) -> Head | None:
    """Return the head as that of a table below lines of titles, if these are most of a short file."""
    for width, count in sorted(Counter(widths[:_SAMPLE]).items(), reverse=True):
        at = widths.index(width)
        if (
            width < head.width
            or (width == head.width and head.share > 0.5)
            or count < 2
            or count < len(widths) / 5
            or at > _MOST_TITLES
        ):
            continue
        share = count / (len(widths) - at)
        if share > 0.6 and not any(is_value(cell) for cell in head.cells(at)):
            return replace(head, width=width, share=share)
    return None


def _encloses(head: Head, text: bytes) -> bool:
    """Return whether single quotes enclose fields here, and double ones do not."""
    return len(head.found.quotes) > 0 and text.count(b'"') == 0


def _completed(head: Head, text: bytes, options: InitOptions, first: int) -> Csv:
    csv = head.csv
    if _has_blanks(head):
        csv = csv.evolve(skip_initial_space=True)
        head = replace(head, csv=csv)
    rows = [head.cells(row) for row in range(min(len(head.found.starts), _SAMPLE))]
    _check_fixed_width(rows, head.width)
    # Delimiters at the end of each row make no column of its own.
    kept = [row for row in rows if len(row) <= head.width]
    width = max((at for row in kept for at, cell in enumerate(row, 1) if cell.strip()), default=1)
    rows = [row[:width] if len(row) > width and not any(row[width:]) else row for row in rows]
    names = {name for name in (options.label, options.time, options.key) if name and not name.isdecimal()}
    top = top_of(rows, width, options.header, names)
    # Also of lines that begin with #: a comment would be left out in the middle of the rows, too.
    skipped = text[: int(head.found.starts[top.before])].count(head.found.row_end) if top.before else 0
    csv = csv.evolve(skip_rows=first + skipped, header=top.header)
    # Its escape would make a letter of it.
    has_null = csv.escape == "\\" and any(cell == "N" for row in rows for cell in row) and b"\\N" in text
    return csv.evolve(null_values=("\\N",)) if has_null else csv


def _has_blanks(head: Head) -> bool:
    rows = range(min(len(head.found.starts), _SAMPLE))
    cells = [cell for row in rows if head.found.widths[row] == head.width for cell in head.cells(row)[1:] if cell]
    return len(cells) > 1 and sum(cell.startswith(" ") for cell in cells) > 0.9 * len(cells)


def _check_fixed_width(rows: list[list[str]], width: int) -> None:
    """Raise UserError where the fields of a column are columns themselves, with blanks between."""
    for at in range(min(width, 3)):
        cells = [row[at].strip() for row in rows if len(row) == width and row[at].strip()]
        parts = [len(re.split(r" {2,}", cell)) for cell in cells]
        if len(parts) > 1 and width < 4 and min(parts) == max(parts) > 2:
            raise UserError(
                f"{cells[0][:60]!r}: columns of a fixed width, with several blanks between, are not read: write the "
                "file with one sign between two fields"
            )
