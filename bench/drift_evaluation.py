"""An evaluation of the drift check on worlds that it was not made on, decided by the code of the pod with all defaults.

    python bench/drift_evaluation.py --streams 500 --seed 2000000 --out records.jsonl
    python bench/drift_evaluation.py --worlds copulas --streams 200 --seed 900000
    python bench/drift_evaluation.py --read records.jsonl more.jsonl

There are two families of worlds: `copulas` (bench/drift_copulas.py), after whose first run the checks were mended, and
`structural` (bench/drift_structural.py), made later and not by whoever works on the checks. A stream trains a model on
8 windows (4 per season), serves two quiet ones, then two in which something happens: see `EVENTS` of either. The
verdict of the last window is judged; quiet windows count for false alarms, beside the baseline "any raw input with
p < 0.05". Streams differ in task, relation, columns, rows and dependence. The same seed and number give the same
stream; streams go round all events and sizes, so that any number is a fair sample.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import drift_copulas, drift_structural
from bench.drift_copulas import LARGE, MEDIUM, SEASON_WINDOWS, Event, Floats
from bench.drift_streams import CHECKS
from bench.drift_truth import Drawn, World
from mlops.api.drift_monitor import Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.findings import Decision, seed_of
from mlops.workloads.drift.reference import Reference, make_reference
from mlops.workloads.drift.repeats import compared_inputs, earlier_rows
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, Window, window_of
from mlops.workloads.floor.model.signature import Signature

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
LENGTH = timedelta(days=7)
REFERENCE_WINDOWS = 8
BEFORE, AFTER = 2, 2
PART_ROWS, TRAINED_ROWS = 20_000, 12_000


@dataclass(frozen=True)
class Family:
    """A family of worlds: what can happen, to rows of which dependence, and how one is made."""

    events: tuple[Event, ...]
    dependences: tuple[str, ...]
    world: type[World] | type[drift_structural.Structural]

    @property
    def round(self) -> list[tuple[Event, float]]:
        """Each change once per size; nothing and seasons come more often than any one change."""
        changes = [e for e in self.events if e.family != "stable"]
        stable = [(self.events[0], LARGE)] * 5 + [(self.events[1], LARGE)] * 4
        return [(event, size) for event in changes for size in (LARGE, MEDIUM)] + stable


FAMILIES = {
    "structural": Family(drift_structural.EVENTS, drift_structural.DEPENDENCES, drift_structural.Structural),
    "copulas": Family(drift_copulas.EVENTS, drift_copulas.DEPENDENCES, World),
}
EVENTS = tuple({e.name: e for f in FAMILIES.values() for e in f.events}.values())


@dataclass(frozen=True, eq=False)
class Stream:
    """What a monitor is given; `shown` holds the raw rows that the baseline compares."""

    world: World | drift_structural.Structural
    reference: Reference
    windows: tuple[Window, ...]
    trained: pl.DataFrame
    shown: tuple[pl.DataFrame, ...]


@dataclass(frozen=True)
class Record:
    """What came of a stream."""

    number: int
    event: str
    family: str
    size: float
    dependence: str
    task: str
    relation: str
    table: str
    columns: int
    rows: int
    sd: float
    quiet: list[str]
    quiet_sentences: list[str]
    quiet_baseline: list[bool]
    verdict: str
    sentence: str
    baseline: bool
    seconds: float

    @property
    def right(self) -> bool:
        """Is the verdict of the last window one of the right ones?"""
        return self.verdict in next(event.right for event in EVENTS if event.name == self.event)


def plan(family: Family, number: int, seed: int) -> tuple[Event, float, str]:
    """Event, size and dependence of stream `number`."""
    turn, place = divmod(number, len(family.round))
    event, size = family.round[np.random.default_rng([seed, turn]).permutation(len(family.round))[place]]
    kinds = [d for d in family.dependences if event.name != "recurring season" or d.startswith("season")]
    return event, size, kinds[(number + turn) % len(kinds)]


class Served:
    """A model on codes of texts and on numbers, and its answers as captures hold them."""

    def __init__(self, frame: pl.DataFrame, task: str) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        self.inputs = [c for c in frame.columns if c.startswith("in.")]
        self.codes = {
            c: {v: float(i) for i, v in enumerate(frame[c].unique().sort().to_list())}
            for c in self.inputs
            if frame[c].dtype == pl.String
        }
        kind = HistGradientBoostingClassifier if task == "classification" else HistGradientBoostingRegressor
        self.model = kind(max_iter=60, max_leaf_nodes=12, random_state=0, early_stopping=False)
        self.task = task
        with threadpool_limits(limits=1):
            self.model.fit(self.matrix(frame), frame["label"].to_numpy())

    def matrix(self, frame: pl.DataFrame) -> Floats:
        """What the estimator reads; texts that training has not seen are missing."""
        columns = [
            frame[c].replace_strict(self.codes[c], default=None, return_dtype=pl.Float64)
            if c in self.codes
            else frame[c]
            for c in self.inputs
        ]
        return np.column_stack([c.cast(pl.Float64).fill_null(float("nan")).to_numpy() for c in columns])

    def answered(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the model's answers."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            if self.task == "regression":
                return frame.with_columns(pl.Series("out.prediction", self.model.predict(self.matrix(frame))))
            p = self.model.predict_proba(self.matrix(frame))
        classes = [str(c) for c in self.model.classes_]
        return frame.with_columns(
            *(pl.Series(f"out.p.{c}", p[:, i]) for i, c in enumerate(classes)),
            pl.Series("out.prediction", [classes[i] for i in p.argmax(axis=1)]),
        )


def signature_of(frame: pl.DataFrame, task: str) -> Signature:
    """What the served model's model.json says."""
    fields = {c.removeprefix("in."): t for c, t in frame.schema.items() if c.startswith("in.")}
    types = {name: "float64" if t.is_numeric() else "string" for name, t in fields.items()}
    described: dict[str, Any] = {
        "task": task,
        "format": "onnx",
        "inputs": [{"name": n, "type": t, "nullable": True} for n, t in types.items()],
        "columns": [{"name": n, "type": t} for n, t in types.items()],
        "label": {"name": "target", "type": "string" if task == "classification" else "float64"},
        "estimator": {"name": "HistGradientBoosting"},
        "tolerance": "0.0001",
    }
    if task == "classification":
        described["classes"] = sorted(frame["label"].unique().to_list())
        if "yes" in described["classes"]:
            described["positive"] = "yes"
    return Signature.model_validate(described)


def frame_of(drawn: Drawn, index: int) -> pl.DataFrame:
    """A drawn window as a table with its times."""
    start = BEGIN + LENGTH * index
    return pl.DataFrame(
        [pl.Series(f"in.{name}", values.tolist()) for name, values in drawn.columns.items()]
        + [pl.Series("label", drawn.target.tolist()), pl.Series("time", [start + LENGTH * s for s in drawn.share])]
    ).with_columns(pl.selectors.float().fill_nan(None))


def sample(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    """At most so many rows, evenly over time."""
    return frame if len(frame) <= rows else frame[np.linspace(0, len(frame) - 1, rows).astype(int)]


def make_stream(
    family: Family, event: Event, size: float, dependence: str, seed: int, *, small: bool = False
) -> Stream:
    """A trained model, its reference, and the windows before and after the event."""
    world = family.world(event, size, dependence, seed, small=small)
    history = REFERENCE_WINDOWS
    if dependence.startswith("season"):
        history = SEASON_WINDOWS * int(dependence.removeprefix("season x"))
    change = history + BEFORE
    past = pl.concat([frame_of(world.draw(i, happened=False, since=change), i) for i in range(history)])
    train, test = past[: len(past) * 3 // 4], past[len(past) * 3 // 4 :]
    served = Served(sample(train, TRAINED_ROWS), world.task)
    train, test = sample(train, PART_ROWS), sample(test, PART_ROWS)
    parts = pl.concat([train.with_columns(part=pl.lit("train")), test.with_columns(part=pl.lit("test"))])
    reference = make_reference(signature_of(parts, world.task), served.answered(parts), where=event.name)
    made, shown = [], []
    for i in range(history, change + AFTER):
        rows = frame_of(world.draw(i, happened=i >= change, since=change), i)
        shown.append(rows)
        captured = served.answered(rows).with_columns(
            pl.Series("id", [f"{seed}-{i}-{row}" for row in range(len(rows))]),
            pl.lit(0, pl.Int64).alias("row"),
            pl.lit(True).alias("live"),
        )
        start = BEGIN + LENGTH * i
        made.append(window_of(captured, JudgedSpan(start, start + LENGTH, start + LENGTH)))
    return Stream(world, reference, tuple(made), train, tuple(shown))


def check(stream: Stream, index: int) -> Decision:
    """The decision of the pod, with the defaults of a monitor."""
    window = stream.windows[index]
    if index:
        columns = compared_inputs(stream.reference, window.frame)
        window = replace(window, earlier=earlier_rows(stream.reference, stream.windows[index - 1].frame, columns))
    limits = WindowSpec(duration="7d", min_samples=min(500, stream.world.rows))
    seed = seed_of(stream.world.event.name, window.span.end)
    return decide(stream.reference, window, CHECKS, limits=limits, labels=Labels(), seed=seed)


def baseline(stream: Stream, index: int) -> bool:
    """Has any raw input p < 0.05 against the training rows: KS of numbers, chi-square of texts?"""
    return any(_p(stream.trained[c], stream.shown[index][c]) < 0.05 for c in stream.trained.columns if c[:3] == "in.")


def _p(old: pl.Series, new: pl.Series) -> float:
    if old.dtype.is_numeric():
        a, b = (s.drop_nulls().to_numpy() for s in (old, new))
        return float(stats.ks_2samp(a, b, method="asymp").pvalue) if len(b) else 0.0
    counts = [dict(s.drop_nulls().value_counts().iter_rows()) for s in (old, new)]
    levels = sorted({*counts[0], *counts[1]})
    table: NDArray[np.int64] = np.array([[c.get(level, 0) for level in levels] for c in counts])
    return float(stats.chi2_contingency(table).pvalue) if len(levels) > 1 else 1.0


def judge(family: Family, number: int, seed: int, *, small: bool = False) -> Record:
    """Make stream `number`, and decide its quiet windows and its last one."""
    began = time.perf_counter()
    event, size, dependence = plan(family, number, seed)
    stream = make_stream(family, event, size, dependence, seed + number, small=small)
    world, last = stream.world, len(stream.windows) - 1
    quiet = range(last + 1 if event.family == "stable" else BEFORE)
    decided = {i: check(stream, i) for i in sorted({*quiet, last})}
    return Record(
        number=number,
        event=event.name,
        family=event.family,
        size=size,
        dependence=dependence,
        task=world.prior if world.task == "classification" else "regression",
        relation=world.relation,
        table=world.table,
        columns=len(stream.trained.columns) - 2,
        rows=world.rows,
        sd=world.sd if world.task == "regression" else 0.0,
        quiet=[decided[i].verdict for i in quiet],
        quiet_sentences=[decided[i].sentence for i in quiet if decided[i].verdict != "Stable"],
        quiet_baseline=[baseline(stream, i) for i in quiet],
        verdict=decided[last].verdict,
        sentence=decided[last].sentence,
        baseline=baseline(stream, last),
        seconds=round(time.perf_counter() - began, 1),
    )


def wilson(hits: int, of: int) -> str:
    """A share in per cent with its 95 % interval."""
    if not of:
        return "-"
    z, p = 1.959964, hits / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return f"{hits}/{of} = {100 * p:.1f} % ({100 * max(0.0, middle - half):.1f} to {100 * min(1.0, middle + half):.1f})"


def alarms(verdicts: Iterable[str]) -> int:
    """How many verdicts raise an alarm; that too few rows or labels can tell is none."""
    return sum(verdict not in ("Stable", "Inconclusive") for verdict in verdicts)


def report(records: list[Record]) -> str:
    """The tables as Markdown."""
    lines = [
        "| event | false alarms / quiet | Inconclusive | detected | right, large | right, medium | verdicts of misses |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    families = [(e.name, [r for r in records if r.event == e.name]) for e in EVENTS]
    families += [(f"all {f}", [r for r in records if r.family == f]) for f in dict.fromkeys(e.family for e in EVENTS)]
    for name, some in [(n, s) for n, s in families if s]:
        quiet = [v for r in some for v in r.quiet]
        sizes = [[r.right for r in some if r.size == size] for size in (LARGE, MEDIUM)]
        shares = [f"{sum(s)}/{len(s)}" if s else "-" for s in sizes]
        missed = dict(Counter(r.verdict for r in some if not r.right))
        detected = "-" if some[0].family == "stable" else f"{alarms(r.verdict for r in some)}/{len(some)}"
        counts = f"{alarms(quiet)}/{len(quiet)} | {quiet.count('Inconclusive')} | {detected} | {' | '.join(shares)}"
        lines.append(f"| {name} | {counts} | {missed or ''} |")
    lines += [
        "",
        "| split | false alarms / quiet | baseline | right verdict, large | medium |",
        "|---|---|---|---|---|",
    ]
    keys: tuple[tuple[str, Callable[[Record], str]], ...] = (
        ("", lambda r: r.dependence),
        ("", lambda r: r.task),
        ("regression with sd ", lambda r: f"{r.sd:g}" if r.sd else ""),
        ("relation ", lambda r: r.relation),
        ("columns ", lambda r: "to 12" if r.columns <= 12 else "over 12"),
        ("rows ", lambda r: "to 1000" if r.rows <= 1000 else "over 1000"),
        ("table ", lambda r: r.table or "none"),
    )
    for prefix, key in keys:
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            groups[prefix + key(record)].append(record)
        for name in sorted(name for name in groups if name != "regression with sd "):
            lines.append(f"| {name} | {' | '.join(_quiet(groups[name]) + _changed(groups[name]))} |")
    false, loud = _quiet(records)
    right, medium = _changed(records)
    changed = [r for r in records if r.family != "stable"]
    lines += ["", f"False alarms in quiet windows: {false}; any raw input with p < 0.05: {loud}."]
    lines.append(f"Changes detected: {wilson(alarms(r.verdict for r in changed), len(changed))}.")
    lines.append(f"Right verdict on changes, large: {right}; medium: {medium}.")
    lines.append(f"Right verdict, all streams: {wilson(sum(r.right for r in records), len(records))}.")
    return "\n".join(lines)


def _quiet(records: list[Record]) -> list[str]:
    quiet = [v for r in records for v in r.quiet]
    loud = [b for r in records for b in r.quiet_baseline]
    return [wilson(alarms(quiet), len(quiet)), wilson(sum(loud), len(loud))]


def _changed(records: list[Record]) -> list[str]:
    sizes = [[r.right for r in records if r.family != "stable" and r.size == size] for size in (LARGE, MEDIUM)]
    return [wilson(sum(s), len(s)) for s in sizes]


def misses(records: list[Record]) -> str:
    """Each stream with a wrong verdict and each false alarm, a line each."""
    lines = []
    for r in records:
        size = "large" if r.size == LARGE else "medium"
        where = f"{r.dependence}, {r.task}{f' sd {r.sd:g}' if r.sd else ''}, {r.relation}, {r.table or 'copula'}"
        told = f"#{r.number} {r.event} ({size}; {where}; {r.columns} columns, {r.rows} rows)"
        if not r.right:
            lines.append(f"- miss: {told}: {r.verdict}: {r.sentence}")
        wrong = [v for v in r.quiet if v != "Stable"]
        lines += [f"- quiet: {told}: {v}: {s}" for v, s in zip(wrong, r.quiet_sentences, strict=True)]
    return "\n".join(lines)


def main() -> int:
    """Run, or read what runs have written, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", choices=list(FAMILIES), default="structural", help="default: %(default)s")
    parser.add_argument("--streams", type=int, default=80, help="number of streams (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first stream (default %(default)s)")
    parser.add_argument("--seed", type=int, default=900_000, help="seed of the first stream (default %(default)s)")
    parser.add_argument("--out", type=Path, help="write a line of JSON per stream to this file")
    parser.add_argument("--read", type=Path, nargs="+", help="print the tables of such files instead")
    arguments = parser.parse_args()
    records = []
    for path in arguments.read or ():
        records += [Record(**json.loads(line)) for line in path.read_text().splitlines()]
    for number in range(arguments.first, arguments.first + (0 if arguments.read else arguments.streams)):
        records.append(record := judge(FAMILIES[arguments.worlds], number, arguments.seed))
        sys.stderr.write(
            f"{number}: {record.event} {record.size} {record.dependence}: {record.verdict} {record.seconds} s\n"
        )
        if arguments.out:
            with arguments.out.open("a") as file:
                file.write(json.dumps(asdict(record)) + "\n")
    records.sort(key=lambda record: record.number)
    print(report(records))
    print(f"\n{misses(records)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
