"""Two versions in this process: what a server that is a process of its own does not let happen at will."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mlops.api.pod_environment import ServerSettings
from mlops.workloads.floor.model.lone_rows import LoneRows
from mlops.workloads.floor.model.opening import open_checked
from mlops.workloads.serve.budget import Budget
from mlops.workloads.serve.candidate import ServedCandidate
from mlops.workloads.serve.failures import FailureLog
from mlops.workloads.serve.metrics import Metrics
from mlops.workloads.serve.request_ids import RequestIds
from mlops.workloads.serve.served import Served
from mlops.workloads.serve.server import Server
from mlops.workloads.serve.share import Share
from mlops.workloads.serve.two_versions import SharedApplication
from tests.workloads.serve.candidates import shared_task, write_candidate
from tests.workloads.serve.models import rows
from tests.workloads.serve.servers import request_of
from tests.workloads.serve.test_hot_path import HEAD, Nowhere
from tests.workloads.serve.test_known_head import Transport


class Here:
    """A server in this process with a candidate that answers all; `ask` gives the answers of one turn."""

    def __init__(self, model: Path, candidate: Path, *, together: bool, weight: int = 100, shadow: int = 0) -> None:
        task, limits = shared_task("sha256:s", "sha256:c", weight, shadow=shadow, percent=0), ServerSettings()
        assert task.candidate is not None
        share, ids = Share(task.candidate), RequestIds()
        metrics = Metrics("weather", 3, "production", task.artifact)
        self.app = SharedApplication(task, limits, metrics, ids, FailureLog(), share=share)
        loaded, other = open_checked(model), open_checked(candidate)
        served = Served(
            task,
            loaded,
            one_row_seconds=1e-5,
            lone=LoneRows(loaded.predictor),
            sink=Nowhere(),
            limits=limits,
            metrics=metrics,
            host="pod",
            sampling_key=b"key",
            batches=self.app.batches,
            id_maker=share.make_id,
        )
        self.served = served
        self.app.serve(served)
        self.candidate = ServedCandidate(
            task, task.candidate, served, sink=Nowhere(), limits=limits, metrics=metrics, host="pod"
        )
        self.app.compare(self.candidate)
        # None: an engine that answers rows of a run otherwise than alone, by columns then.
        self.candidate.take(other, LoneRows(other.predictor) if together else None, self.app.settled)
        self.budget = Budget(limits.buffered_bytes)
        self._server = Server(
            self.app, limits, self.budget, refused=lambda *_: None, ids=ids, paths=self.app.paths, vital=self.app.vital
        )

    async def ask(self, *documents: Any) -> list[Any]:
        """The answers to requests, each over a connection of its own."""
        transports = []
        for document in documents:
            connection, transport = self._server.connection(), Transport()
            connection.connection_made(transport)
            body = json.dumps(document).encode()
            connection.data_received(HEAD % len(body) + body)
            transports.append(transport)
        for _ in range(200):
            if all(transport.written for transport in transports):
                break
            await asyncio.sleep(0.01)
        found = [b"".join(transport.written).partition(b"\r\n\r\n") for transport in transports]
        assert all(head.startswith(b"HTTP/1.1 200") for head, _, _ in found), found
        assert not self.app.is_busy
        assert self.budget.used == 0, "what requests held is given back"
        return [json.loads(body) for _, _, body in found]


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good candidate."""
    return write_candidate(tmp_path_factory.mktemp("candidate") / "model")


@pytest.fixture(params=[True, False], ids=["rows", "columns"])
async def here(model: Path, candidate: Path, request: pytest.FixtureRequest) -> AsyncIterator[Here]:
    """Such a server, whose candidate answers rows together or by columns."""
    found = Here(model, candidate, together=request.param)
    yield found
    found.app.close()


async def test_an_answer_is_the_same_by_rows_and_by_columns(here: Here, candidate: Path) -> None:
    """To one row and to several, as tensors and as a choice of outputs."""
    predictor = open_checked(candidate).predictor
    for size in (1, 4):
        inputs = rows(size, seed=size)
        plain, chosen = await here.ask(request_of(inputs), request_of(inputs, outputs=[{"name": "probabilities"}]))
        expected = predictor.predict(inputs).probabilities
        assert expected is not None
        for answer in (plain, chosen):
            assert answer["model_version"] == "4"
            assert answer["outputs"][-1]["data"] == expected.ravel().tolist()
        assert len(chosen["outputs"]) == 1


def raising(*_: Any) -> Any:
    """Stand in for what nobody foresaw."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "breaks",
    [
        pytest.param(lambda one: setattr(one, "answer", raising), id="while it predicts"),
        pytest.param(lambda one: setattr(one, "written", raising), id="while it writes many"),
        pytest.param(lambda one: setattr(one, "written_row", raising), id="while it writes a row"),
    ],
)
@pytest.mark.parametrize("size", [1, 3])
async def test_what_nobody_foresaw_fails_no_request(
    here: Here, breaks: Callable[[Any], None], size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The stable version answers, the candidate is counted, and the log has one traceback."""
    model = here.candidate.model
    assert model is not None
    breaks(model.answering)
    answers = await here.ask(*(request_of(rows(size, seed=number)) for number in range(6)))
    total = here.candidate.counts.total
    by = [answer["model_version"] for answer in answers].count("4")
    assert total.answered == by
    assert total.reasons == ({"Raised": 6 - by} if by < 6 else {})
    assert sum("ZeroDivisionError" in str(one.exc_info) for one in caplog.records) == (by < 6)


async def test_a_broken_row_takes_no_answer_from_its_neighbours(here: Here, model: Path) -> None:
    """Of a run one has no answer by the candidate; the others have."""
    thing = here.candidate.model
    assert thing is not None
    row, column = thing.lone, thing.answering
    original_row, original = row.answer if row else None, column.answer

    def answer_rows(given: Any) -> Any:
        if any(one[1] == 3 for one in given):
            raise ZeroDivisionError
        assert original_row is not None
        return original_row(given)

    def answer(inputs: Any) -> Any:
        if 3 in inputs["count"].tolist():
            raise ZeroDivisionError
        return original(inputs)

    if row is not None:
        row.most, thing.most = 8, 8
        row.answer = answer_rows  # type: ignore[method-assign]
    column.answer = answer  # type: ignore[method-assign]
    documents = []
    for number in range(6):
        inputs = rows(1)
        inputs["count"][0] = number
        documents.append(request_of(inputs))
    answers = await here.ask(*documents)
    assert [answer["model_version"] for answer in answers] == ["4", "4", "4", "3", "4", "4"]


async def test_a_client_that_has_left_gets_nothing(here: Here) -> None:
    """And what its request held is given back when the candidate has answered."""
    connection, transport = here._server.connection(), Transport()
    connection.connection_made(transport)
    body = json.dumps(request_of(rows(1))).encode()
    connection.data_received(HEAD % len(body) + body)
    await asyncio.sleep(0)
    connection.connection_lost(None)
    for _ in range(100):
        if not here.app.is_busy and here.budget.used == 0:
            break
        await asyncio.sleep(0.01)
    assert here.budget.used == 0
    assert transport.written == []
    assert here.candidate.counts.total.answered == 1


async def test_shadows_that_find_no_room_are_counted(model: Path, candidate: Path) -> None:
    """And hold up nobody."""
    here = Here(model, candidate, together=True, weight=0, shadow=100)
    room = 2 * (1024 + here.served.row_bytes + 50)
    thread = here.candidate.thread
    assert thread is not None
    thread._shadow_room = room
    answers = await here.ask(*(request_of(rows(1, seed=number)) for number in range(6)))
    assert {answer["model_version"] for answer in answers} == {"3"}
    for _ in range(100):
        if here.candidate.counts.total.answered == 2:
            break
        await asyncio.sleep(0.01)
    assert here.candidate.counts.total.answered == 2
    assert here.candidate.dropped_shadows == 4
    assert thread._shadow_room == room
    here.app.close()


@pytest.mark.parametrize(("weight", "takes"), [(0, True), (1, False)])
async def test_a_long_shadow_holds_up_no_client_of_the_candidate(
    model: Path, candidate: Path, weight: int, takes: bool
) -> None:
    """Where it has clients."""
    here = Here(model, candidate, together=True, weight=weight, shadow=100)
    assert here.candidate.takes_shadow(1)
    assert here.candidate.takes_shadow(10_000) is takes
    here.app.close()
