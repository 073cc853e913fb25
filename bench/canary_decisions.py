"""How often does the analysis of a canary decide wrongly, and how soon does it decide rightly?

    python bench/canary_decisions.py --criterion errorRate --canaries 500
    python bench/canary_decisions.py --criterion metric --canaries 20 --seeds development

Canaries of known truth are played: requests come, and after 1m, 2m30s and so on, each time half as long again, at most
an hour apart, 30 times, each criterion is judged by the code of the program. One that is decided ends. Evaluation seeds
were not looked at while bounds were made; what was tried was tried on development seeds. Prints Markdown.

Wrong: Failed though the limit is kept, Successful though it is broken; at the limit either.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from mlops.api.canary import AnalysisOutcome, MetricCriterion, PredictionDriftCriterion
from mlops.statistics.proportion import difference_bounds
from mlops.statistics.quantile_ratio import ratio_bounds
from mlops.statistics.special import normal_isf, normal_sf
from mlops.statistics.spending import spent_at
from mlops.workloads.analysis.answers import Answers, RowsOfBoth
from mlops.workloads.analysis.counts import BOUNDS, Counted, counted
from mlops.workloads.analysis.finding import Found, outcome_of
from mlops.workloads.analysis.measuring import ComparableModels
from mlops.workloads.analysis.rows import judge_distance, judge_metric
from mlops.workloads.floor.records.layout import LABEL, PREDICTION, PROBABILITY
from mlops.workloads.floor.records.tally import BUCKETS, FIRST_SECONDS, GROWTH, Tally

ALPHA = 0.05
LOOKS = 30
SEEDS = {"development": 1, "evaluation": 2, "again": 3}
CLASSES = ("no", "yes")
Rng = np.random.Generator


@dataclass(frozen=True)
class Case:
    """A canary of known truth. `truth`: does it keep the limit, break it, or is it exactly at it (None)?

    `make` starts a canary: it is asked once per judgement, with the candidate's requests so far and the tail.
    """

    criterion: str
    name: str
    truth: bool | None
    per_minute: float
    make: Callable[[Rng, float], Callable[[int, float, int], AnalysisOutcome]]


def minutes() -> Iterator[float]:
    """Yield when each judgement comes."""
    pause, at = 1.0, 0.0
    for _ in range(LOOKS):
        at += pause
        pause = min(60.0, 1.5 * pause)
        yield at


class Flushes:
    """What servers counted of both versions, in files of six seconds or more."""

    def __init__(
        self, rng: Rng, weight: float, count: Callable[[Rng, int, int, bool], Tally], half_from: int | None = None
    ) -> None:
        self._rng, self._weight, self._count, self._half_from = rng, weight, count, half_from
        self._asked = [0, 0]
        self._files: list[list[Tally]] = [[], []]

    def grow(self, requests: int) -> Counted:
        """Return what is counted when the candidate was asked so often; from so many on it is asked half of all."""
        later = self._half_from is not None and requests > self._half_from
        for arm, growth in enumerate((1.0 if later else (1.0 - self._weight) / self._weight, 1.0)):
            before = self._asked[arm]
            wanted = before + round(growth * (requests - self._asked[1])) if arm == 0 else requests
            edges = [before + (wanted - before) * part // 10 for part in range(11)]
            self._files[arm] += [self._count(self._rng, arm, last - first, later) for first, last in pairwise(edges)]
            self._asked[arm] = wanted
        return counted(self._files[0], self._files[1])


def errors(
    stable: float,
    candidate: float,
    limit: float,
    weight: float,
    group: int = 1,
    *,
    half_from: int | None = None,
    later: float = 0.0,
) -> Callable[..., Any]:
    """Requests that fail with these probabilities, `group` of them together; both with the probability `later` from
    when on half of them go to the candidate."""

    def count(rng: Rng, arm: int, asked: int, is_later: bool) -> Tally:
        chance = later if is_later else (stable, candidate)[arm]
        # Groups end in the file in which they began.
        failed = min(asked, group * int(rng.binomial(asked, chance / group)))
        return Tally("", asked - failed, failed)

    def make(rng: Rng, _: float) -> Callable[[int, float, int], AnalysisOutcome]:
        flushes = Flushes(rng, weight, count, half_from)

        def judged(requests: int, tail: float, _: int) -> AnalysisOutcome:
            found = flushes.grow(requests)
            if not min(found.asked.values()):
                return "Inconclusive"
            low, high = difference_bounds(found.stable.failures, found.candidate.failures, tail)
            return outcome_of(Found(low, high), limit)

        return judged

    return make


def times(slower: float, limit: float, weight: float, spread: float = 0.5, group: int = 1) -> Callable[..., Any]:
    """Log-normal times of 5 ms in the middle, `group` of them alike; the candidate's are so many times as long."""

    def count(rng: Rng, arm: int, asked: int, _: bool) -> Tally:
        tally = Tally("", asked)
        logs = np.repeat(rng.normal(0.0, spread, -(-asked // group)), group)[:asked]
        seconds = 0.005 * (1.0, slower)[arm] * np.exp(logs)
        buckets = np.ceil(np.log(seconds / FIRST_SECONDS) / np.log(GROWTH)).astype(np.int64)
        tally.seconds.update(np.clip(buckets, 0, BUCKETS - 1).tolist())
        return tally

    def make(rng: Rng, _: float) -> Callable[[int, float, int], AnalysisOutcome]:
        flushes = Flushes(rng, weight, count)

        def judged(requests: int, tail: float, _: int) -> AnalysisOutcome:
            found = flushes.grow(requests)
            arms = (found.stable, found.candidate)
            if not min(found.asked.values()):
                return "Inconclusive"
            bursts = (arms[0].bursts_of_slowness(0.99), arms[1].bursts_of_slowness(0.99))
            low, high = ratio_bounds(arms[0].times, arms[1].times, BOUNDS, 0.99, tail, bursts)[2:]
            return outcome_of(Found(low, high), limit)

        return judged

    return make


class Rows:
    """Rows of both versions that grow."""

    def __init__(self, rng: Rng, weight: float, draw: Callable[[Rng, int], tuple[pl.DataFrame, pl.DataFrame]]) -> None:
        self._rng, self._weight, self._draw = rng, weight, draw
        self.arms: list[list[pl.DataFrame]] = [[], []]
        self._sizes = [0, 0]

    def grow(self, requests: int, *, paired: bool) -> RowsOfBoth:
        """Return the rows when the candidate has so many."""
        number = requests if paired else round(requests * (1.0 - self._weight) / self._weight)
        for arm, wanted in enumerate((number, requests)):
            more = wanted - self._sizes[arm]
            self._sizes[arm] = wanted
            if more <= 0:
                continue
            drawn = self._draw(self._rng, more)
            if not paired:
                self.arms[arm].append(drawn[arm])
            elif arm == 0:
                for each, rows in zip(self.arms, drawn, strict=True):
                    each.append(rows)
        found = [pl.concat(each) if each else pl.DataFrame() for each in self.arms]
        return RowsOfBoth(found[0], found[1])


NOTHING = RowsOfBoth(pl.DataFrame({PREDICTION: []}), pl.DataFrame({PREDICTION: []}))


def metric(
    name: str,
    draw: Callable[[Rng, int], tuple[pl.DataFrame, pl.DataFrame]],
    limit: float,
    weight: float = 0.5,
    *,
    paired: bool = False,
    regression: bool = False,
) -> Callable[..., Any]:
    """Labelled rows, judged by the program."""
    measured = ComparableModels(
        "regression" if regression else "classification", () if regression else CLASSES, name, (), ((), ())
    )

    def make(rng: Rng, seed: float) -> Callable[[int, float, int], AnalysisOutcome]:
        rows = Rows(rng, weight, draw)

        def judged(requests: int, tail: float, number: int) -> AnalysisOutcome:
            grown = rows.grow(requests, paired=paired)
            if not min(grown.sizes):
                return "Inconclusive"
            answers = Answers(NOTHING, NOTHING, NOTHING if paired else grown, grown if paired else NOTHING)
            criterion = MetricCriterion(max_loss=f"{limit:.9f}")
            return judge_metric(answers, measured, criterion, tail, int(1000 * seed) + number).outcome

        return judged

    return make


def distance(
    draw: Callable[[Rng, int], tuple[pl.DataFrame, pl.DataFrame]],
    limit: float,
    weight: float = 0.5,
    *,
    classes: tuple[str, ...] = (),
    paired: bool = False,
) -> Callable[..., Any]:
    """Answers, judged by the program."""
    measured = ComparableModels("classification" if classes else "regression", classes, None, (), ((), ()))

    def make(rng: Rng, _: float) -> Callable[[int, float, int], AnalysisOutcome]:
        rows = Rows(rng, weight, draw)

        def judged(requests: int, tail: float, _: int) -> AnalysisOutcome:
            grown = rows.grow(requests, paired=paired)
            if not min(grown.sizes):
                return "Inconclusive"
            answers = Answers(NOTHING if paired else grown, grown if paired else NOTHING, NOTHING, NOTHING)
            return judge_distance(
                answers, measured, PredictionDriftCriterion(max_distance=f"{limit:.6f}"), tail
            ).outcome

        return judged

    return make


def right(first: float, second: float) -> Callable[[Rng, int], tuple[pl.DataFrame, pl.DataFrame]]:
    """Answers that are right with these probabilities, on the same rows."""

    def draw(rng: Rng, rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        truth = rng.uniform(size=rows) < 0.4
        # What is hard for one model is hard for the other: only as much as they must do they differ.
        hard = rng.uniform(size=rows)
        return _said(truth, hard < first), _said(truth, hard < second)

    return draw


def _said(truth: np.ndarray[Any, Any], is_right: np.ndarray[Any, Any]) -> pl.DataFrame:
    return pl.DataFrame({LABEL: _names(truth), PREDICTION: _names(truth == is_right)})


def _names(is_second: np.ndarray[Any, Any]) -> list[str]:
    return np.where(is_second, CLASSES[1], CLASSES[0]).tolist()


def scores(first: float, second: float, group: int = 1) -> Callable[[Rng, int], tuple[pl.DataFrame, pl.DataFrame]]:
    """Scores whose means of the classes are so far apart, in standard deviations; users of `group` rows share theirs.

    The area under the curve is that of the normal law: Phi(d / sqrt(2)).
    """

    def draw(rng: Rng, rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        users = -(-rows // group)
        truth = np.repeat(rng.uniform(size=users) < 0.4, group)[:rows]
        noise = np.repeat(rng.normal(size=users), group)[:rows]
        if group > 1:
            noise = np.sqrt(0.5) * noise + np.sqrt(0.5) * rng.normal(size=rows)
        frames = []
        for apart in (first, second):
            p = 1.0 / (1.0 + np.exp(-(noise + apart * truth - apart / 2.0)))
            columns = {PROBABILITY + CLASSES[0]: 1.0 - p, PROBABILITY + CLASSES[1]: p}
            frames.append(pl.DataFrame({LABEL: _names(truth), PREDICTION: _names(p > 0.5), **columns}))
        return frames[0], frames[1]

    return draw


def numbers(second: float, tails: bool = False) -> Callable[[Rng, int], tuple[pl.DataFrame, pl.DataFrame]]:
    """Errors of spread 1 and `second`; with `tails` of Student's law with 5 degrees of freedom, of that spread."""

    def draw(rng: Rng, rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        truth = rng.normal(size=rows)
        noise = rng.standard_t(5, rows) * np.sqrt(3.0 / 5.0) if tails else rng.normal(size=rows)
        return (
            pl.DataFrame({LABEL: truth, PREDICTION: truth + noise}),
            pl.DataFrame({LABEL: truth, PREDICTION: truth + second * noise}),
        )

    return draw


def moved(by: float, group: int = 1) -> Callable[[Rng, int], tuple[pl.DataFrame, pl.DataFrame]]:
    """Numbers of which the candidate's are moved by so many standard deviations; users of `group` rows share theirs."""

    def draw(rng: Rng, rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        values = np.repeat(rng.normal(size=-(-rows // group)), group)[:rows]
        return pl.DataFrame({PREDICTION: values}), pl.DataFrame({PREDICTION: values + by})

    return draw


def classes(second: tuple[float, ...]) -> Callable[[Rng, int], tuple[pl.DataFrame, pl.DataFrame]]:
    """Five classes, equally often of the stable version."""
    names = np.array(FIVE)

    def draw(rng: Rng, rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        frames = [pl.DataFrame({PREDICTION: names[rng.choice(5, rows, p=p)].tolist()}) for p in ((0.2,) * 5, second)]
        return frames[0], frames[1]

    return draw


FIVE = ("a", "b", "c", "d", "e")
# The area of scores that are d apart is Phi(d / sqrt(2)): 0.8556 of 1.5, and 0.05 less of this.
AUC_LIMIT = 0.05
_D = math.sqrt(2.0) * normal_isf(normal_sf(1.5 / math.sqrt(2.0)) + AUC_LIMIT)
CASES = (
    Case("errorRate", "equal, 0.1 % fail", True, 20, errors(0.001, 0.001, 0.01, 0.1)),
    Case("errorRate", "equal, 5 % fail", True, 20, errors(0.05, 0.05, 0.01, 0.1)),
    Case("errorRate", "none fails, at the limit", None, 20, errors(0.0, 0.01, 0.01, 0.1)),
    Case("errorRate", "0.5 % fail, at the limit", None, 20, errors(0.005, 0.015, 0.01, 0.5)),
    Case("errorRate", "few requests, at the limit", None, 0.5, errors(0.1, 0.3, 0.2, 0.5)),
    Case("errorRate", "the stable one is asked little, at the limit", None, 20, errors(0.003, 0.013, 0.01, 0.9)),
    Case("errorRate", "3 % more", False, 20, errors(0.001, 0.031, 0.01, 0.1)),
    Case("errorRate", "10 % more", False, 20, errors(0.001, 0.101, 0.01, 0.1)),
    Case("errorRate", "every second one", False, 20, errors(0.001, 0.5, 0.01, 0.1)),
    Case("errorRate", "at the limit, ten fail together", None, 20, errors(0.0, 0.01, 0.01, 0.1, 10)),
    Case(
        "errorRate",
        "equal, 0.1 %, then 5 % fail while the weight grows from 10 to 50",
        True,
        20,
        errors(0.001, 0.001, 0.001, 0.1, half_from=500, later=0.05),
    ),
    Case("latency", "equal", True, 20, times(1.0, 1.5, 0.1)),
    Case("latency", "at the limit", None, 20, times(1.5, 1.5, 0.1)),
    Case("latency", "at the limit, half each, wide", None, 20, times(1.5, 1.5, 0.5, 1.0)),
    Case("latency", "at the limit, twenty alike", None, 20, times(1.5, 1.5, 0.1, group=20)),
    Case("latency", "twice", False, 20, times(2.0, 1.5, 0.1)),
    Case("latency", "four times", False, 20, times(4.0, 1.5, 0.1)),
    Case("metric", "accuracy 0.9, equal", True, 2, metric("accuracy", right(0.9, 0.9), 0.02)),
    Case("metric", "accuracy 0.9, at the limit", None, 2, metric("accuracy", right(0.9, 0.88), 0.02)),
    Case("metric", "accuracy 0.995, at the limit", None, 2, metric("accuracy", right(0.995, 0.975), 0.02)),
    Case("metric", "accuracy 0.8 instead of 0.9", False, 2, metric("accuracy", right(0.9, 0.8), 0.02)),
    Case("metric", "roc_auc 0.856, equal", True, 2, metric("roc_auc", scores(1.5, 1.5), AUC_LIMIT)),
    Case("metric", "roc_auc 0.856, at the limit", None, 2, metric("roc_auc", scores(1.5, _D), AUC_LIMIT)),
    Case("metric", "roc_auc 0.714 instead of 0.856", False, 2, metric("roc_auc", scores(1.5, 0.8), AUC_LIMIT)),
    Case(
        "metric",
        "shadow: accuracy, at the limit",
        None,
        2,
        metric("accuracy", right(0.9, 0.88), 0.02, paired=True),
    ),
    Case("metric", "shadow: accuracy 0.9, equal", True, 2, metric("accuracy", right(0.9, 0.9), 0.02, paired=True)),
    Case(
        "metric",
        "shadow: roc_auc, at the limit",
        None,
        2,
        metric("roc_auc", scores(1.5, _D), AUC_LIMIT, paired=True),
    ),
    Case(
        "metric",
        "shadow: roc_auc 0.714 instead of 0.856",
        False,
        2,
        metric("roc_auc", scores(1.5, 0.8), AUC_LIMIT, paired=True),
    ),
    Case("metric", "rmse, at the limit", None, 2, metric("rmse", numbers(1.1), 0.1, regression=True)),
    Case(
        "metric",
        "rmse with heavy tails, at the limit",
        None,
        2,
        metric("rmse", numbers(1.1, True), 0.1, regression=True),
    ),
    Case(
        "metric",
        "shadow: rmse, at the limit",
        None,
        2,
        metric("rmse", numbers(1.1), 0.1, paired=True, regression=True),
    ),
    Case("metric", "rmse 1.3 instead of 1", False, 2, metric("rmse", numbers(1.3), 0.1, regression=True)),
    Case(
        "metric",
        "roc_auc at the limit, users of ten rows",
        None,
        2,
        metric("roc_auc", scores(1.5, _D, 10), AUC_LIMIT),
    ),
    # Two normal laws d apart have a distance of 2 Phi(d / 2) - 1: 0.1 at 0.25132.
    Case("predictionDrift", "equal", True, 10, distance(moved(0.0), 0.1)),
    Case("predictionDrift", "equal, a tenth", True, 10, distance(moved(0.0), 0.1, 0.1)),
    Case("predictionDrift", "at the limit", None, 10, distance(moved(0.25132), 0.1)),
    Case("predictionDrift", "0.2 instead of at most 0.1", False, 10, distance(moved(0.50669), 0.1)),
    Case("predictionDrift", "0.4 instead of at most 0.1", False, 10, distance(moved(1.0488), 0.1)),
    Case("predictionDrift", "shadow, equal answers", True, 10, distance(moved(0.0), 0.1, paired=True)),
    Case("predictionDrift", "five classes, equal", True, 10, distance(classes((0.2,) * 5), 0.1, classes=FIVE)),
    Case(
        "predictionDrift",
        "five classes, at the limit",
        None,
        10,
        distance(classes((0.3, 0.1, 0.2, 0.2, 0.2)), 0.1, classes=FIVE),
    ),
    Case(
        "predictionDrift",
        "five classes, 0.3",
        False,
        10,
        distance(classes((0.5, 0.1, 0.1, 0.1, 0.2)), 0.1, classes=FIVE),
    ),
    Case("predictionDrift", "at the limit, users of ten rows", None, 10, distance(moved(0.25132, 10), 0.1)),
)


def play(case: Case, canaries: int, seeds: int) -> str:
    """Play so many canaries; return a line of the table."""
    ended: list[tuple[AnalysisOutcome, int, int]] = []
    place = CASES.index(case)
    for number in range(canaries):
        rng = np.random.Generator(np.random.PCG64([seeds, place, number]))
        judged = case.make(rng, number)
        outcome: AnalysisOutcome = "Inconclusive"
        for look, at in enumerate(minutes(), 1):
            requests = int(case.per_minute * at)
            outcome = judged(requests, spent_at(ALPHA, look) / 2.0, look)
            if outcome != "Inconclusive":
                break
        ended.append((outcome, look, requests))
    shares = {each: sum(one[0] == each for one in ended) for each in ("Successful", "Failed", "Inconclusive")}
    wrong = {
        True: shares["Failed"],
        False: shares["Successful"],
        None: shares["Failed"] + shares["Successful"],
    }[case.truth]
    decided = sorted(one for one in ended if one[0] != "Inconclusive")
    looks = sorted(one[1] for one in decided)
    requests_needed = sorted(one[2] for one in decided)
    half = len(decided) // 2
    needed = f"{looks[half]} | {requests_needed[half]:,}" if len(decided) > len(ended) // 2 else "- | -"
    truth = {True: "keeps it", False: "breaks it", None: "at it"}[case.truth]
    return (
        f"| {case.criterion} | {case.name} | {truth} | {len(ended)} | {_share(shares['Successful'], ended)} | "
        f"{_share(shares['Failed'], ended)} | {_share(wrong, ended)} | {needed} |"
    )


def _share(count: int, ended: list[Any]) -> str:
    return f"{100.0 * count / len(ended):.1f} %"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--canaries", type=int, default=100)
    parser.add_argument("--seeds", choices=tuple(SEEDS), default="evaluation")
    parser.add_argument("--criterion", default="")
    options = parser.parse_args()
    print("| criterion | candidate | the limit | canaries | Successful | Failed | wrong | looks | requests |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        if options.criterion in ("", case.criterion):
            print(
                play(case, options.canaries, SEEDS[options.seeds]),
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
