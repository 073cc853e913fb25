"""All of a delivery, read once: what its columns hold, and which of its lines are no rows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from datetime import time as time_of_day
from typing import Any

import polars as pl

from mlops.api.dataset import DataField, FieldType
from mlops.cli.errors import UserError
from mlops.cli.init.delivery import Delivery, told_by_us
from mlops.cli.init.evidence import ColumnEvidence
from mlops.cli.init.objects import objects
from mlops.cli.init.shapes import shape_of
from mlops.cli.terminal import note
from mlops.workloads.floor.arrow_reading import arrow_scanner
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.arrow_ipc import arrow_columns, read_arrow
from mlops.workloads.ingest.columnar import parquet_columns, read_parquet
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.delimited import read_csv

_BATCH = 20_000
_EVERY = 5.0


@dataclass
class SeenColumn:
    """A column of the delivery: its evidence, and the types that its values have by themselves."""

    evidence: ColumnEvidence
    kinds: set[str] = field(default_factory=set)
    # Whether numbers that are native have a fraction.
    is_whole: bool = True
    # The type of a column of Parquet or Arrow that no field can have.
    unread: str = ""

    @property
    def name(self) -> str:
        """Return its name in the delivery."""
        return self.evidence.name

    def observe(self, values: pl.Series) -> None:
        """Take typed values in; text is taken apart."""
        if values.dtype == pl.String:
            self.kinds.add("string")
            self.evidence.observe(values)
            return
        kind = type_of(values.dtype)
        if values.null_count() < len(values):
            self.kinds.add(kind or "other")
        if kind == "float64":
            self.is_whole &= bool((values.drop_nulls().fill_nan(0.0) % 1 == 0).all())
            values = values.fill_nan(None)
        if kind is None:
            values = pl.Series([None] * len(values), dtype=pl.String)
        self.evidence.observe_typed(values)


@dataclass
class Profile:
    """What one reading of everything found."""

    delivery: Delivery
    columns: list[SeenColumn]
    rows: int = 0
    notes: list[str] = field(default_factory=list)


class ReadingProgress:
    """Says on the error stream how far a long reading is."""

    def __init__(self, what: str) -> None:
        self._what, self._next, self._rows = what, time.monotonic() + _EVERY, 0

    def add(self, rows: int) -> None:
        """Count further rows."""
        self._rows += rows
        if time.monotonic() > self._next:
            self._next = time.monotonic() + _EVERY
            note(f"{self._what}: {self._rows:,} rows")


def profiled(deliveries: Iterable[Delivery]) -> Profile:
    """Return what the first of the deliveries that explains every row holds. Raises UserError if none does."""
    problem = ""
    for delivery in deliveries:
        if delivery.asks:
            raise UserError(f"{problem or delivery.letters}: mend it, or say --quote '' if quotes are letters")
        try:
            found = _profile(delivery)
        except BadInput as error:
            problem = problem or error.message
            continue
        if delivery.letters:
            found.notes.append(f"quotes are letters of the text: {problem or delivery.letters}")
        return found
    raise UserError(problem or "nothing explains the files")


def _profile(delivery: Delivery) -> Profile:
    progress = ReadingProgress("read")
    match delivery.format:
        case "csv":
            return _csv(delivery, progress)
        case "parquet" | "arrow":
            return _columnar(delivery, progress)
        case _:
            return _values(delivery, progress)


def _csv(delivery: Delivery, progress: ReadingProgress) -> Profile:
    assert delivery.csv is not None
    shape = shape_of(delivery, delivery.csv)
    delivery = replace(delivery, csv=shape.csv)
    columns = [SeenColumn(ColumnEvidence(name, at)) for at, name in enumerate(shape.header, 1)]
    found = Profile(delivery, columns, notes=shape.notes)
    contract = Contract(tuple(_text_field(at) for at in range(1, len(columns) + 1)), {}, frozenset(), csv=shape.csv)
    for path in delivery.copies:
        for frame in quiet(read_csv(path, path.name, contract)):
            for column in columns:
                column.observe(frame[f"c{column.evidence.position}"])
            found.rows += frame.height
            progress.add(frame.height)
    return found


def quiet(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Pass the frames of a reader on, without the lines that it writes for a pod's log."""
    while True:
        with told_by_us():
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def _text_field(position: int) -> DataField:
    return DataField(name=f"c{position}", position=position, type="string", nullable=True)


def type_of(dtype: pl.DataType) -> FieldType | None:
    """Return the type of the contract for one of polars; None for nested values and others."""
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "string"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "int64"
    if isinstance(dtype, pl.Decimal):
        # Whole ones are ids, of which a float64 would lose digits.
        return "int64" if dtype.scale == 0 else "float64"
    if dtype.is_float():
        return "float64"
    return "timestamp" if dtype in (pl.Datetime, pl.Date) else None


def _columnar(delivery: Delivery, progress: ReadingProgress) -> Profile:
    is_parquet = delivery.format == "parquet"
    columns: dict[str, SeenColumn] = {}
    found = Profile(delivery, [])
    for path, original in zip(delivery.copies, delivery.files, strict=True):
        with told_by_us():
            names = (parquet_columns if is_parquet else arrow_columns)(path, original.name)
        scan = pl.scan_parquet(path, glob=False) if is_parquet else arrow_scanner(path)()
        schema = scan.collect_schema()
        if columns and list(columns) != names:
            raise UserError(f"{original.name}: its columns are others than those of {delivery.files[0].name}")
        fields = []
        for at, name in enumerate(names, 1):
            column = columns.setdefault(name, SeenColumn(ColumnEvidence(name, at)))
            kind = type_of(schema[name])
            column.evidence.needs_zone |= schema[name] == pl.Datetime and getattr(schema[name], "time_zone", "") is None
            if kind is None:
                column.kinds.add("other")
                if schema[name] != pl.Null:
                    column.unread = str(schema[name])
            else:
                fields.append(DataField(name=f"c{at}", column=name, type=kind, nullable=True))
        if not fields:
            # Nothing to read: the file itself says how many rows it has.
            found.rows += int(scan.select(pl.len()).collect().item())
            continue
        contract = Contract(tuple(fields), {}, frozenset())
        for frame in quiet((read_parquet if is_parquet else read_arrow)(path, original.name, contract)):
            for one in fields:
                columns[str(one.column)].observe(frame[one.name])
            found.rows += frame.height
            progress.add(frame.height)
    found.columns = list(columns.values())
    return found


def _values(delivery: Delivery, progress: ReadingProgress) -> Profile:
    """JSON and Excel: values of any type, cell by cell."""
    columns: dict[str, SeenColumn] = {}
    found = Profile(delivery, [])
    for path in delivery.copies:
        for batch in _batches(objects(path, delivery)):
            names = dict.fromkeys(name for one in batch for name in one)
            for name in names:
                if name not in columns:
                    columns[name] = SeenColumn(
                        ColumnEvidence(name, len(columns) + 1, rows=found.rows, missing=found.rows)
                    )
            for name, column in columns.items():
                _observe(column, [one.get(name) for one in batch])
            found.rows += len(batch)
            progress.add(len(batch))
    found.columns = list(columns.values())
    return found


def _batches(objects: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for one in objects:
        batch.append(one)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _observe(column: SeenColumn, values: list[Any]) -> None:
    texts: list[str | None] = []
    for value in values:
        texts.append(None if value is None else value if isinstance(value, str) else repr(value))
        match value:
            case None:
                pass
            case bool():
                column.kinds.add("boolean")
            case str():
                column.kinds.add("string")
            case int():
                column.kinds.add("int64")
            case float():
                column.kinds.add("float64")
                column.is_whole &= value.is_integer()
            case datetime():
                column.kinds.add("timestamp")
                column.evidence.needs_zone |= value.tzinfo is None and value.time() != time_of_day.min
            case date():
                column.kinds.add("timestamp")
            case _:
                column.kinds.add("other")
    series = pl.Series(texts, dtype=pl.String)
    if column.kinds <= {"string"}:
        column.evidence.observe(series)
    else:
        column.evidence.observe_typed(series)
