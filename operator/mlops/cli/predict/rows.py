"""The rows that are asked about: words of the command line, or a file as the Dataset reads its deliveries."""

from __future__ import annotations

import difflib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from mlops.api.dataset import DataField, Dataset, DatasetSpec
from mlops.api.file_formats import FileFormat
from mlops.cli.errors import UserError
from mlops.cli.predict.models import Tensor
from mlops.workloads.floor.column_types import plain_floats
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.contract import contract_of
from mlops.workloads.ingest.formats import delivered_rows
from mlops.workloads.ingest.locate import Delivered
from mlops.workloads.ingest.typed import column_of, read_text, shown, with_missing
from mlops.workloads.score.reading import field_of, format_in, reading_spec, with_columns

# As many rows as a server answers at once without being slow to others.
PIECE = 1000
_FORMS = {"float64": "-0.5", "int64": "3", "boolean": "true", "timestamp": "2024-05-01T12:00:00Z"}


@dataclass(frozen=True)
class Fields:
    """The model's inputs as fields of a contract: those of its Dataset as far as they are the same, else plain ones."""

    inputs: tuple[Tensor, ...]
    dataset: Dataset | None = None
    _known: dict[str, DataField] = field(default_factory=dict, init=False, compare=False)

    def __post_init__(self) -> None:
        for one in self.inputs:
            self._known[one.name] = field_of(one.name, one.type, self.contract)

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
        read = [fields.of(one.name) for one in fields.inputs]
        yield _pieces(
            Delivered(name, copy), reading_spec(kind, file.name, read, fields.contract, pii=fields.pii), fields
        )


def _pieces(file: Delivered, spec: DatasetSpec, fields: Fields) -> Iterator[pl.DataFrame]:
    names = [one.name for one in fields.inputs]
    try:
        spec = with_columns(file, spec, f"the model takes {fields.listed()}")
        contract = contract_of(spec)
        for frame in delivered_rows(file, spec, contract, None, RowsAside()):
            yield from frame.select(names).iter_slices(PIECE)
    except BadInput as error:
        raise UserError(error.message) from error


def _format_of(file: Path, spec: DatasetSpec | None) -> FileFormat:
    if (found := format_in(file.name) or (spec.format if spec else None)) is not None:
        return found
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
