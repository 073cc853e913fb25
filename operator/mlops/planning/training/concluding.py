"""The third step: judge what a run has made, have it proven, register it."""

from __future__ import annotations

from dataclasses import replace

from mlops.api.reasons import Reason
from mlops.api.training_run import Resolved
from mlops.planning import readiness as say
from mlops.planning.readiness import condition
from mlops.planning.training.gates import judge
from mlops.planning.training.registering import register
from mlops.planning.training.step import GATES_PASSED, Step
from mlops.planning.training.verifying import not_reproducible, verify
from mlops.planning.views import TrainingRunView


def conclude(view: TrainingRunView, step: Step, resolved: Resolved) -> Step:
    run = view.run
    judged = judge(
        run.spec.gates,
        step.status.metrics,
        step.status.champion_metrics,
        # A model is not asked to be better than itself.
        has_champion=resolved.champion_artifact not in (None, step.status.output_digest),
        positive=step.status.positive_class,
    )
    step = step.saying(condition(GATES_PASSED, "True" if judged.passed else "False", judged.reason, judged.message))
    if run.spec.reproducibility.verify == "Once" and step.status.verification is None:
        step = verify(view, step, resolved)
        if step.status.verification is None:
            return step
    if step.status.verification is not None and not step.status.verification.equal:
        return not_reproducible(step)
    if not judged.passed:
        return replace(step, readiness=say.stalled(judged.reason, judged.message))
    if run.spec.register_ is None:
        return replace(step, readiness=say.done(Reason.SUCCEEDED, judged.message))
    return register(view, step, judged.message)
