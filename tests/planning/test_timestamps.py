"""Timestamps that users write, in the whole seconds that the operator keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlops.api.base import format_time
from mlops.planning.timestamps import later, not_before, seconds_between, time_of, timestamp
from tests.planning.builders import NOW, a_run


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("2026-01-10T12:00:00Z", "2026-01-10T12:00:00Z", id="a whole second"),
        pytest.param("2026-01-10T12:00:00.000001Z", "2026-01-10T12:00:01Z", id="just after it"),
        pytest.param("2026-01-10T12:00:59.5Z", "2026-01-10T12:01:00Z", id="into the next minute"),
        pytest.param("9999-12-31T23:59:58.5Z", "9999-12-31T23:59:59Z", id="up to the last second"),
        pytest.param("9999-12-31T23:59:59.5Z", "9999-12-31T23:59:59Z", id="after which there is none"),
    ],
)
def test_a_fraction_counts_as_the_next_second(text: str, kept: str) -> None:
    """Else a sync from before the timestamp would count as one after it."""
    found = timestamp(text)
    assert found is not None
    assert format_time(found) == kept
    assert not_before(a_run(spec={"datasetRef": {"notBefore": text}})) == found


@pytest.mark.parametrize("text", [None, ""])
def test_no_text_is_no_time(text: str | None) -> None:
    """A field that was never set."""
    assert timestamp(text) is None
    assert time_of(text) is None


def test_the_calendar_has_a_last_second() -> None:
    """A user may write 9999d for never: what lies after that second is at that second."""
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert later(NOW, timedelta(days=2)) == NOW + timedelta(days=2)
    assert later(NOW, timedelta(0)) == NOW
    assert later(last - timedelta(seconds=2), timedelta(seconds=1)) == last - timedelta(seconds=1)
    for span in (timedelta(seconds=2), timedelta(seconds=3), timedelta.max):
        assert later(last - timedelta(seconds=2), span) == last


@pytest.mark.parametrize(
    ("earlier", "seconds"),
    [
        pytest.param("2026-01-10T11:59:00Z", 60, id="a minute ago"),
        pytest.param("2026-01-10T11:59:58.5Z", 1, id="whole ones"),
        pytest.param("2026-01-10T12:00:00Z", 0, id="now"),
        pytest.param("2026-01-10T12:00:00.5Z", 0, id="less than one ahead"),
        pytest.param("2026-01-10T12:00:01Z", None, id="ahead"),
        pytest.param(None, None, id="never"),
    ],
)
def test_seconds_are_whole_and_none_of_what_lies_ahead(earlier: str | None, seconds: int | None) -> None:
    """A clock that was wrong writes any time."""
    assert seconds_between(earlier, NOW) == seconds
