"""The trace that a request belongs to: W3C Trace Context, the header `traceparent`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

TRACEPARENT: Final = b"traceparent"
# Version, trace, span of the caller, flags; a later version may say more behind them.
_FORM: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def trace_and_span(value: bytes) -> tuple[bytes, bytes] | None:
    """Return trace and span of a header's value; None for one that is to be ignored."""
    found = _FORM.fullmatch(value)
    if found is None:
        return None
    version, trace, span, more = found.groups()
    if version == b"ff" or (version == b"00" and more) or not trace.strip(b"0") or not span.strip(b"0"):
        return None
    return trace, span


def trace_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the trace of a request with these headers, whose names are in small letters; None if it is of none."""
    values = [value for name, value in headers if name == TRACEPARENT]
    # Of two, nobody knows which one is meant.
    found = trace_and_span(values[0]) if len(values) == 1 else None
    return found[0].decode() if found else None
