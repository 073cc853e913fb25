"""What manifests that belong together show to be wrong, without running anything.

Expressions are parsed too: a user's machine has their engine, which the operator has not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from mlops.api.base import Resource
from mlops.api.dataset import CleanStep, Dataset, DatasetSpec, FieldType, Governance, Validation, ValidationRule
from mlops.api.expression_columns import columns_named
from mlops.api.mistakes.mistake import Mistake
from mlops.api.mistakes.of_dataset import of_dataset
from mlops.api.mistakes.of_run import of_run
from mlops.api.mistakes.of_run_on_dataset import of_run_on_dataset
from mlops.api.reasons import Reason
from mlops.api.training_run import TrainingRun

_PLACE = re.compile(r"(spec\.(clean|features|validation\.rules)\[([0-9]+)\]\.[a-zA-Z.]+): ")
_PATH = re.compile(r"(spec\.[^: ]+): ")
# Stands in the place of a condition that is wrong, so that the next one is told too.
_ALWAYS = "1 = 1"


def of_all(resources: Sequence[Resource]) -> Iterator[tuple[Resource, Mistake]]:
    """Yield every mistake with its object. A run is held against its Dataset if that is among them."""
    datasets: dict[tuple[str, str], tuple[Dataset, Mapping[str, FieldType] | None]] = {}
    for each in resources:
        if isinstance(each, Dataset):
            mistakes, types = _of_dataset(each.spec)
            yield from ((each, mistake) for mistake in mistakes)
            datasets[each.metadata.namespace, each.metadata.name] = (each, types)
    for each in resources:
        if isinstance(each, TrainingRun):
            yield from ((each, mistake) for mistake in of_run(each.spec))
            dataset, types = datasets.get((each.metadata.namespace, each.spec.dataset_ref.name), (None, None))
            # An earlier version may have been made by another spec.
            if dataset is not None and each.spec.dataset_ref.version is None:
                yield from ((each, mistake) for mistake in of_run_on_dataset(each.spec, dataset.spec, types))


def _of_dataset(spec: DatasetSpec) -> tuple[list[Mistake], Mapping[str, FieldType] | None]:
    """Return what is wrong with a Dataset, and the types of its features if nothing is."""
    if mistakes := of_dataset(spec):
        return mistakes, None
    computes = spec.features or spec.validation.rules_ or any(step.filter for step in spec.clean)
    of_times = any(field.time_zone or field.formats for field in spec.fields)
    if not (computes or of_times or spec.governance.pii):
        return [], {}
    return _in_expressions(spec)


def _in_expressions(spec: DatasetSpec) -> tuple[list[Mistake], Mapping[str, FieldType] | None]:
    # Here, not above: it takes the engine of expressions with it.
    from mlops.workloads.floor.pod import BadInput
    from mlops.workloads.ingest.contract import contract_of

    mistakes: list[Mistake] = []
    while True:
        try:
            types = contract_of(spec).features
        except BadInput as error:
            found = _PLACE.match(error.message)
            path = _PATH.match(error.message)
            mistakes.append(Mistake(path[1] if path else "spec", error.message, Reason(error.reason)))
            if found is None:
                return mistakes, None
            spec = _without(spec, found[2], int(found[3]))
        else:
            return mistakes, None if mistakes else types


def _without(spec: DatasetSpec, part: str, index: int) -> DatasetSpec:
    """Return the spec without a mistake that was told, and without what only follows from it."""
    match part:
        case "clean":
            steps = list(spec.clean)
            steps[index] = CleanStep(filter=_ALWAYS)
            return spec.evolve(clean=tuple(steps))
        case "features":
            gone = [feature.name for feature in spec.features[index:]]
            validation = Validation(rules_=tuple(_free_of(rule, gone) for rule in spec.validation.rules_))
            # It may name features; its names were found good before.
            return spec.evolve(features=spec.features[:index], validation=validation, governance=Governance())
    rules_ = list(spec.validation.rules_)
    rules_[index] = rules_[index].evolve(expression=_ALWAYS)
    return spec.evolve(validation=Validation(rules_=tuple(rules_)))


def _free_of(rule: ValidationRule, gone: Sequence[str]) -> ValidationRule:
    return rule.evolve(expression=_ALWAYS) if columns_named(rule.expression, gone) else rule
