"""What is said of a file that is not what the contract says."""

from __future__ import annotations

import re

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput

_SHOWN = 60


def format_error(name: str, problem: str) -> BadInput:
    """Return the error for a file that is not what the contract says."""
    return BadInput(Reason.FORMAT_ERROR, f"{name}: {problem}")


def shown(value: object) -> str:
    """Return a value as it may stand in a message: short, on one line."""
    text = re.sub(r"[\x00-\x1f\x7f]", "?", str(value))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
