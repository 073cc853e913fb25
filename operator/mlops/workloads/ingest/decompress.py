"""Delivered bytes, decompressed on the way: gzip, zstd, bzip2, xz, and zip with one member.

What a file holds does not depend on how it was packed: pieces are bytes, whatever their encoding is. Each call of a
decompressor gives at most 1 MiB, whatever it is fed, and what grows too much is refused before it fills a disk.
"""

from __future__ import annotations

import bz2
import lzma
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

READ: Final = 1 << 20
# Text shrinks to a tenth, or to a fiftieth; what shrinks more than this is made to fill a disk or a memory.
MAX_RATIO: Final = 250
FREE_OF_RATIO: Final = 256 << 20  # bytes that any file may have when decompressed
GZIP, ZSTD, XZ, ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"PK\x03\x04"
# Three letters alone could begin a header of CSV; the second part is that of a block, or of the end.
_BZIP2: Final = tuple(b"BZh%d" % level + then for level in range(1, 10) for then in (b"1AY&SY", b"\x17rE8P\x90"))
_EMPTY_ZIP: Final = b"PK\x05\x06"
_SKIPPABLE: Final = tuple(bytes([low, 0x2A, 0x4D, 0x18]) for low in range(0x50, 0x60))
# What a decompressor may take for its window: xz and zstd let the file say so.
_WINDOW_BYTES: Final = 256 << 20
_WINDOW_LOG: Final = 27
_MACOS: Final = "__MACOSX/"
_HEAD: Final = 16


class _Decompressor(Protocol):
    """What bz2, lzma and zstd have in common; gzip is brought to it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """One member of a gzip file."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def needs_input(self) -> bool:
        # A full piece may be followed by another from the same input.
        return not self._member.eof and not self._member.unconsumed_tail and not self._full

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._member.decompress(self._member.unconsumed_tail + data, max_length)
        self._full = len(piece) == max_length
        return piece


def _zstd() -> _Decompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_WINDOW_BYTES)


# Magic, name, decompressor of one member, what may stand between and after members.
_KINDS: Final[tuple[tuple[bytes, str, Callable[[], _Decompressor], bytes], ...]] = (
    (GZIP, "gzip", _Gzip, b"\0"),
    (ZSTD, "zstd", _zstd, b""),
    (XZ, "xz", _xz, b"\0"),
    *((magic, "zstd", _zstd, b"") for magic in _SKIPPABLE),
    *((magic, "bzip2", bz2.BZ2Decompressor, b"") for magic in _BZIP2),
)


def open_bytes(path: Path, name: str) -> Iterator[bytes]:
    """Yield what the file holds in pieces of at most 1 MiB. Raises BadInput for a damaged or bursting archive."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    if head.startswith((ZIP, _EMPTY_ZIP)):
        return _unzipped(path, name)
    for magic, kind, start, padding in _KINDS:
        if head.startswith(magic):
            return _decompressed(path, name, kind, start, padding)
    return _read(path)


def is_packed(path: Path) -> bool:
    """Return whether the file is in one of the packings that `open_bytes` undoes."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    return head.startswith((ZIP, _EMPTY_ZIP, *(magic for magic, *_ in _KINDS)))


def unpack(path: Path, name: str) -> None:
    """Put what a packed file holds in its place; a file that is not packed stays as it is."""
    if not is_packed(path):
        return
    beside = path.with_name(f"{path.name}.unpacked")
    try:
        with beside.open("wb") as sink:
            for piece in open_bytes(path, name):
                sink.write(piece)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def check_ratio(name: str, given: int, size: int) -> None:
    """Raise BadInput when a compressed file of `size` bytes has given so much that it must be a bomb."""
    if given > FREE_OF_RATIO and given > MAX_RATIO * size:
        raise _problem(
            name,
            f"{size} bytes decompress to more than {given} bytes, more than {MAX_RATIO} to 1: deliver it uncompressed",
        )


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(READ):
            yield piece


def _decompressed(
    path: Path, name: str, kind: str, start: Callable[[], _Decompressor], padding: bytes
) -> Iterator[bytes]:
    """Decompress all members of a file, one after the other."""
    size = path.stat().st_size
    member, inside, given, taken = start(), False, 0, 0
    try:
        for raw in _read(path):
            pending = raw
            while pending or not (member.needs_input or member.eof):
                if not inside and padding and not (pending := pending.lstrip(padding)):
                    break
                inside = True
                piece, pending = member.decompress(pending, READ), b""
                given += len(piece)
                check_ratio(name, given, size)
                if piece:
                    yield piece
                if member.eof:
                    pending, inside, member = member.unused_data, False, start()
            taken += len(raw)
    except (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError) as error:
        raise _problem(name, f"the {kind} file is damaged near byte {taken}: {error}: deliver it again") from error
    if inside:
        raise _problem(name, f"the {kind} file is cut off after {taken} bytes: deliver it again")


def _unzipped(path: Path, name: str) -> Iterator[bytes]:
    """Yield the one member of a zip archive; its length and checksum are compared with what the archive says."""
    size, given = path.stat().st_size, 0
    try:
        with zipfile.ZipFile(path) as archive:
            member = _only_member(archive, name)
            with archive.open(member) as stream:
                while piece := stream.read(READ):
                    given += len(piece)
                    check_ratio(name, given, size)
                    yield piece
        if given != member.file_size:
            raise _problem(name, f"the zip archive is cut off after {size} bytes: deliver it again")
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError) as error:
        raise _problem(name, f"the zip archive is damaged or cut off: {error}: deliver it again") from error


def _only_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith(_MACOS)]
    if any(one.filename == "xl/workbook.xml" for one in members):
        raise _problem(name, "this is an Excel workbook: set spec.format to excel")
    if len(members) != 1:
        held = ", ".join(one.filename[:60] for one in members[:5]) + (" ..." if len(members) > 5 else "")
        what = f"{len(members)} files ({held})" if members else "no file"
        raise _problem(name, f"the zip archive holds {what}, and one is read: put each file under a prefix of its own")
    if members[0].flag_bits & 1:
        raise _problem(name, f"{members[0].filename[:60]!r} in the zip archive is encrypted: deliver it without")
    return members[0]


def _problem(name: str, problem: str) -> BadInput:
    return BadInput(Reason.FORMAT_ERROR, f"{name}: {problem}")
