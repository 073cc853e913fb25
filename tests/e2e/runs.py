"""`mlops run` as a process, what its state folder says afterwards, and which processes there are."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mlops.api.digests import digest_of
from mlops.api.kinds import KINDS
from mlops.local.records import read_objects
from mlops.store import open_store
from mlops.store.layout import Manifest as Files
from mlops.store.layout import sha256_of

MLOPS = str(Path(sys.executable).with_name("mlops"))
Object = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """A run that ended by itself."""

    code: int
    seconds: float
    output: str


def run(folder: Path, state: Path, *more: str, timeout: float = 300, environ: Mapping[str, str] | None = None) -> Ended:
    """Run `mlops run` to its end; its lines are shown as they come."""
    start = time.monotonic()
    lines: list[str] = []
    with started(folder, state, *more, environ=environ) as process:
        watchdog = start + timeout
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            print(line, end="", flush=True)
            assert time.monotonic() < watchdog, f"not over after {timeout} s"
        code = process.wait(timeout=30)
    return Ended(code, time.monotonic() - start, "".join(lines))


@contextmanager
def started(
    folder: Path, state: Path, *more: str, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start `mlops run`; it is gone when the context is left."""
    command = [MLOPS, "run", "-f", str(folder), "--state", str(state), "--plain", *more]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1", **(environ or {})},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def objects(state: Path, kind: str) -> list[Object]:
    """The objects of a kind, oldest first."""
    return [manifest for manifest in read_objects(state) if manifest["kind"] == kind]


def one(state: Path, kind: str, name: str) -> Object:
    """The object of this name."""
    (found,) = (manifest for manifest in objects(state, kind) if manifest["metadata"]["name"] == name)
    return found


def checks(state: Path, monitor: str) -> list[Object]:
    """The monitor's checks, the first one first."""
    history: list[Object] = one(state, "DriftMonitor", monitor)["status"].get("history", [])
    return history[::-1]


def live(state: Path, model: str) -> Object:
    """The version that is served."""
    (found,) = (v for v in objects(state, "ModelVersion") if v["spec"]["modelName"] == model and is_live(v))
    return found


def is_live(version: Object) -> bool:
    """Whether the version is in a stage."""
    return bool(version.get("status", {}).get("stages"))


def facts(state: Path) -> dict[str, Any]:
    """All that has to be the same on every machine and after every accident.

    Every object of the four kinds, whole, apart from what a clock on the wall or a random number has said: uids and
    names made of them, resource versions, ports, milliseconds. Then every artifact in the store, what the served
    versions answered to whom, and which labels came.
    """
    found: dict[str, Any] = {}
    for manifest in read_objects(state):
        if manifest["kind"] in KINDS:
            found[f"{manifest['kind']}/{manifest['metadata']['name']}"] = _lasting(manifest)
    store = state / "store"
    found["artifacts"] = sorted(path.name for path in (store / "manifests").rglob("*") if path.is_file())
    found["answers"] = captured(state, "requests")
    found["labels"] = captured(state, "labels")
    return found


def _lasting(manifest: Object) -> Object:
    metadata = {name: manifest["metadata"].get(name) for name in ("labels", "annotations", "generation")}
    status = dict(manifest.get("status", {}))
    for name in ("url", "lastJob"):
        status.pop(name, None)
    conditions = [dict(condition) for condition in status.pop("conditions", [])]
    if head := status.get("historyHead"):
        status["historyHead"] = {"entries": head["entries"]}  # hashes of uids
    if verification := status.get("verification"):
        status["verification"] = {name: value for name, value in verification.items() if name != "p99Milliseconds"}
    for condition in conditions:
        if manifest["kind"] == "ModelVersion" and condition["type"] == "GatesPassed":
            condition.pop("message")  # tells the milliseconds
        if manifest["kind"] == "ModelVersion" and condition["type"] in ("Ready", "Available"):
            condition.pop("lastTransitionTime")  # a server that was started again has been away
    return {
        "metadata": metadata,
        "spec": _without_delivery(manifest["spec"]),
        "status": _without_delivery(status),
        "conditions": conditions,
    }


def _without_delivery(value: Any) -> Any:
    """The same without when the rows were laid into the bucket, which a clock on the wall has said."""
    if isinstance(value, dict):
        told = ("deliveredAt", "dataDeliveredAt", "cycleSeconds")
        return {name: _without_delivery(one) for name, one in value.items() if name not in told}
    return [_without_delivery(one) for one in value] if isinstance(value, list) else value


def captured(state: Path, what: str) -> str:
    """The digest of what was captured: its distinct rows, in the order of their ids, without the server's clock."""
    files = sorted((state / "store/objects/captures").glob(f"*/*/*/{what}/*/*.parquet"))
    if not files:
        return "nothing"
    rows = pl.concat([pl.read_parquet(io.BytesIO(file.read_bytes())) for file in files])
    clock = {"requests": "arrived", "labels": "received"}[what]
    assert rows[clock].null_count() == 0, f"{what} without the time when they came"
    rows = rows.drop(clock).unique().sort("id", "row")
    assert rows.select("id", "row").is_duplicated().sum() == 0, "two answers to one request"
    return digest_of(rows.cast(pl.String).rows()) + f" of {rows.height} rows"


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """In words, what is not equal; nothing if all is."""
    if isinstance(first, dict) and isinstance(second, dict):
        return [
            f"{name}{'.' if '.' not in line[:1] else ''}{line}"
            for name in sorted({*first, *second})
            for line in differences(first.get(name, "nothing"), second.get(name, "nothing"))
        ]
    return [] if first == second else [f" {str(first)[:2000]}\n    is not {str(second)[:2000]}"]


def half_artifacts(state: Path) -> list[str]:
    """What in a state folder is not whole: blobs, manifests, captures, deliveries, reports."""
    found: list[str] = []
    store = state / "store"
    blobs = {path.name: path for path in (store / "blobs").rglob("*") if path.is_file()}
    manifests = [path for path in (store / "manifests").rglob("*") if path.is_file()]
    for path in (*blobs.values(), *manifests):
        if sha256_of(path.read_bytes()) != f"sha256:{path.name}":
            found.append(f"{path} is not what its name says")
    for path in manifests:
        for entry in Files.parse(path.read_bytes(), path.name).entries:
            blob = blobs.get(entry.sha256.removeprefix("sha256:"))
            if blob is None or blob.stat().st_size != entry.size:
                found.append(f"{path} names {entry.path}, which is not there")
    for path in store.glob("objects/**/*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix != ".parquet" or hashlib.sha256(content).hexdigest()[:12] != path.stem.rpartition("-")[2]:
                found.append(f"{path} is not whole")
    if store.is_dir():
        found += [f"{path} has no business in the store" for path in store.iterdir() if path.name not in _STORE]
    return found + [
        f"{path} is not the report" for path in (state / "reports").rglob("*") if not _is_report(path, state)
    ]


_STORE = {"blobs", "manifests", "objects", ".incoming"}


def _is_report(path: Path, state: Path) -> bool:
    """Whether a report that was laid out is the one in the store; what is hidden is nobody's to read."""
    if path.is_dir() or path.name.startswith("."):
        return True
    store = open_store((state / "store").resolve().as_uri(), {})
    history = checks(state, path.parent.name)
    return any(path.read_bytes() == store.read_file(c["report"], "report.html") for c in history if c.get("report"))


@dataclass(frozen=True)
class Seen:
    """A process: its id, when it was started (ids come again), what it is."""

    pid: int
    started: str
    command: str


def seen(pid: int) -> Seen | None:
    """The process, unless it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    return None if stat[0] in "ZX" else Seen(pid, stat[19], command)


def descendants(pid: int) -> set[Seen]:
    """Every process that `pid` started, and what those started."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        text = " ".join(Path(f"/proc/{pid}/task/{thread}/children").read_text() for thread in threads)
    except OSError:
        return set()
    children = [int(child) for child in text.split()]
    return {s for child in children if (s := seen(child))}.union(*(descendants(child) for child in children))


def touching(state: Path) -> set[Seen]:
    """Every process with the state folder in its command line, its environment or as its working directory."""
    needle = str(state.resolve()).encode()
    found = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            texts = [Path(f"/proc/{entry}/{name}").read_bytes() for name in ("environ", "cmdline")]
            texts.append(os.readlink(f"/proc/{entry}/cwd").encode())
        except OSError:
            continue
        if any(needle in text for text in texts) and (process := seen(int(entry))):
            found.add(process)
    return found


def left_over(state: Path, started_ones: set[Seen], *, within: float = 2.0) -> set[Seen]:
    """The processes that are still there after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        rest = touching(state) | {process for process in started_ones if seen(process.pid) == process}
        if not rest or time.monotonic() > deadline:
            return rest
        time.sleep(0.02)
