"""The operator's log: a line for trouble that heals, whoever tells of it; a traceback for what is a bug of ours."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from mlops.cluster import logs


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[str]]]:
    """The lines of the log so far; the loggers of this process are as before afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield lambda: capsys.readouterr().err.splitlines()
    root.handlers[:] = before
    root.setLevel(level)
    for name in ("kopf", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def _raised(error: Exception, name: str = "kopf._cogs.clients.watching") -> Exception:
    """The error, raised in a module of this name."""
    space: dict[str, Any] = {"__name__": name, "error": error}
    try:
        exec("def work():\n    raise error\nwork()", space)
    except Exception as raised:  # noqa: BLE001 - whatever it is
        return raised
    raise AssertionError


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("logger", ["kopf._core.reactor.queueing", "asyncio"])
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(aiohttp.ClientConnectionError("Cannot connect to host"), id="connection"),
        pytest.param(ConnectionResetError(104, "Connection reset by peer"), id="reset"),
        pytest.param(TimeoutError(), id="time out"),
        pytest.param(json.JSONDecodeError("Unterminated string", "{", 1), id="a line that was cut off"),
    ],
)
def test_trouble_with_the_api_server_is_one_line(
    said: Callable[[], list[str]], style: str, logger: str, error: Exception
) -> None:
    """With the error's type and message, and without kopf's frames."""
    logs.configure("info", style)
    logging.getLogger(logger).error("Watcher for %s has failed:\nfuture", "jobs", exc_info=_raised(error))
    (line,) = said()
    assert "Traceback" not in line
    assert type(error).__name__ in line
    assert str(error) in line
    assert "Watcher for jobs has failed: future" in line


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("logger", ["kopf.objects", "asyncio", "mlops.engine.controller"])
def test_a_bug_of_ours_keeps_its_traceback(said: Callable[[], list[str]], style: str, logger: str) -> None:
    """Also when kopf or asyncio is the one who tells of it."""
    logs.configure("info", style)
    error = _raised(KeyError("spec"), "mlops.cluster.memory")
    logging.getLogger(logger).error("it failed", exc_info=error)
    lines = said()
    assert "Traceback (most recent call last)" in "\n".join(lines)
    assert "KeyError: 'spec'" in lines[-1]
    if style == "json":
        assert json.loads(lines[0])["traceback"].startswith("Traceback")


def test_an_exception_of_our_own_loggers_is_never_shortened(said: Callable[[], list[str]]) -> None:
    """Whatever its type is."""
    logs.configure("info", "text")
    logging.getLogger("mlops.cluster.program").error("resync ended", exc_info=_raised(OSError("away")))
    assert "Traceback (most recent call last):" in "\n".join(said())


_TASK = (
    "Task exception was never retrieved\nfuture: <Task finished name='{}' coro=<guard() done, defined at {}:64> ...>"
)
_KOPF = "/opt/lib/kopf/_cogs/aiokits/aiotasks.py"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        pytest.param(
            _TASK.format("watcher for jobs.v1.batch", _KOPF),
            _raised(aiohttp.ClientConnectionError("away"), "kopf._cogs.clients.errors"),
            id="a watch that failed",
        ),
        pytest.param(
            "Exception in callback stream.<locals>.request_cancel_callback(<Task cancell...ggles.py:123>>) at "
            "/opt/lib/kopf/_cogs/clients/api.py:237\nhandle: <Handle ...>",
            _raised(AssertionError(), "kopf._cogs.clients.api"),
            id="a stream that is cancelled",
        ),
        pytest.param(
            "an error occurred during closing of asynchronous generator <...>", RuntimeError(), id="generator"
        ),
    ],
)
def test_watches_that_begin_again_leave_no_errors_behind(
    said: Callable[[], list[str]], message: str, error: Exception
) -> None:
    """kopf has said why a watch failed, the informers say that all begin again; asyncio's lines add nothing."""
    logs.configure("info", "text")
    logging.getLogger("asyncio").error(message, exc_info=error)
    assert said() == []


@pytest.mark.parametrize(
    ("message", "error"),
    [
        pytest.param(
            _TASK.format("watcher", _KOPF), _raised(KeyError("x"), "mlops.cluster.memory"), id="a bug of ours"
        ),
        pytest.param(_TASK.format("resync", "/opt/lib/mlops/cluster/x.py"), OSError("away"), id="a task of ours"),
        pytest.param(
            "Exception in callback stop() at /opt/lib/mlops/x.py:1", AssertionError(), id="a callback of ours"
        ),
    ],
)
def test_what_is_not_kopfs_is_told(said: Callable[[], list[str]], message: str, error: Exception) -> None:
    """A task of another name, and one of kopf's in which our code failed."""
    logs.configure("info", "text")
    logging.getLogger("asyncio").error(message, exc_info=error)
    assert message.splitlines()[0] in said()[0]
