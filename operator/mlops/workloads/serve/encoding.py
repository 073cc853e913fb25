"""The process that turns records into Parquet files: `python -P -m mlops.workloads.serve.encoding`.

A server's event loop must not wait for polars, nor hold it in memory. This process has no key and no address; it ends
when its server closes the pipe, and when the server ends.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import orjson

from mlops.workloads.floor.isolation import limits
from mlops.workloads.serve.capture import CaptureEncoder
from mlops.workloads.serve.feedback_files import FeedbackEncoder
from mlops.workloads.serve.file_names import File, FileNames
from mlops.workloads.serve.pipes import PipeClosed, receive, send
from mlops.workloads.serve.record_plan import RecordPlan

# Whoever waits for an answer comes first.
_NICER: Final = 5
Message: TypeAlias = "tuple[dict[str, Any], bytearray]"


class Encoders:
    """Both kinds of records of one plan, and answers by other plans: of a version beside the one that serves."""

    def __init__(self, plan: RecordPlan) -> None:
        self._names = names = FileNames(plan.host)
        self._captures, self._labels = CaptureEncoder(plan, names), FeedbackEncoder(plan, names)

    def files(self, kind: str, messages: Sequence[Message], plan: dict[str, Any] | None = None) -> list[File]:
        """Return the files that hold what was sent, by a plan of their own if it is given."""
        if plan is not None:
            return CaptureEncoder(RecordPlan.load(plan), self._names).files(messages)
        if kind == "captures":
            return self._captures.files(messages)
        return self._labels.files([label for _, data in messages for label in orjson.loads(data)])


def main() -> int:
    """Answer until nobody asks any more."""
    limits.restrict()
    # Who stops the server stops it alone: what is to be stored then is encoded here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICER)
    asked, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    # What a library prints must not stand between the answers.
    os.dup2(2, 1)
    try:
        encoders = Encoders(RecordPlan.load(receive(asked)[0]))
        messages: list[Message] = []
        while True:
            document, data = receive(asked)
            if "kind" not in document:
                messages.append((document, data))
                continue
            send(answers, *_answer(encoders, document, messages))
            messages = []
    except PipeClosed:
        pass
    return 0


def _answer(
    encoders: Encoders, asked: dict[str, Any], messages: Sequence[Message]
) -> tuple[dict[str, Any], list[bytes]]:
    try:
        files = encoders.files(asked["kind"], messages, asked.get("plan"))
    # Native code raises what is no Exception either (a panic). What was sent is kept by nobody but the server.
    except BaseException as error:  # noqa: BLE001
        return {"fault": type(error).__name__}, []
    return {"files": [[one.key, len(one.data), one.rows] for one in files]}, [one.data for one in files]


if __name__ == "__main__":
    sys.exit(main())
