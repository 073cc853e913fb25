"""Times and spans of time: sums, differences, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.workloads.floor.expressions import calendar_parts
from mlops.workloads.floor.expressions.errors import NoValue
from mlops.workloads.floor.expressions.intervals import in_calendar, shifted, time_of
from mlops.workloads.floor.expressions.kinds import DAY, FIRST_TIMESTAMP, LAST_TIMESTAMP, SECOND
from mlops.workloads.floor.expressions.typed import Computed, Operation

_LONGEST = LAST_TIMESTAMP - FIRST_TIMESTAMP


def _outside(times: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (times < FIRST_TIMESTAMP) | (times > LAST_TIMESTAMP)
    return found


def _later(time: NDArray[Any], duration: NDArray[Any]) -> Computed:
    found = time + duration
    return found, _outside(found)


def _earlier(time: NDArray[Any], duration: NDArray[Any]) -> Computed:
    found = time - duration
    return found, _outside(found)


def _duration(microseconds: int) -> int:
    if not -_LONGEST <= microseconds <= _LONGEST:
        raise NoValue("is a span of more than 9999 years")
    return microseconds


LATER: Final = Operation("+", lambda time, duration: in_calendar(time + duration), _later)
EARLIER: Final = Operation("-", lambda time, duration: in_calendar(time - duration), _earlier)
BETWEEN_TIMES: Final = Operation("-", lambda x, y: x - y, lambda x, y: (x - y, None))
DURATIONS: Final = {
    "+": Operation("+", lambda x, y: _duration(x + y)),
    "-": Operation("-", lambda x, y: _duration(x - y)),
    "*": Operation("*", lambda x, y: _duration(x * y)),
    "negate": Operation("negate", lambda x: -x, lambda x: (-x, None)),
    "abs": Operation("abs", abs, lambda x: (np.abs(x), None)),
}


def later_by(months: int, microseconds: int, sign: int) -> Operation:
    """Return the sum with an interval that has months."""
    return Operation("+", lambda time: shifted(time, sign * months, sign * microseconds))


def part(function: Callable[[Any], Any]) -> Operation:
    """Return the operation of a part of a time, the same for an int and an array."""
    return Operation("extract", function, lambda times: (function(times), None))


DATE_OF: Final = Operation("date", lambda time: time - time % DAY, lambda times: (times - times % DAY, None))
SAME: Final = Operation("same", lambda time: time, lambda times: (times, None))


def date_text(time: int) -> str:
    """Return a date as text: 2024-02-29."""
    year, month, day = calendar_parts.civil(time // DAY)
    return f"{year:04}-{month:02}-{day:02}"


def time_text(time: int) -> str:
    """Return a time as text: 2024-02-29 13:45:59.123456."""
    minutes, rest = divmod(time % DAY, 60 * SECOND)
    return f"{date_text(time)} {minutes // 60:02}:{minutes % 60:02}:{rest // SECOND:02}.{rest % SECOND:06}"


def _read(text: str) -> int:
    found = time_of(text)
    if found is None:
        raise NoValue("is no time of ISO 8601, such as 2024-05-01 12:00:00", "strptime({0}, '%d.%m.%Y')")
    return found


def _read_date(text: str) -> int:
    found = _read(text)
    return found - found % DAY


READ_TIME: Final = Operation("timestamp", _read)
READ_DATE: Final = Operation("date", _read_date)
