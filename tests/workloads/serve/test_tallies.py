"""What two versions did, counted and stored: each request once, whatever the store does."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops.store.errors import StoreUnavailable
from mlops.workloads.floor.records.tally import Tally, added, bucket_of, tallies_prefix
from mlops.workloads.serve.tallies import TallyFiles, VersionCounts

NOW = datetime(2026, 12, 1, 23, 59, tzinfo=UTC)
PREFIX = tallies_prefix("team", "weather", "production")


class Fickle:
    """A store that takes what it is given while `works`; what it says no to it may have taken all the same."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.works = True
        self.takes_silently = False

    def put_object(self, key: str, data: bytes) -> None:
        """Keep it, or say that it is not there."""
        if self.works or self.takes_silently:
            self.files[key] = data
        if not self.works:
            raise StoreUnavailable("s3://bucket", "does not answer")

    def total(self, digest: str) -> Tally:
        """What all files say of a version."""
        documents = [json.loads(data) for data in self.files.values()]
        return added((Tally.load(one) for document in documents for one in document["tallies"]), digest)


def counting() -> tuple[Fickle, VersionCounts, VersionCounts, TallyFiles]:
    """Two versions whose counts go to a store."""
    store, stable, candidate = Fickle(), VersionCounts(3, "sha256:s"), VersionCounts(4, "sha256:c")
    files = TallyFiles(store, PREFIX, "pod-1", (stable, candidate), flush_seconds=0.01, clock=lambda: NOW)
    return store, stable, candidate, files


async def test_what_was_counted_is_stored_once() -> None:
    """With times, reasons and from when to when; what was not counted makes no file."""
    store, stable, candidate, files = counting()
    assert await files.flush() == 0
    stable.answered(0.001)
    stable.answered(None)
    candidate.answered(0.002)
    candidate.failed("TimedOut")
    assert await files.flush() == 1
    assert await files.flush() == 0
    (key, data), document = next(iter(store.files.items())), json.loads(next(iter(store.files.values())))
    assert key.startswith(f"{PREFIX}date=2026-12-01/pod-1-")
    assert key.endswith(".json")
    assert document["since"] == document["until"] == "2026-12-01T23:59:00.000000+00:00"
    assert store.total("sha256:s") == Tally("sha256:s", 2, 0, {bucket_of(0.001): 1})  # type: ignore[arg-type]
    assert store.total("sha256:c").reasons == {"TimedOut": 1}
    assert len(data) < 1000
    candidate.failed("Stuck")
    assert await files.flush() == 1
    assert candidate.total == store.total("sha256:c")


@pytest.mark.parametrize("takes_silently", [False, True])
async def test_a_store_that_is_away_loses_and_doubles_nothing(takes_silently: bool) -> None:
    """Also one that has taken a file and could not say so: the same file is put again under its own name."""
    store, stable, candidate, files = counting()
    store.works, store.takes_silently = False, takes_silently
    for number in range(5):
        stable.answered(0.001)
        candidate.failed("Stuck" if number % 2 else "TimedOut")
        with pytest.raises(StoreUnavailable):
            await files.flush()
    store.works = True
    assert await files.flush() == 2
    assert store.total("sha256:s").answered == 5
    assert store.total("sha256:c").reasons == {"TimedOut": 3, "Stuck": 2}
    assert len(store.files) == 2


async def test_at_the_end_it_is_tried_until_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """And said whether all is stored; that it failed is told once."""
    store, stable, _, files = counting()
    store.works = False
    stable.answered(None)
    assert not await files.flush_until(time.monotonic() + 0.5)
    assert caplog.text.count("they wait in memory until they are stored: StoreUnavailable") == 1
    store.works = True
    assert await files.flush_until(time.monotonic() + 5)
    assert store.total("sha256:s").answered == 1


def test_counts_go_on_over_what_was_taken() -> None:
    """What metrics show only grows."""
    counts = VersionCounts(4, "sha256:c")
    seen: list[Any] = []
    for number in range(4):
        counts.answered(0.5 if number % 2 else None)
        if number == 1:
            counts.take()
        seen.append((counts.total.answered, counts.timed, round(counts.seconds, 3)))
    assert seen == [(1, 0, 0.0), (2, 1, 0.5), (3, 1, 0.5), (4, 2, 1.0)]
