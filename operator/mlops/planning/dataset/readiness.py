"""Where a Dataset stands, and whether there is a version that runs may use."""

from __future__ import annotations

from mlops.api.conditions import Condition, find
from mlops.api.dataset import Dataset, DatasetStatus
from mlops.api.mistakes.mistake import listed
from mlops.api.reasons import Reason, Reported
from mlops.planning import execution
from mlops.planning import readiness as say
from mlops.planning.dataset.due import Need, lacks_a_live_model
from mlops.planning.dataset.jobs import jobs_under_way
from mlops.planning.dataset.results import VALIDATED, VERSIONED
from mlops.planning.execution import Running
from mlops.planning.outcome import Failure
from mlops.planning.readiness import Readiness, condition
from mlops.planning.views import DatasetView


def versioned(dataset: Dataset, status: DatasetStatus, need: Need | None) -> Condition:
    """Return whether there is a version that runs may use. A new spec withdraws it until the source was read again."""
    if status.version is None:
        return condition(VERSIONED, "False", Reason.PENDING, "there is no version yet")
    if need is not None and need.new_content and not dataset.spec.suspend:
        return condition(
            VERSIONED, "Unknown", Reason.INGESTING, f"version {status.version} is of an earlier spec; reading again"
        )
    return condition(VERSIONED, "True", Reason.VERSIONED, f"version {status.version}, {status.rows} rows")


def forbidden_pods(view: DatasetView) -> Readiness | None:
    """Return that the installation does not allow pods as the spec wants them, if so and any would be made."""
    spec = view.dataset.spec
    refusals = [] if spec.suspend else view.settings.pod_policy.refusals(spec.pod_template, "spec.podTemplate")
    return say.stalled(Reason.POD_FORBIDDEN, listed(refusals)) if refusals else None


def judged(view: DatasetView, status: DatasetStatus, need: Need | None) -> Readiness:
    dataset = view.dataset
    newest = find(status.conditions, VALIDATED)
    if dataset.spec.suspend and (status.version is None or newest is None):
        return say.resting(Reason.SUSPENDED, "spec.suspend is true: the source is not looked at")
    if lacks_a_live_model(view) and need is not None:
        captured = dataset.spec.source.captured
        return say.waiting(
            Reason.NO_LIVE_MODEL,
            f'no version of model "{captured.model_name if captured else ""}" was ever live, so nothing is captured: '
            "deliver rows in spec.source.captured.history, or make a ModelVersion",
        )
    if need is not None and not dataset.spec.suspend:
        failed = next(filter(None, (Running(job).setback for job in jobs_under_way(view))), None)
        return _while_syncing(status, need, newest, failed)
    if newest is None:
        return say.in_progress(Reason.PENDING, "the source was not synced yet")
    kept = f" (version {status.version} stays)" if status.version else ""
    if newest.status == "True":
        reason = Reason.UNCHANGED if newest.reason == Reason.UNCHANGED else Reason.VERSIONED
        return say.done(reason, f"version {status.version}: {newest.message}")
    if newest.status == "False":
        return say.stalled(Reported(newest.reason), f"{newest.message}{kept}")
    return say.waiting(Reported(newest.reason), f"{newest.message}{kept}")


def _while_syncing(status: DatasetStatus, need: Need, newest: Condition | None, failed: Failure | None) -> Readiness:
    """Return where it stands while a sync is due; `failed`: why its newest try failed, before the Job tries again."""
    if failed is not None:
        return execution.tries_again(failed)
    if status.attempts and newest is not None:
        return execution.attempt_follows(Reported(newest.reason), newest.message, status.attempts)
    if need.new_content:
        return say.in_progress(Reason.INGESTING, f"reading the source as of {need.as_of}")
    message = f"looking again as of {need.as_of}"
    if status.version is not None and newest is not None and newest.status == "True":
        # A refresh that a run waits for takes nothing away from the version that is there: like one by schedule, it is
        # no change that the user made and would wait for.
        return say.done(Reason.INGESTING, message)
    return say.in_progress(Reason.INGESTING, message)
