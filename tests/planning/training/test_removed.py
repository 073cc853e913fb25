"""What a run is told whose version of the Dataset was removed."""

from __future__ import annotations

from typing import Any

from mlops.api.conditions import find
from mlops.api.dataset import Dataset
from mlops.api.labels import RETRY
from mlops.api.training_run import TrainingRun
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest, Plan
from mlops.planning.training.run import plan
from mlops.planning.views import JobView, TrainingRunView
from tests.planning.builders import (
    NOW,
    SETTINGS,
    a_run,
    a_train_report,
    a_versioned_dataset,
    digest,
    failed,
    finished,
    merged,
    running,
    with_status,
)

MARK = {"at": "2026-01-10T11:50:00Z"}


def a_dataset(*removed: int, **mark: str) -> Dataset:
    """Return a Dataset of three versions, some of which are removed."""
    dataset = a_versioned_dataset(3)
    history = [
        {**entry.dump(), **({"removed": {**MARK, **mark}} if entry.version in removed else {})}
        for entry in dataset.status.history
    ]
    return with_status(dataset, {**dataset.status.dump(), "history": history})  # type: ignore[no-any-return]


def planned(run: TrainingRun, dataset: Dataset, *jobs: JobView) -> Plan:
    return plan(TrainingRunView(now=NOW, settings=SETTINGS, run=run, dataset=dataset, jobs=jobs))


def after(run: TrainingRun, dataset: Dataset, *jobs: JobView) -> TrainingRun:
    """Return the run with the status planned for it."""
    status: Manifest = planned(run, dataset, *jobs).statuses[key_of(run)].dump()
    return with_status(run, status)  # type: ignore[no-any-return]


def ready(run: TrainingRun) -> Any:
    found = find(run.status.conditions, "Ready")
    assert found is not None
    return found


def test_a_run_that_names_a_removed_version_is_told_which_there_are() -> None:
    """For good: nobody brings it back. No Job is made."""
    run = a_run(spec={"datasetRef": {"version": 1}})
    told = after(after(run, a_dataset(1)), a_dataset(1))
    assert (ready(told).status, ready(told).reason) == ("False", "DatasetVersionRemoved")
    assert ready(told).message == (
        'version 1 of Dataset "weather" was removed at 2026-01-10T11:50:00Z by its spec.retention; its versions: 2, 3'
    )
    assert find(told.status.conditions, "Stalled") is not None
    assert planned(told, a_dataset(1)).create == ()
    assert planned(a_run(spec={"datasetRef": {"version": 2}}), a_dataset(1)).create != ()


def test_a_run_that_lost_the_race_makes_no_job() -> None:
    """It was pinned before the mark was known, and the crash kept its Job from being made."""
    pinned = after(a_run(), a_dataset())
    told = after(pinned, a_dataset(3))
    assert ready(told).reason == "DatasetVersionRemoved"
    assert ready(told).message == (
        'version 3 of Dataset "weather" was removed at 2026-01-10T11:50:00Z by its spec.retention; its versions: 1, 2'
    )
    assert planned(pinned, a_dataset(3)).create == ()


def without_the_oldest(retention: Manifest | None) -> Dataset:
    """Return a Dataset whose history begins at its second version."""
    dataset = a_dataset()
    history = [entry.dump() for entry in dataset.status.history if entry.version > 1]
    dataset = with_status(dataset, {**dataset.status.dump(), "history": history})
    return Dataset.model_validate(merged(dataset.dump(), {"spec": {"retention": retention}}))


def test_a_version_that_is_older_than_the_history_is_told_to_be_removed() -> None:
    """Its record went after its bytes: neither a new run nor one that is pinned to it may wait for it, or read."""
    kept = without_the_oldest({"keepVersions": 2})
    named = a_run(spec={"datasetRef": {"version": 1}})
    words = 'version 1 of Dataset "weather" is older than its history, which begins at 2 and from which its '
    for told in (after(after(named, kept), kept), after(after(named, a_dataset()), kept)):
        assert (ready(told).status, ready(told).reason) == ("False", "DatasetVersionRemoved")
        assert ready(told).message == words + "spec.retention removes; its versions: 2, 3"
    assert planned(after(named, a_dataset()), kept).create == ()
    forgotten = without_the_oldest(None)
    assert ready(after(after(named, forgotten), forgotten)).reason == "DatasetVersionNotFound"
    assert planned(after(named, a_dataset()), forgotten).create != (), "its bytes are in the store"
    yet_to_come = a_run(spec={"datasetRef": {"version": 4}})
    assert ready(after(after(yet_to_come, kept), kept)).reason == "DatasetVersionNotFound"


def test_a_run_at_work_goes_on() -> None:
    """It has read its data, or needs them still: as long as it is at work they stay."""
    [job] = planned(a_run(), a_dataset()).create
    pinned = after(a_run(), a_dataset())
    assert ready(after(pinned, a_dataset(3), running(job))).reason == "Running"
    done = after(pinned, a_dataset(3), finished(job, a_train_report()))
    assert done.status.output_digest is not None


def test_a_retry_on_what_is_gone_is_told_so_and_the_next_one_takes_the_current_version() -> None:
    """First it is said, then, asked once more, it is pinned to what there is."""
    [job] = planned(a_run(), a_dataset()).create
    gone = failed(job, "TrainingFailed")
    over = after(after(a_run(), a_dataset()), a_dataset(), gone)
    assert ready(over).reason == "TrainingFailed"
    newer = with_status(a_versioned_dataset(4), a_versioned_dataset(4).status.dump())
    history = [{**e.dump(), **({"removed": MARK} if e.version == 3 else {})} for e in newer.status.history]
    newer = with_status(newer, {**newer.status.dump(), "history": history})
    told = after(asked(over, "once"), newer, gone)
    assert ready(told).reason == "DatasetVersionRemoved"
    again = after(asked(told, "twice"), newer, gone)
    assert again.status.resolved is not None
    assert again.status.resolved.dataset_version == 4
    assert planned(asked(told, "twice"), newer, gone).create != ()


def asked(run: TrainingRun, text: str) -> TrainingRun:
    """Return the run that a person asks to be tried again."""
    return TrainingRun.model_validate(merged(run.dump(), {"metadata": {"annotations": {RETRY: text}}}))


def test_a_dataset_that_was_made_again_and_has_no_version_yet_has_lost_none() -> None:
    """What a run is pinned to may be there: nothing says that it was removed. Nor is the version just made too old."""
    pinned = after(a_run(), a_dataset())
    for retention in ({"keepVersions": 2}, None):
        anew = Dataset.model_validate(merged(a_dataset().dump(), {"spec": {"retention": retention}, "status": None}))
        assert planned(pinned, anew).create != ()
        named = a_run(spec={"datasetRef": {"version": 1}})
        told = ready(after(after(named, anew), anew))
        assert (told.reason, told.message) == (
            "DatasetVersionNotFound",
            'Dataset "weather" has no version 1; its versions: none yet',
        )
    kept = without_the_oldest({"keepVersions": 2})
    assert planned(a_run(spec={"datasetRef": {"version": 2}}), kept).create != (), "the oldest of its history"


def test_the_mark_of_another_artifact_of_the_same_number_is_no_matter_of_the_run() -> None:
    """The Dataset was made again, and its version of that number was removed: the bytes of the run are others."""
    pinned = after(a_run(), a_dataset())
    marked = a_dataset(3)
    history = [
        {**entry.dump(), **({"artifact": digest("c")} if entry.version == 3 else {})} for entry in marked.status.history
    ]
    other = with_status(marked, {**marked.status.dump(), "history": history})
    assert planned(pinned, other).create != ()
