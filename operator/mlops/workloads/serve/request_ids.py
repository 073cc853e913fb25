"""The id of a request, by which client, answer and log tell of the same one: `X-Request-Id`, or else `traceparent`."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterable
from typing import Final

from mlops.workloads.serve.trace_context import TRACEPARENT, trace_and_span

HEADER: Final = b"x-request-id"
# It stands in a header and in a line of the log: short, and of letters that mean nothing to either.
_PLAIN: Final = re.compile(r"[A-Za-z0-9._:/=+@-]{1,128}")


class RequestIds:
    """Takes the id that a client gave, or makes one that no other process makes."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(6).encode()
        self._numbers = itertools.count(1)

    def of(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the id of a request with these headers, whose names are in small letters: of several the first.

        Without one of its own it is named by trace and span, which are the caller's name for this call.
        """
        traceparent: bytes | None = None
        for name, value in headers:
            if name == HEADER:
                if _PLAIN.fullmatch(value.decode("latin-1")):
                    return value
                break
            if name == TRACEPARENT:
                # Of two, nobody knows which one is meant.
                traceparent = value if traceparent is None else b""
        if traceparent and (found := trace_and_span(traceparent)):
            return b"%b-%b" % found
        return self.new()

    def new(self) -> bytes:
        """Return an id of its own."""
        return b"%s-%x" % (self._process, next(self._numbers))
