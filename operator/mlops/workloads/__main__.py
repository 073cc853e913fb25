"""The entry point of every workload pod: `python -P -m mlops.workloads`, with the task in MLOPS_TASK.

Exit codes: 0 done, 1 may be retried, 2 the input is bad. The report goes to the termination message.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from mlops.api import tasks
from mlops.store import errors as store_errors
from mlops.workloads import secrecy
from mlops.workloads.pod import BadInput, PassingFault, Pod


def run(pod: Pod, task: tasks.Task) -> tasks.Report | None:
    """Do the task and return its report; a server returns None when it was told to stop.

    Each workload is imported when it is needed: a drift check does not pay for scikit-learn's import time.
    """
    match task:
        case tasks.IngestTask():
            from mlops.workloads.ingest.run import ingest

            return ingest(pod, task)
        case tasks.FetchTask():
            from mlops.workloads.train.fetch import fetch

            return fetch(pod, task)
        case tasks.TrainTask():
            from mlops.workloads.train.run import train

            return train(pod, task)
        case tasks.VerifyTask():
            from mlops.workloads.serve.verify import verify

            return verify(pod, task)
        case tasks.ServeTask():
            from mlops.workloads.serve.run import serve

            serve(pod, task)
            return None
        case tasks.DriftTask():
            from mlops.workloads.drift.run import check

            return check(pod, task)


def main() -> int:
    """Run the task of this pod's environment and return its exit code."""
    secrecy.keep_memory_private()
    termination_log = Path(os.environ.get(tasks.TERMINATION_VARIABLE, "/dev/termination-log"))
    if os.getpid() == 1:
        # The first process of a container ignores a signal that it has no handler for: without one, whoever deletes
        # the pod waits for all of its grace period.
        signal.signal(signal.SIGTERM, _leave)
    try:
        task = tasks.parse_task(tasks.task_text(os.environ))
    except ValidationError as error:
        return _fail(termination_log, "TaskInvalid", f"{tasks.TASK_VARIABLE}: {error}", tasks.EXIT_BAD_INPUT)
    with tempfile.TemporaryDirectory(prefix="mlops-") as scratch:
        try:
            report = run(Pod(os.environ, Path(scratch)), task)
        except BadInput as error:
            return _fail(termination_log, error.reason, error.message, tasks.EXIT_BAD_INPUT)
        except PassingFault as error:
            return _fail(termination_log, error.reason, error.message, tasks.EXIT_RETRY)
        except store_errors.StoreError as error:
            code = tasks.EXIT_RETRY if error.retryable else tasks.EXIT_BAD_INPUT
            return _fail(termination_log, error.reason, str(error), code)
        if report is not None:
            termination_log.write_text(tasks.write_report(report))
    return tasks.EXIT_DONE


def _leave(number: int, _: FrameType | None) -> None:
    sys.stderr.write("told to stop\n")
    # At once: what is half done is invisible in the store, and the container's files go with it.
    os._exit(128 + number)


def _fail(termination_log: Path, reason: str, message: str, code: int) -> int:
    sys.stderr.write(f"{reason}: {message}\n")
    # A message is for a person; what does not fit into the termination message stands in the pod's log.
    termination_log.write_text(tasks.write_report(tasks.FailureReport(reason=reason, message=message[:1500])))
    return code


if __name__ == "__main__":
    sys.exit(main())
