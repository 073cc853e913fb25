"""The digest says what the rows say, and nothing else."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from mlops.api.dataset import DatasetSpec
from mlops.workloads.ingest.digest import ContentDigest
from tests.workloads.ingest.conftest import FIELDS, Desk, a_frame, a_spec, fields_with

# Written down once. If this changes, every data set in the world gets a new version with the next release.
GOLDEN = "sha256:42f52152fcaa49beaec118de2ab62aa040e66a62df1332d00b4b5f730888558c"


def _parquet(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.col("time").str.to_datetime(time_unit="ms", time_zone="UTC"), pl.col("count").cast(pl.Int16)
    )


def _csv(frame: pl.DataFrame) -> bytes:
    return frame.write_csv().encode()


def _zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout


SHUFFLED = a_frame().sample(fraction=1, shuffle=True, seed=5)


@pytest.mark.parametrize(
    ("form", "files"),
    [
        pytest.param("csv", {"a.csv": _csv(a_frame())}, id="one CSV"),
        pytest.param("csv", {"b.csv": _csv(SHUFFLED[:9]), "a.csv": _csv(SHUFFLED[9:])}, id="two CSVs, shuffled"),
        pytest.param("csv", {"a.csv": b"\xef\xbb\xbf" + _csv(a_frame())}, id="CSV with a byte order mark"),
        pytest.param("csv", {"a.csv": _csv(a_frame()).replace(b"\n", b"\r\n")}, id="CSV of Windows"),
        pytest.param("csv", {"a.csv": _csv(a_frame()) + b"\n\n"}, id="CSV with empty lines at the end"),
        pytest.param(
            "csv", {"a.csv": _csv(a_frame().select(reversed(a_frame().columns)))}, id="columns in other order"
        ),
        pytest.param("csv", {"a.csv": _csv(a_frame().with_columns(note=pl.lit("x,\ny")))}, id="a further column"),
        pytest.param("csv", {"a.csv.gz": gzip.compress(_csv(a_frame()))}, id="gzip"),
        pytest.param(
            "csv",
            {"a.csv.gz": gzip.compress(_csv(a_frame())[:300]) + gzip.compress(_csv(a_frame())[300:])},
            id="gzip of two members",
        ),
        pytest.param("csv", {"a.csv.zst": _zstd(_csv(a_frame()))}, id="zstd"),
        pytest.param("jsonl", {"a.jsonl": SHUFFLED.write_ndjson().encode()}, id="JSON lines"),
        pytest.param("jsonl", {"a.jsonl.gz": gzip.compress(SHUFFLED.write_ndjson().encode())}, id="JSON lines, gzip"),
        pytest.param("parquet", {"a.parquet": _parquet(SHUFFLED)}, id="Parquet with text timestamps"),
        pytest.param(
            "parquet", {"a": _parquet(_typed(SHUFFLED[:1])), "b": _parquet(_typed(SHUFFLED[1:]))}, id="Parquet"
        ),
    ],
)
def test_the_same_rows_give_the_same_digest_however_they_are_delivered(
    desk: Desk, form: str, files: dict[str, bytes]
) -> None:
    for name, data in files.items():
        desk.deliver(f"things/{name}", data)
    assert desk.ingest(a_spec(format=form)).digest == GOLDEN


def _one_cell(frame: pl.DataFrame, column: str, value: Any) -> pl.DataFrame:
    return frame.with_columns(pl.when(pl.int_range(pl.len()) == 6).then(value).otherwise(pl.col(column)).alias(column))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda frame: _one_cell(frame, "price", 4.500000000000001), id="the last bit of a number"),
        pytest.param(lambda frame: _one_cell(frame, "count", None), id="a value missing"),
        pytest.param(lambda frame: _one_cell(frame, "class", pl.lit("DOWN")), id="a label"),
        pytest.param(lambda frame: frame[:-1], id="a row less"),
        pytest.param(lambda frame: pl.concat([frame, frame[:1]]), id="a row twice"),
        pytest.param(lambda frame: frame.rename({"class": "kind", "kind": "class"}), id="two columns swapped"),
    ],
)
def test_other_rows_give_another_digest(desk: Desk, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    fields = [{k: v for k, v in one.items() if k != "enum"} | {"nullable": True} for one in FIELDS]
    desk.deliver("things/a.csv", _csv(a_frame()))
    before = desk.ingest(a_spec(fields=fields))
    desk.deliver("things/a.csv", _csv(change(a_frame())))
    assert desk.ingest(a_spec(fields=fields)).digest != before.digest


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"fields": fields_with("count", nullable=False, min="0")[:3] + FIELDS[4:]}, id="a column less"),
        pytest.param({"fields": fields_with("price", role="ignored")}, id="a role"),
        pytest.param({"fields": fields_with("open", nullable=True)}, id="nullable"),
        pytest.param({"fields": [FIELDS[1], FIELDS[0], *FIELDS[2:]]}, id="order of the columns"),
        pytest.param({"features": [{"name": "double", "expression": "price * 2"}]}, id="a feature"),
        pytest.param({"split": {"strategy": "random", "seed": 8}}, id="the split's seed"),
    ],
)
def test_another_contract_gives_another_digest(desk: Desk, changes: dict[str, Any]) -> None:
    desk.deliver("things/a.csv", _csv(a_frame()))
    assert desk.ingest(a_spec(**changes)).digest != GOLDEN


def test_missing_and_empty_text_are_two_things(desk: Desk) -> None:
    desk.deliver("things/a.csv", _csv(a_frame()))
    missing = desk.ingest()
    desk.deliver("things/a.csv", _csv(a_frame().with_columns(pl.col("kind").fill_null(""))))
    empty = desk.ingest()
    assert desk.frame(missing, "train")["kind"].null_count() > 0
    assert desk.frame(empty, "train")["kind"].null_count() == 0
    assert missing.digest != empty.digest


def test_nan_is_missing_and_minus_zero_is_zero(desk: Desk) -> None:
    spec = a_spec(fields=fields_with("price", nullable=True))
    frame = a_frame().with_columns(pl.col("price").cast(pl.String))
    desk.deliver("things/a.csv", _csv(_one_cell(_one_cell(frame, "price", None), "price", None)))
    plain = desk.ingest(spec)
    desk.deliver("things/a.csv", _csv(_one_cell(frame, "price", pl.lit("NaN"))))
    assert desk.ingest(spec).digest == plain.digest
    desk.deliver("things/a.csv", _csv(_one_cell(frame, "price", pl.lit("0"))))
    zero = desk.ingest(spec)
    desk.deliver("things/a.csv", _csv(_one_cell(frame, "price", pl.lit("-0.0"))))
    assert desk.ingest(spec).digest == zero.digest


def test_the_digest_can_be_computed_again_from_what_is_stored(desk: Desk, built: Callable[..., DatasetSpec]) -> None:
    """As the module's docstring promises: schema.json and the three Parquet files are enough."""
    desk.deliver("things/a.csv", _csv(a_frame()))
    report = desk.ingest(built(features=[{"name": "double", "expression": "price * 2"}]))
    document = desk.document(report, "schema")
    columns = [{key: one[key] for key in ("name", "type", "role", "nullable")} for one in document["fields"]]
    columns += [
        {"name": one["name"], "type": one["type"], "role": "feature", "nullable": True} for one in document["features"]
    ]
    content = ContentDigest(columns)
    for name in ("train", "validation", "test"):
        part = content.part()
        part.update(desk.frame(report, name))
        content.add(part)
    assert content.result() == report.digest


def _by_the_docstring(columns: list[dict[str, Any]], parts: list[pl.DataFrame]) -> str:
    """The format of the docstring in plain Python, value by value."""
    schema = json.dumps({"columns": columns}, sort_keys=True, separators=(",", ":")).encode()
    whole = b"mlops-dataset-v1\n" + struct.pack("<Q", len(schema)) + schema
    forms = {"float64": "<d", "int64": "<q", "timestamp": "<q", "boolean": "<B", "string": "<I"}
    for part in parts:
        whole += struct.pack("<Q", part.height)
        for column in columns:
            kind, series = column["type"], part[column["name"]]
            values = (series.to_physical() if kind == "timestamp" else series).to_list()
            streams = [
                b"".join(b"\0" if value is None else b"\1" for value in values),
                b"".join(
                    struct.pack(forms[kind], len((value or "").encode()) if kind == "string" else value or 0)
                    for value in values
                ),
            ]
            if kind == "string":
                streams.append("".join(value or "" for value in values).encode())
            whole += b"".join(hashlib.sha256(stream).digest() for stream in streams)
    return "sha256:" + hashlib.sha256(whole).hexdigest()


def test_the_format_is_what_its_docstring_says(desk: Desk) -> None:
    """Somebody else can write this digest down from the description alone."""
    desk.deliver("things/a.csv", _csv(a_frame()))
    report = desk.ingest()
    columns = [
        {key: one[key] for key in ("name", "type", "role", "nullable")}
        for one in desk.document(report, "schema")["fields"]
    ]
    parts = [desk.frame(report, part) for part in ("train", "validation", "test")]
    assert _by_the_docstring(columns, parts) == GOLDEN
