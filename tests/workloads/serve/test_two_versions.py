"""One server, two versions: who answers what, what is recorded and counted; no request fails by a candidate."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.api import tasks
from mlops.api.stage_access import StageAuth
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.serve.share import Share
from tests.servers.process import free_port
from tests.workloads.serve.candidates import (
    BAD,
    VERSION,
    change_signature,
    comparing,
    shared_task,
    tallied,
    tally_files,
    wait_for_candidate,
    write_candidate,
)
from tests.workloads.serve.models import rows, write_model
from tests.workloads.serve.mounts import Mount
from tests.workloads.serve.rpc import Both, message_of, messages
from tests.workloads.serve.servers import (
    Served,
    artifact_of,
    metric,
    request_of,
    resident_kilobytes,
    serving,
    started,
    task_of,
    wait_until_ready,
)
from tests.workloads.serve.test_lifecycle import tamper_with_bytes, with_other_answers

WEIGHT, SHADOW = 40, 50
MODEL = "/v2/models/weather"


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good candidate."""
    return write_candidate(tmp_path_factory.mktemp("candidate") / "model")


@pytest.fixture(scope="module")
def compared(model: Path, candidate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A server with a good candidate, over HTTP and gRPC."""
    folder, port = tmp_path_factory.mktemp("compared"), free_port()
    with comparing(
        folder, model, candidate, WEIGHT, shadow=SHADOW, percent=100, sticky_header="X-User", MLOPS_GRPC_PORT=str(port)
    ) as served:
        yield Both(served, port)


def share_of(served: Served) -> Share:
    """What chooses, as any pod does."""
    assert served.task.candidate is not None
    return Share(served.task.candidate)


def version_of(served: Served, identity: str, user: str | None = None) -> str:
    """The version that is to answer a request."""
    headers = [] if user is None else [(b"x-user", user.encode())]
    is_candidates = share_of(served).choose(headers, identity).is_candidates
    return str(VERSION if is_candidates else served.task.version)


def objects_of(inputs: dict[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    """The rows as JSON objects."""
    return [dict(zip(inputs, row, strict=True)) for row in zip(*(one.tolist() for one in inputs.values()), strict=True)]


def binary_of(inputs: dict[str, np.ndarray[Any, Any]], identity: str) -> tuple[bytes, dict[str, str]]:
    """The body and headers of a request whose numbers are binary."""
    document = request_of(inputs, id=identity)
    blob = b""
    for tensor in document["inputs"]:
        if tensor["datatype"] in ("FP64", "INT64"):
            data = np.asarray(tensor.pop("data"), dtype="<f8" if tensor["datatype"] == "FP64" else "<i8").tobytes()
            tensor["parameters"] = {"binary_data_size": len(data)}
            blob += data
    head = json.dumps(document).encode()
    return head + blob, {"inference-header-content-length": str(len(head))}


def probabilities_of(answer: dict[str, Any]) -> list[float]:
    """All probabilities of an answer, of tensors or of rows."""
    if "rows" in answer:
        return [value for row in answer["rows"] for value in row["probabilities"].values()]
    return next(one["data"] for one in answer["outputs"] if one["name"] == "probabilities")


@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize("route", ["infer", "binary", "predict"])
def test_each_version_answers_as_it_does_alone(
    compared: Both, model: Path, candidate: Path, route: str, number: int
) -> None:
    """Whatever the form of a request: the version that its id chooses, with the bits that it has without the other."""
    served = compared.served
    predictors = {"3": Predictor.load(model), str(VERSION): Predictor.load(candidate)}
    seen: Counter[str] = Counter()
    for at in range(12):
        inputs, identity = rows(number, seed=at), f"{route}-{number}-{at}"
        if route == "predict":
            status, answer = served.post(f"{MODEL}/predict", {"rows": objects_of(inputs), "id": identity})
        elif route == "binary":
            body, headers = binary_of(inputs, identity)
            status, _, raw = served.ask("POST", f"{MODEL}/infer", body, headers)
            answer = json.loads(raw)
        else:
            status, answer = served.infer(request_of(inputs, id=identity))
        assert status == 200, answer
        version = answer["model_version"]
        assert version == version_of(served, identity)
        expected = predictors[version].predict(inputs).probabilities
        assert expected is not None
        assert probabilities_of(answer) == expected.ravel().tolist()
        seen[version] += 1
    assert len(seen) == 2


def test_calls_over_grpc_are_shared_too(compared: Both, model: Path, candidate: Path) -> None:
    """By the same ids and headers; a call that names a version is answered by it, one of no version is not found."""
    with compared.stub() as stub:
        for number in range(8):
            message = message_of(request_of(rows(1, seed=number), id=f"grpc-{number}"), raw=number % 2 == 0)
            assert stub.ModelInfer(message).model_version == version_of(compared.served, f"grpc-{number}")
            answer = stub.ModelInfer(message, metadata=[("x-user", "anna")])
            assert answer.model_version == version_of(compared.served, "", "anna")
        for version in ("3", "4"):
            message.model_version = version
            assert stub.ModelInfer(message).model_version == version
            assert stub.ModelReady(messages.ModelReadyRequest(name="weather", version=version)).ready
            found = stub.ModelMetadata(messages.ModelMetadataRequest(name="weather", version=version))
            assert list(found.versions) == ["3", "4"]
        message.model_version = "5"
        with pytest.raises(Exception, match="this server has 3 and 4"):
            stub.ModelInfer(message)


def test_a_header_keeps_a_client_with_one_version(compared: Both) -> None:
    """Whatever the ids of its requests."""
    served = compared.served
    for user in ("anna", "ben", "cleo", "dora"):
        found = set()
        for number in range(5):
            body = json.dumps(request_of(rows(1), id=f"{user}-{number}")).encode()
            _, _, answer = served.ask("POST", f"{MODEL}/infer", body, {"X-User": user})
            found.add(json.loads(answer)["model_version"])
        assert found == {version_of(served, "", user)}


def test_a_path_names_a_version(compared: Both) -> None:
    """Requests, readiness, metadata, configuration and statistics of either; another one is unknown."""
    served = compared.served
    for version in ("3", "4"):
        path = f"{MODEL}/versions/{version}"
        for number in (1, 3):
            status, answer = served.post(f"{path}/infer", request_of(rows(number)))
            assert (status, answer["model_version"]) == (200, version)
            status, answer = served.post(f"{path}/predict", {"rows": objects_of(rows(number))})
            assert (status, answer["model_version"], len(answer["rows"])) == (200, version, number)
        assert served.ask("GET", f"{path}/ready")[0] == 200
        assert json.loads(served.ask("GET", path)[2])["versions"] == ["3", "4"]
        configuration = json.loads(served.ask("GET", f"{path}/config")[2])
        assert configuration["version_policy"] == {"specific": {"versions": [int(version)]}}
        (statistics,) = json.loads(served.ask("GET", f"{path}/stats")[2])["model_stats"]
        assert statistics["version"] == version
        assert statistics["inference_count"] > 0
    both = json.loads(served.ask("GET", f"{MODEL}/stats")[2])["model_stats"]
    assert [one["version"] for one in both] == ["3", "4"]
    for path in ("infer", "ready", "predict", ""):
        method = "GET" if path in ("ready", "") else "POST"
        status, _, body = served.ask(method, f"{MODEL}/versions/5/{path}".rstrip("/"), b"{}")
        assert status == 404
        assert "this server has 3 and 4" in json.loads(body)["error"]


def test_wrong_requests_are_refused_as_ever(compared: Both) -> None:
    """By their reading, and counted for neither version."""
    served = compared.served
    before = (
        metric(served, 'mlops_version_answers_total{version="4"}'),
        metric(served, 'mlops_version_answers_total{version="3"}'),
    )
    for number in range(20):
        document = request_of(rows(1), id=f"wrong-{number}")
        document["inputs"][1]["data"] = ["many"]
        assert served.infer(document)[0] == 422
        assert served.infer(b"{")[0] == 400
    after = (
        metric(served, 'mlops_version_answers_total{version="4"}'),
        metric(served, 'mlops_version_answers_total{version="3"}'),
    )
    assert before == after
    assert "mlops_version_failures_total{" not in served.ask("GET", "/metrics")[2].decode()


def test_what_is_recorded_and_counted(tmp_path: Path, model: Path, candidate: Path) -> None:
    """Rows of either version with its number and digest, shadow answers apart from them under the ids of their
    requests, and tallies that say of each request who answered it; what names a version is no part of the canary."""
    with comparing(tmp_path, model, candidate, WEIGHT, shadow=SHADOW, percent=100) as served:
        share, predictor = share_of(served), Predictor.load(candidate)
        sizes = [1, 1, 1, 3] * 25
        for number, size in enumerate(sizes):
            status, _ = served.infer(request_of(rows(size, seed=number), id=f"r{number}"))
            assert status == 200
        served.post(f"{MODEL}/versions/4/infer", request_of(rows(1), id="named"))
        chosen = [share.choose((), f"r{number}") for number in range(len(sizes))]
        flushed = flushed_shadows(served, sum(one.is_candidates or one.is_shadowed for one in chosen))
        assert flushed["tallies"] == {"files": 1}
        expected = {
            (f"r{number}", row): VERSION if one.is_candidates else 3
            for number, (one, size) in enumerate(zip(chosen, sizes, strict=True))
            for row in range(size)
        }
        recorded = served.recorded()
        assert {(row["id"], row["row"]): row["modelVersion"] for row in recorded.rows(named=True)} == expected
        digests = dict(recorded.select("modelVersion", "modelDigest").unique().iter_rows())
        assert served.task.candidate is not None
        assert digests == {3: served.task.artifact, VERSION: served.task.candidate.artifact}
        shadows = served.recorded("shadow").sort("id", "row")
        shadowed = {number for number, one in enumerate(chosen) if one.is_shadowed}
        assert set(shadows["id"]) == {f"r{number}" for number in shadowed}
        assert set(shadows["modelDigest"]) == {served.task.candidate.artifact}
        assert shadows.columns == recorded.columns
        (number,) = sorted(shadowed)[:1]
        answer = predictor.predict(rows(sizes[number], seed=number)).probabilities
        assert answer is not None
        own = shadows.filter(pl.col("id") == f"r{number}")
        assert own["out.p.rain"].to_list() == answer[:, 1].tolist()
        stable, other = tallied(served)
        asked = sum(one.is_candidates for one in chosen)
        assert (stable.answered, stable.failed) == (len(sizes) - asked, 0)
        assert (other.answered, other.failed) == (asked + len(shadowed), 0)
        assert sum(stable.seconds.values()) == stable.answered
        assert 0 < sum(other.seconds.values()) <= other.answered
        statistics = json.loads(served.ask("GET", f"{MODEL}/stats")[2])["model_stats"]
        assert [one["inference_stats"]["success"]["count"] for one in statistics] == [len(sizes) - asked + 1, asked]
        assert metric(served, 'mlops_candidate_weight_percent{version="4"}') == WEIGHT
        assert metric(served, 'mlops_version_answers_total{version="3"}') == stable.answered


def flushed_shadows(served: Served, requests: int) -> dict[str, Any]:
    """Have all stored when so many requests have come to the candidate, shadows among them."""
    deadline = time.monotonic() + 30
    while compared_requests(served) < requests:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return served.flush()


def compared_requests(served: Served) -> float:
    """How many requests the candidate answered, failed or was not asked for the record."""
    text = served.ask("GET", "/metrics")[2].decode()
    names = ("mlops_version_answers_total{", "mlops_version_failures_total{", "mlops_dropped_shadows_total")
    lines = [line for line in text.splitlines() if line.startswith(names)]
    return sum(float(line.split()[-1]) for line in lines if 'version="3"' not in line)


HEAD = b"POST /v2/models/weather/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


def answers_of(served: Served, bodies: list[bytes], connections: int = 8) -> list[tuple[int, bytes]]:
    """The status and body of each request, asked over connections that are kept, eight at a time."""
    found: list[tuple[int, bytes]] = [(0, b"")] * len(bodies)

    def ask(first: int) -> None:
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
            for number in range(first, len(bodies), connections):
                connection.sendall(HEAD % len(bodies[number]) + bodies[number])
                data = b""
                while b"\r\n\r\n" not in data or len(data) < whole_length(data):
                    part = connection.recv(1 << 16)
                    assert part, data
                    data += part
                found[number] = int(data[9:12]), data.partition(b"\r\n\r\n")[2]

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def whole_length(data: bytes) -> int:
    """How long an answer is, by its head."""
    head, _, _ = data.partition(b"\r\n\r\n")
    return len(head) + 4 + int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


def test_ten_thousand_requests_without_an_id_are_shared_exactly(tmp_path: Path, model: Path, candidate: Path) -> None:
    """A percent of them is a percent of them, and nothing is left of them in memory."""
    with comparing(tmp_path, model, candidate, 15, percent=0) as served:
        bodies = [json.dumps(request_of(rows(1, seed=number))).encode() for number in range(50)]
        before = resident_kilobytes(served)
        found = Counter((status, b'"model_version":"4"' in body) for status, body in answers_of(served, bodies * 200))
        assert found == {(200, True): 1500, (200, False): 8500}
        assert resident_kilobytes(served) - before < 20_000
        served.flush()
        stable, other = tallied(served)
        assert (stable.answered, other.answered) == (8500, 1500)
        # One of each turn is measured, alone.
        assert sum(stable.seconds.values()) > 800
        assert sum(other.seconds.values()) > 150


@pytest.mark.parametrize(
    ("kind", "reasons"),
    [
        pytest.param("raises", {"OutputInvalid"}, id="an error for some rows"),
        pytest.param("nan", {"OutputInvalid"}, id="no number for some rows"),
        pytest.param("outside", {"OutsideTraining"}, id="its training left some rows out"),
        pytest.param("stuck", {"TimedOut", "Stuck", "QueueFull"}, id="some rows without an end"),
        pytest.param("slow", {"TimedOut", "QueueFull"}, id="all rows too slow"),
    ],
)
@pytest.mark.parametrize("size", [1, 3])
def test_no_request_fails_by_a_candidate(tmp_path: Path, model: Path, kind: str, reasons: set[str], size: int) -> None:
    """Under load each is answered, by the stable version with its own bits where the candidate does not; what the
    candidate failed is counted, and it answers what it can."""
    other = write_candidate(tmp_path / "candidate", kind, turns=1 << 17)
    predictor = Predictor.load(model)
    with comparing(tmp_path, model, other, 50, percent=0) as served:
        asked = []
        for number in range(400):
            inputs = rows(size, seed=number)
            if number % 40 == 7:
                inputs["count"][-1] = BAD
            asked.append(inputs)
        bodies = [json.dumps(request_of(inputs, id=f"r{number}")).encode() for number, inputs in enumerate(asked)]
        answers = answers_of(served, bodies, 24)
        assert {status for status, _ in answers} == {200}
        by: Counter[str] = Counter()
        for inputs, (_, body) in zip(asked, answers, strict=True):
            answer = json.loads(body)
            by[answer["model_version"]] += 1
            if answer["model_version"] == "3":
                expected = predictor.predict(inputs).probabilities
                assert expected is not None
                assert probabilities_of(answer) == expected.ravel().tolist()
        share = share_of(served)
        wanted = sum(share.choose((), f"r{number}").is_candidates for number in range(len(asked)))
        served.flush()
        stable, found = tallied(served)
        assert by[str(VERSION)] == found.answered > 0
        assert found.answered + found.failed == wanted
        # A busy machine holds up good rows too.
        assert set(found.reasons) - {"QueueFull", "TimedOut"} <= reasons
        assert set(found.reasons) & reasons
        assert (stable.answered, stable.failed) == (len(asked) - wanted, 0)
        log = (served.folder / "server.log").read_text()
        assert "did not answer a request that version 3 was then asked" in log
        assert "Traceback" not in log
        assert served.stop() == 0


@pytest.mark.parametrize("size", [1, 3])
def test_a_candidate_may_take_fewer_inputs(tmp_path: Path, model: Path, size: int) -> None:
    """In an order of its own: it answers by those that it knows, and all of the request is recorded."""
    other = write_candidate(tmp_path / "candidate", "fewer")
    predictor = Predictor.load(other)
    names = [one.name for one in predictor.signature.inputs]
    assert names == ["colour", "count", "temperature"]
    with comparing(tmp_path, model, other, 100, percent=100) as served:
        inputs = rows(size, seed=5)
        status, answer = served.infer(request_of(inputs, id="r"))
        assert (status, answer["model_version"]) == (200, "4")
        own = {name: inputs[name] for name in names}
        expected = predictor.predict(own).probabilities
        assert expected is not None
        assert probabilities_of(answer) == expected.ravel().tolist()
        assert probabilities_of(served.post(f"{MODEL}/versions/4/infer", request_of(own))[1]) == probabilities_of(
            answer
        )
        served.flush()
        recorded = served.recorded()
        assert recorded["in.windy"].to_list() == inputs["windy"].tolist()
        assert recorded["in.colour"].to_list() == inputs["colour"].tolist()
        assert set(recorded["modelVersion"]) == {VERSION}


@pytest.mark.parametrize("size", [1, 3])
def test_a_slow_stable_version_answers_for_a_candidate_too(tmp_path: Path, candidate: Path, size: int) -> None:
    """One that is asked in a thread of its own; and it has a shadow."""
    slow = write_candidate(tmp_path / "slow", "slow")
    with comparing(tmp_path, slow, write_candidate(tmp_path / "candidate", "nan"), 50, shadow=100, percent=0) as served:
        asked = [rows(size, seed=number) for number in range(24)]
        for inputs in asked[::3]:
            inputs["count"][0] = BAD
        bodies = [json.dumps(request_of(inputs, id=f"r{number}")).encode() for number, inputs in enumerate(asked)]
        assert {status for status, _ in answers_of(served, bodies)} == {200}
        choices = [share_of(served).choose((), f"r{number}") for number in range(len(asked))]
        flushed_shadows(served, len(asked))
        stable, found = tallied(served)
        wanted = sum(one.is_candidates for one in choices)
        assert (stable.answered, stable.failed) == (len(asked) - wanted, 0)
        dropped = metric(served, "mlops_dropped_shadows_total")
        assert found.answered + found.failed + dropped == len(asked), "its own, and the shadows of all others"
        assert set(found.reasons) == {"OutputInvalid"}


def test_rows_that_neither_version_takes_count_for_neither(tmp_path: Path) -> None:
    """They are refused as ever."""
    both = [write_candidate(tmp_path / name, "outside") for name in ("stable", "other")]
    bad = rows(1)
    bad["count"][0] = BAD
    with comparing(tmp_path, *both, 50, shadow=50, percent=0) as served:
        for number in range(20):
            status, answer = served.infer(request_of(bad, id=f"r{number}"))
            assert status == 422
            assert "does not meet the condition" in answer["error"]
        assert "tallies" in served.flush()
        assert tally_files(served) == []


def test_what_either_version_marks_as_personal_is_not_recorded(tmp_path: Path, model: Path) -> None:
    """Of its answers, and of its shadow."""
    other = write_candidate(tmp_path / "candidate")
    inputs = json.loads((other / "model.json").read_text())["inputs"]
    change_signature(other, inputs=[one | ({"pii": True} if one["name"] == "colour" else {}) for one in inputs])
    with comparing(tmp_path, model, other, 50, shadow=100, percent=100, redact=["count"]) as served:
        for number in range(20):
            assert served.infer(request_of(rows(1), id=f"r{number}"))[0] == 200
        flushed_shadows(served, 20)
        recorded = served.recorded()
        own = recorded.filter(pl.col("modelVersion") == VERSION)
        for frame in (own, served.recorded("shadow")):
            assert frame.height > 0
            assert frame["in.colour"].null_count() == frame["in.count"].null_count() == frame.height
            assert frame["in.temperature"].null_count() == 0
        assert recorded.filter(pl.col("modelVersion") == 3)["in.colour"].null_count() == 0


def test_clients_that_leave_hide_no_failure(tmp_path: Path, model: Path) -> None:
    """Whoever does not wait for a candidate that takes too long counts as who did."""
    other = write_candidate(tmp_path / "candidate", "stuck")
    bad = rows(1)
    bad["count"][0] = BAD
    body = json.dumps(request_of(bad)).encode()
    with comparing(tmp_path, model, other, 100, percent=0) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(HEAD % len(body) + body)
            time.sleep(0.05)
        wait_for_candidate(served, "stuck")
        wait_for_candidate(served)
        served.flush()
        assert tallied(served)[1].reasons == {"TimedOut": 1}
        assert metric(served, "mlops_in_flight_bytes") < 20_000


def test_a_stage_that_asks_for_keys_asks_for_them_at_each_version(tmp_path: Path, model: Path, candidate: Path) -> None:
    """Also at the addresses of the candidate."""
    store, mount = tmp_path / "store", Mount(tmp_path / "keys")
    mount.put({"batch": "key-of-the-batch-client"})
    auth = StageAuth.model_validate({"apiKeys": {"secretRef": {"name": "weather-clients"}}})
    task = shared_task(artifact_of(store, model), artifact_of(store, candidate), 50, percent=0).evolve(auth=auth)
    key = {"X-API-Key": "key-of-the-batch-client"}
    with serving(tmp_path / "pod", store, task, MLOPS_API_KEYS=str(mount.folder)) as served:
        deadline = time.monotonic() + 30
        while served.ask("GET", f"{MODEL}/versions/4/ready")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for number in range(20):
            body = json.dumps(request_of(rows(1), id=f"r{number}")).encode()
            for path in ("", "/versions/3", "/versions/4"):
                assert served.ask("POST", f"{MODEL}{path}/infer", body)[0] == 401
                status, _, answer = served.ask("POST", f"{MODEL}{path}/infer", body, key)
                assert status == 200
            assert json.loads(answer)["model_version"] == "4"
        for path in (f"{MODEL}/versions/4", f"{MODEL}/versions/4/stats", f"{MODEL}/versions/4/config"):
            assert served.ask("GET", path)[0] == 401


def test_a_candidate_that_was_stuck_answers_again(tmp_path: Path, model: Path) -> None:
    """When it is done with what it was stuck in; until then it is not ready, and the server is."""
    other = write_candidate(tmp_path / "candidate", "stuck", turns=1 << 17)
    with comparing(tmp_path, model, other, 100, percent=0) as served:
        bad = rows(1)
        bad["count"][0] = BAD
        begun = time.monotonic()
        assert served.infer(request_of(bad))[1]["model_version"] == "3"
        assert time.monotonic() - begun < 2
        status, _, body = served.ask("GET", f"{MODEL}/versions/4/ready")
        assert status == 503
        assert "is stuck in a request" in json.loads(body)["error"]
        assert served.ask("GET", "/v2/health/ready")[0] == 200
        assert served.infer(request_of(rows(1)))[1]["model_version"] == "3"
        wait_for_candidate(served)
        assert served.infer(request_of(rows(1)))[1]["model_version"] == "4"


def test_a_server_ends_while_its_candidate_is_stuck(tmp_path: Path, model: Path) -> None:
    """In order, with its tallies stored."""
    other = write_candidate(tmp_path / "candidate", "stuck", turns=1 << 20)
    with comparing(tmp_path, model, other, 100, percent=0) as served:
        bad = rows(1)
        bad["count"][0] = BAD
        assert served.infer(request_of(bad))[0] == 200
        begun = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - begun < 10
        assert tallied(served)[1].reasons == {"TimedOut": 1}


@pytest.mark.parametrize(
    ("case", "reason", "message"),
    [
        pytest.param("tampered", "DigestMismatch", "expected sha256:", id="changed bytes"),
        pytest.param("golden", "GoldenFailed", "probabilities: row 3", id="other answers than recorded"),
        pytest.param("pickle", "FormatForbidden", "pickle", id="a pickle"),
        pytest.param("absent", "ArtifactNotFound", "removed", id="no such artifact"),
        pytest.param("classes", "Incompatible", "output 'prediction' has the classes", id="other classes"),
    ],
)
def test_a_refused_candidate_keeps_nobody_from_answers(
    tmp_path: Path, model: Path, case: str, reason: str, message: str
) -> None:
    """The pod is ready, the stable version answers all, and each request of the candidate's share counts as failed."""
    other, store = tmp_path / "candidate", tmp_path / "store"
    write_candidate(other) if case != "classes" else write_model(other, ("dry", "snow"))
    if case == "golden":
        with_other_answers(other)
    if case == "pickle":
        (other / "model.onnx").write_bytes(b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00.")
    digest = artifact_of(store, other)
    if case == "tampered":
        tamper_with_bytes(store)
    if case == "absent":
        digest = "sha256:" + "0" * 64
    stable = artifact_of(store, write_model(tmp_path / "stable"))
    with serving(tmp_path / "pod", store, shared_task(stable, digest, 50, shadow=50, percent=0)) as served:
        wait_for_candidate(served, "refused")
        for number in range(60):
            status, answer = served.infer(request_of(rows(1), id=f"r{number}"))
            assert (status, answer["model_version"]) == (200, "3")
        assert served.ask("GET", "/v2/health/ready")[0] == 200
        status, _, body = served.ask("GET", f"{MODEL}/versions/4/ready")
        assert status == 503
        assert f"version 4 is refused: {reason}: " in json.loads(body)["error"]
        assert json.loads(served.ask("GET", MODEL)[2])["versions"] == ["3"]
        choices = [share_of(served).choose((), f"r{number}") for number in range(60)]
        served.flush()
        _, found = tallied(served)
        assert found.answered == 0
        assert found.reasons == {reason: sum(one.is_candidates or one.is_shadowed for one in choices)}
        log = (served.folder / "server.log").read_text()
        assert f"candidate version 4 is refused, version 3 answers in its place: {reason}: " in log
        assert message in log


def test_a_candidate_of_a_store_that_is_away_is_loaded_when_it_is_back(
    tmp_path: Path, model: Path, candidate: Path
) -> None:
    """Meanwhile it takes no requests, and none counts against it."""
    store, away = tmp_path / "store", tmp_path / "away"
    digest = artifact_of(store, candidate)
    task = shared_task(artifact_of(store, model), digest, 100, percent=0, flush_seconds=3600)
    with started(tmp_path / "pod", store, task) as served:
        # The stable version is fetched first: what comes after it finds no store.
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError):
                if served.ask("GET", "/v2/health/fetched")[0] == 200:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.005)
        store.rename(away)
        wait_until_ready(served)
        log = served.folder / "server.log"
        while "is not loaded yet, tried again in 1 s" not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(10):
            assert served.infer(request_of(rows(1)))[1]["model_version"] == "3"
        assert served.ask("GET", f"{MODEL}/versions/4/ready")[0] == 503
        away.rename(store)
        wait_for_candidate(served)
        assert served.infer(request_of(rows(1)))[1]["model_version"] == "4"
        served.flush()
        stable, found = tallied(served)
        assert (stable.answered, found.answered, found.failed) == (0, 1, 0)


def test_told_to_stop_it_loses_no_tally(tmp_path: Path, model: Path, candidate: Path) -> None:
    """Whether or not rows are captured; while the store is away they are kept."""
    with comparing(tmp_path, model, candidate, 50, percent=0, flush_seconds=3600) as served:
        objects, away = served.store / "objects", tmp_path / "away"
        objects.mkdir(exist_ok=True)
        objects.rename(away)
        objects.write_text("no folder")
        for number in range(40):
            assert served.infer(request_of(rows(1), id=f"r{number}"))[0] == 200
        assert served.post("/-/flush", b"")[0] == 503
        assert tally_files(served) == []
        objects.unlink()
        away.rename(objects)
        for number in range(40, 60):
            assert served.infer(request_of(rows(1), id=f"r{number}"))[0] == 200
        assert served.stop() == 0
        stable, found = tallied(served)
        wanted = sum(share_of(served).choose((), f"r{number}").is_candidates for number in range(60))
        assert (stable.answered, found.answered) == (60 - wanted, wanted)


def test_without_a_candidate_nothing_is_counted(tmp_path: Path, model: Path) -> None:
    """No tallies, no metrics of versions, and none of the modules."""
    store = tmp_path / "store"
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model))) as served:
        assert served.infer(request_of(rows(1)))[0] == 200
        assert served.flush().keys() == {"captures", "labels"}
        assert tally_files(served) == []
        text = served.ask("GET", "/metrics")[2].decode()
        assert "mlops_version_" not in text
        assert "mlops_candidate_" not in text


def test_two_versions_import_no_polars() -> None:
    """The server's memory is what it was."""
    code = (
        "import sys, mlops.workloads.serve.candidate_loading, mlops.workloads.serve.two_versions\n"
        "sys.exit('polars' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_task_says_it_all() -> None:
    """A stage without a candidate has the task that it had."""
    assert "candidate" not in task_of("sha256:a").dump()
    given = shared_task("sha256:a", "sha256:b", 20, shadow=5, sticky_header="X-User")
    assert tasks.ServeTask.model_validate(given.dump()) == given
