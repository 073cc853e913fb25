"""TrainingRun: one execution on pinned inputs, judged by its gates and registered; templates are beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlops.api.conditions import READY, STALLED, Condition, find, is_true
from mlops.api.reasons import Reason, Trait, having
from mlops.api.training_run import TrainingRunStatus
from mlops.planning import readiness as say
from mlops.planning import retrying
from mlops.planning.ownership import is_leaving, key_and_uid, key_of
from mlops.planning.plan import Plan
from mlops.planning.readiness import Readiness
from mlops.planning.training import template
from mlops.planning.training.attempts import spent
from mlops.planning.training.concluding import conclude
from mlops.planning.training.executing import execute
from mlops.planning.training.pinning import pin
from mlops.planning.training.refusing import refusal
from mlops.planning.training.step import DATASET_READY, OWN, Step, own_at_work, took_no_part
from mlops.planning.views import TrainingRunView

_OF_PINNED_INPUTS = having(Trait.OF_PINNED_INPUTS)


def plan(view: TrainingRunView) -> Plan:
    """Return what should be of one TrainingRun, or of a template of runs."""
    run = view.run
    if is_leaving(run):
        return Plan()
    if run.spec.triggers:
        return template.plan(view)
    step = _without_needless_jobs(view, _next(view))
    generation = run.metadata.generation
    conditions = say.conditions(
        run.status.conditions,
        step.readiness,
        [step.own.get(type_) for type_ in OWN],
        now=view.now,
        generation=generation,
    )
    status = step.status.evolve(observed_generation=generation, conditions=conditions)
    delete = (*step.delete, *spent(view, step.status))
    return Plan(statuses={key_of(run): status}, create=step.create, delete=delete, requeue_at=step.requeue_at)


def _next(view: TrainingRunView) -> Step:
    run = view.run
    said: dict[str, Condition] = {type_: found for type_ in OWN if (found := find(run.status.conditions, type_))}
    known = Step(run.status, say.readiness_of(run.status.conditions) or _pending(), said)
    if (asked := retrying.wanted(run)) and not is_true(run.status.conditions, READY):
        known = _asked_again(view, known, asked)
    elif asked:
        return replace(known, status=run.status.evolve(retried=asked))
    elif say.is_over(run.status.conditions):
        # A run is one execution: it is not judged again, and a ModelVersion that was deleted is not made again.
        return known
    if took_no_part(run):
        # There was nothing to train, or there is by now: what it would be judged by is not there.
        known = replace(known, status=known.status.evolve(output_digest=None), own=_of_dataset(known.own))
    if known.status.resolved is None:
        # Nothing of the run was judged yet but its specs: what a refusal said of them ends with it.
        return refusal(view, known) or pin(view, replace(known, own=_of_dataset(known.own)))
    if known.status.output_digest is None:
        return execute(view, known, known.status.resolved)
    return conclude(view, known, known.status.resolved)


def _of_dataset(own: Mapping[str, Condition]) -> dict[str, Condition]:
    return {type_: found for type_, found in own.items() if type_ == DATASET_READY}


def _asked_again(view: TrainingRunView, step: Step, asked: str) -> Step:
    """Return the step from which a person has the run tried again: what it has made stays, what failed is done again.

    On the inputs that it is pinned to, unless these are why it failed. A run that is at work goes on.
    """
    run = view.run
    status = run.status.evolve(retried=asked, without_report=None)
    if own_at_work(view, status):
        return replace(step, status=status)
    failed = find(run.status.conditions, STALLED)
    if failed is not None and failed.reason not in say.LAID_OVER and run.status.resolved is not None:
        status = status.evolve(attempts=run.status.attempts + 1)
    if failed is not None and failed.reason in _OF_PINNED_INPUTS:
        # The result of a first execution as well, if it was the second that failed: both are to be of the same inputs.
        status = _unpinned(status)
    # What the last attempt said would make this one wait.
    return replace(step, status=status, own={})


def _unpinned(status: TrainingRunStatus) -> TrainingRunStatus:
    """Return the status without what the run is pinned to, and without what was made of that."""
    return status.evolve(
        resolved=None,
        inputs_digest=None,
        cached_from=None,
        verification=None,
        output_digest=None,
        prediction_digest=None,
        format=None,
        metrics=(),
        champion_metrics=(),
        best_params=None,
        trials=None,
        positive_class=None,
        notes=None,
    )


def _without_needless_jobs(view: TrainingRunView, step: Step) -> Step:
    """Return the step without Jobs of the run that nobody waits for: it has taken over another's result meanwhile."""
    if step.status.cached_from is None:
        return step
    wanted = {manifest["metadata"]["name"] for manifest in step.create}
    needless = [
        found
        for job in own_at_work(view, step.status)
        if job.name not in wanted and (found := key_and_uid(job.manifest)) not in step.delete
    ]
    return replace(step, delete=(*step.delete, *needless))


def _pending() -> Readiness:
    return say.in_progress(Reason.PENDING, "seen for the first time")
