"""The Open Inference Protocol v2 as its specification has it: path by path, datatype by datatype, JSON and binary.

What is right stands in tables here, taken from the specification (inference_rest.md and open_inference_rest.yaml of
kserve/open-inference-protocol) and from the extensions of Triton: nothing of it is asked of the code that is tested.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.workloads.serve.models import feeds, rows
from tests.workloads.serve.servers import Served, request_of

INFER = "/v2/models/weather/infer"
# Each datatype and its form; BYTES has none.
CODES: dict[str, str | None] = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "BYTES": None,
}  # fmt: skip
NUMBERS = frozenset(CODES) - {"BOOL", "BYTES"}
TAKES = {"temperature": NUMBERS, "count": NUMBERS, "windy": {"BOOL"}, "colour": {"BYTES"}}
# Values that each datatype can hold.
VALUES: dict[str, list[Any]] = {
    **{datatype: [3, 0, 7] for datatype in NUMBERS},
    "BOOL": [True, False, True],
    "BYTES": ["blue", "", "grün"],
}
MODEL = {"name": str, "versions": list, "platform": str, "inputs": list, "outputs": list}
MODEL_READY = {"name": str, "ready": bool}
# Paths of GET, and the members of the answer with their types.
PATHS: dict[str, dict[str, type]] = {
    "/v2": {"name": str, "version": str, "extensions": list},
    "/v2/health/live": {"live": bool},
    "/v2/health/ready": {"live": bool, "ready": bool},
    "/v2/models": {"models": list},
    "/v2/models/stats": {"model_stats": list},
    **{
        f"/v2/models/weather{version}{path}": members
        for version in ("", "/versions/3")
        for path, members in {
            "": MODEL,
            "/ready": MODEL_READY,
            "/stats": {"model_stats": list},
            "/config": {
                "name": str, "platform": str, "backend": str, "version_policy": dict, "max_batch_size": int,
                "input": list, "output": list,
            },
        }.items()
    },
}  # fmt: skip


def engine(model: Path, inputs: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """The probabilities that onnxruntime gives, in float64 and with the sum one."""
    session = onnxruntime.InferenceSession((model / "model.onnx").read_bytes())
    (found,) = session.run(["probabilities"], feeds(inputs))
    exact: np.ndarray[Any, Any] = found.astype(np.float64)
    return exact / exact.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", PATHS)
def test_a_path_answers_with_what_the_specification_says(server: Served, path: str, slash: str) -> None:
    """Just these members, each of its type; HEAD says the same without a body, and POST is refused."""
    status, headers, body = server.ask("GET", path + slash)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert {name: type(value) for name, value in json.loads(body).items()} == PATHS[path]
    status, without, nothing = server.ask("HEAD", path + slash)
    assert (status, without["content-length"], nothing) == (200, headers["content-length"], b"")
    status, refused, _ = server.ask("POST", path + slash, b"{}")
    assert (status, refused["allow"]) == (405, "GET, HEAD")


def test_health_says_that_it_is_so(server: Served) -> None:
    """True, and of a model its name."""
    assert json.loads(server.ask("GET", "/v2/health/live")[2]) == {"live": True}
    assert json.loads(server.ask("GET", "/v2/health/ready")[2]) == {"live": True, "ready": True}
    for version in ("", "/versions/3"):
        answer = server.ask("GET", f"/v2/models/weather{version}/ready")[2]
        assert json.loads(answer) == {"name": "weather", "ready": True}


def test_metadata_names_every_tensor_with_what_it_takes(server: Served) -> None:
    """Name, datatype and shape, as the specification asks; nullability and classes as parameters."""
    found = json.loads(server.ask("GET", "/v2/models/weather")[2])
    assert found["versions"] == ["3"]
    assert found["inputs"] == [
        {"name": name, "datatype": datatype, "shape": [-1], "parameters": {"nullable": nullable}}
        for name, datatype, nullable in (
            ("temperature", "FP64", True),
            ("count", "INT64", False),
            ("windy", "BOOL", False),
            ("colour", "BYTES", True),
        )
    ]
    classes = {"classes": ["dry", "rain"]}
    assert found["outputs"] == [
        {"name": "prediction", "datatype": "BYTES", "shape": [-1], "parameters": classes},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2], "parameters": classes},
    ]


def test_the_configuration_says_the_same_of_one_row(server: Served) -> None:
    found = json.loads(server.ask("GET", "/v2/models/weather/config")[2])
    assert found["max_batch_size"] == 1000
    assert found["version_policy"] == {"specific": {"versions": [3]}}
    assert found["input"][0] == {"name": "temperature", "data_type": "TYPE_FP64", "dims": [1], "optional": True}
    assert [one["optional"] for one in found["input"]] == [True, False, False, True]
    assert found["output"] == [
        {"name": "prediction", "data_type": "TYPE_STRING", "dims": [1]},
        {"name": "probabilities", "data_type": "TYPE_FP64", "dims": [2]},
    ]


def binary(datatype: str, values: list[Any]) -> bytes:
    """The values as the binary tensor extension has them."""
    code = CODES[datatype]
    if code is not None:
        return np.array(values, dtype=code).tobytes()
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in values)


def sent(server: Served, tensors: list[dict[str, Any]], *, is_binary: bool, shape: list[int]) -> tuple[int, Any, bytes]:
    """Status, JSON and binary part of the answer to tensors in one of the two forms."""
    inputs, tail = [], b""
    for tensor in tensors:
        raw = binary(tensor["datatype"], tensor["data"])
        form = {"parameters": {"binary_data_size": len(raw)}} if is_binary else {"data": tensor["data"]}
        inputs.append({"name": tensor["name"], "datatype": tensor["datatype"], "shape": shape, **form})
        tail += raw if is_binary else b""
    document = {"id": "x", "inputs": inputs, "parameters": {"binary_data_output": is_binary}}
    head = json.dumps(document).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))} if is_binary else {}
    status, answered, body = server.ask("POST", INFER, head + tail, headers)
    length = int(answered.get("inference-header-content-length", len(body)))
    return status, json.loads(body[:length]), body[length:]


@pytest.mark.parametrize("is_binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("datatype", CODES)
@pytest.mark.parametrize("name", TAKES)
def test_a_field_takes_its_datatypes_and_refuses_the_others_by_name(
    server: Served, model: Path, name: str, datatype: str, is_binary: bool
) -> None:
    """An answer has the engine's own bits; a refusal names field, datatype and those that are taken."""
    plain = rows(3, seed=5)
    plain["temperature"] = plain["temperature"].astype(np.float32).astype(np.float64)
    stated = {"temperature": "FP64", "count": "INT64", "windy": "BOOL", "colour": "BYTES"}
    tensors = [{"name": one, "datatype": stated[one], "data": plain[one].tolist()} for one in plain]
    changed = next(tensor for tensor in tensors if tensor["name"] == name)
    changed.update(datatype=datatype, data=VALUES[datatype])
    for shape in ([3], [3, 1]):
        status, answer, tail = sent(server, tensors, is_binary=is_binary, shape=shape)
        if datatype not in TAKES[name]:
            assert status == 422
            assert answer["error"].startswith(f"input {name!r} has datatype {datatype!r}; a field of type ")
            assert all(taken in answer["error"] for taken in TAKES[name])
            continue
        assert status == 200, answer
        plain[name] = np.array(VALUES[datatype], dtype=object if name == "colour" else plain[name].dtype)
        want = engine(model, plain)
        output = answer["outputs"][1]
        assert (output["name"], output["datatype"], output["shape"]) == ("probabilities", "FP64", [3, 2])
        got = tail[-output["parameters"]["binary_data_size"] :] if is_binary else np.array(output["data"]).tobytes()
        assert got == want.tobytes()
        labels = [("dry", "rain")[index] for index in want.argmax(axis=1)]
        if is_binary:
            assert tail.startswith(binary("BYTES", labels))
        else:
            assert answer["outputs"][0]["data"] == labels


@pytest.mark.parametrize(
    ("datatype", "value", "is_taken"),
    [
        pytest.param("INT64", 3.0, True, id="INT64, with a point"),
        pytest.param("INT64", 3.5, False, id="INT64, a fraction"),
        pytest.param("INT64", 1e300, False, id="INT64, large"),
        pytest.param("INT64", float(1 << 53), False, id="INT64, from 2^53 on"),
        pytest.param("INT8", -3.0, True, id="INT8"),
        pytest.param("INT8", 300.0, False, id="INT8, large"),
        pytest.param("UINT8", -1, False, id="UINT8, negative"),
        pytest.param("FP64", float((1 << 53) - 1), True, id="FP64, below 2^53"),
        pytest.param("FP64", (1 << 53) + 1, False, id="FP64, rounded"),
        pytest.param("FP64", -0.5, False, id="FP64, a fraction"),
        pytest.param("FP32", (1 << 24) - 1, True, id="FP32, below 2^24"),
        pytest.param("FP32", (1 << 24) + 1, False, id="FP32, rounded"),
        pytest.param("FP16", 2047, True, id="FP16, below 2^11"),
        pytest.param("FP16", 2049, False, id="FP16, rounded"),
        pytest.param("UINT64", (1 << 63) - 1, True, id="UINT64"),
        pytest.param("UINT64", 1 << 63, False, id="UINT64, above an int64"),
    ],
)
@pytest.mark.parametrize("number", [1, 3])
def test_a_whole_number_is_taken_in_any_datatype_if_it_is_exact(
    server: Served, datatype: str, value: float, is_taken: bool, number: int
) -> None:
    """It is answered as the same number in INT64 is. One that is not, or may not be, is refused by name."""
    document = request_of(rows(number), id="x")
    count = next(tensor for tensor in document["inputs"] if tensor["name"] == "count")
    count.update(datatype=datatype, data=[*count["data"][1:], value])
    status, answer = server.infer(document)
    if not is_taken:
        assert status == 422
        assert answer["error"].startswith("input 'count' ")
        return
    assert status == 200, answer
    count.update(datatype="INT64", data=[*count["data"][:-1], int(value)])
    assert server.infer(document) == (200, answer)


@pytest.mark.parametrize(
    ("value", "is_taken"), [((1 << 53) + 1, False), (1 << 60, True), (-(1 << 60) - 1, False), (1 << 53, True)]
)
def test_a_whole_number_that_no_fraction_is_is_not_rounded(server: Served, value: int, is_taken: bool) -> None:
    """A field of fractions takes INT64; the way out is to send FP64, and so to round it oneself."""
    document = request_of(rows(2))
    document["inputs"][0].update(datatype="INT64", data=[1, value])
    status, answer = server.infer(document)
    assert (status == 200) is is_taken
    assert is_taken or f"input 'temperature' is {value} in row 1" in answer["error"]
    document["inputs"][0].update(datatype="FP64", data=[1, value])
    assert server.infer(document)[0] == 200


def test_classification_gives_the_best_classes(server: Served) -> None:
    """As value, index and class, the best first; in JSON and in binary; no more than there are."""
    document = request_of(rows(5), id="x")
    table = np.array(server.infer(document)[1]["outputs"][1]["data"]).reshape(5, 2)
    texts = [
        [f"{row[index]!r}:{index}:{('dry', 'rain')[index]}" for index in np.argsort(-row)]
        for row in table.astype(object)
    ]
    for count in (1, 2, 9):
        want = [text for row in texts for text in row[:count]]
        output: dict[str, Any] = {"name": "probabilities", "parameters": {"classification": count}}
        (found,) = server.infer({**document, "outputs": [output]})[1]["outputs"]
        assert found == {
            "name": "probabilities", "datatype": "BYTES", "shape": [5, min(count, 2)], "data": want,
        }  # fmt: skip
        output["parameters"]["binary_data"] = True
        _, headers, body = server.ask("POST", INFER, json.dumps({**document, "outputs": [output]}).encode())
        assert body[int(headers["inference-header-content-length"]) :] == binary("BYTES", want)
    alone = request_of(rows(1), outputs=[{"name": "probabilities", "parameters": {"classification": 1}}])
    assert server.infer(alone)[1]["outputs"][0]["shape"] == [1, 1]


@pytest.mark.parametrize(
    ("name", "count", "status", "message"),
    [
        pytest.param("prediction", 1, 422, "holds no value per class; ask for it of 'probabilities'", id="of a class"),
        pytest.param("probabilities", -1, 400, "is -1; send a whole number", id="negative"),
        pytest.param("probabilities", "2", 400, "send a whole number", id="a text"),
        pytest.param("probabilities", True, 400, "send a whole number", id="a boolean"),
    ],
)
def test_what_cannot_be_classified_is_refused(server: Served, name: str, count: Any, status: int, message: str) -> None:
    outputs = [{"name": name, "parameters": {"classification": count}}]
    got, answer = server.infer(request_of(rows(2), outputs=outputs))
    assert (got, message in answer["error"]) == (status, True), answer


def test_statistics_count_what_was_asked(server: Served) -> None:
    """Rows, runs, and requests with their time by outcome."""

    def found() -> dict[str, Any]:
        (stats,) = json.loads(server.ask("GET", "/v2/models/weather/versions/3/stats")[2])["model_stats"]
        return dict(stats)

    before = found()
    assert server.infer(request_of(rows(1)))[0] == 200
    assert server.infer(request_of(rows(7)))[0] == 200
    assert server.infer({})[0] == 400
    after = found()
    assert (after["name"], after["version"]) == ("weather", "3")
    assert after["inference_count"] - before["inference_count"] == 8
    assert after["execution_count"] - before["execution_count"] == 2
    for outcome, number in (("success", 2), ("fail", 1)):
        one, other = before["inference_stats"][outcome], after["inference_stats"][outcome]
        assert other["count"] - one["count"] == number
        assert 0 < other["ns"] - one["ns"] < 60e9
