"""The rows that are asked about: words of the command line, or a file as the Dataset reads its deliveries."""

from __future__ import annotations

import difflib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from mlops.api.dataset import DataField, Dataset, DatasetSpec, Governance, S3Source, Source
from mlops.api.delimited import Csv
from mlops.api.file_formats import FileFormat
from mlops.cli.errors import UserError
from mlops.cli.predict.models import Tensor
from mlops.workloads.floor.column_types import plain_floats
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.contract import contract_of
from mlops.workloads.ingest.formats import columns_in, delivered_rows
from mlops.workloads.ingest.locate import Delivered
from mlops.workloads.ingest.typed import column_of, read_text, shown, with_missing

# As many rows as a server answers at once without being slow to others.
PIECE = 1000
_LISTED = 10
_ENDINGS: Mapping[str, FileFormat] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".xlsx": "excel",
}  # fmt: skip
_PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")
_FORMS = {"float64": "-0.5", "int64": "3", "boolean": "true", "timestamp": "2024-05-01T12:00:00Z"}


@dataclass(frozen=True)
class Fields:
    """The model's inputs as fields of a contract: those of its Dataset as far as they are the same, else plain ones."""

    inputs: tuple[Tensor, ...]
    dataset: Dataset | None = None
    _known: dict[str, DataField] = field(default_factory=dict, init=False, compare=False)

    def __post_init__(self) -> None:
        declared = {one.name: one for one in self.dataset.spec.fields} if self.dataset else {}
        for one in self.inputs:
            found = declared.get(one.name)
            plain = DataField(name=one.name, type=one.type, nullable=True)
            self._known[one.name] = found if found is not None and found.type == one.type else plain

    def of(self, name: str) -> DataField:
        """Return the field of an input."""
        return self._known[name]

    def listed(self) -> str:
        """Return the inputs for a message, with their types."""
        return ", ".join(f"{one.name} ({one.type})" for one in self.inputs)

    @property
    def pii(self) -> frozenset[str]:
        """Return the names of fields with personal data, as far as that is known."""
        return frozenset(self.dataset.spec.governance.pii) if self.dataset else frozenset()

    @property
    def contract(self) -> DatasetSpec | None:
        """Return the spec of the Dataset."""
        return self.dataset.spec if self.dataset else None


def row_of(words: Sequence[str], fields: Fields) -> pl.DataFrame:
    """Return the one row that KEY=VALUE words say. Raises UserError naming word, input and the way out."""
    given: dict[str, str] = {}
    names = {column_of(fields.of(one.name)): one.name for one in fields.inputs}
    names |= {one.name: one.name for one in fields.inputs}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator:
            raise UserError(f"{word!r}: the form is KEY=VALUE, such as {_template(fields.inputs[0])}")
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            hint = f", did you mean {close[0]}?" if close else ""
            raise UserError(f"input {key!r} is unknown{hint}; the model takes {fields.listed()}")
        if names[key] in given:
            raise UserError(f"input {key!r} is there twice: say it once")
        given[names[key]] = value
    missing = [one for one in fields.inputs if one.name not in given]
    if missing:
        named = " ".join(_template(one) for one in missing)
        raise UserError(f"missing: {named} (KEY= without a value means that it is missing)")
    return pl.DataFrame([_value(given[one.name], fields.of(one.name)) for one in fields.inputs])


def _template(one: Tensor) -> str:
    return f"{one.name}={_FORMS.get(one.type, '…')}"


def _value(text: str, of: DataField) -> pl.Series:
    """Return a word as a column of one value, in the plain notation of contracts; times also as the field has them."""
    # A text is what is written, and nothing is nothing; elsewhere blanks are.
    series = with_missing(pl.Series(of.name, [text or None], dtype=pl.String), of)
    plain = DataField(name=of.name, type=of.type, time_zone=of.time_zone)
    for one in (plain, of):
        values = read_text(series, one)
        if series[0] is None or values[0] is not None:
            return values.alias(of.name)
    form = _FORMS[of.type]
    article = "an" if of.type == "int64" else "a"
    raise UserError(f'{of.name}: "{shown(text)}" is not {article} {of.type}: write it such as {of.name}={form}')


@contextmanager
def rows_in(file: Path, format: FileFormat | None, fields: Fields) -> Iterator[Iterator[pl.DataFrame]]:
    """Give the rows of a file or a pipe in pieces, as the Dataset's own reader reads them; - is standard input.

    Raises UserError for a file that cannot be read, and for a cell that is no value of its type.
    """
    name = "standard input" if str(file) == "-" else str(file)
    kind = format or _format_of(file, fields.contract)
    with tempfile.TemporaryDirectory(prefix="mlops-predict-") as place:
        # A reader may unpack a file in its place: the user's stays as it is.
        copy = Path(place) / "rows"
        if str(file) == "-":
            with copy.open("wb") as sink:
                shutil.copyfileobj(sys.stdin.buffer, sink)
        elif file.is_fifo():
            with file.open("rb") as source, copy.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        elif not file.is_file():
            what = "is a folder" if file.is_dir() else "is no file" if file.exists() else "there is no such file"
            raise UserError(f"{file}: {what}")
        else:
            shutil.copyfile(file, copy)
        yield _pieces(Delivered(name, copy), _reading(kind, file, fields), fields)


def _pieces(file: Delivered, spec: DatasetSpec, fields: Fields) -> Iterator[pl.DataFrame]:
    names = [one.name for one in fields.inputs]
    try:
        spec = _found(file, spec, fields)
        contract = contract_of(spec)
        for frame in delivered_rows(file, spec, contract, None, RowsAside()):
            yield from frame.select(names).iter_slices(PIECE)
    except BadInput as error:
        raise UserError(error.message) from error


def _found(file: Delivered, spec: DatasetSpec, fields: Fields) -> DatasetSpec:
    """Return the spec with a column for each input: under its name in deliveries, else under the field's own.

    Raises UserError for inputs without one: all of them, with what the file has.
    """
    if any(one.position is not None for one in spec.fields) or spec.format in ("json", "jsonl"):
        return spec  # a key that is left out of an object is a missing value
    present = columns_in(file, spec, contract_of(spec))
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
    raise UserError(f"{file.name}: no column {', '.join(named)}; it has {has}; the model takes {fields.listed()}")


def _reading(kind: FileFormat, file: Path, fields: Fields) -> DatasetSpec:
    """Return the part of a contract that reads the file: the Dataset's own dialect where it has this format."""
    spec = fields.contract
    own = spec if spec is not None and spec.format == kind else None
    csv = own.csv if own else Csv(delimiter="\t") if ".tsv" in file.suffixes else None
    read = [fields.of(one.name) for one in fields.inputs]
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
        governance=Governance(pii=tuple(one.name for one in read if one.name in fields.pii)),
    )


def _format_of(file: Path, spec: DatasetSpec | None) -> FileFormat:
    suffixes = [one.lower() for one in file.suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    if suffixes and suffixes[-1] in _ENDINGS:
        return _ENDINGS[suffixes[-1]]
    if spec is not None:
        return spec.format
    raise UserError(f"{file}: its name does not say its format: say --format, such as --format csv")


def columns_of(frame: pl.DataFrame, first: int) -> dict[str, list[Any]]:
    """Return the columns as JSON has them, None where a value is missing. Raises UserError for what JSON has not."""
    columns: dict[str, list[Any]] = {}
    for series in frame:
        values = plain_floats(series) if series.dtype == pl.Float64 else series
        if values.dtype == pl.Float64 and (infinite := values.is_infinite().fill_null(False)).any():
            row = first + int(infinite.arg_max() or 0)
            raise UserError(f"row {row}: {series.name} is infinite; numbers must be finite")
        columns[series.name] = [_time(value) if isinstance(value, datetime) else value for value in values.to_list()]
    return columns


def _time(value: datetime) -> str:
    return f"{value.replace(tzinfo=None).isoformat()}Z"
