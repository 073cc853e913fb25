"""Small models made by hand, so that what a server must answer is known without a trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mlops.api.dataset import FieldType
from mlops.workloads.floor.model.golden import write_golden
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import (
    EstimatorOf,
    Input,
    LabelColumn,
    ModelColumn,
    Outputs,
    Signature,
    write_signature,
)

INPUTS = (
    Input(name="temperature", type="float64", nullable=True),
    Input(name="count", type="int64"),
    Input(name="windy", type="boolean"),
    Input(name="colour", type="string", nullable=True),
)
COLOURS = ("red", "green", "blue")


def rows(number: int, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Inputs of so many rows, none missing."""
    random = np.random.default_rng(seed)
    colours = np.empty(number, dtype=object)
    colours[:] = random.choice(COLOURS, number).tolist()
    return {
        "temperature": random.normal(size=number),
        "count": random.integers(0, 10, number),
        "windy": random.random(number) < 0.5,
        "colour": colours,
    }


def write_model(folder: Path, classes: tuple[bool | int | str, ...] | None = ("dry", "rain")) -> Path:
    """A linear model over four columns: a classifier of these classes, or (None) a regressor."""
    folder.mkdir(parents=True)
    width = len(classes) if classes else 1
    onnx.save(_graph(width, classifies=classes is not None), folder / "model.onnx")
    outputs = Outputs(probabilities="probabilities") if classes else Outputs(value="value")
    signature = Signature(
        task="classification" if classes else "regression",
        format="onnx",
        inputs=INPUTS,
        columns=tuple(ModelColumn(name=one.name, type=one.type) for one in INPUTS),
        label=LabelColumn(name="y", type=_type_of(classes)),
        classes=classes,
        positive=classes[1] if classes and len(classes) == 2 else None,
        estimator=EstimatorOf(name="LogisticRegression"),
        outputs=outputs,
        tolerance="0.00001",
    )
    write_signature(signature, folder)
    write_golden(Predictor.load(folder), rows(8), folder)
    return folder


def _type_of(classes: tuple[bool | int | str, ...] | None) -> FieldType:
    kinds: dict[type, FieldType] = {bool: "boolean", int: "int64", str: "string"}
    return kinds[type(classes[0])] if classes else "float64"


def feeds(inputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """The same inputs as onnxruntime takes them directly."""
    types = {"temperature": np.float32, "count": np.int64, "windy": np.bool_, "colour": object}
    return {name: np.asarray(values, dtype=types[name]).reshape(-1, 1) for name, values in inputs.items()}


def _graph(width: int, *, classifies: bool) -> onnx.ModelProto:
    random = np.random.default_rng(7)
    weights = random.normal(size=(4, width)).astype(np.float32)
    bias = random.normal(size=width).astype(np.float32)
    constants = {"weights": weights, "bias": bias, "zero": np.zeros(1, dtype=np.float32)}
    output = "probabilities" if classifies else "value"
    nodes = [
        helper.make_node("IsNaN", ["temperature"], ["gap"]),
        helper.make_node("Where", ["gap", "zero", "temperature"], ["a"]),
        helper.make_node("Cast", ["count"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["windy"], ["c"], to=TensorProto.FLOAT),
        helper.make_node(
            "LabelEncoder",
            ["colour"],
            ["d"],
            domain="ai.onnx.ml",
            keys_strings=list(COLOURS),
            values_floats=[1.0, 2.0, 3.0],
            default_float=0.0,
        ),
        helper.make_node("Concat", ["a", "b", "c", "d"], ["matrix"], axis=1),
        helper.make_node("Gemm", ["matrix", "weights", "bias"], ["scores" if classifies else output]),
    ]
    if classifies:
        nodes.append(helper.make_node("Softmax", ["scores"], [output], axis=1))
    types = {
        "temperature": TensorProto.FLOAT,
        "count": TensorProto.INT64,
        "windy": TensorProto.BOOL,
        "colour": TensorProto.STRING,
    }
    graph = helper.make_graph(
        nodes,
        "by-hand",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in types.items()],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, width])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)
