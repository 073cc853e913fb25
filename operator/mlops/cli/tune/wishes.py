"""What is wanted of a monitor: how many false alarms at most, and how soon a change is to be found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from mlops.api.base import parse_duration
from mlops.cli.errors import UserError

YEAR = timedelta(days=365)
_SPANS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": YEAR / 12, "year": YEAR}
_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)/(day|week|month|year)")
_DURATION = re.compile(r"([0-9]{1,6}[dhms]){1,4}")


@dataclass(frozen=True)
class Wishes:
    """The most false alarms in a year, and within what time half of the changes are to be found; None: the least."""

    false_alarms: float
    delay: timedelta | None


def wishes_of(false_alarms: str, delay: str | None) -> Wishes:
    """Return what is wanted. Raises UserError with option and value."""
    said = _RATE.fullmatch(false_alarms)
    if said is None or float(said[1]) == 0:
        raise UserError(
            f"--false-alarms {false_alarms!r}: say a number greater than 0 and a span, such as 1/year, 0.5/month or "
            "2/week"
        )
    if delay is not None and (not _DURATION.fullmatch(delay) or not parse_duration(delay)):
        raise UserError(f"--delay {delay!r}: say a length greater than 0, such as 2d or 12h")
    return Wishes(float(said[1]) * (YEAR / _SPANS[said[2]]), None if delay is None else parse_duration(delay))
