"""What the log says of requests that the server could not answer: each, but never more lines than a disk can bear."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from mlops.workloads.floor import log

# Overload makes thousands of refusals a second, and their senders choose how many.
_LINES, _SECONDS = 20, 1.0
SERVER_ERROR: Final = 500


class FailureLog:
    """Tells of 5xx answers, at most twenty in a second; what is left out is counted in the next line. Of 4xx answers
    only with the level debug, and without what the client sent: that is no text for a log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since, self._lines, self._left_out = clock(), 0, 0

    def refused(self, route: str, status: int, message: str, request_id: bytes, trace_id: str | None = None) -> None:
        """Note an answer that the server chose. Probes (`health`) ask again all the time, and say it themselves."""
        if status < SERVER_ERROR:
            log.debug(f"{route}: answered {status}", request_id=request_id.decode(), trace_id=trace_id)
        elif route != "health" and (left_out := self._may_tell()) is not None:
            log.warn(
                f"{route}: answered {status}: {message}{left_out}", request_id=request_id.decode(), trace_id=trace_id
            )

    def failed(self, route: str, error: BaseException, request_id: bytes, trace_id: str | None = None) -> None:
        """Note what nobody foresaw, with where it came from and without what it says."""
        if (left_out := self._may_tell()) is not None:
            message = f"{route}: answered {SERVER_ERROR}: {type(error).__name__}: the program did not foresee this"
            log.fail(message + left_out, error, request_id=request_id.decode(), trace_id=trace_id)

    def _may_tell(self) -> str | None:
        """Return what to add to the line; None if there were enough."""
        now = self._clock()
        if now - self._since >= _SECONDS:
            self._since, self._lines = now, 0
        if self._lines >= _LINES:
            self._left_out += 1
            return None
        self._lines += 1
        left_out, self._left_out = self._left_out, 0
        return f" ({left_out} more before are not told)" if left_out else ""
