"""What fails on the way to the store costs its own rows at most: recording goes on, and its memory comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from mlops.store.errors import StoreUnavailable
from mlops.workloads.serve.file_names import File
from mlops.workloads.serve.recorder import Recorder


class PanicException(BaseException):
    """As a library in Rust raises it."""


class _Sink:
    """A store whose puts fail as they are told to, in turn."""

    def __init__(self, *faults: BaseException | None) -> None:
        self._faults = list(faults)
        self.keys: list[str] = []

    def put_object(self, key: str, _: bytes) -> None:
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            raise fault
        self.keys.append(key)


def _encoding(poison: BaseException) -> object:
    def encode(items: Sequence[str]) -> list[File]:
        if "poison" in items:
            raise poison
        return [File(f"{item}.parquet", b"x" * 10, 1) for item in items]

    return encode


def _recorder(sink: _Sink, poison: BaseException) -> Recorder[str]:
    return Recorder(sink, _encoding(poison), flush_rows=1, flush_seconds=0.05, max_bytes=1000)  # type: ignore[arg-type]


FAULTS = [
    pytest.param(ValueError("Alice Miller"), id="error"),
    pytest.param(MemoryError(), id="memory"),
    pytest.param(PanicException("Alice Miller"), id="panic"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_rows_that_make_no_file_are_dropped_and_counted_and_recording_goes_on(
    fault: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """They stopped it for ever, and kept their bytes of the buffer."""

    async def live() -> Recorder[str]:
        recorder = _recorder(sink, fault)
        running = asyncio.create_task(recorder.run())
        for item in ("poison", "good"):
            recorder.add(item, 1, 400)
            await _until(lambda: recorder.backlog == 0)
        assert not running.done()
        running.cancel()
        return recorder

    sink = _Sink()
    recorder = asyncio.run(live())
    assert (recorder.dropped_rows, recorder.stored_rows, recorder.waiting.used) == (1, 1, 0)
    assert sink.keys == ["good.parquet"]
    said = caplog.text
    assert "1 rows are dropped" in said
    assert "Alice" not in said


@pytest.mark.parametrize("fault", [*FAULTS, pytest.param(StoreUnavailable("s3://b", "away"), id="store")])
def test_a_store_that_fails_in_any_way_is_asked_again(fault: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """By the run, and by the last flush of a server that stops."""

    async def live() -> Recorder[str]:
        recorder = _recorder(sink, fault)
        running = asyncio.create_task(recorder.run())
        recorder.add("one", 1, 400)
        await _until(lambda: recorder.failed_flushes == 1)
        await _until(lambda: recorder.backlog == 0)
        running.cancel()
        recorder.add("two", 1, 400)
        assert await recorder.flush_until(time.monotonic() + 20) == 0
        return recorder

    sink = _Sink(fault, None, fault)
    recorder = asyncio.run(live())
    assert (recorder.dropped_rows, recorder.stored_rows, recorder.waiting.used) == (0, 2, 0)
    assert "Alice" not in caplog.text


async def _until(condition: object) -> None:
    async with asyncio.timeout(20):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)
