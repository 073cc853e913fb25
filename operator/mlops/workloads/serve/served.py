"""A loaded and checked model at work: predict, record, take labels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from mlops.api.pod_environment import ServerLimits
from mlops.api.serving_task import ServeTask
from mlops.workloads.floor.model.lone_rows import LoneRows, RowAnswer
from mlops.workloads.floor.model.opening import Loaded
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.serve.answering import Answering, OutsideRequest
from mlops.workloads.serve.budget import Hold
from mlops.workloads.serve.captured_rows import ROW_BYTES, CapturedRequest, CapturedRow, packed
from mlops.workloads.serve.chosen import Chosen
from mlops.workloads.serve.encoder import EncodingProcess, plan_of
from mlops.workloads.serve.errors import RequestError, unavailable
from mlops.workloads.serve.feedback import FeedbackReader, Label
from mlops.workloads.serve.inference import InferenceRequest
from mlops.workloads.serve.line import Line, left
from mlops.workloads.serve.metrics import Metrics
from mlops.workloads.serve.model_description import description_of
from mlops.workloads.serve.recorder import Recorder, Sink
from mlops.workloads.serve.row_request import RowRequest
from mlops.workloads.serve.rows import Asked, RowBatches, Written
from mlops.workloads.serve.tensors import Array

# Longer predictions go to a thread, so that health checks and other clients are answered meanwhile.
INLINE_SECONDS: Final = 0.001
INLINE_ROWS: Final = 64


Predict = Callable[[Mapping[str, Array]], Prediction]


def captured_request(request: InferenceRequest, answer: Prediction, arrived: int) -> CapturedRequest:
    """Return what is recorded of an answered request that came at `arrived`, in microseconds since 1970."""
    return CapturedRequest(
        id=request.id,
        rows=request.rows,
        arrived=arrived,
        time=arrived if request.event_time is None else request.event_time,
        inputs=request.inputs,
        prediction=answer.prediction,
        probabilities=answer.probabilities,
    )


class Served:
    """One model version. For the event loop's thread; predictions run one at a time, as a Predictor demands.

    `lone` answers requests of one row, several at a time; None: each request is answered by itself. `batches` is what
    answers them together, and `id_maker` names requests that have no id.
    """

    def __init__(
        self,
        task: ServeTask,
        loaded: Loaded,
        *,
        one_row_seconds: float,
        lone: LoneRows | None = None,
        sink: Sink,
        limits: ServerLimits,
        metrics: Metrics,
        host: str,
        sampling_key: bytes,
        batches: type[RowBatches] = RowBatches,
        id_maker: Callable[[], str] | None = None,
    ) -> None:
        signature = loaded.predictor.signature
        self.answering = Answering(task, loaded, limits, id_maker)
        self.interface = self.answering.interface
        self.description = description_of(signature, self.interface, limits.rows)
        self._limits, self._metrics = limits, metrics
        self.chosen = Chosen(task.capture.percent, sampling_key)
        self.one_row_seconds = one_row_seconds
        self._reader = FeedbackReader(signature, limits.rows, limits.buffered_bytes)
        # A row as numbers: inputs, outputs, and an output as text.
        self.row_bytes = 8 * len(self.interface.inputs) + 32 * sum(width for _, _, width in self.interface.outputs)
        self._inline_rows = INLINE_ROWS if one_row_seconds < INLINE_SECONDS else 0
        self._line = Line(limits.concurrency, limits.wait_milliseconds / 1000)
        self._lone = lone
        # Whether requests of one row are answered as such, several at a time.
        self.takes_rows = lone is not None
        # Returns the request in a body. Raises RequestError.
        self.read: Callable[[bytes | bytearray, int | None], InferenceRequest | RowRequest] = (
            self.answering.read if lone is None else self.answering.read_row
        )
        # The same of a body whose rows are JSON objects.
        self.read_objects: Callable[[bytes | bytearray, int | None], InferenceRequest | RowRequest] = (
            self.answering.read_objects if lone is None else self.answering.read_object
        )
        self.rows = batches(
            lone or LoneRows(loaded.predictor), self._line, self._done, is_quick=one_row_seconds < INLINE_SECONDS
        )
        self.plan = plan_of(task, signature, host)
        self.encoder = EncodingProcess(self.plan)
        self.captures: Recorder[CapturedRequest | CapturedRow] = Recorder(
            sink,
            self.encoder.captures,
            flush_rows=limits.capture_rows,
            flush_seconds=task.capture.flush_seconds,
            max_bytes=limits.capture_bytes,
            name="captures",
        )
        self.labels: Recorder[list[Label]] = Recorder(
            sink,
            self.encoder.labels,
            flush_rows=limits.capture_rows,
            flush_seconds=task.capture.flush_seconds,
            max_bytes=limits.capture_bytes // 4,
            name="labels",
        )
        metrics.recorders = {"captures": self.captures, "labels": self.labels}
        metrics.encoder = self.encoder

    @property
    def runs(self) -> int:
        """How often the model has answered, one row or several."""
        return self._metrics.runs + self.rows.runs

    def ask(self, request: RowRequest, exchange: Any, since: float) -> None:
        """Take a request of one row that waits `since`, to be answered at the end of this turn. Raises RequestError."""
        arrived = time.time_ns() // 1000
        if self._lone is None:
            raise AssertionError("read has given a row that nothing answers")
        row = request.row
        if self._lone.changes_rows:
            try:
                row = self.answering.completed(self._lone, row)
            except OutsideRequest:
                self._metrics.outside_rows += 1
                raise
        self.rows.add(Asked(exchange, request, row, arrived, since))

    def is_quick(self, request: InferenceRequest) -> bool:
        """Whether it can be answered at once."""
        return request.rows <= self._inline_rows and self._line.is_empty

    async def infer(self, body: bytes, header_length: int | None, hold: Hold) -> Written:
        """Answer one request as one of several rows is answered. Raises RequestError."""
        request = self.answering.read(body, header_length)
        return self.infer_now(request) if self.is_quick(request) else await self.infer_later(request, hold)

    def infer_now(self, request: InferenceRequest, predict: Predict | None = None) -> Written:
        """Answer a request that is quick, by `predict` in the place of the model itself. Raises RequestError."""
        arrived = time.time_ns() // 1000
        try:
            answer = (predict or self.answering.answer)(request.inputs)
        except OutsideRequest:
            self._metrics.outside_rows += request.rows
            raise
        return self._recorded(request, answer, arrived)

    async def infer_later(
        self,
        request: InferenceRequest,
        hold: Hold,
        has_left: Callable[[], bool] = lambda: False,
        predict: Predict | None = None,
    ) -> Written:
        """Answer a request when its turn comes, unless its client has left by then. Raises RequestError."""

        def answered() -> Prediction:
            if has_left():
                raise left()
            return (predict or self.answering.answer)(request.inputs)

        arrived = time.time_ns() // 1000
        if request.rows > INLINE_ROWS:
            self.make_room(request.rows, hold)
        self._line.check()
        try:
            answer = await self._line.run(answered)
        except OutsideRequest:
            self._metrics.outside_rows += request.rows
            raise
        return self._recorded(request, answer, arrived)

    def _recorded(self, request: InferenceRequest, answer: Prediction, arrived: int) -> Written:
        written = self.answering.written(request, answer)
        self._metrics.rows += request.rows
        self._metrics.runs += 1
        self._record(request, answer, arrived)
        return written

    def _done(self, asked: Asked, answer: RowAnswer) -> Written:
        """Write and record the answer to a row."""
        request = asked.request
        written = self.answering.written_row(request, answer)
        self._metrics.rows += 1
        if self.is_chosen(request.id, 1):
            event_time = asked.arrived if request.event_time is None else request.event_time
            captured = packed(request.id, asked.arrived, event_time, request.row, answer)
            self.captures.add(captured, 1, ROW_BYTES + len(captured))
        return written

    def make_room(self, rows: int, hold: Hold) -> None:
        """Take what the answers to so many rows need. Raises RequestError."""
        size = rows * self.row_bytes
        if size > self._limits.buffered_bytes:
            most = self._limits.buffered_bytes // self.row_bytes
            raise RequestError(413, f"{rows} rows have larger answers than fit here; send at most {most} in a request")
        if not hold.take(size):
            raise unavailable("too many large requests at a time; send fewer at once")

    def _record(self, request: InferenceRequest, answer: Prediction, arrived: int) -> None:
        if self.is_chosen(request.id, request.rows):
            captured = captured_request(request, answer, arrived)
            self.captures.add(captured, request.rows, captured.size)

    def is_chosen(self, identity: str, rows: int) -> bool:
        """Whether a request is to be recorded."""
        if not self.chosen.is_sampled(identity):
            return False
        if not self.chosen.is_first(identity):
            self._metrics.repeated_rows += rows
            return False
        return True

    def feedback(self, body: bytes | bytearray) -> tuple[int, int]:
        """Take labels; return how many, and how many of them are of a class that is new. Raises RequestError."""
        labels = self._reader.read(body, time.time_ns() // 1000)
        size, most = sum(label.size for label in labels), self.labels.waiting.limit
        if size > most:
            raise RequestError(
                413, f"{len(labels)} labels take {size} bytes, at most {most} may wait: send them in parts"
            )
        if not self.labels.add(labels, len(labels), size):
            raise unavailable("too many labels wait for the store; send these again later", retry_seconds=5)
        new = sum(not label.known for label in labels)
        self._metrics.unknown_labels += new
        return len(labels), new

    async def flush(self) -> dict[str, Any]:
        """Store everything that was taken so far and say how much that was. Raises StoreError."""
        captures = await self.captures.flush()
        labels = await self.labels.flush()
        return {
            "captures": {"rows": captures.rows, "files": captures.files},
            "labels": {"rows": labels.rows, "files": labels.files},
        }

    async def flush_until(self, deadline: float) -> int:
        """Store everything, trying until `deadline` (of time.monotonic); return the rows that could not be stored."""
        return sum(await asyncio.gather(self.captures.flush_until(deadline), self.labels.flush_until(deadline)))

    def close(self) -> None:
        """End what encodes records."""
        self.encoder.close()
