"""Delivered text files in blocks of whole records: decompressed on the way, never whole in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput

BLOCK = 16 << 20  # bytes of text parsed at a time
READ = 1 << 20
LONGEST_RECORD = 256 << 20
# Text shrinks to a tenth, or to a fiftieth; what shrinks more than this is made to fill a disk or a memory.
MAX_RATIO = 250
FREE_OF_RATIO = 256 << 20  # bytes that any file may have when decompressed
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BOM = b"\xef\xbb\xbf"
_OTHER_MAGIC = {
    b"PAR1": "a Parquet file: set spec.format to parquet",
    b"PK\x03\x04": "a zip archive: unpack it, or use gzip or zstd",
    b"BZh": "bzip2: use gzip or zstd",
    b"\xfd7zXZ": "xz: use gzip or zstd",
    b"ARROW1": "an Arrow file: write it as Parquet",
    b"\x80\x04\x95": "a pickle, which is never read: write it as Parquet",
    b"\x80\x05\x95": "a pickle, which is never read: write it as Parquet",
}


def format_error(name: str, problem: str) -> BadInput:
    """Return the error for a file that is not what the contract says."""
    return BadInput(Reason.FORMAT_ERROR, f"{name}: {problem}")


def open_text(path: Path, name: str) -> Iterator[bytes]:
    """Yield the file's text in pieces of about 1 MiB, decompressed (gzip, zstd) and without a byte order mark.

    Raises BadInput for other encodings than UTF-8, other kinds of file, NUL, a truncated or a bursting archive.
    """
    with path.open("rb") as stream:
        head = stream.read(4)
    if head.startswith(GZIP):
        pieces = _gunzip(path, name)
    elif head.startswith(ZSTD):
        pieces = _unzstd(path, name)
    else:
        pieces = _read(path)
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
