"""Random histories of artifacts that are stored, named, pinned, put on record and forgotten: what a collection takes is
what nobody needs, however often it is killed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops.planning.history_entries import FILE, segment_name, written
from mlops.planning.store_references import CapturedModel, needed
from mlops.store import Stat, Store, collect, garbage
from mlops.store.bucket import Body, Watched
from mlops.store.errors import NotFound
from mlops.store.layout import blob_key

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 24 * 3600.0
GRACE, RECORD = 7 * DAY, 30
HISTORIES = 1000


class Killed(BaseException):
    """The process ends here."""


class MemoryBucket:
    """Objects with the time of a clock that a test moves; ends the process at one of its deletions."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.held: dict[str, tuple[bytes, float]] = {}
        self.deletions_left: int | None = None
        self._clock = clock

    def put(self, key: str, body: Body | Watched, sha256: str | None = None) -> None:
        assert isinstance(body, bytes)
        self.held[key] = body, self._clock()

    def read(self, key: str) -> Iterator[bytes]:
        if key not in self.held:
            raise NotFound(key, "is not there")
        yield self.held[key][0]

    def stat(self, key: str) -> Stat | None:
        return Stat(key, len(self.held[key][0]), self.held[key][1]) if key in self.held else None

    def list(self, prefix: str) -> Iterator[Stat]:
        for key in sorted(self.held):
            if key.startswith(prefix):
                yield Stat(key, len(self.held[key][0]), self.held[key][1])

    def delete(self, key: str) -> None:
        if self.deletions_left is not None:
            if self.deletions_left == 0:
                raise Killed
            self.deletions_left -= 1
        self.held.pop(key, None)


class World:
    """A history, and beside it what must be there and what must not, kept by the one who makes it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.days = 0.0
        self.bucket = MemoryBucket(self.clock)
        self.store = Store(self.bucket, self.clock)
        # By digest: when it was stored last, and its files.
        self.stored: dict[str, tuple[float, dict[str, bytes]]] = {}
        self.objects: dict[str, dict[str, Any]] = {}
        self.lines: list[str] = []
        # By version: what it served, and the day on which something was recorded of it last.
        self.recorded: dict[str, tuple[str, float]] = {}
        self.captured: dict[str, float] = {}
        self.made = 0

    def clock(self) -> float:
        return BEGIN.timestamp() + self.days * DAY

    @property
    def now(self) -> datetime:
        return BEGIN + timedelta(days=self.days)

    def step(self) -> None:
        actions = (self.put, self.put, self.version, self.version, self.pin, self.forget, self.forget, self.capture)
        self.random.choice(actions)()
        self.days += self.random.choice((0.0, 0.5, 2.0, 9.0))

    def put(self) -> str:
        """Few different files, so that artifacts share them and come again."""
        files = {name: bytes([self.random.randrange(6)]) * 9 for name in self.random.sample("abcdef", 3)}
        digest = self.store.put_files(dict(files)).digest
        self.stored[digest] = self.clock(), files
        return digest

    def version(self) -> None:
        self.made += 1
        name, digest = f"m-{self.made}", self.put()
        spec = {"modelName": self.random.choice(("m", "other")), "artifact": {"digest": digest}}
        self.objects[name] = {"kind": "ModelVersion", "metadata": {"name": name, "namespace": "n"}, "spec": spec}
        self.record(name, digest, "Live")

    def pin(self) -> None:
        """A run or a Dataset that names what is there already."""
        there = [digest for digest in self.stored if self.store.exists(digest)]
        if there:
            self.made += 1
            name = f"pin-{self.made}"
            status = {"history": [{"artifact": self.random.choice(there)}]}
            self.objects[name] = {"kind": "Dataset", "metadata": {"name": name, "namespace": "n"}, "status": status}

    def forget(self) -> None:
        if self.objects:
            name = self.random.choice(sorted(self.objects))
            gone = self.objects.pop(name)
            if gone["kind"] == "ModelVersion":
                self.record(name, gone["spec"]["artifact"]["digest"], "Deleted")

    def record(self, name: str, digest: str, event: str) -> None:
        # Without fractions: a record has seconds.
        at = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        stage = {"stage": "production"} if event == "Live" else {}
        entry = {"time": at, "event": event, "version": name, "number": 1, "uid": name, "artifact": digest, **stage}
        self.lines.append(written(entry))
        self.recorded[name] = digest, self.days

    def capture(self) -> None:
        model = self.random.choice(("m", "other", "third"))
        self.made += 1
        self.store.put_object(f"captures/n/{model}/production/requests/{self.made}.parquet", b"rows")
        self.captured[f"{model}/{self.made}"] = self.days

    def everything(self) -> list[dict[str, Any]]:
        """The objects, with a record in parts that no model's name tells apart from any other's."""
        labels = {"app.kubernetes.io/component": "history", "mlops.dev/model": "m"}
        parts = [self.lines[at : at + 5] for at in range(0, len(self.lines), 5)]
        records = [
            {
                "kind": "ConfigMap",
                "metadata": {"name": segment_name("m", number), "namespace": "n", "labels": labels},
                "data": {FILE: "".join(f"{line}\n" for line in part)},
            }
            for number, part in enumerate(parts)
        ]
        return [*self.objects.values(), *records]

    def collect(self, record: int = RECORD, grace: float = GRACE) -> None:
        wanted = needed(self.everything(), self.now - timedelta(days=record))
        collect(self.store, garbage(self.store, wanted.artifacts, lambda key: kept(key, wanted.models), grace))

    def wanted(self) -> set[str]:
        """By the history itself: what an object names, and what was recorded in the last days."""
        named = {one["spec"]["artifact"]["digest"] for one in self.objects.values() if "spec" in one}
        named |= {one["status"]["history"][0]["artifact"] for one in self.objects.values() if "status" in one}
        return named | {digest for digest, day in self.recorded.values() if self.is_on_record(day)}

    def is_on_record(self, day: float) -> bool:
        return day > self.days - RECORD

    def check_nothing_lost(self) -> None:
        for digest in self.wanted():
            files = self.stored[digest][1]
            assert {entry.path for entry in self.store.manifest(digest).entries} == set(files)
            assert all(self.store.read_file(digest, path) == data for path, data in files.items())

    def check_nothing_left(self) -> None:
        young = {digest for digest, (at, _) in self.stored.items() if at >= self.clock() - GRACE}
        there = {digest for digest in self.stored if self.store.exists(digest)}
        assert there <= self.wanted() | young
        used = {blob_key(entry.sha256) for digest in there for entry in self.store.manifest(digest).entries}
        old = {found.key for found in self.bucket.list("blobs/") if found.modified < self.clock() - GRACE}
        assert old <= used
        models = {one["spec"]["modelName"] for one in self.objects.values() if "spec" in one}
        models |= {"m"} if any(self.is_on_record(day) for _, day in self.recorded.values()) else set()
        for capture, day in self.captured.items():
            model, number = capture.split("/")
            is_there = f"objects/captures/n/{model}/production/requests/{number}.parquet" in self.bucket.held
            # What is old and of nobody is gone, at the latest now; what is of somebody was never taken.
            assert is_there or model not in models or capture in self.taken
            assert not is_there or model in models or day >= self.days - 7
            if not is_there:
                self.taken.add(capture)

    @property
    def taken(self) -> set[str]:
        self.__dict__.setdefault("_taken", set())
        found: set[str] = self.__dict__["_taken"]
        return found


def kept(key: str, models: frozenset[CapturedModel]) -> bool:
    _, namespace, name, *_ = key.split("/")
    return CapturedModel(namespace, name) in models


@pytest.mark.parametrize("tenth", range(10))
def test_nothing_needed_is_missing_and_nothing_else_is_left(tenth: int) -> None:
    """In a thousand histories; each collection may be killed at any of its deletions, and the next one finishes it."""
    for seed in range(tenth * HISTORIES // 10, (tenth + 1) * HISTORIES // 10):
        world = World(seed)
        for _ in range(world.random.randrange(4, 30)):
            world.step()
            if world.random.random() < 0.25:
                for deletions in range(world.random.randrange(4)):
                    world.bucket.deletions_left = deletions
                    with suppress(Killed):
                        world.collect()
                    world.check_nothing_lost()
                world.bucket.deletions_left = None
                world.collect()
                world.check_nothing_lost()
                world.check_nothing_left()


def test_when_all_is_deleted_the_bucket_is_empty() -> None:
    """Killed at every one of its deletions."""
    for seed in range(50):
        world = World(seed)
        for _ in range(20):
            world.step()
        world.objects, world.lines = {}, []
        world.days += 8
        while world.bucket.held:
            before = len(world.bucket.held)
            world.bucket.deletions_left = 1
            with suppress(Killed):
                world.collect()
            assert len(world.bucket.held) < before
