"""What keeps the keys in this process from others of the same user."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """Have the kernel show memory and environment of this process to root only, and write no core dump of them.

    A child process that starts another program is a process like any other again: give it no keys.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
