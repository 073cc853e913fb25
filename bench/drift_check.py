"""How long does a whole check of inputs take, beside sorting their columns once?

    python bench/drift_check.py

DataQuality and DataDrift by their defaults decide a window in which nothing moved: then every step is taken, also those
about how inputs go together. CPU time of this process, in turns with `np.sort` of the same columns, medians.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.findings import Decision
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, window_of

CHECKS = (Check(name="quality", type="DataQuality"), Check(name="inputs", type="DataDrift"))
END = datetime(2025, 3, 1, tzinfo=UTC)
LENGTH = timedelta(days=7)


def frame(seed: int, rows: int, columns: int, last: datetime, length: timedelta) -> pl.DataFrame:
    """Standard normal columns, evenly spread over `length` up to `last`."""
    rng = np.random.default_rng(seed)
    values = {f"in.x{column}": rng.normal(size=rows) for column in range(columns)}
    times = pl.Series("time", [last - length * (1.0 - (row + 1) / rows) for row in range(rows)])
    said = [pl.lit("no").alias("out.prediction"), pl.lit(None, pl.String).alias("label"), pl.lit("train").alias("part")]
    return pl.DataFrame(values).with_columns(times, *said)


def seconds(call: Callable[[], object]) -> float:
    """CPU time of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> int:
    """Print milliseconds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000, help="rows on each side (default %(default)s)")
    parser.add_argument("--columns", type=int, default=20, help="columns (default %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="timed repetitions (default %(default)s)")
    arguments = parser.parse_args()
    size = (arguments.rows, arguments.columns)
    known, seen = frame(0, *size, END - LENGTH, 8 * LENGTH), frame(1, *size, END, LENGTH)
    numeric = tuple(sorted(name[3:] for name in known.columns if name.startswith("in.")))
    reference = Reference(known, "classification", numeric, (), ("no", "yes"), "label", frozenset())
    captured = seen.with_columns(
        pl.lit(True).alias("live"), pl.lit("a").alias("id"), pl.int_range(pl.len(), dtype=pl.Int64).alias("row")
    )
    window = window_of(captured, JudgedSpan(END - LENGTH, END, END))
    limits = WindowSpec(duration="7d")

    def check() -> Decision:
        return decide(reference, window, CHECKS, limits=limits, labels=Labels(), seed=1)

    columns = [seen[f"in.{name}"].to_numpy() for name in numeric]
    ours, sorting = [], []
    for _ in range(arguments.repetitions):
        ours.append(seconds(check))
        sorting.append(seconds(lambda: [np.sort(column) for column in columns]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    here, there = (1e3 * float(np.median(each)) for each in (ours, sorting))
    print(f"{size[0]} x {size[0]} rows x {size[1]} columns: {here:.0f} ms of CPU, np.sort {there:.0f} ms,", end=" ")
    print(f"{here / there:.1f} times; peak {peak} MiB; scikit-learn imported: {'sklearn' in sys.modules}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
