"""Requests of the Open Inference Protocol v2 as protobuf messages: read as the documents that HTTP brings.

A message becomes the JSON object that would say the same, and its raw tensors the bytes behind it. What is read, taken,
refused and said is then `Parser`'s, so both protocols give the same answers to the same requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError

from mlops.api.serving_task import ServeTask
from mlops.workloads.serve.errors import RequestError, shown, unknown_model
from mlops.workloads.serve.inference import InferenceRequest, Interface, Parser
from mlops.workloads.serve.message_size import has_more_fields
from mlops.workloads.serve.message_writer import CONTENTS, MessageOutputs, MessageWriter
from mlops.workloads.serve.row_request import RowRequest

# A message of so many bytes cannot become much.
_SMALL: Final = 64 << 10
# Fields of a request for each input of the model, and beside them.
_FIELDS_OF_INPUT, _OTHER_FIELDS = 32, 1024
_BINARY: Final = "binary_data_output"


class MessageReader:
    """Reads requests for one model. `parser` reads what a message says."""

    def __init__(
        self, task: ServeTask, interface: Interface, parser: Parser, max_rows: int, messages: Mapping[str, Any]
    ) -> None:
        self._task, self._parser = task, parser
        self._request = messages["inference.ModelInferRequest"]
        self._writer = MessageWriter(interface, messages)
        self._most_fields = _FIELDS_OF_INPUT * len(interface.inputs) + _OTHER_FIELDS
        self._most_values = max_rows * len(interface.inputs)

    def read(self, body: bytes | bytearray) -> InferenceRequest:
        """Return the request in a message. Raises RequestError."""
        return self.request_of(self.message(body))

    def read_row(self, body: bytes | bytearray) -> InferenceRequest | RowRequest:
        """Return the same, a request of one row as such. Raises RequestError."""
        return self.row_of(self.message(body))

    def request_of(self, message: Any) -> InferenceRequest:
        """Return the request that a parsed message is. Raises RequestError."""
        found = self._parser.of_document(*self._opened(message))
        outputs = MessageOutputs(found.outputs, self._writer)
        return InferenceRequest(found.id, found.rows, found.inputs, found.event_time, outputs)

    def row_of(self, message: Any) -> InferenceRequest | RowRequest:
        """Return the same, a request of one row as such. Raises RequestError."""
        found = self._parser.row_of_document(*self._opened(message))
        outputs = MessageOutputs(found.outputs, self._writer)
        if isinstance(found, RowRequest):
            return RowRequest(found.id, found.row, found.event_time, outputs)
        return InferenceRequest(found.id, found.rows, found.inputs, found.event_time, outputs)

    def message(self, body: bytes | bytearray) -> Any:
        """Return the parsed message, which names a version that there is, or none. Raises RequestError."""
        if len(body) > _SMALL and has_more_fields(body, self._most_fields):
            raise RequestError(
                413, f"the message has more than {self._most_fields} fields, the limit; send one tensor for each input"
            )
        try:
            message = self._request.FromString(bytes(body))
        except DecodeError:
            raise RequestError(400, "the message is no inference.ModelInferRequest") from None
        if error := unknown_model(self._task, message.model_name, message.model_version or None):
            raise error
        return message

    def _opened(self, message: Any) -> tuple[dict[str, Any], memoryview]:
        """Return what a message says as the document of an HTTP request, and its raw tensors, one behind the other."""
        raw = message.raw_input_contents
        inputs = self._raw(message.inputs, raw) if raw else self._typed(message.inputs)
        document = {
            "id": message.id,
            # Who sends raw tensors gets such, unless asked for others.
            "parameters": {_BINARY: bool(raw), **_parameters(message.parameters)},
            "inputs": inputs,
            "outputs": [{"name": one.name, "parameters": _parameters(one.parameters)} for one in message.outputs],
        }
        return document, memoryview(b"".join(raw))

    def _raw(self, tensors: Any, raw: Any) -> list[dict[str, Any]]:
        if len(raw) != len(tensors):
            raise RequestError(
                400, f"raw_input_contents has {len(raw)} entries for {len(tensors)} inputs; send one for each"
            )
        inputs = []
        for tensor, data in zip(tensors, raw, strict=True):
            # MLServer's client sends contents that hold nothing.
            if tensor.contents.ListFields():
                raise RequestError(
                    400, f"input {shown(tensor.name)} has contents beside raw_input_contents; send one of them"
                )
            inputs.append(_tensor(tensor) | {"parameters": {"binary_data_size": len(data)}})
        return inputs

    def _typed(self, tensors: Any) -> list[dict[str, Any]]:
        left, inputs = self._most_values, []
        for tensor in tensors:
            name, datatype = shown(tensor.name), tensor.datatype
            given = tensor.contents.ListFields()
            expected = CONTENTS.get(datatype)
            if datatype == "FP16":
                raise RequestError(400, f"input {name} is FP16, which no contents hold; send raw_input_contents")
            if not given:
                raise RequestError(400, f"input {name} has no values; send contents or raw_input_contents")
            if expected is not None and [field.name for field, _ in given] != [expected]:
                names = ", ".join(field.name for field, _ in given)
                raise RequestError(
                    400, f"input {name} is {datatype}, but its values are in {names}; send them in contents.{expected}"
                )
            values = given[0][1]
            left -= len(values)
            if left < 0:
                raise RequestError(
                    413,
                    f"the inputs have more than {self._most_values} values, the limit; send the rows in several "
                    "requests",
                )
            data = _texts(name, values) if datatype == "BYTES" else list(values)
            inputs.append(_tensor(tensor) | {"data": data})
        return inputs


def _tensor(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _texts(name: str, values: Any) -> list[str]:
    texts = []
    for row, value in enumerate(values):
        try:
            texts.append(str(value, "utf-8"))
        except UnicodeDecodeError:
            raise RequestError(422, f"input {name} in row {row} is no UTF-8") from None
    return texts


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON would have them; one without a value is null."""
    found: dict[str, Any] = {}
    for name, parameter in given.items():
        choice = parameter.WhichOneof("parameter_choice")
        found[name] = None if choice is None else getattr(parameter, choice)
    times = found.get("event_time")
    if isinstance(times, str) and "," in times:
        # A parameter is no list: one time per row is one text.
        found["event_time"] = [text.strip() for text in times.split(",")]
    return found
