"""An ONNX graph that begins by joining its columns is given the joined matrix: one array a run, not one a column.

What ONNX Runtime spends on an input is more than what it spends on a row. The graph is changed in memory only; joining
calculates nothing, so the answers keep their bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import onnx
from onnx import TensorProto


@dataclass(frozen=True)
class Joined:
    """A matrix input: its name in the graph, and the columns that it has, in their order."""

    name: str
    columns: tuple[str, ...]


def join_numbers(model: onnx.ModelProto, numbers: Collection[str]) -> Joined | None:
    """Let the graph take a matrix instead of its columns among `numbers`, if a Concat of them is all it does with them.

    Changes `model`, or returns None and leaves it as it was.
    """
    graph = model.graph
    given = {one.name: one for one in graph.input}
    used = Counter(name for node in graph.node for name in node.input)
    # What a graph within a node reads is not told by the node's inputs.
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return None
    constants = {one.name for one in graph.initializer} | {one.values.name for one in graph.sparse_initializer}
    outputs = {one.name for one in graph.output}
    for node in graph.node:
        names = tuple(node.input)
        if node.op_type != "Concat" or node.domain not in ("", "ai.onnx") or len(names) < 2 or len(node.output) != 1:
            continue
        if not all(name in numbers and name in given and used[name] == 1 for name in names):
            continue
        kinds = {_kind(given[name]) for name in names}
        axis = {attribute.name: attribute.i for attribute in node.attribute}
        free = not (set(names) | {node.output[0]}) & (constants | outputs) and node.output[0] not in numbers
        if len(kinds) != 1 or None in kinds or axis != {"axis": 1} or not free:
            continue
        return _join(graph, node, names, kinds.pop() or 0)
    return None


def _kind(one: onnx.ValueInfoProto) -> int | None:
    """Return the element of a column (rows, 1) of fractions; None for anything else."""
    tensor = one.type.tensor_type
    if tensor.elem_type not in (TensorProto.DOUBLE, TensorProto.FLOAT) or len(tensor.shape.dim) != 2:
        return None
    return int(tensor.elem_type) if tensor.shape.dim[1].dim_value == 1 else None


def _join(graph: onnx.GraphProto, node: onnx.NodeProto, names: tuple[str, ...], kind: int) -> Joined:
    name = str(node.output[0])
    rest = [one for one in graph.input if one.name not in names]
    matrix = onnx.helper.make_tensor_value_info(name, kind, ["rows", len(names)])
    nodes = [one for one in graph.node if one is not node]
    del graph.input[:]
    graph.input.extend([matrix, *rest])
    del graph.node[:]
    graph.node.extend(nodes)
    inner = [one for one in graph.value_info if one.name != name]
    del graph.value_info[:]
    graph.value_info.extend(inner)
    return Joined(name, names)
