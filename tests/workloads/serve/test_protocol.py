"""The Open Inference Protocol as clients see it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.workloads.serve.models import INPUTS, feeds, rows, write_model
from tests.workloads.serve.servers import STATED, Served, artifact_of, request_of, serving, task_of

with warnings.catch_warnings():
    # Its dependencies patch and warn at import; what counts is what it says on the wire.
    warnings.simplefilter("ignore")
    import tritonclient.http as triton


@pytest.fixture
def client(server: Served) -> Iterator[Any]:
    """An outside client that was not written here."""
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield client
    client.close()


def triton_inputs(inputs: dict[str, np.ndarray[Any, Any]], *, binary: bool) -> list[Any]:
    """The columns as tensors of shape [n, 1] for the outside client."""
    tensors = []
    for one in INPUTS:
        values = inputs[one.name].reshape(-1, 1)
        tensor = triton.InferInput(one.name, list(values.shape), STATED[one.type])
        tensor.set_data_from_numpy(values, binary_data=binary)
        tensors.append(tensor)
    return tensors


@pytest.mark.parametrize("binary", [pytest.param(True, id="binary tensors"), pytest.param(False, id="json")])
@pytest.mark.parametrize("number", [1, 7, 500])
def test_an_outside_client_gets_the_numbers_of_onnxruntime(client: Any, model: Path, binary: bool, number: int) -> None:
    """What is served is what onnxruntime gives for the same artifact, to the last bit: in float64, with the sum one."""
    inputs = rows(number, seed=number)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("prediction", "probabilities")]
    result = client.infer("weather", triton_inputs(inputs, binary=binary), request_id="mine", outputs=wanted)
    session = onnxruntime.InferenceSession((model / "model.onnx").read_bytes())
    (want,) = session.run(["probabilities"], feeds(inputs))
    got = result.as_numpy("probabilities")
    exact = want.astype(np.float64)
    assert np.array_equal(got, exact / exact.sum(axis=1, keepdims=True))
    labels = [label.decode() if isinstance(label, bytes) else label for label in result.as_numpy("prediction").tolist()]
    assert labels == [("dry", "rain")[index] for index in want.argmax(axis=1)]
    assert result.get_response()["id"] == "mine"


def test_the_outside_client_finds_its_way(client: Any) -> None:
    """Health, metadata and the version's own address are where the protocol says."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("weather")
    assert client.is_model_ready("weather", "3")
    assert client.get_server_metadata()["extensions"] == [
        "binary_tensor_data",
        "model_configuration",
        "statistics",
        "classification",
    ]
    metadata = client.get_model_metadata("weather", "3")
    assert metadata["inputs"][3] == {
        "name": "colour",
        "datatype": "BYTES",
        "shape": [-1],
        "parameters": {"nullable": True},
    }
    assert metadata["outputs"][1] == {
        "name": "probabilities",
        "datatype": "FP64",
        "shape": [-1, 2],
        "parameters": {"classes": ["dry", "rain"]},
    }
    result = client.infer("weather", triton_inputs(rows(1), binary=True), model_version="3")
    assert result.as_numpy("probabilities").shape == (1, 2)


def test_only_the_outputs_asked_for_are_sent_each_as_it_was_asked_for(server: Served) -> None:
    """One output in binary after one in JSON; the header says where the JSON ends."""
    document = request_of(rows(2))
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "prediction"}]
    status, answer = server.infer({**document, "outputs": wanted[1:]})
    assert [status, [output["name"] for output in answer["outputs"]]] == [200, ["prediction"]]
    import json

    body = json.dumps({**document, "outputs": wanted}).encode()
    status, headers, data = server.ask("POST", "/v2/models/weather/infer", body)
    length = int(headers["inference-header-content-length"])
    outputs = json.loads(data[:length])["outputs"]
    assert outputs[0]["parameters"] == {"binary_data_size": 32}
    assert outputs[1]["data"] == answer["outputs"][0]["data"]
    assert np.frombuffer(data[length:], "<f8").shape == (4,)


def test_a_request_without_id_gets_one(server: Served) -> None:
    """Without an id nobody could send the label."""
    first, second = (server.infer(request_of(rows(1)))[1]["id"] for _ in range(2))
    assert first
    assert first != second


def test_missing_values_are_null_in_json_and_nan_in_binary(server: Served) -> None:
    """A gap in a nullable field is answered the same in both forms."""
    document = request_of(rows(2))
    document["inputs"][0]["data"][1] = None
    status, in_json = server.infer(document)
    assert status == 200
    with_nan = rows(2)
    with_nan["temperature"][1] = np.nan
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    in_binary = client.infer("weather", triton_inputs(with_nan, binary=True)).as_numpy("probabilities")
    client.close()
    assert in_json["outputs"][1]["data"] == in_binary.ravel().tolist()


@pytest.mark.parametrize(
    ("name", "datatype", "data"),
    [
        pytest.param("temperature", "FP32", [0.5], id="narrower fraction"),
        pytest.param("temperature", "INT8", [3], id="integer for a fraction"),
        pytest.param("count", "UINT16", [3], id="unsigned integer"),
        pytest.param("count", "INT32", [[3]], id="nested as its shape"),
    ],
)
def test_other_datatypes_of_the_same_kind_are_taken(server: Served, name: str, datatype: str, data: list[Any]) -> None:
    """A client need not widen numbers itself."""
    document = request_of(rows(1))
    tensor = next(tensor for tensor in document["inputs"] if tensor["name"] == name)
    tensor.update(datatype=datatype, data=data, shape=[1, 1])
    assert server.infer(document)[0] == 200


@pytest.mark.parametrize(
    ("classes", "datatype", "values"),
    [
        pytest.param((False, True), "BOOL", {False, True}, id="booleans"),
        pytest.param((0, 5, 9), "INT64", {0, 5, 9}, id="integers"),
        pytest.param(("a", "b", "ü"), "BYTES", {"a", "b", "ü"}, id="texts"),
        pytest.param(None, "FP64", None, id="regression"),
    ],
)
def test_predictions_have_the_labels_own_type(
    tmp_path: Path, classes: tuple[bool | int | str, ...] | None, datatype: str, values: set[Any] | None
) -> None:
    """A client reads a class as it was in the data; a regression gives no probabilities."""
    artifact = artifact_of(tmp_path / "store", write_model(tmp_path / "model", classes))
    with serving(tmp_path / "pod", tmp_path / "store", task_of(artifact)) as served:
        status, answer = served.infer(request_of(rows(200)))
        assert status == 200
        output = answer["outputs"][0]
        assert (output["name"], output["datatype"], output["shape"]) == ("prediction", datatype, [200])
        if values is None:
            assert len(answer["outputs"]) == 1
            assert all(isinstance(value, float) for value in output["data"])
        else:
            assert {type(value) for value in output["data"]} == {type(next(iter(values)))}
            assert set(output["data"]) <= values
        label = 1.5 if classes is None else classes[0]
        assert served.post("/v2/models/weather/feedback", {"labels": [{"id": "a", "label": label}]})[0] == 202
        served.flush()
        want = "1.5" if classes is None else str(label).lower() if isinstance(label, bool) else str(label)
        assert str(served.recorded("labels")["label"][0]) == want
        assert served.recorded().height == 200
