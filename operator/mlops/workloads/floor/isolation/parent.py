"""The parent's side: start a child, ask it, and say in words what ended it."""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mlops.api.reasons import Reason
from mlops.workloads.floor.failures import BadInput, PassingFault
from mlops.workloads.floor.isolation import limits
from mlops.workloads.floor.isolation.frames import FrameError, read_frame, write_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MODULE: Final = "mlops.workloads.floor.child"
# What the work may give as its reason; from whoever leads the child, another word is none.
PASSED_ON: Final = frozenset(
    {
        Reason.FORMAT_ERROR,
        Reason.FORMAT_FORBIDDEN,
        Reason.GOLDEN_FAILED,
        Reason.INCOMPATIBLE,
        Reason.OUTPUT_INVALID,
        Reason.UNTRUSTED_TYPE,
    }
)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What an answer without arrays may be.
DOCUMENT_BYTES: Final = 1 << 20
# On a busy node work takes longer than the processor time that it may use: so many times as long at most.
_PATIENCE: Final = 3.0
# What the work does to its own process. Any other signal comes from the node, or from somebody on it.
_CRASHES: Final = frozenset(
    {
        signal.SIGXCPU,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGABRT,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
)
Arrays: TypeAlias = "dict[str, NDArray[Any]]"


class ChildEnded(Exception):
    """The child ended by what it did: a crash, too much memory or processor time; the text says by what."""


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
        """Have a piece of work done in `seconds` of processor time; its answer has arrays of at most `most` bytes.

        Raises BadInput as the work does, ChildEnded for a child that ended by its work, and PassingFault for one that
        was killed, or that the node gave too little time.
        """
        process = self._process or self._start()
        pipe_in, pipe_out = process.stdin, process.stdout
        if pipe_in is None or pipe_out is None:
            raise RuntimeError("the child has no pipes")
        clock = _Clock(process, seconds)
        clock.start()
        asked = {"work": work, "document": document, "seconds": seconds, "memory": self._memory}
        try:
            write_frame(pipe_in, asked, arrays)
            answer = read_frame(pipe_out, most)
        except (FrameError, BrokenPipeError, ConnectionResetError):
            answer = None
        finally:
            clock.stop()
        if answer is None:
            raise self._why(process, clock, seconds)
        found, made = answer
        if found.get("fault") == "memory":
            self.close()
            raise ChildEnded(self._memory_problem())
        if "fault" in found:
            # From whoever leads the child: it may become a condition, and a line of the log.
            reason, message = found["fault"], _CONTROLS.sub("?", str(found.get("message"))[:4000])
            if reason not in PASSED_ON:
                raise ChildEnded(message)
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
        if (left := limits.left()) < limits.LEAST_BYTES:
            # Two processes that take what one has would end the pod, and nobody could tell why.
            raise BadInput(
                Reason.OUT_OF_MEMORY,
                f"{max(0, left) >> 20} MiB of memory are left for the process that opens what nobody vouches for, and "
                f"it needs {limits.LEAST_BYTES >> 20} MiB at least: give the pod more memory",
            )
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

    def _why(self, process: subprocess.Popen[bytes], clock: _Clock, seconds: float) -> ChildEnded | PassingFault:
        _patiently(process)
        code = process.returncode
        self.close()
        if clock.is_late and clock.used < seconds:
            return _interrupted(
                f"the process that opens it had {clock.used:.0f} s of processor time in {_PATIENCE * seconds:.0f} s: "
                "the node is busy"
            )
        if clock.is_late or code == -signal.SIGXCPU:
            return ChildEnded(f"it took longer than {seconds:.0f} s")
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            if -code not in _CRASHES:
                return _interrupted(f"the process that opens it was ended from outside ({name})")
            # Native code has no other word for memory that it does not get.
            hint = f", as a lack of memory does: it may have {self._memory >> 20} MiB" if name == "SIGABRT" else ""
            return ChildEnded(f"it ended the process that opened it ({name}){hint}")
        return ChildEnded("the process that opened it gave no answer")

    def _memory_problem(self) -> str:
        return f"it needs more than the {self._memory >> 20} MiB of memory that it may have here"


def _interrupted(problem: str) -> PassingFault:
    return PassingFault(Reason.INTERRUPTED, f"{problem}; this says nothing about what it opened")


class _Clock(threading.Thread):
    """Ends a child that has had its processor time, or never gets it."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        super().__init__(daemon=True)
        self._process, self._seconds = process, seconds
        self._before = limits.processor_seconds(process.pid)
        self._done = threading.Event()
        self.is_late = False
        self.used = math.inf

    def run(self) -> None:
        """Wait for as long as the work may take on a node of its own; then see what it had."""
        started = time.monotonic()
        pause = self._seconds
        while not self._done.wait(pause):
            now, pause = limits.processor_seconds(self._process.pid), max(0.05, 0.02 * self._seconds)
            # Where a process's time cannot be read the clock on the wall decides alone.
            self.used = math.inf if now is None or self._before is None else now - self._before
            if self.used >= self._seconds or time.monotonic() - started >= _PATIENCE * self._seconds:
                self.is_late = True
                _kill(self._process)
                return

    def stop(self) -> None:
        """Leave the child alone from now on."""
        self._done.set()
        self.join()


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
