"""Rows are made files by a process of its own: when that ends, however often, rows wait, and are stored after all."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from mlops.workloads.floor.model.lone_rows import RowAnswer
from mlops.workloads.floor.model.signature import EstimatorOf, Input, LabelColumn, ModelColumn, Outputs, Signature
from mlops.workloads.serve.captured_rows import CapturedRequest, packed
from mlops.workloads.serve.encoder import CannotEncode, EncoderGone, EncodingProcess, plan_of
from mlops.workloads.serve.feedback import Label
from mlops.workloads.serve.file_names import File
from mlops.workloads.serve.recorder import Recorder
from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import artifact_of, metric, request_of, serving, task_of

SIGNATURE = Signature(
    task="classification",
    format="onnx",
    inputs=(
        Input(name="x", type="float64", nullable=True),
        Input(name="whole", type="int64", nullable=True),
        Input(name="text", type="string", nullable=True),
        Input(name="time", type="timestamp", nullable=True),
        Input(name="secret", type="boolean", pii=True),
    ),
    columns=(ModelColumn(name="x", type="float64"),),
    label=LabelColumn(name="y", type="string"),
    classes=("no", "yes"),
    positive="yes",
    estimator=EstimatorOf(name="LogisticRegression"),
    outputs=Outputs(label="label", probabilities="probabilities"),
    tolerance="0.00001",
)
PLAN = plan_of(task_of("sha256:" + "0" * 64), SIGNATURE, "pod")


@pytest.fixture
def encoder() -> Iterator[EncodingProcess]:
    made = EncodingProcess(PLAN)
    yield made
    made.close()


def a_row(identity: str, *, whole: int | None = 2**63 - 1, answer: int = 1) -> bytes:
    return packed(identity, 5, 7, [float("nan"), whole, "é", 0, True], RowAnswer(answer, [0.25, 0.75]))


def frame_of(files: Sequence[File]) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(io.BytesIO(one.data), hive_partitioning=False) for one in files]).sort("id")


def test_a_row_alone_and_a_request_of_the_same_row_are_recorded_alike(encoder: EncodingProcess) -> None:
    """Whatever way they took to the process, with gaps, whole numbers of 64 bits, and what is personal left out."""
    request = CapturedRequest(
        id="b",
        rows=1,
        arrived=5,
        time=np.array([7]),
        inputs={
            "x": np.array([np.nan]),
            "whole": np.array([2**63 - 1]),
            "text": np.array(["é"], dtype=object),
            "time": np.array([0], dtype="datetime64[us]"),
            "secret": np.array([True]),
        },
        prediction=np.array(["yes"], dtype=object),
        probabilities=np.array([[0.25, 0.75]]),
    )
    frame = frame_of(encoder.captures([a_row("a"), request]))
    first, second = frame.rows(named=True)
    assert first | {"id": "b"} == second
    assert (first["in.x"], first["in.whole"], first["in.text"], first["in.secret"]) == (None, 2**63 - 1, "é", None)
    assert (first["out.prediction"], first["out.p.yes"]) == ("yes", 0.75)


def test_labels_keep_their_words_and_times(encoder: EncodingProcess) -> None:
    """They go to the same process, and to their own folder."""
    (file,) = encoder.labels([[Label("a", 3, "yes", 7, 9)], [Label("b", 0, "no", 7, 9)]])
    assert "/labels/" in file.key
    assert frame_of([file]).select("id", "row", "label").rows() == [("a", 3, "yes"), ("b", 0, "no")]


def test_what_makes_no_file_is_told_and_the_next_is_encoded(encoder: EncodingProcess) -> None:
    """Without what it says: that may be somebody's data."""
    with pytest.raises(CannotEncode) as told:
        encoder.captures([a_row("a", answer=2)])
    assert told.value.fault == "IndexError"
    process = encoder.process_id
    assert frame_of(encoder.captures([a_row("a")])).height == 1
    assert encoder.process_id == process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_ended_is_told_and_another_one_is_asked(
    encoder: EncodingProcess, number: signal.Signals
) -> None:
    """By the kernel for want of memory, or by itself."""
    encoder.captures([a_row("a")])
    first = encoder.process_id
    assert first is not None
    os.kill(first, number)
    with pytest.raises(EncoderGone, match=f"ended by {number.name}; another one is started"):
        encoder.captures([a_row("a")])
    assert encoder.failures == 1
    assert frame_of(encoder.captures([a_row("a")])).height == 1
    assert encoder.process_id not in (None, first)


def test_signals_for_the_server_do_not_end_it(encoder: EncodingProcess) -> None:
    """What a server that is told to stop has still to store is encoded there."""
    encoder.captures([a_row("a")])
    process = encoder.process_id
    assert process is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(process, number)
    assert frame_of(encoder.captures([a_row("a")])).height == 1
    assert encoder.process_id == process


def test_a_process_that_stands_still_is_ended() -> None:
    """A flush must not wait for it for ever."""
    encoder = EncodingProcess(PLAN, seconds=10)
    try:
        encoder.captures([a_row("a")])
        with pytest.raises(EncoderGone, match="SIGKILL"):
            encoder.captures(_Stopping(encoder))
    finally:
        encoder.close()


class _Stopping(list[Any]):
    """One row, before which the process is stopped."""

    def __init__(self, encoder: EncodingProcess) -> None:
        super().__init__([a_row("a")])
        self._encoder = encoder

    def __iter__(self) -> Iterator[Any]:
        process = self._encoder.process_id
        assert process is not None
        os.kill(process, signal.SIGSTOP)
        return super().__iter__()


def test_a_process_that_is_asked_nothing_ends_and_leaves_no_zombie() -> None:
    """Most of the time a server records little: forty megabytes are not held for it."""
    encoder = EncodingProcess(PLAN, idle_seconds=0.2)
    try:
        for _ in range(2):
            assert len(encoder.captures([a_row("a")])) == 1
            process = encoder.process_id
            assert process is not None
            wait_until(lambda: encoder.process_id is None)
            with pytest.raises(ProcessLookupError):
                os.kill(process, 0)
        assert encoder.failures == 0
    finally:
        encoder.close()


def test_it_has_no_key_and_no_address(encoder: EncodingProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads rows and writes files to its pipe: it needs neither, and so has none to lose."""
    monkeypatch.setenv("MLOPS_STORE_SECRET_KEY", "of the store")
    encoder.captures([a_row("a")])
    environ = Path(f"/proc/{encoder.process_id}/environ").read_bytes()
    assert b"of the store" not in environ
    assert b"MLOPS" not in environ


def test_rows_that_end_the_process_are_told_apart_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """One item of thousands kills it each time: it alone is dropped and counted, after less and less beside it."""
    asked: list[int] = []

    def encode(items: Sequence[str]) -> list[File]:
        asked.append(len(items))
        if "poison" in items:
            raise EncoderGone("the process that encodes them ended by SIGSEGV; another one is started")
        return [File(f"{len(asked)}.parquet", b"x", len(items))]

    class Sink:
        def put_object(self, key: str, data: bytes) -> None:
            """Take anything."""

    async def live() -> Recorder[str]:
        recorder: Recorder[str] = Recorder(Sink(), encode, flush_rows=9999, flush_seconds=60, max_bytes=1 << 20)
        for number in range(1000):
            recorder.add("poison" if number == 300 else "good", 1, 100)
        for _ in range(100):
            try:
                await recorder.flush()
            except EncoderGone:
                assert recorder.backlog == 1000 - recorder.stored_rows
            else:
                break
        return recorder

    recorder = asyncio.run(live())
    assert (recorder.stored_rows, recorder.dropped_rows, recorder.backlog, recorder.waiting.used) == (999, 1, 0, 0)
    assert "1 rows are dropped: they make no file: they end the process that encodes them" in caplog.text
    assert len(asked) < 60


def test_no_row_is_dropped_while_no_process_can_be_started(encoder: EncodingProcess) -> None:
    """However often it is tried: a node without room says nothing of the rows."""
    encoder.close()

    class Sink:
        def put_object(self, key: str, data: bytes) -> None:
            """Take anything."""

    async def live() -> Recorder[bytes]:
        recorder: Recorder[bytes] = Recorder(
            Sink(), encoder.captures, flush_rows=9999, flush_seconds=60, max_bytes=1 << 20
        )
        recorder.add(a_row("a"), 1, 100)
        for _ in range(10):
            with pytest.raises(EncoderGone, match="cannot be started"):
                await recorder.flush()
        return recorder

    recorder = asyncio.run(live())
    assert (recorder.dropped_rows, recorder.backlog) == (0, 1)


def test_a_server_whose_encoding_process_is_killed_stores_every_row(model: Path, tmp_path: Path) -> None:
    """Killed while rows wait: that is counted and said once, nothing is lost, nothing is there twice."""
    store = tmp_path / "store"
    task = task_of(artifact_of(store, model), flush_seconds=1)
    with serving(tmp_path / "pod", store, task) as served:
        ids = []
        for number in range(60):
            ids.append(f"row-{number}")
            assert served.infer(request_of(rows(1), id=ids[-1]))[0] == 200
            if number in (20, 40):
                # Of a process that was killed before, and has not been noticed yet, the first flush says so.
                wait_until(lambda: served.post("/-/flush", b"")[0] == 200)
                for child in children_of(served.process.pid):
                    os.kill(child, signal.SIGKILL)
        wait_until(lambda: served.recorded().height == 60)
        assert sorted(served.recorded()["id"]) == sorted(ids)
        assert metric(served, "mlops_encoder_failures_total") >= 1
        assert metric(served, 'mlops_dropped_rows_total{kind="captures"}') == 0
        assert "ended by SIGKILL; another one is started" in (served.folder / "server.log").read_text()
        assert served.stop() == 0
        assert not children_of(served.process.pid)


def children_of(process: int) -> list[int]:
    """The children of a process."""
    found = []
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        found += [int(one) for one in thread.read_text().split()]
    return found


def wait_until(condition: Any, seconds: float = 60) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        threading.Event().wait(0.02)


def test_a_packed_row_is_what_it_says() -> None:
    """Missing numbers are null; no number loses a digit."""
    assert orjson.loads(a_row("a")) == ["a", 5, 7, [None, 2**63 - 1, "é", 0, True], 1, [0.25, 0.75]]
