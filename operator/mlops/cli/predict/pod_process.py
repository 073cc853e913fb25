"""The program of a pod as a process of this machine: its log on the error stream, its report in return."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click

from mlops.api import tasks
from mlops.api.numeric_environment import NUMERIC_ENVIRONMENT
from mlops.cli.errors import UserError
from mlops.cli.state import State
from mlops.local import supervise

_KEPT: Final = ("MLOPS_LOG_LEVEL",)


class Unfinished(click.ClickException):
    """A fault that passes: the same command goes on from there."""

    exit_code = 1


def run_task(state: State, task: tasks.ScoreTask) -> tasks.ScoreReport:
    """Run it with the folders of a state, and return its report.

    Raises UserError with what the program refuses, Unfinished for what may pass.
    """
    with tempfile.TemporaryDirectory(prefix="mlops-predict-") as place:
        told = Path(place) / "report"
        code = _ended(["-P", "-m", "mlops.workloads"], _environment(state, task, told))
        try:
            report = tasks.parse_report(told.read_text("utf-8"))
        except (OSError, tasks.ReportError) as error:
            raise Unfinished(
                f"the program ended ({code}) without a report; the same command goes on from there"
            ) from error
    if isinstance(report, tasks.ScoreReport):
        return report
    said = report.message if isinstance(report, tasks.FailureReport) else f"it ended with {code}"
    if code == tasks.EXIT_RETRY:
        raise Unfinished(f"{said}; the same command goes on from there")
    raise UserError(said)


def _environment(state: State, task: tasks.ScoreTask, report: Path) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_") or name in _KEPT}
    # A kubelet takes $$ for $; here nobody does.
    said = {one["name"]: one["value"].replace("$$", "$") for one in tasks.task_environment(task)}
    return {
        **given,
        **said,
        tasks.STORE_VARIABLE: state.store.resolve().as_uri(),
        tasks.BUCKETS_VARIABLE: state.buckets.resolve().as_uri(),
        tasks.TERMINATION_VARIABLE: str(report),
        **NUMERIC_ENVIRONMENT,
        **tasks.SAFE_PYTHON,
    }


def _ended(words: list[str], environ: dict[str, str]) -> int:
    """Run this interpreter under a supervisor, which ends it with this process however that ends; return its code."""
    ours, theirs = socket.socketpair()
    with ours, _asked_to_stop():
        with theirs:
            supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", supervise.__file__, str(theirs.fileno()), sys.executable, *words],
                env=environ,
                stdin=subprocess.DEVNULL,
                # What a terminal is told in the end is the summary alone.
                stdout=sys.stderr.fileno() if _has_number(sys.stderr) else subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            heard = _heard(ours)
        finally:
            ours.close()
            supervisor.wait()
    lines = heard.split()
    if len(lines) < 2:
        return 128 + signal.SIGKILL
    code = os.waitstatus_to_exitcode(int(lines[1]))
    return 128 - code if code < 0 else code


def _heard(channel: socket.socket) -> bytes:
    """Return all that comes over a socket until it ends.

    With a time limit, however long, it is waited for by poll(), which a signal always ends: libraries that take SIGINT
    for themselves have the kernel go on with recv() after it.
    """
    channel.settimeout(60)
    heard = b""
    while True:
        with contextlib.suppress(TimeoutError):
            piece = channel.recv(64)
            heard += piece
            if not piece:
                return heard


def _has_number(stream: object) -> bool:
    with contextlib.suppress(AttributeError, OSError, ValueError):
        stream.fileno()  # type: ignore[attr-defined]
        return True
    return False


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[None]:
    """Let SIGTERM end this as Ctrl-C does: with what was started."""
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
