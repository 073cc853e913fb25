"""The rows that are asked about: files of a bucket or a folder, or a version of a Dataset, one file after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self
from urllib.parse import unquote

import polars as pl

from mlops.api.dataset import DataField, S3Source
from mlops.api.digests import digest_of
from mlops.api.drift_reference import PinnedDataset
from mlops.api.reasons import Reason
from mlops.api.score_task import ScoreTask
from mlops.store.address import open_source
from mlops.store.bucket import Bucket, Stat
from mlops.store.errors import BucketMissing, NotFound
from mlops.store.folder import FolderBucket
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.dataset_version import PARTS, DatasetVersion, fetch_dataset
from mlops.workloads.floor.isolation.parent import Child
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.floor.scanning import batches
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.columnar import TRIED_MEMORY_BYTES
from mlops.workloads.ingest.contract import contract_of
from mlops.workloads.ingest.formats import delivered_rows
from mlops.workloads.ingest.locate import Delivered, objects_at, similar
from mlops.workloads.ingest.own_place import check_outside, forbidden, overlap, stores_folder
from mlops.workloads.score.reading import field_of, format_in, reading_spec, with_columns

# Rows of a version that are read at a time.
_ROWS: Final = 65_536
# The parts of a Dataset's spec that say how files are read, beside its fields.
_DIALECT: Final = ("format", "csv", "json", "excel")


Frames = Generator[pl.DataFrame, None, None]


@dataclass(frozen=True)
class ScoredFile:
    """One file of rows: what it is called, and what tells it from another one of that name without reading it."""

    name: str
    key: str
    state: str


@dataclass
class OpenedRows:
    """The rows of a file as they are read, the digest of its bytes, and the rows that its reader put aside so far."""

    frames: Frames
    sha256: str
    aside: RowsAside = field(default_factory=RowsAside)

    def numbers(self, first: int, rows: int) -> pl.Series:
        """Return the numbers in the file, from 1, of rows that were not put aside, `first` of which came before."""
        kept = pl.Series("row", range(first + 1, first + rows + 1), dtype=pl.Int64)
        before = sorted(one.row for one in self.aside.rows)
        if not before:
            return kept
        # Before so many kept rows lies each of those that were put aside.
        limits = pl.Series([row - number for number, row in enumerate(before)], dtype=pl.Int64)
        return kept + limits.search_sorted(kept, side="right").cast(pl.Int64)


class RowSource(Protocol):
    """Where rows lie. A context: at its end nothing of it is left."""

    files: tuple[ScoredFile, ...]
    # What stands beside an answer, in order: the inputs that are wanted, and keys.
    beside: dict[str, pl.DataType]
    # Names whose values no message shows.
    pii: frozenset[str]

    def identity(self) -> dict[str, Any]:
        """Return what makes the same rows, read in the same way."""

    def open(self, file: ScoredFile) -> OpenedRows:
        """Return the rows of a file, with a column for each input and all that stands beside. Raises BadInput."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def source_of(pod: Pod, task: ScoreTask, signature: Signature, uri: str | None) -> RowSource:
    """Return the source that a task names; `uri` is its address as of this Job. Raises BadInput, StoreError."""
    if task.input.dataset is not None:
        return VersionRows(pod, task, task.input.dataset, signature)
    return DeliveredRows(pod, task, str(uri), signature)


def bucket_of(pod: Pod, uri: str, namespace: str) -> tuple[Bucket, str]:
    """Return bucket and key of an address. Raises BadInput(SourceForbidden) for what lies in the artifact store."""
    if uri.startswith("file:///"):
        if not pod.settings.store.startswith("file://"):
            raise BadInput(
                Reason.CONFIGURATION_INVALID,
                f"{uri}: a pod has no files of its own: say s3://bucket/key, or s3://bucket/prefix/",
            )
        path = Path(unquote(uri.removeprefix("file://")))
        bucket, key = FolderBucket(path if uri.endswith("/") else path.parent), "" if uri.endswith("/") else path.name
    else:
        check_outside(S3Source.model_construct(uri=uri), namespace, pod.environ)
        found, key = open_source(uri, pod.environ)
        if not isinstance(found, FolderBucket):
            return found, key
        bucket = found
    own = stores_folder(pod.environ)
    if own is not None and overlap((bucket.root / key).resolve().parts, own.parts):
        raise forbidden(uri)
    return bucket, key


class DeliveredRows:
    """Files as a Dataset's source has them."""

    def __init__(self, pod: Pod, task: ScoreTask, uri: str, signature: Signature) -> None:
        self._task, self._scratch, self._uri = task, pod.scratch, uri
        self._bucket, key = bucket_of(pod, uri, task.namespace)
        # What a message and an answer call a file: its path, or its address.
        base = (
            f"{unquote(uri.removeprefix('file://')).rpartition('/')[0]}/" if uri.startswith("file://") else _bucket(uri)
        )
        self.files = tuple(
            ScoredFile(f"{base}{one.key}", one.key, f"{one.size} bytes, {_written(one)}")
            for one in _found(self._bucket, key, uri)
        )
        spec = task.spec
        inputs = [field_of(one.name, one.type, spec) for one in signature.inputs]
        keys = [one for one in spec.fields if one.role in ("timestamp", "entityKey")] if spec else []
        wanted = {"none": [], "keys": keys, "all": [*keys, *inputs]}[task.columns]
        self._fields: Sequence[DataField] = tuple({one.name: one for one in [*inputs, *wanted]}.values())
        self.beside = {one.name: DTYPES[one.type] for one in wanted}
        self.pii = frozenset(one.name for one in signature.inputs if one.pii) | frozenset(
            spec.governance.pii if spec else ()
        )
        listed = ", ".join(f"{one.name} ({one.type})" for one in signature.inputs)
        self._takes = f"the model takes {listed}"
        if wanted:
            self._takes += "; keys of the Dataset stand beside the answers, unless columns are none"
        self._child = Child(TRIED_MEMORY_BYTES)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._child)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def identity(self) -> dict[str, Any]:
        """Return address and state of each file, and a digest of how they are read."""
        spec = self._task.spec
        read = {
            "fields": [one.dump() for one in self._fields],
            "format": self._task.format,
            "dialect": {name: value for name, value in spec.dump().items() if name in _DIALECT} if spec else None,
        }
        return {"files": {one.name: one.state for one in self.files}, "reading": digest_of(read)}

    def open(self, file: ScoredFile) -> OpenedRows:
        """Fetch a file and return its rows."""
        place = self._scratch / "asked"
        seen = hashlib.sha256()
        with place.open("wb") as sink:
            for chunk in self._bucket.read(file.key):
                seen.update(chunk)
                sink.write(chunk)
        aside = RowsAside()
        return OpenedRows(self._frames(file, place, aside), f"sha256:{seen.hexdigest()}", aside)

    def _frames(self, file: ScoredFile, place: Path, aside: RowsAside) -> Frames:
        spec = self._task.spec
        kind = self._task.format or format_in(file.key) or (spec.format if spec else None)
        if kind is None:
            raise BadInput(
                Reason.FORMAT_ERROR, f"{file.name}: its name does not say its format: say --format, such as csv"
            )
        delivered = Delivered(file.name, place, file.key)
        puts_aside = self._task.on_invalid == "quarantine"
        read = reading_spec(kind, file.key, self._fields, spec, pii=self.pii, puts_aside=puts_aside)
        read = with_columns(delivered, read, self._takes)
        names = [one.name for one in self._fields]
        try:
            for frame in delivered_rows(delivered, read, contract_of(read), self._child, aside):
                yield frame.select(names)
        finally:
            place.unlink(missing_ok=True)


def _found(bucket: Bucket, key: str, uri: str) -> list[Stat]:
    try:
        found = objects_at(bucket, key)
    except (BucketMissing, NotFound) as error:
        raise BadInput(Reason.SOURCE_NOT_FOUND, f"{uri}: there is no such bucket or folder") from error
    if not found:
        hint = similar(bucket, key, uri.removeprefix("s3://").partition("/")[0]) if uri.startswith("s3://") else ""
        raise BadInput(Reason.SOURCE_NOT_FOUND, f"{uri}: there is no object{hint}")
    return found


def _bucket(uri: str) -> str:
    return f"s3://{uri.removeprefix('s3://').partition('/')[0]}/"


def _written(one: Stat) -> str:
    return f"written {one.modified:.6f}"


class VersionRows:
    """A version of a Dataset: its three parts, with the fields as they were cleaned."""

    def __init__(self, pod: Pod, task: ScoreTask, pinned: PinnedDataset, signature: Signature) -> None:
        self._pinned = pinned
        self._version: DatasetVersion = fetch_dataset(pod.store, pinned, pod.scratch / "dataset")
        version, inputs = self._version, signature.inputs
        for one in inputs:
            if version.types.get(one.name) != one.type:
                has = f"is {version.types[one.name]} there" if one.name in version.types else "is not there"
                raise BadInput(
                    Reason.SCHEMA_MISMATCH,
                    f"{version.shown} version {pinned.version}: the model takes {one.name} ({one.type}), which {has}",
                )
        keys = [*([version.timestamp] if version.timestamp else []), *version.entity_keys]
        wanted = {"none": [], "keys": keys, "all": [*keys, *(one.name for one in inputs)]}[task.columns]
        self._names = list(dict.fromkeys([*(one.name for one in inputs), *wanted]))
        types = {name: DTYPES[kind] for name, kind in version.types.items()}  # type: ignore[index]
        self.beside = {name: types[name] for name in wanted}
        self.pii = version.pii | frozenset(one.name for one in inputs if one.pii)
        self.files = tuple(ScoredFile(f"{part}.parquet", part, pinned.artifact) for part in PARTS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def identity(self) -> dict[str, Any]:
        """Return the version's address in the store."""
        return {"dataset": self._pinned.name, "version": self._pinned.version, "artifact": self._pinned.artifact}

    def open(self, file: ScoredFile) -> OpenedRows:
        """Return the rows of a part; what its bytes are says the version's address."""

        def frames() -> Frames:
            yield from batches(self._version.scan(file.key), self._names, _ROWS)

        return OpenedRows(frames(), file.state)
