"""What the child may use, and what it cannot see."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mlops.api.numeric_environment import NUMERIC_ENVIRONMENT

# The numbers' environment, so that the child's answers have the same bits; and where its programs lie.
_KEPT: Final = frozenset({*NUMERIC_ENVIRONMENT, "PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV"})
LEAST_BYTES: Final = 256 << 20
_SHARE: Final = 0.85
_OPEN_FILES: Final = 64
_SET_PARENT_DEATH_SIGNAL, _GET_DUMPABLE, _SET_DUMPABLE = 1, 3, 4
_CGROUP_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# In the child: what its program took before the first piece of work.
_before_work: Final[list[int]] = []
# For each child that is there, whether this process was shown to others before the first of them.
_hidden: Final[list[int]] = []
_hiding: Final = threading.Lock()


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment the child gets: no address and no key."""
    return {name: value for name, value in environ.items() if name in _KEPT} | {"PYTHONSAFEPATH": "1"}


def restrict() -> None:
    """In the child: no file that grows, no core, few open files; it ends with its parent."""
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        resource.setrlimit(what, (most, most))
    # A write that is refused is an error like another, not the end.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _control(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def allow(seconds: float, memory_bytes: int) -> None:
    """In the child, before each piece of work: so much processor time more than was used so far.

    Memory counts from before the first of them: what a model keeps from one question is missing to the next.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 1, most))
    if not _before_work:
        _before_work.append(_status("VmData"))
    if data := _before_work[0]:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (data + memory_bytes, most))


def memory_left(wanted: int) -> int:
    """In the parent: what the child may have of the memory that this container or machine has, at most `wanted`."""
    return max(LEAST_BYTES, min(wanted, left()))


def left() -> int:
    """In the parent: how much memory this container or machine has beside this process; below zero if it is full."""
    limits = [value for path in _CGROUP_LIMITS if (value := _number(path)) is not None]
    limits.append(_total())
    return int(_SHARE * min(one for one in limits if one > 0)) - _status("VmRSS")


def processor_seconds(process: int) -> float | None:
    """Return how long a process has computed, its threads together; None where that cannot be read."""
    try:
        # The name before may hold blanks and brackets; user and system time are the fields 14 and 15 of all.
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def hide_environment() -> None:
    """In the parent, for one child: no other process of this user may read its memory or its environment."""
    with _hiding:
        _hidden.append(_hidden[0] if _hidden else _control(_GET_DUMPABLE, 0))
        _control(_SET_DUMPABLE, 0)


def show_environment() -> None:
    """Undo one `hide_environment`; a process that was hidden before the first of them stays so."""
    with _hiding:
        before = _hidden.pop()
        if not _hidden and before == 1:
            _control(_SET_DUMPABLE, before)


def _control(option: int, value: int) -> int:
    if sys.platform != "linux":
        return 0
    return int(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0))


def _status(name: str) -> int:
    """Return a line of this process's own status in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(name + ":")), 0)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _total() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines() if Path("/proc/meminfo").exists() else []
    found = next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemTotal:")), 0)
    return found or 8 << 30
