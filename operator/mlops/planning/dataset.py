"""Dataset: when to look at the source, and what a look's outcome means for the version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mlops.api import labels, tasks
from mlops.api.base import format_time, is_moment, parse_time
from mlops.api.conditions import Condition, ConditionStatus, ConditionType, find
from mlops.api.dataset import Dataset, DatasetStatus, HistoryEntry
from mlops.api.reasons import Reason, Reported, Word
from mlops.planning import retrying
from mlops.planning import standing as stand
from mlops.planning.dataset_manifests import (
    INGEST,
    content_digest,
    ingest_job,
    ingest_job_name,
    look_digest,
    refresh_cron_job,
)
from mlops.planning.moments import moment as moment_of
from mlops.planning.moments import not_before
from mlops.planning.outcome import Failure, finished_at, is_finished, outcome, retry_at, scheduled_at, setback
from mlops.planning.ownership import is_leaving, key_and_uid, key_of
from mlops.planning.plan import Key, Manifest, Plan
from mlops.planning.standing import Standing, condition
from mlops.planning.views import DatasetView, JobView

VERSIONED = ConditionType.VERSIONED
# The outcome of the newest look: True good, False the delivery is bad, Unknown it could not be looked at.
VALIDATED = ConditionType.VALIDATED

_HISTORY = 20


@dataclass(frozen=True)
class Need:
    """A look at the source that is due. `new_content`: the version that is there is of a spec with other content."""

    as_of: str
    job_name: str
    new_content: bool


def plan(view: DatasetView) -> Plan:
    """Return what should be of one Dataset."""
    dataset = view.dataset
    if is_leaving(dataset):
        return Plan()
    status = _known(dataset)
    for job in _news(view, status):
        status = _taken_in(dataset, status, job, view.spoken_for)
    need = _need(view, status)
    under_way = _under_way(view)
    start = _start(view, status, need, under_way)
    delete = tuple(_no_longer_wanted(view))
    # One of the wanted name whose labels somebody edited goes first: the plan after its deletion makes it anew.
    wanted_jobs = [start.job] if start.job and all(key_and_uid(start.job)[0] != key for key, _ in delete) else []
    wanted = status.model_copy(
        update={
            "observed_generation": dataset.metadata.generation,
            "conditions": stand.conditions(
                dataset.status.conditions,
                _standing(view, status, need),
                [_versioned(dataset, status, need), find(status.conditions, VALIDATED)],
                now=view.now,
                generation=dataset.metadata.generation,
            ),
        }
    )
    return Plan(
        statuses={key_of(dataset): wanted.dump()},
        apply=_cron_jobs(view),
        create=tuple(wanted_jobs),
        delete=delete,
        look_again=start.at,
    )


# --- what is due ---


def _known(dataset: Dataset) -> DatasetStatus:
    """Return the status to start from: an edit of the spec ends the waiting after failures, it may be the remedy; so
    does a person who asks for a retry, which is a look of its own."""
    if asked := retrying.wanted(dataset):
        content = dataset.status.content_digest or dataset.status.spec_digest
        again = {"attempts": 0, "spec_digest": None, "content_digest": content, "retried": asked}
        return dataset.status.model_copy(update=again)
    if dataset.status.observed_generation == dataset.metadata.generation:
        return dataset.status
    return dataset.status.model_copy(update={"attempts": 0})


def _need(view: DatasetView, status: DatasetStatus) -> Need | None:
    """Return the look that is due: the spec is new, or a run or a person waits for newer data."""
    dataset = view.dataset
    new_content = (status.content_digest or status.spec_digest) != content_digest(dataset)
    seen = status.spec_digest == look_digest(dataset)
    waited_for = _waited_for(view)
    looked_at = _moment(status.last_check_time)
    if seen and (waited_for is None or (looked_at is not None and looked_at >= waited_for)):
        return None
    # From what is on record only, never from the clock: after a crash the same look gets the same Job name.
    moments = [_moment(dataset.metadata.creation_timestamp), looked_at, waited_for]
    as_of = format_time(max([moment for moment in moments if moment], default=datetime.fromtimestamp(0, UTC)))
    return Need(as_of, ingest_job_name(dataset, as_of, status.attempts, status.retried), new_content)


def _waited_for(view: DatasetView) -> datetime | None:
    """Return the latest moment since which an unpinned run, a monitor or a person wants the source looked at.

    A person says so by the annotation `mlops.dev/requested-at`, as with Flux: the way to have a mended file read
    when the spec stays as it is. One that is no moment counts for nothing.
    """
    asked = view.dataset.metadata.annotations.get(labels.REQUESTED_AT, "")
    moments = [
        moment
        for run in view.waiting_runs
        if (moment := not_before(run)) is not None
        and run.spec.dataset_ref.name == view.dataset.metadata.name
        and run.status.resolved is None
        and not run.spec.triggers
        and not run.spec.suspend
    ]
    moments += [wanted for text in (asked, *view.asked) if is_moment(text) and (wanted := moment_of(text))]
    return max(moments, default=None)


def _moment(text: str | None) -> datetime | None:
    return parse_time(text) if text else None


def _lacks_a_live_model(view: DatasetView) -> bool:
    """Return whether there is nothing to read: captures of a model that never was live, and no delivered history."""
    captured = view.dataset.spec.source.captured
    return captured is not None and captured.history is None and not _captures(view)


def _captures(view: DatasetView) -> bool:
    """Return whether a version of the captured model is or was live."""
    return view.dataset.spec.source.captured is not None and any(
        version.status.stages or version.status.passed_stages or version.status.transitions
        for version in view.captured_versions
    )


@dataclass(frozen=True)
class _Start:
    """The Job to make now, or when to think of it again."""

    job: Manifest | None = None
    at: datetime | None = None


def _start(view: DatasetView, status: DatasetStatus, need: Need | None, under_way: tuple[JobView, ...]) -> _Start:
    if need is None or under_way or view.dataset.spec.suspend or _lacks_a_live_model(view):
        return _Start()
    if status.attempts and status.last_job_time:
        due = retry_at(parse_time(status.last_job_time), status.attempts)
        if due > view.now:
            return _Start(at=due)
    return _Start(
        ingest_job(
            view.settings,
            view.dataset,
            as_of=need.as_of,
            attempt=status.attempts,
            captures=_captures(view),
            retried=status.retried,
        )
    )


# --- Jobs ---


def _of_this_content(view: DatasetView, job: JobView) -> bool:
    wanted = labels.short(look_digest(view.dataset), 16)
    return bool(job.manifest["metadata"].get("labels", {}).get(labels.DIGEST) == wanted)


def _is_ours(job: JobView) -> bool:
    """Return whether the planner made the Job, not the CronJob."""
    return bool(job.manifest["metadata"].get("labels", {}).get("app.kubernetes.io/component") == INGEST)


def _is_of_a_namesake(view: DatasetView, job: JobView) -> bool:
    """Return whether the Job was made for a deleted Dataset of the same name, whose remains are not gone yet."""
    metadata = job.manifest["metadata"]
    made = _moment(view.dataset.metadata.creation_timestamp)
    if _is_ours(job) and (owners := metadata.get("ownerReferences")):
        return any(owner["uid"] != view.dataset.metadata.uid for owner in owners)
    if _is_ours(job):
        # Orphaned with its Dataset, or stripped of its owner by hand: only its age tells whose it was.
        born = _moment(metadata.get("creationTimestamp"))
        return made is not None and born is not None and born < made
    return is_finished(job) and made is not None and finished_at(job) < made


def _under_way(view: DatasetView) -> tuple[JobView, ...]:
    """Return our unfinished Jobs for the present spec: while one looks, a second look would only compete with it."""
    return tuple(
        job
        for job in view.jobs
        if _is_ours(job) and not is_finished(job) and _of_this_content(view, job) and not _is_of_a_namesake(view, job)
    )


def _news(view: DatasetView, status: DatasetStatus) -> list[JobView]:
    """Return the finished Jobs whose outcome is not in the status yet, in the order in which they finished.

    Jobs of an earlier spec are no news. The Job that is due now counts even if it finished in the same second as
    the last one taken in.
    """
    need = _need(view, status)
    mark = _mark(status)
    fresh = [
        job
        for job in view.jobs
        if is_finished(job)
        and _of_this_content(view, job)
        and not _is_of_a_namesake(view, job)
        and ((finished_at(job), job.name) > mark or (need is not None and job.name == need.job_name))
    ]
    return sorted(fresh, key=lambda job: (finished_at(job), job.name))


def _mark(status: DatasetStatus) -> tuple[datetime, str]:
    """Return when the newest Job that was taken in had finished, and its name."""
    return _moment(status.last_job_time) or datetime.fromtimestamp(0, UTC), status.last_job or ""


def _no_longer_wanted(view: DatasetView) -> list[tuple[Key, str]]:
    """Return unfinished Jobs of an earlier spec (or of any, when suspended), and a CronJob without a schedule."""
    outdated = [
        key_and_uid(job.manifest)
        for job in view.jobs
        if _is_ours(job) and not is_finished(job) and (view.dataset.spec.suspend or not _of_this_content(view, job))
    ]
    if view.cron_job is not None and view.dataset.spec.refresh is None:
        outdated.append(key_and_uid(view.cron_job))
    return outdated


def _cron_jobs(view: DatasetView) -> tuple[Manifest, ...]:
    refresh = view.dataset.spec.refresh
    nothing_to_read = _lacks_a_live_model(view)
    if refresh is None or (nothing_to_read and view.cron_job is None):
        return ()
    return (
        refresh_cron_job(
            view.settings,
            view.dataset,
            schedule=refresh.schedule,
            time_zone=refresh.time_zone,
            suspend=view.dataset.spec.suspend or nothing_to_read,
            captures=_captures(view),
        ),
    )


# --- what a look's outcome means ---


def _taken_in(dataset: Dataset, status: DatasetStatus, job: JobView, spoken_for: int) -> DatasetStatus:
    """Return the status after this Job: the last good version stays whatever came of it."""
    # Never backwards: after the look that is due, an earlier one than the newest, that one would be news again, and so
    # on for ever.
    newer = (finished_at(job), job.name) > _mark(status)
    looked = {"last_job": job.name, "last_job_time": format_time(finished_at(job))} if newer else {}
    match outcome(job, tasks.IngestReport):
        case tasks.IngestReport() as report:
            return _delivered(dataset, status, report, finished_at(job), spoken_for).model_copy(update=looked)
        case Failure(final=True) as failure:
            # Looked at and found bad: it counts as looked at, so that only a new spec or a later look tries again.
            return status.model_copy(
                update=looked
                | {
                    "spec_digest": look_digest(dataset),
                    "content_digest": content_digest(dataset),
                    "last_check_time": _as_of(job) or status.last_check_time,
                    "attempts": 0,
                    "conditions": _validated("False", failure.reason, failure.message),
                }
            )
        case failure:
            attempts = status.attempts + 1 if _is_ours(job) else status.attempts
            return status.model_copy(
                update=looked
                | {"attempts": attempts, "conditions": _validated("Unknown", failure.reason, failure.message)}
            )


def _delivered(
    dataset: Dataset, status: DatasetStatus, report: tasks.IngestReport, when: datetime, spoken_for: int
) -> DatasetStatus:
    unchanged = status.digest == report.digest
    number = status.version if unchanged and status.version else (status.version or spoken_for) + 1
    entry = HistoryEntry(
        version=number, digest=report.digest, artifact=report.artifact, time=format_time(when), rows=report.rows
    )
    newest = max(filter(None, [_moment(status.last_check_time), _moment(report.as_of)]))
    broken = f"{report.validation.failed} rules broken" if report.validation.failed else "all rules met"
    return status.model_copy(
        update={
            "version": number,
            "digest": report.digest,
            "artifact": status.artifact if unchanged and status.artifact else report.artifact,
            "schema_digest": report.schema_digest,
            "rows": report.rows,
            "bytes": report.bytes,
            "splits": report.splits,
            "last_check_time": format_time(newest),
            "spec_digest": look_digest(dataset),
            "content_digest": content_digest(dataset),
            "attempts": 0,
            "validation": report.validation,
            "history": status.history if unchanged else (entry, *status.history)[:_HISTORY],
            "conditions": _validated(
                "True", Reason.UNCHANGED if unchanged else Reason.VALIDATED, f"{report.rows} rows, {broken}"
            ),
        }
    )


def _as_of(job: JobView) -> str | None:
    """Return the moment that the Job looked at."""
    looked = scheduled_at(job)
    return format_time(looked) if looked else None


def _validated(status: ConditionStatus, reason: Word, message: str) -> tuple[Condition, ...]:
    return (condition(VALIDATED, status, reason, message),)


# --- where it stands ---


def _versioned(dataset: Dataset, status: DatasetStatus, need: Need | None) -> Condition:
    """Return whether there is a version that runs may use. A new spec withdraws it until the source was read anew."""
    if status.version is None:
        return condition(VERSIONED, "False", Reason.PENDING, "there is no version yet")
    if need is not None and need.new_content and not dataset.spec.suspend:
        return condition(
            VERSIONED, "Unknown", Reason.INGESTING, f"version {status.version} is of an earlier spec; reading anew"
        )
    return condition(VERSIONED, "True", Reason.VERSIONED, f"version {status.version}, {status.rows} rows")


def _standing(view: DatasetView, status: DatasetStatus, need: Need | None) -> Standing:
    dataset = view.dataset
    newest = find(status.conditions, VALIDATED)
    if dataset.spec.suspend and (status.version is None or newest is None):
        return stand.resting(Reason.SUSPENDED, "spec.suspend is true: the source is not looked at")
    if _lacks_a_live_model(view) and need is not None:
        captured = dataset.spec.source.captured
        return stand.waiting(
            Reason.NO_LIVE_MODEL,
            f'no version of model "{captured.model_name if captured else ""}" was ever live, so nothing is captured: '
            "deliver rows in spec.source.captured.history, or make a ModelVersion",
        )
    if need is not None and not dataset.spec.suspend:
        failed = next(filter(None, map(setback, _under_way(view))), None)
        return _standing_while_looking(status, need, newest, failed)
    if newest is None:
        return stand.in_progress(Reason.PENDING, "the source was not looked at yet")
    kept = f" (version {status.version} stays)" if status.version else ""
    if newest.status == "True":
        reason = Reason.UNCHANGED if newest.reason == Reason.UNCHANGED else Reason.VERSIONED
        return stand.done(reason, f"version {status.version}: {newest.message}")
    if newest.status == "False":
        return stand.stalled(Reported(newest.reason), f"{newest.message}{kept}")
    return stand.waiting(Reported(newest.reason), f"{newest.message}{kept}")


def _standing_while_looking(
    status: DatasetStatus, need: Need, newest: Condition | None, failed: Failure | None
) -> Standing:
    """Return where it stands while a look is due; `failed`: why its newest try failed, before the Job tries again."""
    if failed is not None:
        return Standing("False", failed.reason, f"{failed.message}; the Job tries again", reconciling=True)
    if status.attempts and newest is not None:
        message = f"{newest.message}; attempt {status.attempts + 1} follows"
        return Standing("False", Reported(newest.reason), message, reconciling=True)
    if need.new_content:
        return stand.in_progress(Reason.INGESTING, f"reading the source as of {need.as_of}")
    message = f"looking again as of {need.as_of}"
    if status.version is not None and newest is not None and newest.status == "True":
        # A refresh that a run waits for takes nothing away from the version that is there: like one by schedule, it is
        # no change that the user made and would wait for.
        return stand.done(Reason.INGESTING, message)
    return stand.in_progress(Reason.INGESTING, message)
