"""What does not work at once: tried again if it may pass, said in words if it cannot."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.runs import live, objects, one, run
from tests.e2e.scenarios import small

CAPTURED = """captured:
      modelName: parts
      window: 1d
      history: {s3: {uri: "s3://raw/parts/"}}
"""


class Shaky(ThreadingHTTPServer):
    """A web server with one file that is away for the first requests."""

    def __init__(self, content: bytes, *, refused: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.content, self.refused, self.asked = content, refused, 0


class _Answer(BaseHTTPRequestHandler):
    server: Shaky

    def do_GET(self) -> None:
        self.server.asked += 1
        away = self.server.asked <= self.server.refused
        self.send_response(503 if away else 200)
        self.send_header("Content-Length", str(0 if away else len(self.server.content)))
        self.end_headers()
        self.wfile.write(b"" if away else self.server.content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def shaky(tmp_path: Path) -> Iterator[Shaky]:
    """Away for five requests: longer than the pods of one Job try."""
    scenario = small(tmp_path / "scenario", days=1, change=1, rows=60)
    server = Shaky((scenario.folder / "data/history.parquet").read_bytes(), refused=5)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.long
def test_an_outage_is_waited_for_though_only_the_replay_moves_the_clock(shaky: Shaky, tmp_path: Path) -> None:
    """A Job that failed for a passing reason comes back after minutes of the clock; the run goes on by itself."""
    manifest = tmp_path / "scenario/parts.yaml"
    address = f"http://127.0.0.1:{shaky.server_port}/history.parquet"
    source = f'http: {{url: "{address}", sha256: "{hashlib.sha256(shaky.content).hexdigest()}"}}\n'
    assert CAPTURED in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(CAPTURED, source))
    ended = run(tmp_path / "scenario", tmp_path / "state", "--allow-network", "127.0.0.0/8")
    assert ended.code == 0
    assert shaky.asked > shaky.refused
    assert len([job for job in objects(tmp_path / "state", "Job") if "Failed" in str(job["status"])]) >= 1
    assert live(tmp_path / "state", "parts")["spec"]["version"] == 1


@pytest.mark.slow
def test_a_run_that_cannot_serve_says_why(tmp_path: Path) -> None:
    """The reason is the Dataset's, not the silence of the server that never came."""
    small(tmp_path / "scenario", days=1, change=1, rows=60)
    manifest = tmp_path / "scenario/parts.yaml"
    manifest.write_text(manifest.read_text().replace("s3://raw/parts/", "s3://raw/nowhere/"))
    ended = run(tmp_path / "scenario", tmp_path / "state")
    assert ended.code == 1
    assert "Dataset parts: SourceNotFound: s3://raw/nowhere/: there is no object" in ended.output
    assert "Traceback" not in ended.output
    assert one(tmp_path / "state", "Dataset", "parts")["status"].get("version") is None
