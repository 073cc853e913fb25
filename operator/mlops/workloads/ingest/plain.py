"""From any dialect to one that cannot be misread: no quotes, a separator and a row end that no field holds.

polars then only splits and parses; what is a row, a field, a missing value or an empty text is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops.workloads.ingest.dialect import Dialect
from mlops.workloads.ingest.numbers import only_where
from mlops.workloads.ingest.structure import CR, LF, Mask, Places, Structure

# Signs that text hardly ever has. Those that a block does have are not used for it.
_SIGNS = (*range(0x1C, 0x20), *range(0x01, 0x09), *range(0x0E, 0x1C), 0x7F, 0x0B, 0x0C)


@dataclass(frozen=True)
class Signs:
    """Bytes that stand for something else in the text of a block."""

    separator: int
    # In fields: a line feed, a carriage return, a quoted empty text, a text that means a missing value.
    line_feed: int
    carriage_return: int
    empty: int
    missing: int


@dataclass(frozen=True)
class Plain:
    """Rows of one width for the parser; None as `signs`: no field holds what has to be put back."""

    text: bytes
    separator: int
    signs: Signs | None

    @property
    def special(self) -> tuple[int, ...]:
        """Return the signs that a field of numbers may hold."""
        return (self.signs.empty, self.signs.missing) if self.signs else ()

    def restored(self, column: pl.Series) -> pl.Series:
        """Return the column with what its signs stand for."""
        if self.signs is None:
            return column
        for sign, text in ((self.signs.line_feed, "\n"), (self.signs.carriage_return, "\r"), (self.signs.empty, "")):
            if bytes([sign]) in self.text:
                column = column.str.replace_all(chr(sign), text, literal=True)
        if bytes([self.signs.missing]) in self.text:
            column = only_where(column, column != chr(self.signs.missing))
        return column


class NoSigns(ValueError):
    """The text holds every control character."""


def plain(found: Structure, dialect: Dialect, rows: Mask, width: int, nulls: tuple[bytes, ...]) -> Plain:
    """Return the `rows` of a block, brought to `width` fields: short ones get empty fields, long ones lose some.

    `nulls`: texts of a missing value that hold an escape, so that they can be told only before it is resolved.
    """
    if _is_plain(found, dialect, rows, width):
        text = found.text[: found.end]
        return Plain(text.replace(b"\r\n", b"\n") if b"\r" in text else text, dialect.delimiter[0], None)
    signs = _signs(found.text)
    letters = np.frombuffer(found.text, dtype=np.uint8)[: found.end].copy()
    stops = _stops(found, width)
    kept = _cover(len(letters), found.starts[rows], stops[rows])
    kept[_before(found.escaped, found.end) - 1] = False
    _unquote(found, letters, kept, signs)
    for null in nulls:
        _mark_missing(found, dialect, letters, kept, null, signs)
    if dialect.skip_blanks and not dialect.delimiter.startswith(b" "):
        _skip_blanks(found, letters, kept, dialect)
    for sign, stand_in in ((LF, signs.line_feed), (CR, signs.carriage_return)):
        letters[letters == sign] = stand_in
    letters[found.delimiters] = signs.separator
    for i in range(1, len(dialect.delimiter)):
        kept[found.delimiters + i] = False
    inside = stops[rows & (stops < found.end)]
    letters[inside], kept[inside] = LF, True
    short = np.where(rows, width - found.widths, 0)
    text = _padded(letters, kept, stops, short, signs.separator) if (short > 0).any() else letters[kept].tobytes()
    return Plain(text if text.endswith(b"\n") or not text else text + b"\n", signs.separator, signs)


def _is_plain(found: Structure, dialect: Dialect, rows: Mask, width: int) -> bool:
    """Return whether the block is the parser's own dialect already, which is the rule."""
    if len(found.quotes) or len(found.escaped) or len(dialect.delimiter) > 1 or dialect.skip_blanks or width < 2:
        return False
    if found.blank_lines or found.comments or not len(found.starts) or not rows.all():
        return False
    if found.starts[0] or found.row_end not in (b"\n", b"\r\n") or (found.widths != width).any():
        return False
    # Every LF ends a row, and every CR is of a CRLF.
    text, end = found.text, found.end
    if found.row_end == b"\r\n" and text.count(b"\n", 0, end) - len(found.starts) not in (0, -1):
        return False
    return text.find(b"\r", 0, end) < 0 or text.count(b"\r", 0, end) == text.count(b"\r\n", 0, end)


def _signs(text: bytes) -> Signs:
    free = (sign for sign in _SIGNS if sign not in text)
    chosen = [sign for sign, _ in zip(free, range(5), strict=False)]
    if len(chosen) < 5:
        raise NoSigns("the text holds every control character: it is no text")
    return Signs(*chosen)


def _stops(found: Structure, width: int) -> Places:
    """Return the end of each row's field number `width`, or of the row if it has no more."""
    stops = found.ends.copy()
    long = np.flatnonzero(found.widths > width)
    stops[long] = found.delimiters[found.before[long] + width - 1]
    return stops


def _cover(size: int, starts: Places, stops: Places) -> Mask:
    """Return which bytes lie in rows."""
    gaps = np.append(starts[1:], size) - stops
    if len(starts) and not starts[0] and gaps.max() <= 2:
        # The rule: rows that follow each other.
        kept = np.ones(size, dtype=bool)
        kept[stops[gaps > 0]] = False
        kept[stops[gaps > 1] + 1] = False
        return kept
    steps = np.zeros(size + 1, dtype=np.int8)
    steps[starts] += 1
    # A row may end where it begins, and begin where the one before ends.
    np.subtract.at(steps, stops, 1)
    return np.cumsum(steps[:size], dtype=np.int8).view(bool)


def _before(places: Places, end: int) -> Places:
    return places[places < end]


def _unquote(found: Structure, letters: npt.NDArray[np.uint8], kept: Mask, signs: Signs) -> None:
    """Leave out quotes around fields and one of two doubled ones; an empty text in quotes gets its sign."""
    quotes = _before(found.quotes, found.end)
    opening, closing = quotes[0::2], quotes[1::2]
    doubled = closing[:-1] + 1 == opening[1:]
    outer_opening = np.append(True, ~doubled)[: len(opening)]
    outer_closing = np.append(~doubled, True)[: len(closing)]
    empty = opening[outer_opening & outer_closing & (closing == opening + 1)]
    kept_empty = empty[kept[empty]]
    kept[closing] = False
    kept[opening[outer_opening]] = False
    letters[kept_empty], kept[kept_empty] = signs.empty, True


def _mark_missing(
    found: Structure, dialect: Dialect, letters: npt.NDArray[np.uint8], kept: Mask, null: bytes, signs: Signs
) -> None:
    """Put the sign of a missing value in place of each whole field that is `null` as it stands."""
    starts = np.append(found.starts, found.delimiters + len(dialect.delimiter))
    places = starts[[found.text.startswith(null, int(at)) for at in starts]] if null in found.text else starts[:0]
    stops = places + len(null)
    places = places[np.isin(stops, found.delimiters) | np.isin(stops, found.ends)]
    places = places[kept[places + len(null) - 1]]
    letters[places], kept[places] = signs.missing, True
    for i in range(1, len(null)):
        kept[places + i] = False


def _skip_blanks(found: Structure, letters: npt.NDArray[np.uint8], kept: Mask, dialect: Dialect) -> None:
    places = np.append(found.starts, found.delimiters + len(dialect.delimiter))
    while len(places := _before(places, found.end)):
        places = places[letters[places] == ord(" ")]
        kept[places] = False
        places = places + 1


def _padded(letters: npt.NDArray[np.uint8], kept: Mask, stops: Places, short: Places, separator: int) -> bytes:
    """Return the kept letters with as many separators before the end of each row as it has fields too few."""
    places = np.append(0, np.cumsum(kept))[stops]
    return np.insert(letters[kept], np.repeat(places, np.maximum(short, 0)), separator).tobytes()
