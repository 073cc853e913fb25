"""Performance without labels: it may alarm, it clears nothing, and labels that are there hold it to account."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from bench.drift_streams import BEGIN, CHECKS, LENGTH, REFERENCE_WINDOWS, Stream, make_stream, signature_of
from mlops.api.drift_monitor import Check, Labels
from mlops.api.drift_monitor import Window as WindowSpec
from mlops.workloads.drift.findings import Decision
from mlops.workloads.drift.page import ADVICE
from mlops.workloads.drift.reference import Reference, make_reference
from mlops.workloads.drift.verdict import decide
from mlops.workloads.drift.window import JudgedSpan, Window, window_of
from mlops.workloads.floor.pod import BadInput
from tests.workloads.drift.conftest import REQUESTS, World

ESTIMATE = Check(name="estimate", type="EstimatedPerformance")


@cache
def stream_of(kind: str) -> Stream:
    return make_stream(kind, 7, rows=1200, windows=2)


def decided(reference: Reference, window: Window, *checks: Check, min_samples: int = 500) -> Decision:
    limits = WindowSpec(duration="7d", min_samples=min_samples)
    return decide(reference, window, checks or (ESTIMATE,), limits=limits, labels=Labels(), seed=1)


def changed(window: Window, *columns: pl.Expr) -> Window:
    return window_of(window.frame.with_columns(columns).drop("judged"), window.span)


def unlabelled(window: Window) -> Window:
    return changed(window, pl.lit(None, pl.String).alias("label"))


def test_a_window_that_the_model_knows_less_of_is_seen_without_a_label() -> None:
    """The estimate is near what the labels say later, and is the verdict where nothing else is asked."""
    stream = stream_of("harder")
    quiet, later = (decided(stream.reference, unlabelled(window), of_metric("roc_auc")) for window in stream.windows)
    assert (quiet.verdict, later.verdict) == ("Stable", "EstimatedPerformance")
    assert later.sentence.startswith("The model has likely become worse, as far as can be told without labels: roc_auc")
    assert later.estimated is not None
    assert later.estimated.measured is None
    seen = decided(stream.reference, stream.windows[1], of_metric("roc_auc")).estimated
    assert seen is not None
    assert seen.measured is not None
    measured = seen.measured.measured.value
    assert seen.current.value == pytest.approx(measured, abs=0.03)
    assert seen.reference.value - measured > 0.08


def test_an_estimate_clears_nothing() -> None:
    """A moved relation stays unseen by it: without labels the verdict is Inconclusive, with them ConceptDrift."""
    stream, checks = stream_of("concept"), (*CHECKS, ESTIMATE)
    blind = decided(stream.reference, unlabelled(stream.windows[1]), *checks)
    assert [each.result for each in blind.findings if each.check == ESTIMATE] == ["NotDetected"]
    assert blind.verdict == "Inconclusive"
    seeing = decided(stream.reference, stream.windows[1], *checks)
    assert seeing.verdict == "ConceptDrift"
    assert seeing.estimated is not None
    assert seeing.estimated.measured is not None
    assert seeing.estimated.measured.better.high < -0.2, "the report says how wrong the estimate is"


def test_it_takes_no_action_from_another_check() -> None:
    """Inputs that moved call for Retrain, also where the estimate fell with them."""
    stream = stream_of("harder")
    both = decided(stream.reference, unlabelled(stream.windows[1]), Check(name="inputs", type="DataDrift"), ESTIMATE)
    assert both.verdict == "DataDrift"
    assert [each.result for each in both.findings] == ["Detected", "Detected"]
    answers = decided(
        stream.reference, unlabelled(stream.windows[1]), Check(name="a", type="PredictionDrift"), ESTIMATE
    )
    assert answers.verdict == "PredictionDrift"


def test_it_alarms_where_checks_that_need_labels_cannot_tell() -> None:
    """Inconclusive asks for labels only: the estimate says why they are worth getting."""
    stream = stream_of("harder")
    drop = Check(name="worse", type="PerformanceDrop")
    assert decided(stream.reference, unlabelled(stream.windows[1]), drop).verdict == "Inconclusive"
    assert decided(stream.reference, unlabelled(stream.windows[1]), drop, ESTIMATE).verdict == "EstimatedPerformance"


def test_labels_that_show_no_drop_refute_an_estimate() -> None:
    """The same rows, estimated and measured: what was measured counts, and the check says so."""
    stream = stream_of("harder")
    right = changed(stream.windows[1], pl.col("out.prediction").alias("label"))
    found = decided(stream.reference, right, Check(name="estimate", type="EstimatedPerformance", metric="accuracy"))
    assert found.verdict == "Stable"
    assert "but the 1200 rows with labels have 1.000, where" in found.findings[0].message
    assert found.findings[0].message.endswith("the estimate is wrong")


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "accuracy", "balanced_accuracy", "f1", "brier"])
def test_any_metric_of_classes_is_estimated(metric: Any) -> None:
    """Near what is measured, in a quiet window and in one with harder rows."""
    stream = stream_of("harder")
    for window in stream.windows:
        found = decided(stream.reference, window, of_metric(metric)).estimated
        assert found is not None
        assert found.metric == metric
        assert found.measured is not None
        wide = found.measured.better.high - found.measured.better.low
        assert found.measured.better.low - wide / 2 <= 0 <= found.measured.better.high + wide / 2


def of_metric(metric: Any) -> Check:
    return Check(name="estimate", type="EstimatedPerformance", metric=metric)


def test_a_metric_that_does_not_fit_is_refused_by_name() -> None:
    """A mistake of the spec, with those that fit."""
    stream = stream_of("harder")
    with pytest.raises(BadInput, match=r"metric: mae does not fit a classification model; one of roc_auc, log_loss"):
        decided(stream.reference, stream.windows[0], of_metric("mae"))


def test_what_an_estimate_needs_is_said_where_it_lacks() -> None:
    """Never a number out of nothing: answers of the live version, held-out rows, probabilities."""
    stream = stream_of("harder")
    window = unlabelled(stream.windows[0])
    other = decided(stream.reference, changed(window, (pl.int_range(pl.len()) < 400).alias("live")))
    assert other.findings[0].message == "400 rows were answered by the live version, minSamples is 500"
    frame = stream.reference.frame
    few = replace(stream.reference, frame=frame.filter(pl.col("part") == "train"))
    assert decided(few, window).findings[0].message == "the reference has 0 held-out rows, an estimate needs 200"
    bare = [name for name in frame.columns if not name.startswith("out.p.")]
    plain = decided(replace(stream.reference, frame=frame.select(bare)), window)
    assert plain.findings[0].message == (
        "roc_auc cannot be estimated: out.p: rows without probabilities; an estimate needs them, whatever the metric:"
        " send labels, and ask for a PerformanceDrop of a metric of labels such as accuracy"
    )
    one = decided(replace(stream.reference, frame=frame.with_columns(pl.lit("no").alias("label"))), window)
    assert one.findings[0].message.startswith("roc_auc cannot be estimated: y: a class has no row")
    for each in (other, plain, one):
        assert (each.verdict, each.estimated) == ("Inconclusive", None)


def test_the_same_rows_give_the_same_bits() -> None:
    """In whatever order they come."""
    stream = stream_of("harder")
    window = stream.windows[1]
    again = window_of(window.frame.sample(fraction=1.0, shuffle=True, seed=3).drop("judged"), window.span)
    assert decided(stream.reference, window).estimated == decided(stream.reference, again).estimated


def numbers(seed: int, rows: int, *, loud: float = 0.5, number: int = 0) -> pl.DataFrame:
    """A regression whose error depends on an input: `loud` is the share of rows in which it is four times as large."""
    rng = np.random.default_rng(seed)
    x, is_loud = rng.normal(size=rows), rng.random(rows) < loud
    said = 3 * x
    y = said + rng.normal(size=rows) * np.where(is_loud, 4.0, 1.0)
    start = BEGIN + LENGTH * number
    return pl.DataFrame(
        {
            "in.x0": x,
            "in.region": np.where(is_loud, "loud", "still"),
            "label": y,
            "out.prediction": said,
            "time": [start + LENGTH * ((row + 0.5) / rows) for row in range(rows)],
        }
    )


def regression(loud: float) -> tuple[Reference, Window]:
    history = pl.concat([numbers(number, 500, number=number) for number in range(REFERENCE_WINDOWS)])
    frame = history.with_columns(pl.Series("part", np.where(np.arange(history.height) < 2000, "train", "test")))
    description = signature_of(
        frame, task="regression", label={"name": "price", "type": "float64"}, classes=None, positive=None
    )
    reference = make_reference(description, frame, where="numbers")
    captured = numbers(99, 1000, loud=loud, number=REFERENCE_WINDOWS).with_columns(
        pl.int_range(1000).cast(pl.String).alias("id"), pl.lit(0, pl.Int64).alias("row"), pl.lit(True).alias("live")
    )
    start = BEGIN + LENGTH * REFERENCE_WINDOWS
    return reference, window_of(captured, JudgedSpan(start, start + LENGTH, start + LENGTH))


@pytest.mark.parametrize("metric", [None, "mae", "rmse", "r2"])
def test_losses_of_a_regression_are_learnt(metric: Any) -> None:
    """Where more rows are of the kind that it is bad at, it is worse, and by how much is known without a label."""
    answers = []
    for loud in (0.5, 0.95):
        reference, window = regression(loud)
        found = decided(reference, window, of_metric(metric))
        assert found.estimated is not None, found.findings[0].message
        assert found.estimated.method == "DLE"
        beside = found.estimated.measured
        assert beside is not None
        assert beside.better.low - 0.1 <= 0 <= beside.better.high + 0.1
        answers.append(found.verdict)
    assert answers == ["Stable", "EstimatedPerformance"]


def test_several_classes_are_estimated() -> None:
    """Each against the rest."""
    rng = np.random.default_rng(5)
    names = np.array(["high", "low", "middle"])

    def rows(count: int, sharp: float, number: int) -> pl.DataFrame:
        true = rng.dirichlet(np.ones(3) / sharp, size=count)
        label = names[(rng.random((count, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(0, 2)]
        start = BEGIN + LENGTH * number
        return pl.DataFrame(
            {
                "in.x0": rng.normal(size=count),
                "label": label,
                **{f"out.p.{name}": true[:, code] for code, name in enumerate(names)},
                "out.prediction": names[true.argmax(axis=1)],
                "time": [start + LENGTH * ((row + 0.5) / count) for row in range(count)],
            }
        )

    frame = pl.concat([rows(600, 4.0, number) for number in range(4)]).with_columns(pl.lit("test").alias("part"))
    description = signature_of(frame, classes=names.tolist(), positive=None)
    reference = make_reference(description, frame, where="classes")
    verdicts = []
    for sharp in (4.0, 1.0):
        captured = rows(800, sharp, 4).with_columns(
            pl.int_range(800).cast(pl.String).alias("id"), pl.lit(0, pl.Int64).alias("row"), pl.lit(True).alias("live")
        )
        start = BEGIN + LENGTH * 4
        window = window_of(captured, JudgedSpan(start, start + LENGTH, start + LENGTH))
        found = decided(reference, window)
        verdicts.append(found.verdict)
        assert found.estimated is not None
        assert found.estimated.measured is not None
        assert abs(found.estimated.measured.better.value) < 0.06
    assert verdicts == ["Stable", "EstimatedPerformance"]


def test_the_report_shows_the_estimate_and_holds_it_against_the_labels(stable: World) -> None:
    """In the answer to the operator, in the document, and on the page; without the check nowhere."""
    stable.write_all()
    report = stable.check("EstimatedPerformance")
    assert report.estimated_metric is not None
    assert float(report.estimated_metric.low) < float(report.estimated_metric.current)
    assert report.metric is None
    document, page = stable.document(report), stable.page(report)
    assert document["estimatedPerformance"]["method"] == "CBPE"
    assert document["estimatedPerformance"]["measured"]["rows"] == 1200
    assert "<h2>Estimated performance</h2>" in page
    assert "Held against the 1200 rows with labels" in page
    without = stable.check("DataQuality")
    assert without.estimated_metric is None
    assert "Estimated performance" not in stable.page(without)


def test_the_page_says_that_nothing_holds_the_estimate_to_account(stable: World) -> None:
    """Before a label has come."""
    stable.write(REQUESTS, stable.captured)
    page = stable.page(stable.check("EstimatedPerformance"))
    assert "Too few rows have labels to hold the estimate against what was measured." in page


def test_by_default_it_calls_for_nothing() -> None:
    """It says so, and what a person should do."""
    assert ADVICE["EstimatedPerformance"].operator == "Nothing, unless spec.actions names EstimatedPerformance."
