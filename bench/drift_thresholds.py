"""Do the thresholds of broken deliveries stand where they should? Each is moved, by development streams.

    python bench/drift_thresholds.py --seeds 1 2

Faults and quiet changes of bench/drift_worlds.py, without a model: only DataQuality is asked. Printed: faults missed
and changes of the world that pass for faults, by the thresholds as they are, and with one of them multiplied at a time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

from bench.drift_worlds import BEGIN, BY_NAME, LENGTH, draw, make_world
from mlops.api.drift_monitor import Check
from mlops.workloads.drift import alike, columns, faults, repeats, units
from mlops.workloads.drift.inputs import Inputs
from mlops.workloads.drift.reference import Reference
from mlops.workloads.drift.window import JudgedSpan, Window, window_of

# Of these a mark is looked for; missing values and new columns have none.
FAULTS = (
    "thousand",
    "thousandth",
    "inches",
    "inches-slow",
    "feet",
    "gallons",
    "swapped",
    "twins",
    "frozen",
    "constant",
    "repeated",
    "zeros",
    "sentinel",
    "case",
)
WORLD = ("nothing", "nothing-season", "nothing-slow", "mean", "variance", "mix", "dearer", "correlation", "sign")
THRESHOLDS: tuple[tuple[ModuleType, str], ...] = (
    (faults, "_PROMINENT"),
    (faults, "_MIN_RUN"),
    (faults, "_RUN"),
    (repeats, "_AGAIN"),
    (columns, "MOVED"),
    (columns, "SHAPE"),
    (columns, "ALIKE"),
    (units, "_PRECISION"),
    (units, "_ANY_FACTOR"),
    (units, "_MOVED_LITTLE"),
    (units, "_AGREE"),
    (units, "_ERRORS"),
    (alike, "_ROOM"),
    (alike, "_ALIKE"),
)
_SHARED = {"MOVED", "SHAPE", "ALIKE"}
_QUALITY = Check(name="quality", type="DataQuality")
_MIN_SHARE = 0.01
_WINDOWS = 8


@dataclass(frozen=True, eq=False)
class Case:
    """A window, what is known of its inputs, and whether its delivery is broken."""

    name: str
    reference: Reference
    window: Window
    inputs: Inputs
    moved: frozenset[str]
    is_fault: bool

    def found(self) -> dict[str, str]:
        """The faults that are found, by input."""
        return faults.faults_of(
            self.reference,
            self.window.frame,
            self.inputs.blocks,
            self.moved,
            self.inputs.dependence,
            alpha=float(_QUALITY.alpha),
            min_share=_MIN_SHARE,
        )


def cases(seeds: list[int], sizes: tuple[float, ...] = (1.0,), *, most_columns: int = 100) -> Iterator[Case]:
    """A window of each event, seed and size, of worlds with no more columns."""
    for name in (*FAULTS, *WORLD):
        for seed in seeds:
            if len(make_world(BY_NAME[name], seed).columns) <= most_columns:
                yield from (_case(name, seed, size) for size in sizes)


def _case(name: str, seed: int, size: float) -> Case:
    event = BY_NAME[name]
    world = make_world(event, seed)
    known = pl.concat([draw(world, event, number, False, size) for number in range(_WINDOWS)])
    numeric = tuple(sorted(c[3:] for c, t in known.schema.items() if c.startswith("in.") and t.is_numeric()))
    texts = tuple(sorted(c[3:] for c, t in known.schema.items() if c.startswith("in.") and not t.is_numeric()))
    known = known.with_columns(pl.lit("train").alias("part"), *(pl.col(f"in.{c}").cast(pl.Float64) for c in numeric))
    classes = ("no", "yes") if world.task == "classification" else ()
    reference = Reference(known, "classification", numeric, texts, classes, "target", frozenset())
    if not classes:
        reference = replace(reference, task="regression")
    seen = draw(world, event, _WINDOWS, True, size).with_columns(
        pl.lit(True).alias("live"),
        pl.lit(name).alias("id"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
        pl.lit("no" if classes else 0.0).alias("out.prediction"),
        *(pl.col(f"in.{c}").cast(pl.Float64) for c in numeric),
    )
    start = BEGIN + LENGTH * _WINDOWS
    window = window_of(seen, JudgedSpan(start, start + LENGTH, start + LENGTH))
    inputs = Inputs(reference, window)
    moved = frozenset(shift.feature.name for shift in inputs.shifts(_QUALITY) if shift.drifted)
    return Case(name, reference, window, inputs, moved, event.family == "quality")


@contextmanager
def multiplied(module: ModuleType, name: str, factor: float) -> Iterator[None]:
    """A threshold times `factor`, in whatever module it is used."""
    users = [each for each in (columns, faults, units, alike) if name in _SHARED and hasattr(each, name)] or [module]
    value: Any = getattr(module, name)
    for user in users:
        setattr(user, name, value * factor)
    try:
        yield
    finally:
        for user in users:
            setattr(user, name, value)


def counted(tried: list[Case]) -> tuple[list[str], list[str]]:
    """The events of faults that are missed, and of quiet windows that pass for broken."""
    found = [bool(case.found()) for case in tried]
    missed = [case.name for case, told in zip(tried, found, strict=True) if case.is_fault and not told]
    false = [case.name for case, told in zip(tried, found, strict=True) if not case.is_fault and told]
    return missed, false


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="a stream of each event for each (1 2)")
    parser.add_argument("--factors", type=float, nargs="+", default=[0.5, 0.7, 1.4, 2.0], help="what thresholds become")
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.5, 1.0], help="sizes of what happens (0.5 1)")
    arguments = parser.parse_args()
    tried = list(cases(arguments.seeds, tuple(arguments.sizes)))
    broken = sum(case.is_fault for case in tried)
    missed, false = counted(tried)
    print(f"{broken} broken and {len(tried) - broken} quiet windows; as they are: {len(missed)} missed {missed},")
    print(f"{len(false)} false {false}")
    for module, name in THRESHOLDS:
        line = []
        for factor in arguments.factors:
            with multiplied(module, name, factor):
                missed, false = counted(tried)
            line.append(f"x{factor:g}: {len(missed)} missed, {len(false)} false")
        print(
            f"{module.__name__.rpartition('.')[2]}.{name} ({np.round(getattr(module, name), 4)})  {'; '.join(line)}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
