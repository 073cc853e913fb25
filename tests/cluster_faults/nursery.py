"""Operators as real processes that start soon: forked from one that has imported everything.

Importing kopf and its peers takes seconds of a small machine, and these tests start the operator hundreds of times.
What is forked has run nothing but imports; that `python -m mlops.cluster` starts as well is shown elsewhere.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

_POLL_SECONDS = 0.05


class Child:
    """One process; the same few verbs as subprocess.Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None
        self._ended = threading.Event()

    def poll(self) -> int | None:
        return self._code

    def wait(self, seconds: float) -> int:
        """The exit code, negative for a signal. Raises TimeoutExpired."""
        if not self._ended.wait(seconds) or self._code is None:
            raise subprocess.TimeoutExpired("mlops.cluster", seconds)
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self._code is None:
            os.kill(self.pid, number)

    def ended(self, code: int) -> None:
        self._code = code
        self._ended.set()


class Nursery:
    """The process that they are forked from; it ends with this one, and they with it."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lock = threading.Lock()
        self._born: list[int] = []
        self._news = threading.Condition()
        self._children: dict[int, Child] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> Child:
        """Start `mlops-operator` with these arguments and this environment; its output is added to `log`."""
        assert self._process.stdin is not None
        order = {"arguments": list(arguments), "environ": dict(environ), "log": str(log)}
        with self._lock:  # one order at a time, so that the next birth is ours
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            with self._news:
                assert self._news.wait_for(lambda: bool(self._born), 60), "nothing was started"
                return self._children[self._born.pop()]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            what, pid, code = line.split()
            with self._news:
                if what == "born":
                    self._children[int(pid)] = Child(int(pid))
                    self._born.append(int(pid))
                else:
                    self._children.pop(int(pid)).ended(int(code))
                self._news.notify_all()


@cache
def nursery() -> Nursery:
    """The one of this test run."""
    made = Nursery()
    atexit.register(made.close)
    return made


def _serve() -> None:
    from mlops.cluster import main

    orders = b""
    while True:
        if select.select([0], [], [], _POLL_SECONDS)[0]:
            data = os.read(0, 1 << 16)
            if not data:
                return
            orders += data
        while b"\n" in orders:
            order, _, orders = orders.partition(b"\n")
            print("born", _fork(json.loads(order), main.main), 0, flush=True)
        _bury()


def _bury() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        print("gone", pid, os.waitstatus_to_exitcode(status), flush=True)


def _fork(order: dict[str, object], run: object) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        log = os.open(str(order["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order["environ"])  # type: ignore[call-overload]
        run(order["arguments"], standalone_mode=True)  # type: ignore[operator]
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stderr.flush()
        os._exit(code)
    return 0


if __name__ == "__main__":
    _serve()
