"""What the server grants its clients. Every figure can be set by environment; the defaults suit a small pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlops.api.reasons import Reason
from mlops.api.tasks import DRAIN_VARIABLE
from mlops.workloads.pod import BadInput


@dataclass(frozen=True)
class Limits:
    """Bounds of one server process; beyond them a client gets a 4xx or 503, never a slow or a dead server."""

    body_bytes: int = 8 << 20
    # Of all requests together, from a head to its answer: bodies, decoded rows, answers that nobody has taken yet.
    buffered_bytes: int = 64 << 20
    head_bytes: int = 16 << 10
    rows: int = 10_000
    concurrency: int = 64
    connections: int = 1_024
    # From the first byte of a request to its last, and from the first byte of an answer to its last.
    request_seconds: int = 30
    keep_alive_seconds: int = 75
    # From SIGTERM until the socket closes: routers learn in this time that the pod is going and, if it was the only one
    # of its stage, another one comes up. A node that is short of cycles is slow at both.
    drain_seconds: int = 20
    # For what is still being answered, and again for what is still to be stored.
    grace_seconds: int = 10
    # Captured rows that are not in the store yet, encoded or not; labels have a quarter of it for themselves.
    capture_bytes: int = 64 << 20
    capture_rows: int = 10_000

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Limits:
        """Read `MLOPS_MAX_BODY_BYTES` and the like; raises BadInput for what is no whole number in range."""
        defaults = cls()
        body_bytes = _whole(environ, "MLOPS_MAX_BODY_BYTES", defaults.body_bytes)
        return cls(
            body_bytes=body_bytes,
            buffered_bytes=8 * body_bytes,
            head_bytes=_whole(environ, "MLOPS_MAX_HEADER_BYTES", defaults.head_bytes),
            rows=_whole(environ, "MLOPS_MAX_BATCH_ROWS", defaults.rows),
            concurrency=_whole(environ, "MLOPS_MAX_CONCURRENCY", defaults.concurrency),
            connections=_whole(environ, "MLOPS_MAX_CONNECTIONS", defaults.connections),
            request_seconds=_whole(environ, "MLOPS_REQUEST_SECONDS", defaults.request_seconds),
            keep_alive_seconds=_whole(environ, "MLOPS_KEEP_ALIVE_SECONDS", defaults.keep_alive_seconds),
            drain_seconds=_whole(environ, DRAIN_VARIABLE, defaults.drain_seconds, lowest=0),
            grace_seconds=_whole(environ, "MLOPS_GRACE_SECONDS", defaults.grace_seconds),
            capture_bytes=_whole(environ, "MLOPS_CAPTURE_BUFFER_BYTES", defaults.capture_bytes),
            capture_rows=_whole(environ, "MLOPS_CAPTURE_FLUSH_ROWS", defaults.capture_rows),
        )


def _whole(environ: Mapping[str, str], variable: str, default: int, lowest: int = 1) -> int:
    text = environ.get(variable, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= 1 << 40):
        raise BadInput(Reason.SERVING_FAILED, f"{variable}: {text!r} is no whole number of at least {lowest}")
    return int(text)
