"""Why a text is no timestamp of a field, with the way out that makes it one."""

from __future__ import annotations

import re

import polars as pl

from mlops.api.dataset import DataField
from mlops.workloads.ingest.time_patterns import pattern_of
from mlops.workloads.ingest.times import timestamps

# A year that is written as one, and is none of the four digits that RFC 3339 has.
_BEYOND = re.compile(r"(?:[+-][0-9]{4}|[+]?[0-9]{5}|0000)[0-9]{0,10}-[0-9]")
# What messages propose, the first that fits.
SUGGESTED = (
    "%Y-%m-%d %H:%M:%S %z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M", "%Y-%m-%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p", "%d/%m/%Y",
    "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d-%m-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y",
    "%B %d, %Y", "%b %d %Y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%s", "%Q",
)  # fmt: skip
_ANY = DataField(name="any", type="timestamp")


def problem_with(text: str, field: DataField) -> str:
    """Return why a text is no timestamp of the field, with the way out."""
    text = text.strip(" \t")
    if field.formats is None:
        return _problem_with_rfc_3339(text, field)
    formats = ", ".join(field.formats)
    readings = [one for one in (field.evolve(formats=(form,)) for form in field.formats) if _reads(text, one)]
    if len(readings) > 1:
        return f"is read differently by the formats {formats}: keep one"
    return _problem_with_clock(text, field) or f"is not of the formats {formats}: add its format"


def _problem_with_rfc_3339(text: str, field: DataField) -> str:
    if _BEYOND.match(text) or _reads_beyond(text):
        return "is not of the years 1 to 9999 in UTC: list it in nullValues if it means a missing value"
    if clock := _problem_with_clock(text, field):
        return clock
    if re.match(r"[0-9-]{10}[Tt ][0-9:]{8}\.[0-9]{7,9}", text):
        return "has digits beyond microseconds: say a format with %f, which cuts them"
    found: dict[object, str] = {}
    series = pl.Series([text])
    for form in SUGGESTED:
        if not series.str.contains(pattern_of(form).expression)[0]:
            continue
        one = field.evolve(formats=(form,), time_zone=field.time_zone or "UTC")
        if (value := timestamps(series, one).to_physical()[0]) is not None:
            found.setdefault(value, form)
    if found:
        return "is not RFC 3339: say its format, " + " or ".join(f'formats: ["{form}"]' for form in found.values())
    return "is not RFC 3339, such as 2024-05-01T12:00:00Z: say its format in formats"


def _reads(text: str, field: DataField) -> bool:
    return timestamps(pl.Series([text]), field)[0:1].null_count() == 0


def _reads_beyond(text: str) -> bool:
    match = re.match(r"(0001-01-01|9999-12-31)[Tt ]", text)
    return match is not None and _reads(text[:19] + "Z", _ANY)


def _problem_with_clock(text: str, field: DataField) -> str:
    if field.time_zone is None:
        return ""
    if _reads(text, field.evolve(ambiguous_times="Earliest", nonexistent_times="Refuse")):
        return (
            f"was there twice in {field.time_zone}, when clocks were put back: say ambiguousTimes: Earliest or Latest"
        )
    if _reads(text, field.evolve(ambiguous_times="Earliest", nonexistent_times="Shift")):
        return f"was left out in {field.time_zone}, when clocks were put forward: say nonexistentTimes: Shift"
    return ""
