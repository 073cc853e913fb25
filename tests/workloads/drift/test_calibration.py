"""Which way a relation moved: calibration alone, or more; and what is said where it cannot be told."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from bench.drift_streams import BEGIN, LENGTH, Stream, make_stream, signature_of
from mlops.api.drift_monitor import Action, Check, Guard, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.api.tasks import MonitorPolicy
from mlops.workloads.drift.document import measured
from mlops.workloads.drift.findings import CalibrationShift, Decision
from mlops.workloads.drift.following import calibration_of
from mlops.workloads.drift.policy import in_words
from mlops.workloads.drift.reference import Reference, make_reference
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, Window, window_of

DIGEST = "sha256:" + "0" * 64
CONCEPT = (Check(name="concept", type="ConceptDrift"),)


@cache
def stream_of(kind: str, seed: int) -> Stream:
    """Return a stream of two windows, the second of which is after the change."""
    return make_stream(kind, seed, rows=800, windows=2)


def judged(reference: Reference, window: Window, checks: tuple[Check, ...] = CONCEPT) -> Decision:
    """Return what a check finds."""
    return decide(reference, window, checks, limits=WindowSpec(duration="7d"), labels=Labels(), seed=1)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 2])
def test_a_threshold_that_moved_is_calibration_alone(seed: int) -> None:
    """The ranking stays, and a map restores the Brier score; verdict and message say so.

    Of stream 0 the drop passes for a moved class balance, which makes the same offset of the log-odds.
    """
    stream = stream_of("threshold", seed)
    decision = judged(stream.reference, stream.windows[1])
    found = decision.calibration
    assert decision.verdict == "ConceptDrift"
    assert found is not None
    assert found.alone
    assert found.metric == "brier"
    assert found.restored < (found.reference + found.current) / 2
    assert abs(found.ranking_current - found.ranking_reference) < 0.05
    assert "calibration alone: a map of the scores brings brier from" in decision.sentence
    document = measured(stream.reference, stream.windows[1], decision)
    assert document["calibration"]["alone"] is True
    told = calibration_of(found, DIGEST)
    assert told is not None
    assert told.can_be_mended


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["concept", "both"])
@pytest.mark.parametrize("seed", range(2))
def test_another_relation_is_more_than_calibration(kind: str, seed: int) -> None:
    """What was ranked first is so no more, and no map brings it back."""
    stream = stream_of(kind, seed)
    decision = judged(stream.reference, stream.windows[1])
    assert decision.verdict == "ConceptDrift"
    assert decision.calibration is not None
    assert not decision.calibration.alone
    assert "calibration alone" not in decision.sentence


@pytest.mark.thorough
def test_where_nothing_moved_nothing_is_said_of_calibration() -> None:
    """It is asked about a relation that moved."""
    stream = stream_of("threshold", 0)
    assert judged(stream.reference, stream.windows[0]).calibration is None


@pytest.mark.thorough
def test_without_probabilities_it_cannot_be_told() -> None:
    """Labels alone have no scores that a map could mend."""
    stream = stream_of("threshold", 0)
    columns = ["out.p.no", "out.p.yes"]
    reference = replace(stream.reference, frame=stream.reference.frame.drop(columns))
    window = replace(stream.windows[1], frame=stream.windows[1].frame.drop(columns))
    check = Check(name="concept", type="ConceptDrift", metric="accuracy", min_drop="0")
    assert judged(reference, window, (check,)).calibration is None


def numbers(how: str) -> Decision:
    """Return what is found of a regression whose labels moved in scale, or turned round."""
    random = np.random.default_rng(4)

    def rows(count: int, first: int, *, moved: bool) -> pl.DataFrame:
        x = random.normal(size=(count, 2))
        answer = 10.0 + 3.0 * x[:, 0] + x[:, 1]
        truth = {"scale": 1.6 * answer + 4.0, "turned": 10.0 - 3.0 * x[:, 0] + x[:, 1]}[how] if moved else answer
        start = BEGIN + LENGTH * first
        return pl.DataFrame(
            {
                "in.x0": x[:, 0],
                "in.x1": x[:, 1],
                "out.prediction": answer,
                "label": truth + random.normal(size=count) * 0.5,
                "time": [start + LENGTH * ((row + 0.5) / count) for row in range(count)],
            }
        )

    before = pl.concat([rows(600, number, moved=False) for number in range(3)])
    before = before.with_columns(pl.Series("part", np.where(np.arange(1800) < 1000, "train", "test")))
    signature = signature_of(
        before, task="regression", label={"name": "bought", "type": "float64"}, classes=None, positive=None
    )
    after = rows(700, 3, moved=True).with_columns(
        pl.Series("id", [f"r{row}" for row in range(700)]), pl.lit(0, pl.Int64).alias("row"), pl.lit(True).alias("live")
    )
    start = BEGIN + LENGTH * 3
    span = JudgedSpan(start, start + LENGTH, start + LENGTH)
    return judged(make_reference(signature, before, where="regression"), window_of(after, span))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("how", "alone"), [pytest.param("scale", True, id="another unit"), pytest.param("turned", False, id="turned round")]
)
def test_of_numbers_a_scale_is_calibration(how: str, alone: bool) -> None:
    """By the absolute error and the rank correlation."""
    decision = numbers(how)
    assert decision.verdict == "ConceptDrift"
    assert decision.calibration is not None
    assert (decision.calibration.alone, decision.calibration.metric) == (alone, "mae")


def a_shift(**changes: object) -> CalibrationShift:
    """Return what a check found: calibration alone moved."""
    return replace(
        CalibrationShift(True, "brier", 0.1, 0.2, 0.11, 0.8, 0.8, 400, "2026-01-09T18:00:00Z"),
        **changes,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("shift", "does"),
    [
        pytest.param(a_shift(), "Recalibrate, a run", id="alone"),
        pytest.param(a_shift(alone=False), "Rebuild, a run", id="more"),
        pytest.param(a_shift(obstacle="it answers with labels alone"), "Rebuild, a run", id="no map"),
        pytest.param(None, "Rebuild, a run", id="not told"),
    ],
)
def test_the_report_says_what_the_monitor_does_about_it(shift: CalibrationShift | None, does: str) -> None:
    """By the same rule as the planner."""
    actions = (Action(when=("ConceptDrift",), do="Recalibrate"), Action(when=("ConceptDrift",), do="Rebuild"))
    policy = MonitorPolicy(actions=actions, guard=Guard()).dump()
    found = None if shift is None else {"alone": shift.alone, "obstacle": shift.obstacle}
    assert in_words(policy, "ConceptDrift", found).startswith(does)
    told = calibration_of(shift, DIGEST)
    assert (told is not None and told.can_be_mended) == does.startswith("Recalibrate")
