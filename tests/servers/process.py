"""Start a real server on a free port of this machine, wait until it answers, end it by its own process id."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from hack import tools

# The server asks the kernel to be ended with its parent, so that even a killed test run leaves nothing behind.
WITH_PARENT = (
    "import ctypes, os, signal, sys; "
    "sys.platform == 'linux' and ctypes.CDLL(None).prctl(1, signal.SIGTERM); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def as_user(user: int) -> str:
    """The same as another user, who may read the server but not this interpreter; a change of user forgets the wish."""
    return WITH_PARENT.replace("; ", f"; os.setgroups([]); os.setgid({user}); os.setuid({user}); ", 1)


def program(name: str) -> str:
    """The path of a built tool. Without it the test is skipped on a laptop, and fails in CI, where it must be there."""
    found = tools.find(name)
    if found is not None:
        return str(found)
    message = f"{name} is not built yet: python hack/tools.py build {name} (takes minutes, once)"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    ready: Callable[[], bool],
    log: Path,
    environ: Mapping[str, str] | None = None,
    seconds: float = 60,
    user: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The server process, ready. Raises RuntimeError with the end of its log if it ends or is not ready in time.

    `user`: the number of another user that it runs as, where it refuses to run as root.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", WITH_PARENT if user is None else as_user(user), *command],
            env={**os.environ, **(environ or {})},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + seconds
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                state = "not ready" if process.returncode is None else f"ended with {process.returncode}"
                tail = log.read_text("utf-8", "replace")[-3000:]
                raise RuntimeError(f"{Path(command[0]).name} is {state}:\n{tail}")
            time.sleep(0.05)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it gently, then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=3)  # versitygw waits for connections that clients keep open
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
