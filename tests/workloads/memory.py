"""The most memory that this process held."""

from __future__ import annotations

from pathlib import Path


def peak_mib() -> float:
    """The largest resident size since the program began, in MiB (VmHWM of proc(5)). `ru_maxrss` is not that: it keeps
    what the process was before it became this program, so a child of a large test process begins with the test's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
