"""No process of ours leaves a traceback: every log that the tests leave behind is looked through when they are over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_FIRST = "Traceback (most recent call last)"
# Of our processes, and of kopf and its event loop that they run in; as a field of JSON too, whose quotes are escaped. A
# user's own trainer may raise what it likes.
_OURS = re.compile(r'File \\?"[^"]*/(mlops|kopf|asyncio|concurrent|threading\.py)[/"\\]')
_MOST_LINES, _MOST_SHOWN = 200, 5


def tracebacks(log: str) -> Iterator[str]:
    """Yield the tracebacks in a log in which code of ours takes part."""
    lines = log.splitlines()
    for number, line in enumerate(lines):
        if _FIRST in line:
            text = "\n".join(_block(lines[number : number + _MOST_LINES]))
            if _OURS.search(text):
                yield text


def _block(lines: list[str]) -> Iterator[str]:
    """Yield a traceback's lines: the indented ones after the first, and the exception."""
    yield lines[0]
    margin = len(lines[0]) - len(lines[0].lstrip())
    for line in lines[1:]:
        yield line
        if line.strip() and len(line) - len(line.lstrip()) <= margin:
            return


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if there is one."""
    factory = getattr(session.config, "_tmp_path_factory", None)
    # A worker's folder is in that of the process that started it, which looks at the end of all.
    if factory is None or hasattr(session.config, "workerinput"):
        return
    found = [(log, text) for log in sorted(factory.getbasetemp().rglob("*.log")) for text in _read(log)]
    if not found:
        return
    print(f"\n{len(found)} tracebacks in logs")
    for log, text in found[:_MOST_SHOWN]:
        print(f"{log}\n{text}\n")
    session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _read(log: Path) -> list[str]:
    try:
        return list(tracebacks(log.read_text("utf-8", "replace")))
    except OSError:
        return []
