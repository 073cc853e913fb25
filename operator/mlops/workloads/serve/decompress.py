"""Bodies that a client has compressed: read piece by piece, and never further than the limit of a body."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final

from mlops.workloads.serve.errors import RequestError

GZIP: Final = b"gzip"
# Each coding of RFC 9110, 8.4.1, that is taken; the older name of gzip is its equal there.
CODINGS: Final = {GZIP: GZIP, b"x-gzip": GZIP, b"deflate": b"deflate"}
_PIECE: Final = 64 << 10
# Files that were compressed one by one and joined; more of them would be work without a body.
_MOST_MEMBERS: Final = 64
_WITH_GZIP, _WITH_ZLIB, _BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def decompressed(coding: bytes, body: bytes | bytearray, limit: int, takes: Callable[[int], bool]) -> bytearray | None:
    """Return the body as it was before it was compressed, or None if `takes`, which is asked for each piece, refuses.

    Raises RequestError for what is no such body, and with 413 for one that is longer than `limit` bytes.
    """
    whole = bytearray()
    given = memoryview(body)
    at = 0
    for _ in range(_MOST_MEMBERS if coding == GZIP else 1):
        member = zlib.decompressobj(_window(coding, given[at:]))
        while not member.eof:
            data: bytes | memoryview = given[at : at + _PIECE]
            at += len(data)
            if not data:
                raise _damaged(coding)
            for piece in _pieces(coding, member, data):
                if len(whole) + len(piece) > limit:
                    raise RequestError(
                        413,
                        f"the body has more than {limit} bytes, the limit, when it is decompressed; send the rows in "
                        "several requests",
                    )
                if not takes(len(piece)):
                    return None
                whole += piece
        at -= len(member.unused_data)
        if at == len(given):
            return whole
    raise _damaged(coding)


def _pieces(coding: bytes, member: zlib._Decompress, data: bytes | memoryview) -> Iterator[bytes]:
    """Yield what some bytes of a body become."""
    while True:
        try:
            piece = member.decompress(data, _PIECE)
        except zlib.error:
            raise _damaged(coding) from None
        yield piece
        data = member.unconsumed_tail
        if member.eof or (not data and len(piece) < _PIECE):
            return


def _window(coding: bytes, body: memoryview) -> int:
    """Return what zlib calls the form. Some send deflate without the frame that it should have."""
    if coding == GZIP:
        return _WITH_GZIP
    is_framed = len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0
    return _WITH_ZLIB if is_framed else _BARE


def _damaged(coding: bytes) -> RequestError:
    name = coding.decode()
    return RequestError(
        400, f"the body is not what Content-Encoding: {name} says: it is damaged or cut; send it whole, or as it is"
    )
