"""A recalibration: the model that is there answers in the same order, and its answers come true again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper

from mlops.api import tasks
from mlops.api.reasons import Reason
from mlops.api.training_run import Recalibration
from mlops.statistics.score_map import ScoreMap
from mlops.workloads.drift.reference import load_reference
from mlops.workloads.floor.model.mappable import obstacle_of
from mlops.workloads.floor.model.onnx_engine import check_onnx
from mlops.workloads.floor.model.onnx_map import graph_with_map
from mlops.workloads.floor.model.opening import open_checked
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.floor.model.signature import Outputs, Signature, parse_signature
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.artifact import inputs_of
from tests.workloads.train.runs import DIGEST, Place, a_frame, a_schema, labelled, metric


def moved(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows after thresholds and scale have moved, and nothing else."""
    # What `a_frame` draws its labels by, without looking into it: `value` is ten times the score, and fifty.
    score = (pl.col("value") - 50) / 10
    return frame.with_columns(
        pl.when(score > -0.8).then(pl.lit("UP")).otherwise(pl.lit("DOWN")).alias("label"),
        pl.when(score > 0).then(3).when(score > -1).then(2).otherwise(1).alias("three"),
        (pl.col("value") * 1.8 - 12).alias("value"),
    )


def recalibrated(place: Place, artifact: str, frame: pl.DataFrame, *, label: str, kind: str) -> tasks.TrainReport:
    """Recalibrate the model at `artifact` on the rows, beside it as the champion."""
    data = place.dataset(frame, a_schema(labelled(label, kind)))
    return place.run(data, None, recalibration=Recalibration(artifact=artifact), champion_artifact=artifact)


def answers(place: Place, artifact: str, frame: pl.DataFrame) -> tuple[Signature, Prediction]:
    """Return what the model at `artifact` says of rows, opened as a server opens it."""
    folder = place.new("opened")
    place.store.get(artifact, folder)
    predictor = open_checked(folder).predictor
    return predictor.signature, predictor.predict(inputs_of(frame, predictor.signature.inputs))


@pytest.mark.parametrize(
    ("label", "kind", "estimator"),
    [
        pytest.param("label", "string", "LogisticRegression", id="two"),
        pytest.param("label", "string", "HistGradientBoostingClassifier", id="two, of trees"),
        pytest.param("three", "int64", "LogisticRegression", id="three"),
    ],
)
def test_probabilities_come_true_again_and_nothing_else_is_learnt(
    place: Place, label: str, kind: str, estimator: str
) -> None:
    """The Brier score of held-out rows is better than the live model's, whose graph is a part of the new one."""
    before = place.run(place.dataset(schema=a_schema(labelled(label, kind))), estimator)
    later = moved(a_frame(800, seed=4))
    report = recalibrated(place, before.output_digest, later, label=label, kind=kind)
    for name in ("brier", "log_loss"):
        ours, theirs = metric(report, name), metric(report, name, champion=True)
        assert ours is not None
        assert theirs is not None
        assert ours < 0.8 * theirs
    signature, _ = answers(place, report.output_digest, later)
    assert signature.mapped is not None
    assert signature.mapped.artifact == before.output_digest
    old, new = (place.model(one) / f"model.{signature.format}" for one in (before, report))
    if signature.mapped.in_graph:
        graphs = [check_onnx(file.read_bytes()).graph for file in (old, new)]
        assert list(graphs[1].node)[: len(graphs[0].node)] == list(graphs[0].node)
    else:
        assert new.read_bytes() == old.read_bytes()


@pytest.mark.parametrize(
    ("label", "kind", "estimator"),
    [
        pytest.param("label", "string", "LogisticRegression", id="graph, two"),
        pytest.param("three", "int64", "LogisticRegression", id="graph, three"),
        pytest.param("three", "int64", "HistGradientBoostingClassifier", id="treelite, three"),
    ],
)
def test_the_model_answers_as_the_map_says(place: Place, label: str, kind: str, estimator: str) -> None:
    """Probabilities are those of the map in model.json, and the class is the most probable one."""
    before = place.run(place.dataset(schema=a_schema(labelled(label, kind))), estimator)
    later = moved(a_frame(800, seed=4))
    report = recalibrated(place, before.output_digest, later, label=label, kind=kind)
    _, plain = answers(place, before.output_digest, later)
    signature, mapped = answers(place, report.output_digest, later)
    assert signature.mapped is not None
    assert plain.probabilities is not None
    assert mapped.probabilities is not None
    assert signature.classes is not None
    wanted = ScoreMap(signature.mapped.slope, signature.mapped.bias).probabilities(plain.probabilities)
    assert mapped.probabilities == pytest.approx(wanted, abs=1e-6)
    best = mapped.probabilities.argmax(axis=1)
    assert mapped.prediction.tolist() == [signature.classes[one] for one in best]


def test_of_two_classes_the_ranking_stays_to_the_last_row(place: Place) -> None:
    """What gates measure of the ranking is the live model's value."""
    before = place.run(place.dataset())
    report = recalibrated(place, before.output_digest, moved(a_frame(800, seed=4)), label="label", kind="string")
    assert metric(report, "roc_auc") == metric(report, "roc_auc", champion=True)


def test_a_map_beside_a_file_is_one_map_however_often_it_is_fitted(place: Place) -> None:
    """It is described as of the model without any, and does what both do."""
    schema = a_schema(labelled("three", "int64"))
    before = place.run(place.dataset(schema=schema), "HistGradientBoostingClassifier")
    once = recalibrated(place, before.output_digest, moved(a_frame(400, seed=4)), label="three", kind="int64")
    twice = recalibrated(place, once.output_digest, a_frame(400, seed=5), label="three", kind="int64")
    signature, mapped = answers(place, twice.output_digest, a_frame(50, seed=6))
    _, plain = answers(place, before.output_digest, a_frame(50, seed=6))
    assert signature.mapped is not None
    assert plain.probabilities is not None
    assert (signature.mapped.artifact, signature.mapped.in_graph) == (before.output_digest, False)
    wanted = ScoreMap(signature.mapped.slope, signature.mapped.bias).probabilities(plain.probabilities)
    assert mapped.probabilities == pytest.approx(wanted, abs=1e-6)


def test_numbers_get_a_line(place: Place) -> None:
    """Offset and scale are found, to the error of the rows."""
    before = place.run(place.dataset(schema=a_schema(labelled("value", "float64"))), "Ridge")
    later = moved(a_frame(800, seed=4))
    report = recalibrated(place, before.output_digest, later, label="value", kind="float64")
    ours, theirs = metric(report, "mae"), metric(report, "mae", champion=True)
    assert ours is not None
    assert theirs is not None
    assert ours < 0.4 * theirs
    signature, mapped = answers(place, report.output_digest, later)
    _, plain = answers(place, before.output_digest, later)
    assert signature.mapped is not None
    assert signature.mapped.slope == pytest.approx(1.8, rel=0.15)
    assert mapped.prediction == pytest.approx(plain.prediction * signature.mapped.slope + signature.mapped.bias[0])


def test_it_is_a_model_as_any_other(place: Place) -> None:
    """It has a reference of its own rows with its own answers, the same bytes each time, and can be recalibrated."""
    before = place.run(place.dataset())
    later = moved(a_frame(800, seed=4))
    data = place.dataset(later)
    again = [place.run(data, None, recalibration=Recalibration(artifact=before.output_digest)) for _ in range(2)]
    assert again[0].output_digest == again[1].output_digest
    assert again[0].environment_digest != "sha256:" + "0" * 64, "the built-in environment made it"
    assert any(note.startswith("recalibrated on 480 rows: softmax(") for note in again[0].notes)
    reference = load_reference(place.store, again[0].output_digest)
    assert reference.frame.height == later.height
    _, mapped = answers(place, again[0].output_digest, later[:1])
    assert mapped.probabilities is not None
    first = reference.frame.filter(pl.col("in.price") == later["price"][0])
    assert first["out.p.UP"][0] == pytest.approx(mapped.probabilities[0, 1], rel=1e-5)
    twice = recalibrated(place, again[0].output_digest, a_frame(800, seed=5), label="label", kind="string")
    _, back = answers(place, twice.output_digest, later)
    _, plain = answers(place, before.output_digest, later)
    assert back.probabilities is not None
    assert plain.probabilities is not None
    assert np.abs(back.probabilities - plain.probabilities).mean() < 0.05, "the world has moved back"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"rows": 60}, "36 rows to fit a map to, fewer than 50", id="few rows"),
        pytest.param({"turned": True}, "the answers rank these rows the wrong way round", id="turned round"),
        pytest.param({"label": "SIDEWAYS"}, "the rows have the class 'SIDEWAYS', which the model does not", id="class"),
        pytest.param({"drop": "region"}, "the model takes 'region' (string), which these rows do not", id="input"),
        pytest.param({"one": True}, "no map of the answers can be fitted: y: all rows are of one class", id="one"),
        pytest.param({"predicts": "flag"}, "the model predicts 'label' (string), the label of these rows", id="label"),
    ],
)
def test_rows_that_say_nothing_of_a_map_are_refused_with_the_way_out(
    place: Place, change: dict[str, Any], says: str
) -> None:
    """DataUnusable, in a sentence: train a model."""
    before = place.run(place.dataset())
    frame, fields = moved(a_frame(change.get("rows", 400), seed=4)), labelled("label", "string")
    if "turned" in change:
        frame = frame.with_columns(pl.col("label").replace({"UP": "DOWN", "DOWN": "UP"}))
    if "label" in change:
        frame = frame.with_columns(
            pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(change["label"])).otherwise("label").alias("label")
        )
    if "one" in change:
        frame = frame.with_columns(pl.lit("UP").alias("label"))
    if "drop" in change:
        fields = [one for one in fields if one["name"] != change["drop"]]
    if "predicts" in change:
        fields = labelled(change["predicts"], "boolean")
    data = place.dataset(frame, a_schema(fields))
    with pytest.raises(BadInput) as refused:
        place.run(data, None, recalibration=Recalibration(artifact=before.output_digest))
    assert refused.value.reason == Reason.DATA_UNUSABLE
    assert says in refused.value.message
    assert refused.value.message.endswith("train a model (spec.trainer.estimator); a monitor does so by do: Rebuild")


def test_a_model_that_takes_no_map_is_refused(place: Place, dataset: str) -> None:
    """OutputInvalid, with the reason, which a check tells the monitor beforehand."""
    before = place.run(dataset, "LinearSVC")
    with pytest.raises(BadInput, match="it answers with labels alone, without probabilities") as refused:
        place.run(dataset, None, recalibration=Recalibration(artifact=before.output_digest))
    assert refused.value.reason == Reason.OUTPUT_INVALID


def test_a_model_that_holds_what_is_personal_by_now_is_refused(place: Place, dataset: str) -> None:
    """The Dataset has marked the field since: a model that is kept must not keep its values."""
    before = place.run(dataset)
    marked = place.dataset(moved(a_frame(400, seed=4)), a_schema(pii=["region"]))
    with pytest.raises(BadInput, match=r"holds 3 values of 'region', which is in governance\.pii") as refused:
        place.run(marked, None, recalibration=Recalibration(artifact=before.output_digest))
    assert refused.value.reason == Reason.OUTPUT_INVALID


def test_a_map_that_no_file_holds_is_checked_data() -> None:
    """It keeps the order, has a bias per class, and stands in a graph only where there is one."""
    mapped = {"artifact": DIGEST, "inGraph": False, "slope": 2.0, "bias": [0.0, 1.0]}
    described = {
        "task": "classification",
        "format": "treelite",
        "inputs": [{"name": "price", "type": "float64"}],
        "columns": [{"name": "price", "type": "float64"}],
        "label": {"name": "label", "type": "string"},
        "classes": ["DOWN", "UP"],
        "estimator": {"name": "HistGradientBoostingClassifier"},
        "encoding": {"numbers": [{"column": "price"}]},
        "tolerance": "1e-6",
        "mapped": mapped,
    }
    signature = parse_signature(json.dumps(described).encode())
    assert signature.mapped is not None
    assert obstacle_of(signature) is None
    for wrong in ({"slope": 0.0}, {"slope": -1.0}, {"bias": [0.0]}, {"inGraph": True}):
        with pytest.raises(BadInput, match=r"model\.json: mapped: "):
            parse_signature(json.dumps({**described, "mapped": {**mapped, **wrong}}).encode())


def test_a_model_that_is_not_there_is_named(place: Place, dataset: str) -> None:
    """With the field that names it."""
    with pytest.raises(BadInput, match=r"spec\.trainer\.recalibration\.artifact: .*name that of a ModelVersion"):
        place.run(dataset, None, recalibration=Recalibration(artifact="sha256:" + "7" * 64))


# --- graphs that others have made ---


def a_graph(shape: list[Any], *, opset: int = 18, element: int = TensorProto.FLOAT) -> bytes:
    """Return a graph that hands on its input, of this shape."""
    node = helper.make_node("Identity", ["given"], ["p"])
    ends = [helper.make_tensor_value_info(name, element, shape) for name in ("given", "p")]
    graph = helper.make_graph([node], "own", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(model.SerializeToString())


def run_graph(content: bytes, names: dict[str, str], given: np.ndarray) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(list(names.values()), {"given": given}), strict=True))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param([[0.9, 0.1], [0.3, 0.7]], id="both columns"),
        pytest.param([[0.1], [0.7]], id="the second alone"),
        pytest.param([0.1, 0.7], id="the second alone, flat"),
    ],
)
def test_two_classes_in_any_shape_that_a_model_may_give(given: list[Any]) -> None:
    """One column is that of the second class."""
    fed = np.array(given, dtype=np.float32)
    content, names = graph_with_map(a_graph(["rows", *fed.shape[1:]]), "p", 2, 2.0, [0.0, 0.5])
    found = run_graph(content, names, fed)
    second = np.array([0.1, 0.7])
    wanted = ScoreMap(2.0, (0.0, 0.5)).probabilities(np.column_stack((1 - second, second)))
    assert found["probabilities"] == pytest.approx(wanted, abs=1e-6)
    assert found["label"].tolist() == [0, 1]


def test_no_row_and_probabilities_of_zero_have_an_answer() -> None:
    """A server asks for no rows at times, and forests say zero."""
    content, names = graph_with_map(a_graph(["rows", 3]), "p", 3, 0.5, [0.0, 1.0, -1.0])
    found = run_graph(content, names, np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32))
    assert np.isfinite(found["probabilities"]).all()
    assert found["probabilities"].sum(axis=1) == pytest.approx(1.0)
    assert run_graph(content, names, np.zeros((0, 3), dtype=np.float32))["label"].shape == (0,)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(a_graph(["rows", 2], opset=12), r"operators of version 12 of ai\.onnx, a map takes 13", id="old"),
        pytest.param(a_graph(["rows", 2]).replace(b"p", b"q"), "it has no output 'p'", id="another output"),
        pytest.param(b"no graph", "model.onnx: is not ONNX", id="no graph"),
    ],
)
def test_a_graph_that_takes_no_map_says_why(content: bytes, says: str) -> None:
    """Before anything is run."""
    with pytest.raises(BadInput, match=says):
        graph_with_map(content, "p", 2, 1.0, [0.0, 0.0])


def test_outputs_are_those_of_the_map() -> None:
    """A regression keeps its shape; names differ from all that the graph has, also when it has a map already."""
    content, names = graph_with_map(a_graph(["rows", 1], element=TensorProto.DOUBLE), "p", 0, 3.0, [1.0])
    assert Outputs.model_validate(names) == Outputs(value="recalibration1/value")
    assert run_graph(content, names, np.array([[1.0], [2.0]]))["value"].tolist() == [[4.0], [7.0]]
    again, twice = graph_with_map(content, names["value"], 0, 1.0, [-4.0])
    assert twice == {"value": "recalibration2/value"}
    assert run_graph(again, twice, np.array([[1.0]]))["value"].tolist() == [[0.0]]
    onnx.checker.check_model(onnx.load_from_string(again))
