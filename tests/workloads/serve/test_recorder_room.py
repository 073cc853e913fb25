"""What waits for the store: its bytes are on one account, from `add` until they are stored, and no longer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mlops.store.errors import StoreUnavailable
from mlops.workloads.serve.file_names import MOST_FILES, File
from mlops.workloads.serve.recorder import BATCH_BYTES, Recorder

LIMIT = 100


class Sink:
    """A store in memory that is away as long as `away` says."""

    def __init__(self) -> None:
        self.away = False
        self.keys: list[str] = []

    def put_object(self, key: str, data: bytes) -> None:
        if self.away:
            raise StoreUnavailable(key, "away")
        self.keys.append(key)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def recorder(sink: Sink) -> Recorder[str]:
    """Records texts of ten bytes a row, as a file of five bytes a row."""
    numbers = iter(range(1000))

    def encode(items: Sequence[str]) -> list[File]:
        return [File(f"{next(numbers)}", b"x" * 5 * len(items), len(items))]

    return Recorder(sink, encode, flush_rows=1000, flush_seconds=60, max_bytes=LIMIT)


async def test_what_is_stored_gives_its_room_back(recorder: Recorder[str]) -> None:
    """Ten times as much as there is room for, in turns: nothing is dropped, and nothing is left on the account."""
    for _ in range(10):
        assert all(recorder.add("row", 1, 10) for _ in range(LIMIT // 10))
        assert not recorder.add("row", 1, 10), "beyond the room it is dropped"
        assert (await recorder.flush()).rows == LIMIT // 10
        assert recorder.waiting.used == 0
    assert (recorder.stored_rows, recorder.dropped_rows, recorder.backlog) == (100, 10, 0)


async def test_while_the_store_is_away_files_keep_their_room_and_give_it_back_after(
    recorder: Recorder[str], sink: Sink
) -> None:
    """An encoded file takes what it holds, not what its rows held; both are given back once."""
    sink.away = True
    for _ in range(4):
        assert recorder.add("row", 1, 10)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await recorder.flush()
        assert recorder.waiting.used == 20
    sink.away = False
    await recorder.flush()
    assert (recorder.waiting.used, recorder.stored_rows, len(sink.keys)) == (0, 4, 1)


async def test_a_file_for_which_there_is_no_room_is_dropped_and_takes_none(sink: Sink) -> None:
    """Encoding may make more of rows than they were."""

    def encode(items: Sequence[str]) -> list[File]:
        return [File("large", b"x" * (LIMIT + 1), 3 * len(items))]

    recorder = Recorder(sink, encode, flush_rows=1000, flush_seconds=60, max_bytes=LIMIT)
    assert recorder.add("row", 3, 10)
    assert (await recorder.flush()).rows == 0
    assert (recorder.waiting.used, recorder.dropped_rows, recorder.backlog) == (0, 3, 0)


async def test_flushes_that_a_store_refuses_do_not_add_up_to_any_number_of_files(sink: Sink) -> None:
    """Whoever flushes a row at a time while the store is away has as few files written afterwards as anybody."""
    numbers = iter(range(100_000))

    def encode(items: Sequence[str]) -> list[File]:
        return [File(f"{next(numbers)}", b"x", len(items)) for _ in range(MOST_FILES)]

    recorder = Recorder(sink, encode, flush_rows=1000, flush_seconds=60, max_bytes=2 * BATCH_BYTES)
    sink.away = True
    for _ in range(500):
        assert recorder.add("row", MOST_FILES, 100)
        with pytest.raises(StoreUnavailable):
            await recorder.flush()
    assert next(numbers) <= 3 * MOST_FILES
    sink.away = False
    assert (await recorder.flush()).files <= 4 * MOST_FILES
    assert (recorder.backlog, recorder.dropped_rows, recorder.waiting.used) == (0, 0, 0)
