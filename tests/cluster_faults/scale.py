"""How long faults last: some twenty seconds by default, as long as the catalogue says with MLOPS_FULL_FAULTS=1."""

from __future__ import annotations

import os

FULL = os.environ.get("MLOPS_FULL_FAULTS") == "1"
FAULT_SECONDS = 75.0 if FULL else 20.0
LONG_FAULT_SECONDS = 300.0 if FULL else 30.0
# What the operator is held to.
RECOVERY_SECONDS = 20.0
SILENCE_SECONDS = 75.0
