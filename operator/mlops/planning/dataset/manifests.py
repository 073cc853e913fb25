"""The Jobs of a Dataset: one sync of its source, and the CronJob of repeated syncs."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.api import digests, labels, tasks
from mlops.api.dataset import Dataset
from mlops.planning import pods
from mlops.planning.plan import Manifest, Settings

AS_OF = labels.AS_OF
INGEST = "ingest"
REFRESH = "refresh"
REMOVE = "remove"

_AMOUNTS = pods.resources(cpu="150m", memory="512Mi", cpu_limit="2", memory_limit="3Gi")
_REMOVAL_AMOUNTS = pods.resources(cpu="150m", memory="512Mi", cpu_limit="1", memory_limit="2Gi")
_BACKOFF_LIMIT = 2
_DEADLINE = 3600


def content_digest(dataset: Dataset) -> str:
    """Return the digest of the part of the spec that decides a version's content.

    Who owns the data, when it is looked at, with whose keys and for how long it stays do not change it. Defaults are
    left out, so that a field which a later release adds does not make every Dataset be read again.
    """
    # A spec holds texts, numbers, tuples and models only, which are JSON as they are dumped.
    content = dataset.spec.model_dump(
        by_alias=True,
        exclude_defaults=True,
        exclude={
            "suspend": True,
            "refresh": True,
            "retention": True,
            "freshness": True,
            "resources": True,
            "pod_template": True,
            "governance": {"owner", "purpose", "license"},
            "source": {
                "s3": {"secret_ref"},
                "http": {"secret_ref"},
                "sql": {"secret_ref"},
                "captured": {"history": {"s3": {"secret_ref"}}},
            },
        },
    )
    return digests.digest_of({key: value for key, value in content.items() if value != {}})


def sync_digest(dataset: Dataset) -> str:
    """Return the digest of the part of the spec that decides what a sync reads: the content, and with which Secret.

    Another Secret is a reason to look again, since the one before may have been the wrong one; it leaves the version.
    """
    content, secret = content_digest(dataset), dataset.spec.source.secret
    return digests.digest_of([content, secret]) if secret else content


def ingest_job_name(dataset: Dataset, as_of: str, attempt: int, retried: str | None = None) -> str:
    """Return the name of the Job for one sync: the same sync always has the same name."""
    inputs: list[object] = [dataset.metadata.uid, sync_digest(dataset), as_of, attempt]
    if retried:
        # Asked for again by hand: another sync than those before, though nothing else differs.
        inputs.append(retried)
    return labels.child_name(dataset.metadata.name, labels.short(digests.digest_of(inputs)))


def ingest_job(
    settings: Settings, dataset: Dataset, *, as_of: str, attempt: int, captures: bool, retried: str | None = None
) -> Manifest:
    """Return the Job that looks at the source once."""
    own = _labels(dataset, INGEST)
    return pods.job(
        dataset,
        ingest_job_name(dataset, as_of, attempt, retried),
        own,
        _pod(settings, dataset, own, as_of=as_of, captures=captures),
        backoff_limit=_BACKOFF_LIMIT,
        active_deadline_seconds=_DEADLINE,
        annotations={AS_OF: as_of},
    )


def removal_job_name(dataset: Dataset, artifacts: Sequence[str], since: str, attempt: int) -> str:
    """Return the name of the Job that removes these artifacts: the same removal always has the same name."""
    inputs = [dataset.metadata.uid, REMOVE, *artifacts, since, attempt]
    return labels.child_name(dataset.metadata.name, labels.short(digests.digest_of(inputs)))


def removal_job(settings: Settings, dataset: Dataset, artifacts: Sequence[str], since: str, attempt: int) -> Manifest:
    """Return the Job that removes these artifacts from the store; `since` it is on record that they go. It has no
    digest: it is of no content."""
    name = dataset.metadata.name
    own = labels.standard(REMOVE, name, dataset=name)
    task = tasks.RemoveTask(namespace=dataset.metadata.namespace, dataset=name, artifacts=tuple(artifacts))
    return pods.job(
        dataset,
        removal_job_name(dataset, artifacts, since, attempt),
        own,
        pods.pod(
            settings,
            own,
            [pods.container(settings, task, _REMOVAL_AMOUNTS)],
            template=dataset.spec.pod_template,
        ),
        backoff_limit=_BACKOFF_LIMIT,
        active_deadline_seconds=_DEADLINE,
        annotations={AS_OF: since},
    )


def refresh_cron_job_name(dataset: Dataset) -> str:
    """Return the name of the CronJob."""
    return tasks.refresh_name(dataset.metadata.name)


def refresh_cron_job(
    settings: Settings, dataset: Dataset, *, schedule: str, time_zone: str | None, suspend: bool, captures: bool
) -> Manifest:
    """Return the CronJob that looks at the source again and again; its Jobs read their time from their name."""
    own = _labels(dataset, REFRESH)
    return pods.cron_job(
        dataset,
        refresh_cron_job_name(dataset),
        own,
        _pod(settings, dataset, own, as_of="scheduled", captures=captures),
        schedule=schedule,
        time_zone=time_zone,
        suspend=suspend,
        starting_deadline_seconds=None,
        backoff_limit=_BACKOFF_LIMIT,
        active_deadline_seconds=_DEADLINE,
    )


def _labels(dataset: Dataset, component: str) -> dict[str, str]:
    name = dataset.metadata.name
    return labels.standard(component, name, dataset=name, digest=labels.short(sync_digest(dataset), 16))


def _added_to(dataset: Dataset) -> str | None:
    """Return the version that a source which is read incrementally adds to; the pod sees whether it can."""
    source = dataset.spec.source.sql
    return dataset.status.artifact if source and source.incremental else None


def _pod(settings: Settings, dataset: Dataset, own: dict[str, str], *, as_of: str, captures: bool) -> Manifest:
    task = tasks.IngestTask(
        namespace=dataset.metadata.namespace,
        dataset=dataset.metadata.name,
        # What its pod looks like is no part of its task.
        spec=dataset.spec.evolve(resources=None, pod_template=None),
        as_of=as_of,
        captures=captures,
        previous=_added_to(dataset),
    )
    secret = dataset.spec.source.secret
    amounts = pods.amounts(dataset.spec.resources, _AMOUNTS)
    main = pods.container(settings, task, amounts, source_secret=secret, env=[pods.JOB_NAME_VARIABLE])
    return pods.pod(settings, own, [main], template=dataset.spec.pod_template)
