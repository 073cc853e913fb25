"""Timestamps that users write, in the whole seconds that the operator keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mlops.api.base import parse_time
from mlops.api.training_run import TrainingRun

_LAST = datetime.max.replace(microsecond=0, tzinfo=UTC)


def timestamp(text: str | None) -> datetime | None:
    """Return the timestamp in `text`, up to the next whole second.

    Rounding down would let a sync from before the timestamp count as one after it.
    """
    if not text:
        return None
    parsed = parse_time(text)
    second = parsed.replace(microsecond=0)
    # After the last second that can be written there is none.
    up = parsed.microsecond and second < _LAST
    return second + timedelta(seconds=1) if up else second


def time_of(text: str | None) -> datetime | None:
    """Return the time of a timestamp that the operator wrote itself; None if there is none."""
    return parse_time(text) if text else None


def later(timestamp: datetime, span: timedelta) -> datetime:
    """Return the timestamp a span after another, at the latest the calendar's last: 9999d may mean "never"."""
    return timestamp + span if _LAST - timestamp > span else _LAST


def seconds_between(earlier: str | None, later: datetime) -> int | None:
    """Return the whole seconds from a timestamp that was reported; None if there is none, or it lies ahead."""
    if earlier is None:
        return None
    seconds = int((later - parse_time(earlier)).total_seconds())
    return seconds if seconds >= 0 else None


def not_before(run: TrainingRun) -> datetime | None:
    """Return the timestamp since which the run wants its Dataset's source to have been synced."""
    return timestamp(run.spec.dataset_ref.not_before)
