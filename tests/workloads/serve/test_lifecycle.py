"""From start to stop: what is refused, when a server is ready, and how it ends."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlops.api import tasks
from mlops.store.errors import BucketMissing, DigestMismatch
from mlops.workloads.floor.model import latency
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.verify.run import MEASURE_SECONDS, verify
from tests.workloads.serve.models import rows, write_model
from tests.workloads.serve.servers import artifact_of, request_of, serving, started, task_of


def tamper_with_bytes(store: Path) -> None:
    """Change a byte of every blob that is a model."""
    for path in (store / "blobs").rglob("*"):
        if path.is_file() and path.read_bytes()[:1] == b"\x08":
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)


def with_other_answers(model: Path) -> None:
    """Record answers that the model does not give."""
    golden = json.loads((model / "golden.json").read_text())
    golden["probabilities"][3] = [0.5, 0.5]
    (model / "golden.json").write_text(json.dumps(golden))


@pytest.mark.parametrize(
    ("case", "reason", "message"),
    [
        pytest.param("tampered", "DigestMismatch", "expected sha256:", id="changed bytes"),
        pytest.param("golden", "GoldenFailed", "probabilities: row 3", id="other answers than recorded"),
        pytest.param("absent", "ArtifactNotFound", "removed", id="no such artifact"),
        pytest.param("pickle", "FormatForbidden", "pickle", id="a pickle under the name of a model"),
    ],
)
def test_a_wrong_model_is_never_served(tmp_path: Path, case: str, reason: str, message: str) -> None:
    """The pod ends with code 2 and says why; until then it is alive and not ready. Verifying refuses just so."""
    store, model = tmp_path / "store", write_model(tmp_path / "model")
    if case == "golden":
        with_other_answers(model)
    if case == "pickle":
        (model / "model.onnx").write_bytes(b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00.")
    artifact = artifact_of(store, model)
    if case == "absent":
        # Of a store that is there: one that is not blames no model.
        artifact = "sha256:" + "0" * 64
    if case == "tampered":
        tamper_with_bytes(store)
    with started(tmp_path / "pod", store, task_of(artifact)) as served:
        assert served.process.wait(timeout=60) == 2
    assert served.report["report"] == "failure"
    assert served.report["reason"] == reason
    assert message in served.report["message"]
    assert "Traceback" not in (served.folder / "server.log").read_text()
    with pytest.raises((BadInput, DigestMismatch)) as refused:
        verify(pod_of(store, tmp_path), verify_task(artifact))
    assert refused.value.reason == reason


def test_a_store_that_is_not_there_is_no_fault_of_the_model(tmp_path: Path, model: Path) -> None:
    """A volume that is not mounted: the pod is started again (code 1), and no model is blamed."""
    artifact = artifact_of(tmp_path / "store", model)
    with started(tmp_path / "pod", tmp_path / "elsewhere", task_of(artifact)) as served:
        assert served.process.wait(timeout=60) == 1
    assert served.report["reason"] == "BucketMissing"
    with pytest.raises(BucketMissing):
        verify(pod_of(tmp_path / "elsewhere", tmp_path), verify_task(artifact))


def test_a_good_model_is_verified_with_its_figures(tmp_path: Path) -> None:
    """Rows, difference and latency are those of this model on this machine."""
    artifact = artifact_of(tmp_path / "store", write_model(tmp_path / "model"))
    report = verify(pod_of(tmp_path / "store", tmp_path), verify_task(artifact))
    assert report.golden_rows == 8
    assert report.format == "onnx"
    assert 0 <= float(report.max_difference) <= 1e-6
    assert 0 < float(report.p99_milliseconds) < 100
    assert len(tasks.write_report(report)) < 500


def test_a_server_is_alive_before_it_is_ready(tmp_path: Path, model: Path) -> None:
    """While the model is loaded the pod is not restarted, and no request is sent to it."""
    store = tmp_path / "store"
    artifact = artifact_of(store, model)
    # A file that is read as slowly as its writer writes: the model's bytes come from a pipe.
    blob = next(path for path in (store / "blobs").rglob("*") if path.is_file() and path.read_bytes()[:1] == b"\x08")
    content = blob.read_bytes()
    blob.unlink()
    os.mkfifo(blob)
    with started(tmp_path / "pod", store, task_of(artifact)) as served:
        deadline = time.monotonic() + 30
        while True:
            try:
                status, _, _ = served.ask("GET", "/v2/health/live")
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert status == 200
        assert served.ask("GET", "/v2/health/fetched")[0] == 503, "the store's time, not the model's"
        status, headers, body = served.ask("GET", "/v2/health/ready")
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(body)["error"] == "the model is being loaded"
        assert served.infer(request_of(rows(1)))[0] == 503
        blob.write_bytes(content)
        while served.ask("GET", "/v2/models/weather/ready")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert served.ask("GET", "/v2/health/fetched")[0] == 200
        assert served.infer(request_of(rows(1)))[0] == 200


def test_a_server_that_is_told_to_stop_says_so(tmp_path: Path, model: Path) -> None:
    """During the drain it answers, asks clients to close their connections, and says that it is ready: as the only pod
    of its stage it keeps its address for as long as it says so. Whoever has another one uses that, see the Service."""
    store = tmp_path / "store"
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model)), MLOPS_DRAIN_SECONDS="3") as served:
        served.process.terminate()
        time.sleep(0.5)
        status, headers, _ = served.ask("GET", "/v2/health/ready")
        assert (status, headers["connection"]) == (200, "close")
        assert served.ask("GET", "/v2/health/live")[0] == 200
        assert served.infer(request_of(rows(1)))[0] == 200
        assert served.process.wait(timeout=30) == 0
        assert served.recorded().height == 1


def test_a_taken_port_is_said_in_words(tmp_path: Path, model: Path) -> None:
    """The second server on a port may be tried again later."""
    store = tmp_path / "store"
    task = task_of(artifact_of(store, model))
    with (
        serving(tmp_path / "one", store, task) as first,
        started(tmp_path / "two", store, task, MLOPS_PORT=str(first.port)) as second,
    ):
        assert second.process.wait(timeout=60) == 1
    assert "Address already in use" in second.report["message"]


def test_a_limit_that_is_no_number_is_refused(tmp_path: Path) -> None:
    """The variable and its value are named."""
    with started(tmp_path / "pod", tmp_path, task_of("sha256:" + "0" * 64), MLOPS_MAX_BODY_BYTES="8MiB") as served:
        assert served.process.wait(timeout=60) == 2
    assert "MLOPS_MAX_BODY_BYTES: '8MiB' is no whole number" in served.report["message"]


def test_many_clients_at_once_get_each_their_own_answer(tmp_path: Path, model: Path) -> None:
    """One-row and large requests side by side: no answer is mixed up, and none is refused."""
    store = tmp_path / "store"
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model))) as served:
        wrong: list[str] = []

        def ask(number: int) -> None:
            size = 2000 if number % 2 else 1
            for turn in range(10):
                identity = f"{number}-{turn}"
                status, answer = served.infer(request_of(rows(size, seed=number), id=identity))
                if (status, answer.get("id"), answer["outputs"][0]["shape"]) != (200, identity, [size]):
                    wrong.append(identity)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        served.flush()
        assert served.recorded().height == 6 * 10 * 2001


def test_more_at_once_than_the_limit_are_sent_away(tmp_path: Path, model: Path) -> None:
    """Too many large predictions and too many connections get 503 and Retry-After; afterwards all is well."""
    store = tmp_path / "store"
    limits = {"MLOPS_MAX_CONCURRENCY": "1", "MLOPS_MAX_CONNECTIONS": "20"}
    with serving(tmp_path / "pod", store, task_of(artifact_of(store, model)), **limits) as served:
        body = json.dumps(request_of(rows(10_000))).encode()
        statuses: list[tuple[int, str | None]] = []

        def ask() -> None:
            status, headers, _ = served.ask("POST", "/v2/models/weather/infer", body)
            statuses.append((status, headers.get("retry-after")))

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) == {(200, None), (503, "1")}
        held = [held_connection(served.port) for _ in range(25)]
        try:
            status, headers, answer = served.ask("GET", "/v2")
            assert (status, headers["retry-after"]) == (503, "1")
            assert b"20 connections, its limit" in answer
        finally:
            for connection in held:
                connection.close()
        time.sleep(0.2)
        assert served.infer(request_of(rows(1)))[0] == 200


def held_connection(port: int) -> socket.socket:
    """A connection on which nothing is asked."""
    return socket.create_connection(("127.0.0.1", port))


def pod_of(store: Path, folder: Path) -> Pod:
    """A pod in this process."""
    scratch = folder / "scratch"
    scratch.mkdir()
    return Pod({tasks.STORE_VARIABLE: f"file://{store}"}, scratch)


@pytest.mark.parametrize(
    ("quiet", "limit", "kept"),
    [
        pytest.param(1, None, True, id="briefly busy"),
        pytest.param(20, 50, True, id="a busy minute, and a gate"),
        pytest.param(20, None, False, id="a busy minute that no gate waits for"),
        pytest.param(1000, 50, False, id="a slow model"),
    ],
)
def test_a_busy_node_is_not_taken_for_a_slow_model(
    monkeypatch: pytest.MonkeyPatch, quiet: int, limit: int | None, kept: bool
) -> None:
    """The best round counts, and more are made while the gate is not kept: a version that is refused stays refused."""
    rounds = (0.001 if number == quiet else 0.3 for number in count())
    monkeypatch.setattr(latency, "one_row_seconds", lambda loaded, repetitions, until: [next(rounds)] * repetitions)
    monkeypatch.setattr(latency.time, "sleep", lambda seconds: None)
    assert (latency.p99_seconds(None, limit) < 0.05) is kept


class _Slow:
    """A model with one recorded row that takes a while for it, by a clock of its own."""

    def __init__(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self._seconds = 0.0, seconds
        self.signature = SimpleNamespace(inputs=(), clean=None)
        self.predictor, self.golden = (
            self,
            SimpleNamespace(inputs={"x": np.zeros(1)}, recorded=SimpleNamespace(prediction=np.zeros(1))),
        )
        for name in ("monotonic", "perf_counter"):
            monkeypatch.setattr(latency.time, name, lambda: self.now)
        monkeypatch.setattr(latency.time, "sleep", self.wait)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def predict(self, _: object) -> None:
        self.now += self._seconds


@pytest.mark.parametrize("seconds", [0.001, 0.055, 0.3, 1.0, 5.0, 100.0])
@pytest.mark.parametrize("limit", [None, 20])
def test_a_model_that_is_too_slow_for_its_gate_is_measured_in_time(
    monkeypatch: pytest.MonkeyPatch, seconds: float, limit: int | None
) -> None:
    """It was ended as one that never answers; the gate has a word for it, LatencyTooHigh."""
    model: Any = _Slow(seconds, monkeypatch)
    assert latency.p99_seconds(model, limit) == pytest.approx(seconds, rel=1e-6)
    assert model.now < MEASURE_SECONDS


def verify_task(artifact: str) -> tasks.VerifyTask:
    """The task of verifying that artifact."""
    return tasks.VerifyTask(namespace="team", model_name="weather", version=3, artifact=artifact)
