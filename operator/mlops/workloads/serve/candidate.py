"""The version that answers a share of a stage's requests beside the stable one: loaded, asked, recorded, counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from mlops.api.pod_environment import ServerLimits
from mlops.api.serving_task import ServeCandidate, ServeTask
from mlops.workloads.floor.log import fail, say, warn
from mlops.workloads.floor.model.lone_rows import LoneRows, Row, RowAnswer
from mlops.workloads.floor.model.missing import array_of_values
from mlops.workloads.floor.model.opening import Loaded
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.tally import tallies_prefix
from mlops.workloads.serve.answering import Answering, OutsideRequest, refused
from mlops.workloads.serve.candidate_thread import CandidateThread, Piece
from mlops.workloads.serve.captured_rows import ROW_BYTES, CapturedRequest, CapturedRow, packed
from mlops.workloads.serve.compatible import incompatibility
from mlops.workloads.serve.errors import RequestError
from mlops.workloads.serve.inference import InferenceRequest
from mlops.workloads.serve.metrics import CANDIDATE_STATES, Metrics
from mlops.workloads.serve.model_description import description_of
from mlops.workloads.serve.record_plan import RecordPlan
from mlops.workloads.serve.recorder import Recorder, Sink
from mlops.workloads.serve.row_request import RowRequest
from mlops.workloads.serve.rows import Written
from mlops.workloads.serve.served import Served, captured_request
from mlops.workloads.serve.tallies import TallyFiles, VersionCounts

# How long an answer may take: this, and so many times as long as the stable version takes for as many rows one by one.
LEAST_SECONDS: Final = 0.2
TIMES_STABLE: Final = 3.0
# What the stable version answers in less is taken for the shadow while others wait for the candidate too.
_SHADOW_SECONDS: Final = 0.05
_SHADOW_BYTES: Final = 8 << 20
# Words for what is no reason of a condition.
OUTSIDE_TRAINING: Final = "OutsideTraining"
OVERLOADED: Final = "Overloaded"
RAISED: Final = "Raised"
UNAVAILABLE_STATUS: Final = 503
LOADING, READY, STUCK, REFUSED = CANDIDATE_STATES


class CandidateModel:
    """A loaded candidate as its thread asks it."""

    def __init__(
        self, task: ServeTask, given: ServeCandidate, loaded: Loaded, lone: LoneRows | None, limits: ServerLimits
    ) -> None:
        own = task.evolve(version=given.version, artifact=given.artifact, object_name=given.object_name)
        signature = loaded.predictor.signature
        self.answering = Answering(own, loaded, limits)
        self.description = description_of(signature, self.answering.interface, limits.rows)
        self.signature, self.lone = signature, lone
        self.most = lone.most if lone is not None else 1

    def answer(self, batch: Sequence[Piece]) -> None:
        """See candidate_thread.Work."""
        if batch[0].row is None:
            self._answer_columns(batch[0])
            return
        assert self.lone is not None
        rows: list[Row] = []
        asked: list[Piece] = []
        for piece in batch:
            assert piece.row is not None
            begun = time.thread_time()
            try:
                row = self.answering.completed(self.lone, piece.row) if self.lone.changes_rows else piece.row
                if piece.is_timed:
                    # Alone, as the stable version's are measured: rows of one run share what the run itself takes.
                    piece.found = self.lone.answer([row])[0]
                    piece.seconds = time.thread_time() - begun
                    continue
            except BaseException as error:  # noqa: BLE001
                piece.found = error
                continue
            rows.append(row)
            asked.append(piece)
        for piece, found in zip(asked, self._found(rows), strict=True):
            piece.found = found

    def _answer_columns(self, piece: Piece) -> None:
        begun = time.thread_time()
        try:
            inputs = self._columns(piece.request)
            piece.found = self.answering.answer(inputs)
        except BaseException as error:  # noqa: BLE001
            piece.found = error
        if piece.is_timed:
            piece.seconds = time.thread_time() - begun

    def _columns(self, request: RowRequest | InferenceRequest) -> dict[str, Any]:
        if isinstance(request, RowRequest):
            raise AssertionError("a row was put as columns")
        return {one.name: request.inputs[one.name] for one in self.signature.inputs}

    def _found(self, rows: Sequence[Row]) -> Sequence[RowAnswer | BaseException]:
        if not rows:
            return []
        assert self.lone is not None
        try:
            return self.lone.answer(rows)
        except BaseException as error:  # noqa: BLE001
            if len(rows) == 1:
                return [error]
            # One of them is the cause. The others are to have their answers.
            return [found for row in rows for found in self._found([row])]


class ServedCandidate:
    """The candidate of a stage, from before it is loaded. For the event loop's thread."""

    def __init__(
        self,
        task: ServeTask,
        given: ServeCandidate,
        served: Served,
        *,
        sink: Sink,
        limits: ServerLimits,
        metrics: Metrics,
        host: str,
    ) -> None:
        self._task, self.given, self._served, self._limits, self._metrics = task, given, served, limits, metrics
        self.model: CandidateModel | None = None
        self.thread: CandidateThread | None = None
        # Why it answers nothing: reason and message.
        self.refusal: tuple[str, str] | None = None
        self.counts = VersionCounts(given.version, given.artifact)
        self.stable_counts = VersionCounts(task.version, task.artifact)
        self.dropped_shadows = 0
        self._told: set[str] = set()
        self._slots: list[int] | None = None
        self._shadow_chosen = served.chosen.forgetful()
        self._plan = replace(served.plan, version=given.version, digest=given.artifact)
        encoder = served.encoder
        # The same account of bytes: whichever of the two answers, as much may wait for the store as before.
        self.captures = _recorder(
            task, sink, limits, "candidate", lambda items: encoder.captures(items, self._plan),
            waiting=served.captures,
        )  # fmt: skip
        self.shadows = _recorder(
            task, sink, limits, "shadow", lambda items: encoder.captures(items, replace(self._plan, shadow=True))
        )
        prefix = tallies_prefix(task.namespace, task.model_name, task.stage)
        self.tallies = TallyFiles(
            sink, prefix, host, (self.stable_counts, self.counts), flush_seconds=task.capture.flush_seconds
        )
        metrics.recorders = {**metrics.recorders, "candidate": self.captures, "shadow": self.shadows}

    @property
    def state(self) -> str:
        """Return whether it is loading, ready, stuck or refused."""
        if self.refusal is not None:
            return REFUSED
        if self.thread is None:
            return LOADING
        return STUCK if self.thread.is_stuck else READY

    def take(self, loaded: Loaded, lone: LoneRows | None, settled: Callable[[], None]) -> None:
        """Answer by this model from now on, or refuse it; `settled` is called after answers beyond a turn."""
        model = CandidateModel(self._task, self.given, loaded, lone, self._limits)
        if problem := incompatibility(self._served.description, model.description):
            self.refuse("Incompatible", problem)
            return
        personal = {one.name for one in model.signature.inputs if one.pii}
        self._plan = _redacted(self._plan, personal)
        places = {column.name: slot for slot, column in enumerate(self._served.interface.inputs)}
        slots = [places[one.name] for one in model.signature.inputs]
        self._slots = None if slots == list(range(len(places))) else slots
        self.model = model
        self.thread = CandidateThread(
            model,
            most=self._limits.connections,
            seconds_of=self.seconds_of,
            wait_seconds=self._limits.wait_milliseconds / 1000,
            shadow_bytes=_SHADOW_BYTES,
            settled=settled,
        )
        weight, shadow = self.given.weight, self.given.shadow_percent
        also = f", and {shadow} % of the others for the record only" if shadow else ""
        say(f"candidate version {self.given.version} is ready: it answers {weight} % of the requests{also}")

    def refuse(self, reason: str, message: str) -> None:
        """Never ask it: each request that it should have had counts as failed with this reason."""
        # Of an enumeration the text itself, as files have it.
        self.refusal = str(reason), message
        warn(f"candidate version {self.given.version} is refused, version {self._task.version} answers in its place: "
             f"{reason}: {message}")  # fmt: skip

    def failed(self, reason: str, error: object = None) -> None:
        """Count a request that it should have answered and did not, and tell of the first for each reason."""
        self.counts.failed(reason)
        if reason in self._told or self.refusal is not None:
            return
        self._told.add(reason)
        message = (
            f"candidate version {self.given.version} did not answer a request that version {self._task.version} was "
            f"then asked: {reason}; what follows of this is counted only (mlops_version_failures_total)"
        )
        if reason == RAISED and isinstance(error, BaseException):
            fail(message, error)
        else:
            warn(message)

    def seconds_of(self, rows: int) -> float:
        """Return how long it may take for so many rows."""
        return LEAST_SECONDS + TIMES_STABLE * rows * self._served.one_row_seconds

    def piece(
        self, request: RowRequest | InferenceRequest, settled: Callable[[Piece], None], *, is_timed: bool, size: int = 0
    ) -> Piece:
        """Return what its thread is asked for a request of the stable version's form."""
        assert self.model is not None
        if not isinstance(request, RowRequest):
            return Piece(request, None, settled, is_timed=is_timed, size=size)
        if self.model.lone is None:
            return Piece(self._as_columns(request), None, settled, is_timed=is_timed, size=size)
        row = request.row if self._slots is None else [request.row[slot] for slot in self._slots]
        return Piece(request, row, settled, is_timed=is_timed, size=size)

    def _as_columns(self, request: RowRequest) -> InferenceRequest:
        fields = zip(self._served.interface.inputs, request.row, strict=True)
        columns = {column.name: array_of_values(column.type, [value]) for column, value in fields}
        return InferenceRequest(request.id, 1, columns, request.event_time, request.outputs)

    def own_piece(self, request: RowRequest | InferenceRequest, settled: Callable[[Piece], None]) -> Piece:
        """Return what its thread is asked for a request that was read in its own form."""
        row = request.row if isinstance(request, RowRequest) else None
        return Piece(request, row, settled, is_timed=False)

    def written(self, request: RowRequest | InferenceRequest, found: RowAnswer | Prediction) -> Written:
        """Return the body of its answer."""
        assert self.model is not None
        answering = self.model.answering
        if isinstance(found, RowAnswer):
            assert isinstance(request, RowRequest)
            return answering.written_row(request, found)
        if isinstance(request, RowRequest):
            request = InferenceRequest(request.id, 1, {}, request.event_time, request.outputs)
        return answering.written(request, found)

    def record(self, request: RowRequest | InferenceRequest, found: RowAnswer | Prediction, arrived: int) -> None:
        """Record an answer that was returned, if it is chosen; it came at `arrived`, in microseconds since 1970."""
        rows = request.rows if isinstance(request, InferenceRequest) else 1
        self.counts.rows += rows
        self._metrics.rows += rows
        if self._served.is_chosen(request.id, rows):
            _add(self.captures, self._as_recorded(request, found), found, arrived)

    def record_shadow(self, request: RowRequest | InferenceRequest, found: Any, arrived: int) -> None:
        """Record an answer that was not returned, if that to its request is recorded."""
        if self._shadow_chosen.is_sampled(request.id) and self._shadow_chosen.is_first(request.id):
            _add(self.shadows, self._as_recorded(request, found), found, arrived)

    def _as_recorded(self, request: RowRequest | InferenceRequest, found: Any) -> RowRequest | InferenceRequest:
        is_lone = isinstance(request, RowRequest) and not isinstance(found, RowAnswer)
        return self._as_columns(request) if is_lone and isinstance(request, RowRequest) else request

    def takes_shadow(self, rows: int) -> bool:
        """Whether the shadow of a request of so many rows would hold up nobody for long."""
        return not self.given.weight or rows * self._served.one_row_seconds <= _SHADOW_SECONDS

    @property
    def recorders(self) -> list[Recorder[CapturedRequest | CapturedRow]]:
        """Return what its rows wait in."""
        return [self.captures, self.shadows]

    async def flush_until(self, deadline: float) -> int:
        """Store everything, trying until `deadline` (of time.monotonic); return the rows that could not be stored."""
        *lost, is_stored = await asyncio.gather(
            *(one.flush_until(deadline) for one in self.recorders), self.tallies.flush_until(deadline)
        )
        if not is_stored:
            warn("tallies: what was counted since they were last stored is lost: the store did not take it")
        return sum(lost)

    def close(self) -> None:
        """Ask it nothing more."""
        if self.thread is not None:
            self.thread.close()


def failure_of(error: BaseException) -> str | None:
    """Return why a version did not answer, in one word; None if that is the client's doing."""
    if isinstance(error, RequestError):
        if isinstance(error.__cause__, BadInput):
            return str(error.__cause__.reason)
        return OVERLOADED if error.status == UNAVAILABLE_STATUS else None
    return str(error.reason) if isinstance(error, BadInput) else RAISED


def candidate_failure(error: BaseException) -> str:
    """Return the same of the candidate, which has to answer whatever the stable version answers."""
    return OUTSIDE_TRAINING if isinstance(error, OutsideRequest) else failure_of(error) or RAISED


def told(error: BaseException) -> BaseException:
    """Return what a client who asked for the candidate by its version is told."""
    return refused(error) if isinstance(error, BadInput) else error


def _redacted(plan: RecordPlan, personal: set[str]) -> RecordPlan:
    inputs = (replace(one, redacted=True) if one.name in personal else one for one in plan.inputs)
    return replace(plan, inputs=tuple(inputs))


def _add(
    recorder: Recorder[CapturedRequest | CapturedRow], request: RowRequest | InferenceRequest, found: Any, arrived: int
) -> None:
    if isinstance(request, RowRequest):
        event_time = arrived if request.event_time is None else request.event_time
        row = packed(request.id, arrived, event_time, request.row, found)
        recorder.add(row, 1, ROW_BYTES + len(row))
        return
    captured = captured_request(request, found, arrived)
    recorder.add(captured, request.rows, captured.size)


def _recorder(
    task: ServeTask, sink: Sink, limits: ServerLimits, name: str, encode: Any, waiting: Recorder[Any] | None = None
) -> Recorder[CapturedRequest | CapturedRow]:
    return Recorder(
        sink,
        encode,
        flush_rows=limits.capture_rows,
        flush_seconds=task.capture.flush_seconds,
        max_bytes=limits.capture_bytes if waiting else limits.capture_bytes // 4,
        name=name,
        waiting=waiting.waiting if waiting else None,
    )
