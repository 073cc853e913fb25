"""Templates: TrainingRuns with triggers. They never run themselves; each trigger makes a run that they own."""

from __future__ import annotations

from mlops.api.training_run import TrainingRun, TrainingRunStatus
from mlops.planning import readiness as say
from mlops.planning import retrying
from mlops.planning.ownership import key_of
from mlops.planning.plan import Plan
from mlops.planning.training.children import run_of_template
from mlops.planning.training.growth import learns, trained_on, watches_growth
from mlops.planning.training.recipe import recipe_digest, template_digest
from mlops.planning.training.template_readiness import judged
from mlops.planning.training.triggers import TriggerEvent, current_version, due_event, is_edited, pending_event, runs_of
from mlops.planning.views import TrainingRunView

_TAKES_THE_VERSION = ("TemplateChange", "Retry", "DatasetVersion", "DatasetGrowth")


def plan(view: TrainingRunView) -> Plan:
    """Return what should be of a template. An event is put on record first and made by the plan after it."""
    template = view.run
    pending = pending_event(view)
    due = None if pending or template.spec.suspend else due_event(view)
    status = _recorded(view, due)
    readiness = judged(view, status, due=due is not None, pending=pending is not None)
    generation = template.metadata.generation
    wanted = status.evolve(
        observed_generation=generation,
        conditions=say.conditions(template.status.conditions, readiness, [], now=view.now, generation=generation),
    )
    made = (run_of_template(template, pending.name, pending.trigger),) if pending and not template.spec.suspend else ()
    return Plan(statuses={key_of(template): wanted}, create=made)


def _recorded(view: TrainingRunView, due: TriggerEvent | None) -> TrainingRunStatus:
    """Return the status with what is due on record, and with what was seen of spec and data."""
    template, status = view.run, view.run.status
    if template.spec.suspend:
        return status
    version = current_version(view)
    if asked := retrying.wanted(template):
        status = status.evolve(retried=asked)
    on_record = due is not None or not is_edited(template)
    if on_record and any(each.template_change for each in template.spec.triggers) and _no_event_waits(template, due):
        status = status.evolve(
            last_template_digest=template_digest(template), last_recipe_digest=recipe_digest(template)
        )
    if due is not None:
        status = status.evolve(last_run=due.name, last_trigger=due.trigger)
    took = due is not None and due.trigger.kind in _TAKES_THE_VERSION
    if version is not None and (took or _has_it_pinned(view, version)):
        # This run takes the version that is there now, so that version fires nothing.
        status = status.evolve(last_dataset_version=version)
    return status.evolve(trained_on=trained_on(view, runs_of(view)))


def _no_event_waits(template: TrainingRun, due: TriggerEvent | None) -> bool:
    """Return whether the present spec is accounted for: by what is due now, or since it calls for nothing."""
    return not is_edited(template) or (due is not None and due.trigger.kind in ("TemplateChange", "Retry"))


def _has_it_pinned(view: TrainingRunView, version: int) -> bool:
    template = view.run
    fires = any(each.dataset_version for each in template.spec.triggers)
    runs = runs_of(view) if fires else [each for each in runs_of(view) if learns(template, each)]
    return (fires or watches_growth(template)) and any(
        each.status.resolved and each.status.resolved.dataset_version == version for each in runs
    )
