"""The process that has the model: `python -P -m mlops.cli.predict.child`, in the numeric environment of a server.

The first message on its standard input names the model, which is opened as a server opens it. Then each message is the
body of a request, and each answer on standard output is that of a server.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import IO, Final

import orjson

from mlops.api import tasks
from mlops.api.pod_environment import ServerLimits
from mlops.workloads.floor.model.opening import open_checked
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.serve.answering import Answering
from mlops.workloads.serve.errors import RequestError

# A status of HTTP, and the length of the body.
_HEAD: Final = struct.Struct("<HQ")
OK: Final = 200


def write_message(stream: IO[bytes], status: int, body: bytes) -> None:
    """Write one message."""
    stream.write(_HEAD.pack(status, len(body)))
    stream.write(body)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[int, bytes] | None:
    """Return status and body of the next message; None at the end."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    status, length = _HEAD.unpack(head)
    body = stream.read(length)
    return (status, body) if len(body) == length else None


def main() -> int:
    """Say what the model takes, then answer until the input ends."""
    taken, given = sys.stdin.buffer, sys.stdout.buffer
    if (first := read_message(taken)) is None:
        return tasks.EXIT_DONE
    document = orjson.loads(first[1])
    try:
        loaded = open_checked(Path(document["folder"]))
    except BadInput as error:
        write_message(given, 422, error.message.encode())
        return tasks.EXIT_BAD_INPUT
    answering = Answering(tasks.ServeTask.model_validate(document["task"]), loaded, ServerLimits())
    write_message(given, OK, orjson.dumps(answering.interface.metadata()))
    while (message := read_message(taken)) is not None:
        try:
            request = answering.read(message[1], None)
            answer, _ = answering.written(request, answering.answer(request.inputs))
        except RequestError as error:
            write_message(given, error.status, error.message.encode())
        else:
            write_message(given, OK, answer)
    return tasks.EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
