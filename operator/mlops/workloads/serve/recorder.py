"""Rows on their way to the store: buffered, encoded off the event loop, kept when the store is away."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mlops.store.errors import StoreError

Item = TypeVar("Item")
LONGEST_PAUSE = 60.0
_PARALLEL_PUTS = 8


@dataclass(frozen=True)
class File:
    """An encoded file: its key is its own for ever."""

    key: str
    data: bytes
    rows: int


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

    A store that is away costs the client nothing: what is encoded waits, up to `max_bytes`; what is beyond is counted
    in `dropped_rows`, the newest first. All methods are for the event loop's thread.
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
    ) -> None:
        self._name = name
        # Why the store does not take rows, as a reason; empty while it does.
        self.failing = ""
        self._sink, self._encode = sink, encode
        self._flush_rows, self._flush_seconds, self._max_bytes = flush_rows, flush_seconds, max_bytes
        self._items: list[Item] = []
        self._buffered_rows = 0
        self._added_rows = 0
        self._pending: deque[File] = deque()
        self._pending_bytes = 0
        self._full = asyncio.Event()
        self._lock = asyncio.Lock()
        self._threads = ThreadPoolExecutor(_PARALLEL_PUTS, "store")
        self._pause = 1.0
        self.stored_rows = 0
        self.dropped_rows = 0
        self.failed_flushes = 0
        self.flushed_at = time.time()

    @property
    def backlog(self) -> int:
        """Rows that are not in the store yet."""
        return self._added_rows - self.stored_rows - self.dropped_rows

    def add(self, item: Item, rows: int) -> None:
        """Take an item of `rows` rows."""
        self._items.append(item)
        self._buffered_rows += rows
        self._added_rows += rows
        if self._buffered_rows >= self._flush_rows:
            self._full.set()

    async def flush(self) -> Flushed:
        """Store all that was added before this call; raises StoreError and keeps what could not be stored."""
        # Shielded: a caller that goes away must not take rows with it that are between the buffer and the store.
        return await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> Flushed:
        async with self._lock:
            await self._encode_buffered()
            stored = Flushed()
            while self._pending:
                batch = [self._pending.popleft() for _ in range(min(_PARALLEL_PUTS, len(self._pending)))]
                stored = await self._put(batch, stored)
            self.flushed_at = time.time()
            if self.failing:
                sys.stderr.write(f"{self._name}: the store takes them again, none waits\n")
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
            except StoreError as error:
                self.failed_flushes += 1
                self._say_failing(error)
                pause, self._pause = min(self._pause, self._flush_seconds), min(2 * self._pause, LONGEST_PAUSE)

    def _say_failing(self, error: StoreError) -> None:
        """Say it when it begins and when the cause changes; the metrics tell how it goes on."""
        if error.reason != self.failing:
            waiting = f"{self.backlog} rows wait in memory, up to {self._max_bytes} bytes, until the store takes them"
            sys.stderr.write(f"{self._name}: {waiting}: {error.reason}: {error}\n")
            sys.stderr.flush()
        self.failing = error.reason

    async def flush_until(self, deadline: float) -> int:
        """Flush, if need be again until `deadline` (of time.monotonic); return the rows that are still not stored."""
        pause = 0.1
        while True:
            try:
                async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                    await self.flush()
            except (StoreError, TimeoutError):
                if time.monotonic() + pause >= deadline:
                    return self.backlog
                await asyncio.sleep(pause)
                pause *= 2
            else:
                return 0

    async def _encode_buffered(self) -> None:
        items, self._items = self._items, []
        self._buffered_rows = 0
        self._full.clear()
        if not items:
            return
        files = await asyncio.get_running_loop().run_in_executor(self._threads, self._encode, items)
        for file in files:
            if self._pending_bytes + len(file.data) > self._max_bytes:
                self.dropped_rows += file.rows
                continue
            self._pending.append(file)
            self._pending_bytes += len(file.data)

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
            self._pending_bytes -= len(file.data)
            self.stored_rows += file.rows
            stored = Flushed(stored.rows + file.rows, stored.files + 1)
        if failures:
            raise failures[0]
        return stored
