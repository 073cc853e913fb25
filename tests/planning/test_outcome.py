"""What follows from how a Job ended, beside what the planners' own tests show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlops.planning.outcome import retry_at
from tests.planning.builders import NOW


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (11, 60), (12, 60), (100_000, 60)]
)
def test_a_wait_is_doubled_and_never_longer_than_an_hour(attempts: int, minutes: int) -> None:
    """Whoever mends an outage of a week does not wait for another one."""
    assert retry_at(NOW, attempts) == NOW + timedelta(minutes=minutes)


def test_at_the_end_of_the_calendar_there_is_a_next_attempt() -> None:
    """A clock that is set to anything makes no planner fail."""
    last = datetime.max.replace(tzinfo=UTC)
    assert retry_at(last, 100) == last
