"""One inference request, in the form of the Open Inference Protocol v2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import urandom
from typing import Any, Final

import numpy as np
import orjson

from mlops.workloads.floor.model.lone_rows import rows_of
from mlops.workloads.serve.classification import Best, wanted
from mlops.workloads.serve.errors import RequestError, shown
from mlops.workloads.serve.matrix import columns_of, is_matrix
from mlops.workloads.serve.row_request import RowReader, RowRequest
from mlops.workloads.serve.tensors import STATED, TAKEN, Array, Column
from mlops.workloads.serve.timestamps import microseconds

LONGEST_ID: Final = 256
_BOM: Final = b"\xef\xbb\xbf"
# So little JSON cannot become much.
_SMALL: Final = 4096


@dataclass(frozen=True)
class Interface:
    """What a model takes and gives, as clients see it."""

    model_name: str
    version: int
    platform: str
    inputs: tuple[Column, ...]
    # Name and datatype of each output, and its width: 1 for (n,), else (n, width).
    outputs: tuple[tuple[str, str, int], ...]
    # Of a classifier, in the order of `probabilities`.
    classes: tuple[bool | int | str, ...] = ()

    def metadata(self) -> dict[str, Any]:
        """Return the model's metadata."""
        return {
            "name": self.model_name,
            "versions": [str(self.version)],
            "platform": self.platform,
            "inputs": [column.metadata() for column in self.inputs],
            "outputs": [self._output(*output) for output in self.outputs],
        }

    def _output(self, name: str, datatype: str, width: int) -> dict[str, Any]:
        described: dict[str, Any] = {"name": name, "datatype": datatype, "shape": [-1] if width == 1 else [-1, width]}
        # Which number is whose, nothing else on the wire says.
        return described | ({"parameters": {"classes": list(self.classes)}} if self.classes else {})


@dataclass(frozen=True)
class InferenceRequest:
    """A request whose tensors are columns: `inputs` maps each field's name to its values (rows,)."""

    id: str
    rows: int
    inputs: dict[str, Array]
    # Microseconds since 1970: one for all rows, one per row, or None: the request's arrival.
    event_time: int | Array | None
    # Which outputs are wanted, and whether each is wanted in binary.
    outputs: tuple[tuple[str, bool | Best], ...]


class Parser:
    """Reads requests for one model. What is the same for every request is worked out once.

    Requests without an id are given one by `id_maker`.
    """

    def __init__(
        self, interface: Interface, max_rows: int, max_decoded_bytes: int, id_maker: Callable[[], str] | None = None
    ) -> None:
        self._new_id = id_maker or new_id
        self._max_decoded_bytes = max_decoded_bytes
        self._columns = {column.name: (column, frozenset(TAKEN[column.type])) for column in interface.inputs}
        self._output_names = tuple(name for name, _, _ in interface.outputs)
        self._all_json = tuple((name, False) for name in self._output_names)
        self._all_binary = tuple((name, True) for name in self._output_names)
        self._max_rows = max_rows
        self._inputs = interface.inputs
        self._row_reader = RowReader(interface.inputs)

    def parse(self, body: bytes | bytearray, header_length: int | None) -> InferenceRequest:
        """Return the request in `body`, whose first `header_length` bytes are JSON (None: all). Raises RequestError."""
        return self.of_document(*self._opened(body, header_length))

    def parse_row(self, body: bytes | bytearray, header_length: int | None) -> InferenceRequest | RowRequest:
        """Return the same, a request of one row as such. Raises RequestError."""
        return self.row_of_document(*self._opened(body, header_length))

    def row_of_document(self, document: dict[str, Any], binary: memoryview) -> InferenceRequest | RowRequest:
        """Return the request that a document and the binary tensors behind it are, one of one row as such.

        Raises RequestError.
        """
        parameters = document.get("parameters")
        if (parameters is None or type(parameters) is dict) and (
            row := self._row_reader.read(document.get("inputs"), binary)
        ) is not None:
            event_time = parameters.get("event_time") if parameters else None
            if event_time is None or type(event_time) is str:
                return RowRequest(
                    id=request_id(document, self._new_id),
                    row=row,
                    event_time=None if event_time is None else _timestamp(event_time),
                    outputs=self._outputs(document.get("outputs"), parameters or {}),
                )
        found = self.of_document(document, binary)
        if found.rows != 1:
            return found
        (row,) = rows_of(self._inputs, found.inputs)
        given = found.event_time
        return RowRequest(found.id, row, int(given[0]) if isinstance(given, np.ndarray) else given, found.outputs)

    def _opened(self, body: bytes | bytearray, header_length: int | None) -> tuple[dict[str, Any], memoryview]:
        """Return the JSON of a body, and the binary tensors behind it."""
        binary = memoryview(b"")
        if header_length is not None:
            if header_length > len(body):
                raise RequestError(
                    400, f"Inference-Header-Content-Length is {header_length}, but the body has {len(body)} bytes"
                )
            binary = memoryview(body)[header_length:]
            body = body[:header_length]
        return read_json(body, self._max_decoded_bytes), binary

    def of_document(self, document: dict[str, Any], binary: memoryview) -> InferenceRequest:
        """Return the request that a document and the binary tensors behind it are. Raises RequestError."""
        parameters = parameters_of(document, "the request")
        tensors = document.get("inputs")
        if type(tensors) is not list or not tensors:
            raise RequestError(400, 'the request has no list "inputs" of tensors')
        if is_matrix(tensors, self._inputs):
            rows = self._row_count(tensors[0]["name"], tensors[0]["shape"][0])
            return self._request(document, parameters, rows, columns_of(tensors[0], binary, self._inputs))
        inputs: dict[str, Array] = {}
        rows = -1
        taken = 0
        for tensor in tensors:
            name, values, size = self._tensor(tensor, binary[taken:] if taken else binary)
            taken += size
            if name in inputs:
                raise RequestError(422, f"input {name!r} is there twice; send each input once")
            if rows not in (-1, values.shape[0]):
                raise RequestError(
                    422,
                    f"input {name!r} has {values.shape[0]} rows, the inputs before it have {rows}; send equally many",
                )
            rows = values.shape[0]
            inputs[name] = values
        if taken != len(binary):
            raise RequestError(400, f"{len(binary) - taken} bytes after the last tensor belong to none")
        if len(inputs) != len(self._columns):
            for column in self._inputs:
                if column.name not in inputs:
                    inputs[column.name] = self._left_out(column, rows)
        return self._request(document, parameters, rows, inputs)

    def _left_out(self, column: Column, rows: int) -> Array:
        """Return the values of an input that was left out: all missing, where they may be."""
        if not column.nullable:
            raise RequestError(422, f"input {column.name!r} is missing; the model takes {listed(self._columns)}")
        return column.from_json(STATED[column.type], [None] * rows)

    def _request(
        self, document: dict[str, Any], parameters: Mapping[str, Any], rows: int, inputs: dict[str, Array]
    ) -> InferenceRequest:
        return InferenceRequest(
            id=request_id(document, self._new_id),
            rows=rows,
            inputs=inputs,
            event_time=event_times(parameters.get("event_time"), rows) if parameters else None,
            outputs=self._outputs(document.get("outputs"), parameters),
        )

    def _tensor(self, tensor: Any, binary: memoryview) -> tuple[str, Array, int]:
        """Return name and values of one input, and how many bytes of `binary` were its."""
        if type(tensor) is not dict:
            raise RequestError(400, '"inputs" holds something that is no tensor object')
        name = tensor.get("name")
        if type(name) is not str:
            raise RequestError(400, 'an input has no "name"')
        known = self._columns.get(name)
        if known is None:
            raise RequestError(422, f"input {shown(name)} is unknown; the model takes {listed(self._columns)}")
        column, datatypes = known
        datatype = tensor.get("datatype")
        if type(datatype) is not str or datatype not in datatypes:
            raise RequestError(
                422,
                f"input {name!r} has datatype {shown(datatype)}; a field of type {column.type} takes "
                + " or ".join(TAKEN[column.type]),
            )
        rows = self._rows(name, tensor.get("shape"))
        data = tensor.get("data")
        parameters = tensor.get("parameters")
        size = parameters.get("binary_data_size") if type(parameters) is dict else None
        if size is None:
            return name, column.from_json(datatype, _flat(name, data, rows)), 0
        if data is not None:
            raise RequestError(400, f'input {name!r} has both "data" and binary_data_size; send one of them')
        if type(size) is not int or not 0 <= size <= len(binary):
            raise RequestError(
                400,
                f"input {name!r} has binary_data_size {shown(size)}, but {len(binary)} bytes are left; "
                "Inference-Header-Content-Length must give the length of the JSON before them",
            )
        return name, column.from_binary(datatype, binary[:size], rows), size

    def _rows(self, name: str, shape: Any) -> int:
        if shape == [1] and type(shape[0]) is int:
            return 1
        if type(shape) is not list or not 1 <= len(shape) <= 2 or any(type(size) is not int for size in shape):
            raise RequestError(422, f"input {name!r} has shape {shown(shape)}; send [n] or [n, 1]")
        if shape[0] < 1 or shape[1:] not in ([], [1]):
            raise RequestError(422, f"input {name!r} has shape {shown(shape)}; send [n] or [n, 1] with n of at least 1")
        return self._row_count(name, shape[0])

    def _row_count(self, name: str, rows: int) -> int:
        if rows < 1:
            raise RequestError(422, f"input {shown(name)} has {rows} rows; send at least one")
        if rows > self._max_rows:
            raise RequestError(
                413,
                f"input {shown(name)} has {rows} rows, the limit is {self._max_rows}; send them in several requests",
            )
        return rows

    def _outputs(self, given: Any, parameters: Mapping[str, Any]) -> tuple[tuple[str, bool | Best], ...]:
        default = parameters.get("binary_data_output", False)
        if type(default) is not bool:
            raise RequestError(400, f"parameters.binary_data_output is {shown(default)}; send true or false")
        if given is None or given == []:
            return self._all_binary if default else self._all_json
        if type(given) is not list:
            raise RequestError(400, '"outputs" is no list')
        outputs: list[tuple[str, bool | Best]] = []
        for output in given:
            name = output.get("name") if type(output) is dict else None
            if type(name) is not str:
                raise RequestError(400, 'an output has no "name"')
            if name not in self._output_names:
                raise RequestError(
                    422, f"output {shown(name)} is unknown; the model gives {listed(self._output_names)}"
                )
            if any(name == other for other, _ in outputs):
                raise RequestError(422, f"output {name!r} is wanted twice; name it once")
            own = parameters_of(output, f"output {name!r}")
            binary = own.get("binary_data", default)
            if type(binary) is not bool:
                raise RequestError(400, f"binary_data of output {name!r} is {shown(binary)}; send true or false")
            outputs.append((name, wanted(name, own, binary=binary) if "classification" in own else binary))
        return tuple(outputs)


def decoded_bytes(body: bytes | bytearray) -> int:
    """Return about how much memory the JSON in `body` takes as objects: 2 characters can become 64 bytes, or 232."""
    return 4 * len(body) + 8 * body.count(b",") + 64 * body.count(b"[") + 232 * body.count(b"{")


def read_json(body: bytes | bytearray, max_decoded_bytes: int) -> dict[str, Any]:
    """Return the JSON object in `body`; raises RequestError."""
    if not body:
        raise RequestError(400, "the body is empty; send a JSON object")
    if len(body) > _SMALL and decoded_bytes(body) > max_decoded_bytes:
        raise RequestError(
            413,
            f"the body's JSON would take more than {max_decoded_bytes} bytes of memory; send flat lists or binary "
            "tensors, or the rows in several requests",
        )
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if body.startswith(_BOM):
            raise RequestError(400, "the body begins with a byte order mark; send UTF-8 without it") from None
        raise RequestError(400, f"the body is no JSON: {_json_problem(body, error)}") from None
    if type(document) is not dict:
        raise RequestError(400, "the body is JSON, but no object")
    return document


def request_id(document: Mapping[str, Any], id_maker: Callable[[], str]) -> str:
    """Return the request's id, a new one if it has none; raises RequestError."""
    given = document.get("id")
    if given is None or given == "":
        return id_maker()
    return checked_id(given, '"id"')


def new_id() -> str:
    """Return what uuid.uuid4 gives, in a quarter of its time."""
    made = urandom(16).hex()
    return f"{made[:8]}-{made[8:12]}-4{made[13:16]}-{'89ab'[int(made[16], 16) & 3]}{made[17:20]}-{made[20:]}"


def checked_id(given: Any, where: str) -> str:
    """Return `given` if it can be an id: 1 to 256 characters of text; raises RequestError."""
    if type(given) is not str or not 0 < len(given) <= LONGEST_ID:
        raise RequestError(400, f"{where} is {shown(given)}; send a string of 1 to {LONGEST_ID} characters")
    return given


def _json_problem(body: bytes | bytearray, error: orjson.JSONDecodeError) -> str:
    for word in (b"NaN", b"Infinity"):
        if word in body[max(0, error.pos - 1) : error.pos + 12]:
            return f"{word.decode()} at character {error.pos} is not part of JSON; send null for a missing value"
    return f"{error.msg} at character {error.pos}"


def parameters_of(holder: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the parameters of a request or an output, which may be left out; raises RequestError."""
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if type(parameters) is not dict:
        raise RequestError(400, f'"parameters" of {where} is no object')
    return parameters


def _flat(name: str, data: Any, rows: int) -> list[Any]:
    """Return the values of a JSON tensor of shape [n] or [n, 1], which may be nested as the shape is."""
    if type(data) is not list:
        raise RequestError(400, f'input {name!r} has no list "data" and no binary_data_size')
    if len(data) != rows:
        raise RequestError(400, f'input {name!r} has {len(data)} values in "data", but its shape says {rows}')
    if type(data[0]) is not list:
        return data
    if any(type(row) is not list or len(row) != 1 for row in data):
        raise RequestError(400, f'input {name!r} has rows in "data" that do not hold one value each')
    return [row[0] for row in data]


def event_times(given: Any, rows: int) -> int | Array | None:
    """Return the parameter in microseconds since 1970: one, or one per row (rows,); raises RequestError."""
    if given is None:
        return None
    if type(given) is list:
        if len(given) != rows:
            raise RequestError(
                422, f"parameters.event_time has {len(given)} times for {rows} rows; send one, or one per row"
            )
        return np.array([_timestamp(text) for text in given], dtype=np.int64)
    return _timestamp(given)


def _timestamp(given: Any) -> int:
    if type(given) is not str:
        raise RequestError(422, f"parameters.event_time is {shown(given)}; send an RFC 3339 string")
    try:
        return microseconds(given)
    except ValueError as error:
        raise RequestError(422, f"parameters.event_time {shown(given)} {error}") from None


def listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    """Return the names for a message, the first 20 of them."""
    first = ", ".join(list(names)[:20])
    return first if len(names) <= 20 else f"{first} and {len(names) - 20} more"
