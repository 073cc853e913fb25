"""What a template is known by: digests of its spec, and the names of its runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from mlops.api import digests
from mlops.api.base import Model
from mlops.api.dataset import DatasetSpec
from mlops.api.training_run import TrainingRunSpec
from mlops.planning.training.recipe import change_name, recipe_digest, template_digest, version_name
from tests.planning.builders import a_run, a_template

SAID = {
    "datasetRef": {"name": "weather"},
    "trainer": {"estimator": {"name": "LogisticRegression", "params": {"C": "0.1"}}},
    "gates": [{"metric": "roc_auc", "min": "0.80", "compareTo": "champion", "minDelta": "0.0"}],
    "register": {"modelName": "rain"},
}
FIRES = {"triggers": [{"templateChange": {}}, {"datasetVersion": {}}]}


def test_a_digest_is_of_what_the_template_says() -> None:
    """In the words of its YAML, without what has its default: anybody can compute it."""
    assert template_digest(a_template()) == digests.digest_of({**SAID, **FIRES})
    assert recipe_digest(a_template()) == digests.digest_of(SAID)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"resources": {"requests": {"cpu": "2"}}}, id="how much it computes with"),
        pytest.param({"activeDeadlineSeconds": 77}, id="how long"),
        pytest.param({"backoffLimit": 5}, id="how often"),
        pytest.param({"triggers": [{"templateChange": {}}]}, id="when"),
        pytest.param({"register": {"capture": {"percent": 5}}}, id="what is captured"),
        pytest.param({"register": {"promotion": {"stages": [{"name": "production", "replicas": 3}]}}}, id="its pods"),
    ],
)
def test_what_changes_no_model_is_beside_the_recipe(spec: dict[str, Any]) -> None:
    """It is an edit of the template all the same."""
    assert recipe_digest(a_template(spec=spec)) == recipe_digest(a_template())
    assert template_digest(a_template(spec=spec)) != template_digest(a_template())


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"register": {"modelName": "sun"}}, id="the model"),
        pytest.param({"gates": []}, id="what it has to reach"),
        pytest.param({"costs": [{"actual": "yes", "predicted": "no", "cost": "5"}]}, id="what answers cost"),
        pytest.param({"datasetRef": {"since": "2025-01-01T00:00:00Z"}}, id="the rows"),
    ],
)
def test_what_decides_a_run_is_in_the_recipe(spec: dict[str, Any]) -> None:
    """Also by what it is judged."""
    assert recipe_digest(a_template(spec=spec)) != recipe_digest(a_template())


def test_a_suspended_template_is_the_same_template() -> None:
    """It rests, and is no other for it."""
    for digest in (template_digest, recipe_digest):
        assert digest(a_template(spec={"suspend": True})) == digest(a_template())


def test_names_of_runs_leave_room_for_what_is_made_of_them() -> None:
    """52 characters at most, of a template of any name."""
    assert version_name(a_template(), 7) == "rain-d7"
    assert change_name(a_template()) == f"rain-{template_digest(a_template())[7:15]}"
    long = a_run(metadata={"name": "r" * 52})
    assert [len(name) for name in (version_name(long, 7), change_name(long))] == [52, 52]


def _models(of: Any) -> Iterator[type[Model]]:
    if isinstance(of, type) and issubclass(of, Model):
        yield of
        for field in of.model_fields.values():
            yield from _models(field.annotation)
    for part in get_args(of):
        yield from _models(part)


@pytest.mark.parametrize("spec", [TrainingRunSpec, DatasetSpec])
def test_what_a_spec_may_leave_out_is_left_out_by_default(spec: type[Model]) -> None:
    """So None stands in no digest: a field with another default would tell None from it."""
    fields = [field for model in _models(spec) for field in model.model_fields.values()]
    assert {field.default for field in fields if type(None) in get_args(field.annotation)} == {None}
