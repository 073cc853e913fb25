"""gRPC for tests: Triton's compiled messages and stubs, tensors as the specification writes them, HTTP/2 by hand."""

from __future__ import annotations

import socket
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops.api import tasks
from tests.servers.process import free_port
from tests.workloads.serve.servers import Served, serving

with warnings.catch_warnings():
    # Its dependencies patch and warn at import; what counts is what it says on the wire.
    warnings.simplefilter("ignore")
    import grpc
    from tritonclient.grpc import service_pb2 as messages
    from tritonclient.grpc import service_pb2_grpc as stubs

INVALID, UNAVAILABLE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE
EXHAUSTED, NOT_FOUND = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.NOT_FOUND
METHOD = "/inference.GRPCInferenceService/ModelInfer"
CONTENTS = {
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT64": "int64_contents",
    "INT32": "int_contents",
    "INT16": "int_contents",
    "INT8": "int_contents",
    "UINT64": "uint64_contents",
    "UINT32": "uint_contents",
    "UINT16": "uint_contents",
    "UINT8": "uint_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}
CODES = {"FP64": "<f8", "FP32": "<f4", "FP16": "<f2", "BOOL": "?"} | {
    f"{sign}INT{8 * size}": f"<{code}{size}" for sign, code in (("", "i"), ("U", "u")) for size in (1, 2, 4, 8)
}


@dataclass(frozen=True)
class Both:
    """A server that speaks HTTP and gRPC, and its second port."""

    served: Served
    port: int

    @contextmanager
    def stub(self, *options: tuple[str, Any]) -> Iterator[Any]:
        """A client over a connection of its own."""
        own = [("grpc.use_local_subchannel_pool", 1), *options]
        with grpc.insecure_channel(f"127.0.0.1:{self.port}", options=own) as channel:
            yield stubs.GRPCInferenceServiceStub(channel)


@contextmanager
def serving_both(folder: Path, store: Path, task: tasks.ServeTask, **environ: str) -> Iterator[Both]:
    """A server process that is ready."""
    port = free_port()
    with serving(folder, store, task, **environ, MLOPS_GRPC_PORT=str(port)) as served:
        yield Both(served, port)


def raw_of(datatype: str, data: list[Any]) -> bytes:
    """A raw tensor."""
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


def message_of(document: dict[str, Any], *, raw: bool, **more: Any) -> Any:
    """The message that says what a JSON request does."""
    message = messages.ModelInferRequest(**{"model_name": "weather", "id": document.get("id", "")} | more)
    add_parameters(message, document)
    for tensor in document["inputs"]:
        own = message.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        if raw:
            message.raw_input_contents.append(raw_of(tensor["datatype"], tensor["data"]))
        else:
            data = [one.encode() if isinstance(one, str) else one for one in tensor["data"]]
            getattr(own.contents, CONTENTS[tensor["datatype"]]).extend(data)
    for output in document.get("outputs", ()):
        add_parameters(message.outputs.add(name=output["name"]), output)
    return message


def add_parameters(message: Any, document: dict[str, Any]) -> None:
    """Give a message the parameters of a JSON object."""
    choices = {bool: "bool_param", int: "int64_param", str: "string_param"}
    for name, value in document.get("parameters", {}).items():
        setattr(message.parameters[name], choices[type(value)], value)


def answered(answer: Any) -> list[dict[str, Any]]:
    """The outputs of a message as JSON has them."""
    found = []
    for number, output in enumerate(answer.outputs):
        if answer.raw_output_contents:
            assert not output.HasField("contents")
            data = values_of(output.datatype, answer.raw_output_contents[number])
        else:
            ((field, values),) = output.contents.ListFields()
            assert field.name == CONTENTS[output.datatype]
            data = [one.decode() if isinstance(one, bytes) else one for one in values]
        found.append({"name": output.name, "datatype": output.datatype, "shape": list(output.shape), "data": data})
    return found


def refused(call: Any, message: Any) -> Any:
    """How a call was refused."""
    with pytest.raises(grpc.RpcError) as error:
        call(message, timeout=20)
    return error.value


def framed(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@contextmanager
def raw_call(port: int, message: bytes, sent: int | None = None, window: int | None = None) -> Iterator[socket.socket]:
    """A call made by hand: of its message only the first so many bytes, and with room for so many of the answer."""
    settings = b"" if window is None else struct.pack(">HI", 4, window)
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", METHOD),
        (":authority", "x"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    )
    head = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in fields
    )
    data = b"\0" + struct.pack(">I", len(message)) + message
    whole = sent is None
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + framed(4, 0, 0, settings))
        connection.sendall(framed(1, 4, 1, head) + framed(0, int(whole), 1, data if whole else data[: 5 + (sent or 0)]))
        yield connection


def ends(connection: socket.socket) -> bool:
    """Whether the first call of a connection is ended, by trailers or by a reset, before it says nothing for long."""
    received = b""
    while True:
        while len(received) >= 9 and len(received) >= 9 + int.from_bytes(received[:3], "big"):
            size, kind, flags, stream = int.from_bytes(received[:3], "big"), received[3], received[4], received[8]
            if stream == 1 and (kind == 3 or flags & 1):
                return True
            received = received[9 + size :]
        try:
            part = connection.recv(1 << 16)
        except TimeoutError:
            return False
        if not part:
            return True
        received += part
