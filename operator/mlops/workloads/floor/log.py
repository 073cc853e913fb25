"""What a pod tells its log: one record per event, with the object that the pod works for.

Nothing is told of an error but its type and where it came from: its text may repeat a value of the data. What the
program itself words is told whole.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

from mlops.api.log_lines import REQUEST_ID, TRACE_ID, ErrorInfo, Format, LogLines

if TYPE_CHECKING:
    # Every kind of task: a pod knows its own.
    from mlops.api.tasks import Task

_OURS: Final = "mlops.workloads"
_log: Final = logging.getLogger(_OURS)
_log.setLevel(logging.INFO)


@dataclass(frozen=True)
class Subject:
    """Which program of a pod is at work, and for which object."""

    program: str
    kind: str
    namespace: str
    name: str


def subject_of(task: Task) -> Subject:
    """Return what the records of the task's pod are about."""
    match task.task:
        case "ingest" | "remove":
            kind, name = "Dataset", task.dataset
        case "train" | "fetch":
            kind, name = "TrainingRun", task.run
        case "verify" | "serve" | "score":
            kind, name = "ModelVersion", task.object_name or f"{task.model_name}-v{task.version}"
        case "analysis":
            kind, name = "ModelVersion", task.object_name or f"{task.model_name}-v{task.candidate.version}"
        case "labels" | "drift":
            kind, name = "DriftMonitor", task.monitor
    return Subject(task.task, kind, task.namespace, name)


def configure(style: Format, level: str = "info", subject: Subject | None = None) -> None:
    """Send every record of this process to standard error, from `level` (such as info) on; of libraries, warnings."""
    root = logging.getLogger()
    for earlier in [handler for handler in root.handlers if isinstance(handler, _Stderr)]:
        root.removeHandler(earlier)
    handler = _Stderr()
    handler.setFormatter(_PodLines(style))
    handler.addFilter(_Named(subject))
    root.addHandler(handler)
    _log.setLevel(level.upper())


def take_over() -> None:
    """Have what nobody caught, and warnings, become records like others: for the process of a pod."""
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    warnings.showwarning = _warned


def debug(message: str, *, request_id: str | None = None, trace_id: str | None = None) -> None:
    """Tell what only somebody who searches wants to know."""
    _log.debug("%s", message, extra={REQUEST_ID: request_id, TRACE_ID: trace_id})


def say(message: str) -> None:
    """Tell an event of the work."""
    _log.info("%s", message)


def warn(message: str, *, request_id: str | None = None, trace_id: str | None = None) -> None:
    """Tell of trouble that the work goes on with."""
    _log.warning("%s", message, extra={REQUEST_ID: request_id, TRACE_ID: trace_id})


def fail(
    message: str, error: BaseException | None = None, *, request_id: str | None = None, trace_id: str | None = None
) -> None:
    """Tell what ended the work, or a request; of an error, where it came from."""
    _log.error("%s", message, exc_info=error, extra={REQUEST_ID: request_id, TRACE_ID: trace_id})


def frames_of(error: BaseException) -> str:
    """Return where an error and its causes came from, without what they say."""
    return "\n".join(_frames(error))


def _frames(error: BaseException) -> list[str]:
    lines: list[str] = []
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        lines += [*_frames(before), "", "and from it, or while it was handled:", ""]
    lines.append("Traceback (most recent call last):")
    lines += [line.rstrip("\n") for line in traceback.format_tb(error.__traceback__)]
    return [*lines, f"{type(error).__module__}.{type(error).__qualname__}"]


class _Stderr(logging.StreamHandler[TextIO]):
    """Standard error, whatever it is when a record comes."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _PodLines(LogLines):
    def formatException(self, ei: ErrorInfo) -> str:
        return frames_of(ei[1]) if ei[1] is not None else ""


class _Named(logging.Filter):
    """Gives every record, of libraries too, the object; and ours the program's name."""

    def __init__(self, subject: Subject | None) -> None:
        super().__init__()
        self._subject = subject

    def filter(self, record: logging.LogRecord) -> bool:
        if (subject := self._subject) is not None:
            record.kind, record.namespace, record.object = subject.kind, subject.namespace, subject.name
            if record.name == _OURS:
                record.name = f"{_OURS}.{subject.program}"
        return True


def _uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    fail(f"{kind.__name__}: the program did not foresee this", error)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        fail(f"{args.exc_type.__name__}: a thread did not foresee this", args.exc_value)


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    warn(f"{category.__name__}: {message} ({filename}, line {lineno})")
