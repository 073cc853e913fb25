"""Templates: TrainingRuns with triggers. They never run themselves; each firing makes a run that they own."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.api import digests, labels
from mlops.api.conditions import STALLED, is_true
from mlops.api.training_run import Reason, TrainingRun, TrainingRunStatus, TriggerRecord
from mlops.planning import standing as stand
from mlops.planning.ownership import key_of
from mlops.planning.plan import Plan
from mlops.planning.standing import Standing
from mlops.planning.training_manifests import run_of_template
from mlops.planning.views import TrainingRunView


@dataclass(frozen=True)
class _Firing:
    """A run to make, and why."""

    name: str
    trigger: TriggerRecord


def plan(view: TrainingRunView) -> Plan:
    """Return what should be of a template. A firing is put on record first and made by the plan after it."""
    template = view.run
    pending = _pending(view)
    status = template.status if pending else _fired(view)
    standing = _standing(template, status, pending)
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


def template_digest(template: TrainingRun) -> str:
    """Return the digest of what a run is made of; defaults are left out, so that a new release fires nothing."""
    spec = template.spec.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude={"suspend"}
    )
    return digests.digest_of(spec)


def _runs(view: TrainingRunView) -> list[TrainingRun]:
    name = view.run.metadata.name
    return [each for each in view.siblings if each.metadata.labels.get(labels.TEMPLATE) == name]


def _pending(view: TrainingRunView) -> _Firing | None:
    """Return the firing that is on record and whose run was not seen yet.

    Reconciling with this reason is the record: it is written with the name of the run and goes when the run was
    seen, so that a run which the user deleted afterwards is not made again.
    """
    template = view.run
    standing = stand.standing_of(template.status.conditions)
    name = template.status.last_run
    if standing is None or not standing.reconciling or standing.reason != Reason.RUN_PENDING or name is None:
        return None
    if any(sibling.metadata.name == name for sibling in view.siblings):
        return None
    if name == _change_name(template):
        return _Firing(name, _change_record(template))
    if name == _version_name(template, template.status.last_dataset_version):
        return _Firing(name, _version_record(template, template.status.last_dataset_version))
    # The template was edited before its run was made: only the newest edit counts, and fires by itself.
    return None


def _fired(view: TrainingRunView) -> TrainingRunStatus:
    """Return the status with a firing that is due now on record, if there is one."""
    template = view.run
    status = template.status
    if template.spec.suspend:
        return status
    version = _current_version(view)
    kinds = template.spec.triggers
    digest = template_digest(template)
    if any(each.template_change for each in kinds) and status.last_template_digest != digest:
        # This run takes the version that is there now, so that version fires nothing.
        return status.model_copy(
            update={
                "last_template_digest": digest,
                "last_run": _change_name(template),
                "last_dataset_version": version if version is not None else status.last_dataset_version,
            }
        )
    if not any(each.dataset_version for each in kinds) or version in (None, status.last_dataset_version):
        return status
    if any(_may_take_this_version(each) for each in _runs(view)):
        return status
    recorded = status.model_copy(update={"last_dataset_version": version})
    if any(each.status.resolved and each.status.resolved.dataset_version == version for each in _runs(view)):
        return recorded
    return recorded.model_copy(update={"last_run": _version_name(template, version)})


def _may_take_this_version(run: TrainingRun) -> bool:
    """Return whether the run has yet to be pinned and would take the current version: a second would be too many."""
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


def _change_name(template: TrainingRun) -> str:
    return labels.child_name(template.metadata.name, labels.short(template_digest(template), 8), limit=52)


def _version_name(template: TrainingRun, version: int | None) -> str:
    return labels.child_name(template.metadata.name, f"d{version}", limit=52)


def _change_record(template: TrainingRun) -> TriggerRecord:
    reason = "created" if template.metadata.generation == 1 else f"generation {template.metadata.generation}"
    return TriggerRecord(kind="TemplateChange", ref=template.metadata.name, reason=reason)


def _version_record(template: TrainingRun, version: int | None) -> TriggerRecord:
    return TriggerRecord(kind="DatasetVersion", ref=template.spec.dataset_ref.name, reason=f"version {version}")


def _standing(template: TrainingRun, status: TrainingRunStatus, pending: _Firing | None) -> Standing:
    if pending is not None or status.last_run != template.status.last_run:
        until = " when spec.suspend is false" if template.spec.suspend else ""
        return stand.in_progress(Reason.RUN_PENDING, f"TrainingRun {status.last_run} is to be made{until}")
    if template.spec.suspend:
        return stand.done(Reason.SUSPENDED, "spec.suspend is true: no run is made")
    newest = f"; the newest run is {status.last_run}" if status.last_run else ""
    return stand.done(Reason.TEMPLATE, f"a template of runs{newest}")
