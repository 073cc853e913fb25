"""Timestamps from text: RFC 3339, or the formats that a field declares; every text has one reading or none.

No library parses them: a year has four digits, a day is of its month, an hour that the clocks left out or had twice is
taken as declared. Readings are microseconds since 1970 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops.api.dataset import DataField
from mlops.workloads.ingest.numbers import only_where
from mlops.workloads.ingest.time_parts import Mask, Numbers, Parts, fraction, parts
from mlops.workloads.ingest.time_patterns import EPOCH, NAMES, pattern_of

_RFC = (
    r"^([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6})0{0,3})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?$"
)
_RFC_LOCAL = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?$"
_SOME_MONTH = 12 * 1970 + 1
_EPOCH_START = datetime(1970, 1, 1)  # noqa: DTZ001 a clock on a wall
_SECOND, _DAY = 1_000_000, 86_400_000_000
# Tables of time zones that are compiled into libraries end some day; the database's own rules do not.
_TABLED = 2_114_380_800 * _SECOND  # 2037-01-01
FIRST, LAST = -62_135_596_800 * _SECOND, 253_402_300_800 * _SECOND - 1


def timestamps(text: pl.Series, field: DataField | None = None) -> pl.Series:
    """Return the timestamps (microseconds, UTC) of text; what has no reading, or two, is missing."""
    text = text.str.strip_chars(" \t")
    present = text.drop_nulls()
    micros, known = _readings(present, field)
    known &= (micros >= FIRST) & (micros <= LAST)
    if len(present) < len(text):
        places = text.is_not_null().to_numpy()
        micros, known = _spread(micros, places), _spread(known, places)
    values = pl.Series(text.name, np.where(known, micros, 0)).cast(pl.Datetime("us", "UTC"))
    return values if known.all() else only_where(values, pl.Series(known))


def _readings(text: pl.Series, field: DataField | None) -> tuple[Numbers, Mask]:
    """Return microseconds, and which texts have one reading; none of them is missing."""
    if field is None or field.formats is None:
        return _rfc_3339(text, field.time_zone if field else None, field)
    micros, known = np.zeros(len(text), dtype=np.int64), np.zeros(len(text), dtype=bool)
    clash = np.zeros(len(text), dtype=bool)
    for form in field.formats:
        found, present = _read(text, form, field)
        clash |= known & present & (found != micros)
        micros, known = np.where(known, micros, found), known | present
    return micros, known & ~clash


def _spread(values: npt.NDArray[Any], places: Mask) -> npt.NDArray[Any]:
    """Return the values at their places, and zeros elsewhere."""
    found = np.zeros(len(places), dtype=values.dtype)
    found[places] = values
    return found


def lacks_zone(values: pl.Series, field: DataField) -> bool:
    """Return whether a time of day has neither an offset nor a zone that the field declares: it is read as UTC.

    `values` are texts, or timestamps as a file has them.
    """
    if field.time_zone is not None or values.null_count() == len(values):
        return False
    if isinstance(values.dtype, pl.Datetime):
        return values.dtype.time_zone is None
    if isinstance(values.dtype, pl.Categorical | pl.Enum | pl.Binary):
        values = values.cast(pl.String, strict=False)
    if values.dtype != pl.String:
        return False
    if field.formats is None:
        # The rule: each text ends in Z.
        return not values.str.ends_with("Z").all() and bool(
            values.str.strip_chars(" \t").str.contains(_RFC_LOCAL).any()
        )
    timed = [form for form in field.formats if form not in EPOCH and _is_local(pattern_of(form).words)]
    return any(_read(values.str.strip_chars(" \t"), form, field)[1].any() for form in timed)


def _is_local(words: Iterable[str]) -> bool:
    return "z" not in words and not {"H", "I"}.isdisjoint(words)


def _rfc_3339(text: pl.Series, zone: str | None, field: DataField | None) -> tuple[Numbers, Mask]:
    part = parts(text, _RFC)
    day, good = _day(part.number(0), part.number(1), part.number(2))
    hour, minute, second = (part.number(i, missing=0) for i in (3, 4, 5))
    good &= (hour < 24) & (minute < 60) & (second < 60)
    local = day * _DAY + (hour * 3600 + minute * 60 + second) * _SECOND + part.fraction(6, 6)
    offset, zoned = part.offset(7)
    known = part.known & good & (np.abs(offset) < 86_400)
    return _in_utc(local, offset, zoned, known, zone, field)


def _read(text: pl.Series, form: str, field: DataField) -> tuple[Numbers, Mask]:
    if form in EPOCH:
        return _since_1970(text, form)
    pattern = pattern_of(form)
    part = parts(text, pattern.expression, has_names=not NAMES.keys().isdisjoint(pattern.words))
    at = {word: i for i, word in enumerate(pattern.words)}
    day, good = _day_of(part, at, len(text))
    zero = np.zeros(len(text), dtype=np.int64)
    hour = part.number(at["H"]) if "H" in at else zero
    if "I" in at:
        twelve = part.number(at["I"])
        good &= (twelve >= 1) & (twelve <= 12)
        hour = twelve % 12 + (12 * part.named(at["p"], "p") if "p" in at else 0)
    minute = part.number(at["M"]) if "M" in at else zero
    second = part.number(at["S"]) if "S" in at else zero
    good &= (hour < 24) & (minute < 60) & (second < 60)
    local = day * _DAY + (hour * 3600 + minute * 60 + second) * _SECOND
    if "f" in at:
        local = local + part.fraction(at["f"], 9)
    for word in ("a", "A"):
        if word in at:
            good &= part.named(at[word], word) == (day + 3) % 7
    offset, zoned = part.offset(at["z"]) if "z" in at else (zero, np.zeros(len(text), dtype=bool))
    known = part.known & good & (np.abs(offset) < 86_400)
    return _in_utc(local, offset, zoned, known, field.time_zone, field)


def _since_1970(text: pl.Series, form: str) -> tuple[Numbers, Mask]:
    expression, unit = EPOCH[form]
    groups = text.str.extract_groups(expression).struct.unnest()
    whole, behind = groups.to_series(0), groups.to_series(1)
    known = whole.is_not_null().to_numpy()
    numbers = whole.cast(pl.Int64).fill_null(0).to_numpy()
    sign = np.where(whole.str.starts_with("-").fill_null(False).to_numpy(), -1, 1)
    digits = 6 if unit == _SECOND else 3
    return numbers * unit + sign * fraction(behind, digits, digits), known


def _day_of(part: Parts, at: dict[str, int], size: int) -> tuple[Numbers, Mask]:
    if "Y" in at:
        year = part.number(at["Y"])
    else:
        short = part.number(at["y"])
        # As in POSIX: 69 to 99 are of the 20th century.
        year = np.where(short >= 69, 1900, 2000) + short
    if "j" in at:
        first, good = _day(year, np.ones(size, dtype=np.int64), np.ones(size, dtype=np.int64))
        number = part.number(at["j"])
        return first + number - 1, good & (number >= 1) & (number <= 365 + _is_leap(year))
    name = next((word for word in ("b", "B") if word in at), None)
    month = part.named(at[name], name) + 1 if name else part.number(at["m"])
    return _day(year, month, part.number(at["d"]))


def _day(year: Numbers, month: Numbers, day: Numbers) -> tuple[Numbers, Mask]:
    """Return days since 1970 in the Gregorian calendar, and which of them there are.

    By a table of the months that occur: times of a file are of a few years as a rule.
    """
    good = (year >= 1) & (year <= 9999) & (month >= 1) & (month <= 12) & (day >= 1)
    if not len(good):
        return np.zeros(0, dtype=np.int64), good
    months = np.where(good, year * 12 + month, _SOME_MONTH)
    earliest = int(months.min())
    first = _first_days(np.arange(earliest, int(months.max()) + 2))
    months -= earliest
    good &= day <= np.diff(first)[months]
    return first[months] + (day - 1), good


def _first_days(months: Numbers) -> Numbers:
    """Return the first day of months, given as twelve times the year and the number of the month from 1 on.

    Source: Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
    """
    # Years that begin with March: their last month is the one of another length.
    year, since_march = np.divmod(months - 3, 12)
    era, of_era = np.divmod(year, 400)
    days = of_era * 365 + of_era // 4 - of_era // 100 + (153 * since_march + 2) // 5
    return np.asarray(era * 146_097 + days - 719_468, dtype=np.int64)


def _is_leap(year: Numbers) -> Mask:
    leap: Mask = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return leap


def _in_utc(
    local: Numbers, offset: Numbers, zoned: Mask, known: Mask, zone: str | None, field: DataField | None
) -> tuple[Numbers, Mask]:
    if zone is None or field is None:
        return local - offset * _SECOND, known
    present = known & ~zoned & (local >= FIRST) & (local <= LAST)
    values, found = in_utc(local[present], zone, field.ambiguous_times, field.nonexistent_times)
    micros = local - offset * _SECOND
    micros[present] = values
    known = known.copy()
    known[present] = found
    return micros, known


def in_utc(local: Numbers, zone: str, ambiguous: str, nonexistent: str) -> tuple[Numbers, Mask]:
    """Return local times of a zone in UTC, and which of them have one reading, given what was declared.

    `local` is microseconds since 1970 on the local clock.
    """
    naive = pl.Series(local).cast(pl.Datetime("us"))
    values = naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")
    known = values.is_not_null().to_numpy() & (local < _TABLED)
    micros = values.to_physical().fill_null(0).to_numpy().copy()
    seconds, inverse = np.unique(local[~known] // _SECOND, return_inverse=True)
    clock = ZoneInfo(zone)
    offsets = [_offset_of(second, clock, ambiguous, nonexistent) for second in seconds.tolist()]
    shift = np.array([0 if one is None else one for one in offsets], dtype=np.int64)
    found = np.array([one is not None for one in offsets], dtype=bool)
    micros[~known] = local[~known] - shift[inverse]
    return micros, _set(known, found[inverse])


def _set(known: Mask, found: Mask) -> Mask:
    result = known.copy()
    result[~known] = found
    return result


def _offset_of(second: int, clock: ZoneInfo, ambiguous: str, nonexistent: str) -> int | None:
    """Return the offset (microseconds) of a local time; None if it has none, or two and none was chosen."""
    naive = _EPOCH_START + timedelta(seconds=second)
    before, after = (naive.replace(tzinfo=clock, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    if before != after:
        twice = before > after
        if (ambiguous if twice else nonexistent) == "Refuse":
            return None
        # In a gap the offset before it counts.
        before = after if twice and ambiguous == "Latest" else before
    return int(before.total_seconds()) * _SECOND
