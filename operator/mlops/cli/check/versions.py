"""A version of a Dataset in a state folder as one side of a comparison."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import polars as pl

from mlops.api.dataset import Dataset, HistoryEntry
from mlops.api.kinds import parse
from mlops.cli.check.options import CheckOptions
from mlops.cli.check.tables import RowSample, Table
from mlops.cli.errors import UserError
from mlops.cli.inspect import load
from mlops.cli.summary import of_kind
from mlops.store.address import open_store
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.data import PARTS, read_schema

_WORD = re.compile(r"(?:dset|dataset|datasets)/(?P<name>[a-z0-9][a-z0-9-]*)(?:@(?P<version>[0-9]+))?", re.IGNORECASE)


def is_version(word: str) -> bool:
    """Return whether a word names a Dataset, such as dset/weather or dset/weather@3, and no file."""
    return _WORD.fullmatch(word) is not None and not Path(word).exists()


def read_version(word: str, options: CheckOptions) -> Table:
    """Return the rows of a version, without personal data. Raises UserError, and the store's errors."""
    found = _WORD.fullmatch(word)
    assert found is not None
    entry = _entry(options, found["name"], None if found["version"] is None else int(found["version"]))
    store = open_store(options.state.store.resolve().as_uri(), os.environ)
    with tempfile.TemporaryDirectory(prefix="mlops-check-") as place:
        folder = Path(place) / "version"
        store.get(entry.artifact, folder)
        try:
            schema = read_schema(folder)
            sample = RowSample(options.max_samples)
            names = [one.name for one in schema.fields if one.name not in schema.pii]
            for part in PARTS:
                path = folder / f"{part}.parquet"
                check_parquet(path, is_ours=True)
                sample.add(pl.read_parquet(path).select(names))
        except BadInput as error:
            raise UserError(f"{word}: {error.message}") from error
        except (OSError, ParquetError, pl.exceptions.PolarsError) as error:
            raise UserError(f"{word}: its files cannot be read: {str(error).splitlines()[0]}") from error
    frame = sample.shrink()
    left_out = dict.fromkeys(schema.pii, "personal data (governance.pii)")
    left_out |= {
        one.name: "role ignored" for one in schema.fields if one.role == "ignored" and one.name not in schema.pii
    }
    kept = [one for one in schema.fields if one.name not in left_out]
    name = f"dset/{found['name']}@{entry.version}"
    notes: tuple[str, ...] = ()
    if sample.rows > frame.height:
        notes = (f"{name}: {frame.height:,} of {sample.rows:,} rows were drawn by a hash (--max-samples)",)
    return Table(
        name,
        frame.drop(set(left_out) & set(frame.columns)),
        sample.rows,
        {one.name: one.type for one in kept},
        left_out,
        notes,
        {one.name: one.role for one in kept},
    )


def _entry(options: CheckOptions, name: str, version: int | None) -> HistoryEntry:
    objects = [m for m in of_kind(load(options.state), "Dataset") if m["metadata"]["namespace"] == options.namespace]
    found = [one for m in objects if m["metadata"]["name"] == name and isinstance(one := parse(m), Dataset)]
    if not found:
        names = ", ".join(m["metadata"]["name"] for m in objects) or "none"
        raise UserError(f"Dataset {name!r} not found in namespace {options.namespace!r}; there are: {names}")
    there = {one.version: one for one in found[0].status.history if one.removed is None}
    if not there:
        raise UserError(f"Dataset {name!r} has no version yet: `mlops run` makes one")
    chosen = max(there) if version is None else version
    if chosen not in there:
        listed = ", ".join(map(str, sorted(there)))
        raise UserError(f"Dataset {name!r} has no version {chosen} whose bytes are there; there are: {listed}")
    return there[chosen]
