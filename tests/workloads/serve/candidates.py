"""Candidates beside the model of `models`: one that is good, and some that fail in a way of their own for some rows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mlops.api import tasks
from mlops.workloads.floor.model.golden import write_golden
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.records.tally import Tally, added
from tests.workloads.serve.models import rows, write_model
from tests.workloads.serve.servers import Served, artifact_of, serving, task_of

VERSION = 4
# Rows with this in `count`, which no recorded row has, are those that a candidate fails.
BAD = 50
# So many turns of a loop take some seconds; and a few milliseconds.
STUCK_TURNS, SLOW_TURNS = 1 << 18, 2000


def write_candidate(folder: Path, kind: str = "good", turns: int = STUCK_TURNS, factor: float = 1.25) -> Path:
    """Another classifier of the same classes, with `factor` times the weights.

    `kind` says what it does to bad rows: "nan", "raises", "stuck", "outside"; to all rows: "slow"; "good": nothing;
    "fewer": it takes no `windy`, and the others the other way round.
    """
    write_model(folder)
    model = onnx.load(folder / "model.onnx")
    _change_weights(model.graph, factor)
    if kind == "nan":
        _answer_nan(model.graph)
    elif kind == "raises":
        _fail_to_find(model.graph)
    elif kind in ("stuck", "slow"):
        _take_long(model.graph, turns if kind == "stuck" else SLOW_TURNS, from_count=BAD if kind == "stuck" else -1)
    elif kind == "outside":
        change_signature(folder, clean=[{"filter": f"count <> {BAD}"}])
    elif kind == "fewer":
        _take_fewer(model.graph, folder / "model.json")
    onnx.save(model, folder / "model.onnx")
    (folder / "golden.json").unlink()
    predictor = Predictor.load(folder)
    write_golden(predictor, {one.name: rows(8)[one.name] for one in predictor.signature.inputs}, folder)
    return folder


def _change_weights(graph: onnx.GraphProto, factor: float) -> None:
    for number, tensor in enumerate(graph.initializer):
        if tensor.name == "weights":
            values = numpy_helper.to_array(tensor) * np.float32(factor)
            graph.initializer[number].CopyFrom(numpy_helper.from_array(values, "weights"))


def change_signature(folder: Path, **changes: Any) -> None:
    """Write other values into model.json."""
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _take_fewer(graph: onnx.GraphProto, signature: Path) -> None:
    for fields in (graph.node, graph.input):
        for one in [one for one in fields if "windy" in (one.name, *getattr(one, "input", ()))]:
            fields.remove(one)
    next(node for node in graph.node if node.op_type == "Concat").input.remove("c")
    for number, tensor in enumerate(graph.initializer):
        if tensor.name == "weights":
            values = np.delete(numpy_helper.to_array(tensor), 2, axis=0)
            graph.initializer[number].CopyFrom(numpy_helper.from_array(values, "weights"))
    document = json.loads(signature.read_text())
    for part in ("inputs", "columns"):
        document[part] = [one for one in document[part] if one["name"] != "windy"][::-1]
    signature.write_text(json.dumps(document))


def _between(graph: onnx.GraphProto, *nodes: onnx.NodeProto, **constants: Any) -> None:
    """Put nodes that make `b2` of `b`, the numbers of `count`, in front of the matrix."""
    for name, values in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    at = next(number for number, node in enumerate(graph.node) if node.op_type == "Concat")
    graph.node[at].input[1] = "b2"
    rest = list(graph.node[at:])
    del graph.node[at:]
    graph.node.extend([*nodes, *rest])


def _answer_nan(graph: onnx.GraphProto) -> None:
    _between(
        graph,
        helper.make_node("Sub", ["b", "bad"], ["off"]),
        helper.make_node("Div", ["off", "off"], ["one"]),
        helper.make_node("Mul", ["b", "one"], ["b2"]),
        bad=np.float32(BAD),
    )


def _fail_to_find(graph: onnx.GraphProto) -> None:
    _between(
        graph,
        helper.make_node("Gather", ["table", "count"], ["b2"]),
        table=np.arange(BAD, dtype=np.float32),
    )


def _take_long(graph: onnx.GraphProto, turns: int, from_count: int) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("MatMul", ["table", "eye"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("table", TensorProto.FLOAT, [64, 64]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [64, 64]),
        ],
    )
    _between(
        graph,
        helper.make_node("ReduceMax", ["count"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "limit"], ["begins"]),
        helper.make_node("Loop", ["turns", "begins", "ones"], ["table2"], body=body),
        helper.make_node("ReduceMax", ["table2"], ["one"], keepdims=0),
        helper.make_node("Mul", ["b", "one"], ["b2"]),
        limit=np.int64(from_count - 1 if from_count > 0 else -1),
        turns=np.int64(turns),
        ones=np.ones((64, 64), dtype=np.float32),
        eye=np.eye(64, dtype=np.float32),
    )


def shared_task(stable: str, candidate: str, weight: int = 20, *, shadow: int = 0, **more: Any) -> tasks.ServeTask:
    """The task of a stage with a candidate."""
    sticky = more.pop("sticky_header", None)
    given = tasks.ServeCandidate(
        version=VERSION, artifact=candidate, weight=weight, shadow_percent=shadow, sticky_header=sticky
    )
    return task_of(stable, **more).evolve(candidate=given)


@contextmanager
def comparing(
    folder: Path, stable: Path, candidate: Path, weight: int = 20, *, shadow: int = 0, ready: bool = True, **more: Any
) -> Iterator[Served]:
    """A server with two versions; `ready`: until the candidate is."""
    store = folder / "store"
    environ = {name: more.pop(name) for name in list(more) if name.isupper()}
    task = shared_task(artifact_of(store, stable), artifact_of(store, candidate), weight, shadow=shadow, **more)
    with serving(folder / "pod", store, task, **environ) as served:
        if ready:
            wait_for_candidate(served)
        yield served


def wait_for_candidate(served: Served, state: str = "ready", seconds: float = 30) -> None:
    """Return when the candidate is in this state."""
    deadline = time.monotonic() + seconds
    wanted = f'mlops_candidate_state{{state="{state}",version="{VERSION}"}} 1.0'
    while wanted not in served.ask("GET", "/metrics")[2].decode():
        assert time.monotonic() < deadline, (served.folder / "server.log").read_text()
        time.sleep(0.05)


def tally_files(served: Served) -> list[Path]:
    """The stored files of tallies."""
    return sorted((served.store / "objects/captures/team/weather/production/tallies").rglob("*.json"))


def tallied(served: Served) -> tuple[Tally, Tally]:
    """What the stable version and the candidate did, by all stored files."""
    documents = [json.loads(path.read_text()) for path in tally_files(served)]
    found = [Tally.load(one) for document in documents for one in document["tallies"]]
    assert served.task.candidate is not None
    return added(found, served.task.artifact), added(found, served.task.candidate.artifact)
