"""One event is one line, whatever its message holds, and the operator's and the pods' lines are of one form."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.api.log_lines import LogLines

TIME = r"2026-11-21T09:30:00\.123Z"
ABOUT = {"kind": "Dataset", "namespace": "shop", "object": "sales"}


def _record(message: str, level: int = logging.INFO, error: Exception | None = None, **extra: Any) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("mlops.x", level, "x.py", 1, "%s", (message,), info)
    record.created = 1795253400.123
    for name, value in extra.items():
        setattr(record, name, value)
    return record


def test_a_line_of_text_has_time_level_object_and_message() -> None:
    line = LogLines("text").format(_record("7 rows", logging.WARNING, **ABOUT, request_id="a-1"))
    assert re.fullmatch(TIME + " WARNING mlops.x: Dataset shop/sales: request a-1: 7 rows", line), line
    assert re.fullmatch(TIME + " INFO    mlops.x: 7 rows", LogLines("text").format(_record("7 rows")))


def test_a_line_of_json_has_a_field_for_each() -> None:
    ids = {"request_id": "a-1", "trace_id": "0af7"}
    found = json.loads(LogLines("json").format(_record("7 rows", **ABOUT, **ids)))
    assert re.fullmatch(TIME, found.pop("time"))
    assert found == {"level": "info", "logger": "mlops.x", "message": "7 rows", **ABOUT, **ids}
    assert json.loads(LogLines("json").format(_record("x"))).keys() == {"time", "level", "logger", "message"}


@settings(deadline=None)
@given(st.text(st.characters()))
@pytest.mark.parametrize("field", ["message", "object", "request_id", "trace_id"])
def test_an_event_is_one_line_whatever_it_says(field: str, text: str) -> None:
    """Nobody writes a line of his own into the log, nor moves the cursor of who reads it."""
    record = _record(text) if field == "message" else _record("x", **{**ABOUT, field: text})
    line = LogLines("text").format(record)
    assert len(f"{line}.".splitlines()) == 1
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", line)
    written = LogLines("json").format(record)
    assert "\n" not in written
    written.encode()
    if text.isprintable():
        assert json.loads(written)[field] == text


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_error_is_one_record_with_its_traceback(style: Any) -> None:
    try:
        raise KeyError("spec")
    except KeyError as error:
        record = _record("it failed", logging.ERROR, error)
    first, *rest = LogLines(style).format(record).split("\n")
    trace = json.loads(first)["traceback"].split("\n") if style == "json" else rest
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == "KeyError: 'spec'"
    assert not rest or style == "text"
