"""What is wrong with a TrainingRun, as far as its spec alone shows."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlops.api import estimators
from mlops.api.estimator import Estimator
from mlops.api.metrics import METRICS, of_task
from mlops.api.mistakes.mistake import Mistake, at, said_at
from mlops.api.positions import Known, wrong_position
from mlops.api.reasons import Reason
from mlops.api.training_run import Search, TrainingRunSpec

_INVALID = Reason.PARAMETER_INVALID
# What to do instead of a matrix of classes.
COSTS_OF_NUMBERS = "leave spec.costs out, and use mae, rmse or r2"


def of_run(spec: TrainingRunSpec) -> list[Mistake]:
    """Return every mistake in estimator, parameters, search and gates, in the words of the training pod."""
    estimator = spec.trainer.estimator
    if estimator is None:
        return []  # a user's own code has its own parameters and metrics
    if said := estimators.unknown_estimator(estimator.name):
        return [Mistake(estimators.NAME_PATH, said, Reason.ESTIMATOR_UNKNOWN)]
    found = list(_in_parameters(estimator))
    said = estimators.too_many_categories(estimator.name, estimator.max_categories)
    found += said_at(estimators.CATEGORIES_PATH, said, _INVALID)
    if spec.search is not None:
        found += _in_search(estimator.name, spec)
    return [*found, *_in_costs(estimator.name, spec), *_in_gates(estimator.name, spec)]


def _in_parameters(estimator: Estimator) -> Iterator[Mistake]:
    for parameter, value in estimator.params.items():
        path = f"{estimators.PARAMS_PATH}.{parameter}"
        yield from _in_parameter(estimator.name, parameter, (value,), path)


def _in_parameter(estimator: str, parameter: str, values: tuple[str, ...], path: str) -> Iterator[Mistake]:
    if said := estimators.wrong_name(estimator, parameter, values[0], path):
        yield Mistake(path, said, _INVALID)
        return
    for value in values:
        # First what its positions mean, which scikit-learn's words know nothing of.
        if problem := wrong_position(parameter, value, known_of(estimator)):
            yield at(path, f"{value!r}: {problem}", _INVALID)
        else:
            yield from said_at(path, estimators.wrong_value(estimator, parameter, value, path), _INVALID)


def known_of(estimator: str) -> Known:
    """Return what a run's spec alone says of columns and classes: none of them."""
    return Known(classifies=estimators.task_of(estimator) == "classification")


def _in_search(estimator: str, spec: TrainingRunSpec) -> Iterator[Mistake]:
    search = spec.search
    if search is None:
        return
    for parameter in search.parameters:
        path = f"spec.search.parameters[{parameter.name}]"
        if parameter.name == "estimator":
            yield at(path, "a search varies parameters of one estimator: make a run for each estimator", _INVALID)
        else:
            yield from _in_parameter(estimator, parameter.name, parameter.values, path)
    yield from said_at("spec.search", too_many_trials(search), _INVALID)
    metric = search.objective.metric
    names = measured(estimator, costs=spec.costs is not None)
    if metric not in names:
        path = "spec.search.objective.metric"
        yield at(path, _not_measured(estimator, metric, names), _INVALID)


def too_many_trials(search: Search) -> str | None:
    """Return what is wrong with a grid of more combinations than a search may try."""
    total = math.prod(len(parameter.values) for parameter in search.parameters)
    if search.algorithm != "grid" or total <= search.max_trials:
        return None
    return (
        f"spec.search: the grid has {total} combinations, maxTrials is {search.max_trials}: "
        "raise it (up to 200), list fewer values, or use algorithm: random"
    )


def _in_costs(estimator: str, spec: TrainingRunSpec) -> Iterator[Mistake]:
    if spec.costs is not None and estimators.task_of(estimator) == "regression":
        yield at("spec.costs", f"are those of classes, and {estimator} predicts numbers: {COSTS_OF_NUMBERS}", _INVALID)


def _in_gates(estimator: str, spec: TrainingRunSpec) -> Iterator[Mistake]:
    names = measured(estimator, costs=spec.costs is not None)
    for index, gate in enumerate(spec.gates):
        if gate.metric not in names:
            path = f"spec.gates[{index}].metric"
            yield at(path, _not_measured(estimator, gate.metric, names), Reason.METRIC_MISSING)


def measured(estimator: str, *, costs: bool = True) -> list[str]:
    """Return the metrics that models of an estimator have at best, where somebody says what answers cost or not."""
    task = estimators.task_of(estimator)
    names = of_task(task, costs=costs) if task is not None else ()
    scored = estimators.gives_probabilities(estimator)
    return [name for name in names if scored or not METRICS[name].needs_probabilities]


def _not_measured(estimator: str, metric: str, names: list[str]) -> str:
    hint = estimators.closest(metric, names) if metric not in METRICS else ""
    if metric == "cost" and estimators.task_of(estimator) == "classification":
        hint = "say in spec.costs what answers cost; "
    return f"{metric!r} is not measured of models by {estimator}; {hint}measured are: {', '.join(names)}"
