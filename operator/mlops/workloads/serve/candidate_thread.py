"""The thread in which a candidate answers: whatever it does there, the event loop goes on.

All but `_work` is for the event loop's thread: it hands over one batch at a time, and gives up what takes too long. The
thread cannot be ended; one that is stuck gets nothing more to do until it is done.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Final, Protocol

from mlops.workloads.floor.log import fail, say, warn
from mlops.workloads.floor.model.lone_rows import Row, RowAnswer
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.serve.errors import is_fault
from mlops.workloads.serve.inference import InferenceRequest
from mlops.workloads.serve.row_request import RowRequest

_NICER: Final = 5
_ENDING_SECONDS: Final = 0.5
_SAY_SECONDS: Final = 10.0
# Why a candidate did not answer, beside the reasons of what it raised.
TIMED_OUT: Final = "TimedOut"
STUCK: Final = "Stuck"
QUEUE_FULL: Final = "QueueFull"


class Piece:
    """A request that the candidate is asked; `settled` is called once, when it is answered or given up."""

    __slots__ = (
        "asked_at", "failure", "found", "is_settled", "is_timed", "limit", "request", "row", "rows", "seconds",
        "settled", "size", "timer",
    )  # fmt: skip

    def __init__(
        self,
        request: RowRequest | InferenceRequest,
        row: Row | None,
        settled: Callable[[Piece], None],
        *,
        is_timed: bool,
        size: int = 0,
    ) -> None:
        self.request, self.settled, self.is_timed, self.size = request, settled, is_timed, size
        # One row as the candidate takes it; None: the columns of the request.
        self.row = row
        self.rows = request.rows if isinstance(request, InferenceRequest) else 1
        # What the thread found, and how long that took: its own time, without that of other threads.
        self.found: RowAnswer | Prediction | BaseException | None = None
        self.seconds: float | None = None
        # Why there is no answer.
        self.failure: str | None = None
        self.is_settled = False
        self.asked_at = self.limit = 0.0
        self.timer: asyncio.TimerHandle | None = None


class Work(Protocol):
    """What is done in the thread."""

    most: int

    def answer(self, batch: Sequence[Piece]) -> None:
        """Find what each piece asks for; it raises nothing. Several pieces have one row each."""
        ...


class CandidateThread:
    """One thread for one version. `seconds_of` says how long so many rows may take, and a piece waits at most so many
    `wait_seconds` for others; `settled` is called when pieces were settled beyond a turn of the loop."""

    def __init__(
        self,
        work: Work,
        *,
        most: int,
        seconds_of: Callable[[int], float],
        wait_seconds: float,
        shadow_bytes: int,
        settled: Callable[[], None],
    ) -> None:
        self._work_on, self._most, self._seconds_of, self._all_settled = work, most, seconds_of, settled
        self._wait_seconds = wait_seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Piece] = deque()
        self._shadows: deque[Piece] = deque()
        self._shadow_room = shadow_bytes
        self._running: Sequence[Piece] = ()
        self._ends_by = 0.0
        # Set by the thread: what it found is on its way. A loop that is late must not take it for stuck.
        self._has_ended = False
        # What somebody waits for; and the rows of what runs for nobody.
        self._open = self._open_rows = self._shadow_rows = 0
        self.runs = 0
        self._batches: SimpleQueue[Sequence[Piece] | None] = SimpleQueue()
        # Whether it was told that what runs is stuck, and when that was last told of anything.
        self._is_told, self._told_at = False, -_SAY_SECONDS
        # A daemon: one that is stuck must not keep the process from its end.
        self._thread = threading.Thread(target=self._work, name="candidate", daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return self._open > 0

    @property
    def is_stuck(self) -> bool:
        """Whether what runs should have ended."""
        return bool(self._running) and not self._has_ended and time.monotonic() > self._ends_by

    def ask(self, piece: Piece) -> str | None:
        """Take a piece, to be begun at the end of the turn; or return why not."""
        if self.is_stuck:
            self._tell()
            return STUCK
        if self._open >= self._most or self._is_behind:
            return QUEUE_FULL
        piece.asked_at = time.monotonic()
        # What is before it takes its time too: a candidate as fast as the stable version is never too slow.
        before = self._open_rows + self._shadow_rows
        piece.limit = min(self._seconds_of(piece.rows + before), self._wait_seconds + self._seconds_of(piece.rows))
        piece.timer = self._loop.call_later(piece.limit, self._expire, piece)
        self._open += 1
        self._open_rows += piece.rows
        self._waiting.append(piece)
        return None

    @property
    def _is_behind(self) -> bool:
        """Whether what is to be begun next has waited for half of its time."""
        if self._has_ended or not self._waiting:
            return False
        oldest = self._waiting[0]
        return time.monotonic() - oldest.asked_at > oldest.limit / 2

    def shadow(self, piece: Piece) -> bool:
        """Take a piece for which nobody waits; False if there is no room for it."""
        if piece.size > self._shadow_room or self.is_stuck:
            return False
        self._shadow_room -= piece.size
        self._shadows.append(piece)
        return True

    def start(self) -> None:
        """Hand over what waits, if the thread has nothing to do."""
        if self._running or not (self._waiting or self._shadows):
            return
        batch = _batch_of(self._waiting, self._work_on.most)
        if not batch:
            batch = _batch_of(self._shadows, self._work_on.most)
            self._shadow_room += sum(piece.size for piece in batch)
            self._shadow_rows = sum(piece.rows for piece in batch)
        if batch:
            self._running, self._has_ended = batch, False
            self._ends_by = time.monotonic() + self._seconds_of(sum(piece.rows for piece in batch))
            self._batches.put(batch)

    def close(self) -> None:
        """Begin nothing more, and wait briefly for what runs."""
        self._batches.put(None)
        self._thread.join(_ENDING_SECONDS)

    def _work(self) -> None:
        # What a candidate takes is not to be taken from the event loop.
        be_nicer(_NICER)
        while (batch := self._batches.get()) is not None:
            self._work_on.answer(batch)
            self._has_ended = True
            try:
                self._loop.call_soon_threadsafe(self._finished, batch)
            except RuntimeError:
                return  # The server has ended meanwhile.

    def _finished(self, batch: Sequence[Piece]) -> None:
        self._running, self._shadow_rows = (), 0
        self.runs += 1
        if self._is_told:
            say("the candidate is done with what it was stuck in, and answers again")
            self._is_told = False
        for piece in batch:
            self._settle(piece)
        self._all_settled()
        self.start()

    def _expire(self, piece: Piece) -> None:
        """Give up a piece whose time is over, and with it what waits for a thread that is stuck."""
        self._settle(piece, TIMED_OUT if piece.found is None else None)
        if self.is_stuck:
            self._tell()
            waiting, self._waiting = self._waiting, deque()
            for behind in waiting:
                self._settle(behind, STUCK)
        self._all_settled()

    def _tell(self) -> None:
        now = time.monotonic()
        if not self._is_told and now - self._told_at >= _SAY_SECONDS:
            self._is_told, self._told_at = True, now
            rows = sum(piece.rows for piece in self._running)
            limit = self._seconds_of(rows)
            warn(f"the candidate is stuck: a run of {rows} rows takes longer than {limit:.3g} s; until it is done the "
                 "stable version answers in its place")  # fmt: skip

    def _settle(self, piece: Piece, failure: str | None = None) -> None:
        if piece.is_settled:
            return
        piece.is_settled = True
        piece.failure = failure
        if piece.timer is not None:
            piece.timer.cancel()
            self._open -= 1
            self._open_rows -= piece.rows
        try:
            piece.settled(piece)
        except BaseException as error:
            if not is_fault(error):
                raise
            fail("candidate: the program did not foresee this", error)


def be_nicer(by: int) -> None:
    """Have the thread that calls this give way to others of the process, where a thread can: on Linux."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), by)


def _batch_of(waiting: deque[Piece], most: int) -> list[Piece]:
    """Take the next pieces that can be answered in one run; those that were given up meanwhile are left out."""
    batch: list[Piece] = []
    while waiting and len(batch) < most:
        piece = waiting[0]
        if not piece.is_settled:
            if piece.row is None and batch:
                break
            batch.append(piece)
        waiting.popleft()
        if piece.row is None and batch:
            break
    return batch
