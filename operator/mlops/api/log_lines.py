"""How a record of a log is written, by the operator and by pods alike: one line, as text or as JSON.

    2026-11-21T09:30:00.123Z INFO    mlops.workloads.ingest: Dataset shop/sales: 1,204 rows
    {"time": "2026-11-21T09:30:00.123Z", "level": "info", "logger": "mlops.workloads.ingest", "message": "1,204 rows",
     "kind": "Dataset", "namespace": "shop", "object": "sales"}

A traceback is a field of the JSON; as text it stands in the lines after.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal

Format = Literal["text", "json"]
# Of operator and pods alike: a pod is told only what is not the default.
DEFAULT_FORMAT: Final[Format] = "text"
# Attributes of a record that are fields of the JSON: what it is about.
OBJECT: Final = ("kind", "namespace", "object")
REQUEST_ID: Final = "request_id"
# The trace that the request belongs to, as W3C Trace Context names it.
TRACE_ID: Final = "trace_id"
# What ends a line somewhere, or moves a terminal's cursor: messages may repeat what others sent.
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
ErrorInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LogLines(logging.Formatter):
    """Writes a record in one of the two formats."""

    def __init__(self, style: Format) -> None:
        super().__init__()
        self._as = style

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; as text, a traceback's lines after it."""
        trace = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        if self._as == "json":
            return _json(record, trace)
        line = f"{_time(record)} {record.levelname:<7} {record.name}: {_about(record)}{plain(_message(record))}"
        return f"{line}\n{trace}" if trace else line


def plain(text: str) -> str:
    """Return a text as it may stand in a line: control characters are spelt out."""
    return text.translate(_CONTROLS)


def _message(record: logging.LogRecord) -> str:
    return record.getMessage().rstrip("\n")


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _about(record: logging.LogRecord) -> str:
    kind, namespace, name = (getattr(record, field, None) for field in OBJECT)
    about = f"{kind} {namespace}/{name}: " if kind and namespace and name else ""
    request = getattr(record, REQUEST_ID, None)
    return plain(f"{about}request {request}: " if request else about)


def _json(record: logging.LogRecord, trace: str) -> str:
    fields = {
        "time": _time(record),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _message(record),
    }
    for field in (*OBJECT, REQUEST_ID, TRACE_ID):
        if (value := getattr(record, field, None)) is not None:
            fields[field] = value
    if trace:
        fields["traceback"] = trace
    # Half a letter (a lone surrogate) can be written in ASCII only.
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
