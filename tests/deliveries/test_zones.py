"""Times that say nothing of their zone: the same reading in every format, and never without a word."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.workloads.ingest.conftest import Desk, a_spec

WHOLE = {"train": "1", "validation": "0", "test": "0"}
LOCAL = datetime(2024, 5, 1, 12)  # noqa: DTZ001 it has no zone


def _delivery(form: str) -> bytes:
    sink = io.BytesIO()
    match form:
        case "csv":
            return b"t,x\n2024-05-01 12:00:00.000,1\n"
        case "jsonl":
            return json.dumps({"t": "2024-05-01T12:00", "x": 1}).encode()
        case "parquet":
            pl.DataFrame({"t": [LOCAL], "x": [1]}).write_parquet(sink)
        case "arrow":
            pl.DataFrame({"t": [LOCAL], "x": [1]}).write_ipc(sink)
    return sink.getvalue()


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "arrow"])
def test_times_without_an_offset_are_utc_and_told(tmp_path: Path, form: str, zone: str | None) -> None:
    """Of a declared zone there is nothing to tell."""
    fields: list[dict[str, Any]] = [
        {"name": "t", "type": "timestamp", "role": "timestamp", **({"timeZone": zone} if zone else {})},
        {"name": "x", "type": "int64"},
    ]
    desk = Desk(tmp_path)
    desk.deliver("things/one", _delivery(form))
    report = desk.ingest(a_spec(format=form, fields=fields, split={"strategy": "random", "fractions": WHOLE}))
    (found,) = desk.frame(report, "train")["t"].to_list()
    assert found == datetime(2024, 5, 1, 10 if zone else 12, tzinfo=UTC)
    assert report.read_as_utc == (() if zone else ("t",))
