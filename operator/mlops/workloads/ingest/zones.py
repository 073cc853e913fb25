"""Files whose time zones are made UTC in place, before a native reader meets one that it does not know."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final

from mlops.workloads.floor.parquet_file import key_values
from mlops.workloads.ingest.arrow_schema import ArrowError, footer_in_utc, message_in_utc

_PARQUET_KEY: Final = b"ARROW:schema"
_FILE_MAGIC: Final = b"ARROW1"
_CONTINUES: Final = b"\xff\xff\xff\xff"
MAX_DESCRIPTION: Final = 256 << 20
_TAIL: Final = 10  # bytes after a footer: its length, and the magic


def parquet_in_utc(path: Path) -> None:
    """Make the zones UTC that a writer noted beside a Parquet file's own schema, which knows UTC only."""
    place, footer, pairs = key_values(path)
    if (noted := pairs.get(_PARQUET_KEY)) is None:
        return
    try:
        plain = base64.b64encode(_encapsulated(base64.b64decode(noted, validate=True)))
    except (ArrowError, binascii.Error):
        # The reader judges what it can make of it.
        return
    if plain != noted and len(plain) == len(noted):
        _put(path, place, footer.replace(noted, plain))


def arrow_in_utc(path: Path) -> None:
    """Make the zones of an Arrow file, or stream, UTC. Raises ArrowError for one whose description is none."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        if head.startswith(_FILE_MAGIC):
            # Of a file the footer is read; the description at its beginning is for streams, and not written by all.
            stream.seek(max(0, size - _TAIL))
            tail = stream.read()
            length = int.from_bytes(tail[:4], "little")
            place = size - _TAIL - length
            if not tail.endswith(_FILE_MAGIC) or not 0 < length <= MAX_DESCRIPTION or place < len(head):
                raise ArrowError(f"it is cut off after {size} bytes")
            stream.seek(place)
            plain = footer_in_utc(stream.read(length))
        else:
            place = 0
            stream.seek(0)
            plain = _encapsulated(stream.read(_first_message(head, size)))
    _put(path, place, plain)


def _first_message(head: bytes, room: int) -> int:
    """Return the length of the first message with its prefix."""
    prefix = 8 if head.startswith(_CONTINUES) else 4
    length = int.from_bytes(head[prefix - 4 : prefix], "little")
    if len(head) < prefix or not 0 < length <= min(MAX_DESCRIPTION, room - prefix):
        raise ArrowError("its description is cut off, or is none")
    return prefix + length


def _encapsulated(message: bytes) -> bytes:
    prefix = 8 if message.startswith(_CONTINUES) else 4
    return message[:prefix] + message_in_utc(message[prefix:])


def _put(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(content)
