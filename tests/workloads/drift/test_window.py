"""Captures and labels in a store: what counts, what does not, and what is said about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from bench.drift_streams import Stream, signature_of
from mlops.workloads.drift.run import check
from mlops.workloads.floor.pod import BadInput, Pod
from tests.workloads.drift.conftest import LABELS, REQUESTS, World, parquet


def test_a_stable_window_of_a_store_is_stable(stable: World) -> None:
    """Rows, labels and coverage are those that were written."""
    stable.write_all()
    report = stable.check()
    assert report.verdict == "Stable"
    assert (report.samples, report.labelled, report.label_coverage) == (1200, 1200, "1")
    assert {one.result for one in report.checks} == {"NotDetected"}


def test_a_changed_relation_in_a_store_is_a_concept_drift(changed: World) -> None:
    """Through Parquet, join and report."""
    changed.write_all()
    report = changed.check()
    assert report.verdict == "ConceptDrift"
    assert report.attribution is not None
    assert report.change_point is not None
    assert report.metric is not None
    assert float(report.metric.current) < float(report.metric.reference) - 0.05


def test_the_window_is_open_at_its_start_and_closed_at_its_end(stable: World) -> None:
    """Rows exactly at the end count, rows exactly at the start belong to the window before."""
    rows = stable.captured.head(3).with_columns(
        pl.Series("time", [stable.end - timedelta(days=7), stable.end, stable.end + timedelta(microseconds=1)]).cast(
            pl.Datetime("us", "UTC")
        )
    )
    stable.write(REQUESTS, rows)
    assert stable.check("DataDrift").samples == 1


def test_partitions_of_days_and_of_months_are_read_alike(stable: World) -> None:
    """A backfill is written by the month, live traffic by the day; a window may hold both."""
    rows = stable.captured
    stable.write(REQUESTS, rows.head(700), monthly=True)
    stable.write(REQUESTS, rows.tail(500))
    stable.write(LABELS, stable.labels, monthly=True)
    report = stable.check()
    assert (report.samples, report.labelled, report.verdict) == (1200, 1200, "Stable")


def test_partitions_of_other_days_are_not_read(stable: World) -> None:
    """A file of another month may be broken: nobody opens it."""
    stable.write_all()
    stable.store.put_object(f"{REQUESTS}date=2024-01-01/broken.parquet", b"PAR1 no")
    assert stable.check("DataDrift").samples == 1200


def test_a_broken_file_of_the_window_is_named(stable: World) -> None:
    """The user reads which file it is."""
    stable.write_all()
    day = stable.end - timedelta(days=1)
    stable.store.put_object(f"{REQUESTS}date={day:%Y-%m-%d}/broken.parquet", b"PAR1 no")
    with pytest.raises(BadInput, match=r"broken\.parquet is no readable Parquet file"):
        stable.check("DataDrift")


def test_repeated_captures_count_once(stable: World) -> None:
    """A retried request has the same id."""
    stable.write_all()
    stable.write(REQUESTS, stable.captured.head(100), "retry")
    report = stable.check()
    assert report.samples == 1200
    assert stable.document(report)["counts"]["duplicates"] == 100


def test_the_last_label_received_counts_and_conflicts_are_counted(stable: World) -> None:
    """Wrong labels first, the right ones later: the metric is that of the right ones."""
    stable.write_all()
    plain = stable.check("PerformanceDrop")
    other = pl.when(pl.col("label") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes")).alias("label")
    wrong = stable.labels.with_columns(other, pl.col("received") - timedelta(minutes=30))
    stable.write(LABELS, wrong, "0-early")
    stable.write(LABELS, stable.labels.head(50), "z-again")
    report = stable.check("PerformanceDrop")
    counts = stable.document(report)["counts"]
    assert report.metric == plain.metric
    assert counts["labelConflicts"] == 1200
    assert report.labelled == 1200


def test_repeated_unmatched_and_unusable_labels_are_counted(stable: World) -> None:
    """Each by its own name, none of them as a labelled row."""
    stable.write_all()
    stable.write(LABELS, stable.labels.head(40), "again")
    stable.write(LABELS, stable.labels.head(30).with_columns(pl.col("id") + "-unknown"), "unknown")
    stable.write(LABELS, stable.labels.tail(20).with_columns(pl.lit(None, pl.String).alias("label")), "nothing")
    counts = stable.document(stable.check("PerformanceDrop"))["counts"]
    assert counts["labelDuplicates"] == 40
    assert counts["labelsUnmatched"] == 30
    assert counts["labelsUnusable"] == 20
    assert counts["labelled"] == 1200


def test_a_class_that_the_model_does_not_know_is_seen_and_spoils_no_other_label(stable: World) -> None:
    """It has a count of its own and a name in the notes, it moves the class balance, and no metric takes it in."""
    stable.write(REQUESTS, stable.captured)
    new = pl.lit("hail").alias("label")
    stable.write(LABELS, pl.concat([stable.labels.head(900), stable.labels.tail(300).with_columns(new)]))
    report = stable.check("PerformanceDrop", "LabelShift")
    document = stable.document(report)
    assert (document["counts"]["labelsUnknown"], document["counts"]["labelled"]) == (300, 900)
    assert document["counts"]["labelsUnusable"] == 0
    assert any(
        "300 rows have labels of classes that the model does not know (hail)" in one for one in document["notes"]
    )
    assert [one.result for one in report.checks] == ["NotDetected", "Detected"]
    assert "300 of them are classes that the model does not know (hail)" in report.checks[1].message


def test_a_label_that_is_corrected_to_a_new_class_counts_as_that(stable: World) -> None:
    """The last label of a row counts, and that it was another one before is a conflict."""
    stable.write(REQUESTS, stable.captured)
    stable.write(LABELS, stable.labels)
    later = stable.labels.tail(20).with_columns(pl.lit("hail").alias("label"), pl.col("received") + timedelta(hours=1))
    stable.write(LABELS, later, "later")
    counts = stable.document(stable.check("PerformanceDrop"))["counts"]
    assert (counts["labelsUnknown"], counts["labelConflicts"], counts["labelled"]) == (20, 20, 1180)


def test_rows_too_young_for_labels_do_not_lower_coverage(stable: World) -> None:
    """With a delay of two days, the last two of seven are not judged: their labels are still to come."""
    stable.write(REQUESTS, stable.captured)
    old = stable.labels.filter(pl.col("time") <= stable.end - timedelta(days=2))
    stable.write(LABELS, old)
    without = stable.check("PerformanceDrop")
    report = stable.check("PerformanceDrop", max_delay="2d")
    assert float(without.label_coverage) == pytest.approx(5 / 7, abs=0.02)
    assert float(report.label_coverage) == pytest.approx(1.0, abs=0.02)
    assert stable.document(report)["counts"]["tooYoung"] == pytest.approx(1200 * 2 / 7, abs=10)


def test_a_new_class_of_a_row_that_is_not_judged_yet_does_not_count(stable: World) -> None:
    """Early labels are of whatever is known early: the balance of classes is that of judged rows."""
    stable.write(REQUESTS, stable.captured)
    is_young = pl.col("time") > stable.end - timedelta(days=1)
    label = pl.when(is_young).then(pl.lit("hail")).otherwise(pl.col("label")).alias("label")
    stable.write(LABELS, stable.labels.with_columns(label))
    report = stable.check("LabelShift", max_delay="2d")
    assert stable.document(report)["counts"]["labelsUnknown"] == 0
    assert [one.result for one in report.checks] == ["NotDetected"]


def test_labels_that_come_after_the_window_still_count(stable: World) -> None:
    """Cohorts are made by the request's time."""
    stable.write(REQUESTS, stable.captured)
    stable.write(LABELS, stable.labels.with_columns(pl.col("time") + timedelta(days=20)))
    assert stable.check("PerformanceDrop").labelled == 1200


def test_too_few_labels_are_inconclusive(stable: World) -> None:
    """A tenth of the rows is below minCoverage 0.2: no answer, not "no drop"."""
    stable.write(REQUESTS, stable.captured)
    stable.write(LABELS, stable.labels.gather_every(10))
    report = stable.check("DataDrift", "PerformanceDrop", "ConceptDrift", "LabelShift")
    assert report.verdict == "Inconclusive"
    assert [one.result for one in report.checks] == ["NotDetected", *["Inconclusive"] * 3]
    assert "minCoverage" in report.checks[1].message


def test_too_few_rows_are_inconclusive(changed: World) -> None:
    """Even if what is there looks bad."""
    changed.write(REQUESTS, changed.captured.head(300))
    changed.write(LABELS, changed.labels.head(300))
    report = changed.check()
    assert report.verdict == "Inconclusive"
    assert "300 rows in the window, minSamples is 500" in report.checks[0].message


def test_a_new_version_is_not_blamed_for_the_one_before(changed: World) -> None:
    """Rows of another version count for the inputs; for the performance there are then too few of its own."""
    mine = pl.int_range(pl.len()) < 200
    digest = pl.when(mine).then(pl.col("modelDigest")).otherwise(pl.lit("sha256:" + "0" * 64)).alias("modelDigest")
    changed.write(REQUESTS, changed.captured.with_columns(digest))
    changed.write(LABELS, changed.labels)
    report = changed.check("DataDrift", "ConceptDrift")
    assert report.samples == 1200
    assert report.checks[1].result == "Inconclusive"
    assert "200 rows answered by the live version" in report.checks[1].message


def test_an_empty_window_is_inconclusive_for_a_new_model_and_broken_for_a_used_one(stable: World) -> None:
    """Nothing was ever captured; later there was traffic, and it stopped."""
    assert stable.check().verdict == "Inconclusive"
    stable.write_all()
    later = stable.end + timedelta(days=30)
    assert stable.check(end=later).verdict == "DataQuality"
    assert stable.check("DataDrift", "ConceptDrift", end=later).verdict == "Inconclusive"


def test_one_row_is_inconclusive(stable: World) -> None:
    """With the smallest minSamples that is allowed."""
    stable.write(REQUESTS, stable.captured.head(1))
    stable.write(LABELS, stable.labels.head(1))
    assert stable.check(window={"min_samples": 2}).verdict == "Inconclusive"


def test_two_rows_are_judged_without_an_error(stable: World) -> None:
    """As few as the user allows; what cannot be computed is Inconclusive."""
    stable.write(REQUESTS, stable.captured.head(2))
    stable.write(LABELS, stable.labels.head(2))
    report = stable.check(window={"min_samples": 2})
    assert report.verdict in ("Inconclusive", "Stable")


def test_inputs_without_any_value_are_no_drift(stable: World) -> None:
    """Inconclusive when only drift is asked about; broken delivery when quality is."""
    fields = stable.stream.reference.fields
    empty = [pl.lit(None, stable.captured.schema[f"in.{name}"]).alias(f"in.{name}") for name in fields]
    stable.write(REQUESTS, stable.captured.with_columns(empty))
    stable.write(LABELS, stable.labels)
    assert stable.check("DataDrift").verdict == "Inconclusive"
    report = stable.check("DataQuality", "DataDrift")
    assert report.verdict == "DataQuality"
    # x0 may be missing; a server refuses requests without the others, so those were redacted.
    assert report.checks[0].message == "x0 is missing in 100% of the rows, 0% before"


def test_infinite_and_nan_values_are_missing_values(stable: World) -> None:
    """They are neither compared nor do they stop the check."""
    odd = pl.when(pl.int_range(pl.len()) % 3 == 0).then(float("inf")).otherwise(pl.col("in.x0")).alias("in.x0")
    stable.write(REQUESTS, stable.captured.with_columns(odd, pl.lit(float("nan")).alias("in.x1")))
    report = stable.check("DataQuality", "DataDrift")
    assert report.verdict == "DataQuality"
    assert "x0 is missing in 33% of the rows" in report.checks[0].message


def test_an_input_that_no_file_has_is_a_broken_delivery(stable: World) -> None:
    """Renamed upstream, say."""
    stable.write(REQUESTS, stable.captured.rename({"in.x2": "in.X2"}))
    report = stable.check("DataQuality", "DataDrift")
    assert report.verdict == "DataQuality"
    assert report.checks[0].message == "the window lacks the input x2"


def test_unseen_categories_and_values_far_out_are_a_broken_delivery(stable: World) -> None:
    """Another unit and another code list."""
    frame = stable.captured.with_columns(pl.col("in.x1") * 100.0 + 1000.0, pl.col("in.region").str.to_uppercase())
    stable.write(REQUESTS, frame)
    problems = stable.document(stable.check("DataQuality"))["checks"][0]["numbers"]["problems"]
    assert len(problems) == 2
    assert "region is spelt otherwise in 100.0% of the rows, such as 'WEST' for 'west'" in problems
    assert "x1 is far outside its range in 100% of the rows" in problems


def test_a_large_window_is_sampled_the_same_way_whatever_the_files(stable: World, tmp_path: object) -> None:
    """The report says so; the sample is a function of the rows alone."""
    stable.write_all()
    report = stable.check(window={"max_samples": 600})
    assert report.samples == 600
    found = stable.document(report)
    assert found["counts"]["rows"] == 1200
    assert any("600 of 1200 rows" in note for note in found["notes"])


@pytest.mark.parametrize("name", ["by-hand", "try-2", "churn-check-by-hand", ""])
def test_a_job_that_a_person_made_looks_at_the_window_up_to_now(stable: World, name: str) -> None:
    """`kubectl create job --from=cronjob/...` gives a name without a scheduled time."""
    pod = Pod({**stable.pod().environ, "MLOPS_JOB": name}, stable.root)
    before = datetime.now(UTC).replace(microsecond=0)
    report = check(pod, stable.task())
    assert before <= datetime.fromisoformat(report.window_end) <= datetime.now(UTC)


def test_a_check_that_was_asked_for_looks_at_the_window_that_it_is_told(stable: World) -> None:
    """A retry of the monitor says up to when."""
    as_of = stable.check().window_end
    pod = Pod({**stable.pod().environ, "MLOPS_JOB": "churn-check-r0123456789"}, stable.root)
    assert check(pod, stable.task().model_copy(update={"as_of": as_of})).window_end == as_of


def test_a_model_without_a_reference_is_refused(stable: World) -> None:
    """A digest that holds no reference.parquet."""
    stable.artifact = stable.store.put_files({"model.json": b"{}"}).digest
    with pytest.raises(BadInput, match="has no reference to compare with"):
        stable.check("DataDrift")


def test_a_model_whose_description_is_none_is_refused(stable: World) -> None:
    """What model.json must be is said in one place: the model's signature."""
    rows = parquet(stable.stream.reference.frame)
    stable.artifact = stable.store.put_files({"model.json": b"{}", "reference.parquet": rows}).digest
    with pytest.raises(BadInput, match=r"model\.json: .*Field required: train the model again") as caught:
        stable.check("DataDrift")
    assert caught.value.reason == "DataUnusable"


def test_numbers_as_classes_match_whatever_type_they_were_written_with(stable: World) -> None:
    """A class 1, captured as a whole number and fed back as 1.0, is one class."""
    codes = {"no": 0, "yes": 1}
    as_number = pl.col("out.prediction").replace_strict(codes, return_dtype=pl.Int64)
    names = {"out.p.no": "out.p.0", "out.p.yes": "out.p.1"}
    reference = stable.stream.reference.frame.rename(names).with_columns(
        as_number, pl.col("label").replace_strict(codes, return_dtype=pl.Int64)
    )
    label = {"name": "y", "type": "int64"}
    signature = signature_of(stable.stream.reference.frame, classes=[0, 1], positive=1, label=label)
    model = json.dumps(signature.dump()).encode()
    captured = stable.captured.rename(names).with_columns(as_number)
    stable.artifact = stable.store.put_files({"model.json": model, "reference.parquet": parquet(reference)}).digest
    stable.write(REQUESTS, captured.with_columns(pl.lit(stable.artifact).alias("modelDigest")))
    stable.write(LABELS, stable.labels.with_columns(pl.col("label").replace_strict(codes, return_dtype=pl.Float64)))
    report = stable.check("PerformanceDrop", "ConceptDrift", "LabelShift")
    assert report.labelled == 1200
    assert report.verdict == "Stable"


@pytest.fixture
def filling(tmp_path: Path, streams: dict[str, Stream]) -> Callable[..., World]:
    """A world whose model fills x0, of which so many were missing before it was trained."""

    def made(share: float | None) -> World:
        fill = {"field": "x0", "value": 0.0} | ({} if share is None else {"missing": share})
        return World(tmp_path / f"store {share}", streams["stable"], 0, model={"clean": [{"fillNull": fill}]})

    return made


@pytest.mark.parametrize(
    ("share", "gaps", "said"),
    [
        pytest.param(0.0, 300, "x0 is missing in 25% of the rows, 0% before", id="never before"),
        pytest.param(None, 300, "x0 is missing in 25% of the rows, 0% before", id="not recorded"),
        pytest.param(0.25, 300, None, id="as before"),
        pytest.param(0.5, 300, None, id="more before"),
    ],
)
def test_a_value_that_is_filled_is_missing_all_the_same(
    filling: Callable[..., World], share: float | None, gaps: int, said: str | None
) -> None:
    """The constant hides a broken delivery from the model, and must not from the check."""
    world = filling(share)
    rows = pl.int_range(pl.len())
    world.write(REQUESTS, world.captured.with_columns(pl.when(rows >= gaps).then("in.x0").alias("in.x0")))
    (found,) = world.check("DataQuality").checks
    assert found.result == ("NotDetected" if said is None else "Detected")
    assert said is None or said in found.message
