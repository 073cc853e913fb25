"""The model server beside what one would write instead: `python bench/serving.py [--rounds 7]`.

Contestants are processes of their own that run all the time, each asked in turn in every round:

    echo      fixed bytes for whatever comes, on uvloop: what a Python process can do at all
    plain     the model server with capture off
    capture   the model server with capture of every request
    by hand   30 lines of FastAPI and onnxruntime without checks (bench/by_hand.py), in an environment of its own

The model is a random forest of 100 trees on 20 columns, one row a request. A ratio is the median of the rounds' ratios,
each of two figures of the same few seconds: what else runs on the machine falls on both. Measured are

    paced     one connection, a request every five milliseconds: the median is that of an idle server
    32        wrk over 32 connections: requests a second, and processor time a request, with that of child processes
    open      so many requests a second over 64 connections, each timed from the moment it was due
    memory    proportional share (PSS) of the process; of its child processes while they work; and of both when nothing
              has been asked for ten seconds

Without `--by-hand` an environment is made in a folder that is removed at the end; `wrk` must be installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

COLUMNS = [f"x{number}" for number in range(20)]
PATH = "/v2/models/forest/infer"
RATE = 500
PACE_SECONDS = 0.005
REST_SECONDS = 10
BY_HAND = ("fastapi==0.*", "uvicorn[standard]", "orjson", "onnxruntime==1.31.1", "numpy")
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


def main() -> None:
    """Run every contestant in every round and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2, help="of each window")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--by-hand", help="a Python with FastAPI, uvicorn and onnxruntime")
    parser.add_argument("--role", choices=["echo", "open"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "echo":
        uvloop.run(echo(options.port))
    elif options.role == "open":
        uvloop.run(open_loop(options.port, options.rate, options.seconds))
    elif shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: install the package wrk")
    else:
        with tempfile.TemporaryDirectory() as folder:
            by_hand = options.by_hand or environment(Path(folder))
            compare(Path(folder), by_hand, options.seconds, options.rounds)


def environment(folder: Path) -> str:
    """Return the Python of a new environment for what is written by hand."""
    subprocess.run([sys.executable, "-m", "venv", folder / "by-hand"], check=True)
    python = folder / "by-hand/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *BY_HAND], check=True)
    return str(python)


def compare(folder: Path, by_hand: str, seconds: float, rounds: int) -> None:
    """Print medians per contestant, and medians of ratios within rounds."""
    artifact = forest(folder)
    (folder / "body.json").write_bytes(request_body())
    os.environ["BENCH_BODY"] = str(folder / "body.json")
    here = Path(__file__)
    ports = {name: free_port() for name in ("echo", "plain", "capture", "by hand")}
    commands: dict[str, Callable[[int], subprocess.Popen[bytes]]] = {
        "echo": lambda port: subprocess.Popen([sys.executable, here, "--role", "echo", "--port", str(port)]),
        "plain": lambda port: model_server(folder, artifact, port, percent=0),
        "capture": lambda port: model_server(folder, artifact, port, percent=100),
        "by hand": lambda port: subprocess.Popen(
            [by_hand, here.with_name("by_hand.py"), folder / "by-hand.onnx", str(port)]
        ),
    }
    processes: dict[str, subprocess.Popen[bytes]] = {}
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    try:
        for name, command in commands.items():
            processes[name] = command(ports[name])
            wait_until_ready(ports[name])
        first = {name: cpu_seconds(process.pid) for name, process in processes.items()}
        for port in ports.values():
            wrk(port, 1, 1)
        for number in range(rounds):
            for name, process in processes.items():
                measured[name].append(window(process.pid, ports[name], seconds, with_open_loop=name != "echo"))
                print(f"round {number + 1}, {name}: {measured[name][-1]}", file=sys.stderr)
        time.sleep(REST_SECONDS)
        rest = {name: memory_megabytes(family(process.pid)) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(60)
    print(f"request of {len(request_body())} bytes, {rounds} rounds, load average {os.getloadavg()[0]:.1f}")
    show(measured, first, rest)


def window(process: int, port: int, seconds: float, *, with_open_loop: bool) -> dict[str, float]:
    """Measure one contestant for a few seconds."""
    found = {"paced": paced(port, seconds)}
    before = spent_seconds(process)
    _, found["many"], _ = wrk(port, 32, seconds)
    found["cpu"] = 1e6 * (spent_seconds(process) - before) / max(1.0, found["many"] * seconds)
    found["memory"], found["children"] = memory_megabytes([process]), memory_megabytes(family(process)[1:])
    if with_open_loop:
        found["open p50"], found["open p99"], found["failed"] = opened(port, RATE, seconds)
    return found


def show(measured: dict[str, list[dict[str, float]]], first: dict[str, float], rest: dict[str, float]) -> None:
    """Print the tables."""

    def middle(name: str, key: str) -> float:
        return statistics.median(one[key] for one in measured[name])

    def ratio(name: str, key: str, other: str) -> float:
        pairs = zip(measured[name], measured[other], strict=True)
        return statistics.median(one[key] / two[key] for one, two in pairs)

    print(
        "           paced p50 us  x echo  x hand   req/s c32  x hand   CPU us  x hand   start CPU s  MB  children  rest"
    )
    for name in measured:
        print(
            f"{name:10}{middle(name, 'paced'):13.0f}{ratio(name, 'paced', 'echo'):8.2f}"
            f"{ratio(name, 'paced', 'by hand'):8.2f}{middle(name, 'many'):12.0f}{ratio(name, 'many', 'by hand'):8.2f}"
            f"{middle(name, 'cpu'):9.0f}{ratio(name, 'cpu', 'by hand'):8.2f}{first[name]:14.2f}"
            f"{middle(name, 'memory'):4.0f}{max(one['children'] for one in measured[name]):10.0f}{rest[name]:6.0f}"
        )
    print(f"open loop, {RATE}/s: p50 ms   p99 ms  p99 to p50  failed")
    for name, found in measured.items():
        if "open p50" in found[0]:
            spread = statistics.median(one["open p99"] / one["open p50"] for one in found)
            failed = sum(one["failed"] for one in found)
            print(f"{name:17}{middle(name, 'open p50'):9.2f}{middle(name, 'open p99'):9.2f}{spread:12.1f}{failed:8.0f}")


def forest(folder: Path) -> str:
    """Store a random forest of 100 trees and return its address; write it for what is written by hand too."""
    import skl2onnx
    from sklearn.ensemble import RandomForestClassifier

    from mlops.store import open_store
    from mlops.workloads.floor.model.golden import write_golden
    from mlops.workloads.floor.model.onnx_graph import pipeline_graph
    from mlops.workloads.floor.model.predictor import Predictor
    from mlops.workloads.floor.model.signature import (
        Encoding,
        EstimatorOf,
        Input,
        LabelColumn,
        ModelColumn,
        NumberEncoding,
        Outputs,
        Signature,
        write_signature,
    )

    random = np.random.default_rng(0)
    matrix = random.normal(size=(2000, len(COLUMNS))).astype(np.float32)
    target = (matrix.sum(axis=1) > 0).astype(int)
    estimator = RandomForestClassifier(100, random_state=0, max_depth=8).fit(matrix, target)
    options = {id(estimator): {"zipmap": False}}
    plain = skl2onnx.to_onnx(estimator, matrix[:1], options=options, target_opset=18)
    (folder / "by-hand.onnx").write_bytes(plain.SerializeToString())
    encoding = Encoding(numbers=tuple(NumberEncoding(column=name, fill=0.0) for name in COLUMNS), single=True)
    model = folder / "model"
    model.mkdir()
    graph = pipeline_graph(encoding, estimator, double=False)
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
            encoding=encoding,
            outputs=Outputs(label=graph.graph.output[0].name, probabilities=graph.graph.output[1].name),
            tolerance="0.00001",
        ),
        model,
    )
    write_golden(Predictor.load(model), {name: random.normal(size=8) for name in COLUMNS}, model)
    return open_store(f"file://{folder}/store", {}).put_directory(model).digest


def request_body() -> bytes:
    """One row, without an id: it must not be one that was asked before."""
    values = np.random.default_rng(1).normal(size=len(COLUMNS)).tolist()
    tensors = [
        {"name": name, "datatype": "FP64", "shape": [1], "data": [value]}
        for name, value in zip(COLUMNS, values, strict=True)
    ]
    return json.dumps({"inputs": tensors}, separators=(",", ":")).encode()


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
    command = [sys.executable, "-P", "-m", "mlops.workloads"]
    return subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)


class Echo(asyncio.Protocol):
    """Fixed bytes of the size of a real answer for whatever comes; a request of wrk comes in one piece."""

    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 250\r\n\r\n" + b"x" * 250

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answer)


async def echo(port: int) -> None:
    """Serve fixed bytes."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


def wrk(port: int, connections: int, seconds: float, path: str = PATH) -> tuple[float, float, float]:
    """Median in microseconds, requests per second, and 99th percentile, as wrk measures them; asks BENCH_BODY."""
    script = (
        f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f'local f = io.open("{os.environ["BENCH_BODY"]}", "rb")\nwrk.body = f:read("*all")\nf:close()\n'
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", file.name]
        out = subprocess.run(
            [*command, f"http://127.0.0.1:{port}{path}"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(out)
    return percentile(out, 50), float(re.search(r"Requests/sec: +([\d.]+)", out)[1]), percentile(out, 99)  # type: ignore[index]


def percentile(out: str, share: int) -> float:
    """A percentile that wrk printed, in microseconds."""
    found = re.search(rf"^ +{share}% +([\d.]+)([a-z]+) *$", out, re.MULTILINE)
    assert found is not None, out
    return float(found[1]) * UNITS[found[2]]


def opened(port: int, rate: int, seconds: float) -> tuple[float, float, float]:
    """Median and 99th percentile in milliseconds of an open loop, and how many were not answered with 200."""
    command = [sys.executable, __file__, "--role", "open", "--port", str(port), "--rate", str(rate)]
    out = subprocess.run([*command, "--seconds", str(seconds)], check=True, stdout=subprocess.PIPE).stdout
    p50, p99, wrong = json.loads(out)
    return p50, p99, wrong


async def open_loop(port: int, rate: int, seconds: float) -> None:
    """Ask on schedule over 64 connections, whether or not earlier answers are there, and print the figures."""
    body = Path(os.environ["BENCH_BODY"]).read_bytes()
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    loop = asyncio.get_running_loop()
    idle = [
        (await loop.create_connection(lambda: Asker(head.encode() + body), "127.0.0.1", port))[1] for _ in range(64)
    ]
    everyone = list(idle)
    waiting: list[float] = []
    count, start = int(rate * seconds), time.perf_counter() + 0.1
    sent = 0
    while sent < count or waiting:
        now = time.perf_counter()
        while sent < count and start + sent / rate <= now:
            waiting.append(start + sent / rate)
            sent += 1
        idle = [one for one in everyone if one.since is None]
        while waiting and idle:
            idle.pop().ask(waiting.pop(0))
        if now > start + seconds + 10:
            break
        await asyncio.sleep(0.0005)
    await asyncio.sleep(0.2)
    taken = sorted(duration for one in everyone for duration in one.taken)
    p99 = taken[int(0.99 * len(taken))] if taken else 0.0
    print(json.dumps([1e3 * statistics.median(taken or [0.0]), 1e3 * p99, count - len(taken)]))


class Asker(asyncio.Protocol):
    """One connection of the open loop."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.taken: list[float] = []
        self.since: float | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, due: float) -> None:
        """Send a request that was due then."""
        self.since = due
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not data.endswith(b"}") or self.since is None:
            return
        if data.startswith(b"HTTP/1.1 200") or not data.startswith(b"HTTP/1.1"):
            self.taken.append(time.perf_counter() - self.since)
        self.since = None


def wait_until_ready(port: int) -> None:
    """Return when a request is answered with 200."""
    deadline = time.monotonic() + 120
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


def paced(port: int, seconds: float, path: str = PATH) -> float:
    """Median in microseconds of requests over one connection with pauses between them, one at a time."""
    body = Path(os.environ["BENCH_BODY"]).read_bytes()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request, taken = head.encode() + body, []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(round(seconds / PACE_SECONDS)):
            time.sleep(PACE_SECONDS)
            begun = time.perf_counter()
            connection.sendall(request)
            answer = whole_answer(connection)
            taken.append(time.perf_counter() - begun)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode())
    return 1e6 * statistics.median(taken)


def whole_answer(connection: socket.socket) -> bytes:
    """Receive an answer, in however many pieces it is sent."""
    data = b""
    while True:
        data += connection.recv(65536)
        head, blank, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
        if blank and length is not None and len(body) >= int(length[1]):
            return data


def family(process: int) -> list[int]:
    """A process and those that it started, and they."""
    children = [
        int(one) for path in Path(f"/proc/{process}/task").glob("*/children") for one in path.read_text().split()
    ]
    return [process, *(one for child in children for one in family(child))]


def memory_megabytes(processes: list[int]) -> float:
    """Memory of processes that is their own or shared in proportion."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1]) / 1024
    return total


def spent_seconds(process: int) -> float:
    """What a process and its children, gone ones too, have taken of the processors so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    total = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    for one in family(process):
        with contextlib.suppress(OSError):
            for path in Path(f"/proc/{one}/task").glob("*/schedstat"):
                total += int(path.read_text().split()[0]) / 1e9
    return total


def cpu_seconds(pid: int) -> float:
    """What a process has taken of the processors so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
