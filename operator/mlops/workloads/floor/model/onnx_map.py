"""Put a map of its answers behind an ONNX graph: the nodes of the graph stay as they are, a few follow them.

See `statistics.score_map` for the maps. What is calculated here is float64, whatever the graph before calculates in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlops.api.reasons import Reason
from mlops.statistics.score_map import LEAST_PROBABILITY
from mlops.workloads.floor.model.onnx_engine import check_onnx
from mlops.workloads.floor.pod import BadInput

# Softmax over one axis, and ArgMax of float64, are of this version.
FIRST_OPSET: Final = 13
_NAMES: Final = 1000


def graph_with_map(
    content: bytes, output: str, classes: int, slope: float, bias: Sequence[float]
) -> tuple[bytes, dict[str, str]]:
    """Return the graph with the map behind its output of that name, and what its outputs are called then.

    Of a classifier the output are probabilities (n, `classes`), or of two classes those of the second, (n, 1) or (n,);
    the new outputs are `label`, the index (n,) of the most probable class, and `probabilities` (n, classes). Of a
    regression (`classes` 0) the output is (n,) or (n, 1), and the new one `value` has its shape. Raises
    BadInput(FormatForbidden) for what is no graph that may be opened, OutputInvalid for one that cannot take a map.
    """
    model = check_onnx(content)
    _check(model, output)
    tail = _Tail(_free_prefix(model))
    if classes:
        names = _classes(tail, output, classes, slope, bias)
    else:
        value = tail.add("Mul", [tail.double(output), tail.constant(np.array(slope))])
        names = {"value": tail.add("Add", [value, tail.constant(np.array(bias[0]))], name="value")}
    graph = model.graph
    graph.node.extend(tail.nodes)
    graph.initializer.extend(tail.constants)
    ends = _ends(next(one for one in graph.output if one.name == output), names, classes)
    del graph.output[:]
    graph.output.extend(ends)
    return model.SerializeToString(deterministic=True), names


def _check(model: onnx.ModelProto, output: str) -> None:
    version = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if version < FIRST_OPSET:
        raise _no_map(
            f"it has operators of version {version} of ai.onnx, a map takes {FIRST_OPSET}: export the model again"
        )
    if output not in {one.name for one in model.graph.output}:
        raise _no_map(f"it has no output {output[:60]!r}")


def _classes(tail: _Tail, output: str, classes: int, slope: float, bias: Sequence[float]) -> dict[str, str]:
    table = tail.double(output)
    if classes == 2:
        # The second column alone says all of two classes, whether the graph gives one or both.
        table = tail.add("Reshape", [table, tail.constant(np.array([0, -1], dtype=np.int64))])
        last = tail.constant(np.array([-1], dtype=np.int64))
        table = tail.add("Gather", [table, last], axis=1)
        first = tail.add("Sub", [tail.constant(np.array(1.0)), table])
        table = tail.add("Concat", [first, table], axis=1)
    logarithm = tail.add("Log", [tail.add("Max", [table, tail.constant(np.array(LEAST_PROBABILITY))])])
    scaled = tail.add("Mul", [logarithm, tail.constant(np.array(slope))])
    shifted = tail.add("Add", [scaled, tail.constant(np.array([list(bias)]))])
    mapped = tail.add("Softmax", [shifted], name="probabilities", axis=1)
    label = tail.add("ArgMax", [mapped], name="label", axis=1, keepdims=0)
    return {"label": label, "probabilities": mapped}


def _ends(before: onnx.ValueInfoProto, names: dict[str, str], classes: int) -> list[onnx.ValueInfoProto]:
    """Return the new outputs; a number has the shape that it had, (n,) or (n, 1)."""
    if classes:
        return [
            helper.make_tensor_value_info(names["label"], TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info(names["probabilities"], TensorProto.DOUBLE, ["rows", classes]),
        ]
    value = onnx.ValueInfoProto()
    value.CopyFrom(before)
    value.name = names["value"]
    value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return [value]


class _Tail:
    """Nodes and constants, named under a prefix that the graph does not have."""

    def __init__(self, prefix: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._prefix = prefix

    def add(self, operator: str, inputs: list[str], name: str | None = None, **attributes: Any) -> str:
        made = f"{self._prefix}{name or f'{operator}{len(self.nodes)}'}"
        self.nodes.append(helper.make_node(operator, inputs, [made], name=made, **attributes))
        return made

    def double(self, name: str) -> str:
        return self.add("Cast", [name], to=TensorProto.DOUBLE)

    def constant(self, value: NDArray[Any]) -> str:
        name = f"{self._prefix}constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name


def _free_prefix(model: onnx.ModelProto) -> str:
    """Return a prefix that no name of the graph has: a model that was recalibrated before has the first ones."""
    graph = model.graph
    taken = {name for node in graph.node for name in (node.name, *node.input, *node.output)}
    taken |= {one.name for one in (*graph.initializer, *graph.input, *graph.output)}
    for number in range(1, _NAMES):
        prefix = f"recalibration{number}/"
        if not any(name.startswith(prefix) for name in taken):
            return prefix
    raise _no_map("it was recalibrated too often: train it again")


def _no_map(problem: str) -> BadInput:
    return BadInput(Reason.OUTPUT_INVALID, f"model.onnx: it takes no map of its answers: {problem}")
