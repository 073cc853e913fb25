"""Which rows people are asked to label: within the budget, none twice, and such that they stand for the window."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.api import tasks
from mlops.workloads.drift.labelling import chosen
from mlops.workloads.drift.run import check
from mlops.workloads.serve.feedback import FeedbackReader
from tests.workloads.drift.conftest import LABELS, REQUESTS, World


def asks(
    world: World,
    *,
    budget: int = 50,
    when: tuple[str, ...] = ("Inconclusive",),
    monitor: str = "churn",
    hours: float = 0.0,
    checks: tuple[str, ...] = ("PerformanceDrop", "ConceptDrift"),
    **settings: Any,
) -> tasks.DriftReport:
    question = tasks.LabelQuestion.model_validate({"when": when, "budget": budget})
    task = world.task(*checks, **settings).evolve(label_request=question, monitor=monitor)
    end = world.end + timedelta(hours=hours)
    return check(world.pod(end), task.evolve(as_of=end.isoformat().replace("+00:00", "Z")))


def asked_rows(world: World, report: tasks.DriftReport) -> list[dict[str, Any]]:
    text = world.store.read_file(report.report_digest, "label-request.jsonl").decode()
    return [json.loads(line) for line in text.splitlines()]


def test_without_labels_a_check_says_which_rows_to_label(stable: World) -> None:
    """So many as the budget allows, beside the report; and how many labels are lacking."""
    stable.write(REQUESTS, stable.captured)
    report = asks(stable)
    assert report.verdict == "Inconclusive"
    assert report.labels_wanted == tasks.LabelsWanted(rows=50, asked_before=0, needed=240, file="label-request.jsonl")
    rows = asked_rows(stable, report)
    assert len({(row["id"], row["row"]) for row in rows}) == 50
    assert {row["id"] for row in rows} <= set(stable.captured["id"])
    assert "50 rows stand in label-request.jsonl" in stable.page(report)
    assert stable.document(report)["labelRequest"]["needed"] == 240


def test_the_feedback_endpoint_takes_the_lines_once_they_have_a_label(stable: World) -> None:
    from bench.drift_streams import signature_of

    stable.write(REQUESTS, stable.captured)
    lines = asked_rows(stable, asks(stable))
    body = json.dumps({"labels": [{**line, "label": "yes"} for line in lines]}).encode()
    reader = FeedbackReader(signature_of(stable.stream.reference.frame), 1000, 1 << 20)
    assert [(each.id, each.row) for each in reader.read(body, 0)] == [(line["id"], line["row"]) for line in lines]


def test_no_row_is_asked_for_twice_and_the_budget_is_one_of_the_window(stable: World) -> None:
    """By the same monitor later, and by another one."""
    stable.write(REQUESTS, stable.captured)
    first = asks(stable, budget=50)
    second = asks(stable, budget=80, hours=1)
    assert second.labels_wanted is not None
    # The window has moved by an hour: a row of the first ones may have left it.
    assert second.labels_wanted.rows == 80 - second.labels_wanted.asked_before
    assert second.labels_wanted.asked_before >= 45
    third = asks(stable, budget=80, hours=1, monitor="other")
    assert third.labels_wanted is not None
    assert third.labels_wanted.rows == 0
    keys = [(row["id"], row["row"]) for report in (first, second) for row in asked_rows(stable, report)]
    assert len(keys) == len(set(keys))


def test_the_same_check_made_again_asks_for_the_same_rows(stable: World) -> None:
    """A pod that was lost after it had written them down, and one that comes after it."""
    stable.write(REQUESTS, stable.captured)
    first, again = asks(stable), asks(stable)
    assert again == first


def test_rows_that_have_a_label_are_not_asked_for(stable: World) -> None:
    stable.write(REQUESTS, stable.captured)
    some = stable.labels.head(100)
    stable.write(LABELS, some)
    report = asks(stable, budget=1200)
    assert report.labels_wanted is not None
    assert report.labels_wanted.needed == 140
    assert report.labels_wanted.rows == 1100
    assert not {row["id"] for row in asked_rows(stable, report)} & set(some["id"])


@pytest.mark.parametrize(
    ("settings", "labelled"),
    [
        pytest.param({"window": {"min_samples": 5000}}, False, id="too few rows"),
        pytest.param({"checks": ("DataDrift",)}, False, id="nothing that needs labels"),
        pytest.param(
            {"checks": ("EstimatedPerformance", "PredictionDrift"), "lacks_answers": True}, False, id="an estimate"
        ),
        pytest.param({}, True, id="labels are there"),
        pytest.param({"when": ("PerformanceDrop",)}, False, id="another verdict"),
    ],
)
def test_nobody_is_asked_where_labels_are_not_what_lacks(stable: World, settings: Any, labelled: bool) -> None:
    # Without probabilities an estimate cannot be told, and labels do not help it.
    lacks = [name for name in stable.captured.columns if name.startswith("out.p.") and settings.get("lacks_answers")]
    stable.write(REQUESTS, stable.captured.drop(lacks))
    if labelled:
        stable.write(LABELS, stable.labels)
    report = asks(stable, **{key: value for key, value in settings.items() if key != "lacks_answers"})
    assert report.labels_wanted is None
    assert report.verdict == "Inconclusive" or not lacks


def test_rows_stand_for_the_window_in_time_and_by_how_sure_the_answers_were() -> None:
    """Any first part of them does; a metric on them is that of the window in the mean, and varies less than of rows
    drawn at random."""
    rng = np.random.default_rng(3)
    n = 4000
    p = rng.beta(0.6, 0.6, size=n)
    loss = np.minimum(p, 1 - p)
    rows = pl.DataFrame(
        {"id": [str(i) for i in range(n)], "row": 0, "out.p.no": 1 - p, "out.p.yes": p, "loss": loss, "at": range(n)}
    )
    drawn = [chosen(rows, 100, seed) for seed in range(200)]
    for part in drawn[0], drawn[0].head(40):
        quarters = np.histogram(part["at"], bins=4, range=(0, n))[0]
        assert np.ptp(quarters) <= 1
    means = [part["loss"].mean() for part in drawn]
    plain = [rows.sample(100, seed=seed)["loss"].mean() for seed in range(200)]
    assert np.mean(means) == pytest.approx(loss.mean(), abs=0.008)  # type: ignore[arg-type]
    assert np.std(means) < 0.5 * np.std(plain)  # type: ignore[arg-type]
    assert chosen(rows, 5000, 0).height == n
    assert chosen(rows.clear(), 5, 0).height == 0
    assert chosen(rows, 100, 1).equals(chosen(rows, 100, 1))
