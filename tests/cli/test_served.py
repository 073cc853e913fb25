"""A model server that is asked by `mlops predict --url`: what it has read is not sent again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from mlops.cli.errors import UserError
from mlops.cli.predict.models import ServedModel

_MODEL = {
    "name": "m", "inputs": [{"name": "a", "datatype": "FP64", "shape": [-1, 1]}],
    "outputs": [{"name": "prediction", "datatype": "FP64", "shape": [-1]}],
}  # fmt: skip


class _Server(ThreadingHTTPServer):
    """Answers with `answers` in order, a status each; None breaks the connection off once the request was read."""

    daemon_threads = True

    def __init__(self, answers: list[int | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.posted = answers, 0


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(200, orjson.dumps(_MODEL))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers[self.server.posted]
        self.server.posted += 1
        if status is None:
            self.close_connection = True
        else:
            self._answer(status, b'{"outputs": []}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[_Server]:
    with _Server(request.param) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _asked(server: _Server) -> ServedModel:
    return ServedModel(f"http://127.0.0.1:{server.server_port}", "m", None)


@pytest.mark.parametrize("server", [[None] * 5], indirect=True)
def test_a_request_that_was_read_is_not_sent_again(server: _Server) -> None:
    """It would be recorded once more, and be counted as another row of what the model sees."""
    with _asked(server) as model, pytest.raises(UserError, match="no answer"):
        model.ask(b"{}")
    assert server.posted == 1


@pytest.mark.parametrize("server", [[503, 502, 200]], indirect=True)
def test_a_server_that_is_not_ready_is_asked_again(server: _Server) -> None:
    with _asked(server) as model:
        assert model.ask(b"{}") == {"outputs": []}
    assert server.posted == 3
