"""What is wrong with a Dataset, as far as its spec alone shows. Expressions are parsed where they are computed."""

from __future__ import annotations

from collections.abc import Iterator

from mlops.api.dataset import CleanStep, DatasetSpec, FieldType
from mlops.api.mistakes.mistake import Mistake, at, unknown_names
from mlops.api.mistakes.of_query import in_query
from mlops.api.reasons import Reason


def of_dataset(spec: DatasetSpec) -> list[Mistake]:
    """Return every mistake in query, names and cleaning steps; the ingesting pod asks here too."""
    return [
        *in_query(spec.source.sql),
        *_in_cleaning(spec),
        *_in_features(spec),
        *_in_governance(spec),
        *_in_freshness(spec),
    ]


def _in_cleaning(spec: DatasetSpec) -> Iterator[Mistake]:
    types = {field.name: field.type for field in spec.fields}
    known = list(types)
    for index, step in enumerate(spec.clean):
        path = f"spec.clean[{index}]"
        if step.deduplicate:
            yield from unknown_names(step.deduplicate.by, known, f"{path}.deduplicate.by")
        yield from unknown_names(step.drop_nulls or (), known, f"{path}.dropNulls")
        if step.fill_null:
            yield from unknown_names((step.fill_null.field,), known, f"{path}.fillNull.field")
            yield from unknown_names(step.fill_null.by or (), known, f"{path}.fillNull.by")
            yield from _in_entities(step, spec, f"{path}.fillNull")
            yield from _in_strategy(step, types, f"{path}.fillNull.strategy")
            yield from _in_median(step, spec, f"{path}.fillNull.strategy")
            yield from _in_value(step, types, f"{path}.fillNull.value")


def _in_entities(step: CleanStep, spec: DatasetSpec, path: str) -> Iterator[Mistake]:
    """Yield a field that is to be filled within the entities that it names itself."""
    fill = step.fill_null
    if fill is None or fill.strategy != "forward":
        return
    keys = [field.name for field in spec.fields if field.role == "entityKey"] if fill.by is None else fill.by
    if fill.field in keys:
        problem = f'"{fill.field}" cannot be filled within what it names: say by: [] to fill it from the row before'
        yield at(f"{path}.by", problem, Reason.SCHEMA_MISMATCH)


def _in_strategy(step: CleanStep, types: dict[str, FieldType], path: str) -> Iterator[Mistake]:
    fill = step.fill_null
    kind = types.get(fill.field) if fill else None
    if fill is None or kind is None or fill.strategy in (None, "forward") or kind in ("float64", "int64"):
        return
    problem = f'{fill.strategy} is for numbers, and "{fill.field}" is a {kind}: use value or forward'
    yield at(path, problem, Reason.SCHEMA_MISMATCH)


def _in_median(step: CleanStep, spec: DatasetSpec, path: str) -> Iterator[Mistake]:
    """Yield a median of personal numbers: it is one person's, and would stand in models."""
    fill = step.fill_null
    hidden = set(spec.governance.pii) - set(spec.governance.pii_in_models)
    carried = {field.name for field in spec.fields if field.role in ("feature", "input")}
    if fill is not None and fill.strategy == "median" and fill.field in hidden & carried:
        problem = (
            f'the median of "{fill.field}" is the value of one person, which would stand in models, and the field is '
            "in governance.pii: use strategy mean, zero or a value, or declare the field in governance.piiInModels"
        )
        yield at(path, problem, Reason.SCHEMA_MISMATCH)


def _in_value(step: CleanStep, types: dict[str, FieldType], path: str) -> Iterator[Mistake]:
    """Yield what is no number at all; what else a type allows is told by whoever reads it."""
    fill = step.fill_null
    kind = types.get(fill.field) if fill else None
    if fill is None or fill.value is None or kind not in ("float64", "int64"):
        return
    try:
        float(fill.value)
    except ValueError:
        said = "an int64: write a whole number" if kind == "int64" else f"a {kind}: write a number"
        yield at(path, f'"{fill.value}" is not {said}', Reason.SCHEMA_MISMATCH)


def _in_features(spec: DatasetSpec) -> Iterator[Mistake]:
    taken = {field.name for field in spec.fields}
    for index, feature in enumerate(spec.features):
        if feature.name in taken:
            problem = f'"{feature.name}" is a column already: choose another name'
            yield at(f"spec.features[{index}].name", problem, Reason.SCHEMA_MISMATCH)
        taken.add(feature.name)


def _in_governance(spec: DatasetSpec) -> Iterator[Mistake]:
    known = [field.name for field in spec.fields] + [feature.name for feature in spec.features]
    governance = spec.governance
    yield from unknown_names(governance.pii, known, "spec.governance.pii")
    yield from unknown_names(governance.pii_in_models, known, "spec.governance.piiInModels")
    yield from unknown_names(governance.pii_in_captures, known, "spec.governance.piiInCaptures")


def _in_freshness(spec: DatasetSpec) -> Iterator[Mistake]:
    """Yield an age that nobody may know: of a time that is personal no value is shown."""
    if spec.freshness is None or spec.freshness.measure != "EventTime":
        return
    for field in spec.fields:
        if field.role == "timestamp" and field.name in spec.governance.pii:
            dated = spec.source.sql is None and spec.source.http is None
            way_out = "use measure: Delivery" if dated else "leave out spec.freshness"
            problem = (
                f'the newest "{field.name}" would be shown, and the field is in governance.pii: {way_out}, or take the '
                "field out of governance.pii"
            )
            yield at("spec.freshness.measure", problem, Reason.SCHEMA_MISMATCH)
