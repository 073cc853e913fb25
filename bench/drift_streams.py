"""How often is the drift check right? Streams of captured windows with known truth, decided by the code of the pod.

    python bench/drift_streams.py --streams 40 --windows 6

Each stream trains a model on a reference of several windows and serves it for some more; half-way something happens to
the stream, or nothing. Printed: false alarms per 100 windows in which nothing has happened, detection rate, delay in
windows, and how often the verdict was the right one, beside the baseline "any feature with p < 0.05".
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.findings import Decision, seed_of
from mlops.workloads.drift.reference import Reference, make_reference
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, Window, window_of
from mlops.workloads.floor.model.signature import Signature

Floats = NDArray[np.float64]

KINDS = ("stable", "seasonal", "covariate", "concept", "both", "label", "quality", "harder", "threshold")
RIGHT: dict[str, tuple[str, ...]] = {
    "stable": ("Stable",),
    "seasonal": ("Stable",),
    "covariate": ("DataDrift",),
    "concept": ("ConceptDrift",),
    "both": ("ConceptDrift",),
    "label": ("LabelShift",),
    "quality": ("DataQuality",),
    "harder": ("DataDrift",),
    "threshold": ("ConceptDrift",),
}
CHECKS = (
    Check(name="quality", type="DataQuality"),
    Check(name="inputs", type="DataDrift"),
    Check(name="answers", type="PredictionDrift"),
    Check(name="labels", type="LabelShift"),
    Check(name="drop", type="PerformanceDrop"),
    Check(name="concept", type="ConceptDrift"),
)
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
LENGTH = timedelta(days=7)
REFERENCE_WINDOWS = 8
CATEGORIES = np.array(["north", "south", "east", "west"])


@dataclass(frozen=True, eq=False)
class Stream:
    """A model's reference and the windows it served; what `kind` says happens at window `change`."""

    kind: str
    reference: Reference
    windows: tuple[Window, ...]
    change: int


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs (n, 5), a category (n,), the label (n,) and the time (n,)."""

    numbers: Floats
    region: NDArray[np.str_]
    label: NDArray[np.str_]
    time: list[datetime]


def make_stream(kind: str, seed: int, *, rows: int = 1500, windows: int = 6) -> Stream:
    """A stream in which `kind` begins at half of its windows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng([seed, KINDS.index(kind)])
    change = windows // 2
    history = [draw(rng, kind, rows, number, happened=False) for number in range(REFERENCE_WINDOWS)]
    numbers = np.concatenate([part.numbers for part in history])
    region = np.concatenate([part.region for part in history])
    label = np.concatenate([part.label for part in history])
    train = np.arange(len(label)) < len(label) * 3 // 4
    model = HistGradientBoostingClassifier(max_iter=80, max_leaf_nodes=12, random_state=0)
    # Threads that wait for each other on a busy machine cost more than they bring on so few rows.
    with threadpool_limits(limits=1):
        model.fit(encoded(numbers, region)[train], label[train])

    def answers(part_numbers: Floats, part_region: NDArray[np.str_]) -> dict[str, NDArray[np.float64] | list[str]]:
        with threadpool_limits(limits=1):
            p = model.predict_proba(encoded(part_numbers, part_region))
        return {
            "out.p.no": p[:, 0],
            "out.p.yes": p[:, 1],
            "out.prediction": ["yes" if q > 0.5 else "no" for q in p[:, 1]],
        }

    times = [timestamp for part in history for timestamp in part.time]
    frame = table(numbers, region).with_columns(
        pl.Series("label", label),
        pl.Series("time", times),
        pl.Series("part", np.where(train, "train", "test")),
        *(pl.Series(name, values) for name, values in answers(numbers, region).items()),
    )
    reference = make_reference(signature_of(frame), frame, where=kind)
    made = []
    for number in range(windows):
        part = draw(rng, kind, rows, REFERENCE_WINDOWS + number, happened=number >= change)
        captured = table(part.numbers, part.region).with_columns(
            pl.Series("id", [f"{kind}-{seed}-{number}-{row}" for row in range(rows)]),
            pl.lit(0, pl.Int64).alias("row"),
            pl.Series("time", part.time),
            pl.lit(True).alias("live"),
            pl.Series("label", part.label),
            *(pl.Series(name, values) for name, values in answers(part.numbers, part.region).items()),
        )
        captured = captured.with_columns(
            pl.when(pl.col("in.x0").is_nan()).then(None).otherwise(pl.col("in.x0")).alias("in.x0")
        )
        start = BEGIN + LENGTH * (REFERENCE_WINDOWS + number)
        made.append(window_of(captured, JudgedSpan(start, start + LENGTH, start + LENGTH)))
    return Stream(kind, reference, tuple(made), change)


def signature_of(frame: pl.DataFrame, **changes: Any) -> Signature:
    """What the model.json of the streams' model says, in the API's names; its first input may be missing."""
    fields = {
        name.removeprefix("in."): "float64" if dtype.is_numeric() else "string"
        for name, dtype in frame.schema.items()
        if name.startswith("in.")
    }
    described = {
        "task": "classification",
        "format": "onnx",
        "inputs": [{"name": name, "type": type_, "nullable": name == "x0"} for name, type_ in fields.items()],
        "columns": [{"name": name, "type": type_} for name, type_ in fields.items()],
        "label": {"name": "bought", "type": "string"},
        "classes": ["no", "yes"],
        "positive": "yes",
        "estimator": {"name": "HistGradientBoostingClassifier"},
        "tolerance": "0.0001",
    }
    return Signature.model_validate({**described, **changes})


def draw(rng: np.random.Generator, kind: str, rows: int, number: int, *, happened: bool) -> Rows:
    """The rows of window `number` of a stream, after the change if it `happened`."""
    wanted = rows if kind != "label" else rows * 6
    x = rng.normal(size=(wanted, 5))
    x[:, 1] = x[:, 1] * 0.6 + x[:, 0] * 0.6
    share = (np.arange(wanted) + 0.5) / wanted
    if kind == "seasonal":
        # A year of four windows: the reference holds two of them.
        x[:, 0] += np.sin(2.0 * np.pi * (number + share) / 4.0)
    if happened and kind in ("covariate", "both"):
        x[:, 0] += 0.8
        x[:, 2] *= 1.4
    if happened and kind == "harder":
        # Rows like each other, of which the model knows less: it is worse, though the relation is the old one.
        x *= 0.4
    region = CATEGORIES[rng.integers(0, 4, size=wanted)]
    score = 1.2 * x[:, 0] - x[:, 2] + 0.8 * x[:, 1] * x[:, 3] + np.where(region == "north", 0.7, 0.0)
    if happened and kind in ("concept", "both"):
        score = -0.4 * x[:, 0] - x[:, 2] + 0.8 * x[:, 1] * x[:, 3] + np.where(region == "north", 0.7, 0.0) + x[:, 4]
    if happened and kind == "threshold":
        # The same ranking, and more of one class at each score.
        score += 1.4
    yes = rng.random(wanted) < 1.0 / (1.0 + np.exp(-1.5 * score))
    if kind == "label":
        rate = 0.75 if happened else 0.45
        quota = np.round(rows * np.array([1.0 - rate, rate])).astype(int)
        picked = np.sort(np.concatenate([np.flatnonzero(yes == side)[: quota[int(side)]] for side in (False, True)]))
        x, region, yes = x[picked], region[picked], yes[picked]
        order = rng.permutation(len(yes))
        x, region, yes = x[order], region[order], yes[order]
    if happened and kind == "quality":
        x[rng.random(rows) < 0.5, 0] = np.nan
    start = BEGIN + LENGTH * number
    times = [start + LENGTH * ((row + 0.5) / rows) for row in range(rows)]
    return Rows(x, region, np.where(yes, "yes", "no"), times)


def encoded(numbers: Floats, region: NDArray[np.str_]) -> Floats:
    """Inputs as the served model reads them."""
    return np.column_stack((numbers, *(region == name for name in CATEGORIES[1:])))


def table(numbers: Floats, region: NDArray[np.str_]) -> pl.DataFrame:
    """Inputs as captures hold them."""
    columns = {f"in.x{column}": numbers[:, column] for column in range(numbers.shape[1])}
    return pl.DataFrame({**columns, "in.region": region.astype(str)})


def check(stream: Stream, window: Window) -> Decision:
    """The decision of the pod."""
    seed = seed_of(stream.kind, window.span.end)
    return decide(stream.reference, window, CHECKS, limits=WindowSpec(duration="7d"), labels=Labels(), seed=seed)


def baseline(stream: Stream, window: Window) -> bool:
    """Any feature with p < 0.05."""
    from mlops.workloads.drift.inputs import Inputs

    return any((f.p_value or 1.0) < 0.05 for f in Inputs(stream.reference, window).features)


@dataclass
class Tally:
    """What was seen of one kind of stream."""

    quiet: int = 0
    false_alarms: int = 0
    baseline_alarms: int = 0
    streams: int = 0
    detected: int = 0
    delays: int = 0
    after: int = 0
    right: int = 0
    verdicts: Counter[str] | None = None


def run(kinds: list[str], streams: int, windows: int, rows: int, progress: Callable[[str], None]) -> dict[str, Tally]:
    """Decide every window of `streams` streams of each kind."""
    tallies = {}
    for kind in kinds:
        tally = tallies[kind] = Tally(verdicts=Counter())
        for seed in range(streams):
            progress(f"{kind}: stream {seed + 1} of {streams}")
            stream = make_stream(kind, seed, rows=rows, windows=windows)
            verdicts = [check(stream, window).verdict for window in stream.windows]
            alarms = [baseline(stream, window) for window in stream.windows]
            never = kind in ("stable", "seasonal")
            quiet = len(verdicts) if never else stream.change
            tally.quiet += quiet
            tally.false_alarms += sum(verdict != "Stable" for verdict in verdicts[:quiet])
            tally.baseline_alarms += sum(alarms[:quiet])
            tally.streams += 1
            if not never:
                late = [number for number, verdict in enumerate(verdicts[quiet:]) if verdict != "Stable"]
                tally.detected += bool(late)
                tally.delays += late[0] if late else 0
            judged = verdicts[0 if never else quiet :]
            tally.after += len(judged)
            tally.right += sum(verdict in RIGHT[kind] for verdict in judged)
            assert tally.verdicts is not None
            tally.verdicts.update(judged)
    return tallies


def main() -> int:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=20, help="streams of each kind (default %(default)s)")
    parser.add_argument("--windows", type=int, default=6, help="windows of a stream, changed at half (%(default)s)")
    parser.add_argument("--rows", type=int, default=1500, help="rows of a window (default %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of streams (all)")
    arguments = parser.parse_args()
    began = time.perf_counter()

    def progress(line: str) -> None:
        sys.stderr.write(f"\r{line:<60}")
        sys.stderr.flush()

    tallies = run(arguments.kinds, arguments.streams, arguments.windows, arguments.rows, progress)
    progress("")
    print("\nkind       false alarms/100  baseline/100  detected  delay  right verdict  verdicts")
    for kind, tally in tallies.items():
        detected = "-" if kind in ("stable", "seasonal") else f"{tally.detected / tally.streams:.2f}"
        delay = "-" if not tally.detected else f"{tally.delays / tally.detected:.2f}"
        print(
            f"{kind:<10} {100 * tally.false_alarms / tally.quiet:>16.1f}"
            f"  {100 * tally.baseline_alarms / tally.quiet:>12.1f}"
            f"  {detected:>8}  {delay:>5}  {tally.right / tally.after:>13.2f}  {dict(tally.verdicts or {})}"
        )
    quiet = sum(tally.quiet for tally in tallies.values())
    false = sum(tally.false_alarms for tally in tallies.values())
    loud = sum(tally.baseline_alarms for tally in tallies.values())
    print(
        f"\nover all {quiet} windows in which nothing has happened: {100 * false / quiet:.2f} false alarms per 100;",
        end=" ",
    )
    print(f"baseline (any feature with p < 0.05): {100 * loud / quiet:.1f}")
    print(f"{time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
