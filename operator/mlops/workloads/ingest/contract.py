"""What a Dataset's contract says about columns, in the form that the steps of an ingest need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from mlops.api.dataset import DataField, DatasetSpec, FieldType
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions import sql_expressions as expressions
from mlops.workloads.floor.expressions.sql_expressions import DTYPES
from mlops.workloads.floor.pod import BadInput


@dataclass(frozen=True)
class Contract:
    """The fields in the contract's order, then the features with their types."""

    fields: tuple[DataField, ...]
    # name -> type, in order
    features: dict[str, FieldType]
    # With the features that are computed from them.
    pii: frozenset[str]
    # Those of them that may stand in models, and in captures, as they are.
    pii_in_models: frozenset[str] = frozenset()
    pii_in_captures: frozenset[str] = frozenset()

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
    kinds: dict[str, FieldType] = {field.name: field.type for field in spec.fields}
    for i, step in enumerate(spec.clean):
        path = f"spec.clean[{i}]"
        if step.deduplicate:
            _known(step.deduplicate.by, kinds, f"{path}.deduplicate.by")
        if step.drop_nulls:
            _known(step.drop_nulls, kinds, f"{path}.dropNulls")
        if step.fill_null:
            _known((step.fill_null.field,), kinds, f"{path}.fillNull.field")
            kind = kinds[step.fill_null.field]
            if step.fill_null.strategy not in (None, "forward") and kind not in ("float64", "int64"):
                raise BadInput(
                    Reason.SCHEMA_MISMATCH,
                    f"{path}.fillNull.strategy: {step.fill_null.strategy} is for numbers, "
                    f'and "{step.fill_null.field}" is a {kind}: use value or forward',
                )
        if step.filter:
            _condition(step.filter, kinds, f"{path}.filter")
    raw = dict(kinds)
    for i, feature in enumerate(spec.features):
        if feature.name in kinds:
            raise BadInput(
                Reason.SCHEMA_MISMATCH,
                f'spec.features[{i}].name: "{feature.name}" is a column already: choose another name',
            )
        kinds[feature.name] = _checked(feature.expression, kinds, f"spec.features[{i}].expression")
    for i, rule in enumerate(spec.validation.rules_):
        _condition(rule.expression, kinds, f"spec.validation.rules[{i}].expression")
    _known(spec.governance.pii, kinds, "spec.governance.pii")
    _known(spec.governance.pii_in_models, kinds, "spec.governance.piiInModels")
    _known(spec.governance.pii_in_captures, kinds, "spec.governance.piiInCaptures")
    features = {name: kind for name, kind in kinds.items() if name not in raw}
    return Contract(
        spec.fields,
        features,
        _with_derived(spec, spec.governance.pii),
        _allowed_in_models(spec),
        frozenset(spec.governance.pii_in_captures),
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


def _known(names: tuple[str, ...], kinds: dict[str, FieldType], path: str) -> None:
    for name in names:
        if name not in kinds:
            present = ", ".join(kinds)
            raise BadInput(Reason.SCHEMA_MISMATCH, f'{path}: "{name}" is not in spec.fields; there are: {present}')


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
