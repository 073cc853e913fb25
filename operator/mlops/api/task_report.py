"""What a pod leaves in its termination message: one JSON document of at most 4096 bytes."""

from __future__ import annotations

import json
from typing import Literal

from mlops.api.base import Model
from mlops.api.reasons import Reported

MAX_REPORT_BYTES = 4096


class ReportError(ValueError):
    """A termination message that is no report."""


class FailureReport(Model):
    """Why there is no result. `reason` is one of the kind's condition reasons."""

    report: Literal["failure"] = "failure"
    reason: Reported
    message: str


def write_report(report: Model) -> str:
    """Return the termination message of `report`; raises ReportError above 4096 bytes: nothing may be cut silently."""
    text = json.dumps(report.dump(), separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > MAX_REPORT_BYTES:
        raise ReportError(f"the report has {len(text.encode())} bytes, the limit is {MAX_REPORT_BYTES}")
    return text
