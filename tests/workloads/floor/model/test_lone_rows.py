"""Rows answered together have the bits they have alone, and a graph that joins its columns takes them joined."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier

from mlops.workloads.floor.model import lone_rows as module
from mlops.workloads.floor.model.answer import Answer
from mlops.workloads.floor.model.cleaning import Cleaning, OutsideTraining
from mlops.workloads.floor.model.encoding import Encoder
from mlops.workloads.floor.model.engines import SklearnEngine
from mlops.workloads.floor.model.learnt import LearntFill, LearntStep
from mlops.workloads.floor.model.lone_rows import MOST_ROWS, LoneRows, lone_rows, rows_of
from mlops.workloads.floor.model.onnx_engine import OnnxEngine
from mlops.workloads.floor.model.onnx_graph import pipeline_graph
from mlops.workloads.floor.model.onnx_inputs import join_numbers
from mlops.workloads.floor.model.predictor import Prediction, Predictor
from mlops.workloads.floor.model.signature import (
    Encoding,
    EstimatorOf,
    Input,
    LabelColumn,
    ModelColumn,
    NumberEncoding,
    Outputs,
    Signature,
    TextEncoding,
)

COLOURS = ("blue", "green", "red")
ENCODING = Encoding(
    numbers=(NumberEncoding(column="a", fill=0.1, mean=0.3, scale=1.7), NumberEncoding(column="b", fill=0.0)),
    flags=("a",),
    texts=(TextEncoding(column="colour", kind="onehot", categories=COLOURS, other=True),),
)
ESTIMATORS: dict[str, Any] = {
    "forest": (RandomForestClassifier(20, random_state=0, max_depth=6), 3, True),
    "boosting": (GradientBoostingClassifier(n_estimators=20, random_state=0), 2, True),
    "logistic": (LogisticRegression(), 2, False),
    "network": (MLPClassifier((7,), random_state=0, max_iter=2000), 3, False),
    "trees": (ExtraTreesRegressor(10, random_state=0, max_depth=5), None, True),
    "ridge": (Ridge(), None, False),
}


def columns(number: int, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Rows with gaps and unseen texts."""
    random = np.random.default_rng(seed)
    colour = np.empty(number, dtype=object)
    colour[:] = [(*COLOURS, "unseen", None)[at] for at in random.integers(0, 5, number)]
    a = np.where(random.random(number) < 0.1, np.nan, random.normal(size=number))
    return {"a": a, "b": random.integers(-5, 5, number), "colour": colour}


def fitted(name: str) -> tuple[BaseEstimator, int | None]:
    estimator, classes, _ = ESTIMATORS[name]
    data = columns(400, seed=1)
    matrix = Encoder(ENCODING).matrix(data)
    score = matrix.sum(axis=1) + np.random.default_rng(2).normal(size=400)
    target = score if classes is None else np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))
    return estimator.fit(matrix, target), classes


def signature_of(classes: int | None, outputs: Outputs, **more: Any) -> Signature:
    return Signature(
        task="regression" if classes is None else "classification",
        format="onnx",
        inputs=(
            Input(name="a", type="float64", nullable=True),
            Input(name="b", type="int64"),
            Input(name="colour", type="string", nullable=True),
        ),
        columns=(
            ModelColumn(name="a", type="float64"),
            ModelColumn(name="b", type="int64"),
            ModelColumn(name="colour", type="string"),
        ),
        label=LabelColumn(name="y", type="float64" if classes is None else "int64"),
        classes=None if classes is None else tuple(range(classes)),
        estimator=EstimatorOf(name="Ridge"),
        encoding=ENCODING,
        outputs=outputs,
        tolerance="0.00001",
        **more,
    )


def predictor_of(name: str, **more: Any) -> Predictor:
    estimator, classes = fitted(name)
    graph = pipeline_graph(ENCODING, estimator, double=not ESTIMATORS[name][2])
    names = [one.name for one in graph.graph.output]
    outputs = Outputs(value=names[0]) if classes is None else Outputs(label=names[0], probabilities=names[1])
    signature = signature_of(classes, outputs, **more)
    return Predictor(signature, OnnxEngine(signature, graph.SerializeToString()))


def same(lone: LoneRows, predictor: Predictor, data: dict[str, np.ndarray[Any, Any]], size: int) -> None:
    """Hold rows in runs of so many against each alone, through arrays."""
    rows = [lone.completed(row) for row in rows_of(predictor.signature.inputs, data)]
    for at in range(0, len(rows), size):
        for number, found in enumerate(lone.answer(rows[at : at + size]), at):
            want = predictor.answer({name: values[number : number + 1] for name, values in data.items()})
            assert found.value == want.values[0]
            table = None if want.probabilities is None else want.probabilities[0].tolist()
            assert repr(found.probabilities) == repr(table), number


@pytest.mark.parametrize("name", ESTIMATORS)
def test_rows_together_have_the_bits_they_have_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In runs of every size that the model was found to allow, for rows that it was not measured with."""
    # What is found must not depend on how fast this processor is beside other work.
    monkeypatch.setattr(module, "_MEASURED_SECONDS", math.inf)
    predictor = predictor_of(name)
    lone = lone_rows(predictor, columns(32, seed=3), math.inf)
    assert lone is not None
    for size in {1, 2, 3, 7, 31, lone.most} - set(range(lone.most + 1, 65)):
        same(lone, predictor, columns(200, seed=size + 10), size)
    if name in ("forest", "boosting", "trees"):
        assert lone.most == MOST_ROWS, "trees add up row by row"


def test_an_estimator_of_scikit_learn_is_asked_by_rows_too() -> None:
    """Without a graph, by columns."""
    estimator, classes = fitted("forest")
    predictor = Predictor(signature_of(classes, Outputs()), SklearnEngine(signature_of(classes, Outputs()), estimator))
    lone = lone_rows(predictor, columns(8), math.inf)
    assert lone is not None
    same(lone, predictor, columns(50, seed=4), lone.most)


class Mixed:
    """An engine in which rows know of each other."""

    def run(self, data: Any) -> Any:
        values = np.nan_to_num(data["a"])
        return Answer(values - values.mean() if len(values) > 5 else values)


def test_a_model_in_which_rows_know_of_each_other_is_not_asked_for_many() -> None:
    """From six on it answers otherwise: five at most are asked together."""
    predictor = Predictor(signature_of(None, Outputs(value="value")), Mixed())
    lone = lone_rows(predictor, columns(16), math.inf)
    assert lone is not None
    assert lone.most == 5
    slow = lone_rows(predictor, columns(16), time.monotonic() - 1)
    assert slow is not None
    assert slow.most == 1, "there was no time to measure"


class Seldom:
    """An engine that adds up in another order for more rows, which one row in some eighty shows."""

    def __init__(self, above: float) -> None:
        self._above = above

    def run(self, data: Any) -> Any:
        values = np.nan_to_num(data["a"])
        return Answer(np.where((values > self._above) & (len(values) > 1), values + 1e-12, values))


def test_what_one_row_in_eighty_shows_is_found() -> None:
    """Also when no recorded row shows it, and small runs did not have that row."""
    data = columns(32, seed=3)
    predictor = Predictor(signature_of(None, Outputs(value="value")), Seldom(1.05 * float(np.nanmax(data["a"]))))
    lone = lone_rows(predictor, data, math.inf)
    assert lone is not None
    assert lone.most == 1


class Other:
    """An engine whose rows and columns disagree."""

    def run(self, data: Any) -> Any:
        return Mixed().run(data)

    def on_rows(self, slots: Any) -> Any:
        return lambda rows: ([row[slots["a"]] + 1e-12 for row in rows], None)


def test_what_does_not_give_the_same_bits_is_not_used() -> None:
    predictor = Predictor(signature_of(None, Outputs(value="value")), Other())
    assert lone_rows(predictor, {**columns(4), "a": np.arange(4.0)}, math.inf) is None


def test_fewer_answers_than_rows_are_refused() -> None:
    """An answer is nobody else's."""
    lone = LoneRows(Predictor(signature_of(None, Outputs(value="value")), Mixed()))
    lone._run = lambda rows: ([1.0], None)
    (one, other) = lone.answer([[1.0, 1, "red"], [2.0, 1, "red"]])
    assert one.value == other.value == 1.0, "asked again one by one"
    lone._run = lambda rows: ([1.0, 2.0], None)
    assert "2 answers to 1 rows" in str(lone.answer([[1.0, 1, "red"]])[0])


def told(clean: Callable[[], Any]) -> Any:
    """What cleaning gives, or what it says."""
    try:
        return clean()
    except OutsideTraining as error:
        return str(error)


def test_rows_are_cleaned_as_columns_are() -> None:
    """A constant for a missing value, a refusal with the same words."""
    steps = (
        LearntStep(fill_null=LearntFill(field="a", value=0.25)),
        LearntStep(drop_nulls=("colour",)),
        LearntStep(filter="b > -4"),
    )
    predictor = predictor_of("ridge", clean=steps)
    lone, cleaning = LoneRows(predictor), Cleaning(predictor.signature)
    data = columns(60, seed=6)
    refused = 0
    for number, row in enumerate(rows_of(predictor.signature.inputs, data)):
        single = {name: values[number : number + 1] for name, values in data.items()}
        want, found = (
            told(lambda single=single: rows_of(predictor.signature.inputs, cleaning(single))[0]),
            told(lambda row=row: lone.cleaned(row)),
        )
        assert found == want
        refused += type(found) is str
    assert 5 < refused < 40


# Joined columns


def graph_of(nodes: list[Any], inputs: dict[str, int], width: int = 1) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "by-hand",
        [helper.make_tensor_value_info(name, kind, ["n", width]) for name, kind in inputs.items()],
        [helper.make_tensor_value_info("out", TensorProto.DOUBLE, ["n", None])],
        [numpy_helper.from_array(np.array(2.0), "two")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


CONCAT = helper.make_node("Concat", ["a", "b"], ["matrix"], axis=1)
LAST = helper.make_node("Mul", ["matrix", "two"], ["out"])
BOTH = {"a": TensorProto.DOUBLE, "b": TensorProto.DOUBLE}


def test_a_graph_that_joins_its_columns_takes_them_joined() -> None:
    """With the same answers, and the checks of the graph say that it is whole."""
    model = graph_of([CONCAT, LAST], BOTH)
    before = onnxruntime.InferenceSession(model.SerializeToString())
    joined = join_numbers(model, {"a", "b"})
    assert joined is not None
    assert (joined.name, joined.columns) == ("matrix", ("a", "b"))
    onnx.checker.check_model(model)
    after = onnxruntime.InferenceSession(model.SerializeToString())
    a, b = np.random.default_rng(0).normal(size=(2, 5, 1))
    (want,) = before.run(None, {"a": a, "b": b})
    (found,) = after.run(None, {"matrix": np.concatenate([a, b], axis=1)})
    assert found.tobytes() == want.tobytes()


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(graph_of([CONCAT, LAST], {"a": TensorProto.DOUBLE, "b": TensorProto.FLOAT}), id="two types"),
        pytest.param(graph_of([CONCAT, LAST], BOTH, width=2), id="wider than a column"),
        pytest.param(graph_of([CONCAT, LAST], {"a": TensorProto.INT64, "b": TensorProto.INT64}), id="whole numbers"),
        pytest.param(
            graph_of([CONCAT, LAST, helper.make_node("Neg", ["a"], ["more"])], BOTH), id="a column is used elsewhere"
        ),
        pytest.param(
            graph_of([helper.make_node("Concat", ["a", "b"], ["matrix"], axis=0), LAST], BOTH), id="one under another"
        ),
        pytest.param(graph_of([helper.make_node("Concat", ["a", "two"], ["out"], axis=1)], BOTH), id="a constant"),
        pytest.param(graph_of([helper.make_node("Concat", ["a", "b"], ["out"], axis=1)], BOTH), id="joined is all"),
        pytest.param(graph_of([helper.make_node("Concat", ["a", "a"], ["matrix"], axis=1), LAST], BOTH), id="twice"),
    ],
)
def test_any_other_graph_is_left_as_it_is(model: onnx.ModelProto) -> None:
    before = model.SerializeToString()
    assert join_numbers(model, {"a", "b"}) is None
    assert model.SerializeToString() == before


def test_the_answers_of_a_joined_graph_are_those_of_onnxruntime_alone() -> None:
    """What is served of the exported pipeline is what the file itself gives, bit for bit."""
    estimator, _ = fitted("forest")
    graph = pipeline_graph(ENCODING, estimator, double=False)
    predictor = predictor_of("forest")
    data = columns(40, seed=8)
    texts = np.array([value or "" for value in data["colour"]], dtype=object).reshape(-1, 1)
    feeds = {"a": data["a"].reshape(-1, 1), "b": data["b"].astype(float).reshape(-1, 1), "colour": texts}
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    label, table = session.run(None, feeds)
    found: Prediction = predictor.predict(data)
    assert found.prediction.tolist() == label.tolist()
    want = predictor.engine.run(data).probabilities
    assert want is not None
    assert want.tobytes() == table.astype(np.float64).tobytes()
