"""A process that holds keys shows them to nobody of the same user."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Two processes of one user: the first may keep its memory private, the second looks at it.
TWO = """
import ctypes, os, sys
from mlops.workloads.floor.isolation import secrecy

def nobody():
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        # A change of the user hides a process, too, until it starts another program.
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)

ready, told = os.pipe()
held, holder = os.pipe()
first = os.fork()
if first == 0:
    nobody()
    if sys.argv[1] == "private":
        secrecy.keep_memory_private()
    os.write(told, b".")
    os.close(holder)
    os.read(held, 1)
    os._exit(0)
os.read(ready, 1)
second = os.fork()
if second == 0:
    nobody()
    for name in ("environ", "mem"):
        try:
            with open(f"/proc/{first}/{name}", "rb") as found:
                print(name, b"hidden" in found.read() if name == "environ" else "opened", flush=True)
        except PermissionError:
            print(name, "refused", flush=True)
    os._exit(0)
os.waitpid(second, 0)
"""


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("how", "said"), [("private", "environ refused\nmem refused\n"), ("as any", "environ True\nmem opened\n")]
)
def test_another_process_of_the_user_reads_neither_environment_nor_memory(how: str, said: str) -> None:
    """The child that opens what a stranger delivered is of the same user as its parent, which holds the keys."""
    environ = {**os.environ, "AWS_SECRET_ACCESS_KEY": "hidden"}
    done = subprocess.run([sys.executable, "-c", TWO, how], env=environ, capture_output=True, text=True)
    assert done.stdout == said, done.stderr


def test_every_workload_keeps_its_memory_private() -> None:
    """Before it reads its task."""
    code = (
        "import ctypes, mlops.workloads.__main__ as program\n"
        "program.main()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    environ = {**os.environ, "MLOPS_TASK": "none", "MLOPS_TERMINATION_LOG": os.devnull}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert done.stdout == "0\n", done.stderr
