"""Requests of one row: all of a turn of the event loop in one run, or all that wait for the thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mlops.workloads.floor.model.lone_rows import LoneRows, Row, RowAnswer
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.serve.answering import refused
from mlops.workloads.serve.errors import RequestError, is_fault
from mlops.workloads.serve.line import Line, late, left
from mlops.workloads.serve.row_request import RowRequest

# The body of an answer and, if part of it is binary, the length of its JSON.
Written = tuple[bytes, int | None]


class Asked(NamedTuple):
    """A row that was asked: whose it is, and the row as the model takes it."""

    exchange: Any
    request: RowRequest
    row: Row
    # Microseconds since 1970, by this server's clock; and seconds of time.perf_counter.
    arrived: int
    since: float


def _nobody(asked: Asked, found: Written | BaseException) -> None:
    raise AssertionError("nobody takes the answers")


class RowBatches:
    """Answers rows together. `done` writes and records an answer, `answered` is told what was written, or why not.

    For the event loop's thread; `lone` is asked in the thread of `line` only while that is not empty.
    """

    def __init__(
        self, lone: LoneRows, line: Line, done: Callable[[Asked, RowAnswer], Written], *, is_quick: bool
    ) -> None:
        self._lone, self._line, self._done, self._is_quick = lone, line, done, is_quick
        self.answered: Callable[[Asked, Written | BaseException], None] = _nobody
        self._turn: list[Asked] = []
        # What waits for the thread and can still be joined, and how many rows are there in all.
        self._open: list[Asked] | None = None
        self._closing = threading.Lock()
        self._waiting = 0
        # How often the model has answered.
        self.runs = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether rows are answered beyond a turn."""
        return bool(self._tasks)

    def add(self, asked: Asked) -> None:
        """Take a row, to be answered with others of this turn."""
        self._turn.append(asked)

    def end_turn(self) -> None:
        """Answer what this turn has brought."""
        if not self._turn:
            return
        turn, self._turn = self._turn, []
        if not (self._is_quick and self._line.is_empty):
            for asked in turn:
                self._put(asked)
            return
        most, seconds = self._lone.most, self._line.seconds
        for at in range(0, len(turn), most):
            batch = turn[at : at + most]
            if time.perf_counter() - batch[0].since > seconds:
                self._give(batch, [late(seconds)] * len(batch))
                continue
            self._give(batch, self._found(batch))

    def _put(self, asked: Asked) -> None:
        """Have a row answered in the thread, with those that wait there already."""
        try:
            self._line.check(self._waiting)
        except RequestError as error:
            self.answered(asked, error)
            return
        asked.exchange.is_busy = True
        self._waiting += 1
        with self._closing:
            if self._open is not None and len(self._open) < self._lone.most:
                self._open.append(asked)
                return
            self._open = batch = [asked]
        task = asyncio.get_running_loop().create_task(self._run(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: list[Asked]) -> None:
        found: Sequence[RowAnswer | BaseException]
        try:
            found = await self._line.run(lambda: self._begin(batch))
        except BaseException as error:
            self._close(batch)
            if not is_fault(error):
                raise
            found = [error] * len(batch)
        self._waiting -= len(batch)
        self._give(batch, found)

    def _begin(self, batch: list[Asked]) -> Sequence[RowAnswer | BaseException]:
        self._close(batch)
        # Clients that have gone meanwhile must not hold up those that wait.
        waiting = [not asked.exchange.is_answered for asked in batch]
        found = iter(self._found([asked for asked, waits in zip(batch, waiting, strict=True) if waits]))
        return [next(found) if waits else left() for waits in waiting]

    def _close(self, batch: list[Asked]) -> None:
        with self._closing:
            if self._open is batch:
                self._open = None

    def _found(self, batch: Sequence[Asked]) -> Sequence[RowAnswer | BaseException]:
        if not batch:
            return []
        try:
            answers = self._lone.answer([asked.row for asked in batch])
            self.runs += 1
            return answers
        except BaseException as error:
            if not is_fault(error):
                raise
            if len(batch) == 1:
                return [error]
            # One of them is the cause. The others are to have their answers.
            return [found for asked in batch for found in self._found([asked])]

    def _give(self, batch: Sequence[Asked], found: Sequence[RowAnswer | BaseException]) -> None:
        for asked, answer in zip(batch, found, strict=True):
            try:
                if isinstance(answer, BadInput):
                    raise refused(answer) from answer
                if isinstance(answer, BaseException):
                    raise answer
                written: Written | BaseException = self._done(asked, answer)
            except BaseException as error:
                if not is_fault(error):
                    raise
                written = error
            self.answered(asked, written)
