"""How old a version's data are, as a sync reports it."""

from __future__ import annotations

import os

from tests.workloads.ingest.conftest import Desk, a_frame, a_spec

MARCH, APRIL = 1_709_251_200, 1_711_929_600  # 2024-03-01 and 2024-04-01


def delivered(desk: Desk, key: str, at: int) -> None:
    desk.deliver(key, a_frame().write_csv())
    os.utime(desk.root / "buckets" / "raw" / key, (at, at))


def test_the_newest_file_says_when_the_data_were_delivered(desk: Desk) -> None:
    """Of all files that are read, whatever their order; one that is left out does not count."""
    delivered(desk, "things/1.csv", APRIL)
    delivered(desk, "things/2.csv", MARCH)
    delivered(desk, "things/_SUCCESS", APRIL + 86_400)
    report = desk.ingest(a_spec(clean=[{"deduplicate": {"by": ["id"]}}]))
    assert report.delivered_at == "2024-04-01T00:00:00Z"
    assert report.newest_event == "2024-01-28T03:00:00Z"


def test_the_same_content_delivered_later_is_the_same_version(desk: Desk) -> None:
    """When it came is no part of it."""
    delivered(desk, "things/1.csv", MARCH)
    first = desk.ingest()
    delivered(desk, "things/1.csv", APRIL)
    again = desk.ingest()
    assert (again.digest, again.artifact) == (first.digest, first.artifact)
    assert (first.delivered_at, again.delivered_at) == ("2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z")


def test_a_time_that_is_personal_is_reported_of_nobody(desk: Desk) -> None:
    """The newest is the time of one person."""
    delivered(desk, "things/1.csv", MARCH)
    assert desk.ingest(a_spec(governance={"pii": ["time"]})).newest_event is None
