"""What is wrong with a TrainingRun on a Dataset, as far as their specs show: no data is needed to tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlops.api import estimators
from mlops.api.costs import columns_of, unknown_class, wrong_column
from mlops.api.dataset import DataField, DatasetSpec, FieldType, Fractions
from mlops.api.expression_columns import columns_named, with_derived
from mlops.api.mistakes.mistake import Mistake, at
from mlops.api.mistakes.of_run import COSTS_OF_NUMBERS, known_of
from mlops.api.positions import Known, wrong_position
from mlops.api.reasons import Reason
from mlops.api.training_run import Part, TrainingRunSpec

_DATASET_PATH = "spec.datasetRef.name"
_SINCE_PATH = "spec.datasetRef.since"
_DECLARE = "or declare it in governance.piiInModels of the Dataset, if it may stand there"
_BOTH = ("Classifier", "Regressor")
# What requests carry, or may if a feature is computed of it.
_CARRIED = {"feature", "input", "entityKey", "timestamp"}
_ALWAYS_CARRIED = {"feature", "input"}
_NUMBER = "compute a number of it in its expression, such as extract(month from ...)"


def of_run_on_dataset(
    run: TrainingRunSpec, dataset: DatasetSpec, types: Mapping[str, FieldType] | None = None
) -> list[Mistake]:
    """Return every mistake; `types` of computed features, where somebody has computed them."""
    found = [*_in_label(run, dataset), *_in_columns(dataset, types or {}), *_in_sources(dataset)]
    found += [*_in_positions(run, dataset, types or {}), *_in_costs(run, dataset)]
    return [*found, *_in_personal_data(run, dataset), *_in_parts(run, dataset)]


def _unusable(problem: str, path: str = _DATASET_PATH) -> Mistake:
    return at(path, problem, Reason.DATA_UNUSABLE)


def _label_of(dataset: DatasetSpec) -> DataField | None:
    return next((field for field in dataset.fields if field.role == "label"), None)


def _in_label(run: TrainingRunSpec, dataset: DatasetSpec) -> Iterator[Mistake]:
    label = _label_of(dataset)
    if label is None:
        yield _unusable("no field has the role label: set role: label for what is to be predicted, in the Dataset")
    elif label.type == "timestamp":
        yield _unusable(f"the label {label.name!r} is a timestamp: predict a number, a string or a boolean")
    elif run.trainer.estimator is not None:
        yield from _in_task(run.trainer.estimator.name, label)


def _in_task(estimator: str, label: DataField) -> Iterator[Mistake]:
    task = estimators.task_of(estimator)
    said = f"the label {label.name!r} is a {label.type} and {estimator} predicts"
    if task == "regression" and label.type not in ("float64", "int64"):
        problem = f"{said} numbers: choose a classifier{_other(estimator)}, or a numeric label"
        yield _unusable(problem, estimators.NAME_PATH)
    if task == "classification" and label.type == "float64":
        problem = (
            f"{said} classes: if its values are whole numbers, declare the label as int64 in the Dataset; else "
            f"choose a regressor{_other(estimator)}"
        )
        yield _unusable(problem, estimators.NAME_PATH)


def _other(estimator: str) -> str:
    """Return the estimator of the same family and the other task, if there is one."""
    for one, other in (_BOTH, reversed(_BOTH)):
        found = estimator.removesuffix(one) + other
        if estimator.endswith(one) and estimators.is_known(found):
            return f", such as {found}"
    return ""


def _in_columns(dataset: DatasetSpec, types: Mapping[str, FieldType]) -> Iterator[Mistake]:
    columns = {field.name: field.type for field in dataset.fields if field.role == "feature"}
    if not columns and not dataset.features:
        yield _unusable("no field has the role feature: there is nothing to learn from")
    # Of a timestamp the model sees only what is computed of it.
    columns = {name: kind for name, kind in columns.items() if name not in _read(dataset)}
    computed = {feature.name: types[feature.name] for feature in dataset.features if feature.name in types}
    for name, kind in {**columns, **computed}.items():
        if kind == "timestamp":
            way_out = _NUMBER if name in computed else _way_out_of_time(name)
            yield _unusable(f"the feature {name!r} is a timestamp, which no estimator takes: {way_out}")


def _read(dataset: DatasetSpec) -> frozenset[str]:
    names = [field.name for field in dataset.fields]
    return frozenset().union(*(columns_named(feature.expression, names) for feature in dataset.features))


def _way_out_of_time(name: str) -> str:
    return (
        f"add what matters of it to spec.features of the Dataset, such as {{name: {name}_month, expression: "
        f"'extract(month from \"{name}\")'}}, or give it the role ignored"
    )


def _in_positions(run: TrainingRunSpec, dataset: DatasetSpec, types: Mapping[str, FieldType]) -> Iterator[Mistake]:
    """Yield parameters that name a column or a class that there is not; without a Dataset others are told."""
    estimator = run.trainer.estimator
    if estimator is None or not estimators.is_known(estimator.name):
        return
    alone, known = known_of(estimator.name), _known(estimator.name, dataset, types)
    written: list[tuple[str, str, tuple[str, ...]]] = [
        (f"{estimators.PARAMS_PATH}.{name}", name, (text,)) for name, text in estimator.params.items()
    ]
    for parameter in run.search.parameters if run.search else ():
        written.append((f"spec.search.parameters[{parameter.name}]", parameter.name, parameter.values))
    for path, name, texts in written:
        for text in texts:
            if wrong_position(name, text, alone) is None and (problem := wrong_position(name, text, known)):
                yield at(path, f"{text!r}: {problem}", Reason.PARAMETER_INVALID)


def _known(estimator: str, dataset: DatasetSpec, types: Mapping[str, FieldType]) -> Known:
    """Return what a Dataset says of the columns that a model sees, and of classes where it names them."""
    read = _read(dataset)
    columns: dict[str, FieldType | None] = {
        field.name: field.type
        for field in dataset.fields
        if field.role == "feature" and not (field.type == "timestamp" and field.name in read)
    }
    columns |= {feature.name: types.get(feature.name) for feature in dataset.features}
    label = _label_of(dataset)
    booleans = label is not None and label.type == "boolean"
    return Known(known_of(estimator).classifies, columns, _classes_of(label), booleans=booleans)


def _in_costs(run: TrainingRunSpec, dataset: DatasetSpec) -> Iterator[Mistake]:
    """Yield classes and columns of costs that there are not, where the Dataset says which there are."""
    if run.costs is None:
        return
    label = _label_of(dataset)
    classes = _classes_of(label)
    if classes is not None and (found := unknown_class(run.costs, classes)):
        yield at(*found, Reason.PARAMETER_INVALID)
    if label is not None and label.type == "float64" and run.trainer.estimator is None:
        problem = f"are those of classes, and the label {label.name!r} is a number: {COSTS_OF_NUMBERS}"
        yield at("spec.costs", problem, Reason.PARAMETER_INVALID)
    fields, read = {field.name: field for field in dataset.fields}, _read(dataset)
    cleaned = {name for step in dataset.clean for name in step.drop_nulls or ()}
    cleaned |= {
        step.fill_null.field for step in dataset.clean if step.fill_null and step.fill_null.strategy != "forward"
    }
    for column, path in columns_of(run.costs):
        field = fields.get(column)
        wrong = wrong_column(
            column,
            None if field is None else field.type,
            carried=field is not None
            and (field.role in _ALWAYS_CARRIED or (field.role in _CARRIED and column in read)),
            personal=column in dataset.governance.pii,
            may_be_missing=field is not None and field.nullable and column not in cleaned,
        )
        if wrong:
            yield at(path, wrong, Reason.PARAMETER_INVALID)


def _classes_of(label: DataField | None) -> tuple[str, ...] | None:
    """Return the classes that a Dataset names, or None."""
    if label is None or label.type != "boolean":
        return None if label is None else label.enum
    return "false", "true"


def _in_sources(dataset: DatasetSpec) -> Iterator[Mistake]:
    """Yield what features are computed from that gives the answer away, or that no request carries."""
    fields = {field.name: field for field in dataset.fields}
    for feature in dataset.features:
        for name in sorted(columns_named(feature.expression, fields), key=list(fields).index):
            field = fields[name]
            said = f"the feature {feature.name!r} is computed from"
            if field.role == "label":
                yield _unusable(f"{said} the label {name!r}: it would know the answer: leave it out of the expression")
            elif field.role not in _CARRIED:
                yield _unusable(
                    f"{said} {name!r}, whose role is {field.role}: no request carries it; give it the role input"
                )


def _in_personal_data(run: TrainingRunSpec, dataset: DatasetSpec) -> Iterator[Mistake]:
    governance, label = dataset.governance, _label_of(dataset)
    computed = [(feature.name, feature.expression) for feature in dataset.features]
    names = [field.name for field in dataset.fields]
    hidden = with_derived(governance.pii, computed, names) - set(governance.pii_in_models)
    if label is not None and label.name in hidden:
        yield _unusable(
            f"the label {label.name!r} is in governance.pii, and a model holds and answers values of its label: "
            f"predict another field, {_DECLARE}"
        )
    estimator = run.trainer.estimator.name if run.trainer.estimator else ""
    if estimator not in estimators.KEEP_ROWS:
        return
    for field in dataset.fields:
        if field.role == "feature" and field.type not in ("string", "timestamp") and field.name in hidden:
            yield _unusable(
                f"the feature {field.name!r} is in governance.pii, and {estimator} keeps the rows that it was trained "
                f"on: choose an estimator that does not, give the field the role ignored, {_DECLARE}",
                estimators.NAME_PATH,
            )


def _in_parts(run: TrainingRunSpec, dataset: DatasetSpec) -> Iterator[Mistake]:
    fractions = dataset.split.fractions
    if run.search is not None and _share(fractions, "validation") == 0:
        yield _unusable(_empty("validation", "a search judges its trials"), "spec.search")
    for index, gate in enumerate(run.gates):
        if _share(fractions, gate.dataset) == 0:
            path = f"spec.gates[{index}].dataset"
            yield at(path, _empty(gate.dataset, "the gate is judged"), Reason.METRIC_MISSING)
    if run.dataset_ref.since is not None and all(field.role != "timestamp" for field in dataset.fields):
        said = f"{run.dataset_ref.since}, but the Dataset has no field of role timestamp: give one that role"
        yield Mistake(_SINCE_PATH, f"{_SINCE_PATH} is {said}", Reason.DATA_UNUSABLE)


def _share(fractions: Fractions, part: Part) -> float:
    return float({"train": fractions.train, "validation": fractions.validation, "test": fractions.test}[part])


def _empty(part: str, what: str) -> str:
    return f"{what} on the part {part}, which has no rows: set spec.split.fractions.{part} of the Dataset above 0"
