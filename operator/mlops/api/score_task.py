"""Task and report of the pods that answer many rows at once."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mlops.api.base import Digest, Model, exactly_one_of
from mlops.api.dataset import DatasetSpec
from mlops.api.drift_reference import PinnedDataset
from mlops.api.file_formats import FileFormat

# What of a row's own columns stands beside its answer, and what is done with a row that a server would refuse.
ScoredColumns = Literal["keys", "all", "none"]
OnInvalid = Literal["refuse", "quarantine"]
# As many rows of a file have their answers in one file, unless somebody says otherwise.
PART_ROWS = 100_000


class ScoredInput(Model):
    """Where the rows lie: one of both."""

    # s3://bucket/key or s3://bucket/prefix/; or, on one machine, file:///a/file or file:///a/folder/.
    uri: str | None = None
    dataset: PinnedDataset | None = None
    rules: ClassVar = (exactly_one_of("uri", "dataset", path="input"),)


class ScoreTask(Model):
    """Answer rows by one version of a model, and write the answers beside each other as Parquet."""

    task: Literal["score"] = "score"
    namespace: str
    model_name: str
    version: int
    # Of the ModelVersion, for the log.
    object_name: str | None = None
    artifact: Digest
    input: ScoredInput
    # s3://bucket/prefix/, or file:///a/folder/. In both addresses {date} and {time} stand for the Job's scheduled time.
    output: str
    # How files are read and which fields are keys: the spec of the Dataset that they are deliveries of.
    spec: DatasetSpec | None = None
    # Of the files, where neither their names nor the Dataset say it, or it is another one.
    format: FileFormat | None = None
    columns: ScoredColumns = "keys"
    on_invalid: OnInvalid = "refuse"
    part_rows: int = Field(default=PART_ROWS, ge=1, le=10_000_000)


class ScoreReport(Model):
    """What was answered, by an earlier execution too."""

    report: Literal["score"] = "score"
    artifact: Digest
    output: str
    rows: int
    answered: int
    # Rows that a server would refuse, and rows of CSV that are none of their contract's types.
    quarantined: int
    parts: int
    # Of the parts: what an earlier execution had written.
    kept_parts: int
