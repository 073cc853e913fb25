"""The readers of delivered files, by spec.format: each yields the contract's columns in the file's order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from mlops.api.dataset import DatasetSpec
from mlops.workloads.floor.isolation.parent import Child
from mlops.workloads.ingest.arrow_ipc import arrow_columns, read_arrow
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.columnar import parquet_columns, read_parquet
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.decompress import unpack
from mlops.workloads.ingest.delimited import csv_columns, read_csv
from mlops.workloads.ingest.json_lines import json_columns, read_json, read_jsonl
from mlops.workloads.ingest.locate import Delivered
from mlops.workloads.ingest.partitions import partitions_of, with_partitions

# Text is unpacked on the way; these are read at places all over the file. A workbook is a zip archive itself.
_UNPACKED_FIRST = ("parquet", "arrow")


def delivered_rows(
    file: Delivered, spec: DatasetSpec, contract: Contract, child: Child | None, rejected: RowsAside
) -> Iterator[pl.DataFrame]:
    """Yield the contract's columns of one file, with those that stand in its path. Raises BadInput.

    `rejected` takes the rows of CSV that are put aside, where the contract says so.
    """
    if spec.format in _UNPACKED_FIRST:
        unpack(file.path, file.name)
    partitions = partitions_of(file.key, file.name)
    read = _reader(file, spec, child, rejected)
    yield from with_partitions(read, lambda: columns_in(file, spec, contract), partitions, file.name, contract)


def _reader(
    file: Delivered, spec: DatasetSpec, child: Child | None, rejected: RowsAside
) -> Callable[[Contract], Iterator[pl.DataFrame]]:
    path, name = file.path, file.name
    match spec.format:
        case "parquet":
            return lambda contract: read_parquet(path, name, contract, child)
        case "arrow":
            return lambda contract: read_arrow(path, name, contract, child)
        case "excel":
            # Its library costs other formats half of what polars costs them.
            from mlops.workloads.ingest.excel import read_excel

            return lambda contract: read_excel(path, name, contract, spec.excel, child)
        case "json":
            at = spec.json_.records if spec.json_ else None
            return lambda contract: read_json(path, name, contract, at)
        case "jsonl":
            return lambda contract: read_jsonl(path, name, contract)
        case "csv":
            return lambda contract: read_csv(path, name, contract, rejected)


def columns_in(file: Delivered, spec: DatasetSpec, contract: Contract) -> list[str]:
    """Return the names of a file's own columns; of JSON, the keys of its first objects."""
    match spec.format:
        case "parquet":
            return parquet_columns(file.path, file.name)
        case "arrow":
            return arrow_columns(file.path, file.name)
        case "excel":
            from mlops.workloads.ingest.excel import header_of

            return header_of(file.path, file.name, spec.excel)
        case "json" | "jsonl":
            at = spec.json_.records if spec.json_ else None
            return json_columns(file.path, file.name, at, lines=spec.format == "jsonl")
        case "csv":
            return csv_columns(file.path, file.name, contract)
