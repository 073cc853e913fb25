"""One delivered file read by a contract: its rows, or the message that refuses it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from mlops.api.dataset import DatasetSpec
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.contract import contract_of
from mlops.workloads.ingest.formats import delivered_rows
from mlops.workloads.ingest.locate import Delivered

WRITTEN = Path(__file__).parent / "written"
Outcome = list[tuple[Any, ...]] | str


def field(name: str, kind: str = "float64", **changes: Any) -> dict[str, Any]:
    """A nullable field of the contract."""
    return {"name": name, "type": kind, "nullable": True} | changes


def spec_of(form: str, *fields: dict[str, Any], **changes: Any) -> DatasetSpec:
    """The spec of a Dataset with these fields."""
    spec = {"source": {"s3": {"uri": "s3://raw/data/"}}, "format": form, "fields": list(fields)}
    return DatasetSpec.model_validate(spec | changes)


def read(content: bytes | str, form: str, *fields: dict[str, Any], key: str = "", **changes: Any) -> Outcome:
    """Return the rows of a file, times as RFC 3339 text, or the message without the file's name."""
    spec = spec_of(form, *fields, **changes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "delivered"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        try:
            chunks = list(delivered_rows(Delivered("FILE", path, key), spec, contract_of(spec), None, RowsAside()))
        except BadInput as error:
            return error.message.removeprefix("FILE: ")
    return [tuple(map(_plain, row)) for chunk in chunks for row in chunk.rows()]


def read_written(name: str, *fields: dict[str, Any], **changes: Any) -> Outcome:
    """Read one of the files that other programs wrote."""
    form = {"parquet": "parquet", "xlsx": "excel"}.get(name.rpartition(".")[2], "arrow")
    return read((WRITTEN / name).read_bytes(), form, *fields, **changes)


def _plain(cell: Any) -> Any:
    if not hasattr(cell, "isoformat"):
        return cell
    return cell.isoformat(timespec="auto").replace("+00:00", "Z")
