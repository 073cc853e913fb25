"""Tables with known truth for bench/drift_evaluation.py: copulas with uneven marginals, real tables, events, faults.

A column is a normal score pushed through the quantile function of its marginal, so that an event moves exactly what it
names: a mean in standard deviations of the score, a correlation with both marginals where they were, a relation with
the inputs where they were. The target is a function of the columns as they are delivered when nothing is broken.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal, stats

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]
GRID = np.linspace(-7.0, 7.0, 2801)

DEPENDENCES = ("iid", "ar.5", "ar.9", "ar.99", "season x1", "season x2", "season x4", "blocks", "scattered users")
RELATIONS = ("linear", "interaction", "step", "periodic")
SEASON_WINDOWS = 4
ROWS_OF_A_USER = 25
LARGE, MEDIUM = 1.0, 0.5
SHARES = {"balanced": (0.5, 0.5), "one in ten": (0.9, 0.1), "three": (0.5, 0.3, 0.2)}
SHIFTED = {"balanced": (0.2, 0.8), "one in ten": (0.6, 0.4), "three": (0.2, 0.2, 0.6)}


@dataclass(frozen=True)
class Event:
    """What happens, the verdicts that are right from then on, and how large it is; `medium` is half of it."""

    name: str
    family: str
    right: tuple[str, ...]
    large: str = ""
    medium: str = ""
    task: str | None = None


def _events() -> tuple[Event, ...]:
    moved, relation, broken = ("DataDrift",), ("ConceptDrift",), ("DataQuality",)
    return (
        Event("nothing", "stable", ("Stable",)),
        Event("recurring season", "stable", ("Stable",)),
        Event("mean", "covariate", moved, "a fifth of the columns by 1 sd", "0.5 sd"),
        Event("variance", "covariate", moved, "a fifth of the columns, sd x 2", "x 1.5"),
        Event("correlation", "covariate", moved, "pairs from 0.8 to -0.8", "to 0"),
        Event("one of 50", "covariate", moved, "one column of 50 by 1 sd", "0.5 sd"),
        Event("new category", "covariate", moved, "in 15 % of rows", "7.5 %"),
        Event("groups", "covariate", moved, "a group's share from 0.2 to 0.8", "to 0.5"),
        Event("gradual", "covariate", moved, "a fifth of the columns up to 1.2 sd in two windows", "0.6 sd"),
        Event("threshold", "concept", relation, "main step by 1 sd", "0.5 sd"),
        Event("flip", "concept", relation, "main coefficient x -1", "x 0"),
        Event("noise", "concept", (*relation, "PerformanceDrop"), "60 % random labels; sd x 4", "30 %; x 2.5"),
        Event("calibration", "concept", relation, "slope x 0.25", "x 0.625"),
        Event("interaction", "concept", relation, "1.5 sd of the score", "0.75 sd"),
        Event("offset", "concept", relation, "1 sd of the target", "0.5 sd", "regression"),
        Event("scale", "concept", relation, "x 1.8 about the mean", "x 1.4", "regression"),
        Event("both", "both", relation, "mean 1 sd and main coefficient x -1", "0.5 sd, x 0"),
        Event("prior", "label", ("LabelShift",), ".5 to .8, .1 to .4, .2 to .6", "half way", "classification"),
        Event("missing", "quality", broken, "40 % of one column", "20 %"),
        Event("times 1000", "quality", broken, "one column, all rows", "half of the rows"),
        Event("by 1000", "quality", broken, "one column, all rows", "half of the rows"),
        Event("inch to cm", "quality", broken, "one column x 2.54, all rows", "half of the rows"),
        Event("swapped", "quality", broken, "two columns, all rows", "half of the rows"),
        Event("shifted by one", "quality", broken, "all numbers, all rows", "half of the rows"),
        Event("frozen", "quality", broken, "all inputs, last 40 % of rows", "20 %"),
        Event("constant", "quality", broken, "one column, all rows", "last half of the rows"),
        Event("repeated", "quality", broken, "last 40 % are the 40 % before", "20 %"),
        Event("zeros", "quality", broken, "20 % of one column", "10 %"),
        Event("sentinel", "quality", broken, "-999 or 9999 in 5 % of one column", "2.5 %"),
        Event("upper case", "quality", broken, "one text, all rows", "half of the rows"),
        Event("truncated", "quality", broken, "one text to 3 letters, all rows", "half of the rows"),
        Event("kelvin", "quality", broken, "+273.15, all rows", "half of the rows"),
        Event("lost comma", "quality", broken, "x 10 or x 100 in 40 % of one column", "20 %"),
    )


EVENTS = _events()


@dataclass(frozen=True, eq=False)
class Number:
    """A numeric column: its quantile function over GRID, rounded to `decimals` if there are any to name."""

    name: str
    grid: Floats
    decimals: int | None = None

    def values(self, z: Floats) -> Floats:
        """Normal scores (n,) as values of the column."""
        x = np.interp(z, GRID, self.grid)
        return x if self.decimals is None else np.round(x, self.decimals)


@dataclass(frozen=True, eq=False)
class Text:
    """A categorical column: `cuts` on the normal score, between levels in an order of no meaning."""

    name: str
    levels: NDArray[np.str_]
    cuts: Floats
    effects: Floats

    def codes(self, z: Floats) -> NDArray[np.int64]:
        """Normal scores (n,) as indices of levels."""
        return np.searchsorted(self.cuts, z)


def number(rng: np.random.Generator, name: str, kind: str) -> Number:
    """A column with a marginal of `kind`; location and scale are drawn."""
    u = stats.norm.cdf(GRID)
    scale = float(10.0 ** rng.uniform(-2, 4))
    if kind == "temperature":
        return Number(name, stats.norm.ppf(u, rng.uniform(5, 20), rng.uniform(4, 9)), 1)
    if kind == "price":
        return Number(name, 1.0 + np.exp(rng.uniform(2, 4) + rng.uniform(0.4, 0.9) * GRID), 2)
    if kind == "gamma":
        return Number(name, stats.gamma.ppf(u, rng.uniform(0.8, 4.0)) * scale)
    if kind == "beta":
        return Number(name, stats.beta.ppf(u, *rng.uniform(0.5, 5.0, size=2)) * scale)
    if kind == "mixture":
        at = np.linspace(-9.0, 14.0, 20_001)
        share, gap = rng.uniform(0.2, 0.8), rng.uniform(2.0, 6.0)
        cdf = share * stats.norm.cdf(at) + (1 - share) * stats.norm.cdf(at, gap, rng.uniform(0.5, 1.5))
        return Number(name, np.interp(u, cdf, at) * scale)
    if kind == "zero-inflated":
        zero = rng.uniform(0.3, 0.7)
        return Number(name, np.where(u < zero, 0.0, stats.gamma.ppf((u - zero).clip(0) / (1 - zero), 1.5) * 40.0), 1)
    if kind == "count":
        return Number(name, stats.nbinom.ppf(u.clip(1e-12, 1 - 1e-9), rng.uniform(1, 8), 0.3), 0)
    if kind == "age":
        return Number(name, 18.0 + 72.0 * stats.beta.ppf(u, 1.6, 2.4), 0)
    if kind == "rating":
        cuts = np.cumsum(rng.dirichlet([1.0, 2.0, 3.0, 4.0, 3.0]))[:-1]
        return Number(name, 1.0 + np.searchsorted(cuts, u), 0)
    if kind == "student":
        return Number(name, stats.t.ppf(u.clip(1e-7, 1 - 1e-7), 3) * scale + rng.normal() * scale)
    assert kind == "normal", kind
    return Number(name, (GRID + rng.normal(0, 3)) * scale)


MARGINALS = (
    *("normal", "gamma", "beta", "mixture", "zero-inflated", "price", "temperature"),
    *("count", "age", "rating", "student"),
)


def text(rng: np.random.Generator, name: str, levels: int) -> Text:
    """A categorical column whose levels have the shares of Zipf's law, in an order that is drawn."""
    shares = 1.0 / np.arange(1, levels + 1) ** rng.uniform(0.6, 1.3)
    shares = rng.permutation(shares / shares.sum())
    names: set[str] = set()
    while len(names) < levels:
        syllables = rng.integers(2, 5)
        word = "".join(rng.choice(list("bdfgklmnprstvz")) + rng.choice(list("aeiou")) for _ in range(syllables))
        names.add(word.capitalize())
    cuts = stats.norm.ppf(np.cumsum(shares)[:-1].clip(0.0, 1.0))
    return Text(name, rng.permutation(np.array(sorted(names))), cuts, rng.normal(size=levels))


@functools.cache
def real_tables() -> dict[str, Floats]:
    """Numbers (rows, columns) of the tables that ship inside scikit-learn and river."""
    from river import datasets as river
    from sklearn import datasets

    bananas: Callable[[], Any] = river.Bananas
    tables = {
        "breast cancer": datasets.load_breast_cancer().data,
        "diabetes": datasets.load_diabetes(scaled=False).data,
        "wine": datasets.load_wine().data,
        "digits": datasets.load_digits().data,
        "banana": np.array([list(x.values()) for x, _ in bananas()], dtype=np.float64),
    }
    # Columns with fewer than four values carry no shape worth keeping here, and constants cannot be ranked.
    return {name: t[:, [len(np.unique(c)) > 3 for c in t.T]].astype(float) for name, t in tables.items()}


def real_number(name: str, values: Floats) -> Number:
    """A column with the marginal of a real one; beyond its range the quantiles go on in steps of its sd."""
    at = stats.norm.ppf((np.arange(len(values)) + 0.5) / len(values))
    grid = np.interp(GRID, at, np.sort(values))
    grid += 0.3 * values.std() * ((GRID - at[-1]).clip(0) - (at[0] - GRID).clip(0))
    whole = bool(np.all(values == np.round(values)))
    return Number(name, grid, 0 if whole else 6 - int(np.ceil(np.log10(np.abs(values).max()))))


def depend(z: Floats, kind: str, rng: np.random.Generator, carry: Floats | None) -> tuple[Floats, Floats]:
    """Innovations (n, k) as scores that depend on each other in time or by user, and the last row to go on from."""
    if kind.startswith("ar"):
        phi = float(kind.removeprefix("ar"))
        first = z[0] if carry is None else phi * carry + np.sqrt(1 - phi**2) * z[0]
        driven = np.vstack((first, np.sqrt(1 - phi**2) * z[1:]))
        z = signal.lfilter([1.0], [1.0, -phi], driven, axis=0)
    return z, z[-1]


def users(rng: np.random.Generator, kind: str, rows: int) -> NDArray[np.int64]:
    """Which user each row is of: runs of rows, or users that come and go all the time."""
    if kind == "blocks":
        lengths = rng.geometric(1.0 / ROWS_OF_A_USER, size=rows)
        return np.repeat(np.arange(rows), lengths)[:rows]
    return rng.integers(0, max(2, rows // ROWS_OF_A_USER), size=rows)


@dataclass(frozen=True, eq=False)
class Faulty:
    """Where a fault strikes: numbers and texts by name, the struck ones first; `size` 1.0 or 0.5."""

    event: str
    size: float
    struck: str
    text: str | None
    numbers: tuple[str, ...]
    pair: tuple[str, str]
    sentinel: float


def strike(fault: Faulty, columns: Columns, rng: np.random.Generator) -> None:
    """Break the delivered `columns` in place; what the target was made of has been seen before."""
    rows = len(columns[fault.struck])
    if fault.event == "frozen":
        _freeze(columns, rows - int(0.4 * fault.size * rows))
    elif fault.event in ("swapped", "shifted by one"):
        names = fault.pair if fault.event == "swapped" else fault.numbers
        some = rng.random(rows) < fault.size
        for name, other in zip(names, [columns[n].copy() for n in (*names[1:], names[0])], strict=True):
            columns[name] = np.where(some, other, columns[name])
    elif fault.event in ("upper case", "truncated"):
        assert fault.text is not None
        values = columns[fault.text].astype(str)
        broken = np.char.upper(values) if fault.event == "upper case" else values.astype("<U3")
        columns[fault.text] = np.where(rng.random(rows) < fault.size, broken, values)
    else:
        x = columns[fault.struck]
        some = rng.random(rows) < fault.size * _SHARE.get(fault.event, 1.0)
        if fault.event == "constant":
            some = np.arange(rows) >= rows * (1.0 - fault.size)
        columns[fault.struck] = np.where(some, _broken(fault, x), x)


_SHARE = {"missing": 0.4, "zeros": 0.2, "sentinel": 0.05, "lost comma": 0.4}


def _broken(fault: Faulty, x: Floats) -> Floats:
    if fault.event == "lost comma":
        # 12.5 is read as 125 and 12.55 as 1255.
        places = np.where(np.round(x, 0) == x, 0, np.where(np.round(x, 1) == x, 1, 2))
        return np.round(x * 10.0**places)
    made: dict[str, Callable[[], Floats]] = {
        "missing": lambda: np.full(len(x), np.nan),
        "times 1000": lambda: x * 1000.0,
        "by 1000": lambda: x / 1000.0,
        "inch to cm": lambda: x * 2.54,
        "constant": lambda: np.full(len(x), np.sort(x)[len(x) // 2]),
        "zeros": lambda: np.zeros(len(x)),
        "sentinel": lambda: np.full(len(x), fault.sentinel),
        "kelvin": lambda: np.round(x + 273.15, 2),
    }
    return made[fault.event]()


def _freeze(columns: Columns, last: int) -> None:
    for name in columns:
        columns[name] = columns[name].copy()
        columns[name][last:] = columns[name][last - 1]
