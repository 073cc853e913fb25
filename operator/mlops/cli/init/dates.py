"""How timestamps are written: every form that explains all values of a column so far."""

from __future__ import annotations

from itertools import product

import polars as pl

from mlops.api.dataset import DataField
from mlops.workloads.ingest.times import timestamps

_DAY_FIRST = ("%d{0}%m{0}%Y", "%d{0}%m{0}%y")
_MONTH_FIRST = ("%m{0}%d{0}%Y", "%m{0}%d{0}%y")
_YEAR_FIRST = ("%Y{0}%m{0}%d", "%y{0}%m{0}%d")
_NAMED = ("%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%d. %B %Y")
_CLOCKS = ("", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%H:%M%z", "%H:%M:%S%z", "%H:%M:%S %z")
_SIGNS = ("/", ".", "-")
COMPACT = "%Y%m%d"
EPOCHS = ("%s", "%Q")


def forms() -> tuple[str, ...]:
    """Return the forms that are tried, beside RFC 3339 (which is written as no form at all)."""
    numeric = [day.format(sign) for sign in _SIGNS for day in (*_DAY_FIRST, *_MONTH_FIRST, *_YEAR_FIRST)]
    return tuple(
        day + (join + clock if clock else "")
        for day, clock in product([*numeric, *_NAMED], _CLOCKS)
        for join in ((" ", "T") if clock else ("",))
    )


FORMS = forms()


def as_field(form: str, zone: str | None) -> DataField:
    """Return a field of timestamps in a form; RFC 3339 if it is empty."""
    return DataField(name="at", type="timestamp", formats=(form,) if form else None, time_zone=zone)


def micros(text: pl.Series, form: str, zone: str | None) -> pl.Series:
    """Return the readings of text; what has none is missing. Hours that were there twice are the earlier ones."""
    field = as_field(form, zone)
    if zone is not None:
        field = field.evolve(ambiguous_times="Earliest", nonexistent_times="Shift")
    return timestamps(text, field)


def is_day_first(form: str) -> bool:
    """Return whether the day stands before the month."""
    return form.startswith("%d")


def is_month_first(form: str) -> bool:
    """Return whether the month stands first."""
    return form.startswith("%m")
