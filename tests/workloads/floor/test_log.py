"""Every event of a pod is one record that says which object it is about, and repeats no value of the data."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from mlops.api import tasks
from mlops.workloads.floor import log
from mlops.workloads.floor.log import Subject

# Not in a line of source that a traceback shows.
VALUE = "Alice Miller"
SUBJECT = Subject("ingest", "Dataset", "shop", "sales")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """No handler of a test is left for the next."""
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger("mlops.workloads").setLevel(logging.INFO)


@pytest.mark.parametrize(
    ("task", "subject"),
    [
        (
            tasks.VerifyTask(namespace="n", model_name="m", version=3, artifact="a"),
            Subject("verify", "ModelVersion", "n", "m-v3"),
        ),
        (
            tasks.VerifyTask(namespace="n", model_name="m", version=3, object_name="mine", artifact="a"),
            Subject("verify", "ModelVersion", "n", "mine"),
        ),
        (
            tasks.FetchTask(namespace="n", run="r", dataset_artifact="a", dataset_digest="d"),
            Subject("fetch", "TrainingRun", "n", "r"),
        ),
    ],
)
def test_a_pod_works_for_the_object_of_its_task(task: tasks.Task, subject: Subject) -> None:
    assert log.subject_of(task) == subject


def test_no_task_is_without_an_object() -> None:
    """Each has the fields from which it is told."""
    for model in get_args(get_args(tasks.Task)[0]):
        made = model.model_construct(
            namespace="n", dataset="o", run="o", monitor="o", model_name="o", version=1, object_name="o"
        )
        assert log.subject_of(made).name == "o"


@pytest.mark.parametrize("style", ["text", "json"])
def test_records_of_libraries_name_the_object_too(style: Any, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(style, "info", SUBJECT)
    log.say("7 rows")
    logging.getLogger("uvicorn.error").error("it is down")
    logging.getLogger("polars").info("chatter")
    ours, theirs = capsys.readouterr().err.splitlines()
    if style == "text":
        assert ours.endswith(" INFO    mlops.workloads.ingest: Dataset shop/sales: 7 rows")
        assert theirs.endswith(" ERROR   uvicorn.error: Dataset shop/sales: it is down")
    else:
        about = {"kind": "Dataset", "namespace": "shop", "object": "sales"}
        assert json.loads(ours).items() >= {"logger": "mlops.workloads.ingest", "message": "7 rows", **about}.items()
        assert json.loads(theirs).items() >= {"level": "error", "logger": "uvicorn.error", **about}.items()


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_error_says_where_it_came_from_and_repeats_nothing(style: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one that a library hands over."""
    log.configure(style, "info", SUBJECT)
    try:
        try:
            raise ValueError(VALUE)
        except ValueError as error:
            raise KeyError(VALUE) from error
    except KeyError as error:
        log.fail("it failed", error)
        logging.getLogger("uvicorn.error").error("theirs", exc_info=error)
    said = capsys.readouterr().err
    assert "Alice" not in said
    assert said.count("builtins.KeyError") == said.count("builtins.ValueError") == 2
    if style == "json":
        first, second = map(json.loads, said.splitlines())
        assert first["traceback"] == second["traceback"]
        assert "test_log.py" in first["traceback"]


def test_levels_below_the_chosen_one_are_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("text", "warning", SUBJECT)
    log.debug("one")
    log.say("two")
    log.warn("three")
    assert [line.rsplit(" ", 1)[1] for line in capsys.readouterr().err.splitlines()] == ["three"]
    log.configure("text", "debug", SUBJECT)
    log.debug("four")
    assert capsys.readouterr().err.count("\n") == 1, "the handler before is gone"


PROGRAM = """
import sys, threading, warnings
from mlops.workloads.floor import log
log.configure("json", "info", log.Subject("drift", "DriftMonitor", "shop", "watch"))
log.take_over()
warnings.warn("old", FutureWarning)
def fail(): raise KeyError("Alice")
thread = threading.Thread(target=fail); thread.start(); thread.join()
fail()
"""


def test_what_nobody_caught_is_a_record_of_json_too() -> None:
    """Warnings, a thread's error and the last one: nothing goes around the log."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert [one["level"] for one in found] == ["warning", "error", "error"]
    assert {one["object"] for one in found} == {"watch"}
    assert "FutureWarning: old" in found[0]["message"]
    assert all("in fail" in one["traceback"] for one in found[1:])
    assert "Alice" not in done.stderr


def test_a_whole_pod_writes_json_when_it_is_told_so(tmp_path: Path) -> None:
    """From its first line to its last; and a format that there is not is bad input with a way out."""
    task = tasks.FetchTask(namespace="shop", run="r", dataset_artifact="a", dataset_digest="d")
    report = tmp_path / "report"
    environ = {**os.environ, tasks.TERMINATION_VARIABLE: str(report)}
    environ |= {one["name"]: one["value"] for one in tasks.task_environment(task)}
    command = [sys.executable, "-m", "mlops.workloads"]
    told = {**environ, tasks.LOG_FORMAT_VARIABLE: "json"}
    done = subprocess.run(command, env=told, capture_output=True, text=True)
    assert done.returncode == tasks.EXIT_BAD_INPUT
    (line,) = done.stderr.splitlines()
    assert json.loads(line).items() >= {"level": "error", "kind": "TrainingRun", "object": "r"}.items()
    done = subprocess.run(command, env={**environ, tasks.LOG_FORMAT_VARIABLE: "xml"}, capture_output=True, text=True)
    assert done.returncode == tasks.EXIT_BAD_INPUT
    found = tasks.parse_report(report.read_text())
    assert isinstance(found, tasks.FailureReport)
    assert (found.reason, found.message) == ("TaskInvalid", "MLOPS_LOG_FORMAT: 'xml' must be 'text' or 'json'")
