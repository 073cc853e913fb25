"""Where rows and fields of delimited text begin and end: found from the start of the text, by its signs alone.

The one authority on how many rows a file has. Quotes are counted from the beginning of a row, so that a border between
blocks changes nothing; a quote that neither opens nor closes a field is refused, never read in one of several ways.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlops.workloads.ingest.dialect import Dialect

Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
LF, CR = 10, 13
_BLANKS = b" \t"


class BadStructure(ValueError):
    """The text is not of the dialect, at a byte of the block."""

    def __init__(self, at: int, problem: str) -> None:
        super().__init__(problem)
        self.at, self.problem = at, problem


@dataclass(frozen=True)
class Structure:
    """The rows of a block of text. Places are bytes; arrays are in the order of the text.

    `end`: what lies behind it belongs to the next block. Blank lines and comments are no rows.
    """

    text: bytes
    end: int
    row_end: bytes
    # The beginning of each row, and the end without what ends it.
    starts: Places
    ends: Places
    # Of each delimiter that separates fields; `before` counts those before each row.
    delimiters: Places
    before: Places
    # Of each quote that is not escaped.
    quotes: Places
    # Of each character that an escape has taken the meaning from.
    escaped: Places
    blank_lines: int = 0
    comments: int = 0
    # Of the file, before the block.
    rows_before: int = 0
    lines_before: int = 0

    @property
    def widths(self) -> Places:
        """Return the number of fields of each row."""
        return np.diff(self.before) + 1

    def fields_of(self, row: int, dialect: Dialect) -> list[str]:
        """Return the texts of one row's fields."""
        ends = [*self.delimiters[self.before[row] : self.before[row + 1]].tolist(), int(self.ends[row])]
        begins = [int(self.starts[row]), *(end + len(dialect.delimiter) for end in ends[:-1])]
        return [_value(self.text[begin:end], dialect) for begin, end in zip(begins, ends, strict=True)]


def structure(
    text: bytes, dialect: Dialect, row_end: bytes, *, final: bool, keep_blank: bool = False, judge: bool = True
) -> Structure:
    """Return the structure of text that begins with a row. Raises BadStructure.

    `row_end` as `row_end_of` found it. Unless it is `final`, the last row may be cut off and is left for later.
    `keep_blank`: an empty line is a row (of the one field that there is), not a blank line. Not to `judge` takes stray
    quotes as they come.
    """
    letters = np.frombuffer(text, dtype=np.uint8)
    escaped = _escaped(text, letters, dialect)
    quotes = _without(_places(text, letters, dialect.quote), escaped)
    line_ends = _without(_places(text, letters, row_end), escaped)
    dropped, quotes, line_ends = _comments(text, dialect, quotes, line_ends, len(row_end))
    ends = _outside(line_ends, quotes)
    after = ends + len(row_end)
    cut = len(text) if final else int(after[-1]) if len(after) else 0
    if final and (not len(after) or after[-1] < len(text)):
        ends, after = np.append(ends, len(text)), np.append(after, len(text))
    starts = np.append(np.zeros(min(1, len(ends)), dtype=np.int64), after[:-1])
    if row_end == b"\n" and CR in text:
        ends = _before_returns(letters, starts, ends)
    delimiters = _outside(_without(_places(text, letters, dialect.delimiter), escaped), quotes)
    comments = np.isin(starts, dropped)
    blank = (starts == ends) if not keep_blank else np.zeros(len(starts), dtype=bool)
    if not text:
        blank[:] = True
    kept = ~(blank | comments)
    starts, ends = starts[kept], ends[kept]
    if len(dropped):
        delimiters = _within(delimiters, starts, ends)
    every, delimiters = delimiters, delimiters[delimiters < cut]
    before = np.searchsorted(delimiters, np.append(starts, cut))
    counts = int(blank.sum()) if text else 0, int((comments & ~blank).sum())
    found = Structure(text, cut, row_end, starts, ends, delimiters, before, quotes, escaped, *counts)
    if judge:
        # Of a row that is not read to its end, all can be judged but the last letters: a sign may be cut there.
        begun = (
            found if cut else replace(found, starts=np.zeros(1, np.int64), ends=np.array([len(text)]), delimiters=every)
        )
        _check_quotes(begun, letters, dialect, final)
    if judge and row_end == b"\n":
        _check_escaped_ends(found, letters)
    if judge and not dialect.row_delimiter:
        _check_returns(found, letters, row_end)
    return found


def _value(raw: bytes, dialect: Dialect) -> str:
    """Return the text of a field as it stands: without quotes around it, with what is doubled or escaped resolved."""
    text, quote, escape = raw.decode(), dialect.quote.decode(), dialect.escape.decode()
    if dialect.skip_blanks:
        text = text.lstrip(" ")
    if quote and text.startswith(quote) and len(text) > 1:
        text = text[1:-1].replace(quote * 2, quote)
    return _unescaped(text, escape) if escape else text


def _unescaped(text: str, escape: str) -> str:
    """Return the text with each escape left out, and what follows it kept."""
    first, *parts = text.split(escape)
    kept, taken = [first], False
    for part in parts:
        # Of two in a row the second is a letter.
        kept.append(escape + part if taken else part)
        taken = not taken and not part
    return "".join(kept)


def row_end_of(text: bytes, dialect: Dialect, *, final: bool) -> bytes | None:
    """Return what ends the first row: LF (and CRLF with it) or CR; None if that cannot be told yet."""
    if dialect.row_delimiter:
        return dialect.row_delimiter
    letters = np.frombuffer(text, dtype=np.uint8)
    escaped = _escaped(text, letters, dialect)
    quotes = _without(_places(text, letters, dialect.quote), escaped)
    ends = _outside(np.flatnonzero((letters == LF) | (letters == CR)), quotes)
    if not len(ends):
        return b"\n" if final else None
    first = int(ends[0])
    if text[first] == LF:
        return b"\n"
    if first + 1 == len(text) and not final:
        return None
    return b"\n" if text[first + 1 : first + 2] == b"\n" else b"\r"


def _places(text: bytes, letters: npt.NDArray[np.uint8], sign: bytes) -> Places:
    """Return where the sign stands; of signs that overlap the first one counts."""
    if not sign or sign not in text:
        return np.zeros(0, dtype=np.int64)
    found = letters[: len(letters) - len(sign) + 1] == sign[0]
    for i in range(1, len(sign)):
        found &= letters[i : len(letters) - len(sign) + 1 + i] == sign[i]
    places = np.flatnonzero(found)
    if len(sign) > 1 and len(places) and (np.diff(places) < len(sign)).any():
        kept, free = [], 0
        for place in places.tolist():
            if place >= free:
                kept.append(place)
                free = place + len(sign)
        places = np.array(kept, dtype=np.int64)
    return places


def _escaped(text: bytes, letters: npt.NDArray[np.uint8], dialect: Dialect) -> Places:
    """Return the places of letters behind an escape that is not itself escaped."""
    places = _places(text, letters, dialect.escape)
    if not len(places):
        return places
    breaks = np.append(True, np.diff(places) > 1)
    first = places[breaks][np.cumsum(breaks) - 1]
    active: Mask = (places - first) % 2 == 0
    return places[active] + 1


def _without(places: Places, others: Places) -> Places:
    return places[~np.isin(places, others)] if len(others) and len(places) else places


def _outside(places: Places, quotes: Places) -> Places:
    """Return the places that are not enclosed in quotes."""
    return places[np.searchsorted(quotes, places) % 2 == 0] if len(quotes) else places


def _within(places: Places, starts: Places, ends: Places) -> Places:
    rows = np.searchsorted(starts, places, side="right") - 1
    if not len(starts):
        return places[:0]
    return places[(rows >= 0) & (places < ends[np.maximum(rows, 0)])]


def _before_returns(letters: npt.NDArray[np.uint8], starts: Places, ends: Places) -> Places:
    """Return the ends of rows without the CR of a CRLF."""
    last = np.maximum(ends - 1, 0)
    return np.where((ends > starts) & (letters[last] == CR), last, ends) if len(letters) else ends


def _comments(
    text: bytes, dialect: Dialect, quotes: Places, line_ends: Places, width: int
) -> tuple[Places, Places, Places]:
    """Return where comments begin, and quotes and ends of lines without those that lie in comments.

    One after the other: whether a line is a comment depends on the quotes before it.
    """
    if not dialect.comment or dialect.comment not in text:
        return np.zeros(0, dtype=np.int64), quotes, line_ends
    begins = np.append(0, line_ends + width)
    candidates = [int(at) for at in begins if text.startswith(dialect.comment, int(at))]
    found, ignored = [], np.zeros(len(quotes), dtype=bool)
    open_quotes, seen = 0, 0
    for at in candidates:
        here = int(np.searchsorted(quotes, at))
        open_quotes += max(0, here - seen)
        seen = max(seen, here)
        if open_quotes % 2:
            continue
        found.append(at)
        line = int(np.searchsorted(line_ends, at))
        end = int(line_ends[line]) if line < len(line_ends) else len(text)
        until = int(np.searchsorted(quotes, end))
        ignored[here:until] = True
        seen = until
    return np.array(found, dtype=np.int64), quotes[~ignored], line_ends


def _check_quotes(found: Structure, letters: npt.NDArray[np.uint8], dialect: Dialect, final: bool) -> None:
    """Raise BadStructure for the first quote that neither opens nor closes a field, nor is doubled in one."""
    quotes = found.quotes
    if not len(quotes):
        return
    opening, closing = quotes[0::2], quotes[1::2]
    starts = np.zeros(len(letters) + 1, dtype=bool)
    stops = np.zeros(len(letters) + 1, dtype=bool)
    starts[found.starts] = True
    starts[found.delimiters + len(dialect.delimiter)] = True
    stops[found.ends] = True
    stops[found.delimiters] = True
    stops[len(letters)] = True
    doubled = closing[: len(opening) - 1] + 1 == opening[1:] if len(opening) > 1 else np.zeros(0, dtype=bool)
    begins = starts[opening]
    if dialect.skip_blanks:
        begins = starts[_before_blanks(letters, opening)]
    begins[1:] |= doubled[: len(opening) - 1]
    closes = stops[closing + 1]
    closes[: len(doubled)] |= doubled[: len(closing)]
    # What closes a field is told by the whole sign behind it, which of a CRLF is two letters.
    behind = max(len(dialect.delimiter), 2 if found.row_end == b"\n" else len(found.row_end))
    limit = found.end if found.end else len(letters) - behind
    wrong = [int(one[~good][0]) for one, good in ((opening, begins), (closing, closes)) if not good.all()]
    wrong = [at for at in wrong if at < limit]
    if wrong:
        at = min(wrong)
        raise BadStructure(at, _stray_quote(found.text, at, dialect, opens=bool((opening == at).any())))
    if final and len(quotes) % 2:
        raise BadStructure(int(quotes[-1]), "a quote is opened and never closed: close it before the file ends")


def _before_blanks(letters: npt.NDArray[np.uint8], places: Places) -> Places:
    """Return for each place that of the first of the blanks right before it."""
    places = places.copy()
    while True:
        blank = (places > 0) & (letters[np.maximum(places - 1, 0)] == _BLANKS[0])
        if not blank.any():
            return places
        places -= blank


def _stray_quote(text: bytes, at: int, dialect: Dialect, *, opens: bool) -> str:
    if not dialect.escape and text[at - 1 : at] == b"\\":
        return r'a quote behind a backslash: say spec.csv.escape: "\\"'
    if opens:
        if text[at - 1 : at] == b" ":
            return "a quote behind a blank: say spec.csv.skipInitialSpace: true"
        return 'a quote inside a field that does not begin with one: say spec.csv.quote: "" if quotes are letters'
    return 'a quote inside a quoted field that is not doubled: double it, as in "12"" pipe"'


def _check_escaped_ends(found: Structure, letters: npt.NDArray[np.uint8]) -> None:
    """Raise BadStructure where an escape stands before a CRLF: of the CR, or of the end of the row?"""
    places = _outside(found.escaped[found.escaped < found.end - 1], found.quotes)
    places = places[(letters[places] == CR) & (letters[places + 1] == LF)]
    if len(places):
        raise BadStructure(int(places[0]) - 1, r'an escape before "\r\n": put the field in quotes')


def _check_returns(found: Structure, letters: npt.NDArray[np.uint8], row_end: bytes) -> None:
    """Raise BadStructure where rows end in LF and a CR stands alone, or the other way round: not one way to read it."""
    other = {b"\n": CR, b"\r": LF}.get(row_end)
    if other is None or (other == CR and found.text.find(b"\r", 0, found.end) < 0):
        return
    places = np.flatnonzero(letters[: found.end] == other)
    if not len(places):
        return
    places = _without(_outside(places, found.quotes), found.escaped)
    if row_end == b"\n":
        behind = np.append(letters, 0)[places + 1]
        places = places[behind != LF]
    places = _within(places, found.starts, found.ends)
    if len(places):
        sign, ends = ("\\r", "\\n") if other == CR else ("\\n", "\\r")
        raise BadStructure(
            int(places[0]),
            f'"{sign}" outside quotes, and rows end in "{ends}": '
            f'say spec.csv.rowDelimiter: "{ends}" if it belongs to the text',
        )
