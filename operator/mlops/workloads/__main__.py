"""The entry point of every workload pod: `python -P -m mlops.workloads`, with the task in MLOPS_TASK.

Exit codes: 0 done, 1 may be retried, 2 the input is bad, 3 scored but for rows that were put aside. The report
goes to the termination message.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, cast

if __name__ == "__main__":
    # What imports make is there to stay: to look for garbage among it, again and again, takes a tenth of a short pod's
    # time.
    gc.disable()

from pydantic import ValidationError

from mlops.api.environment import BadVariable
from mlops.api.pod_environment import PodSettings
from mlops.api.reasons import Reason, Reported
from mlops.api.task_report import FailureReport, ReportError, write_report
from mlops.api.task_variables import (
    EXIT_BAD_INPUT,
    EXIT_DONE,
    EXIT_PUT_ASIDE,
    EXIT_RETRY,
    TASK_VARIABLE,
    TERMINATION_VARIABLE,
    task_text,
)
from mlops.store import errors as store_errors
from mlops.workloads.floor import log
from mlops.workloads.floor.isolation import secrecy
from mlops.workloads.floor.pod import BadInput, PassingFault, Pod, is_panic

if TYPE_CHECKING:
    # Every kind of task: a pod imports its own.
    from mlops.api.base import Model
    from mlops.api.tasks import Report, Task


def run(pod: Pod, task: Task) -> Report | None:
    """Do the task and return its report; a server returns None when it was told to stop."""
    work = _work_of(task)
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return work(pod, task)


def _work_of(task: Task) -> Callable[[Pod, Any], Report | None]:
    """Return the workload of a task, imported only now: a drift check does not pay for scikit-learn's import time."""
    match task.task:
        case "ingest":
            from mlops.workloads.ingest.run import ingest

            return ingest
        case "remove":
            from mlops.workloads.ingest.remove import remove

            return remove
        case "fetch":
            from mlops.workloads.train.fetch import fetch

            return fetch
        case "train":
            from mlops.workloads.train.run import train

            return train
        case "verify":
            from mlops.workloads.verify.run import verify

            return verify
        case "serve":
            from mlops.workloads.serve.run import serve

            return serve
        case "analysis":
            from mlops.workloads.analysis.run import analyse

            return analyse
        case "labels":
            from mlops.workloads.ingest.labels import read_labels

            return read_labels
        case "drift":
            from mlops.workloads.drift.run import check

            return check
        case "score":
            from mlops.workloads.score.run import score

            return score


def parsed(text: str) -> Task:
    """Return the task in `text`; raises pydantic's ValidationError if there is none.

    By the type of this task alone: to import those of all programs, and to build their validators, takes as long as a
    short pod's work. What is wrong with a text is told by all of them.
    """
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        return cast("Task", _type_of(json.loads(text)["task"]).model_validate_json(text))
    from mlops.api.tasks import parse_task

    return parse_task(text)


def _type_of(task: str) -> type[Model]:
    match task:
        case "ingest" | "remove":
            from mlops.api.ingest_task import IngestTask, RemoveTask

            return IngestTask if task == "ingest" else RemoveTask
        case "train" | "fetch":
            from mlops.api.training_task import FetchTask, TrainTask

            return TrainTask if task == "train" else FetchTask
        case "verify" | "serve":
            from mlops.api.serving_task import ServeTask, VerifyTask

            return VerifyTask if task == "verify" else ServeTask
        case "analysis":
            from mlops.api.serving_task import AnalysisTask

            return AnalysisTask
        case "labels" | "drift":
            from mlops.api.drift_task import DriftTask, LabelsTask

            return LabelsTask if task == "labels" else DriftTask
        case "score":
            from mlops.api.score_task import ScoreTask

            return ScoreTask
    raise ValueError(task)


def main() -> int:
    """Run the task of this pod's environment and return its exit code."""
    secrecy.keep_memory_private()
    termination_log = Path(os.environ.get(TERMINATION_VARIABLE) or PodSettings().termination_log)
    log.configure("text")
    try:
        settings = PodSettings.read(os.environ)
    except BadVariable as error:
        return _fail(termination_log, Reason.TASK_INVALID, str(error), EXIT_BAD_INPUT)
    log.configure(settings.log_format, settings.log_level)
    if os.getpid() == 1:
        # The first process of a container ignores a signal that it has no handler for: without one, whoever deletes
        # the pod waits for all of its grace period.
        signal.signal(signal.SIGTERM, _leave)
    try:
        task = parsed(task_text(os.environ))
    except ValidationError as error:
        return _fail(
            termination_log,
            Reason.TASK_INVALID,
            f"{TASK_VARIABLE}: {error}",
            EXIT_BAD_INPUT,
        )
    log.configure(settings.log_format, settings.log_level, log.subject_of(task))
    with tempfile.TemporaryDirectory(prefix="mlops-") as scratch:
        try:
            report = run(Pod(os.environ, Path(scratch)), task)
            if report is not None:
                termination_log.write_text(write_report(report))
        except BadInput as error:
            return _fail(termination_log, error.reason, error.message, EXIT_BAD_INPUT)
        except PassingFault as error:
            return _fail(termination_log, error.reason, error.message, EXIT_RETRY)
        except store_errors.StoreError as error:
            code = EXIT_RETRY if error.retryable else EXIT_BAD_INPUT
            return _fail(termination_log, error.reason, str(error), code)
        except BaseException as error:
            # A library in Rust that gives up raises no Exception.
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            return _unexpected(termination_log, error)
    put_aside = report is not None and report.report == "score" and report.quarantined
    return EXIT_PUT_ASIDE if put_aside else EXIT_DONE


# Of the node, not of the data: it may be better the next time.
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN)


def _unexpected(termination_log: Path, error: BaseException) -> int:
    """Report what nobody foresaw under a name, with its traceback in the log: the same data would lead there again."""
    passing = isinstance(error, ConnectionError | TimeoutError) or (
        isinstance(error, OSError) and error.errno in _PASSING
    )
    # What an exception says may repeat a value of the data: only the system's own words are safe.
    where = traceback.extract_tb(error.__traceback__)[-1]
    said = error.strerror if isinstance(error, OSError) else f"{Path(where.filename).name} line {where.lineno}"
    message = f"{type(error).__name__} ({said}): the program did not foresee this; the pod's log has the traceback"
    code = EXIT_RETRY if passing else EXIT_BAD_INPUT
    return _fail(termination_log, Reason.INTERNAL_ERROR, message, code, error)


def _leave(number: int, _: FrameType | None) -> None:
    log.say("told to stop")
    # At once: what is half done is invisible in the store, and the container's files go with it.
    os._exit(128 + number)


def _fail(
    termination_log: Path, reason: Reason, message: str, code: int, unforeseen: BaseException | None = None
) -> int:
    # Data may hold halves of letters, which no log and no report can.
    message = message.encode("utf-8", "backslashreplace").decode()
    log.fail(f"{reason}: {message}", unforeseen)
    termination_log.write_text(_fitting(reason, message))
    return code


def _fitting(reason: Reason, message: str) -> str:
    """Return the report with as much of the message as fits; what does not stands in the pod's log."""
    for length in (1500, 700, 300):
        with suppress(ReportError):
            return write_report(FailureReport(reason=Reported(reason), message=message[:length]))
    return write_report(FailureReport(reason=Reported(reason), message="see the pod's log"))


def _end(code: int) -> NoReturn:
    """Leave, also while a thread is stuck in native code: whatever ends around it would end in an abort."""
    if any(thread.daemon and thread.is_alive() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    log.take_over()
    _end(main())
