"""The first process of a container: told to stop, it goes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import polars as pl
import pytest
from pydantic import ValidationError

from mlops.api import tasks
from mlops.api.canary import Analysis, MetricCriterion
from mlops.api.model_version import Capture
from mlops.workloads import __main__ as entry_point
from mlops.workloads.__main__ import __file__ as entry
from mlops.workloads.floor.pod import BadInput
from tests.containers import expanded
from tests.planning.builders import a_dataset, a_monitor

PID_NAMESPACE = ["unshare", "--fork", "--pid", "--kill-child"]


def test_a_task_of_any_length_comes_through_a_kubelet_and_the_kernel_as_it_is() -> None:
    """A kubelet replaces $(NAME) and $$; Linux takes no longer string than 128 KiB."""
    fields = [
        {"name": f"column_{number}", "type": "string", "enum": ["$(MLOPS_STORE)", "$$", "$$$", "\u00e9" * 30, "x" * 60]}
        for number in range(512)
    ]
    spec = a_dataset(spec={"fields": fields}).spec
    task = tasks.IngestTask(namespace="team", dataset="rain", spec=spec, as_of="2026-01-01T00:00:00Z", captures=False)
    variables = tasks.task_environment(task)
    assert [each["name"] for each in variables[:2]] == ["MLOPS_TASK", "MLOPS_TASK_2"]
    environ = {each["name"]: expanded(each["value"]) for each in variables}
    program = "import os; from mlops.api import tasks; print(tasks.parse_task(tasks.task_text(os.environ)).dump())"
    path = {"PYTHONPATH": str(Path(entry).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, **environ, **path}, capture_output=True)
    assert done.stdout.decode().strip() == str(task.dump())


SOURCES = {"sources": [{"s3": {"uri": "s3://labels/today.csv", "format": "csv"}}]}
TASKS: list[tasks.Task] = [
    tasks.IngestTask(namespace="n", dataset="d", spec=a_dataset().spec, as_of="scheduled"),
    tasks.RemoveTask(namespace="n", dataset="d", artifacts=("a",)),
    tasks.FetchTask(namespace="n", run="r", dataset_artifact="a", dataset_digest="d"),
    tasks.TrainTask(namespace="n", run="r", dataset_artifact="a", dataset_digest="d", environment_digest="e"),
    tasks.VerifyTask(namespace="n", model_name="m", version=3, artifact="a"),
    tasks.ServeTask(namespace="n", model_name="m", version=3, stage="production", artifact="a", capture=Capture()),
    tasks.AnalysisTask(
        namespace="n",
        model_name="m",
        stage="production",
        stable=tasks.Arm(version=3, artifact=f"sha256:{'0' * 64}"),
        candidate=tasks.Arm(version=4, artifact=f"sha256:{'1' * 64}"),
        since="2026-01-01T00:00:00Z",
        analysis=Analysis(metric=MetricCriterion()),
        look=2,
    ),
    tasks.LabelsTask(
        namespace="n",
        monitor="m",
        number=0,
        source=a_monitor(spec={"labels": SOURCES}).spec.labels.sources[0],
        artifact="a",
        window=a_monitor().spec.window,
    ),
    tasks.DriftTask(
        namespace="n",
        monitor="m",
        target=a_monitor().spec.target_ref,
        model_version="v",
        artifact="a",
        window=a_monitor().spec.window,
        labels=a_monitor().spec.labels,
        checks=a_monitor().spec.checks,
    ),
    tasks.ScoreTask(
        namespace="n",
        model_name="m",
        version=3,
        artifact=f"sha256:{'0' * 64}",
        input=tasks.ScoredInput(uri="s3://bucket/rows.csv"),
        output="s3://bucket/answers/",
    ),
]


def test_a_pod_reads_its_task_as_the_operator_means_it() -> None:
    """By the type of that task alone; what the operator can ask for is all there."""
    assert {type(task) for task in TASKS} == set(get_args(get_args(tasks.Task)[0]))
    for task in TASKS:
        text = json.dumps(task.dump())
        assert entry_point.parsed(text) == task == tasks.parse_task(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('["ingest"]', id="no object"),
        pytest.param('{"namespace": "n"}', id="no task"),
        pytest.param('{"task": ["ingest"]}', id="a task that is no name"),
        pytest.param('{"task": "bake"}', id="a task that there is not"),
        pytest.param('{"task": "fetch", "namespace": "n", "run": 7}', id="fields that are missing and wrong"),
        pytest.param(
            '{"task": "remove", "namespace": "n", "dataset": "d", "artifacts": [], "x": 1}', id="a field more"
        ),
    ],
)
def test_what_is_wrong_with_a_task_is_told_as_by_the_types_of_all_programs(text: str) -> None:
    with pytest.raises(ValidationError) as told:
        entry_point.parsed(text)
    with pytest.raises(ValidationError) as wanted:
        tasks.parse_task(text)
    assert str(told.value) == str(wanted.value)


@pytest.mark.thorough
def test_an_ingest_imports_no_types_of_other_programs() -> None:
    """They took a sixth of the CPU time until a pod has read its task."""
    program = (
        "import os, sys\nfrom mlops.workloads.__main__ import parsed, _work_of\n"
        "_work_of(parsed(os.environ['MLOPS_TASK']))\nprint(*(one for one in sys.modules if 'mlops.api' in one))"
    )
    environ = {"PYTHONPATH": str(Path(entry).parents[2]), "MLOPS_TASK": json.dumps(TASKS[0].dump())}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environ}, capture_output=True, text=True
    )
    assert not done.stderr
    imported = set(done.stdout.split())
    assert "mlops.api.ingest_task" in imported
    others = ("tasks", "training_task", "serving_task", "drift_task", "training_run", "model_version", "drift_monitor")
    assert not imported & {f"mlops.api.{one}" for one in others}


@pytest.mark.skipif(not shutil.which("unshare") or os.geteuid() != 0, reason="a process id of 1 needs Linux and root")
@pytest.mark.thorough
def test_a_pod_that_is_deleted_does_not_wait_for_its_grace_period(tmp_path: Path) -> None:
    """With process id 1, in the middle of its work: a store that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dataset = a_dataset()
        task = tasks.IngestTask(
            namespace="team", dataset="rain", spec=dataset.spec, as_of="2026-01-01T00:00:00Z", captures=False
        )
        environ = {variable["name"]: variable["value"] for variable in tasks.task_environment(task)}
        environ |= {
            "MLOPS_STORE": "s3://mlops",
            "MLOPS_S3_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "PYTHONPATH": str(Path(entry).parents[2]),
            tasks.TERMINATION_VARIABLE: str(tmp_path / "termination-log"),
        }
        command = [*PID_NAMESPACE, sys.executable, "-m", "mlops.workloads"]
        with subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.PIPE, text=True) as process:
            silent.settimeout(60)
            asked, _ = silent.accept()
            (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            start = time.monotonic()
            os.kill(int(child), signal.SIGTERM)
            assert process.stderr is not None
            assert process.stderr.read().endswith(" INFO    mlops.workloads.ingest: Dataset team/rain: told to stop\n")
            assert process.wait(30) == 128 + signal.SIGTERM
            assert time.monotonic() - start < 5
            asked.close()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the report of a pod of this process goes."""
    task = tasks.IngestTask(
        namespace="team", dataset="rain", spec=a_dataset().spec, as_of="2026-01-01T00:00:00Z", captures=False
    )
    for variable in tasks.task_environment(task):
        monkeypatch.setenv(variable["name"], variable["value"])
    path = tmp_path / "termination-log"
    monkeypatch.setenv(tasks.TERMINATION_VARIABLE, str(path))
    return path


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(*_: object) -> None:
        raise error

    monkeypatch.setattr(entry_point, "run", run)


def _a_panic() -> BaseException:
    try:
        pl.sql_expr("least()")
    except BaseException as error:
        if not isinstance(error, pl.exceptions.PanicException):
            raise
        return error
    raise AssertionError("polars has learned it")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(OverflowError("date value out of range"), tasks.EXIT_BAD_INPUT, id="overflow"),
        pytest.param(RecursionError("too deep"), tasks.EXIT_BAD_INPUT, id="recursion"),
        pytest.param(MemoryError(), tasks.EXIT_BAD_INPUT, id="memory"),
        pytest.param(KeyError("x"), tasks.EXIT_BAD_INPUT, id="key"),
        pytest.param(None, tasks.EXIT_BAD_INPUT, id="panic of a library"),
        pytest.param(tasks.ReportError("too long"), tasks.EXIT_BAD_INPUT, id="report too long"),
        pytest.param(OSError(errno.ENAMETOOLONG, "too long"), tasks.EXIT_BAD_INPUT, id="a name of the data"),
        pytest.param(OSError(errno.ENOSPC, "disk full"), tasks.EXIT_RETRY, id="disk full"),
        pytest.param(ConnectionResetError("gone"), tasks.EXIT_RETRY, id="connection gone"),
        pytest.param(TimeoutError("late"), tasks.EXIT_RETRY, id="timeout"),
    ],
)
def test_what_nobody_foresaw_is_reported_by_name(
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException | None,
    code: int,
) -> None:
    """Without a report the Job would be done again for ever; the log still says where."""
    error = error or _a_panic()
    _raising(monkeypatch, error)
    assert entry_point.main() == code
    report = tasks.parse_report(log.read_text())
    assert isinstance(report, tasks.FailureReport)
    assert report.reason == "InternalError"
    assert report.message.startswith(type(error).__name__)
    assert "in run\n" in capsys.readouterr().err


def test_the_log_of_what_nobody_foresaw_repeats_no_value(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an error says may hold a cell of the data; so may its cause, and notes. Frames and types say enough."""
    error = KeyError("Alice Miller")
    error.add_note("row 7: Alice Miller")
    error.__cause__ = ValueError("Alice Miller is no number")
    error.__cause__.__context__ = TypeError("Alice Miller")
    _raising(monkeypatch, error)
    assert entry_point.main() == tasks.EXIT_BAD_INPUT
    said = capsys.readouterr().err
    assert "Alice" not in said + log.read_text()
    assert "in run\n" in said
    for kind in ("builtins.KeyError", "builtins.ValueError", "builtins.TypeError"):
        assert kind in said


def test_being_told_to_stop_is_no_mistake(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _raising(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        entry_point.main()
    assert not log.exists()


@pytest.mark.parametrize("letter", ["a", "\u4e16", "\U0001f600", '"', "\\", "\x01", "\n", "\ud800"])
def test_a_message_of_any_letters_becomes_a_report(log: Path, monkeypatch: pytest.MonkeyPatch, letter: str) -> None:
    """A report has 4096 bytes, and letters have up to six there."""
    _raising(monkeypatch, BadInput("FormatError", letter * 5000))
    assert entry_point.main() == tasks.EXIT_BAD_INPUT
    assert len(log.read_bytes()) <= tasks.MAX_REPORT_BYTES
    report = tasks.parse_report(log.read_text())
    assert isinstance(report, tasks.FailureReport)
    assert report.reason == "FormatError"
    assert len(report.message) >= 300


def test_imports_are_not_searched_for_garbage_and_work_is() -> None:
    """The collector runs while the pod works, and leaves alone what was there before."""
    program = (
        "import gc, runpy, sys, types\n"
        "work = types.ModuleType('mlops.workloads.ingest.remove')\n"
        "def remove(pod, task):\n"
        "    print(gc.isenabled(), gc.get_freeze_count() > 10_000, gc.get_stats()[2]['collections'] - before)\n"
        "work.remove = remove\n"
        "sys.modules[work.__name__] = work\n"
        "before = gc.get_stats()[2]['collections']\n"
        "runpy.run_module('mlops.workloads', run_name='__main__')\n"
    )
    task = tasks.RemoveTask(namespace="team", dataset="rain", artifacts=("sha256:" + "0" * 64,))
    environ = {variable["name"]: variable["value"] for variable in tasks.task_environment(task)}
    path = {"PYTHONPATH": str(Path(entry).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, **environ, **path}, capture_output=True)
    assert done.stdout.decode().split() == ["True", "True", "0"], done.stderr.decode()
