"""A training run: what comes out of it, and that it says what it does."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from mlops.api import tasks
from mlops.api.training_run import Search
from mlops.workloads.floor.isolation import limits
from mlops.workloads.floor.model import isolated
from mlops.workloads.floor.model.golden import check_golden, read_golden
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import read_signature
from mlops.workloads.floor.pod import BadInput, PassingFault
from mlops.workloads.train.artifact import inputs_of
from mlops.workloads.train.fetch import fetch
from tests.workloads.train.runs import FEATURES, FIELDS, Place, a_frame, a_schema, field, labelled, metric


def test_a_run_stores_a_model_that_answers_as_recorded(place: Place, dataset: str) -> None:
    """The artifact is whole: signature, engine, golden rows, reference, metrics, environment."""
    report = place.run(dataset)
    folder = place.model(report)
    assert sorted(path.name for path in folder.iterdir()) == [
        "environment.json",
        "golden.json",
        "metrics.json",
        "model.json",
        "model.onnx",
        "reference.parquet",
    ]
    predictor = Predictor.load(folder)
    assert check_golden(predictor, read_golden(folder, predictor.signature)) is None
    assert report.format == "onnx"
    assert set(report.files) == {path.name for path in folder.iterdir()}
    assert len(tasks.write_report(report)) <= tasks.MAX_REPORT_BYTES


def test_metrics_are_those_of_the_exported_model_on_every_part(place: Place, dataset: str) -> None:
    """What gates judge is what will be served."""
    report = place.run(dataset)
    predictor = Predictor.load(place.model(report))
    test = a_frame()[400:]
    answer = predictor.predict(inputs_of(test, predictor.signature.inputs))
    accuracy = float((answer.prediction == test["label"].to_numpy()).mean())
    assert metric(report, "accuracy") == pytest.approx(accuracy, abs=1e-6)
    assert {(one.dataset, one.name) for one in report.metrics} == {
        (part, name)
        for part in ("train", "validation", "test")
        for name in ("roc_auc", "log_loss", "accuracy", "balanced_accuracy", "f1", "brier")
    }


def test_the_reference_has_the_columns_of_captures(place: Place, dataset: str) -> None:
    """A drift check compares like with like: in.<field>, label, time, part, out.prediction, out.p.<class>."""
    reference = pl.read_parquet(place.model(place.run(dataset)) / "reference.parquet")
    assert reference.columns == [
        "in.demand",
        "in.price",
        "in.count",
        "in.holiday",
        "in.region",
        "label",
        "time",
        "part",
        "out.prediction",
        "out.p.DOWN",
        "out.p.UP",
    ]
    assert reference["part"].value_counts().sort("part").rows() == [("test", 200), ("train", 300)]
    assert reference["in.demand"].null_count() == a_frame()["demand"].null_count()


def test_personal_data_stays_out_of_reference_golden_rows_and_signature(place: Place) -> None:
    """Captures mask such fields; a model that carried their values around would undo that."""
    dataset = place.dataset(schema=a_schema(pii=["region", "demand"]))
    folder = place.model(place.run(dataset, "RandomForestClassifier", params={"n_estimators": "5"}))
    assert not {"in.region", "in.demand"} & set(pl.read_parquet(folder / "reference.parquet").columns)
    golden = json.loads((folder / "golden.json").read_text())
    assert set(golden["inputs"]["region"]) == {None}
    assert set(golden["inputs"]["demand"]) == {None}
    regions = {one for one in a_frame()["region"].unique() if one is not None}
    encoding = read_signature(folder).encoding
    assert encoding is not None
    (region,) = [text for text in encoding.texts if text.column == "region"]
    assert len(region.categories) == len(regions) == 3
    assert not regions & {*region.categories}
    written = (folder / "model.json").read_text()
    assert [one for one in regions if one in written] == []


def test_golden_rows_cover_missing_values_and_unseen_categories(place: Place) -> None:
    """The answers that are asked again before serving are not only the easy ones."""
    fields = [*FIELDS[:6], field("region", "string"), FIELDS[-1]]
    dataset = place.dataset(a_frame().with_columns(pl.col("region").fill_null("west")), a_schema(fields))
    golden = json.loads((place.model(place.run(dataset)) / "golden.json").read_text())
    assert None in golden["inputs"]["demand"]
    assert "never-seen-in-training" in golden["inputs"]["region"]
    assert len(golden["prediction"]) == 32


def test_a_model_computes_its_features_from_the_raw_inputs(place: Place, dataset: str) -> None:
    """A request carries fields of role feature; `gap` is computed from them, at serving as at training."""
    predictor = Predictor.load(place.model(place.run(dataset)))
    assert [one.name for one in predictor.signature.inputs] == ["demand", "price", "count", "holiday", "region"]
    assert [one.name for one in predictor.signature.columns][-1] == "gap"
    one = inputs_of(a_frame()[:1], predictor.signature.inputs)
    moved = one | {"count": one["count"] + 5}
    assert predictor.predict(one).probabilities is not None
    assert not np.array_equal(predictor.predict(one).probabilities, predictor.predict(moved).probabilities)  # type: ignore[arg-type]


def test_an_unseen_category_and_a_missing_value_get_an_answer(place: Place, dataset: str) -> None:
    """Production sends what training has not seen."""
    predictor = Predictor.load(place.model(place.run(dataset, "HistGradientBoostingClassifier")))
    inputs = inputs_of(a_frame()[:3], predictor.signature.inputs)
    inputs["region"] = np.array(["atlantis", None, ""], dtype=object)
    inputs["demand"] = np.array([np.nan, np.inf, 1e308])
    answer = predictor.predict(inputs)
    assert set(answer.prediction) <= {"UP", "DOWN"}
    assert answer.probabilities is not None
    assert np.isfinite(answer.probabilities).all()


@pytest.mark.parametrize(
    ("label", "kind", "estimator", "want_classes", "want_metric"),
    [
        pytest.param("value", "float64", "Ridge", None, "rmse", id="float regression"),
        pytest.param("count", "int64", "RandomForestRegressor", None, "mae", id="int regression"),
        pytest.param("three", "int64", "LogisticRegression", (1, 2, 3), "roc_auc", id="three int classes"),
        pytest.param("three", "int64", "HistGradientBoostingClassifier", (1, 2, 3), "f1", id="three classes, treelite"),
        pytest.param("flag", "boolean", "GradientBoostingClassifier", (False, True), "brier", id="boolean"),
    ],
)
def test_labels_of_every_type(
    place: Place, label: str, kind: str, estimator: str, want_classes: tuple[object, ...] | None, want_metric: str
) -> None:
    """Classes keep their type from the data to the answer."""
    features = [] if label == "count" else FEATURES
    report = place.run(place.dataset(schema=a_schema(labelled(label, kind), features=features)), estimator)
    predictor = Predictor.load(place.model(report))
    assert predictor.signature.classes == want_classes
    assert metric(report, want_metric) is not None
    answer = predictor.predict(inputs_of(a_frame()[:5], predictor.signature.inputs)).prediction
    assert want_classes is None or set(answer.tolist()) <= set(want_classes)
    assert answer.dtype == {"float64": np.float64, "int64": np.int64, "boolean": np.bool_}[kind] or want_classes is None


def test_a_champion_is_measured_on_the_same_rows(place: Place, dataset: str) -> None:
    """Old and new model are compared on rows that neither was fitted on."""
    champion = place.run(dataset, "DummyClassifier")
    report = place.run(dataset, champion_artifact=champion.output_digest)
    assert metric(report, "roc_auc", champion=True) == 0.5
    assert metric(report, "accuracy", champion=True) == metric(champion, "accuracy")
    assert {one.dataset for one in report.champion_metrics} == {"validation", "test"}


def test_a_champion_with_other_inputs_is_left_out(place: Place, dataset: str, caplog: pytest.LogCaptureFixture) -> None:
    """A new contract must not stop training: there is then nothing to compare with."""
    champion = place.run(dataset)
    fields = [one for one in FIELDS if one["name"] != "region"]
    other = place.dataset(schema=a_schema(fields))
    report = place.run(other, champion_artifact=champion.output_digest)
    assert report.champion_metrics == ()
    assert "the champion is not compared: it takes 'region' (string)" in caplog.text


@pytest.mark.parametrize("strategy", ["time", "random", "hash"])
def test_since_trains_on_recent_rows_only(place: Place, strategy: str) -> None:
    """After a change of the concept, rows from before it are wrong."""
    split = {"strategy": strategy, "seed": 1, "fractions": {"train": "0.6", "validation": "0.2", "test": "0.2"}}
    frame = a_frame(700).sample(fraction=1, shuffle=True, seed=1) if strategy != "time" else a_frame(700)
    report = place.run(place.dataset(frame, a_schema(split=split)), since="2024-01-12T00:00:00Z")
    reference = pl.read_parquet(place.model(report) / "reference.parquet")
    assert reference["time"].min() == pl.Series(["2024-01-12"]).str.to_datetime(time_zone="UTC")[0]
    assert reference.height == 700 - 11 * 24
    if strategy == "time":
        last = reference.filter(pl.col("part") == "train")["time"].max()
        assert last < reference.filter(pl.col("part") == "test")["time"].min()  # type: ignore[operator]


def test_rows_without_a_label_are_left_out(place: Place) -> None:
    """Captured rows whose label has not arrived cannot be learned from."""
    frame = a_frame().with_columns(
        pl.when(pl.int_range(pl.len()) % 2 == 0).then(None).otherwise(pl.col("label")).alias("label")
    )
    report = place.run(place.dataset(frame))
    assert pl.read_parquet(place.model(report) / "reference.parquet").height == 250


def _search(**changes: object) -> Search:
    values: dict[str, object] = {
        "algorithm": "grid",
        "objective": {"metric": "log_loss"},
        "parameters": [{"name": "C", "values": ["0.0001", "1", "100"]}, {"name": "fit_intercept", "values": ["true"]}],
    }
    return Search.model_validate(values | changes)


def test_a_search_takes_what_is_best_on_validation(
    place: Place, dataset: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Trials are judged on rows that none of them saw; the progress can be followed in the log."""
    report = place.run(dataset, search=_search())
    each = {c: metric(place.run(dataset, params={"C": c}), "log_loss", "validation") for c in ("0.0001", "1", "100")}
    assert report.trials == 3
    assert report.best_params == {"C": min(each, key=lambda c: each[c] or 9.0), "fit_intercept": "true"}
    assert read_signature(place.model(report)).estimator.params == report.best_params
    assert "trial 3/3: C=100, fit_intercept=true: log_loss " in caplog.text


def test_a_random_search_is_a_seeded_sample_of_the_grid(place: Place, dataset: str) -> None:
    """The same seed makes the same trials."""
    values = [str(0.01 * number) for number in range(1, 30)]
    search = _search(algorithm="random", maxTrials=4, parameters=[{"name": "C", "values": values}])
    first, again = (place.run(dataset, search=search) for _ in range(2))
    assert first == again
    assert first.trials == 4


def test_a_grid_larger_than_max_trials_is_refused(place: Place, dataset: str) -> None:
    """Silently leaving out combinations would not be a grid."""
    with pytest.raises(BadInput, match=r"spec.search: the grid has 3 combinations, maxTrials is 2"):
        place.run(dataset, search=_search(maxTrials=2))


def test_a_container_finds_the_rows_and_what_is_asked_of_it(place: Place, dataset: str) -> None:
    """The inputs folder of a user's own code."""
    inputs = place.new("inputs")
    pod = place.pod(MLOPS_INPUTS=str(inputs))
    task = tasks.FetchTask(namespace="default", run="r", dataset_artifact=dataset, dataset_digest=dataset, seed=42)
    assert fetch(pod, task).rows == 500
    assert pl.read_parquet(inputs / "train.parquet").height == 300
    asked = json.loads((inputs / "task.json").read_text())
    assert (asked["label"], asked["seed"]) == ("label", 42)
    assert asked["metrics"] == ["roc_auc", "log_loss", "accuracy", "balanced_accuracy", "f1", "brier"]
    assert [column["name"] for column in asked["columns"]][-1] == "gap"


@pytest.mark.parametrize("gone", [False, True], ids=["cannot be opened", "is gone"])
def test_a_champion_that_cannot_be_measured_is_named_and_not_the_new_model(place: Place, gone: bool) -> None:
    """The message read as if the model of the run itself were forbidden, run after run."""
    dataset = place.dataset()
    artifact = "sha256:" + "7" * 64
    if not gone:
        folder = place.new("champion")
        place.store.get(place.run(dataset).output_digest, folder)
        (folder / "model.onnx").write_bytes(b"no graph")
        artifact = place.store.put_directory(folder).digest
    with pytest.raises(BadInput, match=rf"^the champion {artifact}, .* cannot be measured: .*nothing is wrong") as info:
        place.run(dataset, champion_artifact=artifact)
    assert info.value.reason == ("NotFound" if gone else "FormatForbidden")


def test_a_champion_that_a_busy_node_did_not_open_is_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A passing fault of the node or of the store says nothing about either model."""
    dataset = place.dataset()
    artifact = place.run(dataset).output_digest
    monkeypatch.setattr(isolated, "OPEN_SECONDS", 0.01)
    monkeypatch.setattr(limits, "processor_seconds", lambda _: 0.0)
    with pytest.raises(PassingFault, match="the node is busy"):
        place.run(dataset, champion_artifact=artifact)
