"""The run that a verdict leads to: decided, held back while it would give nothing new, and made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mlops.api import labels
from mlops.api.base import format_time, parse_time
from mlops.api.conditions import Condition
from mlops.api.drift_monitor import DriftMonitorStatus, LastAction, NothingNew, Verdict
from mlops.api.reasons import Reason
from mlops.api.training_run import TrainingRun, TrainingRunSpec
from mlops.planning.monitor.actions import ActionDecision, decide, nothing_new, with_action
from mlops.planning.monitor.manifests import run_name, run_of_action
from mlops.planning.monitor.news import news
from mlops.planning.monitor.progress import TRIGGERED, MonitorProgress
from mlops.planning.monitor.recalibrating import lacks_room
from mlops.planning.monitor.target import champion_of, target_of
from mlops.planning.plan import Manifest
from mlops.planning.readiness import condition
from mlops.planning.training.growth import growth
from mlops.planning.views import DriftMonitorView

_ON_ROWS_AFTER_THE_CHANGE = ("Rebuild", "RollbackAndRebuild")


def own_runs(view: DriftMonitorView) -> tuple[TrainingRun, ...]:
    """Return the runs that this monitor's actions have made."""
    name = view.monitor.metadata.name
    return tuple(run for run in view.runs if run.metadata.labels.get(labels.MONITOR) == name)


def decided(
    view: DriftMonitorView, status: DriftMonitorStatus, verdict: Verdict, at: datetime
) -> tuple[ActionDecision, NothingNew | None]:
    """Return what to do: what the guard lets through, unless that run would give nothing new; then what it is."""
    decision = decide(view.monitor, status, verdict, at, runs=own_runs(view), template=view.template)
    if not decision.acts or view.template is None or view.dataset is None:
        return decision, None
    run = run_of_action(view.monitor, view.template, action_of(view, status, decision, at), champion_of(view))
    same = nothing_new(
        status,
        decision.action.do if decision.action else "Hold",
        TrainingRunSpec.model_validate(run["spec"]),
        view.dataset,
    )
    if same is None:
        return decision, None
    asks = _is_refreshed(view)
    sync = "; the source is synced again, and other content makes a run" if asks else ""
    message = f"{verdict}: a run on the same content of Dataset {same.dataset} gives the model that serves{sync}"
    asked = same.evolve(asked=format_time(at) if asks else None)
    return ActionDecision(decision.action, Reason.NOTHING_NEW, message), asked


def run_names(view: DriftMonitorView) -> Iterator[str]:
    """Yield the names of the runs that a plan asks for though they may be over: that of the last action, that which
    made the live version, and those that an action of now would have."""
    status, target = view.monitor.status, target_of(view)
    if status.last_action is not None and status.last_action.ref is not None:
        yield status.last_action.ref
    lineage = (target.status.lineage or target.spec.lineage) if target else None
    if lineage is not None and lineage.training_run is not None:
        yield lineage.training_run
    times = [scheduled for _, scheduled in news(view)]
    if status.nothing_new is not None and status.nothing_new.asked is not None:
        times.append(parse_time(status.nothing_new.asked))
    for time in times:
        for action in view.monitor.spec.actions:
            yield from _names_at(view, action.do, time)


def _names_at(view: DriftMonitorView, kind: str, time: datetime) -> tuple[str, str]:
    """Return the name of a run of an action, and the one that it gets if that is taken."""
    template = view.template.metadata.name if view.template else ""
    kind = "Rebuild" if kind == "RollbackAndRebuild" else kind
    minute = time.strftime("%Y%m%d%H%M")
    return run_name(template, kind, minute), run_name(template, kind, f"{minute}{time:%S}")


def _is_refreshed(view: DriftMonitorView) -> bool:
    """Return whether a run would have the source synced: one on a version by number takes that, come what may."""
    return view.template is not None and view.template.spec.dataset_ref.version is None


def synced_again(view: DriftMonitorView, progress: MonitorProgress) -> MonitorProgress:
    """Return the progress after the sync of the source that the newest check asked for, if it has come to an end."""
    status, data = progress.status, view.dataset
    known = status.nothing_new
    if known is None or known.asked is None or data is None or status.verdict is None:
        return progress
    at = parse_time(known.asked)
    if data.status.digest != known.dataset_digest and _fires_by_itself(view):
        # A second run on the same version would be one too many.
        message = f"the content of Dataset {data.metadata.name} has changed: the template makes a run of it"
        said = condition(TRIGGERED, "False", Reason.RUN_ACTIVE, message)
        return MonitorProgress(status.evolve(nothing_new=None), progress.own | {TRIGGERED: said})
    if data.status.digest != known.dataset_digest:
        decision, _ = decided(view, status, status.verdict, at)
        if decision.acts:
            status = with_action(status, action_of(view, status, decision, at))
        own = progress.own | {TRIGGERED: triggered(decision)}
        return MonitorProgress(status.evolve(nothing_new=None), own)
    synced_at = data.status.last_check_time
    if synced_at is None or parse_time(synced_at) < at:
        return progress
    return MonitorProgress(status.evolve(nothing_new=known.evolve(asked=None)), progress.own)


def _fires_by_itself(view: DriftMonitorView) -> bool:
    """Return whether the template makes a run of this version of the Dataset anyway."""
    template, dataset = view.template, view.dataset
    if template is None or dataset is None:
        return False
    if any(each.dataset_version for each in template.spec.triggers):
        return True
    return growth(template, dataset, template.status.trained_on) is not None


def triggered(decision: ActionDecision) -> Condition:
    return condition(TRIGGERED, "True" if decision.acts else "False", decision.reason, decision.message)


def action_of(
    view: DriftMonitorView, status: DriftMonitorStatus, decision: ActionDecision, scheduled: datetime
) -> LastAction:
    """Return the action for the verdict and the change point that stand in the status."""
    kind = decision.action.do if decision.action else "Hold"
    name, other = _names_at(view, kind, scheduled)
    if any(run.metadata.name == name for run in view.runs):
        # A check that a person asked for falls into the minute of another one.
        name = other
    made = LastAction(
        time=format_time(scheduled),
        kind=kind,
        verdict=status.verdict or "Inconclusive",
        ref=name,
        since=status.change_point if kind in _ON_ROWS_AFTER_THE_CHANGE else None,
        outcome="Pending",
    )
    found = status.calibration
    if kind != "Recalibrate" or found is None:
        return made
    # What the run is made of is on record with it: the next check may find something else.
    return made.evolve(since=found.since, recalibrates=found.artifact, metric=found.metric)


def action_text(status: DriftMonitorStatus, decision: ActionDecision) -> str:
    last = status.last_action
    if decision.reason == Reason.ROLLED_BACK and last is not None:
        return f"Rollback: {last.version}"
    if decision.acts and last is not None:
        return f"{last.kind}: {last.ref}"
    return "" if decision.reason == Reason.NO_ACTION else str(decision.reason)


def run_on_record(view: DriftMonitorView) -> tuple[Manifest, ...]:
    """Return the run of an action that is on record, until it is seen."""
    action = view.monitor.status.last_action
    if action is None or action.ref is None or action.outcome != "Pending":
        return ()
    if action.version is not None and view.monitor.status.rollback is not None:
        # Its champion is the version that serves then.
        return ()
    if view.template is None or not view.template.spec.triggers:
        return ()
    if any(run.metadata.name == action.ref for run in view.runs):
        return ()
    if action.recalibrates is not None and action.metric is not None and lacks_room(view.template, action.metric):
        # The template was edited since: the run waits until there is room, which every further check asks for.
        return ()
    return (run_of_action(view.monitor, view.template, action, champion_of(view)),)
