"""What does a request pay for its computed features, beside polars over one row in the same run?

Prints medians over the repetitions: three expressions and a fill of one request, then the same expressions over many
rows. Both take turns, round after round; the ratio is the median of the rounds' ratios. Ratios count; absolute figures
belong to the machine. The exit code is 1 if one request pays more than --limit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import polars as pl

from mlops.api.dataset import Feature
from mlops.workloads.floor.expressions.frames import compute
from mlops.workloads.floor.model.features import Features
from mlops.workloads.floor.model.signature import Signature

FEATURES = {
    "celsius": "(coalesce(fahrenheit, 50.0) - 32) * 5 / 9",
    "gap": "celsius - dew_point",
    "late": "extract(hour FROM day) >= 18 OR station LIKE 'night%'",
}
INPUTS = {"fahrenheit": "float64", "dew_point": "float64", "day": "timestamp", "station": "string"}
_TYPES = {"celsius": "float64", "gap": "float64", "late": "boolean"}


def signature() -> Signature:
    """A model.json with these features, and nothing else that matters here."""
    return Signature.model_validate(
        {
            "task": "regression",
            "format": "treelite",
            "inputs": [{"name": name, "type": kind, "nullable": True} for name, kind in INPUTS.items()],
            "features": [{"name": name, "expression": FEATURES[name], "type": kind} for name, kind in _TYPES.items()],
            "columns": [{"name": "gap", "type": "float64"}],
            "label": {"name": "rain", "type": "float64"},
            "estimator": {"name": "container"},
            "encoding": {"numbers": [{"column": "gap", "fill": 0.0}]},
            "tolerance": "1e-6",
        }
    )


def median(call: Callable[[], object], repetitions: int) -> float:
    """Return the median microseconds of a call, after one to warm up."""
    taken = []
    for _ in range(repetitions + 1):
        start = time.perf_counter()
        call()
        taken.append(1e6 * (time.perf_counter() - start))
    return float(np.median(taken[1:]))


def main() -> int:
    """Print microseconds for one row and for many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=30.0, help="microseconds that one request may pay")
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    features = Features(signature())
    one = {
        "fahrenheit": np.array([np.nan]),
        "dew_point": np.array([3.5]),
        "day": np.array([1_717_250_000_000_000]),
        "station": np.array(["night watch"], dtype=object),
    }
    row = pl.DataFrame({"fahrenheit": [None], "dew_point": [3.5], "day": one["day"], "station": ["night watch"]}).cast(
        {"fahrenheit": pl.Float64, "day": pl.Datetime("us")}
    )
    parsed = [pl.sql_expr(text).alias(name) for name, text in FEATURES.items()]

    def of_polars(frame: pl.DataFrame) -> pl.DataFrame:
        for expression in parsed:
            frame = frame.with_columns(expression)
        return frame

    rounds = []
    for _ in range(arguments.rounds):
        mine = median(lambda: features.added(one), arguments.repetitions)
        rounds.append((mine, median(lambda: of_polars(row), max(10, arguments.repetitions // 20))))
    ours, theirs = np.median(rounds, axis=0)
    ratio = np.median([polars_us / mine for mine, polars_us in rounds])
    repeated = f"{arguments.rounds} rounds of {arguments.repetitions}"
    print(
        f"one row, three expressions and a fill: {ours:.1f} us, polars {theirs:.0f} us, {ratio:.0f} times ({repeated})"
    )
    many = pl.concat([row] * arguments.rows).rechunk()
    wanted = [Feature(name=name, expression=text) for name, text in FEATURES.items()]
    zoned = many.with_columns(pl.col("day").dt.replace_time_zone("UTC"))
    bulk, by_polars = median(lambda: compute(zoned, wanted), 5) / 1e3, median(lambda: of_polars(many), 5) / 1e3
    print(f"{arguments.rows:,} rows: {bulk:.1f} ms, polars {by_polars:.1f} ms")
    return int(ours > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
