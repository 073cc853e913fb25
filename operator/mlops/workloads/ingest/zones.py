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
        start = 8 if head.startswith(_FILE_MAGIC) else 0
        stream.seek(start)
        described = _first_message(stream.read(8), size - start)
        stream.seek(start)
        message = stream.read(described)
        stream.seek(max(0, size - 10))
        tail = stream.read()
    _put(path, start, _encapsulated(message))
    if not head.startswith(_FILE_MAGIC):
        return
    length = int.from_bytes(tail[:4], "little")
    if not tail.endswith(_FILE_MAGIC) or not 0 < length <= size - 10:
        raise ArrowError(f"it is cut off after {size} bytes")
    with path.open("rb") as stream:
        stream.seek(size - 10 - length)
        footer = stream.read(length)
    _put(path, size - 10 - length, footer_in_utc(footer))


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
