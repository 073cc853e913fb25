"""The rows of a run: fetched by digest, read by their schema, cut again where only recent ones count."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from mlops.api.base import parse_time
from mlops.api.dataset import FieldType, Role, Split
from mlops.api.reasons import Reason
from mlops.api.training_run import Part
from mlops.workloads.floor.expressions import ExpressionError, computed_from
from mlops.workloads.floor.model.features import array_of
from mlops.workloads.floor.model.learnt import LearntStep, of_inputs
from mlops.workloads.floor.model.masks import masked
from mlops.workloads.floor.model.requested import read_fields, requested_fields
from mlops.workloads.floor.model.signature import ComputedFeature, Input, LabelColumn, Mask, ModelColumn
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.pod import BadInput, Pod

PARTS: tuple[Part, ...] = ("train", "validation", "test")
MIN_TRAINING_ROWS = 50  # after `since`: fewer recent rows do not carry a model
SCHEMA_FILE = "schema.json"
SCHEMA_VERSION = 1


class Document(BaseModel):
    """A part of schema.json; what a later ingest adds is left alone."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class SchemaField(Document):
    """One delivered column."""

    name: str
    type: FieldType
    role: Role
    nullable: bool = False
    enum: tuple[str, ...] | None = None
    positive_class: str | None = None


class Schema(Document):
    """schema.json of a data set's version."""

    format_version: int
    fields: tuple[SchemaField, ...]
    # What was done to the fields of a request, in order.
    clean: tuple[LearntStep, ...] = ()
    features: tuple[ComputedFeature, ...] = ()
    split: Split = Field(default_factory=Split)
    label: str | None = None
    timestamp: str | None = None
    pii: tuple[str, ...] = ()
    pii_in_models: tuple[str, ...] = ()
    pii_in_captures: tuple[str, ...] = ()

    @cached_property
    def read(self) -> frozenset[str]:
        """Return the names of the fields that features are computed of."""
        return read_fields([one.name for one in self.fields], [(one.name, one.expression) for one in self.features])

    @cached_property
    def requested(self) -> tuple[str, ...]:
        """Return the names of the fields that a request carries."""
        return requested_fields({one.name: one.role for one in self.fields}, self.read)

    def field(self, name: str) -> SchemaField:
        """Return the field of this name."""
        return next(field for field in self.fields if field.name == name)


@dataclass(frozen=True)
class Data:
    """The three parts with all columns, rows with a label only."""

    schema: Schema
    label: LabelColumn
    parts: dict[Part, pl.DataFrame]
    # Columns that the engine knows by tokens only.
    masks: tuple[Mask, ...] = ()

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return what a request carries, see `requested`."""
        requested = self.schema.requested
        return tuple(
            Input(name=field.name, type=field.type, nullable=field.nullable, pii=self._recorded_without(field.name))
            for field in self.schema.fields
            if field.name in requested
        )

    @property
    def clean(self) -> tuple[LearntStep, ...] | None:
        """Return what a model does to its inputs first; None where nothing is done."""
        return self.clean_of(self.schema.requested) or None

    def clean_of(self, inputs: Collection[str]) -> tuple[LearntStep, ...]:
        """Return what a model with these inputs does to them first."""
        types = [field.name for field in self.schema.fields]
        reads = {step.filter: computed_from(step.filter, types) for step in self.schema.clean if step.filter}
        return of_inputs(self.schema.clean, inputs, reads)

    def _recorded_without(self, name: str) -> bool | None:
        return True if name in self.schema.pii and name not in self.schema.pii_in_captures else None

    @property
    def columns(self) -> tuple[ModelColumn, ...]:
        """Return what the model sees: fields of role feature, then computed features. Of a timestamp it sees only what
        is computed of it."""
        inputs = [
            ModelColumn(name=one.name, type=one.type)
            for one in self.schema.fields
            if one.role == "feature" and not (one.type == "timestamp" and one.name in self.schema.read)
        ]
        return (*inputs, *(ModelColumn(name=one.name, type=one.type) for one in self.schema.features))

    def arrays(self, part: Part) -> dict[str, NDArray[Any]]:
        """Return the columns that the model sees, as arrays, inputs and features alike, tokens in masked ones."""
        columns = {column.name: array_of(self.parts[part][column.name]) for column in self.columns}
        return dict(masked(self.masks, columns))

    def labels(self, part: Part) -> NDArray[Any]:
        """Return the truth of a part."""
        return array_of(self.parts[part][self.label.name])

    @property
    def positive(self) -> str | None:
        """Return the positive class as the contract names it, or None."""
        return self.schema.field(self.label.name).positive_class

    @property
    def held_out(self) -> pl.DataFrame:
        """Return validation and test rows in one frame."""
        return pl.concat([self.parts["validation"], self.parts["test"]])


def fetch_artifact(pod: Pod, artifact: str, into: Path) -> Path:
    """Fetch a data set's version, verified byte for byte, and return its folder."""
    pod.store.get(artifact, into)
    return into


def read_data(folder: Path, since: str | None) -> Data:
    """Read a data set's version. Raises BadInput(DataUnusable) with the way out."""
    schema = read_schema(folder)
    label = _label_of(schema)
    frames = {part: _read_part(folder, part, schema) for part in PARTS}
    data = Data(schema, label, frames)
    _check_features(data)
    data = replace(data, parts={part: frame.filter(pl.col(label.name).is_not_null()) for part, frame in frames.items()})
    if all(frame.height == 0 for frame in data.parts.values()):
        rows = sum(frame.height for frame in frames.values())
        raise _unusable(f"none of the {rows} rows has a label ({label.name!r}): wait for labels, or deliver them")
    if since is not None:
        data = _recent(data, since)
    if data.parts["train"].height == 0:
        raise _unusable("the part train has no rows: set spec.split.fractions.train of the Dataset higher")
    return data


def read_schema(folder: Path) -> Schema:
    """Read schema.json. Raises BadInput(DataUnusable)."""
    try:
        document = json.loads((folder / SCHEMA_FILE).read_bytes())
        schema = Schema.model_validate(document)
    except (OSError, ValueError, ValidationError) as error:
        raise _unusable(f"{SCHEMA_FILE}: {str(error).splitlines()[0]}: ingest the data again") from error
    if schema.format_version > SCHEMA_VERSION:
        raise BadInput(
            Reason.INCOMPATIBLE,
            f"{SCHEMA_FILE}: formatVersion {schema.format_version} is newer than {SCHEMA_VERSION}: use a newer image",
        )
    return schema


def _read_part(folder: Path, part: Part, schema: Schema) -> pl.DataFrame:
    path = folder / f"{part}.parquet"
    try:
        # The artifact was checked by its digest: it is what an ingest of ours wrote of data that it could hold.
        check_parquet(path, is_ours=True)
        frame = pl.read_parquet(path)
    except (OSError, ParquetError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _unusable(f"{path.name}: {str(error).splitlines()[0]}: ingest the data again") from error
    names = [field.name for field in schema.fields] + [feature.name for feature in schema.features]
    if absent := [name for name in names if name not in frame.columns]:
        raise _unusable(f"{path.name}: the column {absent[0]!r} of {SCHEMA_FILE} is missing: ingest the data again")
    return frame.select(names)


def _label_of(schema: Schema) -> LabelColumn:
    names = [field.name for field in schema.fields if field.role == "label"]
    if not names:
        raise _unusable("no field has the role label: set role: label for what is to be predicted, in the Dataset")
    field = schema.field(names[0])
    if field.type == "timestamp":
        raise _unusable(f"the label {field.name!r} is a timestamp: predict a number, a string or a boolean")
    return LabelColumn(name=field.name, type=field.type, enum=field.enum)


def _check_features(data: Data) -> None:
    """Refuse what a request could not carry, or what gives the answer away."""
    _check_reads(data)
    if not data.columns or not data.inputs:
        raise _unusable(
            "no field has the role feature, and none is computed of a request: there is nothing to learn from"
        )
    fields = {field.name for field in data.schema.fields}
    for column in data.columns:
        if column.type == "timestamp":
            raise _unusable(
                f"the feature {column.name!r} is a timestamp, which no estimator takes: "
                + (_MONTH.format(column.name) if column.name in fields else _NUMBER)
            )


_MONTH = (
    "add what matters of it to spec.features of the Dataset, such as {{name: {0}_month, expression: 'extract(month "
    'from "{0}")\'}}, or give it the role ignored'
)
_NUMBER = "compute a number of it in its expression, such as extract(month from ...)"


def _check_reads(data: Data) -> None:
    roles: dict[str, str] = {field.name: field.role for field in data.schema.fields}
    types = {field.name: field.type for field in data.schema.fields}
    for feature in data.schema.features:
        names = _names_in(feature, types)
        types[feature.name] = feature.type
        for name in names:
            if name not in roles:
                continue  # an earlier feature
            if roles[name] == "label":
                raise _unusable(
                    f"the feature {feature.name!r} is computed from the label {name!r}: it would know the answer"
                )
            if roles[name] == "ignored":
                raise _unusable(
                    f"the feature {feature.name!r} is computed from {name!r}, whose role is ignored: no request "
                    "carries it; give it the role input"
                )


def _names_in(feature: ComputedFeature, types: dict[str, FieldType]) -> list[str]:
    try:
        return [name for name in types if name in computed_from(feature.expression, types)]
    except ExpressionError as error:
        raise _unusable(f"{SCHEMA_FILE}: the feature {feature.name!r}: {error}: ingest the data again") from error


def _recent(data: Data, since: str) -> Data:
    """Rows of event time `since` or later, cut again: time by time; random by the seed; hash keeps each row's part."""
    column = data.schema.timestamp
    if column is None:
        raise _unusable(f"spec.datasetRef.since is {since}, but the Dataset has no field of role timestamp")
    timestamp: datetime = parse_time(since)
    recent = {part: frame.filter(pl.col(column) >= timestamp) for part, frame in data.parts.items()}
    split = data.schema.split
    if split.strategy != "hash":
        rows = pl.concat(list(recent.values()))
        if split.strategy == "time":
            rows = rows.sort(column, maintain_order=True)
        else:
            order = np.random.Generator(np.random.PCG64(split.seed)).permutation(rows.height)
            rows = rows[order.tolist()]
        train, validation = Fraction(split.fractions.train), Fraction(split.fractions.validation)
        first, second = int(train * rows.height), int((train + validation) * rows.height)
        recent = {"train": rows[:first], "validation": rows[first:second], "test": rows[second:]}
    if recent["train"].height < MIN_TRAINING_ROWS:
        raise _unusable(
            f"spec.datasetRef.since {since} leaves {recent['train'].height} rows to train on, fewer than "
            f"{MIN_TRAINING_ROWS}: choose an earlier timestamp, or wait for more rows"
        )
    return replace(data, parts=recent)


def _unusable(message: str) -> BadInput:
    return BadInput(Reason.DATA_UNUSABLE, message)
