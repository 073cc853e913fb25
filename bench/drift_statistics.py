"""How fast are the drift statistics, beside scipy, scikit-learn and river in the same run?

Prints medians over the repetitions, contestants taking turns, and the ratio peer / ours. Ratios count; absolute figures
belong to the machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
from river import drift
from scipy import stats
from sklearn.metrics import roc_auc_score

from mlops.statistics.bootstrap import metric_interval
from mlops.statistics.metrics import Sample
from mlops.statistics.reference import SortedReference
from mlops.statistics.resampling import Resampling
from mlops.statistics.sequential import ADWIN, DDM, HDDMA, PageHinkley, detect
from mlops.statistics.two_sample import compare_numeric

Contestants = dict[str, Callable[[], object]]


def medians(contestants: Contestants, repetitions: int) -> dict[str, float]:
    """Median milliseconds of each contestant, one call each to warm up, then in turns."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for repetition in range(repetitions + 1):
        for name, call in contestants.items():
            start = time.perf_counter()
            call()
            if repetition:
                taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(times)) for name, times in taken.items()}


def columns(rows: int, count: int) -> Contestants:
    """KS, Wasserstein, PSI and Jensen-Shannon of `count` columns against stored references; scipy has no PSI."""
    rng = np.random.default_rng(0)
    before = [rng.normal(size=rows) for _ in range(count)]
    after = [rng.normal(0.01, 1.0, rows) for _ in range(count)]
    stored = [SortedReference.from_values(column) for column in before]
    return {
        "ours, 4 measures": lambda: [compare_numeric(r, c) for r, c in zip(stored, after, strict=True)],
        "scipy KS": lambda: [stats.ks_2samp(r, c, method="asymp") for r, c in zip(before, after, strict=True)],
        "scipy Wasserstein": lambda: [stats.wasserstein_distance(r, c) for r, c in zip(before, after, strict=True)],
        "numpy sort alone": lambda: [np.sort(c) for c in after],
    }


def bootstrap(rows: int, replicates: int) -> Contestants:
    """A bootstrap interval of the ROC area; the loop over scikit-learn does a tenth of the replicates."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, rows)
    score = rng.normal(y, 1.5)

    def loop() -> list[float]:
        draws = [rng.integers(0, rows, rows) for _ in range(replicates // 10)]
        return [roc_auc_score(y[rows_drawn], score[rows_drawn]) for rows_drawn in draws]

    plan = Resampling(replicates=replicates)
    return {
        "ours": lambda: metric_interval("roc_auc", Sample(y, score), plan),
        "loop over scikit-learn, a tenth": loop,
    }


def detectors(rows: int) -> dict[str, Contestants]:
    """Each detector over a stream of errors."""
    stream = (np.random.default_rng(0).uniform(size=rows) < 0.2).astype(int).tolist()

    def river(make: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            detector = make()
            for x in stream:
                detector.update(x)

        return run

    pairs = [
        ("ADWIN", ADWIN, drift.ADWIN),
        ("Page-Hinkley", PageHinkley, drift.PageHinkley),
        ("DDM", DDM, drift.binary.DDM),
        ("HDDM_A", HDDMA, drift.binary.HDDMA),
    ]
    return {
        name: {"ours": lambda ours=ours: detect(ours(), stream), "river": river(theirs)} for name, ours, theirs in pairs
    }


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000, help="rows per sample (default 50000)")
    parser.add_argument("--columns", type=int, default=20, help="columns (default 20)")
    parser.add_argument("--replicates", type=int, default=200, help="bootstrap replicates (default 200)")
    parser.add_argument("--repetitions", type=int, default=7, help="timed repetitions (default 7)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    arguments = parser.parse_args()
    rounds = {
        f"{arguments.rows} x {arguments.rows} rows x {arguments.columns} columns": columns(
            arguments.rows, arguments.columns
        ),
        f"ROC area, {arguments.rows} rows, {arguments.replicates} replicates": bootstrap(
            arguments.rows, arguments.replicates
        ),
        **{f"{name}, {arguments.rows} updates": pair for name, pair in detectors(arguments.rows).items()},
    }
    results = {name: medians(contestants, arguments.repetitions) for name, contestants in rounds.items()}
    if arguments.json:
        print(json.dumps(results, indent=1))
        return
    for name, result in results.items():
        ours = next(iter(result.values()))
        print(name)
        for contestant, milliseconds in result.items():
            print(f"  {contestant:<34}{milliseconds:>10.1f} ms{milliseconds / ours:>8.2f}x")


if __name__ == "__main__":
    main()
