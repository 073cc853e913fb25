"""Time zones in Arrow's description of a table, replaced by UTC before a native reader meets them.

An instant is a number of units since 1970 in UTC; its zone says only how to show it. A reader that knows the zone
database alone ends in a panic at "+05:30", in a column that nobody asked for too. The description is a FlatBuffer, in
an Arrow file, in the first message of a stream, and in Base64 in a Parquet file's footer; what is replaced keeps its
length, so that nothing else moves.

Format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

import struct
from typing import Final

_UTC: Final = b"UTC"
_TIMESTAMP: Final = 10  # of the union Type in Schema.fbs
_SCHEMA_HEADER: Final = 1  # of the union MessageHeader in Message.fbs
_MAX_FIELDS: Final = 1 << 20
_MAX_DEPTH: Final = 64
# Slots of tables.
_MESSAGE_HEADER_TYPE, _MESSAGE_HEADER, _FOOTER_SCHEMA, _SCHEMA_FIELDS = 1, 2, 1, 1
_FIELD_TYPE_TYPE, _FIELD_TYPE, _FIELD_CHILDREN, _ZONE = 2, 3, 5, 1


class ArrowError(ValueError):
    """A description that is none; the text says what is wrong."""


def message_in_utc(message: bytes) -> bytes:
    """Return the Schema message (without its length prefix) with every zone as UTC. Raises ArrowError."""
    flat = _Flat(message)
    root = flat.root()
    if flat.byte(root, _MESSAGE_HEADER_TYPE) != _SCHEMA_HEADER:
        raise ArrowError("its first message is no schema")
    _schema(flat, flat.table(root, _MESSAGE_HEADER))
    return flat.content


def footer_in_utc(footer: bytes) -> bytes:
    """Return an Arrow file's footer with every zone as UTC. Raises ArrowError."""
    flat = _Flat(footer)
    _schema(flat, flat.table(flat.root(), _FOOTER_SCHEMA))
    return flat.content


def _schema(flat: _Flat, schema: int | None) -> None:
    if schema is None:
        raise ArrowError("its description has no schema")
    waiting = [(field, 0) for field in flat.tables(schema, _SCHEMA_FIELDS)]
    seen = 0
    while waiting:
        field, depth = waiting.pop()
        seen += 1
        if seen > _MAX_FIELDS or depth > _MAX_DEPTH:
            raise ArrowError("its description is too deep or too long")
        kind = flat.table(field, _FIELD_TYPE)
        if kind is not None and flat.byte(field, _FIELD_TYPE_TYPE) == _TIMESTAMP:
            flat.put_utc(kind)
        waiting += [(child, depth + 1) for child in flat.tables(field, _FIELD_CHILDREN)]


class _Flat:
    """A FlatBuffer: tables by their place, each with a table of where its slots lie."""

    def __init__(self, content: bytes) -> None:
        self._content = bytearray(content)

    @property
    def content(self) -> bytes:
        return bytes(self._content)

    def root(self) -> int:
        return self._number("<I", 0)

    def byte(self, table: int, slot: int) -> int:
        place = self._slot(table, slot)
        return self._number("<B", place) if place is not None else 0

    def table(self, table: int, slot: int) -> int | None:
        place = self._slot(table, slot)
        return place + self._number("<I", place) if place is not None else None

    def tables(self, table: int, slot: int) -> list[int]:
        start = self.table(table, slot)
        if start is None:
            return []
        count = self._number("<I", start)
        if 4 * count > len(self._content):
            raise ArrowError("its description is cut off")
        places = [start + 4 + 4 * i for i in range(count)]
        return [place + self._number("<I", place) for place in places]

    def put_utc(self, timestamp: int) -> None:
        """Write UTC over the zone's text, if there is one."""
        start = self.table(timestamp, _ZONE)
        if start is None or not (length := self._number("<I", start)):
            return
        # A text ends with a zero and is filled up to four bytes: a short one may grow into them.
        room = max(length, len(_UTC))
        end = start + 4 + room
        if end >= len(self._content):
            raise ArrowError("its description is cut off")
        if any(self._content[start + 4 + length : end + 1]):
            return
        self._content[start : start + 4] = struct.pack("<I", len(_UTC))
        self._content[start + 4 : end] = _UTC.ljust(room, b"\0")

    def _slot(self, table: int, slot: int) -> int | None:
        slots = table - self._number("<i", table)
        at = 4 + 2 * slot
        if slots < 0 or at >= self._number("<H", slots):
            return None
        offset = self._number("<H", slots + at)
        return table + offset if offset else None

    def _number(self, form: str, place: int) -> int:
        try:
            return int(struct.unpack_from(form, self._content, place)[0]) if place >= 0 else self._cut_off()
        except struct.error:
            return self._cut_off()

    def _cut_off(self) -> int:
        raise ArrowError("its description is cut off")
