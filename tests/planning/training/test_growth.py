"""A template makes a run when the Dataset has enough more rows than its newest model was trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlops.api import labels
from mlops.api.training_run import TrainedOn, TrainingRun
from mlops.planning.ownership import key_of
from mlops.planning.plan import Plan
from mlops.planning.training.children import trigger_of
from mlops.planning.training.growth import growth
from mlops.planning.training.recipe import recipe_digest, template_digest
from mlops.planning.training.run import plan
from mlops.planning.training.triggers import TriggerEvent, due_event
from mlops.planning.views import TrainingRunView
from tests.planning.builders import (
    CREATED,
    NOW,
    SETTINGS,
    a_condition,
    a_run,
    a_template,
    a_versioned_dataset,
    digest,
    merged,
)

ON_GROWTH = {"triggers": [{"templateChange": {}}, {"datasetGrowth": {"percent": 50}}]}
RECALIBRATION = {"estimator": None, "recalibration": {"artifact": digest("a")}}
TRAINED = [a_condition("Ready", "True", "Succeeded"), a_condition("Succeeded", "True", "Trained")]
REFUSED = [
    a_condition("Ready", "False", "GatesFailed"),
    a_condition("Stalled", "True", "GatesFailed"),
    a_condition("Succeeded", "True", "Trained"),
]
FAILED = [
    a_condition("Ready", "False", "TrainingFailed"),
    a_condition("Stalled", "True", "TrainingFailed"),
    a_condition("Succeeded", "False", "TrainingFailed"),
]


def seen(spec: dict[str, Any] = ON_GROWTH, **status: Any) -> TrainingRun:
    """Return a template whose present spec is accounted for, and that has made a run of version 1."""
    template = a_template(spec=spec)
    known = {"lastTemplateDigest": template_digest(template), "lastRecipeDigest": recipe_digest(template)}
    return a_template(spec=spec, status={**known, "lastDatasetVersion": 1, "lastRun": "rain-1", **status})


def on(version: int, conditions: list[dict[str, Any]], name: str = "rain-1", **spec: Any) -> TrainingRun:
    """Return a run of the template, on a version."""
    resolved = {
        "datasetVersion": version,
        "datasetDigest": digest("1"),
        "datasetArtifact": digest("a"),
        "environmentDigest": digest("e"),
    }
    metadata = {"name": name, "uid": name, "labels": {labels.TEMPLATE: "rain"}}
    return a_run(metadata=metadata, spec=spec, status={"resolved": resolved, "conditions": conditions})


def of_rows(*rows: int, gone: int = 0) -> Any:
    """Return a Dataset whose versions have so many rows, the first one first; `gone` of them are in no history."""
    history = [
        {"version": n, "digest": digest(f"{n:x}"[-1]), "artifact": digest("a"), "time": CREATED, "rows": count}
        for n, count in enumerate(rows, start=1)
    ]
    return a_versioned_dataset(len(rows), status={"history": history[gone:][::-1]})


def a_view(template: TrainingRun, dataset: Any, *runs: TrainingRun) -> TrainingRunView:
    return TrainingRunView(NOW, SETTINGS, template, dataset=dataset, siblings=runs)


def due(template: TrainingRun, dataset: Any, *runs: TrainingRun) -> TriggerEvent | None:
    return due_event(a_view(template, dataset, *runs))


@pytest.mark.parametrize(
    ("rows", "fires"),
    [
        pytest.param(149, False, id="one row too few"),
        pytest.param(150, True, id="as many"),
        pytest.param(1_000, True, id="more"),
        pytest.param(40, False, id="fewer rows than before"),
    ],
)
def test_half_as_many_rows_again_make_a_run(rows: int, fires: bool) -> None:
    """In whole rows, with the limit counted in; it says how many."""
    event = due(seen(), of_rows(100, rows), on(1, TRAINED))
    assert (event is not None) == fires
    if event is not None:
        more = f"version 2: {rows} rows, {rows - 100} % more than the 100 of version 1"
        assert (event.name, event.trigger.kind, event.trigger.ref) == ("rain-d2", "DatasetGrowth", "weather")
        assert event.trigger.reason == more


def test_rows_add_up_over_versions_each_of_which_has_few_more() -> None:
    """They are compared with what the newest model was trained on, not with the version before."""
    assert due(seen(), of_rows(100, 120, 140), on(1, TRAINED)) is None
    event = due(seen(), of_rows(100, 120, 140, 160), on(1, TRAINED))
    assert event is not None
    assert event.trigger.reason == "version 4: 160 rows, 60 % more than the 100 of version 1"
    assert due(seen(), of_rows(100, 120, 140, 160), on(1, TRAINED), on(2, TRAINED, "rain-retrain-1")) is None


def test_a_model_that_its_gates_refused_counts_and_a_run_that_made_none_does_not() -> None:
    """As many rows would make the first again; the next version is to be tried of the other."""
    rows = of_rows(100, 150, 160)
    assert due(seen(lastDatasetVersion=2), rows, on(1, TRAINED), on(2, REFUSED, "rain-d2")) is None
    event = due(seen(lastDatasetVersion=2), rows, on(1, TRAINED), on(2, FAILED, "rain-d2"))
    assert event is not None
    assert event.name == "rain-d3"
    assert due(seen(lastDatasetVersion=2), of_rows(100, 150), on(1, TRAINED), on(2, FAILED, "rain-d2")) is None
    assert due(seen(lastDatasetVersion=2), of_rows(100, 150), on(1, TRAINED)) is None, "one that was deleted"


def test_while_a_run_is_under_way_there_is_none_and_one_that_rests_keeps_nobody() -> None:
    """What it comes to is what has to be outgrown; a suspended one may never come to anything."""
    rows = of_rows(100, 150, 160)
    assert due(seen(lastDatasetVersion=2), rows, on(1, TRAINED), on(2, [], "rain-d2")) is None
    assert due(seen(), rows, on(1, TRAINED), on(2, [], "rain-retrain-1")) is None
    assert due(seen(lastDatasetVersion=2), rows, on(1, TRAINED), on(2, [], "rain-d2", suspend=True)) is not None


def test_a_recalibration_learns_nothing_of_the_rows() -> None:
    """A model with a map is not one of more rows: a run follows it, be it on the same version."""
    mapped = on(2, TRAINED, "rain-recalibrate-1", trainer=RECALIBRATION)
    event = due(seen(), of_rows(100, 150), on(1, TRAINED), mapped)
    assert event is not None
    assert event.trigger.reason.endswith("more than the 100 of version 1")
    status = plan(a_view(seen(), of_rows(100, 110), on(1, TRAINED), mapped)).statuses[key_of(seen())]
    assert (status.last_dataset_version, status.trained_on.version) == (1, 1)


def test_without_a_model_any_rows_are_more() -> None:
    """The first version, and each one after it until a run makes a model."""
    alone = {"triggers": [{"datasetGrowth": {"percent": 50}}]}
    first = due(seen(alone, lastRun=None, lastDatasetVersion=None), of_rows(9))
    assert first is not None
    assert first.trigger.reason == "version 1: 9 rows, and no model is trained yet"
    assert due(seen(), of_rows(100, 101), on(1, FAILED)) is not None
    assert due(seen(), of_rows(100), on(1, FAILED)) is None


def test_what_the_newest_model_was_trained_on_is_on_record() -> None:
    """So the version may leave the Dataset's history, and the run may be deleted."""
    template = seen()
    status = plan(a_view(template, of_rows(100, 120), on(1, TRAINED))).statuses[key_of(template)]
    assert status.trained_on == TrainedOn(dataset="weather", version=1, rows=100)
    known = seen(trainedOn=status.trained_on.dump())
    assert due(known, of_rows(100, 120, 149, gone=1)) is None
    event = due(known, of_rows(100, 120, 150, gone=1))
    assert event is not None
    assert event.trigger.reason.endswith("50 % more than the 100 of version 1")


def test_a_version_that_nobody_knows_the_rows_of_is_taken_for_the_present_one() -> None:
    """Of a template that gets the trigger late: growth is told from there on, and nothing is trained at once."""
    template = seen()
    view = a_view(template, of_rows(100, 500, gone=1), on(1, TRAINED))
    assert due_event(view) is None
    status = plan(view).statuses[key_of(template)]
    assert status.trained_on == TrainedOn(dataset="weather", version=2, rows=500)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param({"dataset": "other", "version": 1, "rows": 10_000}, id="of another Dataset"),
        pytest.param({"dataset": "weather", "version": 9, "rows": 10_000}, id="of one that was made again"),
    ],
)
def test_what_is_on_record_of_other_rows_counts_no_more(known: dict[str, Any]) -> None:
    """Its rows are not what these have grown from."""
    template = seen(trainedOn=known)
    status = plan(a_view(template, of_rows(100, 120), on(1, TRAINED))).statuses[key_of(template)]
    assert status.trained_on == TrainedOn(dataset="weather", version=1, rows=100)


def test_a_template_that_runs_on_every_version_does_so_whatever_its_rows() -> None:
    """Of two growths the smaller one counts."""
    both = {"triggers": [{"datasetVersion": {}}, {"datasetGrowth": {"percent": 50}}]}
    event = due(seen(both), of_rows(100, 101), on(1, TRAINED))
    assert event is not None
    assert event.trigger.kind == "DatasetVersion"
    two = {"triggers": [{"datasetGrowth": {"percent": 50}}, {"datasetGrowth": {"percent": 10}}]}
    assert due(seen(two), of_rows(100, 110), on(1, TRAINED)) is not None
    assert due(seen({"triggers": [{"templateChange": {}}]}), of_rows(100, 900), on(1, TRAINED)) is None


def test_a_suspended_template_notes_and_makes_nothing() -> None:
    """As with any other trigger."""
    template = seen({**ON_GROWTH, "suspend": True})
    found = plan(a_view(template, of_rows(100, 900), on(1, TRAINED)))
    assert found.create == ()
    assert found.statuses[key_of(template)].trained_on is None


def test_the_run_is_on_record_first_and_says_why_it_was_made(golden: Callable[[str, Plan], None]) -> None:
    """Then it is made, and its version fires nothing more; a model that was withdrawn is not put back by it."""
    template = seen()
    first = plan(a_view(template, of_rows(100, 150), on(1, TRAINED)))
    assert first.create == ()
    status = first.statuses[key_of(template)]
    assert (status.last_run, status.last_dataset_version) == ("rain-d2", 2)
    view = a_view(template.evolve(status=status), of_rows(100, 150), on(1, TRAINED))
    golden("template-grows", plan(view))
    [made] = plan(view).create
    run = TrainingRun.model_validate(merged(made, {"metadata": {"uid": "u"}}))
    assert trigger_of(run) == "DatasetGrowth"


def test_a_monitor_leaves_to_the_template_what_it_makes_a_run_of() -> None:
    """By what stands in the template's status alone."""
    known = TrainedOn(dataset="weather", version=1, rows=100)
    assert growth(seen(), of_rows(100, 150), known) is not None
    assert growth(seen(), of_rows(100, 149), known) is None
    assert growth(a_template(), of_rows(100, 900), known) is None
