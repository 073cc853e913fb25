"""How files of rows to be asked about are read: as the Dataset reads its deliveries, as far as that applies to them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath

from mlops.api.dataset import DataField, DatasetSpec, FieldType, Governance, S3Source, Source, Validation
from mlops.api.delimited import Csv
from mlops.api.file_formats import FileFormat
from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.contract import contract_of
from mlops.workloads.ingest.formats import columns_in
from mlops.workloads.ingest.locate import Delivered
from mlops.workloads.ingest.partitions import partitions_of
from mlops.workloads.ingest.typed import column_of, shown

_LISTED = 10
_ENDINGS: Mapping[str, FileFormat] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".xlsx": "excel",
}  # fmt: skip
_PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")


def format_in(name: str) -> FileFormat | None:
    """Return the format that a file's name says; None if it says none."""
    suffixes = [one.lower() for one in PurePath(name).suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return _ENDINGS.get(suffixes[-1]) if suffixes else None


def field_of(name: str, kind: FieldType, spec: DatasetSpec | None) -> DataField:
    """Return an input as a field of a contract: the Dataset's own where that has this type, else a plain one."""
    found = next((one for one in spec.fields if one.name == name), None) if spec else None
    return found if found is not None and found.type == kind else DataField(name=name, type=kind, nullable=True)


def reading_spec(
    kind: FileFormat,
    name: str,
    wanted: Sequence[DataField],
    spec: DatasetSpec | None,
    *,
    pii: Collection[str] = (),
    puts_aside: bool = False,
) -> DatasetSpec:
    """Return the part of a contract that reads the file `name`: the Dataset's own dialect where it has this format.

    With `puts_aside` rows of CSV with a value that is none of its type are put aside, instead of the file refused.
    """
    own = spec if spec is not None and spec.format == kind else None
    csv = own.csv if own else Csv(delimiter="\t") if ".tsv" in PurePath(name).suffixes else None
    read = list(wanted)
    if own is None:
        # Places and words of another form mean nothing here.
        read = [one.evolve(position=None, null_values=None) if one.position else one for one in read]
    elif any(one.position for one in own.fields):
        # By its place a column is known only in rows of the delivery's width.
        names = {one.name for one in read}
        others = [one for one in own.fields if one.position and one.name not in names]
        read += [DataField(name=one.name, position=one.position, type="string") for one in others]
    return DatasetSpec(
        source=Source(s3=S3Source(uri="s3://rows/asked")),
        format=kind,
        csv=csv if kind == "csv" else None,
        json_=own.json_ if own else None,
        excel=own.excel if own else None,
        fields=tuple(one.evolve(role="input", nullable=True) for one in read),
        # No message shows values of these.
        governance=Governance(pii=tuple(one.name for one in read if one.name in pii)),
        validation=Validation(on_failure="Quarantine") if puts_aside else Validation(),
    )


def with_columns(file: Delivered, spec: DatasetSpec, takes: str) -> DatasetSpec:
    """Return the spec with a column for each field: under its name in deliveries, else under the field's own.

    Raises BadInput for fields without one: all of them, with what the file has and `takes`, which says what is taken.
    """
    if any(one.position is not None for one in spec.fields) or spec.format in ("json", "jsonl"):
        return spec  # a key that is left out of an object is a missing value
    present = [*columns_in(file, spec, contract_of(spec)), *partitions_of(file.key, file.name)]
    by_name = {one.name for one in spec.fields if column_of(one) not in present and one.name in present}
    spec = spec.evolve(fields=tuple(one.evolve(column=None) if one.name in by_name else one for one in spec.fields))
    missing = [one for one in spec.fields if column_of(one) not in present]
    if not missing:
        return spec
    named = []
    for one in missing:
        close = difflib.get_close_matches(column_of(one), present, n=1, cutoff=0.75)
        named.append(f'"{shown(column_of(one))}"' + (f' (did you mean "{shown(close[0])}"?)' if close else ""))
    has = ", ".join(f'"{shown(one)}"' for one in present[:_LISTED]) + (", …" if len(present) > _LISTED else "")
    raise BadInput(Reason.SCHEMA_MISMATCH, f"{file.name}: no column {', '.join(named)}; it has {has}; {takes}")
