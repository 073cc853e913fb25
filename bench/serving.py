"""Model server against floors of the same kind, in one run: `python bench/serving.py [--seconds 3] [--rounds 3]`.

Contestants are processes of their own, asked in turn over keep-alive connections by a client process that only writes
and reads bytes:

    static   the same uvicorn, uvloop and httptools, with an ASGI application that reads the body and sends fixed bytes
    bounded  the same fixed bytes behind the server's own protocol class: what its bounds cost
    plain    the model server with capture off
    capture  the model server with capture of every request

The model is a random forest of 100 trees on 10 columns (skl2onnx, float32), one row a request. Figures are medians over
rounds; the ratio to `static` is what counts, since both sides share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COLUMNS = [f"x{number}" for number in range(10)]
PATH = "/v2/models/forest/infer"


def main() -> None:
    """Run every contestant in every round and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--role", choices=["static", "bounded", "client"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--connections", type=int, default=1)
    options = parser.parse_args()
    if options.role == "client":
        asyncio.run(client(options.port, options.connections, options.seconds))
    elif options.role:
        static(options.port, bounded=options.role == "bounded")
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), options.seconds, options.rounds)


def compare(folder: Path, seconds: float, rounds: int) -> None:
    """Print medians per contestant."""
    artifact = forest(folder)
    body = request_body()
    (folder / "body.json").write_bytes(body)
    starts = {
        "static": lambda port: own(["--role", "static", "--port", str(port)]),
        "bounded": lambda port: own(["--role", "bounded", "--port", str(port)]),
        "plain": lambda port: model_server(folder, artifact, port, percent=0),
        "capture": lambda port: model_server(folder, artifact, port, percent=100),
    }
    os.environ["BENCH_BODY"] = str(folder / "body.json")
    measured: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in starts}
    for _ in range(rounds):
        for name, start in starts.items():
            port = free_port()
            process = start(port)
            try:
                wait_until_ready(port)
                load(port, 1, 0.5)
                p50, p99, _ = load(port, 1, seconds)
                _, _, throughput = load(port, 32, seconds)
                measured[name].append((p50, p99, throughput, resident_megabytes(process.pid)))
            finally:
                process.terminate()
                process.wait(60)
    rows = {
        name: [statistics.median(column) for column in zip(*rounds_, strict=True)] for name, rounds_ in measured.items()
    }
    floor = rows["static"]
    print(f"request of {len(body)} bytes, {rounds} rounds of {seconds} s")
    print(f"{'':10}{'p50 us':>9}{'p99 us':>9}{'x static':>9}{'req/s c32':>11}{'x static':>9}{'RSS MB':>8}")
    for name, (p50, p99, throughput, resident) in rows.items():
        latency = f"{p50:9.0f}{p99:9.0f}{p50 / floor[0]:9.2f}"
        print(f"{name:10}{latency}{throughput:11.0f}{throughput / floor[2]:9.2f}{resident:8.0f}")


def forest(folder: Path) -> str:
    """Store a random forest of 100 trees and return its address."""
    import skl2onnx
    from sklearn.ensemble import RandomForestClassifier

    from mlops.store import open_store
    from mlops.workloads.floor.model.golden import write_golden
    from mlops.workloads.floor.model.predictor import Predictor
    from mlops.workloads.floor.model.signature import (
        EstimatorOf,
        Input,
        LabelColumn,
        ModelColumn,
        Outputs,
        Signature,
        write_signature,
    )

    random = np.random.default_rng(0)
    matrix = random.normal(size=(2000, 10)).astype(np.float32)
    estimator = RandomForestClassifier(100, random_state=0, max_depth=8).fit(
        matrix, (matrix.sum(axis=1) > 0).astype(int)
    )
    graph = skl2onnx.to_onnx(estimator, matrix[:1], options={id(estimator): {"zipmap": False}}, target_opset=18)
    model = folder / "model"
    model.mkdir()
    (model / "model.onnx").write_bytes(graph.SerializeToString())
    write_signature(
        Signature(
            task="classification",
            format="onnx",
            inputs=tuple(Input(name=name, type="float64") for name in COLUMNS),
            columns=tuple(ModelColumn(name=name, type="float64") for name in COLUMNS),
            label=LabelColumn(name="y", type="int64"),
            classes=(0, 1),
            positive=1,
            estimator=EstimatorOf(name="RandomForestClassifier"),
            outputs=Outputs(probabilities="probabilities"),
            tolerance="0.00001",
        ),
        model,
    )
    write_golden(Predictor.load(model), {name: random.normal(size=8) for name in COLUMNS}, model)
    return open_store(f"file://{folder}/store", {}).put_directory(model).digest


def request_body() -> bytes:
    """One row."""
    values = np.random.default_rng(1).normal(size=len(COLUMNS)).tolist()
    tensors = [
        {"name": name, "datatype": "FP64", "shape": [1], "data": [value]}
        for name, value in zip(COLUMNS, values, strict=True)
    ]
    return json.dumps({"id": "0123456789", "inputs": tensors}, separators=(",", ":")).encode()


def model_server(folder: Path, artifact: str, port: int, percent: int) -> subprocess.Popen[bytes]:
    """Start the model server."""
    from mlops.api import tasks
    from mlops.api.model_version import Capture

    task = tasks.ServeTask(
        namespace="bench",
        model_name="forest",
        version=1,
        stage="production",
        artifact=artifact,
        capture=Capture(percent=percent),
    )
    environ = {
        **os.environ,
        **tasks.NUMERIC_ENVIRONMENT,
        tasks.TASK_VARIABLE: json.dumps(task.dump()),
        tasks.STORE_VARIABLE: f"file://{folder}/store",
        tasks.TERMINATION_VARIABLE: str(folder / "termination-log"),
        tasks.PORT_VARIABLE: str(port),
        "MLOPS_HOST": "127.0.0.1",
        "MLOPS_DRAIN_SECONDS": "0",
    }
    command = [sys.executable, "-m", "mlops.workloads"]
    return subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)


def own(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start another role of this file."""
    return subprocess.Popen([sys.executable, __file__, *arguments])


def static(port: int, *, bounded: bool) -> None:
    """Serve fixed bytes of the size of a real answer."""
    import uvicorn

    from mlops.api.pod_environment import ServerLimits
    from mlops.workloads.serve.budget import Budget
    from mlops.workloads.serve.http import server_of
    from mlops.workloads.serve.request_ids import RequestIds

    answer = b'{"model_name":"%s"}' % (b"x" * 230)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]

    async def app(_: object, receive, send) -> None:  # type: ignore[no-untyped-def]
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    if bounded:
        listener = socket.create_server(("127.0.0.1", port))
        server = server_of(
            app, ServerLimits(), Budget(ServerLimits().buffered_bytes), refused=lambda *_: None, ids=RequestIds()
        )
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve([listener]))
        return
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="error",
        server_header=False,
        date_header=False,
    )


def load(port: int, connections: int, seconds: float) -> tuple[float, float, float]:
    """Median and 99th percentile in microseconds, and requests per second, as a client process measures them."""
    arguments = ["--role", "client", "--port", str(port), "--connections", str(connections), "--seconds", str(seconds)]
    out = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, timeout=10 * seconds + 30
    ).stdout
    p50, p99, throughput = json.loads(out)
    return p50, p99, throughput


async def client(port: int, connections: int, seconds: float) -> None:
    """Ask over so many connections, each one request at a time, and print the figures."""
    body = Path(os.environ["BENCH_BODY"]).read_bytes()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    if connections == 1:
        taken = one_after_another(port, request, seconds)
    else:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        asked = [Asker(request, deadline, loop) for _ in range(connections)]
        for asker in asked:
            await loop.create_connection(lambda asker=asker: asker, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.gather(*(asker.done for asker in asked))
        taken = [duration for asker in asked for duration in asker.taken]
    taken.sort()
    print(json.dumps([1e6 * taken[len(taken) // 2], 1e6 * taken[int(0.99 * len(taken))], len(taken) / seconds]))


def one_after_another(port: int, request: bytes, seconds: float) -> list[float]:
    """Durations over one blocking connection."""
    taken: list[float] = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deadline = time.perf_counter() + seconds
        while (started := time.perf_counter()) < deadline:
            connection.sendall(request)
            answer = connection.recv(65536)
            while not answer.endswith(b"}"):
                more = connection.recv(65536)
                if not more:
                    raise SystemExit("the server closed the connection")
                answer += more
            taken.append(time.perf_counter() - started)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode())
    return taken


class Asker(asyncio.Protocol):
    """One connection that sends the next request when the answer is there."""

    def __init__(self, request: bytes, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        self.request, self.deadline, self.loop = request, deadline, loop
        self.taken: list[float] = []
        self.done: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send one."""
        self.started = self.loop.time()
        self.transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        # Header and body may come apart; the body ends the answer.
        if not data.endswith(b"}"):
            return
        now = self.loop.time()
        self.taken.append(now - self.started)
        if now < self.deadline:
            self.ask()
        else:
            self.transport.close()
            self.done.set_result(None)


def wait_until_ready(port: int) -> None:
    """Return when a request is answered with 200."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: bench\r\n\r\n")
                if connection.recv(65536).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("it never became ready")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


if __name__ == "__main__":
    main()
