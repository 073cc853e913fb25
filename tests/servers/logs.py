"""Logs of the processes that a test starts: no traceback may stand in any of them."""

from __future__ import annotations

from pathlib import Path

# As Python prints it, also within a line of JSON.
_MARK = "Traceback (most recent call last)"
_BEFORE, _AFTER = 400, 2600


def tracebacks(text: str) -> list[str]:
    """Return each traceback in a log, with a few lines around it."""
    found, at = [], text.find(_MARK)
    while at >= 0:
        found.append(text[max(0, at - _BEFORE) : at + _AFTER])
        at = text.find(_MARK, at + _AFTER)
    return found


def assert_no_traceback(log: Path) -> None:
    """Fail with the traceback if there is one in the log of a process that has ended."""
    found = tracebacks(log.read_text("utf-8", "replace")) if log.exists() else []
    assert not found, f"{log.name}: {len(found)} tracebacks, the first: {found[0]}"
