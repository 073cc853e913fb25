"""Delivered text files in blocks of whole records: decompressed on the way, never whole in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from mlops.workloads.ingest.encodings import in_utf8
from mlops.workloads.ingest.problems import format_error

__all__ = ["BLOCK", "blocks", "checked_head", "format_error", "open_bytes", "open_text"]

BLOCK = 16 << 20  # bytes of text parsed at a time
READ = 1 << 20
LONGEST_RECORD = 256 << 20
# Text shrinks to a tenth, or to a fiftieth; what shrinks more than this is made to fill a disk or a memory.
MAX_RATIO = 250
FREE_OF_RATIO = 256 << 20  # bytes that any file may have when decompressed
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_OTHER_MAGIC = {
    b"PAR1": "a Parquet file: set spec.format to parquet",
    b"PK\x03\x04": "a zip archive: unpack it, or use gzip or zstd",
    b"BZh": "bzip2: use gzip or zstd",
    b"\xfd7zXZ": "xz: use gzip or zstd",
    b"ARROW1": "an Arrow file: write it as Parquet",
    b"\x80\x04\x95": "a pickle, which is never read: write it as Parquet",
    b"\x80\x05\x95": "a pickle, which is never read: write it as Parquet",
}


def open_text(path: Path, name: str) -> Iterator[bytes]:
    """Yield the file's text in pieces of about 1 MiB, decompressed (gzip, zstd) and without a byte order mark.

    Raises BadInput for other encodings than UTF-8, other kinds of file, NUL, a truncated or a bursting archive.
    """
    return in_utf8(checked_head(open_bytes(path, name), name), name)


def open_bytes(path: Path, name: str) -> Iterator[bytes]:
    """Yield what the file holds in pieces of about 1 MiB, decompressed (gzip, zstd)."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if head.startswith(GZIP):
        return _gunzip(path, name)
    if head.startswith(ZSTD):
        return _unzstd(path, name)
    return _read(path)


def checked_head(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Pass the pieces on after a look at the first. Raises BadInput for another kind of file than text."""
    first = True
    for piece in pieces:
        if first:
            _check_head(piece, name)
        first = False
        yield piece


def blocks(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Cut text into blocks of about 16 MiB that end with a line."""
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


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(READ):
            yield piece


def _gunzip(path: Path, name: str) -> Iterator[bytes]:
    """Decompress all members of a gzip file. Each call of the decompressor gives at most 1 MiB, whatever it is fed."""
    decompressor = zlib.decompressobj(wbits=31)
    taken = given = 0
    inside = False
    size = path.stat().st_size
    try:
        for raw in _read(path):
            pending, piece = raw, b""
            # A full piece may be followed by another from the same input.
            while pending or len(piece) == READ:
                inside = True
                piece = decompressor.decompress(pending, READ)
                pending = decompressor.unconsumed_tail
                given += len(piece)
                check_ratio(name, given, size)
                if piece:
                    yield piece
                if decompressor.eof:
                    # Further members may follow; zeros after the last are padding.
                    pending, piece, inside = decompressor.unused_data.lstrip(b"\0"), b"", False
                    decompressor = zlib.decompressobj(wbits=31)
            taken += len(raw)
    except zlib.error as error:
        raise format_error(name, f"the gzip file is damaged near byte {taken}: {error}") from error
    if inside:
        raise format_error(name, f"the gzip file is cut off after {taken} bytes: deliver it again")


def _unzstd(path: Path, name: str) -> Iterator[bytes]:
    size = path.stat().st_size
    given = 0
    try:
        for chunk in pl.scan_lines(path, name="line").collect_batches(chunk_size=65536, maintain_order=True):
            piece = ((chunk["line"].str.join("\n").item() or "") + "\n").encode()
            given += len(piece)
            check_ratio(name, given, size)
            yield piece
    except pl.exceptions.PolarsError as error:
        raise format_error(name, f"the zstd file is damaged or cut off: {str(error).partition(chr(10))[0]}") from error


def check_ratio(name: str, given: int, size: int) -> None:
    """Raise BadInput when a compressed file of `size` bytes has given so much that it must be a bomb."""
    if given > FREE_OF_RATIO and given > MAX_RATIO * size:
        raise format_error(
            name,
            f"{size} bytes decompress to more than {given} bytes, more than {MAX_RATIO} to 1: deliver it uncompressed",
        )
