"""The ModelVersion of a run: its number, and whether there is anything new to register."""

from __future__ import annotations

from dataclasses import replace

from mlops.api.model_version import ModelVersion
from mlops.api.reasons import Reason
from mlops.api.training_run import TrainingRun, TrainingRunStatus
from mlops.planning import readiness as say
from mlops.planning.liveness import artifact_of, is_passed_over, newest_wanted
from mlops.planning.model_history import highest_number
from mlops.planning.readiness import condition
from mlops.planning.training.children import model_version, model_version_name, trigger_of
from mlops.planning.training.step import SUCCEEDED, Step
from mlops.planning.views import TrainingRunView

_MAX_VERSION = 999_999


def register(view: TrainingRunView, step: Step, judged: str) -> Step:
    """Choose a number, which is on record before the ModelVersion of it is made; then see that and be done."""
    made = _made(view, step.status)
    if made is not None:
        status = step.status.evolve(model_version_ref=made.metadata.name)
        return replace(step, status=status, readiness=say.done(Reason.SUCCEEDED, judged))
    if (serves := _same_model(view, step.status)) is not None:
        return _nothing_new(step, serves)
    number = _number_on_record(view, step.status) or free_number(view)
    if number > _MAX_VERSION:
        message = f"spec.register.modelName: the numbers of its versions are used up at {_MAX_VERSION}"
        return replace(step, readiness=say.stalled(Reason.OUTPUT_INVALID, message))
    chosen = model_version_name(_model_name(view.run), number)
    status = step.status.evolve(model_version_ref=chosen)
    making = say.in_progress(Reason.GATES_PASSED, f"making ModelVersion {chosen}")
    # It is made of the status that is written first: what it names is on record by then.
    made_of = view.run.evolve(status=status)
    return replace(step, status=status, readiness=making, create=(model_version(made_of, number),))


def _nothing_new(step: Step, serves: ModelVersion) -> Step:
    """Return: done, and nothing is registered."""
    name = serves.metadata.name
    last = serves.spec.promotion.stages[-1].name
    over = "was rolled back" if is_passed_over(serves, last) else "is this model"
    why = "is withdrawn" if serves.spec.withdrawn else over
    message = f"ModelVersion {name} {why}, byte for byte ({step.status.output_digest}): no version is made"
    status = step.status.evolve(model_version_ref=None)
    return replace(step, status=status, readiness=say.done(Reason.NOTHING_NEW, message))


def nothing_new_to_train(step: Step, serves: ModelVersion) -> Step:
    """Return: done without training, since the model of these inputs is there and nobody asked for it to be judged."""
    status = step.status.evolve(output_digest=artifact_of(serves))
    message = f"the inputs are those of ModelVersion {serves.metadata.name}: nothing is trained"
    trained = replace(step, status=status).saying(condition(SUCCEEDED, "True", Reason.NOTHING_NEW, message))
    return _nothing_new(trained, serves)


def made_of_the_same(view: TrainingRunView, inputs: str) -> ModelVersion | None:
    """Return the version that a run of a monitor would only make again.

    Any other run is trained, or takes its result over: whoever asked for it wants to see its metrics and gates.
    """
    if view.run.spec.register_ is None or view.run.spec.reproducibility.verify == "Once":
        return None
    if trigger_of(view.run) != "DriftMonitor":
        return None
    newest = newest_wanted(view.versions)
    lineage = (newest.status.lineage or newest.spec.lineage) if newest else None
    return newest if lineage is not None and lineage.inputs_digest == inputs and artifact_of(newest) else None


def _same_model(view: TrainingRunView, status: TrainingRunStatus) -> ModelVersion | None:
    """Return the version that has the bytes of this run's model, and serves already or is about to.

    What the loop made by itself is not put back after somebody withdrew it, or a monitor found an older one better; a
    person's run may do that.
    """
    newest = newest_wanted(view.versions)
    if newest is not None and artifact_of(newest) == status.output_digest:
        return newest
    if trigger_of(view.run) not in ("DriftMonitor", "DatasetVersion", "DatasetGrowth"):
        return None
    same = [each for each in view.versions if artifact_of(each) == status.output_digest]
    left = (each for each in same if each.spec.withdrawn or is_passed_over(each, each.spec.promotion.stages[-1].name))
    return max(left, key=lambda each: each.spec.version, default=None)


def _made(view: TrainingRunView, status: TrainingRunStatus) -> ModelVersion | None:
    """Return the version that came of this run; one of the same name by somebody else is not it, nor is what came of
    an earlier run of this name: that has had its time."""
    born = view.run.metadata.creation_timestamp or ""
    return next(
        (
            version
            for version in view.versions
            if version.spec.lineage.training_run == view.run.metadata.name
            and version.spec.artifact is not None
            and version.spec.artifact.digest == status.output_digest
            and (
                version.metadata.name == status.model_version_ref or (version.metadata.creation_timestamp or "") >= born
            )
        ),
        None,
    )


def _number_on_record(view: TrainingRunView, status: TrainingRunStatus) -> int | None:
    """Return the number that was chosen and is still free; a name that no operator writes counts as none."""
    name = status.model_version_ref or ""
    digits = name.rpartition("-v")[2]
    number = int(digits) if digits.isdecimal() else 0
    ours = 1 <= number <= _MAX_VERSION and name == model_version_name(_model_name(view.run), number)
    return number if ours and all(version.metadata.name != name for version in view.versions) else None


def free_number(view: TrainingRunView) -> int:
    """Return the number after all that are taken or spoken for."""
    model = _model_name(view.run)
    names = {version.metadata.name for version in view.versions} | {
        sibling.status.model_version_ref
        for sibling in view.siblings
        if sibling.metadata.name != view.run.metadata.name
        and sibling.spec.register_ is not None
        and sibling.spec.register_.model_name == model
    }
    number = max((highest_number(view.history), *(version.spec.version for version in view.versions))) + 1
    while model_version_name(model, number) in names:
        number += 1
    return number


def _model_name(run: TrainingRun) -> str:
    return run.spec.register_.model_name if run.spec.register_ else ""
