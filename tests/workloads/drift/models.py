"""Real models made by hand for the streams of `bench/drift_streams.py`: linear in x0 to x4."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mlops.workloads.floor.model.signature import (
    EstimatorOf,
    Input,
    LabelColumn,
    ModelColumn,
    Outputs,
    Signature,
    write_signature,
)

NAMES = ("x0", "x1", "x2", "x3", "x4")


def write_linear(folder: Path, weights: Sequence[float], **changes: Any) -> Path:
    """A classifier of `bought` whose score is linear in the five numbers; `changes` are of its signature."""
    folder.mkdir(parents=True)
    table = np.array([[-w, w] for w in weights], dtype=np.float32) / 2
    nodes = [
        helper.make_node("IsNaN", ["x0"], ["gap"]),
        helper.make_node("Where", ["gap", "zero", "x0"], ["a"]),
        helper.make_node("Concat", ["a", *NAMES[1:]], ["matrix"], axis=1),
        helper.make_node("MatMul", ["matrix", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "by-hand",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in NAMES],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(table, "weights"), numpy_helper.from_array(np.zeros(1, np.float32), "zero")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx"
    )
    signature = Signature(
        task="classification",
        format="onnx",
        inputs=tuple(Input(name=name, type="float64", nullable=name == "x0") for name in NAMES),
        columns=tuple(ModelColumn(name=name, type="float64") for name in NAMES),
        label=LabelColumn(name="bought", type="string"),
        classes=("no", "yes"),
        positive="yes",
        estimator=EstimatorOf(name="LogisticRegression"),
        outputs=Outputs(probabilities="probabilities"),
        tolerance="0.0001",
    )
    write_signature(signature.evolve(**changes), folder)
    return folder
