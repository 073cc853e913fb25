"""What answers cost, in a training: measured to the cent, searched by, compared by, kept in the model, or refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from mlops.api import tasks
from mlops.api.costs import Cost
from mlops.api.reasons import Reason
from mlops.api.training_run import Recalibration, Search
from mlops.workloads.floor.model.onnx_graph import pipeline_graph
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import Encoding, NumberEncoding, read_signature
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.artifact import inputs_of
from mlops.workloads.train.fetch import fetch
from tests.workloads.train.runs import FIELDS, Place, a_frame, a_schema, labelled, metric

COSTS = (
    Cost(actual="UP", predicted="DOWN", cost="500", column="count"),
    Cost(actual="DOWN", predicted="UP", cost="20"),
    Cost(actual="UP", predicted="UP", cost="-3"),
)


def spent(truth: pl.Series, said: Any, count: pl.Series) -> float:
    """Return the mean cost of COSTS, row by row."""
    total = 0.0
    for actual, predicted, amount in zip(truth.to_list(), said, count.to_list(), strict=True):
        if actual == "UP":
            total += 500 * amount if predicted == "DOWN" else -3
        elif predicted == "UP":
            total += 20
    return total / len(truth)


def test_the_cost_is_the_sum_over_the_rows_and_stays_with_the_model(place: Place, dataset: str) -> None:
    """Of what the exported model answers, on each part; the model says by which costs."""
    report = place.run(dataset, costs=COSTS)
    predictor = Predictor.load(place.model(report))
    for part, rows in (("train", a_frame()[:300]), ("validation", a_frame()[300:400]), ("test", a_frame()[400:])):
        said = predictor.predict(inputs_of(rows, predictor.signature.inputs)).prediction
        expected = spent(rows["label"], said, rows["count"])
        assert metric(report, "cost", part) == pytest.approx(expected, rel=1e-5)
    assert predictor.signature.costs == COSTS


def test_without_costs_there_is_none_and_the_model_is_the_same_to_the_byte(place: Place, dataset: str) -> None:
    """Costs change nothing that is learnt: of all files only model.json and metrics.json differ."""
    without, beside = place.run(dataset), place.run(dataset, costs=COSTS)
    assert metric(without, "cost") is None
    assert '"costs"' not in (place.model(without) / "model.json").read_text()
    assert {name for name in beside.files if beside.files[name] != without.files[name]} == {
        "model.json",
        "metrics.json",
    }


def test_a_search_takes_what_costs_least(place: Place, dataset: str) -> None:
    """The weights of the classes that pay are not those that are right most often."""
    search = Search.model_validate(
        {
            "objective": {"metric": "cost"},
            "parameters": [{"name": "class_weight", "values": ["{UP: 1}", "{UP: 30}", "{DOWN: 30}"]}],
        }
    )
    values = search.parameters[0].values
    each = {one: place.run(dataset, costs=COSTS, params={"class_weight": one}) for one in values}
    cheapest = min(each, key=lambda one: metric(each[one], "cost", "validation") or 0.0)
    most_right = max(each, key=lambda one: metric(each[one], "accuracy", "validation") or 0.0)
    assert cheapest != most_right
    assert place.run(dataset, costs=COSTS, search=search).best_params == {"class_weight": cheapest}


def test_a_champion_is_measured_by_the_costs_of_the_run(place: Place, dataset: str) -> None:
    """Also one that knows no costs, or others: two models are compared by one measure."""
    old = (Cost(actual="UP", predicted="DOWN", cost="1"),)
    for costs in (None, old):
        champion = place.run(dataset, costs=costs)
        report = place.run(dataset, costs=COSTS, champion_artifact=champion.output_digest)
        assert metric(report, "cost", champion=True) == metric(report, "cost")


@pytest.mark.parametrize(
    ("label", "costs"),
    [
        pytest.param("three", [("3", "1", "10"), ("1", "3", "2.5")], id="of whole numbers"),
        pytest.param("flag", [("true", "false", "10"), ("false", "true", "2.5")], id="of truths"),
    ],
)
def test_classes_are_named_as_they_are_written(place: Place, label: str, costs: list[tuple[str, str, str]]) -> None:
    """3 is "3", and true is "true"."""
    kind = "int64" if label == "three" else "boolean"
    data = place.dataset(schema=a_schema(labelled(label, kind)))
    given = tuple(Cost(actual=actual, predicted=predicted, cost=cost) for actual, predicted, cost in costs)
    report = place.run(data, costs=given)
    rows = a_frame()[400:]
    predictor = Predictor.load(place.model(report))
    said = predictor.predict(inputs_of(rows, predictor.signature.inputs)).prediction.tolist()
    pairs = [(str(a).lower(), str(b).lower()) for a, b in zip(rows[label].to_list(), said, strict=True)]
    expected = np.mean([sum(float(cost) for *pair, cost in costs if tuple(pair) == one) for one in pairs])
    assert metric(report, "cost") == pytest.approx(float(expected), rel=1e-5)


def test_a_recalibration_keeps_the_costs_that_the_model_has(place: Place, dataset: str) -> None:
    """Unless the run says others."""
    before = place.run(dataset, costs=COSTS)
    other = (Cost(actual="UP", predicted="DOWN", cost="1"),)
    wanted = Recalibration(artifact=before.output_digest)
    for costs, kept in ((None, COSTS), (other, other)):
        report = place.run(dataset, None, recalibration=wanted, costs=costs)
        assert read_signature(place.model(report)).costs == kept
        assert metric(report, "cost") is not None


def changed(name: str, **changes: Any) -> list[dict[str, Any]]:
    """Return the contract with another field of this name."""
    return [one | changes if one["name"] == name else one for one in FIELDS]


@pytest.mark.parametrize(
    ("costs", "schema", "says"),
    [
        pytest.param(
            {"actual": "LEFT"},
            {},
            "spec.costs[0].actual: 'LEFT' is none of the classes: name one of DOWN, UP",
            id="class",
        ),
        pytest.param(
            {"predicted": "up"},
            {},
            "spec.costs[0].predicted: 'up' is none of the classes: name one of DOWN, UP",
            id="class in other letters",
        ),
        pytest.param(
            {"column": "amount"},
            {},
            "spec.costs[0].column: 'amount' is no field of the Dataset: name one of spec.fields, a number",
            id="no field",
        ),
        pytest.param(
            {"column": "region"},
            {},
            "spec.costs[0].column: 'region' is a string: name a number (float64 or int64)",
            id="no number",
        ),
        pytest.param(
            {"column": "demand"},
            {},
            "spec.costs[0].column: 'demand' may be missing: leave nullable out of the Dataset's field, or fill it "
            "(spec.clean[].fillNull)",
            id="may be missing",
        ),
        pytest.param(
            {"column": "count"},
            {"fields": changed("count", role="ignored"), "features": []},
            "spec.costs[0].column: no request carries 'count', so nobody knows what live answers cost: give it the "
            "role feature or input",
            id="not carried",
        ),
        pytest.param(
            {"column": "count"},
            {"pii": ["count"], "pii_in_models": ["count"]},
            "spec.costs[0].column: 'count' is in governance.pii, and no values of it are kept to compare with: name "
            "another field, or take it out of governance.pii",
            id="personal",
        ),
    ],
)
def test_costs_that_do_not_fit_are_refused_before_anything_is_fitted(
    place: Place, costs: dict[str, Any], schema: dict[str, Any], says: str
) -> None:
    """With field, value and way out."""
    data = place.dataset(schema=a_schema(**schema))
    one = Cost(**({"actual": "UP", "predicted": "DOWN", "cost": "5"} | costs))
    with pytest.raises(BadInput) as refused:
        place.run(data, costs=(one,))
    assert (refused.value.reason, refused.value.message) == (Reason.PARAMETER_INVALID, says)


def test_a_filled_column_counts_as_known(place: Place) -> None:
    """The way out of one that may be missing: what a request lacks is filled before it is answered."""
    clean = [{"fillNull": {"field": "demand", "value": 2.0, "missing": 0.1}}]
    frame = a_frame().with_columns(pl.col("demand").abs().fill_null(2.0))
    data = place.dataset(frame, a_schema(clean=clean))
    assert metric(place.run(data, costs=(Cost(actual="UP", predicted="DOWN", cost="1", column="demand"),)), "cost")


def test_negative_amounts_are_no_cost_and_the_run_says_why(place: Place, dataset: str) -> None:
    """The metric is left out, and the status names column and rows; a gate or a search by it then fails by name."""
    costs = (Cost(actual="UP", predicted="DOWN", cost="1", column="price"),)
    report = place.run(dataset, costs=costs)
    assert metric(report, "cost") is None
    negative = int((a_frame()[400:]["price"] < 0).sum())
    assert any(
        f"cost is not defined on the part test: price, by which a cost is multiplied, is negative in {negative} of 100 "
        "rows: have the Dataset refuse or clean such rows" in note
        for note in report.notes
    )
    search = Search.model_validate(
        {"objective": {"metric": "cost"}, "parameters": [{"name": "C", "values": ["1", "2"]}]}
    )
    with pytest.raises(BadInput, match=r"spec\.search\.objective\.metric: cost is not defined .* is negative in"):
        place.run(dataset, costs=costs, search=search)


def test_of_numbers_there_are_no_costs_of_classes(place: Place) -> None:
    """Said of a label that the Dataset calls a number, where no estimator says so before."""
    data = place.dataset(schema=a_schema(labelled("value", "float64")))
    with pytest.raises(BadInput, match=r"spec\.costs: are those of classes, .* leave spec\.costs out, and use mae"):
        place.run(data, "Ridge", costs=COSTS)


def test_own_code_reads_the_costs_and_is_measured_by_them(place: Place) -> None:
    """task.json says them; whatever metrics.json and model.json of the user say, cost is ours."""
    numbers = [one for one in FIELDS if one["name"] not in ("region", "demand", "holiday")]
    data = place.dataset(schema=a_schema(numbers, features=[]))
    fetching = place.pod(MLOPS_INPUTS=str(place.new("inputs")))
    task = tasks.FetchTask(namespace="default", run="own", dataset_artifact=data, dataset_digest=data)
    for costs, named in ((None, False), (COSTS, True)):
        fetch(fetching, task.evolve(costs=costs))
        described = json.loads((fetching.inputs / "task.json").read_text())
        assert ("cost" in described["metrics"], "costs" in described) == (named, named)
    assert described["costs"] == [one.dump() for one in COSTS]

    outputs = place.new("outputs")
    frame = a_frame()[:300]
    matrix = frame.select("price", "count").to_numpy().astype(np.float64)
    model = LogisticRegression().fit(matrix, (frame["label"] == "UP").to_numpy().astype(int))
    encoding = Encoding(numbers=(NumberEncoding(column="price"), NumberEncoding(column="count")))
    (outputs / "model.onnx").write_bytes(pipeline_graph(encoding, model, double=True).SerializeToString())
    (outputs / "metrics.json").write_text('{"test": {"cost": 0.25}}')
    pod = place.pod(MLOPS_OUTPUTS=str(outputs))
    assert metric(place.run(data, None, pod=pod), "cost") == 0.25, "without costs the word is the user's"
    report = place.run(data, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)), costs=COSTS)
    rows = a_frame()[400:]
    said = np.where(model.predict(rows.select("price", "count").to_numpy().astype(np.float64)) == 1, "UP", "DOWN")
    assert metric(report, "cost") == pytest.approx(spent(rows["label"], said, rows["count"]), rel=1e-5)
    assert read_signature(place.model(report)).costs == COSTS
