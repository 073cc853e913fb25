"""gRPC beside HTTP: Triton's own client gets, call by call and bit by bit, what HTTP answers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workloads.serve.models import INPUTS, rows, write_model
from tests.workloads.serve.rpc import (
    CONTENTS,
    INVALID,
    Both,
    answered,
    message_of,
    refused,
    serving_both,
)
from tests.workloads.serve.servers import STATED, artifact_of, metric, request_of, task_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tritonclient.grpc as triton

# An input of the model, a datatype in which it may come, and values that it can hold.
DATATYPES: list[tuple[str, str, list[Any]]] = [
    ("temperature", "FP64", [0.1, -1e30]),
    ("temperature", "FP32", [0.5, 0.25]),
    ("temperature", "FP16", [0.5, 0.25]),
    ("temperature", "INT64", [1 << 53, -3]),
    ("count", "INT64", [-5, 7]),
    ("count", "INT32", [-5, 7]),
    ("count", "INT16", [-5, 7]),
    ("count", "INT8", [-5, 7]),
    ("count", "UINT64", [5, 7]),
    ("count", "UINT32", [5, 7]),
    ("count", "UINT16", [5, 7]),
    ("count", "UINT8", [5, 7]),
    ("count", "FP64", [5.0, 7.0]),
    ("count", "FP32", [5.0, 7.0]),
    ("count", "FP16", [5.0, 7.0]),
    ("windy", "BOOL", [True, False]),
    ("colour", "BYTES", ["red", "blå"]),
]


@pytest.fixture
def client(both: Both) -> Iterator[Any]:
    """Triton's own client."""
    client = triton.InferenceServerClient(f"127.0.0.1:{both.port}")
    yield client
    client.close()


def tensors_of(inputs: dict[str, np.ndarray[Any, Any]]) -> list[Any]:
    """Triton's inputs for these columns."""
    found = []
    for name, values in inputs.items():
        datatype = STATED[next(one.type for one in INPUTS if one.name == name)]
        tensor = triton.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values)
        found.append(tensor)
    return found


def test_triton_asks_how_the_server_is(client: Any, both: Both) -> None:
    """Health and metadata say what they say over HTTP."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("weather")
    assert client.is_model_ready("weather", "3")
    over_http = json.loads(both.served.ask("GET", "/v2")[2])
    server = client.get_server_metadata()
    assert (server.name, server.version) == (over_http["name"], over_http["version"])
    assert set(server.extensions) <= set(over_http["extensions"])
    described = json.loads(both.served.ask("GET", "/v2/models/weather")[2])
    model = client.get_model_metadata("weather")
    assert (model.name, list(model.versions), model.platform) == ("weather", ["3"], described["platform"])
    for side in ("inputs", "outputs"):
        found = [{"name": one.name, "datatype": one.datatype, "shape": list(one.shape)} for one in getattr(model, side)]
        assert found == [{key: one[key] for key in ("name", "datatype", "shape")} for one in described[side]]


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("number", [1, 2, 300])
def test_triton_gets_the_bits_of_http(client: Any, both: Both, number: int, compression: Any) -> None:
    """One row, a few, and more than are answered at once; also compressed."""
    inputs = rows(number, seed=number)
    answer = client.infer("weather", tensors_of(inputs), request_id="d1", compression_algorithm=compression)
    status, over_http = both.served.infer(request_of(inputs))
    assert status == 200
    assert answer.get_response().id == "d1"
    assert answer.as_numpy("probabilities").ravel().tolist() == over_http["outputs"][1]["data"]
    assert [text.decode() for text in answer.as_numpy("prediction")] == over_http["outputs"][0]["data"]


def test_contents_that_hold_nothing_may_stand_beside_raw_tensors(stub: Any) -> None:
    """As MLServer 1.7.1 sends its raw requests."""
    message = message_of(request_of(rows(2)), raw=True)
    plain = stub.ModelInfer(message, timeout=20)
    for tensor in message.inputs:
        tensor.contents.SetInParent()
    assert answered(stub.ModelInfer(message, timeout=20)) == answered(plain)


def test_triton_gets_the_best_classes(client: Any, both: Both) -> None:
    """The classification extension, as over HTTP."""
    wanted = triton.InferRequestedOutput("probabilities", class_count=1)
    answer = client.infer("weather", tensors_of(rows(2)), outputs=[wanted])
    parameters = {"classification": 1}
    _, over_http = both.served.infer(request_of(rows(2), outputs=[{"name": "probabilities", "parameters": parameters}]))
    found = [text.decode() for text in answer.as_numpy("probabilities").ravel()]
    assert found == over_http["outputs"][0]["data"]


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("name", "datatype", "values"), DATATYPES, ids=lambda one: str(one)[:12])
def test_every_datatype_is_answered_as_over_http(
    both: Both, stub: Any, name: str, datatype: str, values: list[Any], number: int, raw: bool
) -> None:
    """One row and two, raw and typed: the outputs of HTTP, raw to who sends raw and typed to who sends typed."""
    document = request_of(rows(number, seed=4))
    tensor = next(one for one in document["inputs"] if one["name"] == name)
    tensor |= {"datatype": datatype, "data": values[:number]}
    status, over_http = both.served.infer(document)
    assert status == 200, over_http
    if datatype not in CONTENTS and not raw:
        tensor["datatype"] = "FP64"
        message = message_of(document, raw=False)
        next(one for one in message.inputs if one.name == name).datatype = datatype
        error = refused(stub.ModelInfer, message)
        assert error.code() == INVALID
        assert error.details() == f"input '{name}' is {datatype}, which no contents hold; send raw_input_contents"
        return
    answer = stub.ModelInfer(message_of(document, raw=raw))
    assert (answer.model_name, answer.model_version) == ("weather", "3")
    assert bool(answer.raw_output_contents) is raw
    assert answered(answer) == over_http["outputs"]


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("classes", [None, (False, True), (3, 1, 2)], ids=["number", "boolean", "whole"])
def test_every_kind_of_answer_is_that_of_http(tmp_path: Path, classes: Any, raw: bool) -> None:
    """A regressor, and classes that are no texts."""
    store, folder = tmp_path / "store", write_model(tmp_path / "model", classes)
    with serving_both(tmp_path / "pod", store, task_of(artifact_of(store, folder))) as both, both.stub() as stub:
        for number in (1, 5):
            document = request_of(rows(number))
            assert answered(stub.ModelInfer(message_of(document, raw=raw))) == both.served.infer(document)[1]["outputs"]


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("number", [1, 3])
def test_what_is_missing_is_missing(both: Both, stub: Any, number: int, raw: bool) -> None:
    """NaN of a nullable number, and a nullable input that is left out."""
    document = request_of(rows(number, seed=2))
    document["inputs"] = [one for one in document["inputs"] if one["name"] != "colour"]
    document["inputs"][0]["data"][-1] = None
    _, over_http = both.served.infer(document)
    document["inputs"][0]["data"][-1] = float("nan")
    assert answered(stub.ModelInfer(message_of(document, raw=raw))) == over_http["outputs"]


@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_a_client_may_ask_for_the_other_form(both: Both, stub: Any, raw: bool, asked: bool | None) -> None:
    """By the parameter of HTTP."""
    document = request_of(rows(1))
    _, over_http = both.served.infer(document)
    document |= {} if asked is None else {"parameters": {"binary_data_output": asked}}
    answer = stub.ModelInfer(message_of(document, raw=raw))
    assert bool(answer.raw_output_contents) is (raw if asked is None else asked)
    assert answered(answer) == over_http["outputs"]


def test_requests_are_recorded_and_counted_as_over_http(model: Path, tmp_path: Path) -> None:
    """Ids, event times of one row and of each, inputs and answers; rows, requests and refusals in the metrics."""
    store = tmp_path / "store"
    with serving_both(tmp_path / "pod", store, task_of(artifact_of(store, model))) as both, both.stub() as stub:
        stamps = ["1981-11-09T00:00:00Z", "1981-11-10T00:00:00Z"]
        for number in (1, 2):
            document = request_of(rows(number, seed=number), id=f"http-{number}")
            both.served.infer(document | {"parameters": {"event_time": stamps[:number]}})
            document |= {"id": f"grpc-{number}", "parameters": {"event_time": ", ".join(stamps[:number])}}
            stub.ModelInfer(message_of(document, raw=number == 1))
            # Of an id the first one is recorded.
            stub.ModelInfer(message_of(document, raw=number == 2))
        refused(stub.ModelInfer, message_of(request_of(rows(1)), raw=True, model_name="other"))
        refused(stub.ModelInfer, message_of({"inputs": []}, raw=False))
        assert both.served.flush()["captures"]["rows"] == 6
        frame = both.served.recorded().drop("arrived").sort("id", "row")
        over_http = frame.filter(frame["id"].str.starts_with("http")).drop("id")
        assert over_http.equals(frame.filter(frame["id"].str.starts_with("grpc")).drop("id"))
        assert metric(both.served, 'mlops_requests_total{code="200",route="infer"}') == 6
        assert metric(both.served, 'mlops_requests_total{code="404",route="infer"}') == 1
        assert metric(both.served, 'mlops_requests_total{code="400",route="infer"}') == 1
        assert metric(both.served, "mlops_infer_seconds_count") == 8
        assert metric(both.served, "mlops_predicted_rows_total") == 9
        assert metric(both.served, "mlops_repeated_rows_total") == 3
        assert metric(both.served, "mlops_in_flight_bytes") < 8192
