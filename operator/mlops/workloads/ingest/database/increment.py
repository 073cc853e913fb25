"""What a source that is read incrementally adds to: the rows of the last version as they were delivered.

A version of such a source holds `delivered.parquet`, the delivered rows of all syncs before any cleaning, and
`delivered.json`, which says of which database, query and fields they are. The next sync takes those below the
watermark, the highest value of the column, and asks the database for those from it on: what came is the same, row for
row, as if all had been read at once, as long as rows are only added and none below the watermark.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from mlops.api.dataset import DataField, DatasetSpec
from mlops.api.digests import digest_of
from mlops.api.ingest_task import IngestTask
from mlops.api.reasons import Reason
from mlops.store import AccessDenied, NotFound, Store
from mlops.workloads.floor.log import say
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.scanning import batches
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.database.access import Access, access_of
from mlops.workloads.ingest.problems import shown
from mlops.workloads.ingest.rows import Rows
from mlops.workloads.ingest.typed import column_of
from mlops.workloads.ingest.writing import write_json, write_parquet

_ROWS_FILE, _OF_FILE = "delivered.parquet", "delivered.json"
_CHUNK: Final = 131_072
_DAY_FORM: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"


@dataclass(frozen=True)
class Earlier:
    """The delivered rows of the last version, in a file, and the highest value of the field that tells new ones."""

    path: Path
    field: DataField
    watermark: Any

    @property
    def value(self) -> int:
        """Return the watermark as a whole number; of a time, microseconds since 1970."""
        return int(pl.Series([self.watermark], dtype=self._dtype).to_physical()[0])

    @property
    def _dtype(self) -> pl.DataType:
        return pl.Datetime("us", "UTC") if self.field.type == "timestamp" else pl.Int64()

    def rows(self, contract: Contract) -> Iterator[pl.DataFrame]:
        """Yield the rows below the watermark."""
        below = pl.col(self.field.name) < pl.lit(self.watermark, dtype=self._dtype)
        for chunk in batches(pl.scan_parquet(self.path, glob=False), list(contract.schema), _CHUNK):
            yield chunk.filter(below)


def watermark_field(spec: DatasetSpec) -> DataField | None:
    """Return the field by which the source is read incrementally, if it is."""
    source = spec.source.sql
    if source is None or source.incremental is None:
        return None
    return next(field for field in spec.fields if column_of(field) == source.incremental.column)


def earlier_rows(
    store: Store, artifact: str | None, spec: DatasetSpec, access: Access, scratch: Path
) -> Earlier | None:
    """Return what the version `artifact` was delivered, if it is there and was read from the same database by the same
    query and fields."""
    field = watermark_field(spec)
    if field is None or artifact is None:
        return None
    path = scratch / _ROWS_FILE
    try:
        if (of := _told_of(store, artifact)) is None:
            return None
        if of != _made_of(spec, access):
            say("the database, the query or the fields are others than the last version's: all rows are read")
            return None
        store.save_file(artifact, _ROWS_FILE, path)
        check_parquet(path)
    except NotFound:
        say("the last version holds no delivered rows, or is gone from the store: all rows are read")
        return None
    except ParquetError as error:
        raise BadInput(Reason.FORMAT_ERROR, f"{artifact} {_ROWS_FILE}: {error}") from error
    watermark = _highest(pl.scan_parquet(path, glob=False), field)
    return None if watermark is None else Earlier(path, field, watermark)


def _told_of(store: Store, artifact: str) -> str | None:
    """Return what the version says its delivered rows are of; None if its description may not be read."""
    try:
        return str(json.loads(store.read_file(artifact, _OF_FILE)).get("of"))
    except AccessDenied as error:
        # So S3 answers for what is gone to keys that may not list. Keys that may read nothing at all cannot store
        # the next version either: that is told there.
        say(f"the last version may not be read, or is gone from the store ({error}): all rows are read")
        return None


def check_no_null(chunk: pl.DataFrame, field: DataField) -> None:
    """Raise BadInput if a row has no value by which it could be told from earlier ones."""
    if chunk[field.name].null_count():
        name = shown(column_of(field))
        raise BadInput(
            Reason.SCHEMA_MISMATCH,
            f'spec.source.sql.incremental.column: "{name}" is null in a row, which no later sync could tell from '
            f"earlier ones: leave such rows out in the query ({name} IS NOT NULL), or read all rows at each sync",
        )


def keep_delivered(
    rows: Rows, task: IngestTask, contract: Contract, environ: Mapping[str, str], folder: Path
) -> str | None:
    """Write what the next sync adds to, if the source is read incrementally; return the watermark for the status."""
    source, field = task.spec.source.sql, watermark_field(task.spec)
    if source is None or field is None:
        return None
    of = _made_of(task.spec, access_of(source, task.namespace, environ))
    write_parquet(rows.chunks(), contract.schema, folder / _ROWS_FILE)
    write_json({"formatVersion": 1, "of": of}, folder / _OF_FILE)
    highest = _highest(pl.scan_parquet(folder / _ROWS_FILE, glob=False), field)
    if highest is None or field.name in contract.pii:
        return None
    return str(pl.Series([highest]).dt.strftime(_DAY_FORM)[0]) if field.type == "timestamp" else str(highest)


def _highest(frame: pl.LazyFrame, field: DataField) -> Any:
    return frame.select(pl.col(field.name).max()).collect().item()


def _made_of(spec: DatasetSpec, access: Access) -> str:
    """Return the digest of all that decides which rows are delivered, and how they are read. Who reads does not count:
    passwords and users are changed by rotation, and the rows stay."""
    source = spec.source.sql
    database = {"host": access.host.lower(), "port": access.port, "database": access.database}
    fields = [field.dump() for field in spec.fields]
    return digest_of({"sql": source.dump() if source else None, "database": database, "fields": fields})
