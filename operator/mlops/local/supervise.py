"""The parent of one container's process: `python -I -S supervise.py FD COMMAND…`. Only the standard library: fast.

FD is one end of a socket whose other end only the runtime holds. When the runtime dies, however it dies, the socket
ends and everything that the container started is killed. Over the socket come T (SIGTERM to the process group) and
K (SIGKILL); back go two lines: at once the process group, at the end the wait status.
"""

import contextlib
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CANNOT_START = 128


def _prctl(option: int, value: int) -> None:
    """Ask the kernel, where there is a Linux kernel; elsewhere the socket alone has to do."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _start(command: list[str]) -> int:
    supervisor = os.getpid()
    started, starting = os.pipe()
    pid = os.fork()
    if pid:
        # The pipe ends when the command runs. Before, there is no process group yet and a signal to it would be lost.
        os.close(starting)
        os.read(started, 1)
        os.close(started)
        return pid
    try:
        # A session of its own: a Ctrl-C at the terminal is for the runtime, which stops everything in order.
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(_CANNOT_START)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as error:
        message = f"cannot start {command[0]!r}: {error.strerror}\n"
        sys.stderr.write(message)
        with contextlib.suppress(OSError, KeyError), open(os.environ["MLOPS_TERMINATION_LOG"], "w") as log:
            log.write(message)
    finally:
        sys.stderr.flush()
        os._exit(_CANNOT_START)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _kill_rest(pid: int) -> None:
    """Kill the group, and what left the group: orphans come to this process, which is their subreaper."""
    _signal_group(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            for child in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children() -> list[int]:
    own = os.getpid()
    try:
        with open(f"/proc/{own}/task/{own}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _reap(pid: int) -> "int | None":
    """Return the wait status of `pid` if it has ended; other children are reaped along the way."""
    with contextlib.suppress(ChildProcessError):
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == pid:
                return status
            if not ended:
                break
    return None


def main() -> None:
    """Start the command, and see to it that it never outlives the runtime."""
    channel, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(channel, False)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    pid = _start(command)
    _tell(channel, pid)
    status = None
    # Not select(): the numbers of the runtime's files may be above 1,023.
    heard = select.poll()
    for each in (channel, woken):
        heard.register(each, select.POLLIN)
    while status is None:
        ready = {number for number, _ in heard.poll()}
        if woken in ready:
            os.read(woken, 64)
            status = _reap(pid)
        elif channel in ready:
            for order in _orders(channel):
                _signal_group(pid, {"T": signal.SIGTERM, "K": signal.SIGKILL}[order])
    _kill_rest(pid)
    _tell(channel, status)
    os._exit(0)


def _tell(channel: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.write(channel, f"{number}\n".encode())


def _orders(channel: int) -> str:
    try:
        # The end of the socket is the end of the runtime; a reset is the same.
        return os.read(channel, 16).decode() or "K"
    except ConnectionError:
        return "K"


if __name__ == "__main__":
    main()
