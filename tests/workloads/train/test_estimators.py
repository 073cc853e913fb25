"""Every allowed estimator trains, exports, and answers as scikit-learn does."""

from __future__ import annotations

import polars as pl
import pytest

from mlops.workloads.floor.model.engines import SklearnEngine
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.artifact import inputs_of
from mlops.workloads.train.data import read_data
from mlops.workloads.train.estimators import ESTIMATORS, class_of, kind_of
from mlops.workloads.train.export import compare
from mlops.workloads.train.fit import fit, target_of
from mlops.workloads.train.parameters import build, parse
from tests.workloads.train.runs import Place, a_frame, a_schema, labelled

SMALL = {
    "AdaBoost": {"n_estimators": "10"},
    "Bagging": {"n_estimators": "5"},
    "ExtraTrees": {"n_estimators": "10"},
    "GradientBoosting": {"n_estimators": "10"},
    "HistGradientBoosting": {"max_iter": "10"},
    "MLP": {"hidden_layer_sizes": "[8, 4]", "max_iter": "50"},
    "RandomForest": {"n_estimators": "10"},
    "QuadraticDiscriminantAnalysis": {"reg_param": "0.1"},
}


def _params(name: str) -> dict[str, str]:
    return next((params for stem, params in SMALL.items() if name.startswith(stem)), {})


def _label(name: str) -> tuple[str, str]:
    if kind_of(name).task == "regression":
        return "value", "float64"
    return "label", "string"


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_an_estimator_trains_and_its_export_equals_scikit_learn(place: Place, name: str) -> None:
    """Whatever format is chosen, the answers on unseen rows are those of the fitted estimator, within the tolerance."""
    label, kind = _label(name)
    dataset = place.dataset(schema=a_schema(labelled(label, kind)))
    folder = place.model(place.run(dataset, name, params=_params(name)))
    predictor = Predictor.load(folder)
    signature = predictor.signature

    place.store.get(dataset, place.folder / "read")
    data = read_data(place.folder / "read", None)
    target = target_of(data.label, data.labels("train"), signature.task, name)
    assert signature.encoding is not None
    estimator = fit(build(name, _params(name), 7), signature.encoding, data.arrays("train"), target)
    unseen = a_frame(400, seed=5)
    columns = inputs_of(unseen, signature.inputs) | {"gap": unseen["gap"].to_numpy()}
    expected = SklearnEngine(signature, estimator).run(columns)
    difference, wrong = compare(predictor.engine.run(columns), expected, classifies=signature.task == "classification")
    assert wrong == 0
    assert difference <= float(signature.tolerance)
    assert signature.export.tried[-1].result == "accepted"


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("LogisticRegression", "onnx"),
        ("RandomForestClassifier", "onnx"),
        ("SVC", "onnx"),
        ("KNeighborsClassifier", "onnx"),
        ("HistGradientBoostingClassifier", "treelite"),
        ("NearestCentroid", "skops"),
        ("DummyClassifier", "skops"),
    ],
)
def test_the_format_is_the_first_of_the_chain_that_is_right(place: Place, dataset: str, name: str, want: str) -> None:
    """ONNX, else treelite, else skops; what failed before stands in the record."""
    report = place.run(dataset, name, params=_params(name))
    assert report.format == want
    signature = Predictor.load(place.model(report)).signature
    assert [attempt.result == "accepted" for attempt in signature.export.tried][-1]
    assert all(attempt.result != "accepted" for attempt in signature.export.tried[:-1])


def test_an_onnx_graph_with_wrong_probabilities_is_not_accepted(place: Place) -> None:
    """skl2onnx converts a binary LinearDiscriminantAnalysis to other probabilities; comparing is what finds it."""
    frame = a_frame().with_columns(pl.col("price").alias("copy"))
    report = place.run(place.dataset(frame), "LinearDiscriminantAnalysis")
    tried = Predictor.load(place.model(report)).signature.export.tried
    assert report.format == "skops"
    assert tried[0].format == "onnx float64"
    assert tried[0].result.startswith(("differs by more than", "cannot be"))


def test_an_unknown_estimator_names_the_closest_and_the_list(place: Place, dataset: str) -> None:
    """A typing error costs a second, not an hour."""
    with pytest.raises(
        BadInput, match=r"spec\.trainer\.estimator\.name: 'RandomForest' .* did you mean Rand.*SVC"
    ) as info:
        place.run(dataset, "RandomForest")
    assert info.value.reason == "EstimatorUnknown"


@pytest.mark.parametrize("name", ["Pipeline", "Popen", "VotingClassifier", "GaussianProcessClassifier"])
def test_what_is_not_on_the_list_is_refused(place: Place, dataset: str, name: str) -> None:
    """The list is closed: no class is looked up by name outside of it."""
    with pytest.raises(BadInput, match="is not allowed"):
        place.run(dataset, name)


@pytest.mark.parametrize(
    ("params", "want"),
    [
        pytest.param(
            {"learning_rate": "-1"}, r"params\.learning_rate: '-1': .* range \(0\.0, inf\)", id="out of range"
        ),
        pytest.param(
            {"max_iter": "many"}, r"params\.max_iter: 'many': .* must be an int in the range", id="wrong type"
        ),
        pytest.param({"max_iter": "10.5"}, r"params\.max_iter: '10\.5'", id="float for int"),
        pytest.param({"loss": "$(rm -rf /)"}, r"params\.loss: '\$\(rm -rf /\)': .*log_loss", id="shell is data"),
        pytest.param({"loss": "{{ 7*7 }}"}, r"params\.loss: '\{\{ 7\*7 \}\}'", id="template is data"),
        pytest.param({"n_estimators": "5"}, r"no parameter 'n_estimators' .*it has: .*learning_rate", id="unknown"),
        pytest.param({"random_state": "1"}, r"random_state: cannot be set: spec\.reproducibility\.seed", id="seed"),
        pytest.param({"n_jobs": "-1"}, r"no parameter 'n_jobs'|n_jobs: cannot be set", id="threads"),
        pytest.param({"__class__": "os.system"}, r"has no parameter '__class__'", id="dunder"),
    ],
)
def test_a_bad_parameter_names_itself_its_value_and_what_is_allowed(params: dict[str, str], want: str) -> None:
    """scikit-learn's own constraints judge before anything is fitted."""
    with pytest.raises(BadInput, match=want) as info:
        build("HistGradientBoostingClassifier", params, 0)
    assert info.value.reason == "ParameterInvalid"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1", 1),
        ("-3", -3),
        ("0.1", 0.1),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("sqrt", "sqrt"),
        ("[100, 50]", [100, 50]),
        ("(8,)", [8]),
        ("[]", []),
        ("'1'", "1"),
        ("__import__('os')", "__import__('os')"),
        ("!!python/object:os.system", "!!python/object:os.system"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
    ],
)
def test_text_means_a_scalar_or_a_list_and_nothing_is_evaluated(text: str, want: object) -> None:
    """What looks like code is a string like any other."""
    assert parse(text) == want
    assert type(parse(text)) is type(want)


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_every_estimator_of_the_list_exists_and_is_of_its_task(name: str) -> None:
    """The table is scikit-learn's, not our memory of it."""
    made = class_of(name)()
    assert type(made).__name__ == name
    want = {"classification": "classifier", "regression": "regressor"}[kind_of(name).task]
    assert made.__sklearn_tags__().estimator_type == want
