"""Answers of the Open Inference Protocol v2 as protobuf messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mlops.workloads.serve.answer_writer import OwnOutputs
from mlops.workloads.serve.classification import Best, best_classes
from mlops.workloads.serve.errors import RequestError
from mlops.workloads.serve.inference import Interface
from mlops.workloads.serve.tensors import Array, to_binary

# The field of InferTensorContents that holds the values of a datatype. There is none for FP16.
CONTENTS: Final = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class MessageOutputs(OwnOutputs):
    """Which outputs are wanted in a message, all of them raw or all of them typed. Raises RequestError."""

    def __init__(self, outputs: Iterable[tuple[str, bool | Best]], writer: MessageWriter) -> None:
        super().__init__()
        self._writer = writer
        raw = {wanted.binary if isinstance(wanted, Best) else wanted for _, wanted in self}
        if len(raw) != 1:
            raise RequestError(
                400, "binary_data differs among the outputs; in a message all are raw or none: send it as a parameter "
                "of the request, binary_data_output"
            )  # fmt: skip
        (self.is_raw,) = raw

    def __new__(cls, outputs: Iterable[tuple[str, bool | Best]], writer: MessageWriter) -> MessageOutputs:
        return super().__new__(cls, outputs)

    def write(self, version: str, identity: str, rows: int, values: Mapping[str, Array]) -> bytes:
        """See OwnOutputs."""
        return self._writer.write(self, version, identity, rows, values)


class MessageWriter:
    """Writes the answers of one model, or of versions of it that answer in the same form."""

    def __init__(self, interface: Interface, messages: Mapping[str, Any]) -> None:
        self._response = messages["inference.ModelInferResponse"]
        self._name = interface.model_name
        self._classes = interface.classes
        self._datatypes = {name: (datatype, width) for name, datatype, width in interface.outputs}

    def write(
        self, outputs: MessageOutputs, version: str, identity: str, rows: int, values: Mapping[str, Array]
    ) -> bytes:
        """Return the bytes of an answer."""
        message = self._response(model_name=self._name, model_version=version, id=identity)
        for name, wanted in outputs:
            found = values[name]
            if isinstance(wanted, Best):
                found = best_classes(found, self._classes, wanted.most)
                datatype, shape = "BYTES", list(found.shape)
            else:
                datatype, width = self._datatypes[name]
                shape = [rows] if width == 1 else [rows, width]
            tensor = message.outputs.add(name=name, datatype=datatype, shape=shape)
            if outputs.is_raw:
                message.raw_output_contents.append(to_binary(datatype, found))
                continue
            listed = found.ravel().tolist()
            if datatype == "BYTES":
                listed = [str(value).encode() for value in listed]
            getattr(tensor.contents, CONTENTS[datatype]).extend(listed)
        written: bytes = message.SerializeToString()
        return written
