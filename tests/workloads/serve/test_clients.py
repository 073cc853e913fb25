"""What clients of other servers send is answered: byte by byte as their encoders write it.

Taken from kserve 0.21.0 (`InferRequest.to_rest`) and MLServer 1.7.1 (`PandasCodec`); Triton's client (tritonclient) is
asked itself.
"""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workloads.serve.models import INPUTS, rows
from tests.workloads.serve.servers import STATED, Served, request_of
from tests.workloads.serve.test_specification import engine

with warnings.catch_warnings():
    # Its dependencies patch and warn at import; what counts is what it says on the wire.
    warnings.simplefilter("ignore")
    import tritonclient.http as triton

INFER = "/v2/models/weather/infer"
COLUMNS: dict[str, np.ndarray[Any, Any]] = {
    "temperature": np.array([0.5, np.nan]),
    "count": np.array([3, 4]),
    "windy": np.array([True, False]),
    "colour": np.array(["red", "blue"], dtype=object),
}
# A column of integers that had a gap once is one of fractions in pandas.
PANDAS = (
    b'{"parameters":{"content_type":"pd"},"inputs":[{"name":"temperature","shape":[2,1],"datatype":"FP64","data":[0.5,'
    b'null]},{"name":"count","shape":[2,1],"datatype":"FP64","data":[3.0,4.0]},{"name":"windy","shape":[2,1],'
    b'"datatype":"BOOL","data":[true,false]},{"name":"colour","shape":[2,1],"datatype":"BYTES","parameters":'
    b'{"content_type":"str"},"data":["red","blue"]}]}'
)
KSERVE_HEAD = (
    b'{"id":"4f3358fc-f4b9-4234-b03c-d9e035919bc5","model_name":"weather","inputs":[{"name":"temperature","shape":[2],'
    b'"datatype":"FP64","parameters":{"binary_data_size":16}},{"name":"count","shape":[2],"datatype":"INT64",'
    b'"parameters":{"binary_data_size":16}},{"name":"windy","shape":[2],"datatype":"BOOL","parameters":'
    b'{"binary_data_size":2}},{"name":"colour","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":15}}]}'
)
KSERVE_TAIL = struct.pack("<ddqq??I3sI4s", 0.5, float("nan"), 3, 4, True, False, 3, b"red", 4, b"blue")


def test_a_frame_of_mlserver_is_answered(server: Served, model: Path) -> None:
    status, _, body = server.ask("POST", INFER, PANDAS, {"content-type": "application/json"})
    assert status == 200, body
    assert json.loads(body)["outputs"][1]["data"] == engine(model, COLUMNS).ravel().tolist()


def test_binary_tensors_of_kserve_are_answered(server: Served, model: Path) -> None:
    """The JSON form differs from any other only in the member `model_name`."""
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(KSERVE_HEAD))}
    status, _, body = server.ask("POST", INFER, KSERVE_HEAD + KSERVE_TAIL, headers)
    assert status == 200, body
    answer = json.loads(body)
    assert answer["id"] == "4f3358fc-f4b9-4234-b03c-d9e035919bc5"
    assert answer["outputs"][1]["data"] == engine(model, COLUMNS).ravel().tolist()
    document = request_of(rows(1), id="k", model_name="weather")
    assert server.infer(document)[0] == 200


@pytest.fixture
def client(server: Served) -> Iterator[Any]:
    """Triton's own client."""
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield client
    client.close()


@pytest.mark.parametrize("answered", [None, "gzip", "deflate"])
@pytest.mark.parametrize("asked", [None, "gzip", "deflate"])
@pytest.mark.parametrize("is_binary", [False, True])
def test_triton_may_compress(
    client: Any, model: Path, is_binary: bool, asked: str | None, answered: str | None
) -> None:
    """What it asks; of answers, which it offers to take compressed, it takes those that are not."""
    columns = rows(20)
    inputs = []
    for one in INPUTS:
        tensor = triton.InferInput(one.name, [20, 1], STATED[one.type])
        tensor.set_data_from_numpy(columns[one.name].reshape(-1, 1), binary_data=is_binary)
        inputs.append(tensor)
    result = client.infer(
        "weather",
        inputs,
        outputs=[triton.InferRequestedOutput("probabilities", binary_data=is_binary)],
        request_compression_algorithm=asked,
        response_compression_algorithm=answered,
    )
    assert np.array_equal(result.as_numpy("probabilities"), engine(model, columns))


def test_triton_reads_configuration_statistics_and_classes(client: Any) -> None:
    assert client.get_model_config("weather", "3")["max_batch_size"] == 1000
    assert client.get_inference_statistics()["model_stats"][0]["name"] == "weather"
    assert client.get_inference_statistics("weather", "3")["model_stats"][0]["version"] == "3"
    columns = rows(1)
    inputs = []
    for name, datatype in (("temperature", "FP64"), ("count", "INT64"), ("windy", "BOOL"), ("colour", "BYTES")):
        inputs.append(triton.InferInput(name, [1], datatype))
        inputs[-1].set_data_from_numpy(columns[name])
    wanted = triton.InferRequestedOutput("probabilities", class_count=2)
    (best, other) = client.infer("weather", inputs, outputs=[wanted]).as_numpy("probabilities")[0]
    assert float(best.split(b":")[0]) > float(other.split(b":")[0])
    assert {best.split(b":")[2], other.split(b":")[2]} == {b"dry", b"rain"}
