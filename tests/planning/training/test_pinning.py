"""What a run waits for before it is pinned, to the word, and the digest of what it would be pinned to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlops.api.conditions import find
from mlops.api.dataset import Dataset
from mlops.planning.ownership import key_of
from mlops.planning.plan import Manifest
from mlops.planning.training.manifests import inputs_digest
from mlops.planning.training.pinning import inputs_of
from mlops.planning.training.run import plan
from mlops.planning.views import TrainingRunView
from tests.planning.builders import (
    CREATED,
    ENVIRONMENT,
    NOW,
    SETTINGS,
    a_condition,
    a_dataset,
    a_run,
    a_versioned_dataset,
    digest,
    with_status,
)

VERSIONED = a_condition("Versioned", "True", "Versioned")
LATE = "2026-01-10T11:30:00Z"


def said(ref: Manifest, dataset: Dataset | None) -> tuple[str, str, str, bool]:
    """Return Ready of a run that was seen before: its status, reason and message, and whether it is worked on."""
    view = TrainingRunView(NOW, SETTINGS, a_run(spec={"datasetRef": ref}), dataset=dataset)
    for _ in range(2):
        view = replace(view, run=with_status(view.run, plan(view).statuses[key_of(view.run)].dump()))
    ready, *own = (find(view.run.status.conditions, type_) for type_ in ("Ready", "DatasetReady", "Succeeded"))
    assert ready is not None
    assert [(each.status, each.reason, each.message) for each in own if each] == [
        (ready.status, ready.reason, ready.message),
        ("Unknown", ready.reason, ready.message),
    ]
    reconciling = find(view.run.status.conditions, "Reconciling") is not None
    return ready.status, ready.reason, ready.message, reconciling


def not_ready(*conditions: Manifest, **changes: Any) -> Dataset:
    return a_versioned_dataset(status={"conditions": list(conditions)}, **changes)


NOT_FOUND = (
    "False",
    "DatasetNotFound",
    'Dataset "weather" not found in namespace "team": make it, and the run goes on',
    False,
)
REJECTED = a_condition("Ready", "False", "ValidationFailed", "3 rows")
WORKING = a_condition("Ready", "Unknown", "Running", "syncing")
AT_WORK = a_condition("Reconciling", "True", "Running")
NOT_READY = 'Dataset "weather" is not ready'


@pytest.mark.parametrize(
    ("ref", "dataset", "want"),
    [
        pytest.param({}, None, NOT_FOUND, id="none"),
        pytest.param({}, a_versioned_dataset(metadata={"deletionTimestamp": CREATED}), NOT_FOUND, id="on its way out"),
        pytest.param({}, a_dataset(), ("Unknown", "DatasetNotReady", NOT_READY, True), id="not looked at yet"),
        pytest.param(
            {},
            not_ready(REJECTED, metadata={"generation": 2}),
            ("Unknown", "DatasetNotReady", NOT_READY, True),
            id="what it says is of an earlier spec",
        ),
        pytest.param(
            {},
            not_ready(WORKING, AT_WORK),
            ("Unknown", "DatasetNotReady", f"{NOT_READY}: Running: syncing", True),
            id="its first version is being made",
        ),
        pytest.param(
            {},
            not_ready(REJECTED, AT_WORK),
            ("False", "DatasetNotReady", f"{NOT_READY}: ValidationFailed: 3 rows", False),
            id="it failed, and is tried again",
        ),
        pytest.param(
            {},
            not_ready(WORKING),
            ("False", "DatasetNotReady", f"{NOT_READY}: Running: syncing", False),
            id="it rests",
        ),
        pytest.param(
            {},
            a_versioned_dataset(status={"version": None, "conditions": [VERSIONED, REJECTED]}),
            ("False", "DatasetNotReady", f"{NOT_READY}: ValidationFailed: 3 rows", False),
            id="it names no version",
        ),
        pytest.param(
            {},
            a_versioned_dataset(status={"conditions": []}),
            ("Unknown", "DatasetNotReady", NOT_READY, True),
            id="it says nothing",
        ),
        pytest.param(
            {"version": 4},
            a_versioned_dataset(2),
            ("False", "DatasetVersionNotFound", 'Dataset "weather" has no version 4; its versions: 1, 2', False),
            id="a version that is not there",
        ),
        pytest.param(
            {"version": 1},
            a_dataset(),
            ("False", "DatasetVersionNotFound", 'Dataset "weather" has no version 1; its versions: none yet', False),
            id="a version, and there is none",
        ),
        pytest.param(
            {"notBefore": LATE},
            a_versioned_dataset(),
            (
                "Unknown",
                "WaitingForRefresh",
                f'Dataset "weather" was last synced {CREATED}, wanted is {LATE}',
                True,
            ),
            id="it is to be synced",
        ),
        pytest.param(
            {"notBefore": LATE},
            a_versioned_dataset(status={"lastCheckTime": None}),
            ("Unknown", "WaitingForRefresh", f'Dataset "weather" was last synced None, wanted is {LATE}', True),
            id="it was never synced",
        ),
        pytest.param(
            {"notBefore": LATE},
            a_versioned_dataset(spec={"suspend": True}),
            (
                "False",
                "WaitingForRefresh",
                f'Dataset "weather" was last synced {CREATED}, wanted is {LATE}; its spec.suspend is true',
                False,
            ),
            id="it is to be synced, and suspended",
        ),
        pytest.param(
            {"notBefore": CREATED},
            not_ready(VERSIONED, REJECTED),
            ("False", "DatasetNotReady", f"{NOT_READY}: ValidationFailed: 3 rows", False),
            id="the delivery that was asked for is bad",
        ),
    ],
)
def test_what_a_run_waits_for_is_said_to_the_word(
    ref: Manifest, dataset: Dataset | None, want: tuple[str, str, str, bool]
) -> None:
    """In Ready and DatasetReady; whether it succeeds is open. What is worked on is Reconciling."""
    assert said(ref, dataset) == want


def test_an_older_good_version_is_taken_while_the_newest_delivery_is_bad() -> None:
    """Nobody asked for a newer one."""
    view = TrainingRunView(NOW, SETTINGS, a_run(), dataset=not_ready(VERSIONED, REJECTED))
    status = plan(view).statuses[key_of(view.run)].dump()
    assert status["resolved"]["datasetVersion"] == 1
    found = next(each for each in status["conditions"] if each["type"] == "DatasetReady")
    assert (found["status"], found["reason"], found["message"]) == (
        "True",
        "DatasetPinned",
        'version 1 of Dataset "weather"',
    )


def test_the_inputs_of_a_run_are_those_that_it_is_pinned_to_or_would_be() -> None:
    """The engine looks up the runs beside it by them; a run that waits has none."""
    run = a_run()
    wanted = inputs_digest(run.spec, digest("1"), ENVIRONMENT)
    assert inputs_of(run, a_versioned_dataset(), SETTINGS) == wanted
    assert inputs_of(run, a_versioned_dataset(2), SETTINGS) == inputs_digest(run.spec, digest("2"), ENVIRONMENT)
    assert inputs_of(run, a_versioned_dataset(), replace(SETTINGS, environment_digest=digest("9"))) == inputs_digest(
        run.spec, digest("1"), digest("9")
    )
    assert inputs_of(run, None, SETTINGS) is None
    view = TrainingRunView(NOW, SETTINGS, run, dataset=a_versioned_dataset())
    pinned = run.evolve(status=plan(view).statuses[key_of(run)])
    assert pinned.status.inputs_digest == wanted
    assert inputs_of(pinned, a_versioned_dataset(2), SETTINGS) == wanted
    assert inputs_of(pinned, None, SETTINGS) == wanted


def test_what_the_engine_has_computed_of_the_inputs_is_taken() -> None:
    """Once per reconcile."""
    view = TrainingRunView(NOW, SETTINGS, a_run(), dataset=a_versioned_dataset(), inputs=digest("7"))
    assert plan(view).statuses[key_of(view.run)].dump()["inputsDigest"] == digest("7")
