"""One matrix says what a tensor for each input says, or what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mlops.workloads.serve.errors import RequestError
from mlops.workloads.serve.inference import InferenceRequest, Interface, Parser
from mlops.workloads.serve.tensors import Column

COLUMNS = (Column("a", "float64", True), Column("b", "int64", False), Column("c", "boolean", False))
OUTPUTS = (("prediction", "FP64", 1),)
PARSER = Parser(Interface("m", 1, "x", COLUMNS, OUTPUTS), 10, 1 << 20)
ROWS = [[0.5, 3, 1], [-1.25, -7, 0]]


def parsed(tensor: dict[str, Any], binary: bytes = b"", parser: Parser = PARSER) -> InferenceRequest:
    head = json.dumps({"id": "x", "inputs": [tensor]}).encode()
    return parser.parse(head + binary, len(head) if binary else None)


@pytest.mark.parametrize("name", ["predict", "input-0", "input_1"])
@pytest.mark.parametrize("data", [ROWS, [value for row in ROWS for value in row]], ids=["nested", "flat"])
def test_a_matrix_is_its_columns(name: str, data: list[Any]) -> None:
    """Under whatever name, nested or flat, each value becomes its field's own type."""
    found = parsed({"name": name, "datatype": "FP64", "shape": [2, 3], "data": data})
    assert found.rows == 2
    assert {key: (values.dtype.str, values.tolist()) for key, values in found.inputs.items()} == {
        "a": ("<f8", [0.5, -1.25]),
        "b": ("<i8", [3, -7]),
        "c": ("|b1", [True, False]),
    }


@pytest.mark.parametrize(("datatype", "code"), [("FP64", "<f8"), ("FP32", "<f4")])
def test_a_binary_matrix_is_the_same(datatype: str, code: str) -> None:
    raw = np.array(ROWS, dtype=code).tobytes()
    tensor = {"name": "m", "datatype": datatype, "shape": [2, 3], "parameters": {"binary_data_size": len(raw)}}
    plain = parsed({"name": "m", "datatype": "FP64", "shape": [2, 3], "data": ROWS})
    assert {key: values.tolist() for key, values in parsed(tensor, raw).inputs.items()} == {
        key: values.tolist() for key, values in plain.inputs.items()
    }


def test_whole_numbers_may_come_as_such() -> None:
    found = parsed({"name": "m", "datatype": "INT32", "shape": [1, 3], "data": [4, 1 << 30, 0]})
    assert [found.inputs[name].tolist() for name in "abc"] == [[4.0], [1 << 30], [False]]


def test_what_is_missing_is_missing() -> None:
    """null in JSON and NaN in binary, where it may be."""
    in_json = parsed({"name": "m", "datatype": "FP64", "shape": [1, 3], "data": [None, 3, 1]})
    raw = np.array([np.nan, 3, 1]).tobytes()
    tensor = {"name": "m", "datatype": "FP64", "shape": [1, 3], "parameters": {"binary_data_size": 24}}
    for found in (in_json, parsed(tensor, raw)):
        assert np.isnan(found.inputs["a"]).all()


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        pytest.param(
            {"shape": [2, 2], "data": [1, 2, 3, 4]}, 422, "has 2 columns, the model takes 3 inputs", id="width"
        ),
        pytest.param({"data": [1, 2]}, 400, "2 values", id="too few"),
        pytest.param({"data": [[1, 2, 3], [1, 2]]}, 400, "do not fit its shape", id="ragged"),
        pytest.param({"data": None}, 400, "no list", id="no data"),
        pytest.param({"data": [0.5, 3.5, 1, 0.5, 3, 1]}, 422, "'b' is 3.5 in row 0", id="a fraction"),
        pytest.param({"data": [0.5, 1e300, 1, 0.5, 3, 1]}, 422, "'b' is 1e+300 in row 0", id="a large number"),
        pytest.param({"data": [0.5, 3, 1, 0.5, 3, 2]}, 422, "'c' is 2 in row 1", id="no boolean"),
        pytest.param({"data": [0.5, 3, 1, 0.5, None, 1]}, 422, "'b' is missing in row 1", id="missing"),
        pytest.param({"data": [0.5, "x", 1, 0.5, 3, 1]}, 422, "'b' has a string in row 0", id="text"),
        pytest.param({"data": [0.5, {}, [], 0.5, 3, 1]}, 422, "'b' has an object in row 0", id="an object"),
        pytest.param({"datatype": "BYTES"}, 422, "datatype 'BYTES'", id="datatype"),
        pytest.param({"datatype": None}, 422, "datatype None", id="no datatype"),
        pytest.param({"datatype": []}, 422, "datatype []", id="a list for a datatype"),
        pytest.param({"shape": [11, 3]}, 413, "11 rows, the limit is 10", id="many rows"),
        pytest.param({"shape": [0, 3], "data": []}, 422, "0 rows", id="no rows"),
        pytest.param({"shape": [-1, 3], "data": []}, 422, "-1 rows", id="negative rows"),
        pytest.param({"name": "a"}, 422, "send [n] or [n, 1]", id="the name of an input"),
    ],
)
def test_a_bad_matrix_is_refused_by_name(changes: dict[str, Any], status: int, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        parsed({"name": "m", "datatype": "FP64", "shape": [2, 3], "data": ROWS, **changes})
    assert (refused.value.status, message in refused.value.message) == (status, True), refused.value.message


def test_a_matrix_with_other_bytes_than_its_shape_is_refused() -> None:
    for size, raw in ((40, bytes(40)), (48, bytes(40)), (None, bytes(48)), (48, bytes(49))):
        tensor = {"name": "m", "datatype": "FP64", "shape": [2, 3], "parameters": {"binary_data_size": size}}
        with pytest.raises(RequestError) as refused:
            parsed(tensor, raw)
        assert refused.value.status == 400


def test_a_matrix_holds_no_texts() -> None:
    """The input that it cannot hold is named."""
    columns = (*COLUMNS[:1], Column("colour", "string", False))
    parser = Parser(Interface("m", 1, "x", columns, OUTPUTS), 10, 1 << 20)
    with pytest.raises(RequestError, match="cannot hold the input 'colour' of type string"):
        parsed({"name": "m", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}, parser=parser)
