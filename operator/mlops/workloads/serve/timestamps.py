"""RFC 3339 to microseconds since 1970 and back: the only form of time that clients send."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# What nanoseconds in 64 bits can hold: readers of the stored files need no special case.
_LOWEST, _HIGHEST = 1678, 2261
# What a field of a Dataset may hold, in UTC.
_FIRST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def microseconds(text: str) -> int:
    """Return an event's or a label's time in microseconds since 1970 UTC; raises ValueError saying what is expected."""
    found = field_microseconds(text)
    if not _LOWEST <= (_EPOCH + found * _MICROSECOND).year <= _HIGHEST:
        raise ValueError(f"is not between the years {_LOWEST} and {_HIGHEST}")
    return found


def field_microseconds(text: str) -> int:
    """Return a field's time in microseconds since 1970 UTC; raises ValueError saying what is expected."""
    if not _FORM.fullmatch(text):
        raise ValueError('is no RFC 3339 time with an offset, such as "2024-05-01T12:00:00Z"')
    try:
        timestamp = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise ValueError(f"is no time: {error}") from error
    found = (timestamp - _EPOCH) // _MICROSECOND
    if not _FIRST <= found <= _LAST:
        raise ValueError("is not between the years 1 and 9999 in UTC")
    return found
