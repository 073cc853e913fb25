"""The parent's side: start a child, ask it, and say in words what ended it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.isolation import limits
from mlops.workloads.isolation.frames import FrameError, read_frame, write_frame
from mlops.workloads.pod import BadInput

_MODULE: Final = "mlops.workloads.isolation.child"
# What the work may give as its reason; from whoever leads the child, another word is none.
_REASONS: Final = frozenset(
    {
        Reason.FORMAT_ERROR,
        Reason.FORMAT_FORBIDDEN,
        Reason.GOLDEN_FAILED,
        Reason.INCOMPATIBLE,
        Reason.OUTPUT_INVALID,
        Reason.UNTRUSTED_TYPE,
    }
)
# What an answer without arrays may be.
DOCUMENT_BYTES: Final = 1 << 20
Arrays = dict[str, NDArray[Any]]


class Ended(Exception):
    """The child ended, or was ended, while it worked; the text says by what."""


class Child:
    """One child, started when it is first asked. A context: at its end the child is gone."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory = limits.memory_left(memory_bytes)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def process_id(self) -> int | None:
        """The child's process id while there is one."""
        return self._process.pid if self._process is not None else None

    def ask(
        self,
        work: str,
        document: Mapping[str, Any],
        arrays: Arrays | None = None,
        *,
        seconds: float,
        most: int = DOCUMENT_BYTES,
    ) -> tuple[dict[str, Any], Arrays]:
        """Have a piece of work done; its answer has arrays of at most `most` bytes.

        Raises BadInput as the work does, and Ended for a child that did not come to its end.
        """
        process = self._process or self._start()
        pipe_in, pipe_out = process.stdin, process.stdout
        if pipe_in is None or pipe_out is None:
            raise RuntimeError("the child has no pipes")
        late = threading.Event()
        timer = threading.Timer(seconds, self._too_late, (process, late))
        timer.daemon = True
        timer.start()
        asked = {"work": work, "document": document, "seconds": seconds, "memory": self._memory}
        try:
            write_frame(pipe_in, asked, arrays)
            answer = read_frame(pipe_out, most)
        except (FrameError, BrokenPipeError, ConnectionResetError):
            answer = None
        finally:
            timer.cancel()
        if answer is None:
            raise Ended(self._why(process, late.is_set(), seconds))
        found, made = answer
        if found.get("fault") == "memory":
            self.close()
            raise Ended(self._memory_problem())
        if "fault" in found:
            reason, message = found["fault"], str(found.get("message"))[:4000]
            if reason not in _REASONS:
                raise Ended(message)
            raise BadInput(Reason(reason), message)
        return found, made

    def close(self) -> None:
        """End the child and whatever it started."""
        process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()
        limits.show_environment()

    def _start(self) -> subprocess.Popen[bytes]:
        # Before the child is there: it could read the environment of its parent, which holds the keys.
        limits.hide_environment()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # What a model's library writes is nobody's word; a message of ours comes in a frame.
                stderr=subprocess.DEVNULL,
                env=limits.environment(os.environ),
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            limits.show_environment()
            raise
        return self._process

    @staticmethod
    def _too_late(process: subprocess.Popen[bytes], late: threading.Event) -> None:
        late.set()
        _kill(process)

    def _why(self, process: subprocess.Popen[bytes], late: bool, seconds: float) -> str:
        _patiently(process)
        code = process.returncode
        self.close()
        if late or code == -signal.SIGXCPU:
            return f"it took longer than {seconds:.0f} s"
        if code == -signal.SIGKILL:
            return f"the process that opened it was killed; {self._memory_problem()}"
        if code is not None and code < 0:
            return f"it ended the process that opened it ({signal.Signals(-code).name})"
        return "the process that opened it gave no answer"

    def _memory_problem(self) -> str:
        return f"it needs more than the {self._memory >> 20} MiB of memory that it may have here"


def _patiently(process: subprocess.Popen[bytes]) -> None:
    """Wait a little for a child that closed its end."""
    end = time.monotonic() + 5
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    _kill(process)
    process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
