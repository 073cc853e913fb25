"""The child that opens what nobody vouches for: it has no key, ends at its limits, and its end is a reason."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper

from mlops.api import tasks
from mlops.api.dataset import DatasetSpec
from mlops.api.tasks import VerifyTask
from mlops.store import open_store
from mlops.workloads.floor.isolation import answering, limits, parent, secrecy
from mlops.workloads.floor.isolation.frames import FrameError, read_frame, write_frame
from mlops.workloads.floor.isolation.parent import Child, ChildEnded
from mlops.workloads.floor.model import isolated
from mlops.workloads.floor.model.isolated import IsolatedPredictor, child_for
from mlops.workloads.floor.model.opening import load
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.pod import BadInput, PassingFault, Pod
from mlops.workloads.ingest import columnar
from mlops.workloads.ingest.contract import contract_of
from mlops.workloads.verify import run as verifying
from tests.workloads.serve.models import rows, write_model

GET_DUMPABLE, SET_DUMPABLE = 3, 4


@pytest.fixture
def shown() -> Iterator[Callable[[], bool]]:
    """This process shown to others of its user, as it starts; tell whether it is now. Undone after the test."""
    control = ctypes.CDLL(None).prctl
    before = control(GET_DUMPABLE, 0, 0, 0, 0)
    control(SET_DUMPABLE, 1, 0, 0, 0)
    yield lambda: bool(control(GET_DUMPABLE, 0, 0, 0, 0))
    control(SET_DUMPABLE, before, 0, 0, 0)


@pytest.fixture
def child() -> Iterator[Child]:
    """A child with little memory."""
    with Child(512 << 20) as made:
        yield made


def opened(child: Child, folder: Path) -> int:
    """Have the child open a model; return its process id."""
    child.ask("open", {"folder": str(folder)}, seconds=60)
    assert child.process_id is not None
    return child.process_id


def test_the_child_has_none_of_its_parents_keys_and_may_not_write(
    child: Child, shown: Callable[[], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by its environment nor by looking at its parent, whose memory nobody of its user may read meanwhile."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-tell")
    monkeypatch.setenv("SOURCE_AWS_SESSION_TOKEN", "do-not-tell")
    monkeypatch.setenv(tasks.STORE_VARIABLE, "s3://artifacts")
    process = opened(child, write_model(tmp_path / "model"))
    environ = Path(f"/proc/{process}/environ").read_bytes()
    assert b"do-not-tell" not in environ
    assert b"s3://" not in environ
    assert b"PYTHONSAFEPATH=1" in environ
    assert Path(f"/proc/{process}/cwd").resolve() == Path("/")
    table = Path(f"/proc/{process}/limits").read_text()
    most = {line[:26].strip(): line[26:].split()[0] for line in table.splitlines()[1:]}
    assert (most["Max file size"], most["Max core file size"]) == ("0", "0")
    assert most["Max data size"] != "unlimited"
    assert most["Max cpu time"] != "unlimited"
    assert not shown()
    child.close()
    assert shown()
    assert not Path(f"/proc/{process}").exists()


def test_the_parent_stays_hidden_until_its_last_child_ends(
    child: Child, shown: Callable[[], bool], tmp_path: Path
) -> None:
    """The first of two that ends must not show the keys to the other."""
    model = write_model(tmp_path / "model")
    with Child(512 << 20) as other:
        opened(child, model)
        opened(other, model)
        child.close()
        assert not shown()
    assert shown()


def test_a_process_that_was_hidden_before_stays_so(child: Child, shown: Callable[[], bool], tmp_path: Path) -> None:
    """A pod hides itself as it starts; the end of a child is no reason to show it."""
    secrecy.keep_memory_private()
    opened(child, write_model(tmp_path / "model"))
    child.close()
    assert not shown()


def test_a_file_cannot_be_written_with_the_childs_limits(tmp_path: Path) -> None:
    """Nor is the attempt its end: a library that tries gets an error."""
    target = tmp_path / "written"
    script = (
        "from mlops.workloads.floor.isolation import limits; import os, sys; limits.restrict()\n"
        "try: os.write(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY), b'x')\n"
        "except OSError as error: print('refused', error.errno)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refused"), done
    assert not target.exists() or target.stat().st_size == 0


@pytest.mark.parametrize(
    ("number", "want"),
    [
        pytest.param(signal.SIGSEGV, r"ended the process that opened it \(SIGSEGV\)", id="crash"),
        pytest.param(signal.SIGABRT, r"ended the process that opened it \(SIGABRT\)", id="abort"),
    ],
)
def test_a_child_that_dies_is_a_reason_and_the_next_question_finds_another(
    child: Child, tmp_path: Path, number: signal.Signals, want: str
) -> None:
    """Whatever a native library does to it."""
    folder = write_model(tmp_path / "model")
    os.kill(opened(child, folder), number)
    with pytest.raises(ChildEnded, match=want):
        child.ask("predict", {}, rows(2), seconds=60)
    opened(child, folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_child_that_somebody_ends_says_nothing_about_the_model(
    child: Child, tmp_path: Path, number: signal.Signals
) -> None:
    """The node's memory, or a person: the Job tries again, and no version is condemned."""
    os.kill(opened(child, write_model(tmp_path / "model")), number)
    with pytest.raises(PassingFault, match=rf"ended from outside \({number.name}\)") as info:
        child.ask("predict", {}, rows(2), seconds=60)
    assert info.value.reason == "Interrupted"


def test_a_child_that_takes_too_long_is_ended(child: Child, tmp_path: Path) -> None:
    """By the clock, also when it computes nothing; but then it is the node that was too slow, not the model."""
    os.kill(opened(child, write_model(tmp_path / "model")), signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(PassingFault, match="had 0 s of processor time in 3 s: the node is busy"):
        child.ask("predict", {}, rows(2), seconds=1)
    assert time.monotonic() - started < 30


def test_a_slow_node_condemns_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model and of a delivered Parquet file alike: no BadInput, which would be final."""
    monkeypatch.setattr(limits, "processor_seconds", lambda _: 0.0)
    folder, file = write_model(tmp_path / "model"), tmp_path / "x.parquet"
    pl.DataFrame({"x": [1.0]}).write_parquet(file)
    spec = {"fields": [{"name": "x", "type": "float64"}], "source": {"s3": {"uri": "s3://raw/x"}}, "format": "parquet"}
    monkeypatch.setattr(isolated, "OPEN_SECONDS", 0.01)
    monkeypatch.setattr(columnar, "_TRIED_SECONDS", 0.01)
    with child_for(folder) as child, pytest.raises(PassingFault, match="the node is busy"):
        IsolatedPredictor.open(folder, child)
    with Child(512 << 20) as child, pytest.raises(PassingFault, match="the node is busy"):
        list(columnar.read_parquet(file, "x", contract_of(DatasetSpec.model_validate(spec)), child))


def test_the_processor_time_of_a_process_is_read_whatever_its_name() -> None:
    """Of one that is gone nobody knows it."""
    before = limits.processor_seconds(os.getpid())
    assert before is not None
    assert 0 < before < 1e6
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert limits.processor_seconds(gone.pid) is None


def test_a_model_in_a_child_answers_as_one_in_this_process(tmp_path: Path) -> None:
    """Bit for bit: what is measured is what will be served."""
    for classes in (("dry", "rain"), (False, True), (1, 2, 3), None):
        folder = write_model(tmp_path / str(classes), classes)
        here = Predictor.load(folder).predict(rows(50))
        with child_for(folder) as child:
            there = IsolatedPredictor.open(folder, child).predict(rows(50))
        assert there.prediction.dtype == here.prediction.dtype
        assert there.prediction.tolist() == here.prediction.tolist()
        if here.probabilities is not None and there.probabilities is not None:
            assert np.array_equal(there.probabilities, here.probabilities)
        assert (there.probabilities is None) == (here.probabilities is None)


@pytest.mark.parametrize(("most_rows", "most_bytes"), [(7, 1 << 20), (1000, 900), (1000, 1)])
def test_a_part_of_any_size_is_asked_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_rows: int, most_bytes: int
) -> None:
    """In one frame a large part was a reason against the model: it did not fit."""
    monkeypatch.setattr(isolated, "PIECE_ROWS", most_rows)
    monkeypatch.setattr(isolated, "PIECE_BYTES", most_bytes)
    for classes in (("dry", "rain"), None):
        folder = write_model(tmp_path / str(classes), classes)
        with child_for(folder) as child:
            there = IsolatedPredictor.open(folder, child)
            for number in (50, 1, 0):
                here, found = Predictor.load(folder).predict(rows(number)), there.predict(rows(number))
                assert found.prediction.tolist() == here.prediction.tolist()
                assert (found.probabilities is None) == (here.probabilities is None)
                if here.probabilities is not None and found.probabilities is not None:
                    assert np.array_equal(found.probabilities, here.probabilities)


def test_pieces_hold_all_rows_once_and_no_more_than_agreed() -> None:
    """A row that is larger than a piece is one."""
    texts = np.array(["", "x" * (isolated.PIECE_BYTES // 10), None, *["x" * 4000] * 5000], dtype=object)
    pieces = list(isolated._pieces({"text": texts, "number": np.zeros(len(texts))}))
    assert [row for first, end in pieces for row in range(first, end)] == list(range(len(texts)))
    sizes = [12 * sum(len(one or "") for one in texts[first:end]) for first, end in pieces]
    assert all(
        size <= isolated.PIECE_BYTES or end - first == 1 for size, (first, end) in zip(sizes, pieces, strict=True)
    )
    assert list(isolated._pieces({"number": np.zeros(0)})) == [(0, 0)]
    assert list(isolated._pieces({"number": np.zeros(120_000)})) == [(0, 50_000), (50_000, 100_000), (100_000, 120_000)]


def _changed(folder: Path, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray[Any, Any]], last: str) -> Path:
    """Put nodes before the output of a regressor: what they make of it counts."""
    model = onnx.load(folder / "model.onnx")
    graph = model.graph
    graph.node[-1].output[0] = "before"
    graph.node.extend([*nodes, helper.make_node("Identity", [last], ["value"])])
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.save(model, folder / "model.onnx")
    return folder


def _filling(folder: Path) -> Path:
    """A graph of a few bytes that wants sixteen gigabytes."""
    nodes = [
        helper.make_node("Shape", ["before"], ["rows"], start=0, end=1),
        helper.make_node("Concat", ["rows", "many"], ["wanted"], axis=0),
        helper.make_node("ConstantOfShape", ["wanted"], ["filled"]),
        helper.make_node("ReduceSum", ["filled", "axis"], ["sum"], keepdims=1),
        helper.make_node("Add", ["before", "sum"], ["after"]),
    ]
    constants = {"many": np.array([1 << 29]), "axis": np.array([1])}
    return _changed(folder, nodes, constants, "after")


def _busy(folder: Path) -> Path:
    """A graph whose loop ends, in a day or so."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "state"], ["product"]),
            helper.make_node("Tanh", ["product"], ["next"]),
            helper.make_node("Identity", ["going"], ["on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [200, 200]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [200, 200]),
        ],
    )
    nodes = [
        helper.make_node("ReduceSum", ["before"], ["some"], keepdims=0),
        helper.make_node("Add", ["start", "some"], ["begin"]),
        helper.make_node("Loop", ["turns", "", "begin"], ["end"], body=body),
        helper.make_node("ReduceSum", ["end"], ["sum"], keepdims=0),
        helper.make_node("Add", ["before", "sum"], ["after"]),
    ]
    constants = {"turns": np.array(1_000_000), "start": np.ones((200, 200), dtype=np.float32)}
    return _changed(folder, nodes, constants, "after")


@pytest.mark.parametrize(
    ("change", "want"),
    [
        pytest.param(_filling, "model.onnx: .*memory", id="fills the memory"),
        pytest.param(_busy, "model.onnx: it took longer than 6 s", id="never ends"),
    ],
)
def test_a_model_that_takes_the_memory_or_the_time_is_refused_by_the_verifying_pod_which_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, want: str
) -> None:
    """Its structure is sound: only opening it shows what it does."""
    monkeypatch.setattr(verifying, "OPEN_SECONDS", 6.0 if change is _busy else 120.0)
    # This machine may be busy: the model has its processor time all the same.
    monkeypatch.setattr(parent, "_PATIENCE", 60.0)
    monkeypatch.setattr(isolated, "_MEMORY_BYTES", 1 << 30)
    folder = change(write_model(tmp_path / "model", None))
    url = f"file://{tmp_path}/store"
    artifact = open_store(url, {}).put_directory(folder).digest
    (tmp_path / "scratch").mkdir()
    task = VerifyTask(namespace="default", model_name="m", version=1, artifact=artifact)
    with pytest.raises(BadInput, match=want) as info:
        verifying.verify(Pod({tasks.STORE_VARIABLE: url}, tmp_path / "scratch"), task)
    assert info.value.reason == "FormatForbidden"


def test_a_whole_pod_says_what_a_model_did_and_ends_as_for_bad_input(tmp_path: Path) -> None:
    """Exit code 2 and a report: not a dead pod that is started again."""
    folder = _filling(write_model(tmp_path / "model", None))
    url = f"file://{tmp_path}/store"
    artifact = open_store(url, {}).put_directory(folder).digest
    task = VerifyTask(namespace="default", model_name="m", version=1, artifact=artifact)
    log = tmp_path / "termination"
    environ = {
        **os.environ,
        tasks.TASK_VARIABLE: task.model_dump_json(by_alias=True),
        tasks.STORE_VARIABLE: url,
        tasks.TERMINATION_VARIABLE: str(log),
        "AWS_SECRET_ACCESS_KEY": "do-not-tell",
    }
    done = subprocess.run([sys.executable, "-m", "mlops.workloads"], env=environ, capture_output=True, check=False)
    assert done.returncode == tasks.EXIT_BAD_INPUT, done.stderr
    report = json.loads(log.read_text())
    assert report["reason"] == "FormatForbidden"
    assert "memory" in report["message"]


def test_a_server_loads_by_digest_what_was_verified_and_nothing_else(tmp_path: Path) -> None:
    """It opens the model itself: bytes of another digest do not get that far."""
    folder = write_model(tmp_path / "model")
    store = open_store(f"file://{tmp_path}/store", {})
    artifact = store.put_directory(folder).digest
    assert load(store, artifact, tmp_path / "good").golden.recorded.prediction.shape == (8,)
    stored = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    size = (folder / "model.onnx").stat().st_size
    for path in stored:
        if path.stat().st_size == size:
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(Exception, match="sha256") as info:
        load(store, artifact, tmp_path / "bad")
    assert type(info.value).__name__ == "DigestMismatch"


@pytest.mark.parametrize(
    "document",
    [
        {"document": {}, "arrays": [["x", "f", [1 << 40]]], "texts": {}},
        {"document": {}, "arrays": [["x", "f", [-1]]], "texts": {}},
        {"document": {}, "arrays": [["x", "O", [1]]], "texts": {}},
        {"document": [], "arrays": [], "texts": {}},
        {"document": {}, "arrays": [], "texts": 5},
        [],
    ],
)
def test_an_answer_that_is_no_frame_or_larger_than_agreed_is_none(document: object) -> None:
    """A child that another hand leads may write anything."""
    import io

    head = json.dumps(document).encode()
    with pytest.raises(FrameError):
        read_frame(io.BytesIO(len(head).to_bytes(8, "little") + head + b"\0" * 64), 1 << 10)
    with pytest.raises(FrameError):
        read_frame(io.BytesIO((1 << 62).to_bytes(8, "little")), 1 << 10)


def test_frames_carry_numbers_truth_values_and_texts_as_they_are() -> None:
    """Bit for bit, with what is missing."""
    import io

    texts = np.empty(3, dtype=object)
    texts[:] = ["ä", None, ""]
    sent = {
        "f": np.array([[1.5, np.nan], [-0.0, np.inf]]),
        "i": np.array([-1, 1 << 62]),
        "b": np.array([True, False]),
        "t": texts,
    }
    stream = io.BytesIO()
    write_frame(stream, {"a": 1}, sent)
    stream.seek(0)
    found = read_frame(stream, 1 << 20)
    assert found is not None
    assert found[0] == {"a": 1}
    for name, array in sent.items():
        assert found[1][name].tolist() == array.tolist() or name == "f"
    assert found[1]["f"].tobytes() == sent["f"].tobytes()
    assert read_frame(stream, 1) is None


def test_only_what_a_library_says_of_memory_is_taken_for_it() -> None:
    """A column may be called alloc_rate, and a message of ours may name it."""
    for text in (
        "std::bad_alloc",
        "Failed to allocate memory for requested buffer",
        "memory allocation of 8 bytes failed",
    ):
        assert answering.is_memory(RuntimeError(text))
        wrapped = BadInput("OutputInvalid", "the model cannot answer")
        wrapped.__cause__ = RuntimeError(text)
        assert answering.is_memory(wrapped)
        assert not answering.is_memory(BadInput("OutputInvalid", text))
    assert not answering.is_memory(ValueError("the column 'alloc_rate' is missing"))
    assert answering.is_memory(MemoryError())


def test_the_childs_memory_does_not_grow_with_every_question() -> None:
    """What a model keeps from one question is missing to the next: four of them may not take four times as much."""
    script = (
        "from mlops.workloads.floor.isolation import limits\n"
        "kept = []\n"
        "for _ in range(4):\n"
        "    limits.allow(60, 100 << 20)\n"
        "    try: kept.append(bytearray(90 << 20))\n"
        "    except MemoryError: pass\n"
        "print(len(kept))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_a_container_without_room_for_a_child_says_so(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was started all the same, and both were killed, or the model was blamed."""
    monkeypatch.setattr(limits, "_total", lambda: 200 << 20)
    with pytest.raises(BadInput, match="give the pod more memory") as info:
        opened(child, write_model(tmp_path / "model"))
    assert info.value.reason == "OOMKilled"
    assert child.process_id is None


def test_the_childs_memory_is_what_the_container_has_left() -> None:
    """Never more than was asked for, never so little that nothing opens."""
    assert limits.memory_left(1 << 62) < 1 << 50
    assert limits.memory_left(300 << 20) == 300 << 20
    assert limits.memory_left(1) == limits.LEAST_BYTES


@pytest.mark.parametrize("work", ["os.system", "mlops.workloads.floor.child:_open", "__import__", ""])
def test_a_child_does_what_stands_in_its_table_and_nothing_else(child: Child, work: str) -> None:
    """No name that comes from data is imported or called: the child ends."""
    with pytest.raises(ChildEnded, match="gave no answer"):
        child.ask(work, {"path": "/etc/passwd", "folder": "/"}, seconds=30)


def test_what_the_child_says_is_one_line(tmp_path: Path, child: Child) -> None:
    """It may become a condition and a line of a log, and whoever leads the child would write further ones."""
    with pytest.raises((BadInput, ChildEnded)) as caught:
        child.ask(
            "parquet", {"path": str(tmp_path / "x\nReady: True\x1b[2K"), "name": "a\nb", "columns": []}, seconds=30
        )
    assert not any(ord(letter) < 32 for letter in str(caught.value))
