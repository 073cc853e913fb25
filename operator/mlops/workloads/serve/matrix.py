"""One matrix of all inputs instead of a tensor each: what clients send that know scikit-learn's arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from mlops.workloads.serve.errors import RequestError, shown
from mlops.workloads.serve.tensors import DTYPES, FLOATS, INTEGERS, Array, Column

_NUMBERS: Final = frozenset({"float64", "int64", "boolean"})


def is_matrix(tensors: Any, columns: Sequence[Column]) -> bool:
    """Whether the list of a request's inputs is one tensor of shape [n, k] for all k inputs."""
    if type(tensors) is not list or len(tensors) != 1 or len(columns) < 2 or type(tensors[0]) is not dict:
        return False
    shape, name = tensors[0].get("shape"), tensors[0].get("name")
    is_wide = type(shape) is list and len(shape) == 2 and all(type(size) is int for size in shape) and shape[1] > 1
    return is_wide and type(name) is str and all(column.name != name for column in columns)


def columns_of(tensor: dict[str, Any], binary: memoryview, columns: Sequence[Column]) -> dict[str, Array]:
    """Return the inputs, each (n,), of a matrix whose columns are in the order of the model's inputs.

    A whole number or a boolean may come in any datatype of numbers, if it is one. Raises RequestError.
    """
    name, (rows, width), datatype = tensor["name"], tensor["shape"], tensor.get("datatype")
    if width != len(columns):
        listed = ", ".join(column.name for column in columns[:20])
        raise RequestError(
            422, f"matrix {shown(name)} has {width} columns, the model takes {len(columns)} inputs: {listed}"
        )
    if other := next((column for column in columns if column.type not in _NUMBERS), None):
        raise RequestError(
            422,
            f"matrix {shown(name)} cannot hold the input {other.name!r} of type {other.type}; send one tensor for each "
            "input",
        )
    if datatype not in (*FLOATS, *INTEGERS):
        raise RequestError(
            422, f"matrix {shown(name)} has datatype {shown(datatype)}; send {' or '.join((*FLOATS, *INTEGERS))}"
        )
    values = _from_binary(tensor, binary, datatype) if len(binary) else _from_json(tensor, rows, width)
    return {column.name: _column(column, datatype, values[at::width]) for at, column in enumerate(columns)}


def _from_json(tensor: dict[str, Any], rows: int, width: int) -> list[Any]:
    """Return the values row by row, as they are or nested as the shape is."""
    name, data = tensor["name"], tensor.get("data")
    if type(data) is not list:
        raise RequestError(400, f'matrix {shown(name)} has no list "data" and no binary_data_size')
    if data and all(type(row) is list for row in data):
        if len(data) != rows or any(len(row) != width for row in data):
            raise RequestError(
                400, f'matrix {shown(name)} has rows in "data" that do not fit its shape {[rows, width]}'
            )
        data = [value for row in data for value in row]
    if len(data) != rows * width:
        raise RequestError(
            400, f'matrix {shown(name)} has {len(data)} values in "data", but its shape says {rows * width}'
        )
    return data


def _from_binary(tensor: dict[str, Any], binary: memoryview, datatype: str) -> list[Any]:
    name, (rows, width), dtype = tensor["name"], tensor["shape"], DTYPES[datatype]
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if type(parameters) is dict else None
    if "data" in tensor or type(size) is not int or size != len(binary) or size != rows * width * dtype.itemsize:
        raise RequestError(
            400,
            f"matrix {shown(name)} has {len(binary)} bytes and binary_data_size {shown(size)}, but its shape takes "
            f"{rows * width * dtype.itemsize}",
        )
    values: list[Any] = np.frombuffer(binary, dtype).tolist()
    return values


def _column(column: Column, datatype: str, values: list[Any]) -> Array:
    """Return one column as its own type."""
    missing = [None if value != value else value for value in values] if datatype in FLOATS else values
    if column.type == "boolean":
        return column.from_json("BOOL", [_truth(column, row, value) for row, value in enumerate(missing)])
    return column.from_json(datatype, missing)


def _truth(column: Column, row: int, value: Any) -> Any:
    if type(value) in (int, float):
        if value not in (0, 1):
            raise RequestError(
                422, f"input {column.name!r} is {shown(value)} in row {row}, but the field is boolean: send 0 or 1"
            )
        return value == 1
    return value
