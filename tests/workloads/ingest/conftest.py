"""One delivery, many ways to bring it: builders with one default object each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops.api.dataset import DatasetSpec
from mlops.api.tasks import IngestReport, IngestTask
from mlops.store.artifacts import Store
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.ingest.run import ingest

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "string", "role": "entityKey"},
    {"name": "time", "type": "timestamp", "role": "timestamp"},
    {"name": "price", "type": "float64", "min": "-10", "max": "1000"},
    {"name": "count", "type": "int64", "nullable": True},
    {"name": "kind", "type": "string", "enum": ["a", "b", ""], "nullable": True},
    {"name": "open", "type": "boolean"},
    {"name": "class", "type": "string", "role": "label"},
]


def a_frame(rows: int = 40) -> pl.DataFrame:
    """Rows that keep the contract above."""
    index = range(rows)
    return pl.DataFrame(
        {
            "id": [f"r{i:04d}" for i in index],
            "time": [f"2024-01-{1 + i % 28:02d}T{i % 24:02d}:00:00Z" for i in index],
            "price": [i * 1.25 - 3 for i in index],
            "count": [None if i % 7 == 3 else i for i in index],
            "kind": [None if i % 5 == 4 else ["a", "b"][i % 2] for i in index],
            "open": [i % 3 == 0 for i in index],
            "class": [["UP", "DOWN"][i % 2] for i in index],
        }
    )


def a_spec(**changes: Any) -> DatasetSpec:
    """The spec of that contract: a prefix of CSV files, split at random."""
    spec: dict[str, Any] = {
        "source": {"s3": {"uri": "s3://raw/things/"}},
        "format": "csv",
        "fields": FIELDS,
        "split": {"strategy": "random", "seed": 7},
    }
    return DatasetSpec.model_validate(spec | changes)


def fields_with(name: str, **changes: Any) -> list[dict[str, Any]]:
    """The contract with one field changed."""
    return [one | changes if one["name"] == name else one for one in FIELDS]


@dataclass
class Desk:
    """A machine with a store and users' buckets in one folder."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    runs: int = 0

    def __post_init__(self) -> None:
        self.environ = {"MLOPS_STORE": f"file://{self.root}/store", "MLOPS_BUCKETS": f"file://{self.root}/buckets"}

    def deliver(self, key: str, content: bytes | str, bucket: str = "raw") -> None:
        """Put an object into a user's bucket."""
        path = self.root / "buckets" / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def clear(self) -> None:
        """Take away all deliveries."""
        for path in sorted((self.root / "buckets").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    def pod(self, **environ: str) -> Pod:
        """A pod with an empty scratch folder."""
        self.runs += 1
        scratch = self.root / f"scratch-{self.runs}"
        scratch.mkdir()
        return Pod(self.environ | environ, scratch)

    @property
    def store(self) -> Store:
        """The artifact store."""
        return self.pod().store

    def ingest(
        self, spec: DatasetSpec | None = None, *, environ: dict[str, str] | None = None, **task: Any
    ) -> IngestReport:
        """Run one ingest."""
        values: dict[str, Any] = {"namespace": "shop", "dataset": "things", "as_of": "2024-02-01T00:00:00Z"}
        return ingest(self.pod(**(environ or {})), IngestTask(spec=spec or a_spec(), **(values | task)))

    def refusal(self, spec: DatasetSpec | None = None, **task: Any) -> tuple[str, str]:
        """Run an ingest that must be refused, and return reason and message. Nothing may be left in the store."""
        with pytest.raises(BadInput) as caught:
            self.ingest(spec, **task)
        assert not [path for path in (self.root / "store").rglob("*") if path.is_file()]
        return str(caught.value.reason), caught.value.message

    def frame(self, report: IngestReport, part: str) -> pl.DataFrame:
        """The rows of a stored part."""
        return pl.read_parquet(self.store.read_file(report.artifact, f"{part}.parquet"))

    def document(self, report: IngestReport, name: str) -> Any:
        """A stored JSON document."""
        return json.loads(self.store.read_file(report.artifact, f"{name}.json"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def built() -> Callable[..., DatasetSpec]:
    return a_spec
