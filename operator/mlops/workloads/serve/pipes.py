"""Messages over a pipe between a server and the process that encodes its records: two lengths, JSON, bytes."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

import orjson

_LENGTHS: Final = struct.Struct("<QQ")


class PipeClosed(Exception):
    """The other side has gone."""


def send(stream: IO[bytes], document: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Write one message to an unbuffered stream. Raises PipeClosed."""
    head = orjson.dumps(document)
    try:
        for part in (_LENGTHS.pack(len(head), sum(map(len, parts))) + head, *parts):
            rest = memoryview(part)
            while rest:
                rest = rest[stream.write(rest) :]
    except OSError as error:
        raise PipeClosed from error


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytearray]:
    """Return one message's document and bytes. Raises PipeClosed."""
    head, size = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    document: dict[str, Any] = orjson.loads(_exactly(stream, head))
    return document, _exactly(stream, size)


def _exactly(stream: Any, size: int) -> bytearray:
    found = bytearray(size)
    rest = memoryview(found)
    while rest:
        try:
            taken = stream.readinto(rest)
        except OSError as error:
            raise PipeClosed from error
        if not taken:
            raise PipeClosed
        rest = rest[taken:]
    return found
