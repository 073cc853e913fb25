"""How many fields a protobuf message has, before it is parsed: a tensor of two bytes takes ninety in memory.

Values of tensors are not counted. They take at most sixteen times their bytes, and only until they are columns. What is
no protobuf is counted as far as it can be read: the parser refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# The fields of a ModelInferRequest that are looked into: inputs and outputs, each with its parameters.
_INNER: Final[Mapping[int, Any]] = {5: {}, 6: {}}
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_LONGEST_VARINT: Final = 10


class _Ends(Exception):
    """The message ends where it should not."""


def has_more_fields(body: bytes | bytearray, most: int) -> bool:
    """Whether a request has more than so many fields, those of its tensors included."""
    try:
        return _count(body, 0, len(body), _INNER, most) > most
    except (_Ends, IndexError):
        return False


def _count(body: bytes | bytearray, at: int, end: int, inner: Mapping[int, Any], most: int) -> int:
    found = 0
    while at < end and found <= most:
        tag, at = _varint(body, at)
        found += 1
        kind = tag & 7
        if kind == _BYTES:
            size, at = _varint(body, at)
            if at + size > end:
                raise _Ends
            within = inner.get(tag >> 3)
            if within is not None:
                found += _count(body, at, at + size, within, most - found)
            at += size
        elif kind == _VARINT:
            _, at = _varint(body, at)
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        else:
            raise _Ends
    return found


def _varint(body: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it."""
    value = body[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for number in range(1, _LONGEST_VARINT):
        octet = body[at + number]
        value |= (octet & 0x7F) << (7 * number)
        if octet < 0x80:
            return value, at + number + 1
    raise _Ends
