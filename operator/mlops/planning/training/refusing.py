"""Before the first step: what the specs alone show to be wrong is said at once, and no pod starts for it."""

from __future__ import annotations

from dataclasses import replace

from mlops.api.mistakes.mistake import Mistake, listed
from mlops.api.mistakes.of_run import of_run
from mlops.api.mistakes.of_run_on_dataset import of_run_on_dataset
from mlops.api.reasons import Reason
from mlops.planning import readiness as say
from mlops.planning.ownership import is_leaving
from mlops.planning.training.step import GATES_PASSED, SUCCEEDED, Step
from mlops.planning.views import TrainingRunView


def refusal(view: TrainingRunView, step: Step) -> Step | None:
    """Return the step of a run that cannot succeed whatever the data are; None: nothing is wrong with it.

    A run is immutable, so what is wrong with itself is its end. What is wrong with its Dataset heals with that.
    """
    if mistakes := of_run(view.run.spec):
        return _said(step, mistakes, stalled=True)
    if mistakes := _of_its_pods(view):
        # The administrator may allow it yet.
        return _said(step, mistakes, stalled=False)
    if mistakes := _on_dataset(view):
        return _said(step, mistakes, stalled=False)
    return None


def _of_its_pods(view: TrainingRunView) -> list[Mistake]:
    path = "spec.podTemplate"
    refusals = view.settings.pod_policy.refusals(view.run.spec.pod_template, path)
    return [Mistake(path, said, Reason.POD_FORBIDDEN) for said in refusals]


def _on_dataset(view: TrainingRunView) -> list[Mistake]:
    dataset = view.dataset
    # An earlier version may have been made by another spec.
    if dataset is None or is_leaving(dataset) or view.run.spec.dataset_ref.version is not None:
        return []
    return of_run_on_dataset(view.run.spec, dataset.spec)


def _said(step: Step, mistakes: list[Mistake], *, stalled: bool) -> Step:
    reason, message = mistakes[0].reason, listed([each.said for each in mistakes])
    found = say.stalled(reason, message) if stalled else say.waiting(reason, message)
    type_ = GATES_PASSED if reason == Reason.METRIC_MISSING else SUCCEEDED
    # What was said before, of a Dataset that was not there or of another mistake, is not so any more.
    return replace(step, readiness=found, own={}).saying(say.condition(type_, "False", reason, message))
