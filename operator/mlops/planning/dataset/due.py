"""Which look at the source of a Dataset is due, and whether its Job may start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mlops.api import labels
from mlops.api.base import format_time, is_timestamp, parse_time
from mlops.api.dataset import DatasetStatus
from mlops.planning import execution
from mlops.planning.dataset.manifests import content_digest, ingest_job, ingest_job_name, sync_digest
from mlops.planning.execution import Waiting
from mlops.planning.plan import Manifest
from mlops.planning.timestamps import not_before, time_of
from mlops.planning.timestamps import timestamp as timestamp_of
from mlops.planning.views import DatasetView, JobView


@dataclass(frozen=True)
class Need:
    """A sync of the source that is due. `new_content`: the version that is there is of a spec with other content."""

    as_of: str
    job_name: str
    new_content: bool


def need_of(view: DatasetView, status: DatasetStatus) -> Need | None:
    """Return the sync that is due: the spec is new, or a run or a person waits for newer data."""
    dataset = view.dataset
    new_content = (status.content_digest or status.spec_digest) != content_digest(dataset)
    seen = status.spec_digest == sync_digest(dataset)
    waited_for = _waited_for(view)
    synced_at = time_of(status.last_check_time)
    if seen and (waited_for is None or (synced_at is not None and synced_at >= waited_for)):
        return None
    # From what is on record only, never from the clock: after a crash the same look gets the same Job name.
    timestamps = [time_of(dataset.metadata.creation_timestamp), synced_at, waited_for, time_of(status.retried_at)]
    as_of = format_time(
        max([timestamp for timestamp in timestamps if timestamp], default=datetime.fromtimestamp(0, UTC))
    )
    return Need(as_of, ingest_job_name(dataset, as_of, status.attempts, status.retried), new_content)


def _waited_for(view: DatasetView) -> datetime | None:
    """Return the latest timestamp since which an unpinned run, a monitor or a person wants the source synced.

    A person says so by the annotation `mlops.dev/requested-at`, as with Flux: the way to have a mended file read
    when the spec stays as it is. One that is no timestamp counts for nothing.
    """
    asked = view.dataset.metadata.annotations.get(labels.REQUESTED_AT, "")
    timestamps = [
        timestamp
        for run in view.waiting_runs
        if (timestamp := not_before(run)) is not None
        and run.spec.dataset_ref.name == view.dataset.metadata.name
        and run.status.resolved is None
        and not run.spec.triggers
        and not run.spec.suspend
    ]
    timestamps += [wanted for text in (asked, *view.asked) if is_timestamp(text) and (wanted := timestamp_of(text))]
    return max(timestamps, default=None)


def lacks_a_live_model(view: DatasetView) -> bool:
    """Return whether there is nothing to read: captures of a model that never was live, and no delivered history."""
    captured = view.dataset.spec.source.captured
    return captured is not None and captured.history is None and not captures(view)


def captures(view: DatasetView) -> bool:
    """Return whether a version of the captured model is or was live."""
    return view.dataset.spec.source.captured is not None and any(
        version.status.stages or version.status.passed_stages or version.status.transitions
        for version in view.captured_versions
    )


@dataclass(frozen=True)
class ToStart:
    """The Job to make now, or when to think of it again."""

    job: Manifest | None = None
    at: datetime | None = None


def to_start(view: DatasetView, status: DatasetStatus, need: Need | None, under_way: tuple[JobView, ...]) -> ToStart:
    if need is None or under_way or view.dataset.spec.suspend or lacks_a_live_model(view):
        return ToStart()
    if status.attempts and status.last_job_time:
        begins = execution.start(parse_time(status.last_job_time), status.attempts, view.now)
        if isinstance(begins, Waiting):
            return ToStart(at=begins.until)
    return ToStart(
        ingest_job(
            view.settings,
            view.dataset,
            as_of=need.as_of,
            attempt=status.attempts,
            captures=captures(view),
            retried=status.retried,
        )
    )
