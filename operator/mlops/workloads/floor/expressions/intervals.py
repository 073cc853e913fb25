"""Times and spans of time that are written out in an expression, and spans added to a time."""

from __future__ import annotations

import re
from typing import Final

from mlops.workloads.floor.expressions import calendar_parts
from mlops.workloads.floor.expressions.errors import NoValue, Refusal
from mlops.workloads.floor.expressions.kinds import DAY, FIRST_TIMESTAMP, LAST_TIMESTAMP, SECOND, Kind

# (months, microseconds) of one
_MINUTE, _HOUR = 60 * SECOND, 3600 * SECOND
_FIXED = {
    "week": 7 * DAY, "w": 7 * DAY, "day": DAY, "d": DAY, "hour": _HOUR, "h": _HOUR, "minute": _MINUTE, "min": _MINUTE,
    "m": _MINUTE, "second": SECOND, "sec": SECOND, "s": SECOND, "millisecond": 1000, "ms": 1000, "microsecond": 1,
    "us": 1,
}  # fmt: skip
UNITS: Final[dict[str, tuple[int, int]]] = {
    **dict.fromkeys(("year", "y"), (12, 0)),
    **dict.fromkeys(("quarter", "q"), (3, 0)),
    **dict.fromkeys(("month", "mon", "mo"), (1, 0)),
    **{name: (0, size) for name, size in _FIXED.items()},
}
UNITS.update({f"{name}s": size for name, size in list(UNITS.items()) if len(name) > 2})
_PART = re.compile(r"[\s,]*([0-9]{1,18})\s*([A-Za-z]+)\.?")
_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)


def literal(word: str, written: str) -> tuple[Kind, int]:
    """Return kind and value of DATE '...' or TIMESTAMP '...'. Raises Refusal."""
    microseconds = time_of(written)
    if microseconds is None:
        form = "2024-05-01" if word == "date" else "2024-05-01 12:00:00"
        raise Refusal(f"cannot be parsed: invalid {word.upper()} literal '{written[:40]}': write {word} '{form}'")
    return ("date", microseconds - microseconds % DAY) if word == "date" else ("timestamp", microseconds)


def time_of(text: str) -> int | None:
    """Return microseconds since 1970 of a date or a time of ISO 8601, in UTC if it has no zone; None if it is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= calendar_parts.days_in_month(year, month) and year >= 1):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    fraction = int((match[7] or "").ljust(6, "0")[:6])
    days = calendar_parts.days_of(year, month, day)
    found = days * DAY + ((hour * 60 + minute) * 60 + second) * SECOND + fraction
    zone = match[8]
    if zone and zone != "Z":
        away = int(zone[1:3]) * _HOUR + int(zone[-2:]) * _MINUTE
        found += away if zone[0] == "-" else -away
    return found if FIRST_TIMESTAMP <= found <= LAST_TIMESTAMP else None


def interval_of(written: str) -> tuple[int, int]:
    """Return (months, microseconds) of "1 year 2 days" or "1y2d". Raises Refusal."""
    months = microseconds = at = 0
    while at < len(written.rstrip()):
        match = _PART.match(written, at)
        unit = UNITS.get(match[2].lower()) if match else None
        if match is None or unit is None:
            raise Refusal(f"cannot be parsed: invalid INTERVAL '{written[:40]}': write interval '1 day 2 hours'")
        months += int(match[1]) * unit[0]
        microseconds += int(match[1]) * unit[1]
        at = match.end()
    if max(months * 31 * DAY, microseconds) > LAST_TIMESTAMP - FIRST_TIMESTAMP:
        raise Refusal(f"has the INTERVAL '{written[:40]}': none is longer than 9999 years")
    if not at:
        raise Refusal("cannot be parsed: an empty INTERVAL: write interval '1 day'")
    return months, microseconds


def in_calendar(microseconds: int) -> int:
    """Return a time of the years 1 to 9999. Raises NoValue for any other."""
    if not FIRST_TIMESTAMP <= microseconds <= LAST_TIMESTAMP:
        raise NoValue("is a timestamp outside of the years 1 to 9999")
    return microseconds


def shifted(time: int, months: int, microseconds: int) -> int:
    """Return the time some months, then some microseconds later; the 31st becomes the month's last day.

    Raises NoValue outside of the years 1 to 9999.
    """
    if months:
        year, month, day = calendar_parts.civil(time // DAY)
        count = year * 12 + month - 1 + months
        year, month = count // 12, count % 12 + 1
        if not 1 <= year <= 9999:
            raise NoValue("is a timestamp outside of the years 1 to 9999")
        day = min(day, calendar_parts.days_in_month(year, month))
        time = calendar_parts.days_of(year, month, day) * DAY + time % DAY
    return in_calendar(time + microseconds)
