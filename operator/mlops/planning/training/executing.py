"""The second step: execute, or take over the result of equal inputs."""

from __future__ import annotations

from dataclasses import replace

from mlops.api import tasks
from mlops.api.conditions import is_false, is_true
from mlops.api.reasons import Reason
from mlops.api.training_run import MAX_NOTES, Resolved, TrainingRun, TrainingRunStatus
from mlops.planning.readiness import condition
from mlops.planning.training.attempts import FIRST, carried_out
from mlops.planning.training.concluding import conclude
from mlops.planning.training.registering import made_of_the_same, nothing_new_to_train
from mlops.planning.training.step import REPRODUCIBLE, SUCCEEDED, Step, compares, suspended, took_no_part
from mlops.planning.views import TrainingRunView

_MAX_METRICS, _MAX_TEXT = 64, 256


def execute(view: TrainingRunView, step: Step, resolved: Resolved) -> Step:
    """Train, or take over what equal inputs gave, and go on to the judgement."""
    run, inputs = view.run, str(step.status.inputs_digest)
    if serves := made_of_the_same(view, inputs):
        return nothing_new_to_train(step, serves)
    equal = _equal_run(view, step.status)
    if equal is not None:
        return conclude(view, _taken_over(step, equal), resolved)
    if run.spec.suspend:
        return suspended(view, step)
    message = f"training on version {resolved.dataset_version} of {run.spec.dataset_ref.name}"
    match carried_out(view, step, FIRST, resolved, message):
        case Step() as unfinished:
            return unfinished
        case report:
            return conclude(view, _trained(step, report), resolved)


def _trained(step: Step, report: tasks.TrainReport) -> Step:
    message = f"trained as {report.format}" + (f", {report.trials} trials" if report.trials else "")
    message = "; ".join([message, *report.notes])
    return replace(step, status=_recorded(step.status, report)).saying(
        condition(SUCCEEDED, "True", Reason.SUCCEEDED, message)
    )


def _recorded(status: TrainingRunStatus, report: tasks.TrainReport) -> TrainingRunStatus:
    best = {name: value[:256] for name, value in report.best_params.items()} if report.best_params else None
    return status.evolve(
        output_digest=report.output_digest,
        prediction_digest=report.prediction_digest,
        format=report.format,
        metrics=report.metrics[:_MAX_METRICS],
        champion_metrics=report.champion_metrics[:_MAX_METRICS],
        best_params=best,
        trials=report.trials,
        positive_class=report.positive_class[:_MAX_TEXT] if report.positive_class else None,
        notes=tuple(note[:_MAX_TEXT] for note in report.notes[:MAX_NOTES]) or None,
    )


def _equal_run(view: TrainingRunView, status: TrainingRunStatus) -> TrainingRun | None:
    """Return the run whose result this one would have: equal inputs, and judged against the same champion."""
    run = view.run
    if run.spec.reproducibility.verify == "Once":
        return None
    equal_runs = [
        sibling
        for sibling in view.siblings
        # First what hardly any of a thousand siblings has.
        if sibling.status.inputs_digest == status.inputs_digest
        and sibling.metadata.name != run.metadata.name
        and sibling.status.resolved is not None
        and sibling.status.output_digest is not None
        and is_true(sibling.status.conditions, SUCCEEDED)
        and not took_no_part(sibling)
        and not is_false(sibling.status.conditions, REPRODUCIBLE)
        and (not compares(run) or _champion_of(sibling.status) == _champion_of(status))
    ]
    return min(equal_runs, key=lambda sibling: sibling.metadata.name, default=None)


def _champion_of(status: TrainingRunStatus) -> str | None:
    return status.resolved.champion_artifact if status.resolved else None


def _taken_over(step: Step, equal_run: TrainingRun) -> Step:
    theirs = equal_run.status
    status = step.status.evolve(
        output_digest=theirs.output_digest,
        prediction_digest=theirs.prediction_digest,
        format=theirs.format,
        metrics=theirs.metrics,
        champion_metrics=theirs.champion_metrics,
        best_params=theirs.best_params,
        trials=theirs.trials,
        positive_class=theirs.positive_class,
        notes=theirs.notes,
        cached_from=equal_run.metadata.name,
    )
    message = f'inputs equal those of TrainingRun "{equal_run.metadata.name}": its result is taken over'
    return replace(step, status=status).saying(condition(SUCCEEDED, "True", Reason.CACHED, message))
