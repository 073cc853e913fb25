"""The thread of a candidate: what it does, however slow, holds up nobody but who waits for it, and not for long."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from mlops.workloads.floor.model.lone_rows import RowAnswer
from mlops.workloads.serve.candidate_thread import QUEUE_FULL, STUCK, TIMED_OUT, CandidateThread, Piece
from mlops.workloads.serve.row_request import RowRequest

LIMIT = 0.1


class Gate:
    """Work that takes until it is let go on; `batches` are the values of the rows in each run."""

    most = 4

    def __init__(self, *, is_open: bool = True) -> None:
        self.goes_on = threading.Event()
        self.batches: list[list[float]] = []
        if is_open:
            self.goes_on.set()

    def answer(self, batch: Sequence[Piece]) -> None:
        """See candidate_thread.Work."""
        self.batches.append([piece.row[0] for piece in batch if piece.row is not None])
        assert self.goes_on.wait(10)
        for piece in batch:
            piece.found = RowAnswer(piece.row[0] if piece.row is not None else None)


class Asked:
    """Pieces that were asked, and what has become of them."""

    def __init__(self) -> None:
        self.outcomes: dict[float, float | str] = {}

    def piece(self, value: float, size: int = 0) -> Piece:
        """A row with this value."""

        def settled(piece: Piece) -> None:
            assert value not in self.outcomes
            found = piece.found
            self.outcomes[value] = piece.failure or (found.value if isinstance(found, RowAnswer) else "nothing")

        return Piece(RowRequest(f"r{value}", [value], None, ()), [value], settled, is_timed=False, size=size)


def a_thread(work: Gate, most: int = 100, shadow_bytes: int = 100, row_seconds: float = 0.0) -> CandidateThread:
    return CandidateThread(
        work,
        most=most,
        seconds_of=lambda rows: LIMIT + row_seconds * rows,
        wait_seconds=2 * LIMIT,
        shadow_bytes=shadow_bytes,
        settled=lambda: None,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go on until this holds."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


async def test_rows_of_a_turn_are_answered_in_runs() -> None:
    """Of at most so many rows as the model answers in one."""
    work, asked = Gate(), Asked()
    thread = a_thread(work)
    for value in range(6):
        assert thread.ask(asked.piece(value)) is None
    assert thread.is_busy
    thread.start()
    await until(lambda: len(asked.outcomes) == 6)
    assert asked.outcomes == {value: value for value in range(6)}
    assert work.batches == [[0, 1, 2, 3], [4, 5]]
    assert not thread.is_busy
    thread.close()


async def test_a_thread_that_is_stuck_gets_no_more_until_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """What runs is given up after its time, and with it what waits; the loop is never held."""
    work, asked = Gate(is_open=False), Asked()
    thread = a_thread(work)
    thread.ask(asked.piece(0))
    thread.start()
    await asyncio.sleep(0.02)
    begun = time.monotonic()
    thread.ask(asked.piece(1))
    assert time.monotonic() - begun < 0.05
    await until(lambda: len(asked.outcomes) == 2)
    assert asked.outcomes == {0: TIMED_OUT, 1: STUCK}
    assert thread.is_stuck
    assert thread.ask(asked.piece(2)) == STUCK
    assert not thread.shadow(asked.piece(3))
    assert caplog.text.count("the candidate is stuck: a run of 1 rows takes longer than 0.1 s") == 1
    work.goes_on.set()
    await until(lambda: not thread.is_stuck)
    assert thread.ask(asked.piece(4)) is None
    thread.start()
    await until(lambda: 4 in asked.outcomes)
    assert asked.outcomes == {0: TIMED_OUT, 1: STUCK, 4: 4}
    assert work.batches == [[0], [4]], "what was given up is not run"
    thread.close()


async def test_no_more_wait_than_may() -> None:
    """And none behind those who have waited for half of their time."""
    work, asked = Gate(is_open=False), Asked()
    thread = a_thread(work, most=3)
    for value in range(3):
        assert thread.ask(asked.piece(value)) is None
    assert thread.ask(asked.piece(3)) == QUEUE_FULL
    work.goes_on.set()
    thread.start()
    await until(lambda: len(asked.outcomes) == 3)
    work.goes_on.clear()
    thread.ask(asked.piece(4))
    thread.start()
    thread.ask(asked.piece(5))
    await asyncio.sleep(0.6 * LIMIT)
    assert thread.ask(asked.piece(6)) == QUEUE_FULL
    work.goes_on.set()
    await until(lambda: 5 in asked.outcomes)
    thread.close()


async def test_shadows_come_last_and_few() -> None:
    """They are run when nobody waits, and take only so much memory while they wait."""
    work, asked = Gate(is_open=False), Asked()
    thread = a_thread(work, shadow_bytes=100)
    thread.ask(asked.piece(0))
    thread.start()
    assert thread.shadow(asked.piece(1, size=60))
    assert not thread.shadow(asked.piece(2, size=60))
    thread.ask(asked.piece(3))
    work.goes_on.set()
    await until(lambda: len(asked.outcomes) == 3)
    assert work.batches == [[0], [3], [1]]
    assert thread.shadow(asked.piece(5, size=60)), "what was run takes no room any more"
    thread.close()


async def test_a_loop_that_is_late_blames_nobody() -> None:
    """What the thread had found in time counts, though the loop learns it after the time is over."""
    work, asked = Gate(), Asked()
    thread = a_thread(work)
    thread.ask(asked.piece(0))
    thread.start()
    time.sleep(3 * LIMIT)
    assert not thread.is_stuck
    assert thread.ask(asked.piece(1)) is None
    thread.start()
    await until(lambda: len(asked.outcomes) == 2)
    assert asked.outcomes == {0: 0, 1: 1}
    thread.close()


async def test_who_waits_for_others_has_their_time_too() -> None:
    """As long as the stable version would take for all of them; but no longer than anybody may wait."""
    work, asked = Gate(is_open=False), Asked()
    thread = a_thread(work, row_seconds=0.06)
    pieces = [asked.piece(value) for value in range(6)]
    for piece in pieces:
        assert thread.ask(piece) is None
    assert [round(piece.limit, 2) for piece in pieces] == [0.16, 0.22, 0.28, 0.34, 0.36, 0.36]
    work.goes_on.set()
    thread.start()
    await until(lambda: len(asked.outcomes) == 6)
    later = asked.piece(6)
    assert thread.ask(later) is None
    assert round(later.limit, 2) == 0.16
    thread.close()
