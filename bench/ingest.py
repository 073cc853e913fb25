"""Ingest of a file: ours, plain polars (reads and writes, no checks), polars doing the same work as a script of forty
lines would, and pandas with pandera doing the same checks.

    python bench/ingest.py                                    300,000 rows by 12 columns, 5 rounds
    python bench/ingest.py --peers-python PATH                pandas and pandera from an environment of their own
    python bench/ingest.py --format quoted                    CSV with each field in quotes; also parquet, jsonl
    python bench/ingest.py --rows 10000000 --columns 20 --rounds 1 --only ours --memory-limit 2048

Each contestant is a whole process, import included (ours: the program of a pod, with its task); they take turns, after
one round that is not counted and in which each compiles its modules. Memory is the process's peak as it says itself
(VmHWM: ru_maxrss keeps what the process was before it became this program); a child that reads Parquet first is not in
it. CPU is user and system time of the process and its children, which says more than wall time where other programs
run. A ratio is the median of the rounds' ratios. Ours and "polars+work" also check, sort, split, hash, profile and
store; the others only read, check (pandas and pandera) and write one Parquet file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KINDS = ["red", "green", "blue", "black"]
LABELS = ["UP", "DOWN"]
CHUNK = 250_000
FORMATS = {"csv": "csv", "quoted": "csv", "parquet": "parquet", "jsonl": "jsonl"}
PEAK = "peak-mib"
FIRST_MICROSECOND = 1_700_000_000_000_000


def fields(columns: int) -> list[dict[str, Any]]:
    """Return the contract: a key, a timestamp, numbers with bounds, a category and a label."""
    numbers = [{"name": f"x{i}", "type": "float64", "min": "-100", "max": "100"} for i in range(columns - 4)]
    return [
        {"name": "id", "type": "string", "role": "entityKey"},
        {"name": "time", "type": "timestamp", "role": "timestamp"},
        *numbers,
        {"name": "kind", "type": "string", "enum": KINDS},
        {"name": "class", "type": "string", "role": "label", "enum": LABELS},
    ]


def make(path: Path, rows: int, columns: int, seed: int) -> None:
    """Write the file in the format that its name says. Its rows are not in the order of time: a sort is needed."""
    import numpy as np
    import polars as pl

    chance = np.random.default_rng(seed)
    frames = []
    with path.open("wb") as sink:
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            index = np.arange(start, start + count)
            timestamp = FIRST_MICROSECOND + index % 7919 * 60_000_000 + index // 7919 * 1_000_000
            data: dict[str, Any] = {
                "id": pl.Series(index).cast(pl.String).str.zfill(8),
                "time": pl.Series(timestamp).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for i in range(columns - 4):
                data[f"x{i}"] = chance.normal(size=count).round(6)
            data["kind"] = np.array(KINDS)[chance.integers(0, len(KINDS), count)]
            data["class"] = np.array(LABELS)[chance.integers(0, len(LABELS), count)]
            frame = pl.DataFrame(data)
            if path.suffix == ".jsonl":
                frame.write_ndjson(sink)
            elif path.suffix == ".parquet":
                frames.append(frame)
            else:
                quotes = "always" if path.stem == "quoted" else "necessary"
                frame.write_csv(sink, include_header=start == 0, quote_style=quotes)
        if frames:
            pl.concat(frames).write_parquet(sink)


def ours(path: Path, columns: int, work: Path) -> None:
    """Ingest the file from a bucket into a store, both folders, as a pod does."""
    import runpy

    spec = {
        "source": {"s3": {"uri": f"s3://{path.parent.name}/{path.name}"}},
        "format": path.suffix.removeprefix("."),
        "fields": fields(columns),
        "split": {"strategy": "random", "seed": 7},
    }
    task = {"task": "ingest", "namespace": "bench", "dataset": "bench", "as_of": "2024-01-01T00:00:00Z", "spec": spec}
    os.environ |= {
        "MLOPS_TASK": json.dumps(task),
        "MLOPS_STORE": f"file://{work}/store",
        "MLOPS_BUCKETS": f"file://{path.parent.parent}",
        "MLOPS_TERMINATION_LOG": str(work / "report"),
    }
    tempfile.tempdir = str(work)
    try:
        runpy.run_module("mlops.workloads", run_name="__main__")
    except SystemExit as done:
        if done.code:
            sys.exit((work / "report").read_text())


def plain_polars(path: Path, columns: int, work: Path) -> None:
    """Read the file with its types and write Parquet."""
    import polars as pl

    types = {"float64": pl.Float64(), "string": pl.String(), "timestamp": pl.String()}
    schema = {one["name"]: types[one["type"]] for one in fields(columns)}
    match path.suffix:
        case ".parquet":
            frame = pl.read_parquet(path)
        case ".jsonl":
            frame = pl.read_ndjson(path, schema=schema)
        case _:
            frame = pl.read_csv(path, schema=schema)
    frame.write_parquet(work / "out.parquet")


def polars_same_work(path: Path, columns: int, work: Path) -> None:
    """Read, check, sort, split, digest, describe, write, hash and store, all rows in memory and without messages: what
    the same work takes where nothing else counts."""
    import hashlib

    import numpy as np
    import polars as pl

    types = {"float64": pl.Float64(), "string": pl.String(), "timestamp": pl.String()}
    contract = fields(columns)
    schema = {one["name"]: types[one["type"]] for one in contract}
    match path.suffix:
        case ".parquet":
            frame = pl.read_parquet(path)
        case ".jsonl":
            frame = pl.read_ndjson(path, schema=schema)
        case _:
            frame = pl.read_csv(path, schema=schema)
    frame = frame.with_columns(pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", strict=True))
    broken = [pl.col(one["name"]).is_null() for one in contract]
    broken += [~pl.col(one["name"]).is_in(one["enum"]) for one in contract if "enum" in one]
    for one in contract:
        if "min" in one:
            broken.append(~pl.col(one["name"]).is_between(float(one["min"]), float(one["max"])))
            broken.append(pl.col(one["name"]).is_infinite())
    if any(frame.select(check.sum().alias(str(i)) for i, check in enumerate(broken)).row(0)):
        sys.exit("a rule is broken")
    frame = frame.sort("time", "id")
    numbers = [one["name"] for one in contract if one["type"] == "float64"]
    texts = [one["name"] for one in contract if one["type"] == "string"]
    quantiles = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    for name in numbers:
        column = frame[name].sort()
        [column.min(), column.max(), column.mean(), column.std(), column.n_unique()]
        [column.quantile(q) for q in quantiles]
    for name in texts:
        frame[name].value_counts(sort=True).head(20)
    place = np.random.default_rng(7).permutation(frame.height)
    cuts = [0, int(frame.height * 0.7), int(frame.height * 0.85), frame.height]
    (work / "store").mkdir()
    for part in range(3):
        rows = frame.filter(pl.Series((place >= cuts[part]) & (place < cuts[part + 1])))
        for column in rows:
            hashlib.sha256(column.is_not_null().cast(pl.UInt8).to_numpy()).digest()
            if column.dtype == pl.String:
                hashlib.sha256(column.str.len_bytes().to_numpy()).digest()
                hashlib.sha256(column.str.join("").item().encode()).digest()
            else:
                hashlib.sha256(column.to_physical().to_numpy()).digest()
        written = work / f"{part}.parquet"
        rows.write_parquet(written)
        hashlib.sha256(written.read_bytes()).digest()
        with written.open("rb") as source, (work / "store" / written.name).open("wb") as sink:
            shutil.copyfileobj(source, sink)
            sink.flush()
            os.fsync(sink.fileno())


def pandas_pandera(path: Path, columns: int, work: Path) -> None:
    """Read the file, check types, missing values, bounds and categories, write Parquet."""
    import pandas as pd
    import pandera.pandas as pa

    checks: dict[str, Any] = {}
    for one in fields(columns):
        if one["type"] == "float64":
            checks[one["name"]] = pa.Column(float, pa.Check.in_range(float(one["min"]), float(one["max"])))
        elif "enum" in one:
            checks[one["name"]] = pa.Column(str, pa.Check.isin(one["enum"]))
        else:
            checks[one["name"]] = pa.Column("datetime64[ns, UTC]" if one["type"] == "timestamp" else str)
    match path.suffix:
        case ".parquet":
            frame = pd.read_parquet(path)
        case ".jsonl":
            frame = pd.read_json(path, lines=True, dtype={"id": str}, convert_dates=False)
        case _:
            frame = pd.read_csv(path, dtype={"id": str})
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    pa.DataFrameSchema(checks).validate(frame, lazy=True).to_parquet(work / "out.parquet")


Run = tuple[float, float, float]
CONTESTANTS: dict[str, Callable[[Path, int, Path], None]] = {
    "ours": ours,
    "polars": plain_polars,
    "polars+work": polars_same_work,
    "pandas+pandera": pandas_pandera,
}


def measure(python: str, name: str, path: Path, columns: int, folder: Path) -> Run:
    """Run one contestant as a process and return wall seconds, CPU seconds and peak MiB."""
    work = Path(tempfile.mkdtemp(dir=folder))
    arguments = [python, __file__, "--run", name, "--file", str(path), "--columns", str(columns), "--work", str(work)]
    started = time.perf_counter()
    # Whether modules were compiled when they were installed must not decide: all may keep what they compile.
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    child = os.posix_spawn(python, arguments, environ | {"PYTHONPYCACHEPREFIX": str(folder / "compiled")})
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{name} failed: is it installed? See bench/requirements.txt and --peers-python")
    peak = float((work / PEAK).read_text())
    shutil.rmtree(work)
    return wall, usage.ru_utime + usage.ru_stime, peak


def peak_mib() -> float:
    """Return the most memory that this process held since its program began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _python(name: str, options: argparse.Namespace) -> str:
    return str(options.peers_python if name == "pandas+pandera" else sys.executable)


def compare(options: argparse.Namespace) -> int:
    """Take turns, print medians and ratios; the exit code says whether a memory limit held."""
    names = options.only or list(CONTESTANTS)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "bucket" / f"{options.format}.{FORMATS[options.format]}"
        path.parent.mkdir()
        make(path, options.rows, options.columns, options.seed)
        size = f"{path.stat().st_size / 1e6:.0f} MB of {options.format}"
        print(f"{options.rows:,} rows x {options.columns} columns, {size}, medians of {options.rounds} rounds")
        found: dict[str, list[Run]] = {name: [] for name in names}
        for name in names if options.rounds > 1 else []:
            measure(_python(name, options), name, path, options.columns, Path(folder))
        for number in range(options.rounds):
            # Who goes first changes, so that a warm file cache favours nobody.
            for name in names[number % len(names) :] + names[: number % len(names)]:
                found[name].append(measure(_python(name, options), name, path, options.columns, Path(folder)))
    _print(found)
    if options.json:
        Path(options.json).write_text(json.dumps(found))
    peak = max((one[2] for one in found.get("ours", [])), default=0.0)
    if options.memory_limit and peak > options.memory_limit:
        print(f"ours needed {peak:.0f} MiB, the limit is {options.memory_limit}")
        return 1
    return 0


def _print(found: dict[str, list[Run]]) -> None:
    heads = f"{'wall s':>8}{'min':>7}{'max':>7}{'CPU s':>8}{'peak MiB':>10}"
    print(f"{'':16}{heads}{'wall x':>9}{'CPU x':>9}{'peak x':>9}   (x: ours / this)")
    for name, runs in found.items():
        walls = [one[0] for one in runs]
        wall, cpu, memory = (statistics.median(one[i] for one in runs) for i in range(3))
        ratios = ""
        if "ours" in found:
            pairs = list(zip(found["ours"], runs, strict=True))
            ratios = "".join(f"{statistics.median(mine[i] / this[i] for mine, this in pairs):9.2f}" for i in range(3))
        print(f"{name:16}{wall:8.2f}{min(walls):7.2f}{max(walls):7.2f}{cpu:8.2f}{memory:10.0f}{ratios}")


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--columns", type=int, default=12, help="at least 5")
    parser.add_argument("--format", choices=list(FORMATS), default="csv")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), help="run these only")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has pandas and pandera")
    parser.add_argument("--folder", default=None, help="where files are made; by default the folder for temporary ones")
    parser.add_argument("--memory-limit", type=int, help="MiB that ours must stay below, else exit code 1")
    parser.add_argument("--json", help="write every measurement to this file")
    parser.add_argument("--run", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        CONTESTANTS[options.run](options.file, options.columns, options.work)
        (options.work / PEAK).write_text(str(peak_mib()))
        return 0
    return compare(options)


if __name__ == "__main__":
    sys.exit(main())
