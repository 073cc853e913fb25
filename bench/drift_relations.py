"""Relations of readings to a target for bench/drift_structural.py: trees, sums of shapes, prototypes, products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.drift_copulas import Columns, Floats

SHAPES: tuple[Callable[[Floats], Floats], ...] = (np.sin, np.tanh, np.abs, lambda x: x * x / 2, lambda x: x)


@dataclass(eq=False)
class Relation:
    """A score of readings, of mean 0 and sd 1 on those that it was drawn for."""

    kind: str
    raw: Callable[[Floats], Floats]
    scales: dict[str, tuple[float, float]]
    effects: dict[str, dict[Any, float]]
    at: tuple[float, float] = (0.0, 1.0)

    def matrix(self, columns: Columns) -> Floats:
        """Readings (n, k), standardised by median and spread and bounded, or the effects of levels."""
        made = []
        for name, (middle, wide) in self.scales.items():
            made.append(((columns[name].astype(float) - middle) / wide).clip(-3, 3))
        for name, effect in self.effects.items():
            made.append(np.array([effect.get(level, 0.0) for level in columns[name].tolist()]))
        return np.column_stack(made)

    def score(self, columns: Columns) -> Floats:
        """The score (n,)."""
        return np.asarray((self.raw(self.matrix(columns)) - self.at[0]) / self.at[1])


def relation(rng: np.random.Generator, columns: Columns, told: list[str]) -> Relation:
    """A relation to the readings that are named."""
    numbers = [n for n in told if columns[n].dtype.kind == "f"]
    scales = {}
    for name in numbers:
        x = columns[name]
        wide = float(np.subtract(*np.quantile(x, [0.84, 0.16])) / 2) or float(x.std()) or 1.0
        scales[name] = (float(np.median(x)), wide)
    effects = {n: {v: float(rng.normal()) for v in np.unique(columns[n]).tolist()} for n in told if n not in numbers}
    kind = str(rng.choice(["tree", "shapes", "prototypes", "product", "linear"]))
    made = Relation(kind, _DRAWN[kind](rng, len(told)), scales, effects)
    raw = made.raw(made.matrix(columns))
    made.at = (float(raw.mean()), float(raw.std()) or 1.0)
    return made


def _linear(rng: np.random.Generator, k: int) -> Callable[[Floats], Floats]:
    w = rng.choice([-1.0, 1.0], size=k) * rng.uniform(0.3, 1.0, size=k)
    return lambda x: x @ w


def _product(rng: np.random.Generator, k: int) -> Callable[[Floats], Floats]:
    line, pairs = _linear(rng, k), rng.permutation(k)
    a, b = pairs[: k // 2], pairs[k // 2 : 2 * (k // 2)]
    w = rng.normal(size=len(a))
    return lambda x: np.asarray(line(x) + (x[:, a] * x[:, b]) @ w)


def _shapes(rng: np.random.Generator, k: int) -> Callable[[Floats], Floats]:
    picked = rng.integers(0, len(SHAPES), size=k)
    w = rng.choice([-1.0, 1.0], size=k) * rng.uniform(0.4, 1.0, size=k)
    return lambda x: np.asarray(sum(w[j] * SHAPES[picked[j]](1.3 * x[:, j]) for j in range(k)))


def _prototypes(rng: np.random.Generator, k: int) -> Callable[[Floats], Floats]:
    centers, heights = rng.normal(0, 1.2, size=(7, k)), rng.choice([-1.0, 1.0], size=7) * rng.uniform(1, 2, size=7)

    def raw(x: Floats) -> Floats:
        far = ((x[:, None, :] - centers) ** 2).mean(axis=2)
        return np.asarray(np.exp(-1.2 * far) @ heights)

    return raw


def _tree(rng: np.random.Generator, k: int) -> Callable[[Floats], Floats]:
    features = rng.integers(0, k, size=15)
    cuts = rng.uniform(-0.6, 0.6, size=15)
    leaves = rng.permutation(np.linspace(-2, 2, 16))

    def raw(x: Floats) -> Floats:
        at: NDArray[np.int64] = np.zeros(len(x), dtype=np.int64)
        for _ in range(4):
            right = x[np.arange(len(x)), features[at]] > cuts[at]
            at = 2 * at + 1 + right
        return np.asarray(leaves[at - 15])

    return raw


_DRAWN = {"linear": _linear, "product": _product, "shapes": _shapes, "prototypes": _prototypes, "tree": _tree}
