"""Dataset: when to sync the source, and what a sync's outcome means for the version."""

from __future__ import annotations

from datetime import datetime

from mlops.api.base import format_time
from mlops.api.conditions import find
from mlops.api.dataset import Dataset, DatasetStatus
from mlops.api.mistakes import of_dataset
from mlops.planning import readiness as say
from mlops.planning import retrying
from mlops.planning.dataset.due import need_of, to_start
from mlops.planning.dataset.jobs import cron_jobs, jobs_under_way, news, no_longer_wanted, spent
from mlops.planning.dataset.readiness import judged, versioned
from mlops.planning.dataset.results import VALIDATED, refused, taken_in
from mlops.planning.ownership import is_leaving, key_and_uid, key_of
from mlops.planning.plan import Plan
from mlops.planning.views import DatasetView


def plan(view: DatasetView) -> Plan:
    """Return what should be of one Dataset."""
    dataset = view.dataset
    if is_leaving(dataset):
        return Plan()
    status = _known(dataset, view.now)
    for ended in news(view, status):
        status = taken_in(dataset, status, ended, view.spoken_for)
    need = need_of(view, status)
    if need is not None and not dataset.spec.suspend and (mistakes := of_dataset(dataset.spec)):
        # No pod could read by this spec.
        status = refused(dataset, status, need.as_of, mistakes)
        need = need_of(view, status)
    under_way = jobs_under_way(view)
    start = to_start(view, status, need, under_way)
    delete = (*no_longer_wanted(view), *spent(view, status))
    # One of the wanted name whose labels somebody edited goes first: the plan after its deletion makes it again.
    wanted_jobs = [start.job] if start.job and all(key_and_uid(start.job)[0] != key for key, _ in delete) else []
    wanted = status.evolve(
        observed_generation=dataset.metadata.generation,
        conditions=say.conditions(
            dataset.status.conditions,
            judged(view, status, need),
            [versioned(dataset, status, need), find(status.conditions, VALIDATED)],
            now=view.now,
            generation=dataset.metadata.generation,
        ),
    )
    return Plan(
        statuses={key_of(dataset): wanted},
        apply=cron_jobs(view),
        create=tuple(wanted_jobs),
        delete=delete,
        requeue_at=start.at,
    )


def _known(dataset: Dataset, now: datetime) -> DatasetStatus:
    """Return the status to start from: an edit of the spec ends the waiting after failures, it may be the remedy; so
    does a person who asks for a retry, which is a sync of its own."""
    if asked := retrying.wanted(dataset):
        content = dataset.status.content_digest or dataset.status.spec_digest
        return dataset.status.evolve(
            attempts=0, spec_digest=None, content_digest=content, retried=asked, retried_at=format_time(now)
        )
    if dataset.status.observed_generation == dataset.metadata.generation:
        return dataset.status
    return dataset.status.evolve(attempts=0)
