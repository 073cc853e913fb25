"""What a candidate costs the answers of the stable version: `python -m bench.canary [--rounds 7]`.

Model servers of one stage, each asked in turn in every round, by an open loop of so many requests a second over 64
connections, each request timed from when it was due:

    alone    the stable version, no candidate
    alike    the same, and a candidate of the same kind that answers 20 % of the requests
    slow     the same, and a candidate that takes about 20 ms for each row
    stuck    the same, and a candidate that some rows stop for seconds

A ratio is the median of the rounds' ratios to `alone`, each of two windows of the same few seconds: of answers of the
stable version to requests that were its own ("stable"), and of all answers, those that it gave in the candidate's place
among them. `tallies` is the 99th percentile of the candidate's predictions in those of the stable version, as an
analysis reads it: of `alike` it should be 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from mlops.api import tasks
from mlops.workloads.floor.records.tally import Tally, bucket_bound
from mlops.workloads.serve.share import Share
from tests.workloads.serve.candidates import BAD, VERSION, shared_task, tallied, wait_for_candidate, write_candidate
from tests.workloads.serve.models import rows, write_model
from tests.workloads.serve.servers import Served, artifact_of, request_of, serving, task_of

PATH = "/v2/models/weather/infer"
CONNECTIONS, WEIGHT = 64, 20
# Of the rows of `stuck`: one in so many stops the candidate.
ONE_BAD_IN = 500
KINDS = ("alike", "slow", "stuck")


def main() -> None:
    """Run every server in every round and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="of each window")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rate", type=int, default=300, help="requests a second")
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--bad", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--candidate", type=tasks.ServeCandidate.model_validate_json, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.port:
        uvloop.run(open_loop(options, Share(options.candidate) if options.candidate else None))
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = started(Path(folder), stack)
        windows: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
        for number in range(options.rounds):
            for name, served in servers.items():
                windows[name].append(window(served, options.rate, options.seconds, bad=name == "stuck"))
                print(f"round {number + 1}, {name}: {windows[name][-1]}", file=sys.stderr)
        show(windows, servers, options.rate)


def started(folder: Path, stack: ExitStack) -> dict[str, Served]:
    """Start all servers, each over a store of its own."""
    servers = {}
    for name in ("alone", *KINDS):
        place = folder / name
        stable = artifact_of(place / "store", write_model(place / "stable"))
        task = task_of(stable, percent=0)
        if name != "alone":
            kind = "good" if name == "alike" else name
            task = shared_task(
                stable, artifact_of(place / "store", write_candidate(place / "candidate", kind)), WEIGHT, percent=0
            )
        servers[name] = stack.enter_context(serving(place / "pod", place / "store", task))
        if task.candidate is not None:
            wait_for_candidate(servers[name])
    return servers


def window(served: Served, rate: int, seconds: float, *, bad: bool) -> dict[str, float]:
    """Ask one server for a few seconds."""
    command = [sys.executable, "-m", "bench.canary", "--port", str(served.port), "--rate", str(rate)]
    command += ["--seconds", str(seconds), *(["--bad"] if bad else [])]
    if served.task.candidate is not None:
        command += ["--candidate", served.task.candidate.model_dump_json()]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def show(windows: dict[str, list[dict[str, float]]], servers: dict[str, Served], rate: int) -> None:
    """Print medians, and medians of ratios within rounds."""
    print(
        f"open loop, {rate}/s      stable p50 ms  p99 ms  x alone     all p99 ms  x alone  candidate %  failed  tallies"
    )
    for name, found in windows.items():

        def middle(key: str, found: list[dict[str, float]] = found) -> float:
            return statistics.median(one[key] for one in found)

        def ratio(key: str, found: list[dict[str, float]] = found) -> float:
            return statistics.median(one[key] / two[key] for one, two in zip(found, windows["alone"], strict=True))

        share = 100 * sum(one["candidate"] for one in found) / sum(one["answers"] for one in found)
        failed = sum(one["failed"] for one in found)
        print(
            f"{name:24}{middle('p50'):14.2f}{middle('p99'):8.2f}{ratio('p99'):9.2f}{middle('all p99'):15.2f}"
            f"{ratio('all p99'):9.2f}{share:13.1f}{failed:8.0f}{told_by_tallies(servers[name]):>9}"
        )


def told_by_tallies(served: Served) -> str:
    """Return the candidate's 99th percentile in the stable version's, by what the server stored."""
    if served.task.candidate is None:
        return "-"
    served.flush()
    stable, candidate = tallied(served)
    if not candidate.seconds:
        return "none"
    return f"{p99(candidate) / p99(stable):.2f}"


def p99(tally: Tally) -> float:
    """Return the 99th percentile of the times of a tally, in seconds."""
    wanted, below = 0.99 * sum(tally.seconds.values()), 0
    for bucket, number in sorted(tally.seconds.items()):
        below += number
        if below >= wanted:
            return bucket_bound(bucket)
    raise ValueError("no time was measured")


def requests_of(number: int, share: Share | None, *, bad: bool) -> list[tuple[bytes, bool]]:
    """Requests of one row, one in so many of them `bad`, and whether each is the stable version's own."""
    data = rows(number, seed=5)
    if bad:
        data["count"][::ONE_BAD_IN] = BAD
    found: list[tuple[bytes, bool]] = []
    for at in range(number):
        one: dict[str, np.ndarray[Any, Any]] = {name: values[at : at + 1] for name, values in data.items()}
        identity = secrets.token_hex(8)
        body = json.dumps(request_of(one, id=identity)).encode()
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        found.append((head.encode() + body, share is None or not share.choose((), identity).is_candidates))
    return found


async def open_loop(options: argparse.Namespace, share: Share | None) -> None:
    """Ask on schedule, whether or not earlier answers are there, and print the figures."""
    port, rate, seconds = options.port, options.rate, options.seconds
    requests = requests_of(int(rate * seconds), share, bad=options.bad)
    loop = asyncio.get_running_loop()
    everyone = [(await loop.create_connection(TimedAsker, "127.0.0.1", port))[1] for _ in range(CONNECTIONS)]
    start, sent = time.perf_counter() + 0.1, 0
    while sent < len(requests) or any(one.since is not None for one in everyone):
        now = time.perf_counter()
        idle = [one for one in everyone if one.since is None]
        while sent < len(requests) and start + sent / rate <= now and idle:
            idle.pop().ask(*requests[sent], start + sent / rate)
            sent += 1
        if now > start + seconds + 10:
            break
        await asyncio.sleep(0.0005)
    taken = [one for asker in everyone for one in asker.taken]
    print(json.dumps(figures(taken, len(requests))))


def figures(taken: list[tuple[float, bool, bool]], asked: int) -> dict[str, float]:
    """Return percentiles in milliseconds, and counts, of times with whose the request was and who answered."""
    stable = sorted(seconds for seconds, is_own, _ in taken if is_own)
    both = sorted(seconds for seconds, _, _ in taken)
    return {
        "p50": 1e3 * statistics.median(stable),
        "p99": 1e3 * stable[int(0.99 * len(stable))],
        "all p99": 1e3 * both[int(0.99 * len(both))],
        "candidate": sum(by_candidate for _, _, by_candidate in taken),
        "answers": len(taken),
        "failed": asked - len(taken),
    }


class TimedAsker(asyncio.Protocol):
    """One connection of the open loop: how long each answer took, whose it was to give, and who gave it."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, bool, bool]] = []
        self.is_own = True
        self.since: float | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, request: bytes, is_own: bool, due: float) -> None:
        """Send a request that was due then."""
        self.is_own = is_own
        self.since = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.since is None or not data.endswith(b"}"):
            return
        if data.startswith(b"HTTP/1.1 200"):
            by_candidate = b'"model_version":"%d"' % VERSION in data
            self.taken.append((time.perf_counter() - self.since, self.is_own, by_candidate))
        self.since = None


if __name__ == "__main__":
    main()
