"""When nothing moved, a p-value below .05 of any drop at all comes in no more than 5 % of the estimated windows."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from bench.drift_streams import BEGIN, signature_of
from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.reference import make_reference
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, window_of

STREAMS = 80
# Of 80 windows at 5 %, more than nine come once in a hundred times.
MOST = 9


def rows(rng: np.random.Generator, count: int, phi: float, day: int) -> pl.DataFrame:
    """Scores of an AR(1) series with coefficient `phi`, too bold, and labels by the true probabilities."""
    noise = rng.normal(size=count)
    z = noise.copy()
    for row in range(1, count):
        z[row] = phi * z[row - 1] + np.sqrt(1 - phi**2) * noise[row]
    said, true = 1 / (1 + np.exp(-2.2 * z)), 1 / (1 + np.exp(-1.5 * z))
    start = BEGIN + timedelta(days=day)
    return pl.DataFrame(
        {
            "in.x0": z,
            "label": np.where(rng.random(count) < true, "yes", "no"),
            "out.p.no": 1 - said,
            "out.p.yes": said,
            "out.prediction": np.where(said > 0.5, "yes", "no"),
            "time": [start + timedelta(days=(row + 0.5) / count) for row in range(count)],
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_false_alarms_stay_below_alpha(phi: float) -> None:
    """Independent rows, and such that resemble their neighbours."""
    alarms = covered = 0
    check = Check(name="estimate", type="EstimatedPerformance", metric="brier", min_drop="0", alpha="0.05")
    for seed in range(STREAMS):
        rng = np.random.default_rng([seed, 77])
        frame = rows(rng, 1_500, phi, 0).with_columns(pl.lit("test").alias("part"))
        reference = make_reference(signature_of(frame), frame, where="stable")
        captured = rows(rng, 600, phi, 1).with_columns(
            pl.int_range(600).cast(pl.String).alias("id"), pl.lit(0, pl.Int64).alias("row"), pl.lit(True).alias("live")
        )
        start = BEGIN + timedelta(days=1)
        window = window_of(captured, JudgedSpan(start, start + timedelta(days=1), start + timedelta(days=1)))
        found = decide(reference, window, (check,), limits=WindowSpec(duration="1d"), labels=Labels(), seed=seed)
        assert found.estimated is not None
        assert found.estimated.measured is not None
        alarms += found.estimated.p_value <= 0.05
        covered += found.estimated.measured.better.low <= 0 <= found.estimated.measured.better.high
    assert alarms <= MOST
    assert covered >= STREAMS - MOST, "the interval of measured less estimated value holds 0 in 95 % of the windows"
