"""Where a template stands: as its newest run does, and what that has made."""

from __future__ import annotations

from dataclasses import replace

from mlops.api.conditions import READY, RECONCILING, STALLED, Condition, find, is_true
from mlops.api.model_version import ModelVersion
from mlops.api.reasons import Reason
from mlops.api.training_run import TrainingRunStatus
from mlops.planning import readiness as say
from mlops.planning.liveness import newest_wanted
from mlops.planning.readiness import Readiness
from mlops.planning.training.triggers import run_named
from mlops.planning.views import TrainingRunView


def judged(view: TrainingRunView, status: TrainingRunStatus, *, due: bool, pending: bool) -> Readiness:
    """Return where the template stands: as its newest run does, and what that has made.

    Runs that a monitor makes are not what the template declares: they may fail, and the template is as wanted.
    """
    template = view.run
    newest = run_named(view, status.last_run)
    if pending or (due and newest is None):
        until = " when spec.suspend is false" if template.spec.suspend else ""
        return say.in_progress(Reason.RUN_PENDING, f"TrainingRun {status.last_run} is to be made{until}")
    if template.spec.suspend:
        return say.done(Reason.SUSPENDED, "spec.suspend is true: no run is made")
    if status.last_run is None:
        return say.done(Reason.TEMPLATE, "a template of runs")
    if newest is None:
        return say.done(Reason.TEMPLATE, f"a template of runs; the newest run, {status.last_run}, was deleted")
    said = say.readiness_of(newest.status.conditions)
    # One text for all that is on its way: what it is at is the run's and the version's to tell.
    on_its_way = say.in_progress(Reason.RUNNING, f"TrainingRun {status.last_run}, or what it makes, is under way")
    if said is None or said.ready == "Unknown":
        return on_its_way if said is None or said.reconciling else say.resting(said.reason, _of_run(status, said))
    if said.ready == "False":
        return replace(said, message=_of_run(status, said), reconciling=said.reconciling and not said.stalled)
    made = next((each for each in view.versions if each.metadata.name == newest.status.model_version_ref), None)
    if made is not None and not _has_served(made):
        ready = find(made.status.conditions, READY)
        if ready is None or ready.status == "Unknown":
            return on_its_way
        if ready.status == "False":
            return _not_serving(made, ready)
    return say.done(Reason.TEMPLATE, f"a template of runs; the newest run is {status.last_run}{_not_reached(view)}")


def _of_run(status: TrainingRunStatus, said: Readiness) -> str:
    return f"TrainingRun {status.last_run}: {said.message}"


def _has_served(version: ModelVersion) -> bool:
    """Return whether the version has been in all of its stages, or is not to be: what follows is of other causes."""
    stages = {stage.name for stage in version.spec.promotion.stages}
    return version.spec.withdrawn or (
        stages <= set(version.status.passed_stages) and not is_true(version.status.conditions, STALLED)
    )


def _not_serving(version: ModelVersion, ready: Condition) -> Readiness:
    """Return why what the newest run has made does not serve."""
    conditions, why = version.status.conditions, f"ModelVersion {version.metadata.name}: {ready.reason}: "
    return Readiness(
        "False",
        Reason.NOT_SERVING,
        why + ready.message,
        reconciling=is_true(conditions, RECONCILING) and not is_true(conditions, STALLED),
        stalled=is_true(conditions, STALLED),
    )


def _not_reached(view: TrainingRunView) -> str:
    """Return what of the spec has not reached the version that serves: versions are made with it, and then edited."""
    register, serves = view.run.spec.register_, newest_wanted(view.versions)
    if register is None or serves is None:
        return ""
    differs = [name for name in ("promotion", "capture") if getattr(register, name) != getattr(serves.spec, name)]
    if not differs:
        return ""
    fields = " and ".join(f"spec.register.{name}" for name in differs)
    return f"; {fields} holds for the next version: edit ModelVersion {serves.metadata.name} to have it now"
