"""A request of one row, which most are: read as a list of plain values, answered from a template.

What is not plain about a request, right or wrong, is left to `Parser`: this reader says nothing of it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from mlops.workloads.floor.model.lone_rows import Row, RowAnswer
from mlops.workloads.serve.classification import Best
from mlops.workloads.serve.tensors import STATED, Column
from mlops.workloads.serve.timestamps import field_microseconds

_NAN: Final = float("nan")
_LOW, _HIGH = -(1 << 63), 1 << 63
_NUMBERS: Final = {
    "float64": {"FP64": struct.Struct("<d"), "FP32": struct.Struct("<f")},
    "int64": {"INT64": struct.Struct("<q"), "INT32": struct.Struct("<i")},
}
_LENGTH: Final = struct.Struct("<I")
_EIGHT: Final = {"binary_data_size": 8}
_PYTHON: Final = {"float64": float, "int64": int, "boolean": bool, "string": str, "timestamp": str}
_SHAPES: Final = ([1], [1, 1])


class _NotPlain(Exception):
    """Something that has to be looked at closer."""


class RowRequest(NamedTuple):
    """A request of one row: `row` has a value for each input of the model, in its order; see `lone_rows`."""

    id: str
    row: Row
    # Microseconds since 1970; None: the request's arrival.
    event_time: int | None
    # Which outputs are wanted, and whether each is wanted in binary.
    outputs: tuple[tuple[str, bool | Best], ...]


class RowReader:
    """Reads the tensors of one row."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = [(column.name, STATED[column.type], column) for column in columns]
        # Of each tensor of a plain request: its name, its datatype, and the type of its value.
        self._plainly = [(column.name, STATED[column.type], _PYTHON[column.type]) for column in columns]
        self._is_numbers = all(column.type == "float64" for column in columns)
        self._doubles = struct.Struct(f"<{len(columns)}d")

    def read(self, tensors: Any, binary: memoryview) -> Row | None:
        """Return the row in a request's list of tensors; None for whatever is not one row of plain good values."""
        if type(tensors) is not list or len(tensors) != len(self._columns):
            return None
        try:
            plain = self._plain_binary(tensors, binary) if binary else self._plain(tensors)
            if plain is not None:
                return plain
            return self._closer(tensors, binary)
        except (_NotPlain, KeyError, TypeError, ValueError, IndexError, struct.error):
            return None

    def _plain(self, tensors: list[Any]) -> Row | None:
        """Return the row of tensors in the model's order and datatypes, with values of just these types."""
        values: Row = []
        # One loop that calls next to nothing: most of all requests come this way.
        for tensor, (name, datatype, kind) in zip(tensors, self._plainly, strict=True):
            data, shape = tensor["data"], tensor["shape"]
            (value,) = data
            if (
                tensor["name"] != name
                or tensor["datatype"] != datatype
                or shape != [1]
                or type(shape[0]) is not int
                or type(data) is not list
                or type(value) is not kind
                or len(tensor) != 4
            ):
                return None
            values.append(value)
        if self._is_numbers:
            return _finite(values)
        return [_value(column, value) for (_, _, column), value in zip(self._columns, values, strict=True)]

    def _plain_binary(self, tensors: list[Any], binary: memoryview) -> Row | None:
        """Return the row of binary tensors in the model's order, all of them FP64."""
        if not self._is_numbers or len(binary) != self._doubles.size:
            return None
        for tensor, (name, datatype, _) in zip(tensors, self._plainly, strict=True):
            parameters, shape = tensor["parameters"], tensor["shape"]
            if (
                tensor["name"] != name
                or tensor["datatype"] != datatype
                or shape != [1]
                or type(shape[0]) is not int
                or parameters != _EIGHT
                or type(parameters["binary_data_size"]) is not int
                or len(tensor) != 4
            ):
                return None
        return _finite(self._doubles.unpack(binary))

    def _closer(self, tensors: list[Any], binary: memoryview) -> Row | None:
        row: Row = []
        taken = 0
        if tensors[0]["name"] != self._columns[0][0] or tensors[-1]["name"] != self._columns[-1][0]:
            tensors = self._in_order(tensors)
        for tensor, (name, stated, column) in zip(tensors, self._columns, strict=True):
            if tensor["name"] != name:
                return None
            if "parameters" in tensor:
                value, size = _binary(column, tensor, binary[taken:])
                taken += size
                row.append(value)
                continue
            shape = tensor["shape"]
            if not _is_one(shape) or tensor["datatype"] != stated:
                return None
            data = tensor["data"]
            if type(data) is not list or len(data) != 1:
                return None
            value = data[0]
            row.append(_value(column, value))
        return row if taken == len(binary) else None

    def _in_order(self, tensors: list[Any]) -> list[Any]:
        found = {tensor["name"]: tensor for tensor in tensors}
        return [found[name] for name, _, _ in self._columns]


def _finite(values: Sequence[float]) -> Row | None:
    """Return numbers, minus zero as zero, as at ingest; None if one is not finite, or if their sum is not."""
    total = sum(values)
    return [value + 0.0 for value in values] if total - total == 0.0 else None


def _is_one(shape: Any) -> bool:
    return shape in _SHAPES and type(shape[0]) is int and type(shape[-1]) is int


def _value(column: Column, value: Any) -> Any:
    """Return a good value of JSON as the column's own; raises _NotPlain."""
    if value is None and column.nullable:
        return _NAN if column.type == "float64" else None
    kind, expected = type(value), column.type
    if kind is float and expected == "float64" and value - value == 0.0:
        return value + 0.0  # minus zero is zero, as at ingest
    if expected == "string" and kind is str:
        return value
    if expected == "boolean" and kind is bool:
        return value
    if kind is int and _LOW <= value < _HIGH and expected in ("int64", "float64"):
        return value if expected == "int64" else float(value)
    if expected == "timestamp" and kind is str:
        return _time(value)
    raise _NotPlain


def _binary(column: Column, tensor: Mapping[str, Any], data: memoryview) -> tuple[Any, int]:
    """Return the good value of a binary tensor, and how many bytes it took; raises _NotPlain."""
    shape, parameters, datatype = tensor["shape"], tensor["parameters"], tensor["datatype"]
    size = parameters["binary_data_size"]
    if not _is_one(shape) or "data" in tensor or type(size) is not int:
        raise _NotPlain
    if size < 0 or size > len(data):
        raise _NotPlain
    if column.type in _NUMBERS:
        form = _NUMBERS[column.type].get(datatype)
        if form is None or form.size != size:
            raise _NotPlain
        (value,) = form.unpack_from(data)
        if column.type == "int64" or value - value == 0.0:
            return value + 0, size
        if value == value or not column.nullable:
            raise _NotPlain
        return _NAN, size
    if column.type == "boolean":
        if datatype != "BOOL" or size != 1 or data[0] > 1:
            raise _NotPlain
        return data[0] == 1, size
    if datatype != "BYTES" or _LENGTH.unpack_from(data)[0] != size - 4:
        raise _NotPlain
    try:
        text = str(data[4:size], "utf-8")
    except UnicodeDecodeError:
        raise _NotPlain from None
    return (text if column.type == "string" else _time(text)), size


def _time(text: str) -> int:
    try:
        return field_microseconds(text)
    except ValueError:
        raise _NotPlain from None


class RowWriter:
    """Writes the answers to single rows in JSON, the same bytes as `AnswerWriter`."""

    def __init__(
        self, start: Mapping[str, str], outputs: Sequence[tuple[str, str, int]], classes: Sequence[Any]
    ) -> None:
        self._start = orjson.dumps(start)[:-1] + b',"id":'
        forms = []
        for name, datatype, width in outputs:
            shape = [1] if width == 1 else [1, width]
            forms.append(orjson.dumps({"name": name, "datatype": datatype, "shape": shape})[:-1] + b',"data":')
        self._prediction = b',"outputs":[' + forms[0]
        self._probabilities = b"}," + forms[1] if len(forms) > 1 else b""
        # Copies: orjson's own bytes keep the buffer that they were written into.
        self._classes = [bytes(memoryview(orjson.dumps([one]))) for one in classes]

    def write(self, identity: str, answer: RowAnswer) -> bytes:
        """Return the body of an answer with all outputs."""
        value = self._classes[answer.value] if self._classes else orjson.dumps([answer.value])
        if answer.probabilities is None or not self._probabilities:
            return b"%b%b%b%b}]}" % (self._start, orjson.dumps(identity), self._prediction, value)
        table = orjson.dumps(answer.probabilities)
        return b"%b%b%b%b%b%b}]}" % (
            self._start, orjson.dumps(identity), self._prediction, value, self._probabilities, table,
        )  # fmt: skip
