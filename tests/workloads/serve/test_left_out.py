"""What a request may leave out, and what a server has ready before it says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import Served, artifact_of, request_of, serving, task_of


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """The request without these inputs."""
    return document | {"inputs": [one for one in document["inputs"] if one["name"] not in names]}


def with_missing(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """The request with null in every row of these inputs."""
    return document | {
        "inputs": [
            one | ({"data": [None] * len(one["data"])} if one["name"] in names else {}) for one in document["inputs"]
        ]
    }


@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("names", [("temperature",), ("colour",), ("temperature", "colour")])
def test_an_input_that_may_be_missing_may_be_left_out(server: Served, number: int, names: tuple[str, ...]) -> None:
    """It is answered as null in every row is."""
    document = request_of(rows(number), id="a")
    status, answer = server.infer(without(document, *names))
    assert status == 200
    assert (status, answer) == server.infer(with_missing(document, *names))
    assert answer != server.infer(document)[1]


def test_an_input_that_may_not_be_missing_may_not_be_left_out(server: Served) -> None:
    """It is named, beside one that may."""
    for number in (1, 5):
        status, answer = server.infer(without(request_of(rows(number)), "temperature", "count"))
        assert status == 422
        assert answer["error"].startswith("input 'count' is missing; the model takes temperature, count, windy, colour")


def test_one_slash_at_the_end_changes_nothing(server: Served) -> None:
    """And two are another address."""
    for path in ("/v2", "/v2/health/live", "/v2/models/weather", "/v2/models/weather/versions/3/ready"):
        assert server.ask("GET", path + "/")[2] == server.ask("GET", path)[2]
        assert server.ask("GET", path + "/")[0] == 200
        assert server.ask("GET", path + "//")[0] == 404
    document = request_of(rows(1), id="a")
    assert server.post("/v2/models/weather/infer/", document) == server.infer(document)


def has_polars(served: Served) -> bool:
    """Whether the process has polars in its memory."""
    with open(f"/proc/{served.process.pid}/maps") as maps:
        return "polars" in maps.read()


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="this system does not tell what a process has mapped")
def test_what_writes_captured_rows_is_no_part_of_the_server(model: Path, tmp_path: Path) -> None:
    """Also while it records: neither its memory nor its interpreter's lock is for whoever does not ask."""
    store = tmp_path / "store"
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model))) as served:
        served.infer(request_of(rows(3)))
        assert served.flush()["captures"]["rows"] == 3
        assert not has_polars(served)
