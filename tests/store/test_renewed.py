"""Keys that change while several threads use the store: none goes back to older ones."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event, Thread
from typing import Any

from mlops.store.renewed import RenewedBucket


def test_whoever_read_older_keys_does_not_replace_the_bucket_of_newer_ones() -> None:
    """A thread that is held up between reading the keys and connecting came last, with keys that are revoked."""
    now, held_up, is_first = {"key": "old"}, Event(), Event()
    reading = Event()

    def keys() -> Mapping[str, str]:
        found = dict(now)
        if not is_first.is_set():
            is_first.set()
            reading.set()
            held_up.wait(20)
        return found

    bucket: Any = RenewedBucket(keys, lambda found: found["key"])  # type: ignore[arg-type, return-value]
    first = Thread(target=bucket.current)
    first.start()
    assert reading.wait(20)
    now["key"] = "new"
    second = Thread(target=bucket.current)
    second.start()
    second.join(0.2)
    held_up.set()
    first.join(20)
    second.join(20)
    assert bucket._made[1] == "new"
