"""Rows as JSON objects are answered as the same rows in tensors are, or refused by row and name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workloads.serve.models import rows, write_model
from tests.workloads.serve.servers import Served, artifact_of, request_of, serving, task_of
from tests.workloads.serve.test_specification import engine

PREDICT = "/v2/models/weather/predict"
ROW: dict[str, Any] = {"temperature": 0.5, "count": 3, "windy": True, "colour": "red"}


def objects_of(columns: dict[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    """The rows of columns as JSON objects."""
    lists = {name: values.tolist() for name, values in columns.items()}
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


@pytest.mark.parametrize("path", [PREDICT, "/v2/models/weather/versions/3/predict/"])
@pytest.mark.parametrize("number", [1, 2, 300])
def test_rows_have_the_numbers_of_the_engine(server: Served, model: Path, path: str, number: int) -> None:
    """To the last bit, by the name of the class."""
    columns = rows(number, seed=number)
    status, answer = server.post(path, {"id": "mine", "rows": objects_of(columns)})
    assert status == 200, answer
    want = engine(model, columns)
    assert answer == {
        "model_name": "weather",
        "model_version": "3",
        "id": "mine",
        "rows": [
            {"prediction": "rain" if rain > dry else "dry", "probabilities": {"dry": dry, "rain": rain}}
            for dry, rain in want.tolist()
        ],
    }


@pytest.mark.parametrize("number", [1, 4])
def test_what_is_left_out_is_missing(server: Served, number: int) -> None:
    """As null is, where the input may be missing; in any order of the names."""
    short = [{"windy": True, "count": 3}] * number
    whole = [{"temperature": None, "count": 3, "windy": True, "colour": None}] * number
    status, answer = server.post(PREDICT, {"id": "x", "rows": short})
    assert status == 200
    assert server.post(PREDICT, {"id": "x", "rows": whole}) == (status, answer)


def test_a_whole_number_with_a_point_is_one(server: Served) -> None:
    """3.0 for an int64, and 3 for a float64."""
    first = server.post(PREDICT, {"id": "x", "rows": [ROW | {"temperature": 2.0}]})
    assert first[0] == 200
    assert server.post(PREDICT, {"id": "x", "rows": [ROW | {"temperature": 2, "count": 3.0}]}) == first


@pytest.mark.parametrize(
    ("document", "status", "message"),
    [
        pytest.param({}, 400, 'no list "rows"', id="nothing"),
        pytest.param({"rows": []}, 400, 'no list "rows"', id="no rows"),
        pytest.param({"rows": ROW}, 400, 'no list "rows"', id="no list"),
        pytest.param({"rows": [ROW, 7]}, 400, "row 1 is 7; send a JSON object", id="no object"),
        pytest.param({"rows": [ROW], "row": 1}, 400, "'row' is no part of a request; send id, parameters", id="key"),
        pytest.param({"rows": [ROW, ROW | {"wind": 1}]}, 422, "input 'wind' of row 1 is unknown", id="unknown"),
        pytest.param({"rows": [{"windy": True}]}, 422, "input 'count' is missing in row 0", id="missing"),
        pytest.param({"rows": [ROW, ROW | {"count": None}]}, 422, "input 'count' is missing in row 1", id="null"),
        pytest.param({"rows": [ROW | {"count": 3.5}]}, 422, "'count' has a fraction in row 0 (3.5)", id="a fraction"),
        pytest.param({"rows": [ROW | {"count": "3"}]}, 422, "'count' has a string in row 0", id="a text"),
        pytest.param({"rows": [ROW | {"windy": 1}]}, 422, "'windy' has an integer in row 0", id="no boolean"),
        pytest.param({"rows": [ROW | {"colour": {}}]}, 422, "'colour' has an object in row 0", id="an object"),
        pytest.param({"rows": [ROW] * 1001}, 413, "1001 rows, the limit is 1000", id="many rows"),
        pytest.param({"rows": [ROW], "id": 7}, 400, '"id" is 7', id="the id"),
        pytest.param({"rows": [ROW], "parameters": {"event_time": "soon"}}, 422, "RFC 3339", id="event time"),
        pytest.param({"rows": [ROW], "parameters": {"event_time": []}}, 422, "0 times for 1 rows", id="event times"),
    ],
)
def test_what_is_wrong_is_named(server: Served, document: Any, status: int, message: str) -> None:
    got, answer = server.post(PREDICT, document)
    assert (got, message in answer["error"]) == (status, True), answer


def test_rows_are_json_only(server: Served) -> None:
    """A length of a JSON part says that something comes behind it."""
    headers = {"Inference-Header-Content-Length": "2"}
    status, _, body = server.ask("POST", PREDICT, json.dumps({"rows": [ROW]}).encode(), headers)
    assert (status, "rows are JSON only" in json.loads(body)["error"]) == (400, True)


def test_rows_are_recorded_as_tensors_are(model: Path, tmp_path: Path) -> None:
    """The same columns, the id of the request and the row in it, one row or several."""
    columns = rows(3)
    store = tmp_path / "store"
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model), percent=100)) as served:
        objects = objects_of(columns)
        time = {"event_time": "2024-01-01T00:00:00Z"}
        assert served.post(PREDICT, {"id": "a", "rows": objects, "parameters": time})[0] == 200
        assert served.post(PREDICT, {"id": "b", "rows": objects[:1], "parameters": time})[0] == 200
        assert served.infer(request_of(columns, id="c", parameters=time))[0] == 200
        assert served.infer(request_of({name: values[:1] for name, values in columns.items()}, id="d"))[0] == 200
        served.flush()
        found = served.recorded()
    frames = {one: found.filter(found["id"] == one).sort("row").drop("id", "arrived", "time") for one in "abcd"}
    assert frames["a"].equals(frames["c"])
    assert frames["b"].equals(frames["d"])
    assert frames["a"].height == 3
    times = found.filter(found["id"].is_in(["a", "b", "c"]))["time"].unique()
    assert [f"{one:%Y-%m-%d}" for one in times] == ["2024-01-01"]


@pytest.mark.parametrize(
    ("classes", "kind"), [((False, True), bool), ((0, 5, 9), int), (None, float)], ids=["booleans", "integers", "none"]
)
def test_a_prediction_has_the_labels_own_type(tmp_path: Path, classes: Any, kind: type) -> None:
    """A regression answers a number and nothing else; names of classes are texts."""
    store = tmp_path / "store"
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, write_model(tmp_path / "m", classes)))) as served:
        for number in (1, 2):
            status, answer = served.post(PREDICT, {"rows": [ROW] * number})
            assert status == 200
            assert len(answer["rows"]) == number
            assert {type(row["prediction"]) for row in answer["rows"]} == {kind}
            names = [str(one).lower() for one in classes or ()]
            assert [list(row.get("probabilities", {})) for row in answer["rows"]] == [names] * number
        page = served.ask("GET", "/")[2].decode()
        assert ("a number" in page) is (classes is None)
        schemas = json.loads(served.ask("GET", "/openapi.json")[2])["components"]["schemas"]
        want = {"type": "number"} if classes is None else {"enum": list(classes)}
        assert schemas["RowAnswer"]["properties"]["prediction"] == want
