"""The application of a stage whose requests two versions answer. Without a candidate none of this is there.

The stable version answers what the candidate does not: whatever becomes of the candidate, no request fails by it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from mlops.workloads.floor.model.lone_rows import RowAnswer
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.serve.answering import OutsideRequest
from mlops.workloads.serve.app import Application, Read, inferred
from mlops.workloads.serve.bodies import with_body
from mlops.workloads.serve.candidate import (
    LOADING,
    RAISED,
    STUCK,
    CandidateModel,
    ServedCandidate,
    candidate_failure,
    failure_of,
    told,
)
from mlops.workloads.serve.candidate_thread import Piece
from mlops.workloads.serve.documents import configuration, model_statistics
from mlops.workloads.serve.errors import RequestError, is_fault, unavailable
from mlops.workloads.serve.exchange import Exchange
from mlops.workloads.serve.guarded import GuardedApplication
from mlops.workloads.serve.inference import InferenceRequest
from mlops.workloads.serve.line import late
from mlops.workloads.serve.model_description import ModelDescription
from mlops.workloads.serve.routes import HttpAnswer, Route, json_answer
from mlops.workloads.serve.row_request import RowRequest
from mlops.workloads.serve.rows import Asked, RowBatches, Written
from mlops.workloads.serve.served import INLINE_ROWS, Predict, Served
from mlops.workloads.serve.share import Share

Request = RowRequest | InferenceRequest


class Assignment:
    """A request that the stable version answers: for whom, and how long its prediction took."""

    __slots__ = ("error", "failure", "is_counted", "is_timed", "seconds", "shadowed")

    def __init__(
        self, *, is_counted: bool = False, is_timed: bool = False, failure: str | None = None, error: object = None
    ) -> None:
        # Whether it is one of those that are compared: not of a client who named the version.
        self.is_counted, self.is_timed = is_counted, is_timed
        # Why the candidate, whose request this was, did not answer it.
        self.failure, self.error = failure, error
        # Of the thread's own time.
        self.seconds = 0.0
        # What the candidate is to answer for the record.
        self.shadowed: Request | None = None


class TimedBatches(RowBatches):
    """Measures rows: one of each turn, alone, for rows of one run share what the run itself takes."""

    def _found(self, batch: Sequence[Asked]) -> Sequence[RowAnswer | BaseException]:
        timed = next((at for at, asked in enumerate(batch) if asked.exchange.assigned.is_timed), None)
        if timed is None:
            return super()._found(batch)
        assigned = batch[timed].exchange.assigned
        begun = time.thread_time()
        alone = super()._found(batch[timed : timed + 1])
        assigned.seconds += time.thread_time() - begun
        for asked in batch[timed + 1 :]:
            asked.exchange.assigned.is_timed = False
        others = super()._found([*batch[:timed], *batch[timed + 1 :]])
        return [*others[:timed], *alone, *others[timed:]]


class SharedApplication(Application):
    """Two versions over HTTP. `candidate` is None until the stable version is served."""

    batches = TimedBatches

    def __init__(self, *given: Any, share: Share, **named: Any) -> None:
        super().__init__(*given, **named)
        self.candidate: ServedCandidate | None = None
        self._share = share
        # Whether a request of this turn is measured already, for each version.
        self._stable_timed = self._candidate_timed = False

    def compare(self, candidate: ServedCandidate) -> None:
        """Have this version answer its share as soon as it is loaded."""
        self.candidate = candidate
        self.metrics.candidate = candidate

    @property
    def versions(self) -> list[str]:
        """See Application."""
        candidate = self.candidate
        both = candidate is not None and candidate.model is not None
        return [*super().versions, *([str(candidate.given.version)] if candidate is not None and both else [])]

    @property
    def is_busy(self) -> bool:
        """See Application."""
        thread = self.candidate.thread if self.candidate is not None else None
        return super().is_busy or (thread is not None and thread.is_busy)

    async def flush_until(self, deadline: float) -> int:
        """See Application."""
        if self.candidate is None:
            return await super().flush_until(deadline)
        return sum(await asyncio.gather(super().flush_until(deadline), self.candidate.flush_until(deadline)))

    async def flushed(self, served: Served) -> dict[str, Any]:
        """See Application: with the candidate's rows among the captures, its shadow and the tallies."""
        found = await super().flushed(served)
        if (candidate := self.candidate) is not None:
            for kind, recorder in (("captures", candidate.captures), ("shadow", candidate.shadows)):
                own, before = await recorder.flush(), found.get(kind, {"rows": 0, "files": 0})
                found[kind] = {"rows": before["rows"] + own.rows, "files": before["files"] + own.files}
            found["tallies"] = {"files": await candidate.tallies.flush()}
        return found

    def close(self) -> None:
        """See Application."""
        if self.candidate is not None:
            self.candidate.close()
        super().close()

    def end_turn(self) -> None:
        """Have the candidate begin before the stable version answers, and shadow what that has answered."""
        candidate = self.candidate
        thread = candidate.thread if candidate is not None else None
        self._stable_timed = self._candidate_timed = False
        if thread is not None:
            thread.start()
        super().end_turn()
        if thread is not None:
            thread.start()

    def settled(self) -> None:
        """Answer by the stable version what the candidate did not, beyond a turn of the loop."""
        if self.served is not None:
            self.served.rows.end_turn()

    # Addresses

    def version_routes(self) -> dict[str, Route]:
        """Return the addresses of requests that name their version."""
        model, limit = f"/v2/models/{self.task.model_name}", self.limits.body_bytes
        assert self.task.candidate is not None
        stable, candidate = (f"{model}/versions/{one.version}" for one in (self.task, self.task.candidate))
        return {
            f"{stable}/infer": with_body("infer", self.infer_stable, limit),
            f"{stable}/predict": with_body("infer", self._predict_stable, limit),
            f"{candidate}/infer": with_body("infer", self.infer_candidate, limit),
            f"{candidate}/predict": with_body("infer", self._predict_candidate, limit),
            f"{candidate}/ready": Route("health", get=self._candidate_ready),
            candidate: Route("model", get=self._candidate_metadata),
            f"{candidate}/config": Route("model", get=self._candidate_configuration),
            f"{candidate}/stats": Route("model", get=lambda: json_answer(200, {"model_stats": self.statistics()[1:]})),
        }

    def statistics(self) -> list[dict[str, Any]]:
        """See Application: what the candidate has answered is not the stable version's."""
        (stable,), candidate = super().statistics(), self.candidate
        if candidate is None:
            return [stable]
        counts, thread = candidate.counts, candidate.thread
        stable["inference_count"] -= counts.rows
        success = stable["inference_stats"]["success"]
        success["count"] -= counts.succeeded
        success["ns"] -= round(1e9 * counts.succeeded_seconds)
        runs = 0 if thread is None else thread.runs
        return [stable, model_statistics(self.task, counts.version, counts.rows, runs, counts.inference())]

    def _candidate_metadata(self) -> HttpAnswer:
        return json_answer(200, self.candidate_description().interface.metadata() | {"versions": self.versions})

    def _candidate_configuration(self) -> HttpAnswer:
        return json_answer(200, configuration(self.candidate_description()))

    def answering_model(self) -> CandidateModel:
        """Return the model of a candidate that answers. Raises RequestError with what keeps it from that."""
        model, candidate = self._loaded_candidate(), self.candidate
        if candidate is not None and candidate.state == STUCK:
            version = candidate.given.version
            raise unavailable(f"version {version} is stuck in a request, and takes no more until that is answered")
        return model

    @property
    def is_candidate_ready(self) -> bool:
        """Whether the candidate answers."""
        try:
            self.answering_model()
        except RequestError:
            return False
        return True

    def candidate_description(self) -> ModelDescription:
        """Return what has to be known to ask the candidate. Raises RequestError until it is loaded."""
        return self._loaded_candidate().description

    def _loaded_candidate(self) -> CandidateModel:
        self.model()
        candidate, version = self.candidate, self.task.candidate and self.task.candidate.version
        if candidate is not None and candidate.refusal is not None:
            reason, message = candidate.refusal
            raise unavailable(f"version {version} is refused: {reason}: {message}", retry_seconds=60)
        if candidate is None or candidate.model is None:
            raise unavailable(f"version {version} is being loaded")
        return candidate.model

    def _candidate_ready(self) -> HttpAnswer:
        self.answering_model()
        return json_answer(200, {"name": self.task.model_name, "ready": True})

    # Requests that name their version

    def infer_stable(self, exchange: Exchange, read: Read | None = None) -> None:
        """Answer by the stable version. Raises RequestError."""
        exchange.assigned = Assignment()
        super().infer(exchange, read)

    def _predict_stable(self, exchange: Exchange) -> None:
        self.infer_stable(exchange, self.model().read_objects)

    def infer_candidate(self, exchange: Exchange, read: Read | None = None) -> None:
        """Answer by the candidate or not at all. Raises RequestError."""
        model, candidate = self.answering_model(), self.candidate
        assert candidate is not None
        own = model.answering.read if model.lone is None else model.answering.read_row
        request = (read or own)(exchange.body, exchange.header_length)
        self._ask_named(candidate, request, exchange)

    def _predict_candidate(self, exchange: Exchange) -> None:
        model = self.answering_model()
        answering = model.answering
        self.infer_candidate(exchange, answering.read_objects if model.lone is None else answering.read_object)

    def _ask_named(self, candidate: ServedCandidate, request: Request, exchange: Exchange) -> None:
        thread, since = candidate.thread, exchange.ready_at
        assert thread is not None
        exchange.assigned = Assignment()
        if isinstance(request, InferenceRequest) and request.rows > INLINE_ROWS:
            self.model().make_room(request.rows, exchange.hold)

        def settled(piece: Piece) -> None:
            found: Written | BaseException
            if piece.failure is not None:
                found = unavailable(f"version {candidate.given.version} did not answer in time")
            elif isinstance(piece.found, BaseException):
                found = told(piece.found)
            else:
                assert piece.found is not None
                found = self._written(candidate, request, piece.found)
                candidate.counts.rows += piece.rows
                self.metrics.rows += piece.rows
            self._answered(_asked(exchange, request, since), found)

        if (why := thread.ask(candidate.own_piece(request, settled))) is not None:
            raise unavailable(f"version {candidate.given.version} takes no more requests now: {why}")
        exchange.is_busy = True

    # Requests that name none

    def infer(self, exchange: Exchange, read: Read | None = None) -> None:
        """See Application; which version answers is chosen here."""
        served, candidate = self.model(), self.candidate
        if time.perf_counter() - exchange.ready_at > 0.001 * self.limits.wait_milliseconds:
            raise late(0.001 * self.limits.wait_milliseconds)
        request = (read or served.read)(exchange.body, exchange.header_length)
        if candidate is None or candidate.state == LOADING:
            self._ask_stable(served, request, exchange, Assignment(), exchange.ready_at)
            return
        choice = self._share.choose(exchange.headers, request.id)
        if choice.is_candidates:
            self._ask_candidate(candidate, served, request, exchange)
            return
        assigned = Assignment(is_counted=True, is_timed=not self._stable_timed)
        self._stable_timed = True
        if choice.is_shadowed:
            assigned.shadowed = request
        self._ask_stable(served, request, exchange, assigned, exchange.ready_at)

    def _ask_candidate(self, candidate: ServedCandidate, served: Served, request: Request, exchange: Exchange) -> None:
        if candidate.refusal is not None:
            self._fall_back(served, request, exchange, candidate.refusal[0])
            return
        thread, arrived, rows = candidate.thread, time.time_ns() // 1000, _rows(request)
        assert thread is not None
        if rows > INLINE_ROWS:
            served.make_room(rows, exchange.hold)

        def settled(piece: Piece) -> None:
            self._candidate_settled(candidate, request, exchange, piece, arrived)

        why = thread.ask(candidate.piece(request, settled, is_timed=not self._candidate_timed))
        self._candidate_timed = True
        if why is None:
            exchange.is_busy = True
            return
        if rows > INLINE_ROWS:
            exchange.hold.give(rows * served.row_bytes)
        self._fall_back(served, request, exchange, why)

    def _candidate_settled(
        self, candidate: ServedCandidate, request: Request, exchange: Exchange, piece: Piece, arrived: int
    ) -> None:
        """Answer by what the candidate found, or else by the stable version."""
        found, failure = piece.found, piece.failure
        if exchange.is_answered:
            # Its client has gone, maybe for having waited too long: that counts, but nobody is to be answered.
            self._count_left(candidate, piece)
            exchange.finish()
            return
        if failure is None and isinstance(found, RowAnswer | Prediction):
            written = self._written(candidate, request, found, arrived)
            if not isinstance(written, BaseException):
                candidate.counts.answered(piece.seconds)
                candidate.counts.succeeded += 1
                candidate.counts.succeeded_seconds += time.perf_counter() - exchange.started
                super()._answered(_asked(exchange, request, exchange.ready_at), written)
                return
            found = written
        if failure is None:
            failure = candidate_failure(found) if isinstance(found, BaseException) else RAISED
        served = self.model()
        if piece.rows > INLINE_ROWS:
            exchange.hold.give(piece.rows * served.row_bytes)
        try:
            self._fall_back(served, request, exchange, failure, found)
        except BaseException as error:
            if not is_fault(error):
                raise
            self._fail(exchange, error)
            exchange.finish()

    @staticmethod
    def _count_left(candidate: ServedCandidate, piece: Piece) -> None:
        found = piece.found
        if piece.failure is not None:
            candidate.failed(piece.failure)
        elif not isinstance(found, BaseException):
            candidate.counts.answered(piece.seconds)
        elif not isinstance(found, OutsideRequest):
            candidate.failed(candidate_failure(found), found)

    @staticmethod
    def _written(
        candidate: ServedCandidate, request: Request, found: RowAnswer | Prediction, arrived: int | None = None
    ) -> Written | BaseException:
        """Return the body of an answer that is recorded, if it is said when its request came; or why there is none."""
        try:
            written = candidate.written(request, found)
            if arrived is not None:
                candidate.record(request, found, arrived)
            return written
        except BaseException as error:
            if not is_fault(error):
                raise
            return error

    # The stable version

    def _fall_back(
        self, served: Served, request: Request, exchange: Exchange, failure: str, error: object = None
    ) -> None:
        """Answer by the stable version what the candidate did not. Raises RequestError."""
        candidate, now = self.candidate, time.perf_counter()
        if candidate is not None:
            candidate.counts.failed_requests += 1
            candidate.counts.failed_seconds += now - exchange.started
        # It waits for this version from now on.
        self._ask_stable(served, request, exchange, Assignment(failure=failure, error=error), now)

    def _ask_stable(
        self, served: Served, request: Request, exchange: Exchange, assigned: Assignment, since: float
    ) -> None:
        exchange.assigned = assigned
        try:
            if isinstance(request, RowRequest):
                begun = time.thread_time() if assigned.is_timed else 0.0
                served.ask(request, exchange, since)
                if assigned.is_timed:
                    assigned.seconds = time.thread_time() - begun
                return
            predict = _timed(served, assigned)
            if served.is_quick(request):
                self._answered(_asked(exchange, request, since), served.infer_now(request, predict))
                return
        except BaseException as error:
            if is_fault(error):
                self._count(assigned, error)
            raise
        self._later(exchange, self._predicted_by_stable(served, request, exchange, predict))

    async def _predicted_by_stable(
        self, served: Served, request: InferenceRequest, exchange: Exchange, predict: Predict | None
    ) -> HttpAnswer:
        try:
            written = await served.infer_later(request, exchange.hold, lambda: exchange.is_answered, predict)
        except BaseException as error:
            if is_fault(error) and not exchange.is_answered:
                self._count(exchange.assigned, error)
            raise
        if not exchange.is_answered:
            self._count(exchange.assigned, None)
            self._shadow_soon(exchange.assigned)
        return inferred(written)

    def _answered(self, asked: Asked, found: Written | BaseException) -> None:
        """See Application."""
        assigned: Assignment = asked.exchange.assigned
        if not asked.exchange.is_answered:
            self._count(assigned, found if isinstance(found, BaseException) else None)
        super()._answered(asked, found)
        if assigned.shadowed is not None and not isinstance(found, BaseException):
            self._shadow(assigned.shadowed, asked.arrived)

    def _count(self, assigned: Assignment, error: BaseException | None) -> None:
        """Count what has become of a request that the stable version was given."""
        candidate = self.candidate
        if candidate is None or isinstance(error, OutsideRequest):
            # No version is to answer such rows.
            return
        if assigned.failure is not None:
            candidate.failed(assigned.failure, assigned.error)
        elif assigned.is_counted and error is None:
            candidate.stable_counts.answered(assigned.seconds if assigned.is_timed else None)
        elif assigned.is_counted and error is not None and (failure := failure_of(error)) is not None:
            candidate.stable_counts.failed(failure)

    # The shadow

    def _shadow_soon(self, assigned: Assignment) -> None:
        """Shadow a request when its answer, which is there now, has gone out."""
        if (request := assigned.shadowed) is not None:
            asyncio.get_running_loop().call_soon(self._shadow_now, request, time.time_ns() // 1000)

    def _shadow_now(self, request: Request, arrived: int) -> None:
        self._shadow(request, arrived)
        thread = self.candidate.thread if self.candidate is not None else None
        if thread is not None:
            thread.start()

    def _shadow(self, request: Request, arrived: int) -> None:
        """Have the candidate answer a request for the record, when nobody waits for it."""
        candidate = self.candidate
        assert candidate is not None
        if candidate.refusal is not None:
            candidate.failed(candidate.refusal[0])
            return
        thread, rows = candidate.thread, _rows(request)
        assert thread is not None

        def settled(piece: Piece) -> None:
            if isinstance(piece.found, BaseException):
                candidate.failed(candidate_failure(piece.found), piece.found)
                return
            candidate.counts.answered(piece.seconds)
            candidate.record_shadow(request, piece.found, arrived)

        size = _SHADOW_BYTES + rows * self.model().row_bytes + _text_bytes(request)
        piece = candidate.piece(request, settled, is_timed=not self._candidate_timed, size=size)
        self._candidate_timed = True
        if not candidate.takes_shadow(rows) or not thread.shadow(piece):
            candidate.dropped_shadows += 1


class GuardedSharedApplication(GuardedApplication, SharedApplication):
    """The same, of a stage that asks who a request is from."""


_SHADOW_BYTES: Final = 1024


def _rows(request: Request) -> int:
    return request.rows if isinstance(request, InferenceRequest) else 1


def _text_bytes(request: Request) -> int:
    """Return about what the texts of a request take."""
    if isinstance(request, RowRequest):
        return sum(len(value) for value in request.row if isinstance(value, str))
    columns = (values for values in request.inputs.values() if values.dtype == object)
    return sum(len(value) for values in columns for value in values.tolist() if isinstance(value, str))


def _asked(exchange: Exchange, request: Request, since: float) -> Asked:
    row = request.row if isinstance(request, RowRequest) else []
    return Asked(exchange, request, row, time.time_ns() // 1000, since)  # type: ignore[arg-type]


def _timed(served: Served, assigned: Assignment) -> Predict | None:
    """Return what measures the prediction of a request of several rows; None if it is not to be measured."""
    if not assigned.is_timed:
        return None

    def predict(inputs: Any) -> Prediction:
        begun = time.thread_time()
        try:
            return served.answering.answer(inputs)
        finally:
            assigned.seconds = time.thread_time() - begun

    return predict
