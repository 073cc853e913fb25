"""Years, months, weeks and hours of a time in UTC, by integer arithmetic alone.

Every function takes microseconds since 1970 (or days), as an int or as an int64 array, and gives the same numbers for
both. Days are counted as in Howard Hinnant, "chrono-compatible low-level date algorithms".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from mlops.workloads.floor.expressions.kinds import DAY, SECOND

# An int, or an int64 array of any shape.
Integer: TypeAlias = Any

_HOUR, _MINUTE = 3600 * SECOND, 60 * SECOND


def civil(days: Integer) -> tuple[Integer, Integer, Integer]:
    """Return year, month and day of a day since 1970-01-01."""
    shifted = days + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * of_year + 2) // 153
    day = of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 - (month_from_march >= 10) * 12
    return year_of_era + era * 400 + (month <= 2) * 1, month, day


def days_of(year: Integer, month: Integer, day: Integer) -> Integer:
    """Return the days from 1970-01-01 to a date."""
    year = year - (month <= 2) * 1
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3 + (month <= 2) * 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def days_in_month(year: int, month: int) -> int:
    """Return how many days a month has."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and leap else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def year(time: Integer) -> Integer:
    """Return the year, 1 to 9999."""
    return civil(time // DAY)[0]


def month(time: Integer) -> Integer:
    """Return the month, 1 to 12."""
    return civil(time // DAY)[1]


def day(time: Integer) -> Integer:
    """Return the day of the month, 1 to 31."""
    return civil(time // DAY)[2]


def quarter(time: Integer) -> Integer:
    """Return the quarter, 1 to 4."""
    return (month(time) + 2) // 3


def day_of_year(time: Integer) -> Integer:
    """Return the day of the year, 1 to 366."""
    days = time // DAY
    return days - days_of(civil(days)[0], 1, 1) + 1


def weekday(time: Integer) -> Integer:
    """Return the day of the week of ISO 8601: Monday is 1, Sunday 7."""
    return (time // DAY + 3) % 7 + 1


def sunday_first(time: Integer) -> Integer:
    """Return the day of the week as in PostgreSQL: Sunday is 0, Saturday 6."""
    return weekday(time) % 7


def _thursday(time: Integer) -> Integer:
    """Return the Thursday of the week, which decides to which year the week belongs."""
    days = time // DAY
    return days - (days + 3) % 7 + 3


def iso_year(time: Integer) -> Integer:
    """Return the year that the week belongs to."""
    return civil(_thursday(time))[0]


def iso_week(time: Integer) -> Integer:
    """Return the week of ISO 8601, 1 to 53."""
    thursday = _thursday(time)
    return (thursday - days_of(civil(thursday)[0], 1, 1)) // 7 + 1


def hour(time: Integer) -> Integer:
    """Return the hour, 0 to 23."""
    return time // _HOUR % 24


def minute(time: Integer) -> Integer:
    """Return the minute, 0 to 59."""
    return time // _MINUTE % 60


def second(time: Integer) -> Integer:
    """Return the whole second, 0 to 59."""
    return time // SECOND % 60


def _over(part: Callable[[Integer], Integer], divisor: int) -> Callable[[Integer], Integer]:
    return lambda time: part(time) // divisor


# Parts that EXTRACT and DATE_PART know: whole numbers first, then seconds and their fractions as float64.
WHOLE: Final[dict[str, Callable[[Integer], Integer]]] = {
    "year": year, "month": month, "day": day, "dayofmonth": day, "hour": hour, "minute": minute, "second": second,
    "quarter": quarter, "week": iso_week, "isoweek": iso_week, "isoyear": iso_year, "doy": day_of_year,
    "dayofyear": day_of_year, "dow": sunday_first, "isodow": weekday, "dayofweek": sunday_first, "weekday": weekday,
    "decade": _over(year, 10), "century": lambda time: (year(time) - 1) // 100 + 1,
    "millennium": lambda time: (year(time) - 1) // 1000 + 1,
}  # fmt: skip
FRACTIONS: Final[dict[str, Callable[[Integer], Any]]] = {
    # As a float first: Python divides integers beyond 2^53 exactly, arrays do not.
    "epoch": lambda time: time * 1.0 / SECOND,
    "millisecond": lambda time: time % _MINUTE / 1000,
    "milliseconds": lambda time: time % _MINUTE / 1000,
    "microsecond": lambda time: time % _MINUTE / 1,
    "microseconds": lambda time: time % _MINUTE / 1,
    "nanosecond": lambda time: time % _MINUTE * 1000 / 1,
    "nanoseconds": lambda time: time % _MINUTE * 1000 / 1,
}
