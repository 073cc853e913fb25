"""The rows of a file with the types that its values have, or those of the file that it is compared with."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from mlops.api.dataset import DataField, DatasetSpec
from mlops.cli.check.options import CheckOptions
from mlops.cli.errors import UserError
from mlops.cli.init.deciding import NO_VALUE, Decided, Guess, decided
from mlops.cli.init.delivery import Delivery, opened
from mlops.cli.init.places import placed
from mlops.cli.init.proving import proved, spec_of
from mlops.cli.init.reading import Profile, profiled, quiet
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import KEY
from mlops.workloads.floor.records.reading import identity
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.contract import contract_of
from mlops.workloads.ingest.dialect import Notation
from mlops.workloads.ingest.formats import delivered_rows
from mlops.workloads.ingest.locate import Delivered
from mlops.workloads.ingest.typed import from_text, read_text, unread_of

_SOURCE: Mapping[str, Any] = {"s3": {"uri": "s3://rows/compared"}}
_NUMBERS = ("float64", "int64")
HASH = "_hash"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows by the names of their columns; of many rows a sample by a hash of their place, of which `rows` there are.

    `types` are those of the contract. `left_out` says why a column of the file is none of the frame's. `roles` are
    those of a Dataset's fields.
    """

    name: str
    frame: pl.DataFrame
    rows: int
    types: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    # How texts of the file are read, by column.
    fields: Mapping[str, DataField] = field(default_factory=dict)


@dataclass
class RowSample:
    """At most `limit` rows: those with the smallest hashes of (file, row), whatever order pieces come in."""

    limit: int
    frames: list[pl.DataFrame] = field(default_factory=list)
    rows: int = 0
    pending: int = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows that follow those before."""
        places = pl.int_range(self.rows, self.rows + frame.height, dtype=pl.Int64, eager=True)
        keyed = pl.DataFrame({"id": pl.Series([""]).new_from_index(0, frame.height), "row": places})
        self.frames.append(frame.with_columns(keyed.select(*KEY, identity())[HASH]))
        self.rows += frame.height
        self.pending += frame.height
        if self.pending > 2 * self.limit + 10_000:
            self.shrink()

    def shrink(self) -> pl.DataFrame:
        """Return the rows that are kept."""
        kept = pl.concat(self.frames)
        if kept.height > self.limit:
            kept = kept.sort(HASH).head(self.limit)
        self.frames, self.pending = [kept], kept.height
        return kept


def read_file(name: str, options: CheckOptions, like: Table | None = None) -> Table:
    """Return the rows of a file, a folder, an s3:// or a https:// address; with types as in `like`.

    A value that is none of the type that its column has in `like` is missing, and a note says how many there are.
    Raises UserError for what cannot be read, and for columns whose types cannot be compared.
    """
    reading = options.reading(name)
    with tempfile.TemporaryDirectory(prefix="mlops-check-") as scratch:
        place = placed(reading, Path(scratch))
        try:
            profile = profiled(opened(place.files, reading, Path(scratch)))
            if not profile.rows:
                raise UserError(f"{name}: there is no row")
            found = decided(profile, reading)
            for guess in found.guesses:
                _as_there(guess, like)
            sample = _sampled(profile, found, options.max_samples)
        except BadInput as error:
            raise UserError(error.message) from error
        except UserError as error:
            # It names the file by its last part, which may be the same on both sides.
            raise UserError(f"{name}: {error.message}") from error
    return _typed(name, sample, found, profile.delivery, like)


def _as_there(guess: Guess, like: Table | None) -> None:
    """Read as text what is text here and something else there: its values are then taken one by one."""
    there = like.types.get(_name(guess)) if like else None
    if there is not None and guess.type != there and guess.column.kinds <= {"string"} and not _close(guess.type, there):
        guess.spec = {key: guess.spec[key] for key in ("name", "column", "position") if key in guess.spec}
        guess.spec["type"] = "string"


def _close(one: str, other: str) -> bool:
    return one in _NUMBERS and other in _NUMBERS


def _name(guess: Guess) -> str:
    return guess.column.name or guess.name


def _sampled(profile: Profile, found: Decided, limit: int) -> RowSample:
    try:
        return _read(profile.delivery, found, limit)
    except BadInput:
        # What a column's values do not bear is told apart column by column.
        proved(profile, found, dict(_SOURCE))
        return _read(profile.delivery, found, limit)


def _read(delivery: Delivery, found: Decided, limit: int) -> RowSample:
    if not found.guesses:
        raise UserError(f"no column of it can be read: {'; '.join(found.left_out)[:400]}")
    fields = [DataField.model_validate(_plain(guess) | {"nullable": True}).dump() for guess in found.guesses]
    spec = DatasetSpec.model_validate(spec_of(delivery, found, dict(_SOURCE)) | {"fields": fields})
    sample = RowSample(limit)
    for frame in _frames(delivery, spec):
        sample.add(frame)
    return sample


def _plain(guess: Guess) -> dict[str, Any]:
    return {key: value for key, value in guess.spec.items() if key != "role"}


def _frames(delivery: Delivery, spec: DatasetSpec) -> Iterator[pl.DataFrame]:
    contract = contract_of(spec)
    for path, original in zip(delivery.copies, delivery.files, strict=True):
        yield from quiet(delivered_rows(Delivered(original.name, path), spec, contract, None, RowsAside()))


def _typed(name: str, sample: RowSample, found: Decided, delivery: Delivery, like: Table | None) -> Table:
    frame, notes = sample.shrink(), []
    counts = Counter(map(_name, found.guesses))
    columns, types, fields = [frame[HASH]], {}, {}
    for guess in found.guesses:
        column = _name(guess) if counts[_name(guess)] == 1 else guess.name
        values, kind = frame[guess.name], guess.type
        there = like.types.get(column) if like else None
        if like is not None and there is not None and there != kind:
            of = like.fields.get(column, DataField(name=guess.name, type="string"))
            read = _as_type(values, there, of, _notation(found, delivery))
            if read is None:
                raise UserError(
                    f'column "{column}" is {there} in {like.name} and {kind} in {name}: make them the same, or leave '
                    f"it out by --ignore {column}"
                )
            values, unread = read
            if unread:
                notes.append(f'{name}: {unread:,} values of "{column}" are no {there}, and count as missing')
            kind = there
        columns.append(values.alias(column))
        types[column] = kind
        fields[column] = DataField.model_validate(_plain(guess))
    left_out = dict(one.split(": ", 1) for one in found.left_out)
    for column in [name for name, reason in left_out.items() if reason == NO_VALUE and like and name in like.types]:
        del left_out[column]
        types[column] = like.types[column] if like else ""
        columns.append(_empty(types[column], frame.height).alias(column))
    if sample.rows > frame.height:
        notes.append(f"{name}: {frame.height:,} of {sample.rows:,} rows were drawn by a hash (--max-samples)")
    return Table(name, pl.DataFrame(columns), sample.rows, types, left_out, tuple(notes), {}, fields)


def _notation(found: Decided, delivery: Delivery) -> Notation:
    return Notation(decimal=found.notation.decimal, thousands=found.notation.thousands, of_csv=delivery.csv is not None)


def _as_type(values: pl.Series, kind: str, of: DataField, notation: Notation) -> tuple[pl.Series, int] | None:
    """Return the values as `kind`, and how many are none; None where the types cannot be compared."""
    if values.null_count() == len(values):
        return _empty(kind, len(values)), 0
    if values.dtype.is_numeric() and kind in _NUMBERS:
        # Whole numbers that have a fraction now are compared as they are.
        return values, 0
    if values.dtype == pl.String:
        field = of if of.type == kind else DataField.model_validate({"name": "value", "type": kind})
        read = read_text(values, field, notation)
        return read, int(unread_of(values, read).sum())
    if kind == "string" and (values.dtype == pl.Boolean or values.dtype.is_integer()):
        return values.cast(pl.String), 0
    return None


def _empty(kind: str, rows: int) -> pl.Series:
    nothing: pl.Series = from_text(pl.Series([None], dtype=pl.String), kind)  # type: ignore[arg-type]
    return nothing.new_from_index(0, rows)
