"""Rows on their way to the store: buffered, encoded off the event loop, kept when the store is away."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mlops.api.reasons import Reason
from mlops.store.errors import StoreError
from mlops.workloads.floor.log import say, warn
from mlops.workloads.floor.pod import is_panic
from mlops.workloads.serve.budget import Budget
from mlops.workloads.serve.encoder import CannotEncode, EncoderGone
from mlops.workloads.serve.file_names import MOST_FILES, File

Item = TypeVar("Item")
LONGEST_PAUSE = 60.0
_PARALLEL_PUTS = 8
# What is encoded at a time: encoding briefly takes a few times as much.
BATCH_BYTES = 8 << 20
_SAY_SECONDS = 10.0
# An item alone that has ended the encoding process so often would do so again.
_MOST_ENDS = 3


@dataclass(frozen=True)
class Flushed:
    """What one flush stored."""

    rows: int = 0
    files: int = 0


class Sink(Protocol):
    """Where files go; `mlops.store.artifacts.Store` is one."""

    def put_object(self, key: str, data: bytes) -> None:
        """Write a plain object, whole or not at all."""


class Recorder(Generic[Item]):
    """Takes items on the event loop, writes them as files to the store by size, by time and when told to.

    A store that is away costs the client nothing: rows wait, in memory up to `max_bytes` from `add` until they are
    stored; what is beyond is counted in `dropped_rows`, the newest first. All methods are for the event loop's thread.
    """

    def __init__(
        self,
        sink: Sink,
        encode: Callable[[Sequence[Item]], list[File]],
        *,
        flush_rows: int,
        flush_seconds: float,
        max_bytes: int,
        name: str = "rows",
        waiting: Budget | None = None,
    ) -> None:
        self._name = name
        # Why the store does not take rows, as a reason; empty while it does.
        self.failing = ""
        self._sink, self._encode = sink, encode
        self._flush_rows, self._flush_seconds = flush_rows, flush_seconds
        # Everything from `add` to the store: items, then files. Of two recorders it may be one account.
        self.waiting = waiting or Budget(max_bytes)
        self._items: deque[tuple[Item, int, int]] = deque()
        self._buffered_rows = self._buffered_bytes = 0
        self._added_rows = 0
        self._pending: deque[File] = deque()
        self._most_pending = MOST_FILES * max(1, max_bytes // BATCH_BYTES)
        self._said_dropped, self._said_at = 0, -_SAY_SECONDS
        self._full = asyncio.Event()
        self._lock = asyncio.Lock()
        self._threads = ThreadPoolExecutor(_PARALLEL_PUTS, "store")
        self._pause = 1.0
        # What is encoded at a time: less after each end of the process that does it, to tell what ends it.
        self._batch_bytes, self._ends = BATCH_BYTES, 0
        self.stored_rows = 0
        self.dropped_rows = 0
        self.failed_flushes = 0
        self.flushed_at = time.time()

    @property
    def backlog(self) -> int:
        """Rows that are not in the store yet."""
        return self._added_rows - self.stored_rows - self.dropped_rows

    def add(self, item: Item, rows: int, size: int) -> bool:
        """Take an item of `rows` rows that takes `size` bytes; False, and dropped, if there is no room for it."""
        self._added_rows += rows
        if not self.waiting.take(size):
            self._drop(rows)
            return False
        self._items.append((item, rows, size))
        self._buffered_rows += rows
        self._buffered_bytes += size
        if self._buffered_rows >= self._flush_rows or self._buffered_bytes >= min(BATCH_BYTES, self.waiting.limit // 2):
            self._full.set()
        return True

    async def flush(self) -> Flushed:
        """Store all that was added before this call; raises StoreError and keeps what could not be stored.

        Rows that cannot be encoded are dropped, and counted.
        """
        # Shielded: a caller that goes away must not take rows with it that are between the buffer and the store.
        flushing = asyncio.ensure_future(self._flush())
        # Whoever has gone does not ask how it ended.
        flushing.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(flushing)

    async def _flush(self) -> Flushed:
        async with self._lock:
            self._full.clear()
            left, stored = len(self._items), Flushed()
            while left or self._pending:
                left = await self._encode_buffered(left)
                while self._pending:
                    batch = [self._pending.popleft() for _ in range(min(_PARALLEL_PUTS, len(self._pending)))]
                    stored = await self._put(batch, stored)
            self.flushed_at = time.time()
            if self.failing:
                say(f"{self._name}: they are stored again, none waits")
                self.failing = ""
            return stored

    async def run(self) -> None:
        """Flush by size and by time until cancelled."""
        pause = self._flush_seconds
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._full.wait()
            self._full.clear()
            try:
                await self.flush()
                self._pause, pause = 1.0, self._flush_seconds
            except BaseException as error:
                if not _is_fault(error):
                    raise
                self.failed_flushes += 1
                self._say_failing(error)
                pause, self._pause = min(self._pause, self._flush_seconds), min(2 * self._pause, LONGEST_PAUSE)

    def _say_failing(self, error: BaseException) -> None:
        """Say it when it begins and when the cause changes; the metrics tell how it goes on."""
        reason, problem = _told(error)
        if reason != self.failing:
            waiting = f"{self.backlog} rows wait in memory, up to {self.waiting.limit} bytes, until they are stored"
            warn(f"{self._name}: {waiting}: {reason}: {problem}")
        self.failing = reason

    async def flush_until(self, deadline: float) -> int:
        """Flush, if need be again until `deadline` (of time.monotonic); return the rows that are still not stored."""
        pause = 0.1
        while True:
            try:
                async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                    await self.flush()
            except BaseException as error:
                if not _is_fault(error):
                    raise
                if time.monotonic() + pause >= deadline:
                    return self.backlog
                await asyncio.sleep(pause)
                pause *= 2
            else:
                return 0

    async def _encode_buffered(self, left: int) -> int:
        """Turn the first `left` items into files, a bounded batch at a time, and return how many are left.

        No more is encoded while many files wait: each flush that a store refuses would add some, however few its rows.
        """
        while left and len(self._pending) < self._most_pending:
            batch = self._next_batch(left)
            left -= len(batch)
            rows, size = sum(one[1] for one in batch), sum(one[2] for one in batch)
            self._buffered_rows -= rows
            self._buffered_bytes -= size
            files = await self._encoded(batch, rows)
            self.waiting.give(size)
            for file in files:
                if self.waiting.take(len(file.data)):
                    self._pending.append(file)
                else:
                    self._drop(file.rows)
        return left

    async def _encoded(self, batch: list[tuple[Item, int, int]], rows: int) -> list[File]:
        """Return the batch's files; none if it makes none. Raises EncoderGone, and has the batch wait as before."""
        items = [one[0] for one in batch]
        try:
            files = await asyncio.get_running_loop().run_in_executor(self._threads, self._encode, items)
        except EncoderGone as gone:
            if not gone.had_it:
                # No room for a process says nothing of these rows.
                self._put_back(batch)
                raise
            self._ends += 1
            if len(batch) > 1 or self._ends < _MOST_ENDS:
                self._batch_bytes = max(1, min(self._batch_bytes, sum(one[2] for one in batch)) // 2)
                self._put_back(batch)
                raise
            self._lose(rows, "they end the process that encodes them")
            files = []
        except BaseException as error:
            if not _is_fault(error):
                self._put_back(batch)
                raise
            # The same rows would fail the next time: they must not keep others from the store.
            self._lose(rows, error.fault if isinstance(error, CannotEncode) else type(error).__name__)
            files = []
        self._batch_bytes, self._ends = min(BATCH_BYTES, 2 * self._batch_bytes), 0
        return files

    def _put_back(self, batch: list[tuple[Item, int, int]]) -> None:
        self._items.extendleft(reversed(batch))
        self._buffered_rows += sum(one[1] for one in batch)
        self._buffered_bytes += sum(one[2] for one in batch)

    def _next_batch(self, most: int) -> list[tuple[Item, int, int]]:
        batch: list[tuple[Item, int, int]] = []
        size = 0
        while len(batch) < most and (not batch or size + self._items[0][2] <= self._batch_bytes):
            batch.append(self._items.popleft())
            size += batch[-1][2]
        return batch

    def _lose(self, rows: int, why: str) -> None:
        self.dropped_rows += rows
        self._said_dropped += rows
        warn(f"{self._name}: {rows} rows are dropped: they make no file: {why}")

    def _drop(self, rows: int) -> None:
        self.dropped_rows += rows
        now = time.monotonic()
        if now - self._said_at >= _SAY_SECONDS:
            lost = self.dropped_rows - self._said_dropped
            self._said_dropped, self._said_at = self.dropped_rows, now
            warn(f"{self._name}: {lost} rows are dropped: {self.waiting.limit} bytes of them wait for the store")

    async def _put(self, batch: Sequence[File], stored: Flushed) -> Flushed:
        loop = asyncio.get_running_loop()
        puts = [loop.run_in_executor(self._threads, self._sink.put_object, file.key, file.data) for file in batch]
        results = await asyncio.gather(*puts, return_exceptions=True)
        failures: list[BaseException] = []
        for file, result in zip(batch, results, strict=True):
            if result is not None:
                failures.append(result)
                self._pending.append(file)
                continue
            self.waiting.give(len(file.data))
            self.stored_rows += file.rows
            stored = Flushed(stored.rows + file.rows, stored.files + 1)
        if failures:
            raise failures[0]
        return stored


def _is_fault(error: BaseException) -> bool:
    """Whether work failed, in whatever way: whoever is cancelled or told to stop does so."""
    return isinstance(error, Exception) or is_panic(error)


def _told(error: BaseException) -> tuple[str, str]:
    """Return a reason and what may be said: the text of an error that nobody foresaw may repeat data."""
    if isinstance(error, StoreError):
        return error.reason, str(error)
    if isinstance(error, EncoderGone):
        return Reason.INTERNAL_ERROR, str(error)
    return Reason.INTERNAL_ERROR, f"{type(error).__name__}: the program did not foresee this"
