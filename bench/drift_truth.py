"""A world of bench/drift_evaluation.py: its columns, its target, and what an event does to either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.drift_copulas import (
    MARGINALS,
    RELATIONS,
    SEASON_WINDOWS,
    SHARES,
    SHIFTED,
    Columns,
    Event,
    Faulty,
    Floats,
    Number,
    Text,
    depend,
    number,
    real_number,
    real_tables,
    strike,
    text,
    users,
)

CLASSES = {2: ("no", "yes"), 3: ("low", "middle", "high")}
TEXT_EVENTS = ("new category", "upper case", "truncated")
OVERSAMPLED = 8
Target = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Inputs as delivered, the target, and the place of each row in the window (0 to 1)."""

    columns: Columns
    target: Target
    share: Floats


class World:
    """Draws windows in order of time: scores of one window go on where those of the window before ended."""

    def __init__(self, event: Event, size: float, dependence: str, seed: int, *, small: bool = False) -> None:
        """`small`: few rows and columns, for a test that everything can be made."""
        self.event, self.size, self.dependence, self.seed = event, size, dependence, seed
        self.rng = rng = np.random.default_rng([seed, 1])
        self.task = event.task or ("classification" if rng.random() < 0.6 else "regression")
        self.prior = str(rng.choice(list(SHARES))) if self.task == "classification" else ""
        self.relation = "step" if event.name == "threshold" else str(rng.choice(RELATIONS))
        self.rows = 500 if small else self._rows()
        self._columns(6 if small else 0)
        self._relation()
        self.sd = float(rng.choice([0.02, 1.0, 50.0, 1e4, 1e6]))
        self.center = float(rng.normal(0, 3)) * self.sd
        self.seasonal = rng.uniform(0.5, 1.2, size=self.width) * (rng.random(self.width) < 0.5)
        self.phase = rng.uniform(0, 2 * np.pi, size=self.width)
        self.carry: Floats | None = None
        self._calibrate()

    def _rows(self) -> int:
        lot = self.rng.random()
        large = self.event.name != "prior" and not self.dependence.startswith("season")
        if large and lot > 0.96:
            return 20_000 if lot > 0.985 else 8_000
        return int(self.rng.choice([500, 700, 1000, 1000, 1500, 2000, 3000]))

    def _columns(self, fixed: int) -> None:
        rng, name = self.rng, self.event.name
        k = 50 if name == "one of 50" and not fixed else fixed or int(rng.choice([5, 6, 8, 10, 12, 20, 30, 60, 100]))
        tables = {t: v for t, v in real_tables().items() if v.shape[1] > 1}
        real = not fixed and name not in ("one of 50", "correlation", *TEXT_EVENTS) and rng.random() < 0.25
        self.table = str(rng.choice(sorted(tables))) if real else ""
        if name == "kelvin" or (name == "sentinel" and rng.random() < 0.5):
            first = "temperature"
        else:
            first = "price"
        self.parts: list[Number | Text] = [number(rng, "first", first)]
        self.scores: Floats | None = None
        if self.table:
            values = tables[self.table]
            rank = stats.rankdata(values, axis=0)
            self.scores = stats.norm.ppf((rank - 0.5) / len(values))
            self.scores /= self.scores.std(axis=0)
            self.parts += [real_number(f"real{i}", column) for i, column in enumerate(values.T)]
            self.parts += [text(rng, f"text{i}", int(rng.choice([2, 5, 12, 30]))) for i in range(2)]
        else:
            texts = max(int(name in TEXT_EVENTS), round(k * rng.uniform(0, 0.4)))
            levels = [3, 5, 10, 30, 80, 200] if name in TEXT_EVENTS else [2, 3, 5, 10, 30, 80, 200]
            kinds = ["normal", *rng.choice(MARGINALS, size=max(1, k - 2 - texts))]
            self.parts += [number(rng, f"number{i}", str(kind)) for i, kind in enumerate(kinds)]
            self.parts += [text(rng, f"text{i}", int(rng.choice(levels))) for i in range(texts)]
        self.width = len(self.parts)
        self.clock = not self.table and k >= 8 and rng.random() < 0.3
        self.numeric = [i for i, part in enumerate(self.parts) if isinstance(part, Number)]
        self.texts = [i for i, part in enumerate(self.parts) if isinstance(part, Text)]
        load = rng.normal(size=(self.width, 2)) * rng.uniform(0.0, 0.9)
        self.load = load / np.sqrt(1.0 + (load**2).sum(axis=1, keepdims=True))
        count = 1 if name == "one of 50" else max(1, len(self.numeric) // 5)
        self.moved = rng.choice(self.numeric, size=count, replace=False)
        self.signs = rng.choice([-1.0, 1.0], size=count)
        order = rng.permutation(self.numeric)
        pairs = max(1, len(order) // 4)
        self.pairs = [(int(order[2 * i]), int(order[2 * i + 1])) for i in range(pairs)]

    def _relation(self) -> None:
        rng = self.rng
        self.main = int(rng.choice([i for i in self.numeric if self._continuous(i)]))
        others = rng.permutation([i for i in self.numeric if i != self.main])[:5]
        self.others = [int(i) for i in others]
        self.weights = rng.uniform(0.4, 1.0, size=len(self.others)) * rng.choice([-1.0, 1.0], size=len(self.others))
        self.cuts = rng.uniform(-0.7, 0.7, size=len(self.others))
        self.telling = self.texts[:2]

    def _continuous(self, index: int) -> bool:
        part = self.parts[index]
        assert isinstance(part, Number)
        return len(np.unique(part.values(np.linspace(-2, 2, 101)))) > 60

    def _calibrate(self) -> None:
        """Scale the score's parts to one, and cut classes such that they keep their shares whatever the relation."""
        self.main_norm, self.rest_norm, self.joint_norm = (0.0, 1.0), (0.0, 1.0), (0.0, 1.0)
        self.ranges = {}
        share = self.rng.random(6000)
        columns = self.columns(self._season(self._innovations(6000, False), share * SEASON_WINDOWS), share)
        for i in self.numeric:
            x = columns[self.parts[i].name]
            self.ranges[i] = (float(x.mean()), float(x.std()) or 1.0)
        main, rest, joint = self._terms(columns, 0.0)
        self.main_norm, self.rest_norm, self.joint_norm = [
            (float(v.mean()), float(v.std())) for v in (main, rest, joint)
        ]
        noise = self.rng.logistic(size=6000)
        self.class_cuts = {}
        for happened in (False, True):
            before = happened and self.event.name != "threshold"
            latent = 2.5 * self._score(columns, before) + noise
            shares = np.cumsum(SHARES.get(self.prior, (0.5, 0.5)))[:-1]
            self.class_cuts[happened] = np.quantile(latent, shares)

    def _innovations(self, rows: int, happened: bool) -> Floats:
        """Scores (rows, width), each standard normal, alike within a row only."""
        rng = self.rng
        own = np.sqrt(1.0 - (self.load**2).sum(axis=1))
        e = rng.normal(size=(rows, 2)) @ self.load.T + rng.normal(size=(rows, self.width)) * own
        if self.scores is not None:
            picked = self.scores[rng.integers(0, len(self.scores), size=rows)]
            e[:, 1 : 1 + picked.shape[1]] = (picked + 0.05 * rng.normal(size=picked.shape)) / np.sqrt(1.0025)
        if self.event.name == "correlation":
            r = 0.8 - (1.6 * self.size if happened else 0.0)
            for a, b in self.pairs:
                e[:, b] = r * e[:, a] + np.sqrt(1 - r**2) * rng.normal(size=rows)
        return np.asarray(e)

    def _season(self, z: Floats, window: Floats) -> Floats:
        """`window`: the place of each row in time, in windows."""
        if not self.dependence.startswith("season"):
            return z
        wave = np.sin(2 * np.pi * window[:, None] / SEASON_WINDOWS + self.phase)
        return np.asarray((z + self.seasonal * wave) / np.sqrt(1 + self.seasonal**2 / 2))

    def _moved(self, z: Floats, happened: bool, progress: Floats) -> Floats:
        name, size = self.event.name, self.size if happened else 0.0
        if name in ("mean", "one of 50", "both"):
            z[:, self.moved] += size * self.signs
        if name == "variance":
            z[:, self.moved] *= 1.0 + size
        if name == "gradual":
            z[:, self.moved] += 1.2 * size * progress[:, None] * self.signs
        if name == "groups":
            member = self.rng.random(len(z)) < 0.2 + 0.6 * size
            norm = np.sqrt(1 + 1.5**2 * 0.2 * 0.8)
            z[:, self.moved] = (z[:, self.moved] + 1.5 * (member[:, None] - 0.2) * self.signs) / norm
        return z

    def columns(self, z: Floats, share: Floats) -> Columns:
        """Scores as columns by name."""
        made: Columns = {}
        for i, part in enumerate(self.parts):
            made[part.name] = part.values(z[:, i]) if isinstance(part, Number) else part.levels[part.codes(z[:, i])]
        if self.clock:
            made["hour"] = np.round(168.0 * share, 1)
        return made

    def _standard(self, columns: Columns, index: int) -> Floats:
        mean, sd = self.ranges[index]
        return np.asarray(((columns[self.parts[index].name] - mean) / sd).clip(-3, 3))

    def _step(self, columns: Columns, index: int, at: float) -> Floats:
        part = self.parts[index]
        assert isinstance(part, Number)
        return np.where(columns[part.name] > part.values(np.array([at]))[0], 1.0, -1.0)

    def _terms(self, columns: Columns, moved: float) -> tuple[Floats, Floats, Floats]:
        """The main column's term, all others', and the interaction that an event adds; `moved` moves the main step."""
        t = [self._standard(columns, i) for i in self.others]
        main = self._standard(columns, self.main)
        rest = np.zeros(len(main))
        for number_, (w, x) in enumerate(zip(self.weights, t, strict=True)):
            if self.relation == "step":
                rest += w * self._step(columns, self.others[number_], self.cuts[number_])
            elif self.relation == "periodic":
                rest += w * (np.cos(2.0 * x) if number_ % 2 else x)
            elif self.relation == "interaction" and number_ % 2 and len(t) > 1:
                rest += 1.5 * w * x * t[number_ - 1]
            else:
                rest += w * x
        for i in self.telling:
            part = self.parts[i]
            assert isinstance(part, Text)
            effect = dict(zip(part.levels.tolist(), part.effects.tolist(), strict=True))
            rest += 0.5 * np.array([effect.get(level, 0.0) for level in columns[part.name].tolist()])
        if self.relation == "step":
            first = self._step(columns, self.main, -0.5 + moved)
        else:
            first = np.sin(2.0 * main) if self.relation == "periodic" else main
        joint = main * (t[0] if t else main)
        return first, rest, joint

    def _score(self, columns: Columns, happened: bool) -> Floats:
        """The noiseless part of the target, of about one standard deviation."""
        name, size = self.event.name, self.size if happened else 0.0
        terms = self._terms(columns, size if name == "threshold" else 0.0)
        norms = (self.main_norm, self.rest_norm, self.joint_norm)
        main, rest, joint = [(v - m) / (s or 1.0) for v, (m, s) in zip(terms, norms, strict=True)]
        if name in ("flip", "both"):
            main = main * (1.0 - 2.0 * size)
        score = (main + 0.8 * rest) / np.sqrt(1.64)
        if name == "interaction":
            score = score + 1.5 * size * joint
        if name == "calibration":
            score = score * (1.0 - 0.75 * size)
        return np.asarray(score)

    def _target(self, columns: Columns, happened: bool) -> Target:
        rng, name, size = self.rng, self.event.name, self.size if happened else 0.0
        score = self._score(columns, happened)
        if self.task == "regression":
            wide = 1.0 + 3.0 * size if name == "noise" else 1.0
            y = score + 0.3 * wide * rng.normal(size=len(score))
            y = y * (1.0 + 0.8 * size if name == "scale" else 1.0) + (size if name == "offset" else 0.0)
            return np.asarray(self.center + self.sd * y)
        latent = 2.5 * score + rng.logistic(size=len(score))
        cuts = self.class_cuts[happened]
        target = np.array(CLASSES[len(cuts) + 1])[np.searchsorted(cuts, latent)]
        if name == "noise" and happened:
            lost = np.flatnonzero(rng.random(len(target)) < 0.6 * size)
            target[lost] = target[rng.permutation(lost)]
        return target

    def draw(self, index: int, *, happened: bool, since: int) -> Drawn:
        """Window `index`; `since`: the first window of the event."""
        rng, prior = self.rng, self.event.name == "prior"
        wanted = self.rows * (OVERSAMPLED if prior else 1)
        share = (np.arange(wanted) + 0.5) / wanted
        z = self._innovations(wanted, happened)
        if self.dependence in ("blocks", "scattered users"):
            user = users(rng, self.dependence, wanted)
            z = np.sqrt(0.5) * (z + self._innovations(int(user.max()) + 1, happened)[user])
        else:
            z, self.carry = depend(z, self.dependence, rng, self.carry)
        z = self._season(z, index + share)
        z = self._moved(z, happened, (index - since + share) / 2.0)
        columns = self.columns(z, share)
        if self.event.name == "new category" and happened:
            name = self.parts[self.texts[0]].name
            columns[name] = np.where(rng.random(wanted) < 0.15 * self.size, "Unheard", columns[name].astype("<U16"))
        target = self._target(columns, happened)
        if prior:
            picked = self._thinned(target, happened)
            columns, target, share = {n: c[picked] for n, c in columns.items()}, target[picked], share[picked]
        if happened and self.event.family == "quality":
            target = self._break(columns, target)
        return Drawn(columns, target, share)

    def _thinned(self, target: Target, happened: bool) -> NDArray[np.int64]:
        """Rows with the classes' shares moved: P(inputs | class) stays as it was."""
        old = np.array(SHARES[self.prior])
        new = old + (np.array(SHIFTED[self.prior]) - old) * (self.size if happened else 0.0)
        weight = dict(zip(CLASSES[len(old)], new / old / (new / old).max(), strict=True))
        kept = np.flatnonzero(self.rng.random(len(target)) < np.array([weight[str(c)] for c in target]))
        return np.sort(self.rng.permutation(kept)[: self.rows])

    def _break(self, columns: Columns, target: Target) -> Target:
        if self.event.name == "repeated":
            again = int(0.4 * self.size * len(target))
            source = np.arange(len(target))
            source[-again:] -= again
            for name in columns:
                columns[name] = columns[name][source]
            return np.asarray(target[source])
        names = tuple(self.parts[i].name for i in self.numeric)
        texts = self.parts[self.texts[0]].name if self.texts else None
        # Fixed for the world: all windows break in the same place.
        sentinel = float(np.random.default_rng([self.seed, 2]).choice([-999.0, 9999.0]))
        pair = ("first", max(names[1:], key=lambda n: float(stats.ks_2samp(columns["first"], columns[n]).statistic)))
        strike(Faulty(self.event.name, self.size, "first", texts, names, pair, sentinel), columns, self.rng)
        return target
