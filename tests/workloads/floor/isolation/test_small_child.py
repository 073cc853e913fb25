"""The child of files starts at once: it imports what its work needs, and nothing before."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import mlops.workloads.floor.child
print(*sorted({"pydantic", "numpy", "polars", "mlops.api.tasks", "mlops.store"} & set(sys.modules)))
"""


def test_the_child_imports_no_large_library_before_it_is_asked() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
