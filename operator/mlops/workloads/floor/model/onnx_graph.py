"""Write an encoding and a fitted estimator as one ONNX graph with one input per column."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

from mlops.workloads.floor.model.encoding import LARGEST, codes_of, default_code, slots, width
from mlops.workloads.floor.model.signature import Encoding, TextEncoding

# Fixed, so that the bytes change with a release of ours and not with one of theirs.
OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 8
MATRIX = "encoding/matrix"


def pipeline_graph(encoding: Encoding, estimator: Any, *, double: bool) -> onnx.ModelProto:
    """Return encoding and estimator as one graph that calculates in float64 (`double`) or, after the encoding, float32.

    Inputs are the columns, (n, 1), float64 or string; outputs are `estimator/label` and `estimator/probabilities`, or
    `estimator/variable`. Raises whatever skl2onnx raises for an estimator that it cannot convert.
    """
    kind = DoubleTensorType if double else FloatTensorType
    # Probabilities as a tensor, not as a list of dictionaries; LinearSVC has none, and refuses the option.
    maps = hasattr(estimator, "classes_") and type(estimator).__name__ != "LinearSVC"
    options = {id(estimator): {"zipmap": False}} if maps else None
    core = to_onnx(
        estimator,
        name="estimator",
        initial_types=[("matrix", kind([None, width(encoding)]))],
        options=options,
        target_opset=OPSETS,
    )
    core = compose.add_prefix(core, "estimator/")
    front = encoding_graph(encoding, double=double)
    core.ir_version = IR_VERSION
    imports = sorted({**{one.domain: one.version for one in core.opset_import}, **OPSETS}.items())
    for model in (front, core):
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in imports)
    merged = compose.merge_models(front, core, io_map=[(MATRIX, core.graph.input[0].name)], name="model")
    merged.producer_name = "mlops-operator"
    for field in ("producer_version", "domain", "doc_string"):
        merged.ClearField(field)
    return merged


def encoding_graph(encoding: Encoding, *, double: bool) -> onnx.ModelProto:
    """Return the encoding as a graph: columns (n, 1) to `encoding/matrix` (n, width)."""
    graph = _Graph()
    blocks: list[str] = []
    if encoding.numbers:
        blocks += _numbers(graph, encoding)
    blocks += [_text(graph, text) for text in encoding.texts]
    joined = graph.add("Concat", blocks, axis=1)
    element = TensorProto.DOUBLE if double else TensorProto.FLOAT
    if encoding.single and double:
        joined = graph.add("Cast", [joined], to=TensorProto.FLOAT)
    graph.nodes.append(helper.make_node("Cast", [joined], [MATRIX], to=element))
    inputs = [helper.make_tensor_value_info(one.column, TensorProto.DOUBLE, ["rows", 1]) for one in encoding.numbers]
    inputs += [helper.make_tensor_value_info(one.column, TensorProto.STRING, ["rows", 1]) for one in encoding.texts]
    output = helper.make_tensor_value_info(MATRIX, element, ["rows", width(encoding)])
    body = helper.make_graph(graph.nodes, "encoding", inputs, [output], initializer=graph.constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in sorted(OPSETS.items())]
    return helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION)


class _Graph:
    """Nodes and constants with names counted up; the slash keeps them apart from any column's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        name = f"encoding/{operator}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], domain=domain, name=name, **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        name = f"encoding/constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name


def _numbers(graph: _Graph, encoding: Encoding) -> list[str]:
    numbers = encoding.numbers
    names = [number.column for number in numbers]
    raw = graph.add("Concat", names, axis=1)
    magnitude = graph.add("Abs", [raw])
    usable = graph.add("LessOrEqual", [magnitude, graph.constant(np.array(LARGEST))])
    fill = graph.constant(np.array([[np.nan if one.fill is None else one.fill for one in numbers]]))
    value = graph.add("Where", [usable, raw, fill])
    if any(one.mean != 0 or one.scale != 1 for one in numbers):
        value = graph.add("Sub", [value, graph.constant(np.array([[one.mean for one in numbers]]))])
        value = graph.add("Div", [value, graph.constant(np.array([[one.scale for one in numbers]]))])
    if not encoding.flags:
        return [value]
    indices = graph.constant(np.array([names.index(column) for column in encoding.flags], dtype=np.int64))
    flagged = graph.add("Gather", [usable, indices], axis=1)
    return [value, graph.add("Cast", [graph.add("Not", [flagged])], to=TensorProto.DOUBLE)]


def _text(graph: _Graph, text: TextEncoding) -> str:
    codes = codes_of(text)
    code = graph.add(
        "LabelEncoder",
        [text.column],
        domain="ai.onnx.ml",
        keys_strings=list(codes),
        values_int64s=list(codes.values()),
        default_int64=default_code(text),
    )
    if text.kind == "onehot":
        number = graph.constant(np.arange(slots(text), dtype=np.int64)[None, :])
        return graph.add("Cast", [graph.add("Equal", [code, number])], to=TensorProto.DOUBLE)
    known = graph.add("GreaterOrEqual", [code, graph.constant(np.array([[0]], dtype=np.int64))])
    unknown = graph.constant(np.array([[np.nan if text.unknown is None else text.unknown]]))
    return graph.add("Where", [known, graph.add("Cast", [code], to=TensorProto.DOUBLE), unknown])
