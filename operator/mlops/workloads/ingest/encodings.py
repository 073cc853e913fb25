"""From the bytes of a delivery to UTF-8, strictly: a byte that is no letter has a line and a way out."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import numpy as np

from mlops.workloads.ingest.problems import format_error

LF = ord("\n")
BOM = b"\xef\xbb\xbf"
_BOMS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# The most frequent of the Western one-byte encodings, which knows no byte that UTF-8 text could be taken for.
_SUGGESTED = "cp1252"
_WAYS_OUT = f"say its encoding, such as spec.csv.encoding: {_SUGGESTED}"


def in_utf8(pieces: Iterator[bytes], name: str, encoding: str = "utf-8", declares: bool = False) -> Iterator[bytes]:
    """Yield the text in UTF-8, without a byte order mark, in pieces that end with a letter.

    `declares`: the contract can say another encoding, which messages then name as the way out.
    Raises BadInput for what is no text of the encoding, and for NUL.
    """
    way_out = _WAYS_OUT if declares else "save it as UTF-8"
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    lines, offset, first = 0, 0, True
    for piece, final in _with_end(pieces):
        if first:
            _check_head(piece, name, encoding, declares)
        if not encoding.startswith("utf-16"):
            _check_nul(piece, offset, name, declares)
        offset += len(piece)
        # The rule: letters that are the same in UTF-8, and none begun before.
        out = piece if encoding == "utf-8" and piece.isascii() and not final and not decoder.getstate()[0] else b""
        if not out:
            try:
                out = decoder.decode(piece, final).encode()
            except UnicodeDecodeError as error:
                raise format_error(name, f"{_bad_byte(error, lines, encoding)}: {way_out}") from error
        if first and out:
            out, first = out.removeprefix(BOM), False
        if b"\0" in out:
            line = lines + 1 + out[: out.index(b"\0")].count(b"\n")
            raise format_error(name, f"line {line} has a NUL: this is no text, or is damaged: deliver it again")
        lines += int(np.count_nonzero(np.frombuffer(out, dtype=np.uint8) == LF))
        if out:
            yield out


def _with_end(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    for piece in pieces:
        yield piece, False
    yield b"", True


def _check_head(piece: bytes, name: str, encoding: str, declares: bool) -> None:
    for mark, found in _BOMS:
        if piece.startswith(mark) and not encoding.startswith(found):
            way_out = "save it as UTF-8" if found == "utf-32" or not declares else f"say spec.csv.encoding: {found}"
            raise format_error(name, f"the text is {found.upper()}, by its first bytes: {way_out}")
    if piece.startswith(BOM) and encoding not in ("utf-8", "utf-16"):
        raise format_error(
            name, f"the text is UTF-8, by its first bytes, and not {encoding}: set spec.csv.encoding: utf-8"
        )


def _check_nul(piece: bytes, offset: int, name: str, declares: bool) -> None:
    at = piece.find(b"\0")
    if at < 0:
        return
    problem = f"byte {offset + at} is NUL: this is no text, or is damaged"
    if declares and len(piece) // 3 <= piece.count(b"\0") <= len(piece) // 2:
        order = "utf-16-le" if at % 2 else "utf-16-be"
        problem = f"byte {offset + at} is NUL: if it is UTF-16, say spec.csv.encoding: {order}"
    raise format_error(name, problem)


def _bad_byte(error: UnicodeDecodeError, lines: int, encoding: str) -> str:
    before = error.object[: error.start]
    line = lines + 1 + before.count(b"\n")
    byte = error.object[error.start] if error.start < len(error.object) else 0
    shown = "UTF-8" if encoding == "utf-8" else encoding
    cut = "unexpected end" in error.reason or "truncated" in error.reason or "incomplete" in error.reason
    if cut:
        return f"line {line}: the text ends inside a letter of {shown}, after byte {byte:#04x}"
    return f"line {line}: byte {byte:#04x} is not {shown}"
