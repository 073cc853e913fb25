"""gRPC beside HTTP: Triton's own client gets, call by call, what HTTP answers."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.servers.process import free_port
from tests.workloads.serve.models import INPUTS, rows
from tests.workloads.serve.servers import STATED, Served, artifact_of, metric, request_of, serving, task_of

with warnings.catch_warnings():
    # Its dependencies patch and warn at import; what counts is what it says on the wire.
    warnings.simplefilter("ignore")
    import grpc
    import tritonclient.grpc as triton
    from tritonclient.grpc import service_pb2 as messages
    from tritonclient.grpc import service_pb2_grpc as stubs

    from tritonclient.utils import InferenceServerException

GRPC_PORT = "MLOPS_GRPC_PORT"
INVALID, UNAVAILABLE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE


@pytest.fixture(scope="module")
def both(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, int]]:
    """A server that speaks both, with small limits, and its second port."""
    folder = tmp_path_factory.mktemp("rpc")
    store, port = folder / "store", free_port()
    limits = {"MLOPS_MAX_BODY_BYTES": "200000", "MLOPS_MAX_BATCH_ROWS": "1000", "MLOPS_REQUEST_SECONDS": "2"}
    with serving(folder, store, task_of(artifact_of(store, model)), **limits, **{GRPC_PORT: str(port)}) as served:
        yield served, port


@pytest.fixture
def client(both: tuple[Served, int]) -> Iterator[Any]:
    """Triton's own client."""
    client = triton.InferenceServerClient(f"127.0.0.1:{both[1]}")
    yield client
    client.close()


@pytest.fixture
def stub(both: tuple[Served, int]) -> Iterator[Any]:
    """Messages as they are."""
    with grpc.insecure_channel(f"127.0.0.1:{both[1]}") as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def tensors_of(inputs: dict[str, np.ndarray[Any, Any]]) -> list[Any]:
    """Triton's inputs for these columns."""
    found = []
    for name, values in inputs.items():
        datatype = STATED[next(one.type for one in INPUTS if one.name == name)]
        tensor = triton.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values)
        found.append(tensor)
    return found


def test_triton_asks_how_the_server_is(client: Any, both: tuple[Served, int]) -> None:
    """Health and metadata say what they say over HTTP."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("weather")
    assert client.is_model_ready("weather", "3")
    over_http = json.loads(both[0].ask("GET", "/v2")[2])
    server = client.get_server_metadata()
    assert (server.name, server.version) == (over_http["name"], over_http["version"])
    described = json.loads(both[0].ask("GET", "/v2/models/weather")[2])
    model = client.get_model_metadata("weather")
    assert (model.name, list(model.versions), model.platform) == ("weather", ["3"], described["platform"])
    for side in ("inputs", "outputs"):
        found = [{"name": one.name, "datatype": one.datatype, "shape": list(one.shape)} for one in getattr(model, side)]
        assert found == [{key: one[key] for key in ("name", "datatype", "shape")} for one in described[side]]


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("number", [1, 2, 300])
def test_triton_gets_the_bits_of_http(client: Any, both: tuple[Served, int], number: int, compression: Any) -> None:
    """One row, a few, and more than are answered at once; also compressed."""
    inputs = rows(number, seed=number)
    answer = client.infer("weather", tensors_of(inputs), request_id="d1", compression_algorithm=compression)
    status, over_http = both[0].infer(request_of(inputs))
    assert status == 200
    assert answer.get_response().id == "d1"
    assert answer.as_numpy("probabilities").ravel().tolist() == over_http["outputs"][1]["data"]
    assert [text.decode() for text in answer.as_numpy("prediction")] == over_http["outputs"][0]["data"]


# Datatype by datatype: an input of the model, values that it can hold, and the field of a message for them.
DATATYPES = [
    ("temperature", "FP64", [0.1, -1e30], "fp64_contents"),
    ("temperature", "FP32", [0.5, 0.25], "fp32_contents"),
    ("temperature", "FP16", [0.5, 0.25], None),
    ("temperature", "INT64", [1 << 53, -3], "int64_contents"),
    ("count", "INT64", [-5, 7], "int64_contents"),
    ("count", "INT32", [-5, 7], "int_contents"),
    ("count", "INT16", [-5, 7], "int_contents"),
    ("count", "INT8", [-5, 7], "int_contents"),
    ("count", "UINT64", [5, 7], "uint64_contents"),
    ("count", "UINT32", [5, 7], "uint_contents"),
    ("count", "UINT16", [5, 7], "uint_contents"),
    ("count", "UINT8", [5, 7], "uint_contents"),
    ("count", "FP64", [5.0, 7.0], "fp64_contents"),
    ("count", "FP32", [5.0, 7.0], "fp32_contents"),
    ("count", "FP16", [5.0, 7.0], None),
    ("windy", "BOOL", [True, False], "bool_contents"),
    ("colour", "BYTES", ["red", "blå"], "bytes_contents"),
]


CODES = {"FP64": "<f8", "FP32": "<f4", "FP16": "<f2", "BOOL": "?"} | {
    f"{sign}INT{8 * size}": f"<{code}{size}" for sign, code in (("", "i"), ("U", "u")) for size in (1, 2, 4, 8)
}


def raw_of(datatype: str, data: list[Any]) -> bytes:
    """A raw tensor, as the specification writes it."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in data)
    return np.array(data, dtype=CODES[datatype]).tobytes()


def values_of(datatype: str, data: bytes) -> list[Any]:
    """The values of a raw tensor."""
    if datatype != "BYTES":
        return np.frombuffer(data, dtype=CODES[datatype]).tolist()
    found = []
    while data:
        size = struct.unpack_from("<I", data)[0]
        found.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return found


def message_of(tensors: list[dict[str, Any]], *, raw: bool, **more: Any) -> Any:
    """The message that says what the tensors of a JSON request do."""
    message = messages.ModelInferRequest(model_name="weather", **more)
    for tensor in tensors:
        own = message.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        data = [one.encode() if isinstance(one, str) else one for one in tensor["data"]]
        if raw:
            message.raw_input_contents.append(raw_of(tensor["datatype"], tensor["data"]))
        else:
            field = next(field for _, datatype, _, field in DATATYPES if datatype == tensor["datatype"])
            getattr(own.contents, str(field)).extend(data)
    return message


def answered(answer: Any) -> list[dict[str, Any]]:
    """The outputs of a message as JSON has them."""
    found = []
    for number, output in enumerate(answer.outputs):
        if answer.raw_output_contents:
            assert not output.HasField("contents")
            data = values_of(output.datatype, answer.raw_output_contents[number])
        else:
            (field, values), *others = output.contents.ListFields()
            assert not others
            assert field.name == {"BYTES": "bytes_contents", "FP64": "fp64_contents"}[output.datatype]
            data = [one.decode() if isinstance(one, bytes) else one for one in values]
        found.append({"name": output.name, "datatype": output.datatype, "shape": list(output.shape), "data": data})
    return found


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("name", "datatype", "values", "field"), DATATYPES, ids=lambda one: str(one)[:12])
def test_every_datatype_is_answered_as_over_http(
    both: tuple[Served, int],
    stub: Any,
    name: str,
    datatype: str,
    values: list[Any],
    field: str | None,
    number: int,
    raw: bool,
) -> None:
    """One row and two, raw and typed: the outputs of HTTP, raw to who sends raw and typed to who sends typed."""
    document = request_of(rows(number, seed=4))
    tensor = next(one for one in document["inputs"] if one["name"] == name)
    tensor |= {"datatype": datatype, "data": values[:number]}
    status, over_http = both[0].infer(document)
    assert status == 200, over_http
    if field is None and not raw:
        tensor["datatype"] = "FP64"
        message = message_of(document["inputs"], raw=False)
        next(one for one in message.inputs if one.name == name).datatype = datatype
        assert refused(stub, message) == (INVALID, f"input '{name}' is FP16, which no contents hold; send "
                                          "raw_input_contents")  # fmt: skip
        return
    answer = stub.ModelInfer(message_of(document["inputs"], raw=raw))
    assert (answer.model_name, answer.model_version) == ("weather", "3")
    assert bool(answer.raw_output_contents) is raw
    assert answered(answer) == over_http["outputs"]


def refused(stub: Any, message: Any) -> tuple[Any, str]:
    """Code and words of a refusal."""
    with pytest.raises(grpc.RpcError) as error:
        stub.ModelInfer(message, timeout=20)
    return error.value.code(), error.value.details()
