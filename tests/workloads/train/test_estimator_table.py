"""What is known of estimators without scikit-learn is what scikit-learn itself says, word for word."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from hack.estimator_table import PATH, text
from hack.generate import ROOT
from mlops.api import estimators as known
from mlops.api.estimator_table import ESTIMATORS as TABLE
from mlops.api.mistakes.of_run import measured
from mlops.api.parameter_text import parse
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.estimators import ESTIMATORS, class_of
from mlops.workloads.train.parameters import build, judge
from mlops.workloads.train.positions import BY_POSITION
from tests.workloads.train.runs import Place

VALUES = (
    *("0", "1", "-1", "2", "100", "1e9", "0.0", "0.5", "1.0", "1.5", "-0.5", "1e-12", "inf", "-1e300", "4294967296"),
    *("true", "false", "none", "null", "~", "", "auto", "balanced", "l2", "'l2'", "sqrt", "deprecated", "nan", "$(rm)"),
    *("[]", "[1]", "[0.1, 0.9]", "(100,)", "[a, b]", "[true]", "{}", "{'a': 1}", "lbfgs", "squared_error", "warn"),
)


def test_the_table_is_what_make_generate_writes() -> None:
    """Else: `make generate`."""
    assert (ROOT / PATH).read_text() == text()
    assert set(TABLE) == set(ESTIMATORS)


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_every_value_is_judged_as_by_scikit_learn(name: str) -> None:
    """The same verdict, and the same message, of every parameter and value: also of what a range ends at."""
    assert known.task_of(name) == ESTIMATORS[name].task
    for parameter, value in itertools.product(TABLE[name].parameters, [*VALUES, *_options(name)]):
        path = f"{known.PARAMS_PATH}.{parameter}"
        assert known.wrong_value(name, parameter, value, path) == _said_by_the_pod(name, parameter, value), value


@pytest.mark.parametrize("name", [name for name, kind in ESTIMATORS.items() if kind.task == "classification"])
def test_what_is_measured_of_a_model_is_what_gates_may_ask_for(place: Place, dataset: str, name: str) -> None:
    """No gate on a metric that models of an estimator have is refused before they are trained."""
    # Flags of what is missing are collinear with one another, which it does not take.
    params = {"reg_param": "0.1"} if name == "QuadraticDiscriminantAnalysis" else {}
    report = place.run(dataset, name, params=params)
    assert {each.name for each in report.metrics} <= set(measured(name))


def _said_by_the_pod(name: str, parameter: str, value: str) -> str | None:
    try:
        if parameter in BY_POSITION:
            judge(class_of(name)(**{parameter: _translated(name, parameter, value)}), {parameter: value})
        else:
            build(name, {parameter: value}, seed=0)
    except BadInput as error:
        return error.message
    return None


def _translated(name: str, parameter: str, value: str) -> Any:
    """A mapping by name becomes a list where scikit-learn takes one: which list, only rows would say."""
    if parameter == "constant" and TABLE[name].task == "classification":
        return value  # a class, by the name that it has: 1e9 too
    meant = parse(value)
    takes_lists = "array" in TABLE[name].parameters[parameter]
    return list(meant.values()) if isinstance(meant, dict) and takes_lists else meant


def _options(name: str) -> set[str]:
    constraints = itertools.chain.from_iterable(TABLE[name].parameters.values())
    return {option for each in constraints for option in known._options(each)}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("Rigde", "did you mean Ridge?", id="letters swapped"),
        pytest.param("randomforestclassifier", "did you mean RandomForestClassifier?", id="small letters"),
        pytest.param("LogisticRegresion", "did you mean LogisticRegression?", id="a letter left out"),
    ],
)
def test_a_misspelt_estimator_is_told_the_closest(name: str, hint: str) -> None:
    """And which there are."""
    assert hint in str(known.unknown_estimator(name))


def test_a_misspelt_parameter_is_told_the_closest() -> None:
    """The pod says the same."""
    said = known.wrong_name("Ridge", "alfa", "1", "spec.trainer.estimator.params.alfa")
    assert said is not None
    assert "Ridge has no parameter 'alfa' (value '1'); did you mean alpha? it has: alpha, " in said
    with pytest.raises(BadInput) as info:
        build("Ridge", {"alfa": "1"}, seed=0)
    assert info.value.message == said
