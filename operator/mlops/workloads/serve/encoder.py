"""The server's side of the process that encodes records: starts it when there is something to encode, asks, ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from mlops.api.serving_task import ServeTask
from mlops.workloads.floor.isolation import limits
from mlops.workloads.floor.model.signature import Signature, class_name
from mlops.workloads.serve.captured_rows import CapturedRequest, CapturedRow, Message, messages_of
from mlops.workloads.serve.feedback import Label, labels_message
from mlops.workloads.serve.file_names import File
from mlops.workloads.serve.pipes import PipeClosed, receive, send
from mlops.workloads.serve.record_plan import RecordedClass, RecordedInput, RecordPlan

_MODULE: Final = "mlops.workloads.serve.encoding"
# One batch takes well under a second; what takes so long will not end.
_SECONDS: Final = 60.0
_ENDING_SECONDS: Final = 2.0
# Starting it again takes about half a second of processor time, keeping it some forty megabytes.
_IDLE_SECONDS: Final = 5.0


class EncoderGone(Exception):
    """The process ended before it had answered, or could not be started: what it was to encode is still there.

    `had_it`: there was a process, so that what it was to encode may have ended it.
    """

    def __init__(self, message: str, *, had_it: bool = True) -> None:
        super().__init__(message)
        self.had_it = had_it


class CannotEncode(Exception):
    """What was sent makes no file; `fault` is the name of the error."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def plan_of(task: ServeTask, signature: Signature, host: str) -> RecordPlan:
    """Return what is to be known for recording what a model answers."""
    classes = signature.classes
    return RecordPlan(
        namespace=task.namespace,
        model_name=task.model_name,
        stage=task.stage,
        version=task.version,
        digest=task.artifact,
        inputs=tuple(
            RecordedInput(one.name, one.type, redacted=one.pii or one.name in task.capture.redact)
            for one in signature.inputs
        ),
        classes=None if classes is None else tuple(RecordedClass(one, class_name(one)) for one in classes),
        whole_labels=classes is None and signature.label.type == "int64",
        host=host,
    )


class EncodingProcess:
    """Encodes records in a process of its own. For any thread; one batch is encoded at a time."""

    def __init__(self, plan: RecordPlan, *, seconds: float = _SECONDS, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._plan, self._seconds, self._idle_seconds = plan, seconds, idle_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._rest: threading.Timer | None = None
        self._is_closed = False
        # How often it ended before it had answered.
        self.failures = 0

    @property
    def process_id(self) -> int | None:
        """The process's id while there is one."""
        process = self._process
        return None if process is None else process.pid

    def captures(self, items: Sequence[CapturedRow | CapturedRequest], plan: RecordPlan | None = None) -> list[File]:
        """Return the files that hold these answers, by another plan than the process's own if one is given.

        Raises EncoderGone, and CannotEncode.
        """
        return self._files("captures", messages_of(items), plan)

    def labels(self, batches: Sequence[Sequence[Label]]) -> list[File]:
        """Return the files that hold these labels. Raises EncoderGone, and CannotEncode."""
        return self._files("labels", map(labels_message, batches))

    def close(self) -> None:
        """End the process for good, also while it works."""
        self._is_closed = True
        if (rest := self._rest) is not None:
            rest.cancel()
        process = self._process
        if process is not None:
            process.kill()
        if self._turn.acquire(timeout=_ENDING_SECONDS):
            try:
                self._end()
            finally:
                self._turn.release()

    def _files(self, kind: str, messages: Iterable[Message], plan: RecordPlan | None = None) -> list[File]:
        with self._turn:
            if self._rest is not None:
                self._rest.cancel()
            try:
                document, data = self._asked(kind, messages, plan)
            except (PipeClosed, OSError) as error:
                had_it = self._process is not None
                raise EncoderGone(self._end_of_it(error), had_it=had_it) from error
            except BaseException:
                # What it was sent is not whole.
                self._end()
                raise
            self._rest = threading.Timer(self._idle_seconds, self._end_if_idle)
            self._rest.daemon = True
            self._rest.start()
        if "fault" in document:
            raise CannotEncode(document["fault"])
        files, at = [], 0
        for key, size, rows in document["files"]:
            files.append(File(key, bytes(memoryview(data)[at : at + size]), rows))
            at += size
        return files

    def _asked(
        self, kind: str, messages: Iterable[Message], plan: RecordPlan | None
    ) -> tuple[dict[str, Any], bytearray]:
        process = self._process or self._start()
        pipe_in, pipe_out = process.stdin, process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        clock = threading.Timer(self._seconds, process.kill)
        clock.daemon = True
        clock.start()
        try:
            for document, parts in messages:
                send(pipe_in, document, parts)
            send(pipe_in, {"kind": kind} if plan is None else {"kind": kind, "plan": plan.dump()})
            return receive(pipe_out)
        finally:
            clock.cancel()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._is_closed:
            raise PipeClosed
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=limits.environment(os.environ) | {"POLARS_MAX_THREADS": "1"},
            # Who interrupts the server on a terminal interrupts it alone.
            start_new_session=True,
        )
        self._process = process
        assert process.stdin is not None
        send(process.stdin, self._plan.dump())
        return process

    def _end_of_it(self, error: Exception) -> str:
        """End what is left of the process, and return how it ended."""
        self.failures += 1
        if self._process is None:
            return f"the process that encodes them cannot be started: {getattr(error, 'strerror', None) or 'closed'}"
        code = self._end()
        how = f"with code {code}" if code >= 0 else f"by {_signal_name(-code)}"
        return f"the process that encodes them ended {how}; another one is started"

    def _end(self) -> int:
        process = self._process
        if process is None:
            return 0
        # It ends by itself when its pipe is closed; one that has ended already keeps its own code.
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDING_SECONDS)
        process.kill()
        code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._process = None
        return code

    def _end_if_idle(self) -> None:
        if self._turn.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._turn.release()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
