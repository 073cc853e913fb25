"""Windows by count: the newest so many rows, and as many that are old enough to be judged by label."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.api import tasks
from mlops.api.drift_monitor import Labels, Window
from mlops.workloads.drift.run import check
from mlops.workloads.floor.records.newest import newest_span
from tests.workloads.drift.conftest import LABELS, REQUESTS, World
from tests.workloads.drift.models import write_linear


def by_count(world: World, rows: int, *types: str, **labels: Any) -> Any:
    """The report of a check of so many rows."""
    task = world.task(*types).evolve(window=Window(rows=rows, min_samples=2), labels=Labels(**labels))
    return check(world.pod(), task)


def test_the_newest_rows_are_looked_at_however_long_they_took_to_come(stable: World) -> None:
    """So many and no more; the window that the report names holds them."""
    stable.write_all()
    report = by_count(stable, 500)
    newest = stable.captured.sort("time").tail(500)
    assert (report.samples, report.labelled) == (500, 500)
    found = stable.document(report)
    assert found["window"]["start"] == f"{newest['time'][0] - timedelta(microseconds=1):%Y-%m-%dT%H:%M:%SZ}"
    assert by_count(stable, 5000).samples == 1200


def test_a_window_of_all_rows_answers_as_one_of_their_time(stable: World) -> None:
    """The same rows: the same metric and the same inputs that moved furthest."""
    stable.write_all()
    counted, timed = by_count(stable, 1200), stable.check()
    assert (counted.metric, counted.verdict) == (timed.metric, timed.verdict)
    assert [each.effect_size for each in counted.top_features] == [each.effect_size for each in timed.top_features]


def test_rows_after_the_scheduled_time_are_not_among_them(stable: World) -> None:
    """A check that runs late, or again, looks at what was there."""
    stable.write_all()
    stable.write(REQUESTS, stable.captured.with_columns(pl.col("time") + timedelta(days=30), pl.col("id") + "-later"))
    assert by_count(stable, 500).top_features == by_count(stable, 500).top_features
    assert stable.document(by_count(stable, 500))["window"]["end"] == f"{stable.end:%Y-%m-%dT%H:%M:%SZ}"


def test_neither_files_nor_their_order_decide(stable: World) -> None:
    """By the day, by the month, repeated, shuffled: the same rows, the same bits."""
    stable.write_all()
    plain = stable.document(by_count(stable, 300))
    world = World(stable.root.parent / "other", stable.stream, stable.number)
    rows = world.captured.sample(fraction=1.0, shuffle=True, seed=1)
    world.write(REQUESTS, rows.head(800), "z", monthly=True)
    world.write(REQUESTS, rows.tail(700), "a")
    world.write(LABELS, world.labels, monthly=True)
    found = world.document(by_count(world, 300))
    for each in (plain, found):
        each["counts"].pop("duplicates")
        each.pop("notes")
    assert found == plain


def test_of_rows_of_one_time_their_identity_decides(stable: World) -> None:
    """A batch that is larger than the window is cut the same way every time."""
    rows = stable.captured.with_columns(pl.lit(stable.end).alias("time"))
    stable.write(REQUESTS, rows)
    first, again = by_count(stable, 300, "DataDrift"), by_count(stable, 300, "DataDrift")
    assert (first.samples, first.report_digest) == (300, again.report_digest)


def test_as_many_rows_that_are_old_enough_are_judged_by_label(stable: World) -> None:
    """Labels that take three days are not waited for in vain: the cohort ends three days before."""
    stable.write_all()
    report = by_count(stable, 300, "DataDrift", "PerformanceDrop", max_delay="3d")
    old = stable.captured.filter(pl.col("time") <= stable.end - timedelta(days=3)).sort("time").tail(300)
    assert (report.samples, report.labelled, report.label_coverage) == (300, 300, "1")
    found = stable.document(report)
    assert found["performance"]["rowsCurrent"] == 300
    said = f"{old['time'][0]:%Y-%m-%dT%H:%M:%SZ} to {old['time'][-1]:%Y-%m-%dT%H:%M:%SZ}"
    assert found["notes"][0] == f"Judged by label are the newest 300 rows that are old enough, of {said}."


def test_no_rows_are_inconclusive(stable: World) -> None:
    """A stage that nobody has asked."""
    assert by_count(stable, 500).verdict == "Inconclusive"


def test_partitions_older_than_the_newest_rows_are_not_opened(stable: World) -> None:
    """History of years costs nothing: what is old may even be broken."""
    stable.write_all()
    stable.store.put_object(f"{REQUESTS}date=2019-01/broken.parquet", b"PAR1 no")
    assert by_count(stable, 500).samples == 500


@pytest.mark.parametrize("seed", range(5))
def test_the_span_holds_exactly_the_newest(stable: World, seed: int) -> None:
    """Against a sort of all rows, with times that are equal and rows that were captured twice."""
    random = np.random.default_rng(seed)
    rows = stable.captured.head(400)
    times = stable.end - timedelta(hours=1) * pl.Series(random.integers(0, 60, 400))
    rows = rows.with_columns(times.cast(pl.Datetime("us", "UTC")).alias("time"))
    stable.write(REQUESTS, rows)
    stable.write(REQUESTS, rows.sample(100, seed=seed), "again", monthly=True)
    for count in (2, 50, 399, 400, 1000):
        span = newest_span(stable.store, REQUESTS, stable.end, count)
        inside = rows.filter(span.holds("time"))
        cut = rows["time"].sort(descending=True)[min(count, 400) - 1]
        assert inside.height == rows.filter(pl.col("time") >= cut).height


def test_older_versions_answer_the_rows_that_are_judged_by_label(changed: World) -> None:
    """Those are older than the window: their inputs are read of their own time, and none is taken as missing."""
    changed.write_all()
    folder = write_linear(changed.root.parent / "older", (-0.6, 0.0, -1.5, 0.0, 1.5))
    older = tasks.OlderCandidate(version="churn-1", artifact=changed.store.put_directory(folder).digest)
    question = tasks.RollbackQuestion(when=("ConceptDrift", "PerformanceDrop"), older=(older,))

    def asked(window: Window, labels: Labels, end: Any = None) -> tasks.DriftReport:
        task = changed.task("PerformanceDrop", "ConceptDrift").evolve(rollback=question, window=window, labels=labels)
        return check(changed.pod(end), task)

    counted = asked(Window(rows=400, min_samples=2), Labels(max_delay="3d"))
    assert counted.older is not None, counted.not_measured
    assert changed.document(counted)["older"]["rows"] == 400
    # The same rows, as the newest ones of three days ago.
    plain = asked(Window(rows=400, min_samples=2), Labels(), changed.end - timedelta(days=3)).older
    assert plain is not None
    assert (counted.older.older, counted.older.live) == (plain.older, plain.live)


def test_labels_are_asked_for_of_the_rows_that_are_judged_by_label(stable: World) -> None:
    """A label of a younger row would not be counted; and none is asked for twice."""
    stable.write(REQUESTS, stable.captured)
    question = tasks.LabelQuestion(when=("Inconclusive",), budget=60)
    task = stable.task("PerformanceDrop").evolve(
        window=Window(rows=300, min_samples=2), labels=Labels(max_delay="3d"), label_request=question
    )
    report = check(stable.pod(), task)
    assert report.labels_wanted == tasks.LabelsWanted(rows=60, asked_before=0, needed=60, file="label-request.jsonl")
    lines = stable.store.read_file(report.report_digest, "label-request.jsonl").decode().splitlines()
    old = stable.captured.filter(pl.col("time") <= stable.end - timedelta(days=3)).sort("time").tail(300)
    assert {json.loads(line)["id"] for line in lines} <= set(old["id"])
    end = stable.end.isoformat().replace("+00:00", "Z")
    again = check(stable.pod(), task.evolve(monitor="other", as_of=end)).labels_wanted
    assert again is not None
    assert (again.rows, again.asked_before) == (0, 60)
