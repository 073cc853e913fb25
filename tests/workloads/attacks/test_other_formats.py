"""Arrow files and workbooks meet a process without keys first, and what they make of it ends that process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from mlops.api.dataset import DatasetSpec
from mlops.workloads.floor.isolation.parent import Child
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.contract import Contract, contract_of
from mlops.workloads.ingest.formats import delivered_rows
from mlops.workloads.ingest.locate import Delivered


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    with Child(512 << 20) as one:
        yield one


def _spec(form: str) -> tuple[DatasetSpec, Contract]:
    fields = [{"name": "v", "type": "float64", "nullable": True}]
    spec = DatasetSpec.model_validate({"source": {"s3": {"uri": "s3://raw/x"}}, "format": form, "fields": fields})
    return spec, contract_of(spec)


def _read(content: bytes, form: str, child: Child, folder: Path) -> pl.DataFrame:
    path = folder / "file"
    path.write_bytes(content)
    spec, contract = _spec(form)
    return pl.concat(delivered_rows(Delivered("FILE", path), spec, contract, child, RowsAside()))


def _workbook(value: object) -> bytes:
    book, sink = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["v"])
    book.active.append([value])
    book.save(sink)
    return sink.getvalue()


def _arrow(frame: pl.DataFrame, compression: str = "uncompressed") -> bytes:
    sink = io.BytesIO()
    frame.write_ipc(sink, compression=compression)  # type: ignore[call-overload]
    return sink.getvalue()


def test_a_good_file_is_read_after_the_child_has_read_it(child: Child, tmp_path: Path) -> None:
    assert _read(_arrow(pl.DataFrame({"v": [1.5]})), "arrow", child, tmp_path)["v"].to_list() == [1.5]
    assert child.process_id is not None
    assert _read(_workbook(2.5), "excel", child, tmp_path)["v"].to_list() == [2.5]


def test_what_is_wrong_with_a_file_is_said_by_the_child(child: Child, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a formula that was never computed"):
        _read(_workbook("=1/0"), "excel", child, tmp_path)
    whole = _arrow(pl.DataFrame({"v": [1.5] * 1000}))
    with pytest.raises(BadInput, match="the Arrow file is damaged: 0 of its 1000 rows could be read"):
        _read(whole[:2000] + whole[3000:], "arrow", child, tmp_path)


def test_a_small_file_that_fills_a_memory_ends_the_child_alone(tmp_path: Path) -> None:
    """One number in each row, packed as one batch: 512 MiB in a file of less than one MiB."""
    rows, sink = 64 << 20, io.BytesIO()
    frame = pl.LazyFrame({"v": pl.Series([0.0]).new_from_index(0, rows)})
    frame.sink_ipc(sink, compression="zstd", record_batch_size=rows)
    content = sink.getvalue()
    assert len(content) < 1 << 20
    del frame
    said = r"the Arrow file is not read: it ended the process .*, as a lack of memory does: it may have \d+ MiB"
    with Child(256 << 20) as small, pytest.raises(BadInput, match=said):
        _read(content, "arrow", small, tmp_path)
