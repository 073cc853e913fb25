"""Tasks and reports of the pods of a Dataset."""

from __future__ import annotations

from typing import Literal

from mlops.api.base import Digest, Model, Timestamp
from mlops.api.dataset import DatasetSpec, SplitRows, ValidationResult

# So many fields at most are named in a report, which has 4096 bytes.
MOST_NAMED = 5
# So many artifacts at most are removed by one Job: its report names them all.
MOST_REMOVED = 20


class IngestTask(Model):
    """Read a source, clean, validate, split and store one version of a Dataset."""

    task: Literal["ingest"] = "ingest"
    namespace: str
    dataset: str
    spec: DatasetSpec
    # The end of a captured window, and the timestamp the source is synced: an RFC 3339 time, or "scheduled" in the
    # Jobs of a CronJob, whose names carry their time.
    as_of: str
    # Whether a version of the model is or was live, so that captures may be read; without one only `history` is.
    captures: bool = False
    # The artifact of the version that a source which is read incrementally adds to.
    previous: Digest | None = None


class IngestReport(Model):
    """The version made, or the same one again."""

    report: Literal["ingest"] = "ingest"
    digest: Digest
    artifact: Digest
    schema_digest: Digest
    rows: int
    bytes: int
    splits: SplitRows
    # Fields with times that had no offset from UTC, a few of them.
    read_as_utc: tuple[str, ...] = ()
    # The highest value of the column by which a source is read incrementally.
    watermark: str | None = None
    validation: ValidationResult
    as_of: Timestamp
    # When the newest of what was read was delivered, and the newest value of the timestamp field; None: nothing says.
    delivered_at: Timestamp | None = None
    newest_event: Timestamp | None = None


class RemoveTask(Model):
    """Remove versions of a Dataset from the store, that is the artifacts of this address."""

    task: Literal["remove"] = "remove"
    namespace: str
    dataset: str
    artifacts: tuple[str, ...]


class RemoveReport(Model):
    """The artifacts that are gone, also those that were gone before."""

    report: Literal["remove"] = "remove"
    artifacts: tuple[Digest, ...]
    # What that freed: bytes of files that no other artifact has.
    bytes: int
