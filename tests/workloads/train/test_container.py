"""A model that the user's own code left: taken over if it is sound, else a clear word."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

from mlops.api import tasks
from mlops.workloads.floor.model.onnx_graph import pipeline_graph
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import Encoding, NumberEncoding
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.outputs import MAX_ENTRIES
from tests.workloads.train.runs import FIELDS, Place, a_frame, a_schema, field, metric

NUMBERS = [one for one in FIELDS if one["name"] not in ("region", "demand", "holiday")]


def linear_graph(width: int, outputs: list[tuple[str, int, list[Any]]], input_name: str = "X") -> onnx.ModelProto:
    """One float matrix in; the mean of its columns, as each of `outputs` (name, element, shape)."""
    matrix = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["n", width])
    nodes = [helper.make_node("ReduceMean", [input_name, "axis"], ["mean"], keepdims=1)]
    nodes += [helper.make_node("Cast", ["mean"], [name], to=element) for name, element, _ in outputs]
    shown = [helper.make_tensor_value_info(name, element, shape) for name, element, shape in outputs]
    axis = numpy_helper.from_array(np.array([1], dtype=np.int64), "axis")
    graph = helper.make_graph(nodes, "own", [matrix], shown, [axis])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def outputs(place: Place) -> Path:
    """The folder that the user's code writes to."""
    return place.new("outputs")


def test_a_bare_graph_with_one_input_per_column_is_described_and_measured(place: Place, outputs: Path) -> None:
    """model.onnx alone is enough: the data's contract says the rest."""
    dataset = place.dataset(schema=a_schema(NUMBERS, features=[]))
    frame = a_frame()[:300]
    matrix = frame.select("price", "count").to_numpy().astype(np.float64)
    model = LogisticRegression().fit(matrix, (frame["label"] == "UP").to_numpy().astype(int))
    encoding = Encoding(numbers=(NumberEncoding(column="price"), NumberEncoding(column="count")))
    (outputs / "model.onnx").write_bytes(pipeline_graph(encoding, model, double=True).SerializeToString())
    (outputs / "metrics.json").write_text('{"test": {"my_cost": 12.5, "accuracy": 1}}')
    report = place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    assert metric(report, "my_cost") == 12.5
    # Ours is measured on the rows, whatever the container said.
    assert metric(report, "accuracy") != 1
    signature = Predictor.load(place.model(report)).signature
    assert signature.classes == ("DOWN", "UP")
    assert signature.estimator.name == "container"


def test_a_regression_with_one_matrix_is_taken(place: Place, outputs: Path) -> None:
    """One float input of all columns, in their order."""
    fields = [field("price", "float64"), field("count", "int64"), field("value", "float64", "label")]
    dataset = place.dataset(schema=a_schema(fields, features=[]))
    graph = linear_graph(2, [("out", TensorProto.FLOAT, ["n", 1])])
    (outputs / "model.onnx").write_bytes(graph.SerializeToString())
    report = place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    assert {one.name for one in report.metrics} == {"mae", "rmse", "r2"}


def test_a_folder_in_the_shape_of_an_artifact_is_taken(place: Place, outputs: Path) -> None:
    """What one run stored, another may start from."""
    dataset = place.dataset()
    made = place.run(dataset, "HistGradientBoostingClassifier")
    place.store.get(made.output_digest, outputs)
    report = place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)), environment_digest=made.output_digest)
    assert report.format == "treelite"
    assert metric(report, "roc_auc") == metric(made, "roc_auc")
    assert report.prediction_digest == made.prediction_digest
    assert report.environment_digest == made.output_digest


@pytest.mark.parametrize(
    ("declared", "handed_in", "want"), [(None, "DOWN", "DOWN"), (None, None, "UP"), ("UP", "DOWN", "UP")]
)
def test_f1_of_a_model_that_is_handed_in_is_of_the_class_that_the_contract_names(
    place: Place, outputs: Path, declared: str | None, handed_in: str | None, want: str
) -> None:
    """Else of the one that its model.json names: training and drift checks read the same."""
    made = place.run(place.dataset())
    by_class = {"UP": metric(made, "f1"), "DOWN": None}
    fields = [one | ({"positiveClass": declared} if one["role"] == "label" and declared else {}) for one in FIELDS]
    first = [one | ({"positiveClass": "DOWN"} if one["role"] == "label" else {}) for one in FIELDS]
    by_class["DOWN"] = metric(place.run(place.dataset(schema=a_schema(first))), "f1")
    assert by_class["UP"] != by_class["DOWN"]
    _artifact(place, outputs, positive=handed_in)
    report = place.run(place.dataset(schema=a_schema(fields)), None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    assert report.positive_class == want
    assert metric(report, "f1") == by_class[want]


class _Payload:
    """Opening its pickle would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[Path, str], int], tuple[Path, str]]:
        return (Path.write_text, (self.target, "executed"))


@pytest.mark.parametrize("name", ["model.onnx", "model.pkl", "model.joblib", "model", "best.pickle"])
def test_a_pickle_is_refused_and_never_opened(place: Place, outputs: Path, tmp_path: Path, name: str) -> None:
    """Under any name: the format is refused, the payload does not run."""
    target = tmp_path / "executed"
    (outputs / name).write_bytes(pickle.dumps(_Payload(target)))
    with pytest.raises(BadInput, match=rf"{name}: .*a model is ONNX, treelite or skops") as info:
        place.run(place.dataset(), None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    assert info.value.reason == "FormatForbidden"
    assert not target.exists()


def _graph(width: int = 4, *outputs: tuple[str, int, list[Any]], name: str = "X") -> bytes:
    return bytes(linear_graph(width, list(outputs), name).SerializeToString())


@pytest.mark.parametrize(
    ("files", "want"),
    [
        pytest.param({}, r"holds no model \(it holds nothing\): write model\.onnx", id="nothing"),
        pytest.param({"plot.png": b"x"}, r"it holds plot\.png", id="something else"),
        pytest.param({"model.json": b"{"}, "model.json is not JSON", id="broken signature"),
        pytest.param(
            {"model.json": b'{"formatVersion": 1}'}, "model.json: task: Field required", id="incomplete signature"
        ),
        pytest.param(
            {"model.onnx": _graph(3, ("p", TensorProto.FLOAT, ["n", 2]))},
            r"the input 'X' is tensor\(float\) of shape \['n', 3\]; .* of shape \(rows, 2\): the columns price, count",
            id="other number of columns",
        ),
        pytest.param(
            {"model.onnx": _graph(2, ("a", TensorProto.FLOAT, ["n", 2]), ("b", TensorProto.FLOAT, ["n", 2]))},
            "a classifier has one output of probabilities",
            id="two outputs alike",
        ),
        pytest.param(
            {"model.onnx": _graph(2, ("p", TensorProto.FLOAT, ["n", 1]))},
            r"the answer to row 0 is \[.*\], which are no probabilities: end the model in a sigmoid or softmax",
            id="scores for probabilities",
        ),
        pytest.param(
            {"model.onnx": _graph(2, ("label", TensorProto.INT64, ["n", 1]))},
            "is none of the classes",
            id="labels out of range",
        ),
        pytest.param(
            {"model.onnx": _graph(2, ("l", TensorProto.INT64, ["n"])), "metrics.json": b'{"tset": {}}'},
            "metrics.json: 'tset': expected one of train, validation, test",
            id="unknown part",
        ),
        pytest.param(
            {"model.onnx": _graph(2, ("l", TensorProto.INT64, ["n"])), "metrics.json": b'{"test": {"auc": "NaN"}}'},
            r"metrics.json: test.auc: 'NaN' is no finite number",
            id="metric without bound",
        ),
        pytest.param(
            {"model.onnx": _graph(2, ("l", TensorProto.INT64, ["n"])), "metrics.json": b'{"test": {"My Metric": 1}}'},
            "lower-case letters",
            id="metric's name",
        ),
    ],
)
def test_bad_outputs_say_what_is_wrong_and_what_is_allowed(
    place: Place, outputs: Path, files: dict[str, bytes], want: str
) -> None:
    """OutputInvalid, with the way out."""
    for name, content in files.items():
        (outputs / name).write_bytes(content)
    dataset = place.dataset(schema=a_schema(NUMBERS, features=[]))
    with pytest.raises(BadInput, match=want) as info:
        place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    assert info.value.reason == "OutputInvalid"


def test_probabilities_of_other_classes_are_refused(place: Place, outputs: Path) -> None:
    """Three columns cannot speak of two classes."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("X", "p")]
    graph = helper.make_graph([helper.make_node("Softmax", ["X"], ["p"])], "own", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (outputs / "model.onnx").write_bytes(model.SerializeToString())
    dataset = place.dataset(schema=a_schema(NUMBERS))
    with pytest.raises(BadInput, match=r"'p' has 3 columns, and the label 'label' has 2 classes \(DOWN, UP\)"):
        place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))


def test_a_link_is_not_followed(place: Place, outputs: Path) -> None:
    """It could name a file of the pod that nobody meant to publish."""
    (outputs / "model.onnx").symlink_to("/etc/hostname")
    with pytest.raises(BadInput, match=r"model\.onnx is no plain file"):
        place.run(place.dataset(), None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))


def test_a_signature_for_other_columns_is_refused(place: Place, outputs: Path) -> None:
    """A model of another data set would be measured on numbers that mean something else."""
    made = place.run(place.dataset())
    place.store.get(made.output_digest, outputs)
    document = json.loads((outputs / "model.json").read_text())
    document["inputs"][0]["name"] = document["columns"][0]["name"] = "weight"
    document["encoding"]["numbers"][0]["column"] = "weight"
    document["encoding"]["flags"] = []
    (outputs / "model.json").write_text(json.dumps(document))
    with pytest.raises(BadInput, match=r"'weight' \(float64\) is no feature of the data; those are: demand"):
        place.run(place.dataset(), None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))


def _artifact(place: Place, outputs: Path, **changes: Any) -> Path:
    """A whole artifact in the outputs folder, whose model.json says something else."""
    place.store.get(place.run(place.dataset()).output_digest, outputs)
    document = json.loads((outputs / "model.json").read_text())
    (outputs / "model.json").write_text(json.dumps(document | changes))
    return outputs


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        pytest.param("SUM(price) OVER ()", "gap.*|not computed row by row|features", id="other rows"),
        pytest.param("(SELECT price)", "subquery", id="subquery"),
        pytest.param("RANDOM()", r"random\(\)", id="chance"),
        pytest.param("label = 'UP'", '"label", which is no column', id="the label"),
    ],
)
def test_an_expression_in_a_model_json_passes_the_list_of_a_datasets_expressions(
    place: Place, outputs: Path, expression: str, want: str
) -> None:
    """Whoever wrote the file: at collecting it, and when another program hands it to a server."""
    features = [{"name": "gap", "expression": expression, "type": "float64"}]
    _artifact(place, outputs, features=features)
    with pytest.raises(BadInput, match=rf"model\.json: features\[0\]\.expression: .*({want})") as info:
        place.run(place.dataset(), None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    assert info.value.reason == "OutputInvalid"
    with pytest.raises(BadInput, match=r"model\.json: features\[0\]\.expression"):
        Predictor.load(outputs)


def test_a_model_whose_structure_lies_is_refused_by_name_and_never_opened_beside_the_keys(
    place: Place, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trees of a sound artifact with one child that leads nowhere; this process asks no engine for anything."""
    place.store.get(place.run(place.dataset(), "HistGradientBoostingClassifier").output_digest, outputs)
    content = bytearray((outputs / "model.treelite").read_bytes())
    # The first child of the first tree stands behind its length, which stands behind the types of the nodes.
    at = content.index(b"{}", content.index(b"sigmoid")) + 2 + 4
    nodes = int.from_bytes(content[at : at + 4], "little")
    cleft = at + 4 + 1 + 8 + nodes + 8
    content[cleft : cleft + 4] = (1 << 29).to_bytes(4, "little")
    (outputs / "model.treelite").write_bytes(content)
    dataset = place.dataset()
    monkeypatch.setattr(Predictor, "load", None)
    with pytest.raises(BadInput, match=r"model\.treelite: tree 0: a node's child is none of the") as info:
        place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    assert info.value.reason == "FormatForbidden"


def test_collecting_opens_no_engine_in_its_own_process(
    place: Place, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sound model, too: described, measured and recorded by the child."""
    fields = [field("price", "float64"), field("count", "int64"), field("value", "float64", "label")]
    dataset = place.dataset(schema=a_schema(fields, features=[]))
    graph = linear_graph(2, [("out", TensorProto.FLOAT, ["n", 1])])
    (outputs / "model.onnx").write_bytes(graph.SerializeToString())
    monkeypatch.setattr(Predictor, "load", None)
    monkeypatch.setattr("onnxruntime.InferenceSession", None)
    report = place.run(dataset, None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
    assert {one.name for one in report.metrics} == {"mae", "rmse", "r2"}


def deep(outputs: Path) -> None:
    """Folders in folders, more than a path can name."""
    place = os.open(outputs, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)


def many(outputs: Path) -> None:
    """More files than a model can need."""
    for number in range(MAX_ENTRIES + 1):
        (outputs / f"{number}").touch()


def sparse(size: int, name: str = "model.onnx") -> Callable[[Path], None]:
    """A file of which nothing was written but the first byte."""

    def leave(outputs: Path) -> None:
        with (outputs / name).open("wb") as stream:
            stream.write(b"\x08")
            stream.truncate(size)

    return leave


def a_socket(outputs: Path) -> None:
    """A socket, by a name that is short enough for it."""
    with socket.socket(socket.AF_UNIX) as listener:
        link = Path(tempfile.mkdtemp()) / "o"
        link.symlink_to(outputs)
        listener.bind(str(link / "s"))


HOSTILE = [
    pytest.param(deep, r"nested deeper than 32 levels", id="3,000 nested folders"),
    pytest.param(many, r"more than 10000 files and folders", id="many files"),
    pytest.param(sparse(1 << 40), r"more than \d+ bytes \(with model\.onnx\)", id="a tebibyte of nothing"),
    pytest.param(sparse(64 << 20), r"model\.onnx: has holes: 67108864 bytes", id="a file with holes"),
    pytest.param(sparse(8 << 20, "checkpoint.bin"), r"checkpoint\.bin: has holes", id="holes in what nobody reads"),
    pytest.param(lambda at: os.mkfifo(at / "model.onnx"), r"model\.onnx is no plain file, but a pipe", id="a pipe"),
    pytest.param(lambda at: os.mkfifo(at / "metrics.json"), r"metrics\.json is no plain file", id="a pipe of metrics"),
    pytest.param(a_socket, r"s is no plain file, but a socket", id="a socket"),
    pytest.param(
        lambda at: (at / "data").symlink_to("/etc"), r"data is no plain file, but a link", id="a linked folder"
    ),
    pytest.param(
        lambda at: (at / "loop").symlink_to("loop"), r"loop is no plain file, but a link", id="a link to itself"
    ),
    pytest.param(lambda at: (at / "\x1b[2Jx").touch(), r"it holds \\x1b\[2Jx\)", id="a name that clears a terminal"),
    pytest.param(lambda at: (at / os.fsdecode(b"\xff")).touch(), r"it holds \\udcff\)", id="a name that is no text"),
    pytest.param(
        lambda at: (at / "model.json").write_bytes(b" " * (17 << 20)), r"model\.json is larger", id="a large model.json"
    ),
]


@pytest.mark.parametrize(("leave", "message"), HOSTILE)
def test_outputs_are_looked_at_before_they_are_opened(
    place: Place, outputs: Path, leave: Callable[[Path], None], message: str
) -> None:
    """Whatever a user's code leaves there ends in a clear word that fits into a report, at once."""
    leave(outputs)
    try:
        with pytest.raises(BadInput, match=message) as info:
            place.run(place.dataset(), None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
        assert info.value.reason == "OutputInvalid"
        assert info.value.message.isprintable()
        tasks.write_report(tasks.FailureReport(reason="OutputInvalid", message=info.value.message))
    finally:
        subprocess.run(["rm", "-rf", outputs], check=True)


def test_an_outputs_folder_that_was_exchanged_is_not_followed(place: Place, outputs: Path) -> None:
    """On one machine the user's code can put a link in its place."""
    outputs.rmdir()
    outputs.symlink_to(place.folder)
    with pytest.raises(BadInput, match="is no folder"):
        place.run(place.dataset(), None, pod=place.pod(MLOPS_OUTPUTS=str(outputs)))
