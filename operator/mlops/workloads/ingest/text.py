"""Delivered text files in blocks of whole records: decompressed on the way, never whole in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlops.workloads.ingest.decompress import open_bytes
from mlops.workloads.ingest.encodings import in_utf8
from mlops.workloads.ingest.problems import format_error

__all__ = ["BLOCK", "blocks", "checked_head", "format_error", "open_bytes", "open_text"]

BLOCK = 8 << 20  # bytes of text parsed at a time
LONGEST_RECORD = 256 << 20
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


def open_text(path: Path, name: str) -> Iterator[bytes]:
    """Yield the file's text in pieces of about 1 MiB, decompressed and without a byte order mark.

    Raises BadInput for other encodings than UTF-8, other kinds of file, NUL, a truncated or a bursting archive.
    """
    return in_utf8(checked_head(open_bytes(path, name), name), name)


def checked_head(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Pass the pieces on after a look at the first. Raises BadInput for another kind of file than text."""
    first = True
    for piece in pieces:
        if first:
            _check_head(piece, name)
        first = False
        yield piece


def blocks(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Cut text into blocks of about 8 MiB that end with a line."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= BLOCK:
            if end := buffer.rfind(b"\n") + 1:
                yield bytes(memoryview(buffer)[:end])
                del buffer[:end]
            elif len(buffer) > LONGEST_RECORD:
                raise format_error(name, f"a line is longer than {LONGEST_RECORD >> 20} MiB")
    if buffer.strip(b"\r\n"):
        yield bytes(buffer)


def _check_head(piece: bytes, name: str) -> None:
    for magic, what in _OTHER_MAGIC.items():
        if piece.startswith(magic):
            raise format_error(name, f"this is {what}")
