"""What two versions answered and failed, counted by the event loop and stored in small files, see `records.tally`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from mlops.store.errors import StoreError
from mlops.workloads.floor.log import say, warn
from mlops.workloads.floor.records.tally import Tally, added, bucket_of, tally_document
from mlops.workloads.serve.errors import is_fault
from mlops.workloads.serve.file_names import File, FileNames
from mlops.workloads.serve.recorder import Sink

_LEAST_PAUSE, _LONGEST_PAUSE = 0.1, 60.0


class VersionCounts:
    """What one version did: since it was last taken, and in all."""

    def __init__(self, version: int, digest: str) -> None:
        self.version, self._digest = version, digest
        self._new, self._taken = Tally(digest), Tally(digest)
        # Of all times that were measured.
        self.seconds, self.timed = 0.0, 0
        # For the statistics extension: rows, and the time of requests by outcome.
        self.rows = 0
        self.succeeded = self.failed_requests = 0
        self.succeeded_seconds = self.failed_seconds = 0.0

    def answered(self, seconds: float | None) -> None:
        """Count an answer, and the time of its prediction where it was measured."""
        self._new.answered += 1
        if seconds is not None:
            self._new.seconds[bucket_of(seconds)] += 1
            self.seconds += seconds
            self.timed += 1

    def failed(self, reason: str) -> None:
        """Count a request that it should have answered and did not."""
        self._new.failed += 1
        self._new.reasons[reason] += 1

    @property
    def total(self) -> Tally:
        """Return what it did in all."""
        return added((self._taken, self._new), self._digest)

    def take(self) -> Tally:
        """Return what is new."""
        new, self._taken, self._new = self._new, self.total, Tally(self._digest)
        return new

    @property
    def is_new(self) -> bool:
        """Whether anything was counted since it was last taken."""
        return self._new.answered + self._new.failed > 0

    def inference(self) -> dict[str, Any]:
        """Return requests and their time by outcome, in the form of the statistics extension."""
        return {
            "success": {"count": self.succeeded, "ns": round(1e9 * self.succeeded_seconds)},
            "fail": {"count": self.failed_requests, "ns": round(1e9 * self.failed_seconds)},
        }


class TallyFiles:
    """Stores what was counted, every so many seconds and when told to. For the event loop's thread.

    What the store did not take is put there again under its own name, so that nothing is counted twice, and what is
    counted meanwhile comes after it.
    """

    def __init__(
        self,
        sink: Sink,
        prefix: str,
        host: str,
        counts: Sequence[VersionCounts],
        *,
        flush_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sink, self._prefix, self._names = sink, prefix, FileNames(host)
        self._counts, self._flush_seconds, self._clock = counts, flush_seconds, clock
        self._since = clock()
        self._pending: File | None = None
        self._lock = asyncio.Lock()
        self._is_failing = False
        self.stored_files = 0

    async def flush(self) -> int:
        """Store all that was counted before this call, and return how many files that were. Raises StoreError."""
        async with self._lock:
            files = 0
            while self._pending is not None or (files < 2 and any(one.is_new for one in self._counts)):
                pending = self._pending = self._pending or self._taken()
                await asyncio.to_thread(self._sink.put_object, pending.key, pending.data)
                self._pending = None
                files += 1
                self.stored_files += 1
            return files

    def _taken(self) -> File:
        since, self._since = self._since, self._clock()
        document = tally_document(since, self._since, [one.take() for one in self._counts])
        data = orjson.dumps(document)
        return File(f"{self._prefix}{self._since:date=%Y-%m-%d/}{self._names.name(data, 'json')}", data, 0)

    async def run(self) -> None:
        """Flush by time until cancelled."""
        while True:
            await asyncio.sleep(self._flush_seconds)
            await self._tried()

    async def flush_until(self, deadline: float) -> bool:
        """Flush, if need be again until `deadline` (of time.monotonic); return whether all is stored."""
        pause = _LEAST_PAUSE
        while not await self._tried(max(_LEAST_PAUSE, deadline - time.monotonic())):
            if time.monotonic() + pause >= deadline:
                return False
            await asyncio.sleep(pause)
            pause *= 2
        return True

    async def _tried(self, seconds: float = _LONGEST_PAUSE) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.flush()
        except BaseException as error:
            if not is_fault(error):
                raise
            if not self._is_failing:
                problem = f"{error.reason}: {error}" if isinstance(error, StoreError) else type(error).__name__
                warn(f"tallies: they wait in memory until they are stored: {problem}")
            self._is_failing = True
            return False
        if self._is_failing:
            say("tallies: they are stored again, none waits")
        self._is_failing = False
        return True
