"""What a client did wrong, as a status and one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.api.serving_task import ServeTask
from mlops.workloads.floor.pod import is_panic


class RequestError(Exception):
    """An answer with a 4xx or 503 status; the message names the tensor, parameter or header, and the way out."""

    def __init__(
        self, status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = (), *, closes: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, tuple(headers)
        # The connection is of no use any more.
        self.closes = closes


def is_fault(error: BaseException) -> bool:
    """Whether work failed, in whatever way: whoever is cancelled or told to stop does so."""
    # A library in Rust that gives up raises no Exception.
    return isinstance(error, Exception) or is_panic(error)


def unavailable(message: str, retry_seconds: int = 1) -> RequestError:
    """Return the 503 that tells a client to come again."""
    return RequestError(503, message, [(b"retry-after", str(retry_seconds).encode())])


def shown(value: object, longest: int = 64) -> str:
    """Return `value` as a client sent it, cut, for an error message: nobody's megabytes are echoed."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def busy() -> RequestError:
    """Return what is said where a request holds, or would hold, too much memory."""
    return unavailable("too many large requests at a time; send fewer at once")


def unknown_model(task: ServeTask, model: str, version: str | None) -> RequestError | None:
    """Return what is said to who asks for another model or version (None: any) than the one that is served."""
    if model != task.model_name:
        return RequestError(404, f"model {shown(model)} is unknown; this server has {task.model_name!r}")
    known = [str(task.version), *([str(task.candidate.version)] if task.candidate else [])]
    if version is not None and version not in known:
        return RequestError(
            404, f"version {shown(version)} of {task.model_name!r} is unknown; this server has {' and '.join(known)}"
        )
    return None
