"""Lines that are left out whatever they hold: before the header, at the end of the file, and blank ones behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlops.workloads.ingest.problems import format_error

# A footer is a remark, not the data.
MAX_FOOTER = 16 << 20


@dataclass
class LeftOut:
    """What was left out, by the step that did it."""

    before_header: int = 0
    footer: int = 0
    blank: int = 0
    comments: int = 0

    def __str__(self) -> str:
        counts = {
            "lines before the header": self.before_header,
            "lines of the footer": self.footer,
            "blank lines": self.blank,
            "lines of comment": self.comments,
        }
        return ", ".join(f"{what}: {count}" for what, count in counts.items() if count)


def without_first(pieces: Iterator[bytes], count: int, name: str, left_out: LeftOut) -> Iterator[bytes]:
    """Leave out the first `count` lines; LF, CRLF and CR end a line."""
    left, held = count, b""
    for piece in pieces:
        text, held = held + piece, b""
        while left and text:
            end = _line_end(text)
            if end is None:
                held, text = text, b""
                if len(held) > MAX_FOOTER:
                    raise format_error(
                        name, "a line before the header is longer than 16 MiB: set spec.csv.skipRows to 0"
                    )
            else:
                text, left = text[end:], left - 1
        if text:
            yield text
    if held:
        left -= 1
    if left > 0:
        raise format_error(name, f"the file has {count - left} lines, and spec.csv.skipRows is {count}: make it less")
    left_out.before_header = count


def _line_end(text: bytes) -> int | None:
    """Return where the next line begins; None if that cannot be told from this text."""
    feed, back = text.find(b"\n"), text.find(b"\r")
    if back < 0 or (0 <= feed < back):
        return feed + 1 if feed >= 0 else None
    if back + 1 == len(text):
        return None
    return back + 2 if text[back + 1 : back + 2] == b"\n" else back + 1


def without_blank_end(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out the ends of lines behind the last line that is not blank."""
    held = bytearray()
    for piece in pieces:
        kept = piece.rstrip(b"\r\n")
        if kept:
            yield bytes(held + kept) if held else kept
            held.clear()
        held += piece[len(kept) :]


def without_last(pieces: Iterator[bytes], count: int, name: str, left_out: LeftOut) -> Iterator[bytes]:
    """Leave out the last `count` lines that are not blank."""
    if not count:
        yield from pieces
        return
    held = b""
    for piece in pieces:
        held += piece
        place = _before_last(held, count)
        if place is not None:
            if place:
                yield held[:place]
            held = held[place:]
        if len(held) > MAX_FOOTER + len(piece):
            raise format_error(name, "the lines of the footer are longer than 16 MiB: make spec.csv.footerRows less")
    lines = [line for line in _lines(held) if line.strip()]
    if len(lines) < count:
        raise format_error(
            name, f"{len(lines)} lines are left of the file, and spec.csv.footerRows is {count}: make it less"
        )
    kept = _before_last(held, count)
    if kept:
        yield held[:kept]
    left_out.footer = count


def _lines(text: bytes) -> list[bytes]:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")


def _before_last(text: bytes, count: int) -> int | None:
    """Return where the last `count` lines that are not blank begin; None if there are fewer."""
    begin = len(text)
    for _ in range(count):
        end = len(text[:begin].rstrip(b"\r\n \t"))
        if not end:
            return None
        begin = max(text.rfind(b"\n", 0, end), text.rfind(b"\r", 0, end)) + 1
    return begin
