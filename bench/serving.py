"""The model server beside what one would write instead: `python bench/serving.py [--seconds 3] [--rounds 3]`.

Contestants are processes of their own, asked in turn, each in every round:

    echo      fixed bytes for whatever comes, on uvloop: what a Python process can do at all
    plain     the model server with capture off
    capture   the model server with capture of every request
    by hand   30 lines of FastAPI and onnxruntime without checks (bench/by_hand.py), in an environment of its own

The model is a random forest of 100 trees on 20 columns, one row a request. Closed loop: wrk over 1 and 32 connections.
Open loop: so many requests a second over 64 connections, each timed from the moment it was due. Figures are medians
over rounds; the ratios count, since all share the machine. Without `--by-hand` an environment is made in a folder that
is removed at the end; `wrk` must be installed.
"""

from __future__ import annotations

import argparse
import asyncio
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
RATES = (500, 1000)
BY_HAND = ("fastapi==0.*", "uvicorn[standard]", "orjson", "onnxruntime==1.31.1", "numpy")
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


def main() -> None:
    """Run every contestant in every round and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
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
    """Print medians per contestant."""
    artifact = forest(folder)
    (folder / "body.json").write_bytes(request_body())
    os.environ["BENCH_BODY"] = str(folder / "body.json")
    here = Path(__file__)
    starts: dict[str, Callable[[int], subprocess.Popen[bytes]]] = {
        "echo": lambda port: subprocess.Popen([sys.executable, here, "--role", "echo", "--port", str(port)]),
        "plain": lambda port: model_server(folder, artifact, port, percent=0),
        "capture": lambda port: model_server(folder, artifact, port, percent=100),
        "by hand": lambda port: subprocess.Popen(
            [by_hand, here.with_name("by_hand.py"), folder / "by-hand.onnx", str(port)]
        ),
    }
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in starts}
    for number in range(rounds):
        for name, start in starts.items():
            measured[name].append(one_round(name, start, seconds))
            print(f"round {number + 1}, {name}: {measured[name][-1]}", file=sys.stderr)
    middle = {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]}
        for name, found in measured.items()
    }
    show(middle, len(request_body()), rounds, seconds)


def one_round(name: str, start: Callable[[int], subprocess.Popen[bytes]], seconds: float) -> dict[str, float]:
    """Start a contestant, measure it, and end it."""
    port = free_port()
    process = start(port)
    try:
        wait_until_ready(port)
        first = cpu_seconds(process.pid)
        wrk(port, 1, 1)
        alone, _, p99 = wrk(port, 1, seconds)
        before = cpu_seconds(process.pid)
        _, many, _ = wrk(port, 32, seconds)
        found = {
            "p50": alone, "p99": p99, "many": many, "start": first,
            "cpu": 1e6 * (cpu_seconds(process.pid) - before) / max(1.0, many * seconds),
            "resident": memory_megabytes(process.pid),
        }  # fmt: skip
        for rate in RATES:
            p50, p99, wrong = opened(port, rate, seconds) if name != "echo" else (0.0, 0.0, 0.0)
            found |= {f"p50 at {rate}": p50, f"p99 at {rate}": p99, f"failed at {rate}": wrong}
        return found
    finally:
        process.terminate()
        process.wait(60)


def show(middle: dict[str, dict[str, float]], size: int, rounds: int, seconds: float) -> None:
    """Print the tables."""
    floor, hand = middle["echo"], middle["by hand"]
    print(f"request of {size} bytes, {rounds} rounds of {seconds} s, load average {os.getloadavg()[0]:.1f}")
    print("closed loop".ljust(12) + "p50 us   x echo  x hand   p99 us   req/s c32  x hand  CPU us   start CPU s  MB")
    for name, one in middle.items():
        print(
            f"{name:10}{one['p50']:8.0f}{one['p50'] / floor['p50']:9.2f}{one['p50'] / hand['p50']:8.2f}"
            f"{one['p99']:9.0f}"
            f"{one['many']:12.0f}{one['many'] / hand['many']:8.2f}{one['cpu']:8.0f}{one['start']:14.2f}"
            f"{one['resident']:4.0f}"
        )
    print("open loop".ljust(12) + "".join(f"{rate}/s: p50 ms   p99 ms  failed   " for rate in RATES))
    for name, one in middle.items():
        if name != "echo":
            cells = (
                f"{one[f'p50 at {rate}']:14.2f}{one[f'p99 at {rate}']:9.2f}{one[f'failed at {rate}']:8.0f}   "
                for rate in RATES
            )
            print(f"{name:10}" + "".join(cells))


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


def wrk(port: int, connections: int, seconds: float) -> tuple[float, float, float]:
    """Median in microseconds, requests per second, and 99th percentile, as wrk measures them."""
    script = (
        f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f'local f = io.open("{os.environ["BENCH_BODY"]}", "rb")\nwrk.body = f:read("*all")\nf:close()\n'
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", file.name]
        out = subprocess.run(
            [*command, f"http://127.0.0.1:{port}{PATH}"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(out)
    return percentile(out, 50), float(re.search(r"Requests/sec: +([\d.]+)", out)[1]), percentile(out, 99)  # type: ignore[index]


def percentile(out: str, share: int) -> float:
    """A percentile that wrk printed, in microseconds."""
    found = re.search(rf"^ +{share}% +([\d.]+)([a-z]+)$", out, re.MULTILINE)
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
    everyone, waiting = list(idle), []
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


def memory_megabytes(pid: int) -> float:
    """Memory of a process that is its own or shared in proportion."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """What a process has taken of the processors so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
