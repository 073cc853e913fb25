"""Which run a template has to make now: one on record, or one that its triggers or a person call for."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.api import digests, labels
from mlops.api.conditions import READY, RECONCILING, STALLED, find, is_true
from mlops.api.reasons import Reason
from mlops.api.training_run import TrainingRun, TriggerRecord
from mlops.planning import readiness as say
from mlops.planning import retrying
from mlops.planning.liveness import artifact_of, newest_wanted
from mlops.planning.training.growth import growth, is_at_work, learns, trained_on
from mlops.planning.training.recipe import change_name, recipe_digest, template_digest, version_name
from mlops.planning.views import TrainingRunView


@dataclass(frozen=True)
class TriggerEvent:
    """A run to make, and why."""

    name: str
    trigger: TriggerRecord


def runs_of(view: TrainingRunView) -> list[TrainingRun]:
    name = view.run.metadata.name
    return [each for each in view.siblings if each.metadata.labels.get(labels.TEMPLATE) == name]


def run_named(view: TrainingRunView, name: str | None) -> TrainingRun | None:
    return next((each for each in view.siblings if each.metadata.name == name), None)


def pending_event(view: TrainingRunView) -> TriggerEvent | None:
    """Return the event that is on record and whose run was not seen yet.

    Reconciling with this reason is the record: it is written with the name of the run and goes when the run was
    seen, so that a run which the user deleted afterwards is not made again.
    """
    template, status = view.run, view.run.status
    readiness = say.readiness_of(status.conditions)
    name = status.last_run
    if readiness is None or not readiness.reconciling or readiness.reason != Reason.RUN_PENDING or name is None:
        return None
    if run_named(view, name) is not None:
        return None
    if status.last_trigger is None:
        return _named_by_an_earlier_release(template, name)
    if status.last_trigger.kind == "TemplateChange" and status.last_recipe_digest != recipe_digest(template):
        # The template was edited before its run was made: only the newest edit counts, and fires by itself.
        return None
    return TriggerEvent(name, status.last_trigger)


def _named_by_an_earlier_release(template: TrainingRun, name: str) -> TriggerEvent | None:
    """Return the event that only its name tells, as before there was status.lastTrigger."""
    if name == change_name(template):
        return TriggerEvent(name, _change_record(template))
    version = template.status.last_dataset_version
    return TriggerEvent(name, _version_record(template, version)) if name == version_name(template, version) else None


def due_event(view: TrainingRunView) -> TriggerEvent | None:
    """Return the run that is called for now, if there is one."""
    template, status = view.run, view.run.status
    if asked := retrying.wanted(template):
        return _asked_again(view, asked)
    if _lost(view):
        return TriggerEvent(str(status.last_run), status.last_trigger or _change_record(template))
    if is_edited(template):
        return _of_the_edit(view)
    version = current_version(view)
    if version in (None, status.last_dataset_version):
        return None
    if any(each.dataset_version for each in template.spec.triggers):
        free = not _has_a_run(runs_of(view), version)
        return _of_the_version(view, version, _version_record(template, version)) if free else None
    return _of_growth(view, version)


def _of_growth(view: TrainingRunView, version: int | None) -> TriggerEvent | None:
    """Return the run of a version with enough more rows than the newest model was trained on. While a run is under way
    there is none: what it comes to is what has to be outgrown."""
    runs = runs_of(view)
    if view.dataset is None or is_at_work(runs) or _has_a_run([r for r in runs if learns(view.run, r)], version):
        return None
    record = growth(view.run, view.dataset, trained_on(view, runs))
    return _of_the_version(view, version, record) if record else None


def _asked_again(view: TrainingRunView, asked: str) -> TriggerEvent | None:
    """Return the run that a person asks for; none while the newest one is at work."""
    newest = run_named(view, view.run.status.last_run)
    if newest is not None and not say.is_over(newest.status.conditions):
        return None
    suffix = labels.short(digests.digest_of([template_digest(view.run), asked]), 8)
    name = labels.child_name(view.run.metadata.name, f"r{suffix}", limit=52)
    record = TriggerRecord(kind="Retry", ref=view.run.metadata.name, reason=f"{labels.RETRY}: {asked}"[:256])
    return TriggerEvent(name, record)


def _lost(view: TrainingRunView) -> bool:
    """Return whether the newest run had failed and was deleted: that is how a person has it made again."""
    template = view.run
    return (
        template.status.last_run is not None and run_named(view, template.status.last_run) is None and _failed(template)
    )


def _failed(template: TrainingRun) -> bool:
    """Return whether the template says that its newest run failed, for now or for good."""
    ready = find(template.status.conditions, READY)
    if ready is None or ready.status != "False" or ready.reason in say.LAID_OVER | {Reason.NOT_SERVING}:
        return False
    return is_true(template.status.conditions, STALLED) or is_true(template.status.conditions, RECONCILING)


def is_edited(template: TrainingRun) -> bool:
    """Return whether the spec calls for a run: its recipe is another one, or the newest run failed and any of it is."""
    status = template.status
    if not any(each.template_change for each in template.spec.triggers):
        return False
    same = status.last_template_digest == template_digest(template)
    if status.last_recipe_digest is None:
        return not same
    return status.last_recipe_digest != recipe_digest(template) or (not same and _failed(template))


def _of_the_edit(view: TrainingRunView) -> TriggerEvent | None:
    """Return the run of the present spec. One of an earlier time when it was the same is that run, unless its model
    neither serves nor is being made."""
    template = view.run
    name = change_name(template)
    before = run_named(view, name)
    if before is not None and (not say.is_over(before.status.conditions) or _serves(view, before)):
        return TriggerEvent(name, _change_record(template))
    if before is not None:
        suffix = f"{labels.short(template_digest(template), 8)}-g{template.metadata.generation}"
        name = labels.child_name(template.metadata.name, suffix, limit=52)
    return TriggerEvent(name, _change_record(template))


def _serves(view: TrainingRunView, run: TrainingRun) -> bool:
    output = run.status.output_digest
    return output is not None and artifact_of(newest_wanted(view.versions)) == output


def _has_a_run(runs: list[TrainingRun], version: int | None) -> bool:
    """Return whether one of the runs has the version, or may take it: a second would be too many."""
    return any(
        _may_take_this_version(each)
        or (each.status.resolved is not None and each.status.resolved.dataset_version == version)
        for each in runs
    )


def _of_the_version(view: TrainingRunView, version: int | None, record: TriggerRecord) -> TriggerEvent:
    template = view.run
    name = version_name(template, version)
    if run_named(view, name) is not None:
        digest = labels.short(view.dataset.status.digest or "" if view.dataset else "", 6)
        name = labels.child_name(template.metadata.name, f"d{version}-{digest}", limit=52)
    return TriggerEvent(name, record)


def _may_take_this_version(run: TrainingRun) -> bool:
    """Return whether the run has yet to be pinned and would take the current version."""
    return (
        run.status.resolved is None
        and run.spec.dataset_ref.version is None
        and not run.spec.suspend
        and not is_true(run.status.conditions, STALLED)
    )


def current_version(view: TrainingRunView) -> int | None:
    dataset = view.dataset
    if dataset is None or dataset.status.observed_generation != dataset.metadata.generation:
        return None
    return dataset.status.version if is_true(dataset.status.conditions, "Versioned") else None


def _change_record(template: TrainingRun) -> TriggerRecord:
    reason = "created" if template.metadata.generation == 1 else f"generation {template.metadata.generation}"
    return TriggerRecord(kind="TemplateChange", ref=template.metadata.name, reason=reason)


def _version_record(template: TrainingRun, version: int | None) -> TriggerRecord:
    return TriggerRecord(kind="DatasetVersion", ref=template.spec.dataset_ref.name, reason=f"version {version}")
