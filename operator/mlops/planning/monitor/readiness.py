"""Where a monitor stands."""

from __future__ import annotations

from mlops.api.conditions import RECONCILING, is_true
from mlops.api.mistakes.mistake import listed
from mlops.api.reasons import Reason, Reported
from mlops.planning import readiness as say
from mlops.planning.liveness import newest_wanted
from mlops.planning.monitor.datasets import waits_for
from mlops.planning.monitor.progress import CHECKED, MonitorProgress
from mlops.planning.monitor.target import target_of
from mlops.planning.readiness import Readiness
from mlops.planning.views import DriftMonitorView


def forbidden_pods(view: DriftMonitorView) -> Readiness | None:
    """Return that the installation does not allow pods as the spec wants them, if so."""
    refusals = view.settings.pod_policy.refusals(view.monitor.spec.pod_template, "spec.podTemplate")
    return say.stalled(Reason.POD_FORBIDDEN, listed(refusals)) if refusals else None


def judged(view: DriftMonitorView, progress: MonitorProgress) -> Readiness:
    monitor = view.monitor
    target = monitor.spec.target_ref
    if monitor.spec.suspend:
        # As wanted, like a suspended CronJob: what waits for a whole environment must not wait for this one.
        return say.done(Reason.SUSPENDED, "spec.suspend is true: no checks are made")
    if (forbidden := forbidden_pods(view)) is not None:
        return forbidden
    if target_of(view) is None:
        if not view.versions:
            message = (
                f'spec.targetRef: model "{target.model_name}" has no version in "{view.monitor.metadata.namespace}"'
            )
            return say.waiting(Reason.TARGET_NOT_FOUND, message)
        message = f'no version of model "{target.model_name}" is live in stage "{target.stage}"'
        newest = newest_wanted(view.versions)
        leaves = any(target.stage in version.status.stages for version in view.versions)
        if newest is not None and (leaves or is_true(newest.status.conditions, RECONCILING)):
            # One is on its way: that is how every loop begins, and how a withdrawn version is replaced.
            return say.in_progress(Reason.TARGET_NOT_LIVE, f"{message} yet; {newest.metadata.name} is on its way")
        return say.waiting(Reason.TARGET_NOT_LIVE, message)
    ref = monitor.spec.training_run_ref
    if ref is not None and view.template is None:
        message = f'spec.trainingRunRef: TrainingRun "{ref.name}" not found'
        return say.waiting(Reason.RUN_NOT_FOUND, message)
    if ref is not None and view.template is not None and not view.template.spec.triggers:
        message = f'spec.trainingRunRef: TrainingRun "{ref.name}" has no spec.triggers, so it is no template'
        return say.waiting(Reason.NOT_A_TEMPLATE, message)
    if (waits := waits_for(view)) is not None:
        return waits
    checked = progress.own.get(CHECKED)
    if checked is None:
        # As wanted: the checks are scheduled. Whoever waits for Ready must not have to wait for a night to pass.
        message = f"the first check follows {monitor.spec.schedule}"
        scheduled = view.cron_job is not None
        return (say.done if scheduled else say.in_progress)(Reason.WAITING_FOR_FIRST_CHECK, message)
    if checked.status == "True":
        return say.done(Reason.CHECKED, checked.message)
    return say.waiting(Reported(checked.reason), checked.message)
