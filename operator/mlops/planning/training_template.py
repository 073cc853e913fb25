"""Templates: TrainingRuns with triggers. They never run themselves; each firing makes a run that they own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mlops.api import digests, labels
from mlops.api.conditions import READY, RECONCILING, STALLED, Condition, find, is_true
from mlops.api.model_version import ModelVersion
from mlops.api.reasons import Reason
from mlops.api.training_run import TrainingRun, TrainingRunStatus, TriggerRecord
from mlops.planning import retrying
from mlops.planning import standing as stand
from mlops.planning.liveness import artifact_of, newest_wanted
from mlops.planning.ownership import key_of
from mlops.planning.plan import Plan
from mlops.planning.standing import Standing
from mlops.planning.training_manifests import run_of_template
from mlops.planning.views import TrainingRunView

# What of a template's spec does not decide what its runs come to.
_BESIDE_THE_RECIPE: Any = {
    "suspend": True,
    "triggers": True,
    "resources": True,
    "active_deadline_seconds": True,
    "backoff_limit": True,
    "register_": {"promotion", "capture"},
}


@dataclass(frozen=True)
class _Firing:
    """A run to make, and why."""

    name: str
    trigger: TriggerRecord


def plan(view: TrainingRunView) -> Plan:
    """Return what should be of a template. A firing is put on record first and made by the plan after it."""
    template = view.run
    pending = _pending(view)
    due = None if pending or template.spec.suspend else _due(view)
    status = _recorded(view, due)
    standing = _standing(view, status, due=due is not None, pending=pending is not None)
    generation = template.metadata.generation
    wanted = status.model_copy(
        update={
            "observed_generation": generation,
            "conditions": stand.conditions(
                template.status.conditions, standing, [], now=view.now, generation=generation
            ),
        }
    )
    made = (run_of_template(template, pending.name, pending.trigger),) if pending and not template.spec.suspend else ()
    return Plan(statuses={key_of(template): wanted.dump()}, create=made)


# --- what a run is made of ---


def template_digest(template: TrainingRun) -> str:
    """Return the digest of a template's spec; defaults are left out, so that a new release fires nothing."""
    spec = template.spec.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude={"suspend"}
    )
    return digests.digest_of(spec)


def recipe_digest(template: TrainingRun) -> str:
    """Return the digest of the part of the spec that decides what a run comes to: another one calls for a run.

    How many pods serve, what is captured, and how much compute a training gets change no model.
    """
    spec = template.spec.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude=_BESIDE_THE_RECIPE
    )
    return digests.digest_of(spec)


def change_name(template: TrainingRun) -> str:
    """Return the name of the first run of the present spec."""
    return labels.child_name(template.metadata.name, labels.short(template_digest(template), 8), limit=52)


def version_name(template: TrainingRun, version: int | None) -> str:
    """Return the name of the first run on a version of the Dataset."""
    return labels.child_name(template.metadata.name, f"d{version}", limit=52)


# --- what is due ---


def _runs(view: TrainingRunView) -> list[TrainingRun]:
    name = view.run.metadata.name
    return [each for each in view.siblings if each.metadata.labels.get(labels.TEMPLATE) == name]


def _named(view: TrainingRunView, name: str | None) -> TrainingRun | None:
    return next((each for each in view.siblings if each.metadata.name == name), None)


def _pending(view: TrainingRunView) -> _Firing | None:
    """Return the firing that is on record and whose run was not seen yet.

    Reconciling with this reason is the record: it is written with the name of the run and goes when the run was
    seen, so that a run which the user deleted afterwards is not made again.
    """
    template, status = view.run, view.run.status
    standing = stand.standing_of(status.conditions)
    name = status.last_run
    if standing is None or not standing.reconciling or standing.reason != Reason.RUN_PENDING or name is None:
        return None
    if _named(view, name) is not None:
        return None
    if status.last_trigger is None:
        return _named_by_an_earlier_release(template, name)
    if status.last_trigger.kind == "TemplateChange" and status.last_recipe_digest != recipe_digest(template):
        # The template was edited before its run was made: only the newest edit counts, and fires by itself.
        return None
    return _Firing(name, status.last_trigger)


def _named_by_an_earlier_release(template: TrainingRun, name: str) -> _Firing | None:
    """Return the firing that only its name tells, as before there was status.lastTrigger."""
    if name == change_name(template):
        return _Firing(name, _change_record(template))
    version = template.status.last_dataset_version
    return _Firing(name, _version_record(template, version)) if name == version_name(template, version) else None


def _due(view: TrainingRunView) -> _Firing | None:
    """Return the run that is called for now, if there is one."""
    template, status = view.run, view.run.status
    if asked := retrying.wanted(template):
        return _asked_again(view, asked)
    if _lost(view):
        return _Firing(str(status.last_run), status.last_trigger or _change_record(template))
    if _is_edited(template):
        return _of_the_edit(view)
    version = _current_version(view)
    fires = any(each.dataset_version for each in template.spec.triggers)
    if not fires or version in (None, status.last_dataset_version) or _has_a_run(view, version):
        return None
    return _of_the_version(view, version)


def _asked_again(view: TrainingRunView, asked: str) -> _Firing | None:
    """Return the run that a person asks for; none while the newest one is at work."""
    newest = _named(view, view.run.status.last_run)
    if newest is not None and not stand.is_over(newest.status.conditions):
        return None
    suffix = labels.short(digests.digest_of([template_digest(view.run), asked]), 8)
    name = labels.child_name(view.run.metadata.name, f"r{suffix}", limit=52)
    record = TriggerRecord(kind="Retry", ref=view.run.metadata.name, reason=f"{labels.RETRY}: {asked}"[:256])
    return _Firing(name, record)


def _lost(view: TrainingRunView) -> bool:
    """Return whether the newest run had failed and was deleted: that is how a person has it made again."""
    template = view.run
    return template.status.last_run is not None and _named(view, template.status.last_run) is None and _failed(template)


def _failed(template: TrainingRun) -> bool:
    """Return whether the template says that its newest run failed, for now or for good."""
    ready = find(template.status.conditions, READY)
    if ready is None or ready.status != "False" or ready.reason in stand.LAID_OVER | {Reason.NOT_SERVING}:
        return False
    return is_true(template.status.conditions, STALLED) or is_true(template.status.conditions, RECONCILING)


def _is_edited(template: TrainingRun) -> bool:
    """Return whether the spec calls for a run: its recipe is another one, or the newest run failed and any of it is."""
    status = template.status
    if not any(each.template_change for each in template.spec.triggers):
        return False
    same = status.last_template_digest == template_digest(template)
    if status.last_recipe_digest is None:
        return not same
    return status.last_recipe_digest != recipe_digest(template) or (not same and _failed(template))


def _of_the_edit(view: TrainingRunView) -> _Firing | None:
    """Return the run of the present spec. One of an earlier time when it was the same is that run, unless its model
    neither serves nor is being made."""
    template = view.run
    name = change_name(template)
    before = _named(view, name)
    if before is not None and (not stand.is_over(before.status.conditions) or _serves(view, before)):
        return _Firing(name, _change_record(template))
    if before is not None:
        suffix = f"{labels.short(template_digest(template), 8)}-g{template.metadata.generation}"
        name = labels.child_name(template.metadata.name, suffix, limit=52)
    return _Firing(name, _change_record(template))


def _serves(view: TrainingRunView, run: TrainingRun) -> bool:
    output = run.status.output_digest
    return output is not None and artifact_of(newest_wanted(view.versions)) == output


def _has_a_run(view: TrainingRunView, version: int | None) -> bool:
    """Return whether a run has the version, or may take it: a second would be too many."""
    return any(
        _may_take_this_version(each)
        or (each.status.resolved is not None and each.status.resolved.dataset_version == version)
        for each in _runs(view)
    )


def _of_the_version(view: TrainingRunView, version: int | None) -> _Firing:
    template = view.run
    name = version_name(template, version)
    if _named(view, name) is not None:
        digest = labels.short(view.dataset.status.digest or "" if view.dataset else "", 6)
        name = labels.child_name(template.metadata.name, f"d{version}-{digest}", limit=52)
    return _Firing(name, _version_record(template, version))


def _recorded(view: TrainingRunView, due: _Firing | None) -> TrainingRunStatus:
    """Return the status with what is due on record, and with what was seen of spec and data."""
    template, status = view.run, view.run.status
    if template.spec.suspend:
        return status
    seen: dict[str, object] = {}
    version = _current_version(view)
    if retrying.wanted(template):
        seen["retried"] = retrying.wanted(template)
    on_record = due is not None or not _is_edited(template)
    if on_record and any(each.template_change for each in template.spec.triggers) and _no_firing_waits(template, due):
        seen |= {"last_template_digest": template_digest(template), "last_recipe_digest": recipe_digest(template)}
    if due is not None:
        seen |= {"last_run": due.name, "last_trigger": due.trigger}
    took = due is not None and due.trigger.kind in ("TemplateChange", "Retry", "DatasetVersion")
    if version is not None and (took or _has_it_pinned(view, version)):
        # This run takes the version that is there now, so that version fires nothing.
        seen["last_dataset_version"] = version
    return status.model_copy(update=seen)


def _no_firing_waits(template: TrainingRun, due: _Firing | None) -> bool:
    """Return whether the present spec is accounted for: by what is due now, or since it calls for nothing."""
    return not _is_edited(template) or (due is not None and due.trigger.kind in ("TemplateChange", "Retry"))


def _has_it_pinned(view: TrainingRunView, version: int) -> bool:
    fires = any(each.dataset_version for each in view.run.spec.triggers)
    return fires and any(
        each.status.resolved and each.status.resolved.dataset_version == version for each in _runs(view)
    )


def _may_take_this_version(run: TrainingRun) -> bool:
    """Return whether the run has yet to be pinned and would take the current version."""
    return (
        run.status.resolved is None
        and run.spec.dataset_ref.version is None
        and not run.spec.suspend
        and not is_true(run.status.conditions, STALLED)
    )


def _current_version(view: TrainingRunView) -> int | None:
    dataset = view.dataset
    if dataset is None or dataset.status.observed_generation != dataset.metadata.generation:
        return None
    return dataset.status.version if is_true(dataset.status.conditions, "Versioned") else None


def _change_record(template: TrainingRun) -> TriggerRecord:
    reason = "created" if template.metadata.generation == 1 else f"generation {template.metadata.generation}"
    return TriggerRecord(kind="TemplateChange", ref=template.metadata.name, reason=reason)


def _version_record(template: TrainingRun, version: int | None) -> TriggerRecord:
    return TriggerRecord(kind="DatasetVersion", ref=template.spec.dataset_ref.name, reason=f"version {version}")


# --- where it stands ---


def _standing(view: TrainingRunView, status: TrainingRunStatus, *, due: bool, pending: bool) -> Standing:
    """Return where the template stands: as its newest run does, and what that has made.

    Runs that a monitor makes are not what the template declares: they may fail, and the template is as wanted.
    """
    template = view.run
    newest = _named(view, status.last_run)
    if pending or (due and newest is None):
        until = " when spec.suspend is false" if template.spec.suspend else ""
        return stand.in_progress(Reason.RUN_PENDING, f"TrainingRun {status.last_run} is to be made{until}")
    if template.spec.suspend:
        return stand.done(Reason.SUSPENDED, "spec.suspend is true: no run is made")
    if status.last_run is None:
        return stand.done(Reason.TEMPLATE, "a template of runs")
    if newest is None:
        return stand.done(Reason.TEMPLATE, f"a template of runs; the newest run, {status.last_run}, was deleted")
    said = stand.standing_of(newest.status.conditions)
    # One text for all that is on its way: what it is at is the run's and the version's to tell.
    on_its_way = stand.in_progress(Reason.RUNNING, f"TrainingRun {status.last_run}, or what it makes, is under way")
    if said is None or said.ready == "Unknown":
        return on_its_way if said is None or said.reconciling else stand.resting(said.reason, _of_run(status, said))
    if said.ready == "False":
        return replace(said, message=_of_run(status, said), reconciling=said.reconciling and not said.stalled)
    made = next((each for each in view.versions if each.metadata.name == newest.status.model_version_ref), None)
    if made is not None and not _has_served(made):
        ready = find(made.status.conditions, READY)
        if ready is None or ready.status == "Unknown":
            return on_its_way
        if ready.status == "False":
            return _not_serving(made, ready)
    return stand.done(Reason.TEMPLATE, f"a template of runs; the newest run is {status.last_run}{_not_reached(view)}")


def _of_run(status: TrainingRunStatus, said: Standing) -> str:
    return f"TrainingRun {status.last_run}: {said.message}"[:2048]


def _has_served(version: ModelVersion) -> bool:
    """Return whether the version has been in all of its stages, or is not to be: what follows is of other causes."""
    stages = {stage.name for stage in version.spec.promotion.stages}
    return version.spec.withdrawn or (
        stages <= set(version.status.passed_stages) and not is_true(version.status.conditions, STALLED)
    )


def _not_serving(version: ModelVersion, ready: Condition) -> Standing:
    """Return why what the newest run has made does not serve."""
    conditions, why = version.status.conditions, f"ModelVersion {version.metadata.name}: {ready.reason}: "
    return Standing(
        "False",
        Reason.NOT_SERVING,
        (why + ready.message)[:2048],
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
