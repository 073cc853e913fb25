"""A version of a Dataset as others read it: its rows are scanned, never held whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from mlops.api.drift_reference import PinnedDataset
from mlops.store.artifacts import Store
from mlops.workloads.floor.parquet_file import check_parquet

PARTS: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class DatasetVersion:
    """Names of fields and features by type, and what some of them are for. `pii` are those with personal data."""

    pinned: PinnedDataset
    folder: Path
    types: Mapping[str, str]
    label: str | None
    timestamp: str | None
    entity_keys: tuple[str, ...]
    pii: frozenset[str]
    # Those of them that model servers record all the same.
    recorded_pii: frozenset[str]
    # How rows were divided into parts: time, hash or random.
    strategy: str = "random"

    @property
    def shown(self) -> str:
        """What a message calls it."""
        return f'Dataset "{self.pinned.name}"'

    def scan(self, part: str) -> pl.LazyFrame:
        """The rows of a part."""
        return pl.scan_parquet(self.folder / f"{part}.parquet")


def fetch_dataset(store: Store, pinned: PinnedDataset, folder: Path) -> DatasetVersion:
    """Fetch the version into `folder`, without the rows that were put aside. Raises NotFound, DigestMismatch."""
    folder.mkdir()
    document = json.loads(store.read_file(pinned.artifact, "schema.json"))
    for part in PARTS:
        path = folder / f"{part}.parquet"
        store.save_file(pinned.artifact, path.name, path)
        check_parquet(path, is_ours=True)
    fields = document["fields"]
    computed = document.get("features") or []
    return DatasetVersion(
        pinned,
        folder,
        {one["name"]: one["type"] for one in [*fields, *computed]},
        document.get("label"),
        document.get("timestamp"),
        tuple(one["name"] for one in fields if one["role"] == "entityKey"),
        frozenset(document.get("pii") or ()),
        frozenset(document.get("piiInCaptures") or ()),
        (document.get("split") or {}).get("strategy", "random"),
    )
