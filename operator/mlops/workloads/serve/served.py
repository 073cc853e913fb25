"""A loaded and checked model at work: predict, record, take labels."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from mlops.api import tasks
from mlops.api.pod_environment import ServerLimits
from mlops.workloads.floor.model.opening import Loaded
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.serve.answering import Answering, OutsideRequest
from mlops.workloads.serve.budget import Hold
from mlops.workloads.serve.capture import CapturedRequest, CaptureEncoder, Chosen, FileNames
from mlops.workloads.serve.errors import RequestError, unavailable
from mlops.workloads.serve.feedback import FeedbackEncoder, FeedbackReader, Label
from mlops.workloads.serve.inference import InferenceRequest
from mlops.workloads.serve.metrics import Metrics
from mlops.workloads.serve.recorder import Recorder, Sink
from mlops.workloads.serve.tensors import Array

# Longer predictions go to a thread, so that health checks and other clients are answered meanwhile.
INLINE_SECONDS: Final = 0.001
INLINE_ROWS: Final = 64


class Served:
    """One model version. For the event loop's thread; predictions run one at a time, as a Predictor demands."""

    def __init__(
        self,
        task: tasks.ServeTask,
        loaded: Loaded,
        *,
        one_row_seconds: float,
        sink: Sink,
        limits: ServerLimits,
        metrics: Metrics,
        host: str,
        sampling_key: bytes,
    ) -> None:
        signature = loaded.predictor.signature
        self._answering = Answering(task, loaded, limits)
        self.interface = self._answering.interface
        self._limits, self._metrics = limits, metrics
        self._chosen = Chosen(task.capture.percent, sampling_key)
        self._reader = FeedbackReader(signature, limits.rows, limits.buffered_bytes)
        # A row as numbers: inputs, outputs, and an output as text.
        self._row_bytes = 8 * len(self.interface.inputs) + 32 * sum(width for _, _, width in self.interface.outputs)
        self._inline_rows = INLINE_ROWS if one_row_seconds < INLINE_SECONDS else 0
        self._thread = ThreadPoolExecutor(1, "predict")
        self._queued = 0
        names = FileNames(host)
        self.captures: Recorder[CapturedRequest] = Recorder(
            sink,
            CaptureEncoder(task, signature, names),
            flush_rows=limits.capture_rows,
            flush_seconds=task.capture.flush_seconds,
            max_bytes=limits.capture_bytes,
            name="captures",
        )
        self.labels: Recorder[list[Label]] = Recorder(
            sink,
            FeedbackEncoder(task, signature, names),
            flush_rows=limits.capture_rows,
            flush_seconds=task.capture.flush_seconds,
            max_bytes=limits.capture_bytes // 4,
            name="labels",
        )
        metrics.recorders = {"captures": self.captures, "labels": self.labels}

    async def infer(self, body: bytes, header_length: int | None, hold: Hold) -> tuple[bytes, int | None]:
        """Answer one request: the body, and the length of its JSON if the rest is binary. Raises RequestError."""
        arrived = time.time_ns() // 1000
        request = self._answering.read(body, header_length)
        if request.rows > INLINE_ROWS:
            self._make_room(request.rows, hold)
        try:
            if request.rows <= self._inline_rows and not self._queued:
                answer = self._answering.answer(request.inputs)
            else:
                answer = await self._answer_in_thread(request.inputs)
        except OutsideRequest:
            self._metrics.outside_rows += request.rows
            raise
        written = self._answering.written(request, answer)
        self._metrics.rows += request.rows
        self._record(request, answer, arrived)
        return written

    def _make_room(self, rows: int, hold: Hold) -> None:
        size = rows * self._row_bytes
        if size > self._limits.buffered_bytes:
            most = self._limits.buffered_bytes // self._row_bytes
            raise RequestError(413, f"{rows} rows have larger answers than fit here; send at most {most} in a request")
        if not hold.take(size):
            raise unavailable("too many large requests at a time; send fewer at once")

    def _record(self, request: InferenceRequest, answer: Prediction, arrived: int) -> None:
        if not self._chosen.is_sampled(request.id):
            return
        if not self._chosen.is_first(request.id):
            self._metrics.repeated_rows += request.rows
            return
        captured = CapturedRequest(
            id=request.id,
            rows=request.rows,
            arrived=arrived,
            time=arrived if request.event_time is None else request.event_time,
            inputs=request.inputs,
            prediction=answer.prediction,
            probabilities=answer.probabilities,
        )
        self.captures.add(captured, request.rows, captured.size)

    def feedback(self, body: bytes) -> tuple[int, int]:
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

    async def _answer_in_thread(self, inputs: dict[str, Array]) -> Prediction:
        if self._queued >= self._limits.concurrency:
            raise unavailable(f"{self._limits.concurrency} predictions are waiting, the limit; send fewer at once")
        self._queued += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._answering.answer, inputs)
        finally:
            self._queued -= 1
