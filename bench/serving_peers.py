"""The model server beside other people's: `python bench/serving_peers.py [--rounds 5] [--only mlserver kserve]`.

    ours               the model server, capture off; one tensor per column
    ours, capture      the same with capture of every request
    by hand            30 lines of FastAPI and onnxruntime without checks (bench/by_hand.py)
    mlserver, kserve, bentoml, litserve, mlflow, ray
                       as bench/peer_servers.py has them, after their own documentation, one worker each
    mlserver-batching  with its adaptive batches; bentoml, litserve and ray have theirs always

All have the same random forest of 100 trees on 20 columns, and answer one row with the probabilities of both classes
(mlflow: with the class), each over the request that its own documentation shows. Every server runs alone: started,
timed, asked for some seconds, stopped; then the next one, and so on in every round. What else runs on the machine falls
on all of them, and none has the memory or the processor of another. Measured are

    start    seconds of processor until the first answer, of all its processes
    paced    one connection, a request every five milliseconds: median
    32       wrk over 32 connections: requests a second
    memory   proportional share (PSS) of all its processes after that

A ratio is the median of the rounds' ratios to ours. The environments are made in --environments, once; `wrk` must be
installed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import serving

HERE = Path(__file__).parent
START_SECONDS = 180.0
MEASURES = ("start", "paced", "many", "memory")


@dataclass(frozen=True)
class Contestant:
    """A server: how it is started on a port, where it is asked, and what."""

    start: Callable[[int, Path], subprocess.Popen[bytes]]
    path: str
    body: bytes
    # Run at its end: for what leaves processes of its own behind.
    clear: tuple[str, ...] = ()


def main() -> None:
    """Run every server in every round and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each window")
    parser.add_argument("--only", nargs="*", help="peers; ours is always there")
    parser.add_argument("--environments", type=Path, default=Path(tempfile.gettempdir()) / "mlops-bench-peers")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: install the package wrk")
    with tempfile.TemporaryDirectory() as folder:
        compare(contestants(Path(folder), options.environments, options.only), options.rounds, options.seconds)


def contestants(folder: Path, environments: Path, only: list[str] | None) -> dict[str, Contestant]:
    """Return those who are asked for, with their environments made."""
    artifact = serving.forest(folder)
    random = np.random.default_rng(0)
    matrix = random.normal(size=(2000, len(serving.COLUMNS))).astype(np.float32)
    np.savez(folder / "data.npz", x=matrix, y=(matrix.sum(axis=1) > 0).astype(int))
    row = np.random.default_rng(1).normal(size=len(serving.COLUMNS)).tolist()
    tensor = {"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": row}
    own = serving.request_body()

    def ours(percent: int) -> Contestant:
        return Contestant(
            lambda port, _: serving.model_server(folder, artifact, port, percent=percent), serving.PATH, own
        )

    by_hand = Contestant(
        lambda port, _: subprocess.Popen(
            [python("by-hand", environments), HERE / "by_hand.py", folder / "by-hand.onnx", str(port)],
            stderr=subprocess.DEVNULL,
        ),
        serving.PATH,
        own,
    )

    def peer(name: str, path: str, document: object, *clear: str) -> Contestant:
        def start(port: int, place: Path) -> subprocess.Popen[bytes]:
            program = python(name.removesuffix("-batching"), environments)
            command = [program, str(HERE / "peer_servers.py"), name, str(folder / "data.npz"), str(port), str(place)]
            log = (place / "log").open("wb")
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

        return Contestant(start, path, json.dumps(document).encode(), clear)

    v2 = {"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}
    everybody = {
        "ours": ours(0),
        "ours, capture": ours(100),
        "by hand": by_hand,
        "mlserver": peer("mlserver", serving.PATH, v2),
        "mlserver-batching": peer("mlserver-batching", serving.PATH, v2),
        "kserve": peer("kserve", serving.PATH, {"inputs": [tensor]}),
        "bentoml": peer("bentoml", "/infer", {"x": [row]}),
        "litserve": peer("litserve", "/predict", {"x": row}),
        "mlflow": peer("mlflow", "/invocations", {"inputs": [row]}),
        "ray": peer("ray", "/infer", {"x": [row]}, str(environments / "ray/bin/ray"), "stop", "--force"),
    }
    return {name: one for name, one in everybody.items() if not only or name in only or name.startswith("ours")}


def python(name: str, environments: Path) -> str:
    """Return the Python of an environment, made and filled if it is not there."""
    program, done = environments / name / "bin/python", environments / name / "installed"
    if not done.exists():
        lines = (HERE / "requirements-serving.txt").read_text().splitlines()
        wanted = next(line.partition(": ")[2].split() for line in lines if line.startswith(f"{name}: "))
        print(f"installing {' '.join(wanted)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", environments / name], check=True)
        subprocess.run([program, "-m", "pip", "install", "--quiet", *wanted], check=True)
        done.touch()
    return str(program)


def compare(everybody: dict[str, Contestant], rounds: int, seconds: float) -> None:
    """Measure all in turn and print medians, and medians of the ratios to ours."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in everybody}
    for number in range(rounds):
        for name, one in everybody.items():
            found[name].append(measured(name, one, seconds))
            print(f"round {number + 1}, {name}: {found[name][-1]}", file=sys.stderr)
    print(f"{rounds} rounds, load average {os.getloadavg()[0]:.1f}")
    print(f"{'':18}start CPU s  x ours  paced p50 us  x ours  req/s c32  ours x   MB  x ours")
    for name, rows in found.items():
        start, paced, many, memory = (statistics.median(row[key] for row in rows) for key in MEASURES)
        of = [
            statistics.median(row[key] / own[key] for row, own in zip(rows, found["ours"], strict=True))
            for key in MEASURES
        ]
        print(
            f"{name:18}{start:11.2f}{of[0]:8.2f}{paced:14.0f}{of[1]:8.2f}{many:11.0f}{1 / of[2]:8.2f}"
            f"{memory:5.0f}{of[3]:8.2f}"
        )


def measured(name: str, one: Contestant, seconds: float) -> dict[str, float]:
    """Start a server, ask it, and stop it."""
    port = serving.free_port()
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body.json"
        body.write_bytes(one.body)
        os.environ["BENCH_BODY"] = str(body)
        process = one.start(port, Path(folder))
        try:
            wait_for_answer(name, port, one, process, Path(folder) / "log")
            found = {"start": serving.spent_seconds(process.pid)}
            serving.wrk(port, 4, 1, one.path)
            found["paced"] = serving.paced(port, seconds, one.path)
            found["many"] = serving.wrk(port, 32, seconds, one.path)[1]
            found["memory"] = serving.memory_megabytes(serving.family(process.pid))
            return found
        finally:
            stop(process, one.clear)


def wait_for_answer(name: str, port: int, one: Contestant, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when its request is answered."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("POST", one.path, one.body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            if answer.status == http.client.OK:
                return
        time.sleep(0.05)
    said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise SystemExit(f"{name} never answered:\n{said}")


def stop(process: subprocess.Popen[bytes], clear: tuple[str, ...]) -> None:
    """End a server and what it has started."""
    everybody = serving.family(process.pid) if process.poll() is None else []
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    if clear:
        subprocess.run(clear, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for one in everybody:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    main()
