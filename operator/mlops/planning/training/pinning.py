"""The first step: pin what a run depends on, or say what it waits for."""

from __future__ import annotations

from dataclasses import replace

from mlops.api.conditions import RECONCILING, find, is_false, is_true
from mlops.api.dataset import Dataset, HistoryEntry
from mlops.api.reasons import Reason
from mlops.api.training_run import Resolved, TrainingRun
from mlops.planning import readiness as say
from mlops.planning.liveness import champion
from mlops.planning.ownership import is_leaving
from mlops.planning.plan import Settings
from mlops.planning.readiness import Readiness, condition
from mlops.planning.timestamps import not_before, timestamp
from mlops.planning.training.executing import execute
from mlops.planning.training.manifests import inputs_digest
from mlops.planning.training.removed import REFUSED, left_message, removed_message, versions_of
from mlops.planning.training.step import DATASET_READY, SUCCEEDED, Step, compares, suspended
from mlops.planning.views import TrainingRunView


def inputs_of(run: TrainingRun, dataset: Dataset | None, settings: Settings) -> str | None:
    """Return the inputs digest of a run, or the one that it would be pinned to now; None if it has to wait."""
    if run.status.resolved is not None:
        return run.status.inputs_digest
    found = _find_data(run, dataset)
    return None if isinstance(found, Readiness) else inputs_digest(run.spec, found.digest, settings.environment_digest)


def pin(view: TrainingRunView, step: Step) -> Step:
    """Pin data, environment and champion, and go on: the status is written before the Job is made."""
    run, dataset = view.run, view.dataset
    if run.spec.suspend:
        return suspended(view, step)
    found = _find_data(run, dataset)
    if isinstance(found, Readiness):
        return replace(step, readiness=found).saying(
            condition(DATASET_READY, found.ready, found.reason, found.message),
            condition(SUCCEEDED, "Unknown", found.reason, found.message),
        )
    resolved = _resolve(view, found)
    message = f'version {resolved.dataset_version} of Dataset "{run.spec.dataset_ref.name}"'
    # Computed once already where the runs beside this one are looked up by it; not of a run that is pinned again.
    known = view.inputs if run.status.resolved is None else None
    inputs = known or inputs_digest(run.spec, resolved.dataset_digest, resolved.environment_digest)
    status = step.status.evolve(resolved=resolved, inputs_digest=inputs)
    pinned = replace(step, status=status).saying(condition(DATASET_READY, "True", Reason.DATASET_PINNED, message))
    return execute(view, pinned, resolved)


def _find_data(run: TrainingRun, dataset: Dataset | None) -> HistoryEntry | Readiness:
    """Return the version to train on, or why there is none yet; that heals when the Dataset appears or gets there."""
    ref = run.spec.dataset_ref
    if dataset is None or is_leaving(dataset):
        return say.waiting(
            Reason.DATASET_NOT_FOUND,
            f'Dataset "{ref.name}" not found in namespace "{run.metadata.namespace}": make it, and the run goes on',
        )
    if ref.version is not None:
        return _numbered(dataset, ref.version)
    seen = dataset.status.observed_generation == dataset.metadata.generation
    if not seen or not is_true(dataset.status.conditions, "Versioned") or dataset.status.version is None:
        return _dataset_not_ready(dataset, seen=seen)
    wanted, synced_at = not_before(run), timestamp(dataset.status.last_check_time)
    if wanted is not None and (synced_at is None or synced_at < wanted):
        suspended = "; its spec.suspend is true" if dataset.spec.suspend else ""
        return (say.waiting if suspended else say.in_progress)(
            Reason.WAITING_FOR_REFRESH,
            f'Dataset "{ref.name}" was last synced {dataset.status.last_check_time}, wanted is '
            f"{ref.not_before}{suspended}",
        )
    if wanted is not None and is_false(dataset.status.conditions, "Ready"):
        return _dataset_not_ready(dataset, seen=seen)
    return _numbered(dataset, dataset.status.version)


def _numbered(dataset: Dataset, number: int) -> HistoryEntry | Readiness:
    found = next((entry for entry in dataset.status.history if entry.version == number), None)
    if found is not None and found.removed is not None:
        return say.stalled(REFUSED, removed_message(dataset, number, found.removed))
    if found is not None:
        return found
    if left := left_message(dataset, number):
        return say.stalled(REFUSED, left)
    listed = versions_of(dataset) or "none yet"
    return say.waiting(
        Reason.DATASET_VERSION_NOT_FOUND,
        f'Dataset "{dataset.metadata.name}" has no version {number}; its versions: {listed}',
    )


def _dataset_not_ready(dataset: Dataset, *, seen: bool) -> Readiness:
    ready = find(dataset.status.conditions, "Ready")
    why = f": {ready.reason}: {ready.message}" if ready and seen else ""
    message = f'Dataset "{dataset.metadata.name}" is not ready{why}'
    if seen and ready is not None and (ready.status == "False" or not is_true(dataset.status.conditions, RECONCILING)):
        # Failed, or at rest because it is suspended: nothing is being done that this run could say goes on.
        return say.waiting(Reason.DATASET_NOT_READY, message)
    return say.in_progress(Reason.DATASET_NOT_READY, message)


def _resolve(view: TrainingRunView, entry: HistoryEntry) -> Resolved:
    competitor = champion(view.versions) if compares(view.run) else None
    return Resolved(
        dataset_version=entry.version,
        dataset_digest=entry.digest,
        dataset_artifact=entry.artifact,
        data_delivered_at=entry.delivered_at,
        environment_digest=view.settings.environment_digest,
        champion_version=competitor.metadata.name if competitor else None,
        champion_artifact=competitor.status.artifact if competitor else None,
    )
