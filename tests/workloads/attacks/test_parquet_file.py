"""A Parquet file is judged by what it declares: one of a kilobyte that grows to gigabytes is never read."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops.api.dataset import DatasetSpec
from mlops.workloads.floor.isolation import limits
from mlops.workloads.floor.isolation.parent import Child
from mlops.workloads.floor.parquet_file import FREE_OF_RATIO, ParquetError, check_parquet
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest import columnar
from mlops.workloads.ingest.columnar import read_parquet
from mlops.workloads.ingest.contract import contract_of


def varint(value: int) -> bytes:
    """A number without sign."""
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def number(delta: int, value: int, kind: int = 5) -> bytes:
    """A field with a whole number."""
    return bytes([delta << 4 | kind]) + varint(value << 1 if value >= 0 else -value * 2 - 1)


def text(delta: int, value: bytes) -> bytes:
    """A field with a text."""
    return bytes([delta << 4 | 8]) + varint(len(value)) + value


def struct(delta: int, *fields: bytes) -> bytes:
    """A field with a struct."""
    return bytes([delta << 4 | 12]) + b"".join(fields) + b"\0"


def structs(delta: int, *items: bytes) -> bytes:
    """A field with a list of structs."""
    return bytes([delta << 4 | 9, len(items) << 4 | 12]) + b"".join(item + b"\0" for item in items)


def repeated(rows: int, declared: int | None = None, in_page: int | None = None) -> bytes:
    """A whole file with one number `rows` times: a dictionary of it, and one run. `declared`: what the footer says."""
    footer_rows = rows if declared is None else declared
    entry = (7).to_bytes(8, "little")
    head = number(1, 2) + number(1, len(entry)) + number(1, len(entry)) + struct(4, number(1, 1), number(1, 0)) + b"\0"
    run = bytes([1]) + varint(rows << 1) + b"\0"
    page_rows = rows if in_page is None else in_page
    described = struct(2, number(1, page_rows), number(1, 8), number(1, 3), number(1, 3))
    data = number(1, 0) + number(1, len(run)) + number(1, len(run)) + described + b"\0"
    content = b"PAR1" + head + entry + data + run
    meta = (
        number(1, 2)
        + bytes([1 << 4 | 9, 2 << 4 | 5]) + varint(0) + varint(16)
        + bytes([1 << 4 | 9, 1 << 4 | 8]) + varint(1) + b"x"
        + number(1, 0)
        + number(1, footer_rows, 6)
        + number(1, len(content) - 4, 6) + number(1, len(content) - 4, 6)
        + number(2, 4 + len(head) + len(entry), 6)
        + number(2, 4, 6)
    )  # fmt: skip
    column = number(2, 4, 6) + struct(1, meta)
    group = structs(1, column) + number(1, len(content), 6) + number(1, footer_rows, 6)
    schema = [text(4, b"schema") + number(1, 1), number(1, 2) + number(2, 0) + text(1, b"x")]
    footer = number(1, 1) + structs(1, *schema) + number(1, footer_rows, 6) + structs(1, group) + b"\0"
    return content + footer + len(footer).to_bytes(4, "little") + b"PAR1"


CONTRACT = contract_of(
    DatasetSpec.model_validate(
        {
            "source": {"s3": {"uri": "s3://raw/x.parquet"}},
            "fields": [{"name": "x", "type": "int64", "role": "feature"}],
        }
    )
)


def test_a_repeated_value_is_read_where_it_stays_small(tmp_path: Path) -> None:
    """The file that the others below are made of is sound: the reader gives the rows that it declares."""
    content = repeated(100_000)
    assert len(content) < 300
    check_parquet(content)
    assert pl.read_parquet(io.BytesIO(content))["x"].to_list() == [7] * 100_000
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with Child(1 << 30) as child:
        assert sum(chunk.height for chunk in read_parquet(path, "x.parquet", CONTRACT, child)) == 100_000


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(repeated(600_000_000), "grow to more than 256 MiB, more than 250 to 1", id="bomb"),
        pytest.param(repeated((1 << 31) - 1), "grow to more than 256 MiB", id="larger bomb"),
        pytest.param(repeated(600_000_000, declared=10), "pages have 600000000 values|grow to", id="modest footer"),
        pytest.param(repeated(10, declared=600_000_000), "pages have 10 values", id="footer says more"),
        pytest.param(repeated(10, in_page=11), "pages have 11 values", id="page says more"),
        pytest.param(repeated(10, in_page=-1), "number of values is -1", id="page says less than none"),
    ],
)
def test_a_small_file_that_fills_a_memory_is_refused_by_what_it_declares(
    tmp_path: Path, content: bytes, want: str
) -> None:
    """Before a native reader makes the values; the pod goes on and says so."""
    with pytest.raises(ParquetError, match=want):
        check_parquet(content)
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=f"x.parquet: the Parquet file is damaged: .*({want})") as info:
        list(read_parquet(path, "x.parquet", CONTRACT))
    assert info.value.reason == "FormatError"


def test_a_run_that_is_longer_than_its_page_says_ends_nothing(tmp_path: Path) -> None:
    """The checks look at headers only. The reader takes what the page has room for, in the child first."""
    path = tmp_path / "x.parquet"
    path.write_bytes(repeated(600_000_000, declared=10, in_page=10))
    with Child(1 << 30) as child:
        assert sum(chunk.height for chunk in read_parquet(path, "x.parquet", CONTRACT, child)) == 10


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "lz4", "uncompressed"])
@pytest.mark.parametrize("rows", [0, 1, 3000])
def test_files_as_writers_make_them_pass(compression: str, rows: int) -> None:
    """All types, nested ones too, with and without statistics, in several row groups and pages."""
    frame = pl.DataFrame(
        {
            "number": np.arange(rows) * 0.5,
            "whole": np.arange(rows),
            "text": [f"text {row % 7}" for row in range(rows)],
            "long": ["x" * 3000] * rows,
            "flag": [row % 2 == 0 for row in range(rows)],
            "gap": [None if row % 3 else row for row in range(rows)],
            "list": [[row, row] for row in range(rows)],
            "struct": [{"a": row, "b": "c"} for row in range(rows)],
        },
        schema_overrides={"text": pl.Categorical, "gap": pl.Int64, "list": pl.List(pl.Int64)},
    ).with_columns(pl.lit(None).alias("nothing"), pl.col("whole").cast(pl.Decimal(20, 2)).alias("decimal"))
    for options in ({}, {"statistics": False}, {"row_group_size": 700}, {"data_page_size": 4000}):
        written = io.BytesIO()
        frame.write_parquet(written, compression=compression, **options)  # type: ignore[arg-type]
        check_parquet(written.getvalue())


def test_a_large_file_is_not_in_the_memory_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child that tried it is gone when this process reads it; after a small one it waits for the next file."""
    path = tmp_path / "x.parquet"
    path.write_bytes(repeated(1000))
    for most, is_there in ((1 << 20, True), (10, False)):
        monkeypatch.setattr(columnar, "_KEPT_BYTES", most)
        with Child(1 << 30) as child:
            for _ in read_parquet(path, "x.parquet", CONTRACT, child):
                assert (child.process_id is not None) is is_there


def _flags(rows: int) -> pl.DataFrame:
    """Eight categoricals of 35 values, skewed, as flags: what a warehouse exports."""
    random, shares = np.random.default_rng(0), 1 / np.arange(1, 36) ** 1.5
    drawn = [random.choice(35, size=rows, p=shares / shares.sum()) for _ in range(8)]
    return pl.DataFrame({f"v{at}_{i}": (one == i).astype(np.int64) for at, one in enumerate(drawn) for i in range(35)})


def _joined(rows: int) -> pl.DataFrame:
    """A long text that a join repeats in each row."""
    return pl.DataFrame({"x": np.arange(rows) % 3, "about": ["x" * 1500] * rows})


def _constant(rows: int) -> pl.DataFrame:
    """Columns in which nothing has happened yet."""
    return pl.DataFrame({f"f{i}": np.zeros(rows) for i in range(60)})


@pytest.mark.parametrize(
    ("make", "rows"),
    [pytest.param(_flags, 150_000), pytest.param(_joined, 1_000_000), pytest.param(_constant, 700_000)],
)
def test_an_ordinary_table_of_repeated_values_is_no_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[int], pl.DataFrame], rows: int
) -> None:
    """It was refused after an ingest from CSV by every training, with no way out, and when it was delivered."""
    monkeypatch.setattr(limits, "_total", lambda: 2 << 30)
    path = tmp_path / "x.parquet"
    make(rows).write_parquet(path, row_group_size=131_072)
    check_parquet(path)
    check_parquet(path, is_ours=True)


def test_our_own_version_is_read_whatever_it_grows_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another ingest would write the same; what is delivered in one row group of that size is refused."""
    monkeypatch.setattr(limits, "_total", lambda: 512 << 20)
    content = repeated(100_000_000)
    check_parquet(content, is_ours=True)
    with pytest.raises(ParquetError, match="in smaller row groups"):
        check_parquet(content)


def test_what_is_free_of_the_ratio_is_what_text_may_have() -> None:
    """One rule for both."""
    from mlops.workloads.floor.parquet_file import MAX_RATIO
    from mlops.workloads.ingest import decompress

    assert (MAX_RATIO, FREE_OF_RATIO) == (decompress.MAX_RATIO, decompress.FREE_OF_RATIO)
