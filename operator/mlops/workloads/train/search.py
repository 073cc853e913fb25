"""A search over parameters: every trial fitted on train, judged on validation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mlops.api.metrics import METRICS
from mlops.api.mistakes.of_run import too_many_trials
from mlops.api.reasons import Reason
from mlops.api.training_run import Search
from mlops.workloads.floor.log import say
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.evaluate import Measured

Params = dict[str, str]


def trials_of(search: Search, seed: int) -> list[Params]:
    """Return the parameters of each trial: the grid in the order of the spec, or a seeded sample of it.

    A grid with more combinations than maxTrials is refused: BadInput(ParameterInvalid).
    """
    sizes = [len(parameter.values) for parameter in search.parameters]
    total = math.prod(sizes)
    if search.algorithm == "grid":
        if problem := too_many_trials(search):
            raise BadInput(Reason.PARAMETER_INVALID, problem)
        return list(_grid(search))
    generator = np.random.Generator(np.random.PCG64(seed))
    if total <= search.max_trials:
        return list(_grid(search))
    if total <= 1_000_000:
        chosen = generator.choice(total, size=search.max_trials, replace=False).tolist()
    else:
        drawn: dict[int, None] = {}
        while len(drawn) < search.max_trials:
            drawn[int(generator.integers(min(total, 2**62)))] = None
        chosen = list(drawn)
    return [_combination(search, number) for number in chosen]


def _grid(search: Search) -> Iterator[Params]:
    names = [parameter.name for parameter in search.parameters]
    for values in itertools.product(*(parameter.values for parameter in search.parameters)):
        yield dict(zip(names, values, strict=True))


def _combination(search: Search, number: int) -> Params:
    """The combination of this number, the last parameter varying fastest as in the grid."""
    chosen: Params = {}
    for parameter in reversed(search.parameters):
        number, index = divmod(number, len(parameter.values))
        chosen[parameter.name] = parameter.values[index]
    return {parameter.name: chosen[parameter.name] for parameter in search.parameters}


def run_search(
    search: Search, trials: list[Params], attempt: Callable[[Params], tuple[Any, Measured]]
) -> tuple[Any, Params]:
    """Make every trial and return the best fitted estimator and its parameters; the first of equals wins.

    `attempt` fits one on train and returns it with its metrics on validation. The winner needs no refit: it was fitted
    on all of train, and validation rows are never trained on. Raises BadInput if no trial can be judged.
    """
    metric = search.objective.metric
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    best: tuple[float, Any, Params] | None = None
    problem = ""
    for number, params in enumerate(trials, start=1):
        shown = ", ".join(f"{name}={value}" for name, value in params.items())
        try:
            fitted, measured = attempt(params)
        except BadInput as error:
            if error.reason != Reason.TRAINING_FAILED:
                raise
            problem = error.message
            say(f"trial {number}/{len(trials)}: {shown}: {error.message}")
            continue
        metrics = measured.values
        if metric not in metrics:
            present = ", ".join(metrics) or "none, it has no rows"
            why = f" ({measured.undefined[metric]})" if metric in measured.undefined else ""
            raise BadInput(
                Reason.PARAMETER_INVALID,
                f"spec.search.objective.metric: {metric} is not defined for this model on the part validation{why}; "
                f"defined are: {present}",
            )
        say(f"trial {number}/{len(trials)}: {shown}: {metric} {metrics[metric]:.6g}")
        score = sign * metrics[metric]
        if best is None or score > best[0]:
            best = (score, fitted, params)
    if best is None:
        raise BadInput(Reason.TRAINING_FAILED, f"none of the {len(trials)} trials could be fitted; the last: {problem}")
    return best[1], best[2]
