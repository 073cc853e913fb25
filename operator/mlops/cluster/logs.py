"""Logs: one line per record, as text or as JSON, with the object that it is about."""

from __future__ import annotations

import logging
import re
import sys

from mlops.api.log_lines import Format, LogLines
from mlops.engine.queue import is_worth_a_line

# kopf tries each watch again every 10 s, for as long as it takes.
_TRIED = re.compile(r"Request attempt #(\d+) failed; will retry")

# Of asyncio, with the place of a callback's or a task's code behind it.
_CANCELS_ITS_STREAM = "Exception in callback stream.<locals>.request_cancel_callback"
_FAILED_IN_KOPF = "Task exception was never retrieved"
_GUARDED, _OF_KOPF = "coro=<guard() ", "/kopf/"


def configure(level: str, style: Format) -> None:
    """Send everything to standard error. `level` is a name such as INFO, `style` is text or json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogLines(style))
    handler.addFilter(_calm)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What kopf tells of each step is ours to tell, or of no use to anybody.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _calm(record: logging.LogRecord) -> bool:
    """Trouble with the API server is told in a line: it heals, and nobody learns anything from kopf's own frames."""
    if record.name == "asyncio" and _is_an_end_of_kopf(record):
        return False
    if record.name.startswith("kopf"):
        if "OS signals are ignored" in record.getMessage():
            return False
        if (tried := _TRIED.match(record.getMessage())) and not is_worth_a_line(int(tried[1])):
            return False
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
    if record.name.startswith(("kopf", "asyncio")) and record.exc_info:
        error = record.exc_info[1]
        if error is not None and not _is_a_bug_of_ours(error):
            said = " ".join(record.getMessage().split())
            named = f"{type(error).__name__}: {error}".rstrip(": ")
            record.msg, record.args = said if str(error) and str(error) in said else f"{said} ({named})", None
            record.exc_info = record.exc_text = None
    return True


def _is_an_end_of_kopf(record: logging.LogRecord) -> bool:
    """Return whether asyncio tells of a watch that was given up, when the watches begin again: kopf's generators,
    callbacks and tasks do not end well then, and nothing comes of it. Why a task of its own failed, kopf has said."""
    said = record.getMessage()
    cancels = said.startswith(_CANCELS_ITS_STREAM) and _OF_KOPF in said
    if "closing of asynchronous generator" in said or cancels:
        return True
    error = record.exc_info[1] if record.exc_info else None
    failed = said.startswith(_FAILED_IN_KOPF) and _OF_KOPF in said.partition(_GUARDED)[2]
    return error is not None and failed and not _is_a_bug_of_ours(error)


def _is_a_bug_of_ours(error: BaseException) -> bool:
    """Return whether it came through our code and is no trouble with a connection: then its traceback is wanted."""
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("kopf", "aiohttp"):
        return False
    frame = error.__traceback__
    while frame is not None:
        if str(frame.tb_frame.f_globals.get("__name__", "")).startswith("mlops."):
            return True
        frame = frame.tb_next
    return False
