"""What a Dataset's contract says about columns, in the form that the steps of an ingest need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from mlops.api.dataset import DataField, DatasetSpec, Feature, FieldType
from mlops.api.delimited import Csv
from mlops.api.mistakes.of_dataset import of_dataset
from mlops.api.reasons import Reason
from mlops.workloads.floor import expressions
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.model.requested import read_fields, requested_fields
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.time_patterns import pattern_of
from mlops.workloads.ingest.times import lacks_zone


@dataclass(frozen=True)
class Contract:
    """The fields in the contract's order, then the features with their types."""

    fields: tuple[DataField, ...]
    # name -> type, in order
    features: dict[str, FieldType]
    # With the features that are computed from them.
    pii: frozenset[str]
    # What the features are computed by, in order.
    computed: tuple[Feature, ...] = ()
    # Those of them that may stand in models, and in captures, as they are.
    pii_in_models: frozenset[str] = frozenset()
    pii_in_captures: frozenset[str] = frozenset()
    csv: Csv = field(default_factory=Csv)
    # Whether rows with a value that is not of its type are put aside.
    puts_aside: bool = False
    # Fields with times that had no offset, and were read as UTC; readers add to it, and the report tells them.
    read_as_utc: set[str] = field(default_factory=set, compare=False)

    def note_zone(self, values: pl.Series, of: DataField) -> None:
        """Remember a field whose values, as they are delivered, do not say of which zone they are."""
        if of.type == "timestamp" and of.name not in self.read_as_utc and lacks_zone(values, of):
            self.read_as_utc.add(of.name)

    @property
    def kinds(self) -> dict[str, FieldType]:
        """Return the type of every column: fields, then features."""
        return {field.name: field.type for field in self.fields} | self.features

    @property
    def label(self) -> str | None:
        """Return the label's name."""
        return next((field.name for field in self.fields if field.role == "label"), None)

    @property
    def timestamp(self) -> str | None:
        """Return the timestamp's name."""
        return next((field.name for field in self.fields if field.role == "timestamp"), None)

    @property
    def entity_keys(self) -> list[str]:
        """Return the names of the fields that say whom or what a row is about."""
        return [field.name for field in self.fields if field.role == "entityKey"]

    def nullable(self, name: str) -> bool:
        """Return whether a field may be missing."""
        return any(field.nullable for field in self.fields if field.name == name)

    @property
    def requested(self) -> tuple[str, ...]:
        """Return the names of the fields that a request carries."""
        features = [(feature.name, feature.expression) for feature in self.computed]
        read = read_fields([field.name for field in self.fields], features)
        return requested_fields({field.name: field.role for field in self.fields}, read)

    @property
    def order(self) -> list[str]:
        """Return the columns by which rows are put in order: time, key, then everything, so that content decides."""
        first = [*([self.timestamp] if self.timestamp else []), *self.entity_keys]
        return first + [field.name for field in self.fields if field.name not in first]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Return the data type of every field as it is read."""
        return {field.name: DTYPES[field.type] for field in self.fields}


def contract_of(spec: DatasetSpec) -> Contract:
    """Return the contract after checking every name and expression in the spec. Raises BadInput with the field path."""
    for mistake in of_dataset(spec):
        raise BadInput(mistake.reason, mistake.said)
    kinds: dict[str, FieldType] = {field.name: field.type for field in spec.fields}
    for i, one in enumerate(spec.fields):
        _readable(one, f"spec.fields[{i}]")
    for i, step in enumerate(spec.clean):
        if step.filter:
            _condition(step.filter, kinds, f"spec.clean[{i}].filter")
    raw = dict(kinds)
    for i, feature in enumerate(spec.features):
        kinds[feature.name] = _checked(feature.expression, kinds, f"spec.features[{i}].expression")
    for i, rule in enumerate(spec.validation.rules_):
        _condition(rule.expression, kinds, f"spec.validation.rules[{i}].expression")
    features = {name: kind for name, kind in kinds.items() if name not in raw}
    return Contract(
        spec.fields,
        features,
        _with_derived(spec, spec.governance.pii),
        spec.features,
        _allowed_in_models(spec),
        frozenset(spec.governance.pii_in_captures),
        spec.csv or Csv(),
        spec.validation.on_failure == "Quarantine",
    )


def _with_derived(spec: DatasetSpec, names: Iterable[str]) -> frozenset[str]:
    """Return the columns with the features that are computed from them: what is said of a person in other words."""
    computed = [(feature.name, feature.expression) for feature in spec.features]
    return expressions.with_derived(names, computed, [field.name for field in spec.fields])


def _allowed_in_models(spec: DatasetSpec) -> frozenset[str]:
    """Return the personal columns that are declared for models; a feature is if all it is computed from are."""
    allowed = spec.governance.pii_in_models
    kept_out = _with_derived(spec, set(spec.governance.pii) - set(allowed))
    return (_with_derived(spec, spec.governance.pii) - kept_out) | frozenset(allowed)


def _readable(field: DataField, path: str) -> None:
    """Raise BadInput for a format of timestamps with two readings, and for a time zone that there is not."""
    for i, form in enumerate(field.formats or ()):
        try:
            pattern_of(form)
        except ValueError as error:
            raise BadInput(Reason.SCHEMA_MISMATCH, f'{path}.formats[{i}]: "{form}": {error}') from error
    try:
        ZoneInfo(field.time_zone or "UTC")
        pl.Series([0]).cast(pl.Datetime("us")).dt.replace_time_zone(field.time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError, pl.exceptions.PolarsError) as error:
        raise BadInput(
            Reason.SCHEMA_MISMATCH,
            f'{path}.timeZone: "{field.time_zone}" is not in the time zone database: say one such as Europe/Berlin',
        ) from error


def _checked(expression: str, kinds: dict[str, FieldType], path: str) -> FieldType:
    try:
        return expressions.check(expression, kinds)
    except expressions.ExpressionError as error:
        raise BadInput(Reason.EXPRESSION_INVALID, f"{path}: {error}") from error


def _condition(expression: str, kinds: dict[str, FieldType], path: str) -> None:
    kind = _checked(expression, kinds, path)
    if kind != "boolean":
        raise BadInput(
            Reason.EXPRESSION_INVALID, f"{path}: the expression `{expression}` is a {kind}: write a condition"
        )
