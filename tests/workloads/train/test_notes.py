"""What a training does with the data that nobody asked for is told; what it can do exactly, it does."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as oracle

from mlops.api.tasks import TrainReport, write_report
from mlops.api.training_run import Estimator, Search
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import read_signature
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.artifact import inputs_of
from mlops.workloads.train.notes import with_notes
from mlops.workloads.train.run import train
from tests.workloads.train.runs import DIGEST, Place, a_frame, a_schema, a_task, field, labelled, metric

SHOPS = [field("shop", "string"), field("y", "string", "label")]


def shops(rows: int = 6000, kinds: int = 1500) -> pl.DataFrame:
    """Shops with a fixed answer each, as often as the others."""
    random = np.random.default_rng(1)
    answer = random.integers(0, 2, kinds)
    chosen = random.integers(0, kinds, rows)
    return pl.DataFrame({"shop": [f"s{one:05d}" for one in chosen], "y": [f"c{answer[one]}" for one in chosen]})


def run(place: Place, frame: pl.DataFrame, estimator: str, most: int | None = None) -> TrainReport:
    """Train on shops alone."""
    dataset = place.dataset(frame, a_schema(SHOPS, features=[], split={"strategy": "random"}))
    params = {"n_estimators": "5"} if "Forest" in estimator else {}
    spec = Estimator.model_validate({"name": estimator, "params": params, "maxCategories": most})
    return train(place.pod(), a_task(dataset).evolve(estimator=spec))


def test_a_tree_tells_thousands_of_categories_apart(place: Place) -> None:
    """As scikit-learn does on codes of all of them; nothing is left out, so nothing is said."""
    report = run(place, shops(), "DecisionTreeClassifier")
    assert report.notes == ()
    assert float(metric(report, "accuracy") or 0) > 0.9
    signature = read_signature(place.model(report))
    assert signature.encoding is not None
    assert len(signature.encoding.texts[0].categories) > 1024
    # They are named once: the encoding alone lists them, its inputs do not.
    (listed,) = json.loads((place.model(report) / "model.json").read_text())["inputs"]
    assert listed.keys() == {"name", "type", "nullable"}


def test_categories_beyond_the_limit_are_counted_out_loud(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Of a tree they are unknown, of a linear model one column; in the report and in the log."""
    frame = shops(2000, 200)
    report = run(place, frame, "RandomForestClassifier", 50)
    counts = frame[:1200]["shop"].value_counts().sort("count", "shop", descending=[True, False])
    share = 100 * counts["count"][50:].sum() / 1200
    (note,) = report.notes
    assert note == (
        f"shop: {counts.height - 50} of {counts.height} categories ({share:.0f} % of rows) count as unknown; "
        "estimator.maxCategories sets how many are told apart"
    )
    assert note in caplog.text
    (note,) = run(place, frame, "LogisticRegression").notes
    assert f"shop: {counts.height - 64} of {counts.height} categories" in note
    assert "count as one" in note
    assert run(place, frame, "LogisticRegression", 300).notes == ()


def test_more_columns_than_a_table_of_slots_has_are_refused(place: Place) -> None:
    """Each category of a linear model is a column."""
    with pytest.raises(BadInput, match=r"maxCategories: 5000: .* at most 4096: write at most so many") as info:
        run(place, shops(500, 10), "LogisticRegression", 5000)
    assert info.value.reason == "ParameterInvalid"


def test_categories_that_no_description_holds_are_refused(place: Place) -> None:
    """Long texts, or many: the way out is tried."""
    long = shops(500, 100).with_columns(pl.col("shop") + "x" * 100_000)
    with pytest.raises(BadInput, match=r"'shop' has a text of 100,006 characters, .* filter such rows out"):
        run(place, long, "DecisionTreeClassifier")
    many = shops(1000, 500).with_columns(pl.col("shop") + "x" * 40_000)
    with pytest.raises(BadInput, match=r"most of them those of 'shop', .*: set estimator\.maxCategories lower"):
        run(place, many, "DecisionTreeClassifier")
    assert run(place, many, "DecisionTreeClassifier", 100).notes


def test_numbers_that_count_as_missing_are_counted_out_loud(place: Place) -> None:
    """float32 does not hold 1e300."""
    frame = a_frame().with_columns(pl.when(pl.int_range(pl.len()) < 3).then(1e300).otherwise("price").alias("price"))
    assert place.run(place.dataset(frame)).notes == (
        "price: 3 of 300 rows lie beyond 3.4e+38, which float32 does not hold, and count as missing",
    )


def test_a_metric_that_the_rows_do_not_define_is_said_to_be(place: Place) -> None:
    """A test part of one class has no ROC area."""
    last = pl.int_range(pl.len()) >= 400
    frame = a_frame().with_columns(pl.when(last).then(pl.lit("UP")).otherwise("label").alias("label"))
    report = place.run(place.dataset(frame))
    assert metric(report, "roc_auc") is None
    assert report.notes == ("roc_auc is not defined on the part test: y: a class has no row; the ROC area needs both",)


def test_a_search_says_why_its_objective_is_not_defined(place: Place) -> None:
    """The validation part has one class: another objective is the way out, and is tried."""
    middle = pl.int_range(pl.len()).is_between(300, 399)
    frame = a_frame().with_columns(pl.when(middle).then(pl.lit("UP")).otherwise("label").alias("label"))
    search = {"objective": {"metric": "roc_auc"}, "parameters": [{"name": "C", "values": ["1"]}]}
    with pytest.raises(BadInput, match=r"roc_auc is not defined .* \(y: a class has no row; .*defined are: log_loss"):
        place.run(place.dataset(frame), search=Search.model_validate(search))
    search["objective"] = {"metric": "log_loss"}
    assert place.run(place.dataset(frame), search=Search.model_validate(search)).trials == 1


def test_notes_that_a_report_cannot_hold_stay_in_the_log() -> None:
    """A termination message has 4096 bytes."""
    report = TrainReport(
        output_digest=DIGEST,
        prediction_digest=DIGEST,
        environment_digest=DIGEST,
        format="onnx",
        metrics=(),
        files={f"file{number}": DIGEST for number in range(10)},
    )
    few = with_notes(report, ("a" * 100,) * 3)
    assert (len(few.notes), len(few.files)) == (3, 10)
    many = with_notes(report, ("a" * 1000,) * 8)
    assert (len(many.notes), len(many.files)) == (3, 0)
    assert write_report(many)


@pytest.mark.parametrize("estimator", ["RandomForestClassifier", "ExtraTreesClassifier", "BaggingClassifier"])
def test_a_forest_has_every_metric_and_answers_with_probabilities(place: Place, estimator: str) -> None:
    """It adds up in float32, beyond 1; log_loss and brier equal scikit-learn's of the same answers."""
    dataset = place.dataset(schema=a_schema(labelled("three", "int64")))
    report = place.run(dataset, estimator, params={"n_estimators": "30"})
    assert report.notes == ()
    predictor = Predictor.load(place.model(report))
    rows = a_frame()[400:]
    answer = predictor.predict(inputs_of(rows, predictor.signature.inputs))
    table = answer.probabilities
    assert table is not None
    assert ((table >= 0) & (table <= 1)).all()
    assert np.abs(table.sum(axis=1) - 1).max() < 1e-10
    expected = oracle.log_loss(rows["three"], table, labels=[1, 2, 3])
    assert float(metric(report, "log_loss") or 0) == pytest.approx(expected, rel=1e-5)
    assert metric(report, "brier") is not None


@pytest.mark.parametrize(
    ("label", "kind", "named", "positive"),
    [
        pytest.param("label", "string", None, "UP", id="the last by default"),
        pytest.param("label", "string", "UP", "UP", id="the last by name"),
        pytest.param("label", "string", "DOWN", "DOWN", id="the first by name"),
        pytest.param("flag", "boolean", "False", "false", id="boolean"),
    ],
)
def test_f1_speaks_of_the_class_that_the_contract_names(
    place: Place, label: str, kind: str, named: str | None, positive: str
) -> None:
    """In the report's metrics, in the model's description, and in the report's words."""
    fields = labelled(label, kind)
    fields[-1] |= {"positiveClass": named} if named else {}
    report = place.run(place.dataset(schema=a_schema(fields)))
    predictor = Predictor.load(place.model(report))
    rows = a_frame()[400:]
    said = predictor.predict(inputs_of(rows, predictor.signature.inputs)).prediction
    meant = {"true": True, "false": False}.get(positive, positive)
    assert report.positive_class == positive
    assert predictor.signature.positive == meant
    expected = oracle.f1_score(rows[label].to_list(), said.tolist(), pos_label=meant)
    assert float(metric(report, "f1") or 0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("label", "kind", "named", "want"),
    [
        ("label", "string", "up", "has the classes DOWN and UP, and positiveClass is 'up': name one of the two"),
        ("three", "int64", "3", "has 3 classes, and positiveClass is '3': .* leave positiveClass out"),
    ],
)
def test_a_positive_class_that_is_none_is_refused(place: Place, label: str, kind: str, named: str, want: str) -> None:
    """Rather than f1 of another one."""
    fields = labelled(label, kind)
    fields[-1]["positiveClass"] = named
    with pytest.raises(BadInput, match=want) as info:
        place.run(place.dataset(schema=a_schema(fields)))
    assert info.value.reason == "DataUnusable"
