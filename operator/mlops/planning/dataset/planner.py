"""Dataset: when to sync the source, and what a sync's outcome means for the version."""

from __future__ import annotations

from datetime import datetime

from mlops.api.base import format_time
from mlops.api.conditions import find
from mlops.api.dataset import Dataset, DatasetStatus
from mlops.api.mistakes.of_dataset import of_dataset
from mlops.planning import readiness as say
from mlops.planning import retrying
from mlops.planning.dataset.due import ToStart, need_of, to_start
from mlops.planning.dataset.freshness import freshness
from mlops.planning.dataset.jobs import cron_jobs, jobs_under_way, news, no_longer_wanted, spent
from mlops.planning.dataset.readiness import forbidden_pods, judged, versioned
from mlops.planning.dataset.removals import is_under_way, removing, spent_removals
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
        status = taken_in(view, status, ended)
    need = need_of(view, status)
    if need is not None and not dataset.spec.suspend and (mistakes := of_dataset(dataset.spec)):
        # No pod could read by this spec.
        status = refused(dataset, status, need.as_of, mistakes)
        need = need_of(view, status)
    under_way = jobs_under_way(view)
    removal = removing(view, status)
    status = removal.status
    forbidden = forbidden_pods(view)
    start = ToStart() if is_under_way(view) or forbidden else to_start(view, status, need, under_way)
    # A sync that is due goes first: it may deliver again what is to be removed.
    removes = removal.job if start.job is None and not forbidden else None
    fresh = freshness(view, status)
    delete = (*no_longer_wanted(view), *spent(view, status), *spent_removals(view))
    # One of the wanted name whose labels somebody edited goes first: the plan after its deletion makes it again.
    jobs = filter(None, (start.job, removes))
    wanted_jobs = [job for job in jobs if all(key_and_uid(job)[0] != key for key, _ in delete)]
    wanted = status.evolve(
        observed_generation=dataset.metadata.generation,
        conditions=say.conditions(
            dataset.status.conditions,
            forbidden or judged(view, status, need),
            [versioned(dataset, status, need), find(status.conditions, VALIDATED), fresh.said, removal.said],
            now=view.now,
            generation=dataset.metadata.generation,
        ),
    )
    return Plan(
        statuses={key_of(dataset): wanted},
        apply=cron_jobs(view, paused=is_under_way(view) or removes is not None or forbidden is not None),
        create=tuple(wanted_jobs),
        delete=delete,
        requeue_at=min(filter(None, (start.at, removal.at, fresh.stale_at)), default=None),
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
