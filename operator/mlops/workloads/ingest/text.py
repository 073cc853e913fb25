"""Delivered text files in blocks of whole records: decompressed on the way, never whole in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.decompress import open_bytes

BLOCK = 16 << 20  # bytes of text parsed at a time
LONGEST_RECORD = 256 << 20
BOM = b"\xef\xbb\xbf"
_PACKED = "packed twice: deliver it packed once"
_OTHER_MAGIC = {
    b"PAR1": "a Parquet file: set spec.format to parquet",
    b"PK\x03\x04": f"a zip archive in another archive, {_PACKED}",
    b"\x1f\x8b": f"gzip in another archive, {_PACKED}",
    b"\x28\xb5\x2f\xfd": f"zstd in another archive, {_PACKED}",
    b"\xfd7zXZ": f"xz in another archive, {_PACKED}",
    b"ARROW1": "an Arrow file: set spec.format to arrow",
    b"\x80\x04\x95": "a pickle, which is never read: write it as Parquet",
    b"\x80\x05\x95": "a pickle, which is never read: write it as Parquet",
}


def format_error(name: str, problem: str) -> BadInput:
    """Return the error for a file that is not what the contract says."""
    return BadInput(Reason.FORMAT_ERROR, f"{name}: {problem}")


def open_text(path: Path, name: str) -> Iterator[bytes]:
    """Yield the file's text in pieces of about 1 MiB, decompressed and without a byte order mark.

    Raises BadInput for other encodings than UTF-8, other kinds of file, NUL, a truncated or a bursting archive.
    """
    pieces = open_bytes(path, name)
    offset = 0
    for piece in pieces:
        if not offset:
            _check_head(piece, name)
        if (found := piece.find(b"\0")) >= 0:
            raise format_error(name, f"byte {offset + found} is NUL: this is no text, or is damaged")
        yield piece.removeprefix(BOM) if not offset else piece
        offset += len(piece)


def blocks(pieces: Iterator[bytes], name: str, quoted: bool) -> Iterator[bytes]:
    """Cut text into blocks of about 16 MiB that end with a record; in `quoted` text a record may span lines."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= BLOCK:
            end = _end_of_records(buffer, quoted)
            if end:
                yield bytes(memoryview(buffer)[:end])
                del buffer[:end]
            elif len(buffer) > LONGEST_RECORD:
                what = "a line, or a quoted field that is never closed," if quoted else "a line"
                raise format_error(name, f"{what} is longer than {LONGEST_RECORD >> 20} MiB")
    if buffer.strip(b"\r\n"):
        yield bytes(buffer)


def _end_of_records(buffer: bytearray, quoted: bool) -> int:
    end = buffer.rfind(b"\n") + 1
    if not quoted or not end:
        return end
    # An odd number of quotes before a line break: it is inside a field. The record then begins before that quote.
    if buffer.count(b'"', 0, end) % 2:
        end = buffer.rfind(b"\n", 0, buffer.rfind(b'"', 0, end)) + 1
    return end


def _check_head(piece: bytes, name: str) -> None:
    if piece.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise format_error(name, "the text is UTF-16: save it as UTF-8")
    for magic, what in _OTHER_MAGIC.items():
        if piece.startswith(magic):
            raise format_error(name, f"this is {what}")
