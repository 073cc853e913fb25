"""Who needs the versions of a Dataset, as far as anybody knows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.reconcile_cost import World
from mlops.api import kinds, tasks
from mlops.api.dataset import Dataset
from mlops.engine.cluster import Reader
from mlops.engine.uses import UsesOfVersions
from mlops.planning.plan import Manifest, Settings
from mlops.planning.views import Use, Uses
from tests.engine.objects import a_dataset, a_monitor, a_run, a_version

CONTENT, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
ADDRESS = "sha256:" + "3" * 64
OVER = [{"type": "Ready", "status": "True", "reason": "Succeeded"}]
STALLED = [{"type": "Stalled", "status": "True", "reason": "DatasetVersionRemoved"}]
PINNED = {"datasetVersion": 3, "datasetDigest": CONTENT}
ONE_STORE = Settings(environment={tasks.STORE_VARIABLE: "s3://artifacts/"})


def memory_of(*manifests: Manifest) -> Reader:
    """Return what the operator knows of a cluster with these objects."""
    world = World()
    for manifest in manifests:
        world.put(manifest)
    return world.memory


def entry(**changes: object) -> Manifest:
    base = {"version": 1, "digest": CONTENT, "artifact": ADDRESS, "time": "2026-01-01T00:00:00Z", "rows": 9}
    return {**base, **changes}


def uses_of(*others: Manifest, settings: Settings = ONE_STORE, history: list[Manifest] | None = None) -> Uses | None:
    """Return what is known to need versions of the Dataset `rain` beside these objects."""
    dataset = a_dataset(retention={"keepVersions": 1})
    parsed = kinds.parse({**dataset, "status": {"history": history or []}})
    assert isinstance(parsed, Dataset)
    return UsesOfVersions(memory_of(dataset, *others), settings).of(parsed)


def test_nobody_is_asked_where_nothing_is_removed() -> None:
    """Thousands of runs need not be gone through for a Dataset that keeps all."""
    parsed = kinds.parse(a_dataset())
    assert isinstance(parsed, Dataset)
    assert UsesOfVersions(memory_of(a_run()), ONE_STORE).of(parsed) is None


def test_a_monitor_that_names_its_reference_needs_it() -> None:
    """By its number; one that is compared with the current version needs none that goes."""
    monitors = (
        a_monitor(reference={"datasetRef": {"name": "rain", "version": 4}}),
        a_monitor("other", reference={"datasetRef": {"name": "rain"}}),
    )
    found = uses_of(*monitors)
    assert found is not None
    assert found.of_versions == (Use('DriftMonitor "watch"', version=4),)


@pytest.mark.parametrize(("number", "want"), [(4, "sha256:" + "4" * 64), (5, None)])
def test_a_monitor_needs_the_content_that_it_has_on_record(number: int, want: str | None) -> None:
    """A later version may have the bytes of one that has left the history; a record of another version says nothing."""
    monitor = a_monitor(reference={"datasetRef": {"name": "rain", "version": number}})
    known = {"name": "rain", "version": 4, "digest": "sha256:" + "4" * 64, "artifact": "sha256:" + "a" * 64}
    found = uses_of({**monitor, "status": {"referenceDataset": known}})
    assert found is not None
    assert found.of_versions == (Use('DriftMonitor "watch"', version=number, digest=want),)


@pytest.mark.parametrize(
    ("run", "uses"),
    [
        pytest.param(a_run(), (), id="one that waits for the current version"),
        pytest.param(
            {**a_run(), "status": {"resolved": PINNED}},
            (Use('TrainingRun "rain-1"', version=3, digest=CONTENT),),
            id="one at work",
        ),
        pytest.param({**a_run(), "status": {"resolved": PINNED, "conditions": OVER}}, (), id="one that is over"),
        pytest.param(
            {**a_run(datasetRef={"name": "rain", "version": 2}), "status": {"conditions": OVER}},
            (Use('TrainingRun "rain-1"', version=2),),
            id="one that names its version, over or not",
        ),
        pytest.param(
            a_run(datasetRef={"name": "rain", "version": 2}, triggers=[{"templateChange": {}}]),
            (Use('template "rain-1"', version=2),),
            id="a template that names its version",
        ),
        pytest.param(
            {**a_run(datasetRef={"name": "rain", "version": 2}), "status": {"conditions": STALLED}},
            (),
            id="one that was refused since it is gone",
        ),
        pytest.param(a_run(datasetRef={"name": "snow", "version": 2}), (), id="one on another Dataset"),
    ],
)
def test_runs_need_what_they_name_and_what_they_are_at_work_on(run: Manifest, uses: tuple[Use, ...]) -> None:
    found = uses_of(run)
    assert found is not None
    assert found.of_versions == uses


@pytest.mark.parametrize(
    ("version", "uses"),
    [
        pytest.param(
            a_version(lineage={"dataset": "rain", "datasetVersion": 2, "datasetDigest": CONTENT}),
            (Use('ModelVersion "rain-v1"', version=2, digest=CONTENT),),
            id="what a run made",
        ),
        pytest.param(
            {
                **a_version(source={"trainingRunRef": {"name": "r"}}),
                "status": {"lineage": {"dataset": "rain", "datasetVersion": 2}},
            },
            (Use('ModelVersion "rain-v1"', version=2),),
            id="what it was found to be made of",
        ),
        pytest.param(
            a_version(lineage={"dataset": "snow", "datasetVersion": 2, "datasetDigest": CONTENT}),
            (Use('ModelVersion "rain-v1"', digest=CONTENT, elsewhere=True),),
            id="the same content of another Dataset",
        ),
        pytest.param(
            a_version(
                metadata={"namespace": "other"},
                lineage={"dataset": "rain", "datasetVersion": 2, "datasetDigest": CONTENT},
            ),
            (Use("a ModelVersion of another namespace", digest=CONTENT, elsewhere=True),),
            id="the same content in another namespace, whose names are nobody's business",
        ),
        pytest.param(a_version(), (), id="one that somebody brought"),
        pytest.param(
            {**a_version(lineage={"dataset": "rain", "datasetVersion": 2}), "spec": {"version": "broken"}},
            (),
            id="one without what counts",
        ),
    ],
)
def test_models_need_what_they_were_made_of(version: Manifest, uses: tuple[Use, ...]) -> None:
    found = uses_of(version)
    assert found is not None
    assert found.of_versions == uses


def test_addresses_are_shared_until_it_is_on_record_that_they_go() -> None:
    """A mark alone may be taken back."""
    mark = {"at": "2026-01-02T00:00:00Z"}
    history = [entry(removed=mark)]
    going = entry(artifact=OTHER, removed={**mark, "erasing": "2026-01-03T00:00:00Z"})
    other = {**a_dataset("snow"), "status": {"history": [entry(removed=mark), going]}}
    elsewhere = {**other, "metadata": {"name": "rain", "namespace": "other"}}
    for each in (other, elsewhere):
        found = uses_of(each, history=history)
        assert found is not None
        assert found.shared == {ADDRESS}
    alone = replace(ONE_STORE, environment={tasks.STORE_VARIABLE: "s3://artifacts/{namespace}"})
    found = uses_of(elsewhere, history=history, settings=alone)
    assert found is not None
    assert found.shared == frozenset(), "with a store per namespace nobody else has the same bytes"
