"""An ONNX graph is given the value of the column, or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from mlops.workloads.floor.model.lone_rows import LoneRows
from mlops.workloads.floor.model.onnx_engine import OnnxEngine, _whole
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import EstimatorOf, Input, LabelColumn, ModelColumn, Outputs, Signature
from mlops.workloads.floor.pod import BadInput


@pytest.mark.parametrize(
    ("values", "element"),
    [
        pytest.param(np.array([1 << 40]), np.int32, id="too large for int32"),
        pytest.param(np.array([1.5]), np.int64, id="fraction for int64"),
        pytest.param(np.array([2]), np.bool_, id="two for bool"),
    ],
)
def test_what_a_graph_cannot_hold_is_refused(values: Any, element: Any) -> None:
    """It names the input and the way out."""
    with pytest.raises(
        BadInput, match=r"n: holds a value that its .* cannot; declare the input as int64, or as double"
    ):
        _whole(values, "n", element)


@pytest.mark.parametrize(
    "values",
    [pytest.param(np.array([1.0, np.nan]), id="floats"), pytest.param(np.array([1 << 60, None]), id="objects")],
)
def test_a_gap_is_no_whole_number(values: Any) -> None:
    """However the gap is written."""
    with pytest.raises(BadInput, match="a value is missing; declare the input as double"):
        _whole(values, "n", np.int64)


def test_what_fits_is_given() -> None:
    """Whole numbers beside each other, however they are written."""
    assert _whole(np.array([3.0, -4.0]), "n", np.int32).tolist() == [3, -4]


SIGNATURE = Signature(
    task="regression",
    format="onnx",
    inputs=(Input(name="a", type="float64", nullable=True), Input(name="b", type="float64")),
    columns=(ModelColumn(name="a", type="float64"), ModelColumn(name="b", type="float64")),
    label=LabelColumn(name="y", type="float64"),
    estimator=EstimatorOf(name="Ridge"),
    outputs=Outputs(value="out"),
    tolerance="0.00001",
)
FARTHEST = float(np.finfo(np.float32).max)
# The first number that is rounded to an infinity.
BEYOND = 2.0**128 - 2.0**103


def engine_of(inputs: dict[str, list[Any]], nodes: list[Any], element: int) -> tuple[OnnxEngine, LoneRows]:
    """A graph that answers `-b`."""
    graph = helper.make_graph(
        nodes,
        "by-hand",
        [helper.make_tensor_value_info(name, element, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("out", element, None)],
        [numpy_helper.from_array(np.array([1]), "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    engine = OnnxEngine(SIGNATURE, model.SerializeToString())
    return engine, LoneRows(Predictor(SIGNATURE, engine))


MATRIX = [helper.make_node("Gather", ["x", "second"], ["b"], axis=1), helper.make_node("Neg", ["b"], ["out"])]
SHAPES = {
    "matrix": ({"x": ["n", 2]}, MATRIX),
    "joined": (
        {"a": ["n", 1], "b": ["n", 1]},
        [
            helper.make_node("Concat", ["a", "b"], ["x"], axis=1),
            helper.make_node("Gather", ["x", "second"], ["c"], axis=1),
            helper.make_node("Neg", ["c"], ["out"]),
        ],
    ),
    "columns": ({"a": ["n", 1], "b": ["n", 1]}, [helper.make_node("Neg", ["b"], ["out"])]),
    "flat": ({"a": ["n"], "b": ["n"]}, [helper.make_node("Neg", ["b"], ["out"])]),
}


@pytest.mark.parametrize("far", [1e300, -1e300, BEYOND])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_number_beyond_float32_is_refused_by_name_and_others_have_their_answers(shape: str, far: float) -> None:
    """As columns, and as rows that are asked together: it would reach the graph as an infinity."""
    engine, lone = engine_of(*SHAPES[shape], TensorProto.FLOAT)
    says = r"model.onnx: b: row 1 holds a number beyond float32 .*3\.4028235e\+38\); declare the input as double"
    columns = {"a": np.array([np.nan, 1.0, 2.0]), "b": np.array([1.0, far, 3.0])}
    with pytest.raises(BadInput, match=says):
        engine.run(columns)
    first, second, third = lone.answer([[float("nan"), 1.0], [1.0, far], [2.0, 3.0]])
    assert isinstance(second, BadInput)
    assert "b: row 0 holds a number beyond float32" in second.message
    assert [first.value, third.value] == [-1.0, -3.0]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_farthest_number_that_float32_holds_is_given(shape: str) -> None:
    """And what is rounded to it."""
    _, lone = engine_of(*SHAPES[shape], TensorProto.FLOAT)
    for most in (FARTHEST, np.nextafter(BEYOND, 0)):
        found = lone.answer([[0.0, float(most)], [0.0, -float(most)]])
        assert [one.value for one in found] == [-FARTHEST, FARTHEST]


@pytest.mark.parametrize("shape", SHAPES)
def test_double_takes_what_float32_does_not(shape: str) -> None:
    """The way out that the refusal names."""
    _, lone = engine_of(*SHAPES[shape], TensorProto.DOUBLE)
    assert [one.value for one in lone.answer([[0.0, 1e300], [1e300, 1.0]])] == [-1e300, -1.0]
