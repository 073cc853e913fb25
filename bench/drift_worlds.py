"""Streams of many kinds with known truth, for development: what happens to whom, and what the verdict should be.

A world draws how its inputs are made (Gaussian, heavy tails, lognormal, counts, categories of up to 200 levels; 5 to
100 columns; correlated), how rows follow each other (independent, AR(1), seasonal), and how the target follows the
inputs. Something happens to it, or nothing. The generators and seeds of the evaluation are others: drift_evaluation.py.

    python bench/drift_worlds.py --seeds 1 2
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.drift_twists import KINDS_OF, TWISTS
from mlops.workloads.drift.reference import Reference, make_reference
from mlops.workloads.drift.window import JudgedSpan, Window, window_of
from mlops.workloads.floor.model.signature import Signature

Floats = NDArray[np.float64]

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
LENGTH = timedelta(days=7)


@dataclass(frozen=True)
class Event:
    """What happens, and the verdicts that are right from then on."""

    name: str
    family: str
    right: tuple[str, ...]
    only: str | None = None  # classification or regression


EVENTS = (
    Event("nothing", "stable", ("Stable",)),
    Event("nothing-ar", "stable", ("Stable",)),
    Event("nothing-season", "stable", ("Stable",)),
    Event("mean", "covariate", ("DataDrift",)),
    Event("variance", "covariate", ("DataDrift",)),
    Event("correlation", "covariate", ("DataDrift",)),
    Event("one-of-many", "covariate", ("DataDrift",)),
    Event("mix", "covariate", ("DataDrift",)),
    Event("sign", "concept", ("ConceptDrift",)),
    Event("threshold", "concept", ("ConceptDrift",)),
    Event("calibration", "concept", ("ConceptDrift",)),
    Event("scale", "concept", ("ConceptDrift",), "regression"),
    Event("both", "concept", ("ConceptDrift",)),
    Event("prior", "label", ("LabelShift",), "classification"),
    Event("missing", "quality", ("DataQuality",)),
    Event("thousand", "quality", ("DataQuality",)),
    Event("thousandth", "quality", ("DataQuality",)),
    Event("inches", "quality", ("DataQuality",)),
    Event("swapped", "quality", ("DataQuality",)),
    Event("frozen", "quality", ("DataQuality",)),
    Event("constant", "quality", ("DataQuality",)),
    Event("repeated", "quality", ("DataQuality",)),
    Event("zeros", "quality", ("DataQuality",)),
    Event("sentinel", "quality", ("DataQuality",)),
    Event("case", "quality", ("DataQuality",)),
    # Each input keeps its distribution: only what they have to do with each other changes.
    Event("twisted", "joint", ("DataDrift",)),
    Event("fanned", "joint", ("DataDrift",)),
    Event("coupled", "joint", ("DataDrift",)),
    Event("sorted-in", "joint", ("DataDrift",)),
    Event("parity", "joint", ("DataDrift",)),
    # Rows that say little: users scattered over a window, rows that resemble each other, few rows of many columns.
    Event("nothing-users", "stable", ("Stable",)),
    Event("nothing-slow", "stable", ("Stable",)),
    Event("mean-users", "covariate", ("DataDrift",)),
    Event("mean-slow", "covariate", ("DataDrift",)),
    Event("mean-wide", "covariate", ("DataDrift",)),
    # Other units, of all rows or of some, and a factor that is none.
    Event("inches-slow", "quality", ("DataQuality",)),
    Event("feet", "quality", ("DataQuality",)),
    Event("gallons", "quality", ("DataQuality",)),
    Event("inches-part", "quality", ("DataQuality",)),
    Event("dearer", "covariate", ("DataDrift",)),
    Event("twins", "quality", ("DataQuality",)),
)
BY_NAME = {event.name: event for event in EVENTS}


@dataclass
class Column:
    """One input: how its values come from a standard normal one."""

    name: str
    kind: str
    center: float = 0.0
    spread: float = 1.0
    levels: NDArray[Any] | None = None
    cuts: Floats | None = None

    def values(self, z: Floats) -> NDArray[Any]:
        if self.kind == "normal":
            return self.center + self.spread * z
        if self.kind == "heavy":
            return self.center + self.spread * np.sinh(z * 1.1)
        if self.kind == "lognormal":
            return self.spread * np.exp(0.7 * z)
        if self.kind == "count":
            return np.floor(np.exp(1.2 + 0.8 * z))
        assert self.levels is not None
        assert self.cuts is not None
        return self.levels[np.searchsorted(self.cuts, z)]


@dataclass
class World:
    """How rows are made before anything happens."""

    task: str
    columns: list[Column]
    mixing: Floats
    weights: Floats
    pairs: list[tuple[int, int, float]]
    noise: float
    phi: float
    season: bool
    rows: int
    rng: np.random.Generator
    state: Floats = field(default_factory=lambda: np.zeros(0))
    users: int = 0

    @property
    def numeric(self) -> list[int]:
        return [i for i, c in enumerate(self.columns) if c.kind != "category"]

    @property
    def categories(self) -> list[int]:
        return [i for i, c in enumerate(self.columns) if c.kind == "category"]


def make_world(event: Event, seed: int) -> World:
    rng = np.random.default_rng([seed, EVENTS.index(event), 77])
    task = event.only or ("classification" if rng.random() < 0.6 else "regression")
    d = int(rng.choice([5, 6, 8, 12, 20, 50])) if event.name not in ("one-of-many", "mean-wide") else 50
    columns = []
    for i in range(d):
        kind = str(rng.choice(["normal", "normal", "heavy", "lognormal", "count", "category"]))
        if event.name == "case" and i == 1:
            kind = "category"
        if event.name in ("thousand", "thousandth", "inches", "sentinel", "zeros", "swapped", "correlation") and i in (
            0,
            1,
            2,
        ):
            kind = str(rng.choice(["normal", "lognormal"]))
        kind = KINDS_OF.get(event.name, {}).get(i, kind)
        column = Column(f"c{i}", kind, center=float(rng.normal() * 20), spread=float(np.exp(rng.normal() * 1.5)))
        if kind == "category":
            k = int(rng.choice([2, 4, 8, 30, 200] if event.family != "joint" else [2, 4, 8, 30]))
            p = rng.dirichlet(np.full(k, 1.0 if k < 50 else 2.0))
            column.levels = np.array([f"v{j}" for j in range(k)])
            from scipy.special import ndtri

            column.cuts = ndtri(np.clip(np.cumsum(p)[:-1], 1e-9, 1 - 1e-9))
        columns.append(column)
    factors = max(2, d // 3)
    load = rng.normal(size=(d, factors)) * 0.5
    cov = load @ load.T + np.eye(d)
    scale = 1.0 / np.sqrt(np.diag(cov))
    mixing = np.linalg.cholesky(cov * scale[:, None] * scale[None, :])
    active = min(d, 6)
    weights = np.zeros(d)
    weights[:active] = rng.choice([-1.0, 1.0], active) * rng.uniform(0.6, 1.4, active)
    pairs = [(0, 1, float(rng.uniform(0.3, 0.8)))]
    phi = float(rng.choice([0.5, 0.9, 0.99])) if event.name == "nothing-ar" else 0.0
    if event.name not in ("nothing-ar", "nothing", "nothing-season") and rng.random() < 0.25:
        phi = 0.5
    if event.name.endswith("-slow"):
        phi = 0.99 if event.name.startswith("nothing") else 0.9
    if event.name == "twins":
        columns[1] = replace(columns[0], name="c1")
    return World(
        task=task,
        columns=columns,
        mixing=mixing,
        weights=weights / np.sqrt((weights**2).sum()),
        pairs=pairs,
        noise=float(rng.uniform(0.2, 0.6)),
        phi=phi,
        season=event.name == "nothing-season",
        rows=int(rng.choice([500, 1000, 1500, 3000])) if event.name != "mean-wide" else 600,
        rng=rng,
        users=40 if event.name.endswith("-users") else 0,
    )


def draw(world: World, event: Event, number: int, happened: bool, size: float) -> pl.DataFrame:
    """The rows of a window: what is delivered (`in.*`), what the target is (`label`), in order of time."""
    rng, n, d = world.rng, world.rows, len(world.columns)
    wanted = n * 5 if event.name == "prior" else n
    e = rng.normal(size=(wanted, d))
    if world.phi:
        z = np.empty_like(e)
        last = world.state if world.state.size else rng.normal(size=d)
        gain = np.sqrt(1 - world.phi**2)
        for t in range(wanted):
            last = world.phi * last + gain * e[t]
            z[t] = last
        world.state = last
        e = z
    if world.users:
        levels = rng.normal(size=(world.users, d))
        e = 0.7 * levels[rng.integers(0, world.users, size=wanted)] + np.sqrt(1 - 0.7**2) * e
    z = e @ world.mixing.T
    if event.family == "joint":
        z[:, 1:3] = rng.normal(size=(wanted, 2))
        if happened:
            z = TWISTS[event.name](z, rng, size)
    share = (np.arange(wanted) + 0.5) / wanted
    if world.season:
        z[:, 0] += np.sin(2 * np.pi * (number + share) / 4.0)
    if happened and event.name.startswith(("mean", "both")):
        z[:, 0] += 0.9 * size
        z[:, 2] -= 0.6 * size
    if happened and event.name == "dearer":
        z[:, 0] += 0.9 * size
    if happened and event.name == "variance":
        z[:, 0] *= 1 + 0.8 * size
    if happened and event.name == "correlation":
        z[:, 1] = 0.85 * size * np.sign(1 - 2 * (np.corrcoef(z[:, 0], z[:, 1])[0, 1] > 0)) * z[:, 0] + np.sqrt(
            max(0.05, 1 - (0.85 * size) ** 2)
        ) * rng.normal(size=wanted)
    if happened and event.name == "one-of-many":
        z[:, 3] += 0.9 * size
    if happened and event.name == "mix":
        group = rng.random(wanted) < 0.35 * size
        z[group] += 1.3
    weights, offset, slope = world.weights.copy(), 0.0, 1.0
    if happened and event.name in ("sign", "both"):
        top = int(np.argmax(np.abs(weights)))
        weights[top] = -weights[top]
        if size >= 1:
            second = int(np.argsort(-np.abs(weights))[1])
            weights[second] = -weights[second]
    if happened and event.name == "threshold":
        offset = 0.9 * size
    if happened and event.name == "calibration":
        slope = 1.0 - 0.65 * size
    score = z @ weights + sum(w * np.tanh(z[:, i] * z[:, j]) for i, j, w in world.pairs) - offset
    if world.task == "classification":
        p = 1 / (1 + np.exp(-3.0 * slope * score / (0.5 + world.noise)))
        y = rng.random(wanted) < p
        if event.name == "prior":
            rate = float(np.clip(0.45 + 0.3 * size, 0.05, 0.95)) if happened else 0.45
            quota = np.round(n * np.array([1 - rate, rate])).astype(int)
            picked = np.sort(np.concatenate([np.flatnonzero(y == s)[: quota[int(s)]] for s in (False, True)]))
            picked = rng.permutation(picked)
            z, y = z[picked], y[picked]
        label: Any = np.where(y, "yes", "no")
    else:
        gain = (1 + 0.5 * size) if happened and event.name == "scale" else 1.0
        label = 5.0 * (slope * gain * score + world.noise * rng.normal(size=wanted)) + 100.0
    n = len(label)
    table: dict[str, Any] = {f"in.{c.name}": c.values(z[:, i]) for i, c in enumerate(world.columns)}
    times = [BEGIN + LENGTH * number + LENGTH * ((row + 0.5) / n) for row in range(n)]
    frame = pl.DataFrame({**table, "label": label, "time": times})
    if happened and event.family == "quality":
        frame = FAULTS[event.name](frame, world, rng, size)
    return frame


def _column(world: World, *, numeric: bool = True) -> str:
    return f"in.{world.columns[(world.numeric if numeric else world.categories)[0]].name}"


def _missing(f: pl.DataFrame, w: World, rng: np.random.Generator, size: float) -> pl.DataFrame:
    hit = pl.Series(rng.random(f.height) < 0.3 * size)
    return f.with_columns(pl.when(hit).then(None).otherwise(pl.col(_column(w))).alias(_column(w)))


def _times(factor: float) -> Callable[..., pl.DataFrame]:
    return lambda f, w, rng, size: f.with_columns(pl.col("in.c0") * factor)


def _in_part(factor: float, share: float) -> Callable[..., pl.DataFrame]:
    def change(f: pl.DataFrame, w: World, rng: np.random.Generator, size: float) -> pl.DataFrame:
        hit = pl.Series(rng.random(f.height) < share * size)
        return f.with_columns(pl.when(hit).then(pl.col("in.c0") * factor).otherwise(pl.col("in.c0")).alias("in.c0"))

    return change


def _swapped(f: pl.DataFrame, w: World, rng: np.random.Generator, size: float) -> pl.DataFrame:
    return f.with_columns(pl.col("in.c0").alias("in.c1"), pl.col("in.c1").alias("in.c0"))


def _frozen(f: pl.DataFrame, w: World, rng: np.random.Generator, size: float) -> pl.DataFrame:
    start = int(f.height * (1 - 0.6 * size))
    value = f[_column(w)][start]
    stuck = pl.int_range(f.height) >= start
    return f.with_columns(pl.when(stuck).then(pl.lit(value)).otherwise(pl.col(_column(w))).alias(_column(w)))


def _constant(f: pl.DataFrame, w: World, rng: np.random.Generator, size: float) -> pl.DataFrame:
    value = f[_column(w)][5]
    return f.with_columns(pl.lit(value).alias(_column(w)))


def _repeated(f: pl.DataFrame, w: World, rng: np.random.Generator, size: float) -> pl.DataFrame:
    """The first part of the rows comes again instead of the rest."""
    first = int(f.height * (1 - 0.5 * size))
    times = f["time"]
    rows = np.arange(f.height) % max(1, first)
    return f[rows.tolist()].with_columns(times)


def _filled(value: float, share: float) -> Callable[..., pl.DataFrame]:
    def fill(f: pl.DataFrame, w: World, rng: np.random.Generator, size: float) -> pl.DataFrame:
        hit = pl.Series(rng.random(f.height) < share * size)
        known = f["in.c0"]
        v = value if value == 0.0 else float(known.mean() + 21 * known.std())  # type: ignore[operator,arg-type]
        return f.with_columns(pl.when(hit).then(pl.lit(v)).otherwise(pl.col("in.c0")).alias("in.c0"))

    return fill


def _case(f: pl.DataFrame, w: World, rng: np.random.Generator, size: float) -> pl.DataFrame:
    name = _column(w, numeric=False)
    hit = pl.Series(rng.random(f.height) < 0.5 * size)
    return f.with_columns(pl.when(hit).then(pl.col(name).str.to_uppercase()).otherwise(pl.col(name)).alias(name))


FAULTS: dict[str, Callable[..., pl.DataFrame]] = {
    "missing": _missing,
    "thousand": _times(1000.0),
    "thousandth": _times(0.001),
    "inches": _times(1 / 2.54),
    "swapped": _swapped,
    "frozen": _frozen,
    "constant": _constant,
    "repeated": _repeated,
    "zeros": _filled(0.0, 0.2),
    "sentinel": _filled(21.0, 0.02),
    "case": _case,
    "inches-slow": _times(1 / 2.54),
    "feet": _times(1 / 3.28084),
    "gallons": _times(3.78541),
    "inches-part": _in_part(1 / 2.54, 0.4),
    "twins": _swapped,
}


@dataclass(frozen=True, eq=False)
class Stream:
    """A model's reference and the windows that it served; what happens begins at window `change`."""

    event: Event
    world: World
    reference: Reference
    windows: tuple[Window, ...]
    change: int


def make_stream(name: str, seed: int, *, windows: int = 3, size: float = 1.0, reference_windows: int = 8) -> Stream:
    """A stream in which the event begins at its second window of three (or never)."""
    event = BY_NAME[name]
    world = make_world(event, seed)
    return served(event, world, draw, windows=windows, size=size, reference_windows=reference_windows)


def served(
    event: Event, world: Any, rows: Callable[..., pl.DataFrame], *, windows: int, size: float, reference_windows: int
) -> Stream:
    """Train a model on the first windows, in order of time, and let it answer the others."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    change = windows // 2
    history = pl.concat([rows(world, event, number, False, size) for number in range(reference_windows)])
    inputs = [c for c in history.columns if c.startswith("in.")]
    codes = {
        c: {v: float(i) for i, v in enumerate(history[c].unique().sort())}
        for c in inputs
        if history.schema[c] == pl.String
    }

    def encoded(frame: pl.DataFrame) -> Floats:
        columns = []
        for c in inputs:
            if c in codes:
                columns.append(np.array([codes[c].get(v, np.nan) for v in frame[c].to_list()], dtype=float))
            else:
                columns.append(frame[c].cast(pl.Float64).fill_null(np.nan).to_numpy())
        return np.column_stack(columns)

    train = np.arange(history.height) < history.height * 3 // 4
    classes = world.task == "classification"
    model = (HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor)(
        max_iter=60, max_leaf_nodes=10, random_state=0
    )
    with threadpool_limits(limits=1):
        model.fit(encoded(history)[train], history["label"].to_numpy()[train])

    def answered(frame: pl.DataFrame) -> pl.DataFrame:
        with threadpool_limits(limits=1):
            if not classes:
                return frame.with_columns(pl.Series("out.prediction", model.predict(encoded(frame))))
            p = model.predict_proba(encoded(frame))
        return frame.with_columns(
            *(pl.Series(f"out.p.{name}", p[:, i]) for i, name in enumerate(model.classes_)),
            pl.Series("out.prediction", model.classes_[p.argmax(axis=1)].astype(str)),
        )

    known = answered(history).with_columns(pl.Series("part", np.where(train, "train", "test")))
    reference = make_reference(_signature(known, world.task), known, where=event.name)
    made = []
    for number in range(windows):
        frame = answered(rows(world, event, reference_windows + number, number >= change, size))
        n = frame.height
        captured = frame.with_columns(
            pl.Series("id", [f"{event.name}-{number}-{row}" for row in range(n)]),
            pl.lit(0, pl.Int64).alias("row"),
            pl.lit(True).alias("live"),
            *(pl.col(c).cast(pl.Float64) for c in inputs if c not in codes),
        )
        start = BEGIN + LENGTH * (reference_windows + number)
        made.append(window_of(captured, JudgedSpan(start, start + LENGTH, start + LENGTH)))
    return Stream(event, world, reference, tuple(made), change)


def _signature(frame: pl.DataFrame, task: str) -> Signature:
    fields = {
        name.removeprefix("in."): "float64" if dtype.is_numeric() else "string"
        for name, dtype in frame.schema.items()
        if name.startswith("in.")
    }
    described: dict[str, Any] = {
        "task": task,
        "format": "onnx",
        "inputs": [{"name": name, "type": type_, "nullable": True} for name, type_ in fields.items()],
        "columns": [{"name": name, "type": type_} for name, type_ in fields.items()],
        "label": {"name": "target", "type": "string" if task == "classification" else "float64"},
        "estimator": {"name": "HistGradientBoostingClassifier"},
        "tolerance": "0.0001",
    }
    if task == "classification":
        described |= {"classes": ["no", "yes"], "positive": "yes"}
    return Signature.model_validate(described)


def main() -> int:
    """Decide streams of each event, and print false alarms and verdicts."""
    from bench.drift_streams import CHECKS
    from mlops.api.drift_monitor import Labels
    from mlops.api.drift_monitor import Window as WindowSpec
    from mlops.workloads.drift.verdict import decide

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="a stream of each event for each (1 2)")
    parser.add_argument("--events", nargs="+", choices=sorted(BY_NAME), default=list(BY_NAME), help="events (all)")
    parser.add_argument("--size", type=float, default=1.0, help="the size of what happens (default %(default)s)")
    arguments = parser.parse_args()
    limits = WindowSpec(duration="7d", min_samples=200)
    for name in arguments.events:
        quiet: list[str] = []
        after: list[str] = []
        for seed in arguments.seeds:
            stream = make_stream(name, seed, size=arguments.size)
            for number, window in enumerate(stream.windows):
                found = decide(stream.reference, window, CHECKS, limits=limits, labels=Labels(), seed=1)
                happened = number >= stream.change and stream.event.family != "stable"
                (after if happened else quiet).append(found.verdict)
        right = sum(verdict in BY_NAME[name].right for verdict in after)
        alarms = sum(verdict != "Stable" for verdict in quiet)
        print(f"{name:<15} false alarms {alarms} of {len(quiet)}, right {right} of {len(after)} {dict(Counter(after))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
