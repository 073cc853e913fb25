#!/usr/bin/env python3
"""The door to the one-machine cluster: `python hack/cluster.py --help`. What it does is in the package beside it."""

from __future__ import annotations

import sys
from pathlib import Path

# As a script it is started with hack/ on the path, and the package lives in the folder above.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hack.cluster.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
