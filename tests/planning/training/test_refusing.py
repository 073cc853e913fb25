"""What the specs alone show to be wrong is said before a pod starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlops.api.conditions import find
from mlops.planning.dataset import planner as datasets
from mlops.planning.ownership import key_of
from mlops.planning.training.run import plan
from mlops.planning.views import DatasetView, TrainingRunView
from tests.planning.builders import NOW, SETTINGS, a_dataset, a_run, a_versioned_dataset, merged, with_status


def _after(view: TrainingRunView) -> TrainingRunView:
    found = plan(view)
    assert found.create == ()
    return replace(view, run=with_status(view.run, found.statuses[key_of(view.run)].dump()))


@pytest.mark.parametrize(
    ("spec", "reason", "says"),
    [
        pytest.param({"trainer": {"estimator": {"name": "Rigde"}}}, "EstimatorUnknown", "did you mean", id="estimator"),
        pytest.param(
            {"trainer": {"estimator": {"name": "LogisticRegression", "params": {"c": "1"}}}},
            "ParameterInvalid",
            "did you mean C?",
            id="parameter",
        ),
        pytest.param({"gates": [{"metric": "rmse", "max": "1"}]}, "MetricMissing", "'rmse' is not measured", id="gate"),
    ],
)
def test_a_run_that_cannot_succeed_is_refused_without_a_pod(spec: dict[str, Any], reason: str, says: str) -> None:
    """It is immutable, so that is its end."""
    view = TrainingRunView(now=NOW, settings=SETTINGS, run=a_run(spec=spec), dataset=a_versioned_dataset())
    view = _after(_after(view))
    for type_, status in (("Ready", "False"), ("Stalled", "True")):
        found = find(view.run.status.conditions, type_)
        assert found is not None
        assert (found.status, found.reason) == (status, reason)
        assert says in found.message
    # What is wrong with a gate is the gates' to say, all else the training's.
    own = {each.type for each in view.run.status.conditions} & {"Succeeded", "GatesPassed"}
    assert own == {"GatesPassed" if reason == "MetricMissing" else "Succeeded"}


def test_a_run_that_its_dataset_does_not_fit_waits_for_the_dataset() -> None:
    """Whatever the Dataset has made so far; with another type of label the run goes on."""
    regressor = a_run(spec={"trainer": {"estimator": {"name": "Ridge", "params": None}}, "gates": []})
    bad = a_versioned_dataset()
    fields = [
        {**field.dump(), **({"type": "float64", "enum": None} if field.role == "label" else {})}
        for field in bad.spec.fields
    ]
    good = bad.evolve(spec=bad.spec.model_validate(merged(bad.spec.dump(), {"fields": fields})))
    view = _after(_after(TrainingRunView(now=NOW, settings=SETTINGS, run=regressor, dataset=bad)))
    found = find(view.run.status.conditions, "Ready")
    assert found is not None
    assert (found.status, found.reason) == ("False", "DataUnusable")
    assert find(view.run.status.conditions, "Stalled") is None
    healed = replace(view, dataset=good)
    assert [each.type for each in _pinned(healed).run.status.conditions if each.status == "False"] == []
    assert [job["kind"] for job in plan(_pinned(healed)).create] == ["Job"]


def _pinned(view: TrainingRunView) -> TrainingRunView:
    return replace(view, run=with_status(view.run, plan(view).statuses[key_of(view.run)].dump()))


def test_what_was_said_before_a_refusal_is_gone_with_it() -> None:
    """The Dataset came, and does not fit: that it is not there is no longer so."""
    run = a_run(spec={"gates": [{"metric": "roc_auc", "min": "0.5", "dataset": "validation"}]})
    view = _after(_after(TrainingRunView(now=NOW, settings=SETTINGS, run=run, dataset=None)))
    assert find(view.run.status.conditions, "DatasetReady") is not None
    good = a_versioned_dataset()
    split = {"fractions": {"train": "0.8", "validation": "0", "test": "0.2"}}
    bad = good.evolve(spec=good.spec.model_validate(merged(good.spec.dump(), {"split": split})))
    view = _after(replace(view, dataset=bad))
    found = find(view.run.status.conditions, "GatesPassed")
    assert found is not None
    assert (found.status, found.reason) == ("False", "MetricMissing")
    assert find(view.run.status.conditions, "DatasetReady") is None


def test_a_dataset_whose_spec_cannot_be_read_with_gets_no_job() -> None:
    """The names in its steps are known without a pod; an edit is judged again."""
    steps = [{"dropNulls": ["nowhere"]}]
    view = DatasetView(now=NOW, settings=SETTINGS, dataset=a_dataset(spec={"clean": steps}))
    for _ in range(2):
        found = datasets.plan(view)
        assert found.create == ()
        status = found.statuses[key_of(view.dataset)].dump()
        view = replace(view, dataset=with_status(view.dataset, status))
    ready = find(view.dataset.status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "SchemaMismatch")
    assert 'spec.clean[0].dropNulls: "nowhere" is not in spec.fields; there are: ' in ready.message
    edited = a_dataset(spec={"clean": []}, metadata={"generation": 2}).evolve(status=view.dataset.status)
    assert len(datasets.plan(replace(view, dataset=edited)).create) == 1
