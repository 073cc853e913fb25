"""Structural worlds for bench/drift_evaluation.py: inputs that cause each other, seen through instruments.

A node is a function of its parents plus a disturbance; what is delivered is a reading of it: a real number, money, a
count, a percentage, a flag, a grade, a choice among levels. Events strike disturbances, mechanisms, the relation of
readings to target, or what is delivered. The target follows from readings before anything breaks, so that an event
which moves inputs leaves the relation where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal, stats

from bench.drift_copulas import LARGE, MEDIUM, SEASON_WINDOWS, Columns, Event, Floats
from bench.drift_relations import Relation, relation
from bench.drift_truth import Drawn, Target

__all__ = ["DEPENDENCES", "EVENTS", "LARGE", "MEDIUM", "Structural"]

DEPENDENCES = ("iid", "ar.3", "ar.8", "ar.95", "regimes", "daily", "season x2", "season x3", "devices", "sessions")
PRIORS = {
    "even": (0.5, 0.5),
    "one in five": (0.8, 0.2),
    "one in twenty": (0.95, 0.05),
    "five": (0.3, 0.3, 0.2, 0.1, 0.1),
}
PRIORS_AFTER = {
    "even": (0.2, 0.8),
    "one in five": (0.4, 0.6),
    "one in twenty": (0.75, 0.25),
    "five": (0.1, 0.1, 0.2, 0.3, 0.3),
}
OVERSAMPLED = 10
CALIBRATION = 6000


def _events() -> tuple[Event, ...]:
    moved, relation_, broken = ("DataDrift",), ("ConceptDrift",), ("DataQuality",)
    either = (*relation_, "PerformanceDrop")
    return (
        Event("nothing", "stable", ("Stable",)),
        Event("recurring season", "stable", ("Stable",)),
        Event("mean", "covariate", moved, "disturbances of a fifth of the nodes by 1 sd", "0.5 sd"),
        Event("spread", "covariate", moved, "disturbances of a fifth of the nodes x 2", "x 1.5"),
        Event("mechanism", "covariate", moved, "a third of the inputs follow their parents x -1", "x 0"),
        Event("selection", "covariate", moved, "rows of one region, exp(1.2 z)", "exp(0.6 z)"),
        Event("one of 80", "covariate", moved, "one of 80 by 1 sd", "0.5 sd"),
        Event("mix", "covariate", moved, "odds of one level x 7.4", "x 2.7"),
        Event("new level", "covariate", moved, "in 15 % of rows", "7.5 %"),
        Event("gradual", "covariate", moved, "a fifth of the nodes up to 1.2 sd in two windows", "0.6 sd"),
        Event("subgroup", "concept", relation_, "the score's sign in half of the inputs' space", "in a quarter"),
        Event("replaced", "concept", relation_, "another relation", "half old, half new"),
        Event("bias", "concept", relation_, "the last class's logit + 1.5", "+ 0.75", "classification"),
        Event("influence", "concept", relation_, "the strongest input says nothing", "in half of the rows"),
        Event("noise", "concept", either, "half of the labels at random; noise x 4", "a quarter; x 2.5"),
        Event("mix-up", "concept", either, "two classes exchanged in 60 % of the rows", "30 %", "classification"),
        Event("offset", "concept", relation_, "1 sd of the target", "0.5 sd", "regression"),
        Event("stretch", "concept", relation_, "x 1.8 about the mean", "x 1.4", "regression"),
        Event("both", "both", relation_, "mean 1 sd and another relation", "0.5 sd, half new"),
        Event("prior", "label", ("LabelShift",), "classes' shares far", "half way", "classification"),
        Event("missing", "quality", broken, "40 % of one column", "20 %"),
        Event("thousandfold", "quality", broken, "one column, all rows", "half of the rows"),
        Event("thousandth", "quality", broken, "one column, all rows", "half of the rows"),
        Event("miles to km", "quality", broken, "one column x 1.609344, all rows", "half of the rows"),
        Event("fahrenheit", "quality", broken, "one temperature, all rows", "half of the rows"),
        Event("swapped", "quality", broken, "two columns, all rows", "half of the rows"),
        Event("moved along", "quality", broken, "all numbers one column on, all rows", "half of the rows"),
        Event("frozen", "quality", broken, "all inputs, last 40 % of rows", "20 %"),
        Event("stuck", "quality", broken, "one column, all rows", "last half of the rows"),
        Event("sent twice", "quality", broken, "40 % of the rows", "20 %"),
        Event("yesterday's", "quality", broken, "the rows of the window before", "half of them"),
        Event("zeros", "quality", broken, "20 % of one column", "10 %"),
        Event("sentinel", "quality", broken, "-1, -9999 or 99999 in 5 % of one column", "2.5 %"),
        Event("lower case", "quality", broken, "one text, all rows", "half of the rows"),
        Event("cut short", "quality", broken, "one text to 2 letters, all rows", "half of the rows"),
        Event("blanks", "quality", broken, "a blank behind one text, all rows", "half of the rows"),
    )


EVENTS = _events()
OF_TEXTS = ("mix", "new level", "lower case", "cut short", "blanks")
DISTURBANCES: dict[str, Callable[[Floats], Floats]] = {
    "normal": lambda u: np.asarray(stats.norm.ppf(u)),
    "laplace": lambda u: np.asarray(stats.laplace.ppf(u) / np.sqrt(2)),
    "t5": lambda u: np.asarray(stats.t.ppf(u, 5) / np.sqrt(5 / 3)),
    "uniform": lambda u: np.asarray((u - 0.5) * np.sqrt(12)),
    "exponential": lambda u: np.asarray(stats.expon.ppf(u) - 1.0),
    "two humps": lambda u: np.asarray(
        np.where(u < 0.5, -1.0, 1.0) * 0.8 + 0.6 * stats.norm.ppf((2 * u) % 1.0 * 0.998 + 0.001)
    ),
}
LINKS: dict[str, Callable[[Floats], Floats]] = {
    "linear": lambda x: x,
    "bend": lambda x: np.tanh(1.5 * x),
    "step": lambda x: np.where(x > 0.2, 1.0, -1.0),
    "square": lambda x: x * x.clip(-3, 3) / 2,
}
READINGS = (
    "real",
    "real",
    "rounded",
    "positive",
    "money",
    "count",
    "percent",
    "flag",
    "grade",
    "celsius",
    "choice",
    "choice",
)


@dataclass(eq=False)
class Node:
    """A cause among the inputs, how it follows its parents, and how it is read."""

    name: str
    parents: NDArray[np.int64]
    weights: Floats
    link: str
    disturbance: str
    share: float
    reading: str
    scale: float
    center: float
    levels: NDArray[Any]
    pull: Floats
    lean: Floats
    missing: float
    at: tuple[float, float] = (0.0, 1.0)

    def read(self, value: Floats, rng: np.random.Generator, odds: float = 0.0) -> NDArray[Any]:
        """Standardised values (n,) as what is delivered; `odds`: what is added to the first level's log odds."""
        n = len(value)
        if self.reading == "choice":
            logits = self.pull + np.outer(value, self.lean)
            logits[:, 0] += odds
            return np.asarray(self.levels[(logits + rng.gumbel(size=logits.shape)).argmax(axis=1)])
        made: dict[str, Callable[[], Floats]] = {
            "real": lambda: self.center + self.scale * value,
            "rounded": lambda: np.round(self.center + 20.0 * value, 1),
            "positive": lambda: self.scale * np.exp(0.6 * value),
            "money": lambda: np.round(np.exp(3.0 + 0.8 * value), 2),
            "count": lambda: rng.poisson(np.exp(1.0 + 0.6 * value.clip(-6, 6))).astype(float),
            "percent": lambda: np.round(100.0 / (1.0 + np.exp(-value)), 2),
            "flag": lambda: (value + rng.logistic(0, 0.4, size=n) > self.center / 10.0).astype(float),
            "grade": lambda: np.clip(np.round(3.0 + value), 1, 5),
            "celsius": lambda: np.round(12.0 + 7.0 * value, 1),
        }
        return made[self.reading]()


class Structural:
    """Draws windows in order of time; the same seed draws the same."""

    table = ""

    def __init__(self, event: Event, size: float, dependence: str, seed: int, *, small: bool = False) -> None:
        """`small`: few rows and columns, for a test that everything can be made."""
        self.event, self.size, self.dependence, self.seed = event, size, dependence, seed
        self.rng = rng = np.random.default_rng([seed, 71])
        self.task = event.task or ("classification" if rng.random() < 0.6 else "regression")
        self.prior = str(rng.choice(list(PRIORS))) if self.task == "classification" else ""
        self.sd = float(10.0 ** rng.uniform(-3, 6))
        self.center = float(rng.normal(0, 2)) * self.sd
        self.skewed = bool(rng.random() < 0.3)
        self.rows = 500 if small else self._rows()
        self._graph(7 if small else 0)
        self._moves()
        self.carry: Floats | None = None
        self.regime = 0
        self.before: tuple[Columns, Target] | None = None
        self.offsets = rng.normal(size=(int(rng.integers(30, 200)), self.width))
        self._calibrate()

    def _rows(self) -> int:
        season = self.dependence.startswith("season")
        if not season and self.event.name != "prior" and self.rng.random() > 0.96:
            return 15_000
        return int(self.rng.choice([500, 600, 800, 1000, 1200, 2000, 2500, 4000]))

    def _graph(self, fixed: int) -> None:
        rng, name = self.rng, self.event.name
        many = 80 if name == "one of 80" else int(rng.choice([5, 6, 7, 9, 12, 15, 25, 40, 100]))
        self.width = width = fixed or many
        self.nodes: list[Node] = []
        for i in range(width):
            count = 0 if i == 0 or rng.random() < 0.25 else int(min(i, rng.integers(1, 4)))
            parents = rng.choice(i, size=count, replace=False) if count else np.zeros(0, dtype=np.int64)
            levels = int(rng.choice([2, 4, 7, 15, 40]))
            reading = str(rng.choice(READINGS))
            if i == 0:
                reading = "celsius" if name == "fahrenheit" else str(rng.choice(["real", "positive", "money"]))
            if i == 1:
                reading = "choice" if name in OF_TEXTS else "real"
            self.nodes.append(
                Node(
                    name=f"{reading}_{i}",
                    parents=parents,
                    weights=rng.choice([-1.0, 1.0], size=count) * rng.uniform(0.5, 1.0, size=count),
                    link=str(rng.choice(list(LINKS))),
                    disturbance=str(rng.choice(list(DISTURBANCES))),
                    share=float(rng.uniform(0.3, 0.9)) if count else 1.0,
                    reading=reading,
                    scale=float(10.0 ** rng.uniform(-3, 5)),
                    center=float(rng.normal(0, 10)),
                    levels=_words(rng, levels),
                    pull=rng.normal(0, 1.0, size=levels),
                    lean=rng.normal(0, 0.8, size=levels),
                    missing=0.0,
                )
            )
        self.numbers = [i for i, node in enumerate(self.nodes) if node.reading != "choice"]
        self.texts = [i for i, node in enumerate(self.nodes) if node.reading == "choice"]

    def _moves(self) -> None:
        """Who is struck: drawn once, so that all windows after the event agree."""
        rng = self.rng
        count = 1 if self.event.name == "one of 80" else max(1, len(self.numbers) // 5)
        self.moved = rng.choice(self.numbers, size=count, replace=False)
        self.signs = rng.choice([-1.0, 1.0], size=count)
        followers = [
            i for i, node in enumerate(self.nodes) if len(node.parents) and node.reading in ("real", "rounded")
        ]
        if self.event.name == "mechanism" and not followers:
            last = self.nodes[-1]
            last.reading, last.parents, last.weights, last.share = "real", np.array([0]), np.array([1.0]), 0.4
            last.link, last.name = "linear", f"real_{self.width - 1}"
            self.numbers = sorted({*self.numbers, self.width - 1})
            self.texts = [i for i in self.texts if i != self.width - 1]
            followers = [self.width - 1]
        self.followers = set(rng.permutation(followers)[: max(1, self.width // 3)].tolist())
        for i in self.followers if self.event.name == "mechanism" else ():
            # A square hides its sign, and what its parents say little of shows no change.
            self.nodes[i].link, self.nodes[i].share = "linear", min(self.nodes[i].share, 0.5)
        self.phase = rng.uniform(0, 2 * np.pi, size=self.width)
        self.swing = rng.uniform(0.4, 1.0, size=self.width) * (rng.random(self.width) < 0.5)

    def _calibrate(self) -> None:
        """Standardise nodes, draw the relation on readings, and set the classes' shares."""
        rng = self.rng
        u = rng.random((CALIBRATION, self.width))
        columns = self._read(self._nodes(u, happened=False, first=True), happened=False)
        names = [self.nodes[i].name for i in range(self.width)]
        told = rng.permutation(names)[:6].tolist()
        told += [n for n in (names[0],) if n not in told]
        self.relations: list[Relation] = []
        self.priors = np.array(PRIORS.get(self.prior, (0.5, 0.5)))
        wanted = len(self.priors) - 1 if self.task == "classification" else 1
        self.relations = [relation(rng, columns, told) for _ in range(wanted)]
        self.others = [relation(rng, columns, told) for _ in range(wanted)]
        self.relation = self.relations[0].kind
        spread = [
            [float(np.std(r.score(_shuffled(columns, n, rng)) - r.score(columns))) for n in told]
            for r in self.relations
        ]
        self.strongest = told[int(np.argmax(np.sum(spread, axis=0)))]
        self.border = self._borders(columns)
        for node in self.nodes:
            if node.name not in told and node.name != names[1] and rng.random() < 0.3:
                node.missing = float(rng.uniform(0.01, 0.08))
        self.bias = np.zeros(len(self.priors))
        if self.task == "classification":
            for _ in range(60):
                self.bias += np.log(self.priors / self._odds(self._scores(columns, happened=False)).mean(axis=0))

    def _borders(self, columns: Columns) -> float:
        x = columns[self._divider()]
        return float(np.quantile(x, 1.0 - 0.5 * self.size))

    def _divider(self) -> str:
        return self.nodes[0].name

    def _uniforms(self, rows: int, share: Floats, index: int) -> Floats:
        """Disturbances (rows, width) as uniform numbers, alike in time as the world's dependence says."""
        rng, kind = self.rng, self.dependence
        z = rng.normal(size=(rows, self.width))
        if kind.startswith("ar"):
            phi = float(kind.removeprefix("ar"))
            root = np.sqrt(1 - phi**2)
            first = z[:1] if self.carry is None else phi * self.carry + root * z[:1]
            z = signal.lfilter([1.0], [1.0, -phi], np.vstack((first, root * z[1:])), axis=0)
            self.carry = z[-1]
        elif kind == "regimes":
            turns = rng.random(rows) < 15.0 / rows
            state = (self.regime + np.cumsum(turns)) % 2
            self.regime = int(state[-1])
            z = (z + 0.7 * (2.0 * state[:, None] - 1.0) * np.sign(self.swing)) / np.sqrt(1 + 0.49 * np.sign(self.swing))
        elif kind == "daily" or kind.startswith("season"):
            turns_ = 7.0 * share if kind == "daily" else (index + share) / SEASON_WINDOWS
            wave = np.sin(2 * np.pi * turns_[:, None] + self.phase)
            z = (z + self.swing * wave) / np.sqrt(1 + self.swing**2 / 2)
        elif kind == "devices":
            z = np.sqrt(0.6) * z + np.sqrt(0.4) * self.offsets[rng.integers(0, len(self.offsets), size=rows)]
        elif kind == "sessions":
            session = np.repeat(np.arange(rows), rng.geometric(0.1, size=rows))[:rows]
            z = np.sqrt(0.6) * z + np.sqrt(0.4) * rng.normal(size=(rows, self.width))[session]
        return np.asarray(stats.norm.cdf(z).clip(1e-9, 1 - 1e-9))

    def _nodes(self, u: Floats, *, happened: bool, first: bool = False, progress: Floats | None = None) -> Floats:
        """Values (n, width) of the nodes, of mean 0 and sd 1 before anything happens."""
        name, size = self.event.name, self.size if happened else 0.0
        values = np.zeros_like(u)
        struck = {int(i): s for i, s in zip(self.moved, self.signs, strict=True)}
        for i, node in enumerate(self.nodes):
            noise = DISTURBANCES[node.disturbance](u[:, i])
            if i in struck and name in ("mean", "one of 80", "both"):
                noise = noise + size * struck[i] / np.sqrt(node.share)
            if i in struck and name == "gradual" and progress is not None:
                noise = noise + 1.2 * size * progress * struck[i] / np.sqrt(node.share)
            if i in struck and name == "spread":
                noise = noise * (1.0 + size)
            drawn = np.sqrt(node.share) * noise
            if len(node.parents):
                sign = 1.0 - 2.0 * size if name == "mechanism" and i in self.followers else 1.0
                pulled = LINKS[node.link](values[:, node.parents] @ node.weights / np.sqrt(len(node.parents)))
                if first:
                    node.at = (float(pulled.mean()), float(pulled.std()) or 1.0)
                drawn = drawn + np.sqrt(1 - node.share) * sign * (pulled - node.at[0]) / node.at[1]
            values[:, i] = drawn
        return values

    def _read(self, values: Floats, *, happened: bool) -> Columns:
        columns: Columns = {}
        for i, node in enumerate(self.nodes):
            odds = 2.0 * self.size if happened and self.event.name == "mix" and i == 1 else 0.0
            columns[node.name] = node.read(values[:, i], self.rng, odds)
        return columns

    def _scores(self, columns: Columns, *, happened: bool) -> Floats:
        """Scores (n, relations) of sd 1, as the relation of the time has them."""
        name, size = self.event.name, self.size if happened else 0.0
        seen = columns
        if name == "influence" and happened:
            lost = self.rng.random(len(columns[self.strongest])) < size
            other = _shuffled(columns, self.strongest, self.rng)[self.strongest]
            seen = {**columns, self.strongest: np.where(lost, other, columns[self.strongest])}
        scores = np.column_stack([r.score(seen) for r in self.relations])
        if name in ("replaced", "both") and happened:
            new = np.column_stack([r.score(seen) for r in self.others])
            scores = ((1 - size) * scores + size * new) / np.sqrt((1 - size) ** 2 + size**2)
        if name == "subgroup" and happened:
            scores = np.where((columns[self._divider()] > self.border)[:, None], -scores, scores)
        return scores

    def _odds(self, scores: Floats) -> Floats:
        logits = np.column_stack((np.zeros(len(scores)), 2.2 * scores)) + self.bias
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def _target(self, columns: Columns, *, happened: bool) -> Target:
        rng, name, size = self.rng, self.event.name, self.size if happened else 0.0
        scores = self._scores(columns, happened=happened)
        n = len(scores)
        if self.task == "regression":
            wide = (1.0 + 3.0 * size if name == "noise" else 1.0) * 0.3 * (1.0 + 0.5 * (scores[:, 0] > 0))
            y = scores[:, 0] + wide * rng.normal(size=n)
            y = y * (1.0 + 0.8 * size if name == "stretch" else 1.0) + (size if name == "offset" else 0.0)
            return np.asarray(self.sd * np.exp(0.5 * y) if self.skewed else self.center + self.sd * y)
        p = self._odds(scores)
        if name == "bias" and happened:
            p[:, -1] *= np.exp(1.5 * size)
            p /= p.sum(axis=1, keepdims=True)
        codes = (p.cumsum(axis=1) < rng.random(n)[:, None] * 0.9999999).sum(axis=1)
        if name == "noise" and happened:
            lost = np.flatnonzero(rng.random(n) < 0.5 * size)
            codes[lost] = codes[rng.permutation(lost)]
        if name == "mix-up" and happened:
            mixed = rng.random(n) < 0.6 * size
            codes = np.where(mixed & (codes < 2), 1 - codes, codes)
        names = ("no", "yes") if len(self.priors) == 2 else tuple(f"class {c}" for c in "ABCDE")
        return np.array(names)[codes]

    def draw(self, index: int, *, happened: bool, since: int) -> Drawn:
        """Window `index`; `since`: the first window of the event."""
        rng, name = self.rng, self.event.name
        thinned = name == "prior" or (name == "selection")
        rows = self.rows * (OVERSAMPLED if thinned else 1)
        share = (np.arange(rows) + 0.5) / rows
        progress = (index - since + share) / 2.0
        values = self._nodes(self._uniforms(rows, share, index), happened=happened, progress=progress)
        columns = self._read(values, happened=happened)
        if name == "new level" and happened:
            text = self.nodes[1].name
            columns[text] = np.where(rng.random(rows) < 0.15 * self.size, "Never seen", columns[text].astype("<U20"))
        target = self._target(columns, happened=happened)
        if thinned:
            picked = self._picked(values, target, happened)
            columns, target, share = {n: c[picked] for n, c in columns.items()}, target[picked], share[picked]
        for node in self.nodes:
            if node.missing:
                gone = rng.random(len(target)) < node.missing
                empty: Any = None if node.reading == "choice" else np.nan
                columns[node.name] = np.where(gone, empty, columns[node.name])
        if happened and self.event.family == "quality":
            target = self._break(columns, target)
        # As it was delivered: what comes again has come before.
        self.before = (dict(columns), target)
        return Drawn(columns, target, share)

    def _picked(self, values: Floats, target: Target, happened: bool) -> NDArray[np.int64]:
        """Rows by their region or by their class, in order of time."""
        size, rng = self.size if happened else 0.0, self.rng
        if self.event.name == "selection":
            weight = np.exp(1.2 * size * values[:, int(self.moved[0])].clip(-2.5, 2.5))
        else:
            new = self.priors + (np.array(PRIORS_AFTER[self.prior]) - self.priors) * size
            ratio = dict(zip(sorted(set(target.tolist())), new / self.priors, strict=True))
            weight = np.array([ratio[str(c)] for c in target])
        keys = rng.exponential(size=len(weight)) / weight
        return np.sort(np.argsort(keys)[: self.rows])

    def _break(self, columns: Columns, target: Target) -> Target:
        """Break what is delivered in place; what repeats takes its labels along."""
        name, size, rng, n = self.event.name, self.size, self.rng, len(target)
        source = np.arange(n)
        if name == "sent twice":
            source = np.sort(np.concatenate((source[: n - int(0.4 * size * n)], source[: int(0.4 * size * n)])))
        if name == "frozen":
            last = n - int(0.4 * size * n)
            for column in columns:
                columns[column] = np.concatenate(
                    (columns[column][:last], np.repeat(columns[column][last - 1 : last], n - last))
                )
        elif name == "yesterday's":
            assert self.before is not None
            old, labels = self.before
            some = np.arange(n) < size * n
            for column in columns:
                columns[column] = np.where(some, old[column], columns[column])
            return np.where(some, labels, target)
        elif name == "sent twice":
            for column in columns:
                columns[column] = columns[column][source]
            return np.asarray(target[source])
        elif name in ("swapped", "moved along"):
            self._exchange(columns, rng.random(n) < size)
        elif name in ("lower case", "cut short", "blanks"):
            text = self.nodes[1].name
            broken = {
                "lower case": lambda v: v.lower(),
                "cut short": lambda v: v[:2],
                "blanks": lambda v: v + " ",
            }[name]
            some = rng.random(n) < size
            columns[text] = np.array([broken(v) if s else v for v, s in zip(columns[text].tolist(), some, strict=True)])
        else:
            self._overwrite(columns, n)
        return target

    def _exchange(self, columns: Columns, some: NDArray[np.bool_]) -> None:
        names = [self.nodes[i].name for i in self.numbers]
        if self.event.name == "swapped":
            first = columns[names[0]]
            far = [float(stats.ks_2samp(first, columns[n], nan_policy="omit").statistic) for n in names[1:]]
            names = [names[0], names[1 + int(np.argmax(far))]]
        turned = [columns[n].copy() for n in (*names[1:], names[0])]
        for column, other in zip(names, turned, strict=True):
            columns[column] = np.where(some, other, columns[column])

    def _overwrite(self, columns: Columns, n: int) -> None:
        name, size, rng = self.event.name, self.size, self.rng
        column = self.nodes[0].name
        x = columns[column].astype(float)
        shares = {"missing": 0.4, "zeros": 0.2, "sentinel": 0.05}
        some = rng.random(n) < size * shares.get(name, 1.0)
        if name == "stuck":
            some = np.arange(n) >= n * (1.0 - size)
        # Fixed for the world: all windows break alike.
        sentinel = float(np.random.default_rng([self.seed, 72]).choice([-1.0, -9999.0, 99999.0]))
        made: dict[str, Callable[[], Floats]] = {
            "missing": lambda: np.full(n, np.nan),
            "thousandfold": lambda: x * 1000.0,
            "thousandth": lambda: x / 1000.0,
            "miles to km": lambda: x * 1.609344,
            "fahrenheit": lambda: np.round(x * 1.8 + 32.0, 1),
            "stuck": lambda: np.full(n, np.median(x)),
            "zeros": lambda: np.zeros(n),
            "sentinel": lambda: np.full(n, sentinel),
        }
        columns[column] = np.where(some, made[name](), x)


def _words(rng: np.random.Generator, count: int) -> NDArray[np.str_]:
    made: set[str] = set()
    while len(made) < count:
        made.add(
            "".join(
                rng.choice(list("AEIOU")) + rng.choice(list("bcdlmnrst")) for _ in range(int(rng.integers(2, 5)))
            ).title()
        )
    return rng.permutation(np.array(sorted(made)))


def _shuffled(columns: Columns, name: str, rng: np.random.Generator) -> Columns:
    return {**columns, name: rng.permutation(columns[name])}
