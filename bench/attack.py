"""What good requests wait beside an attack: `python bench/attack.py [--seconds 20] [--rounds 5] [--rate 50]`.

One model server. A client process asks one row, so many times a second, on a schedule of its own (a late answer does
not make the next request later), and measures from the scheduled start to the answer. Beside it, in turn:

    quiet     nobody
    valid     another process sends as many requests a second, each over a connection of its own, all of them valid
    mutated   the same with the mutated requests of tests/workloads/serve/test_attack.py, an eighth of them never read

Figures are medians over rounds; `mutated` against `quiet` is what an attack costs, against `valid` what it costs more
than as many requests of a customer.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.workloads.serve.models import write_model
from tests.workloads.serve.servers import artifact_of, resident_kilobytes, serving, task_of
from tests.workloads.serve.test_attack import attack, mutated
from tests.workloads.serve.test_bounds import GOOD

BESIDE = ("quiet", "valid", "mutated")


def main() -> None:
    """Run every case in every round and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--rate", type=int, default=50, help="requests a second, of the client and of what is beside it"
    )
    parser.add_argument("--role", choices=["good", "valid", "mutated"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "good":
        print(json.dumps(ask(options.port, options.rate, options.seconds)))
    elif options.role:
        disturb(options.port, options.role, options.rate, options.seconds, options.first)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), options.seconds, options.rounds, options.rate)


def compare(folder: Path, seconds: float, rounds: int, rate: int) -> None:
    """Print medians per case."""
    store = folder / "store"
    task = task_of(artifact_of(store, write_model(folder / "model")), flush_seconds=5)
    measured: dict[str, list[tuple[float, float, float]]] = {case: [] for case in BESIDE}
    failed = dict.fromkeys(BESIDE, 0)
    with serving(folder / "pod", store, task, MLOPS_REQUEST_SECONDS="5") as served:
        together(served.port, "mutated", rate, 5, first=10**9)
        before = resident_kilobytes(served)
        for number in range(rounds):
            for case in BESIDE:
                waits, wrong = together(served.port, case, rate, seconds, first=int(number * rate * seconds))
                failed[case] += wrong
                measured[case].append(summary(waits))
                print(f"round {number + 1}, {case}: {len(waits)} answered, {wrong} not", file=sys.stderr)
        after = resident_kilobytes(served)
    print(f"{rate} good requests/s and {rate}/s beside them, {rounds} rounds of {seconds:.0f} s")
    print(f"{'beside':10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'p99 x quiet':>13}{'p99 x valid':>13}{'failed':>8}")
    middle = {
        case: [statistics.median(column) for column in zip(*found, strict=True)] for case, found in measured.items()
    }
    for case, (p50, p99, most) in middle.items():
        ratios = f"{p99 / middle['quiet'][1]:13.2f}{p99 / middle['valid'][1]:13.2f}"
        print(f"{case:10}{p50:9.2f}{p99:9.2f}{most:9.2f}{ratios}{failed[case]:8}")
    print(f"resident memory {before} KiB before, {after} KiB after: {after / before:.2f} x")


def together(port: int, case: str, rate: int, seconds: float, first: int) -> tuple[list[float], int]:
    """Waits of the good requests in milliseconds, and how many of them failed."""
    common = ["--port", str(port), "--rate", str(rate), "--seconds", str(seconds), "--first", str(first)]
    program = [sys.executable, __file__, *common, "--role"]
    beside = None if case == "quiet" else subprocess.Popen([*program, case])
    try:
        done = subprocess.run([*program, "good"], check=True, stdout=subprocess.PIPE)
    finally:
        if beside is not None:
            beside.wait()
    waits, wrong = json.loads(done.stdout)
    return waits, wrong


def summary(waits: list[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and maximum."""
    return statistics.median(waits), statistics.quantiles(waits, n=100)[98], max(waits)


def ask(port: int, rate: int, seconds: float) -> tuple[list[float], int]:
    """Ask on schedule over one connection that is kept."""
    waits: list[float] = []
    wrong = 0
    start = time.perf_counter() + 0.1
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for number in range(int(rate * seconds)):
            due = start + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.sendall(GOOD)
            if status(connection) == 200:
                waits.append(1000 * (time.perf_counter() - due))
            else:
                wrong += 1
    return waits, wrong


def status(connection: socket.socket) -> int:
    """The status of one answer, which is read to its end."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536) or _gone()
    head, body = answer.split(b"\r\n\r\n", 1)
    lines = head.lower().split(b"\r\n")
    length = int(next(line.split(b":")[1] for line in lines if line.startswith(b"content-length:")))
    while len(body) < length:
        body += connection.recv(65536) or _gone()
    return int(lines[0].split()[1])


def _gone() -> bytes:
    raise ConnectionError("the server closed the connection of a good client")


def disturb(port: int, case: str, rate: int, seconds: float, first: int) -> None:
    """Send so many requests a second, each over its own connection, eight at a time at most."""
    valid = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    start = time.perf_counter()
    with ThreadPoolExecutor(8) as threads:
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, start + number / rate - time.perf_counter()))
            data = valid if case == "valid" else mutated(random.Random(first + number))
            threads.submit(attack, port, data, reads=case == "valid" or number % 8 > 0)


if __name__ == "__main__":
    main()
