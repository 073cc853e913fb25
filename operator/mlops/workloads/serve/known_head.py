"""A head that a connection has sent before: the same bytes but for the body's length say the same again.

Clients send the same head over and over, and reading it takes longer than finding that it is the same. It was read by
the parser once, as a whole request between two others, and answered with 200; the parser is at the same point again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mlops.workloads.serve.request_ids import HEADER
from mlops.workloads.serve.trace_context import TRACEPARENT

if TYPE_CHECKING:
    from mlops.workloads.serve.exchange import Exchange, Fields

_LENGTH: Final = re.compile(rb"\r\ncontent-length: ?([0-9]+)\r\n", re.IGNORECASE)
_END: Final = b"\r\n\r\n"
_MOST_DIGITS: Final = 12
# What makes a request another one than its bytes say, or is another each time.
_SPECIAL: Final = frozenset({HEADER, TRACEPARENT, b"expect", b"upgrade", b"transfer-encoding"})


class KnownHead(NamedTuple):
    """A head without its length, and what was found out about it; `size` is what it takes of a budget."""

    before: bytes
    after: bytes
    size: int
    method: bytes
    path: str
    headers: Fields
    route: Any
    header_length: int | None

    def body_of(self, data: bytes) -> bytes | None:
        """Return the body of a request that is this head, with a length of its own, and that body; None: look closer.

        Nothing may be missing at the end, and nothing may follow.
        """
        at = len(self.before)
        if not data.startswith(self.before):
            return None
        end = data.find(b"\r\n", at, at + _MOST_DIGITS)
        digits = data[at:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self.after, end):
            return None
        body = data[end + len(self.after) :]
        return body if len(body) == int(digits) else None


def head_of(data: bytes, body_bytes: int) -> bytes:
    """Return the head of a request that is all of `data`; empty if it is not a head and so many bytes of body."""
    end = data.find(_END) + len(_END)
    return data[:end] if 0 < body_bytes == len(data) - end else b""


def known_head(exchange: Exchange, size: int) -> KnownHead | None:
    """Return what may be known of a request's head the next time."""
    if exchange.method != b"POST":
        # A body that is sent with GET is not asked for: such a request is answered by its head.
        return None
    names = [name for name, _ in exchange.headers]
    found = list(_LENGTH.finditer(exchange.head))
    if names.count(b"content-length") != 1 or len(found) != 1 or not _SPECIAL.isdisjoint(names):
        return None
    at, end = found[0].span(1)
    return KnownHead(
        exchange.head[:at],
        exchange.head[end:],
        size,
        exchange.method,
        exchange.path,
        exchange.headers,
        exchange.route,
        exchange.header_length,
    )
