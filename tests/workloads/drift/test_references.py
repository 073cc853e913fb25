"""What a window is compared with: training data, a Dataset, an earlier window, the same season; with a real model."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops.api import tasks
from mlops.api.drift_monitor import Check, Labels, TargetRef, Window
from mlops.api.drift_reference import DriftReference
from mlops.workloads.drift.run import check
from mlops.workloads.drift.scoring import answered
from mlops.workloads.floor.model.signature import read_signature
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import captures_prefix, feedback_prefix
from tests.workloads.drift.conftest import parquet
from tests.workloads.train.runs import Place, a_frame, a_schema

ALL = ("DataDrift", "PredictionDrift", "LabelShift", "PerformanceDrop")
END = datetime(2025, 6, 30, tzinfo=UTC)
DAY = timedelta(days=1)
OTHER = "sha256:" + "9" * 64


@dataclass
class Shop:
    """A trained model with its data, and what was captured of it."""

    place: Place
    written: int = field(default=0)

    def __post_init__(self) -> None:
        self.data = self.place.dataset(a_frame(1500))
        self.artifact = self.place.run(self.data).output_digest
        self.folder = self.place.folder / "model"
        self.place.store.get(self.artifact, self.folder)
        self.signature = read_signature(self.folder)

    def capture(
        self, end: datetime, *, seed: int, by: str = "", moved: float = 0.0, rows: int = 700, redacted: str = ""
    ) -> None:
        """Record rows of the ten days before `end`, with their labels; `by` another version, with its own answers."""
        self.written += 1
        frame = a_frame(rows, seed).with_columns(pl.col("price") + moved)
        inputs = frame.select(pl.col(one.name).alias(f"in.{one.name}") for one in self.signature.inputs)
        asked = answered(self.place.store, self.artifact, self.place.new("asked") / "model", self.signature, inputs)
        if by:
            asked = asked.with_columns(
                pl.lit("UP").alias("out.prediction"), *(pl.lit(0.5).alias(f"out.p.{one}") for one in ("DOWN", "UP"))
            )
        if redacted:
            asked = asked.with_columns(pl.lit(None, asked.schema[f"in.{redacted}"]).alias(f"in.{redacted}"))
        times = [end - 10 * DAY * (1 - (n + 1) / rows) for n in range(rows)]
        recorded = asked.with_columns(
            pl.Series("id", [f"r{self.written}-{n}" for n in range(rows)]),
            pl.lit(0, pl.Int64).alias("row"),
            pl.Series("time", times).cast(pl.Datetime("us", "UTC")),
            pl.lit(1, pl.Int64).alias("modelVersion"),
            pl.lit(by or self.artifact).alias("modelDigest"),
            pl.lit("production").alias("stage"),
        )
        labels = recorded.select("id", "row", "time", frame["label"], pl.col("time").alias("received"))
        place = ("shop", "electricity", "production")
        for prefix, rows_ in ((captures_prefix(*place), recorded), (feedback_prefix(*place), labels)):
            dated = rows_.with_columns(pl.col("time").dt.strftime("date=%Y-%m").alias("_part"))
            for (month,), part in dated.partition_by("_part", as_dict=True, include_key=False).items():
                self.place.store.put_object(f"{prefix}{month}/{self.written}.parquet", parquet(part))

    def check(
        self, reference: dict[str, Any] | None = None, *types: str, dataset: str = "", **changes: Any
    ) -> tasks.DriftReport:
        pinned = tasks.PinnedDataset(name="grid", version=3, digest=OTHER, artifact=dataset or self.data)
        task = tasks.DriftTask(
            namespace="shop",
            monitor="watch",
            target=TargetRef(model_name="electricity"),
            model_version="electricity-v1",
            artifact=self.artifact,
            window=Window(duration="10d"),
            labels=Labels(),
            checks=tuple(Check(name=one.lower(), type=one) for one in types or ALL),
            reference=DriftReference.model_validate(reference) if reference else None,
            reference_dataset=pinned if reference and "datasetRef" in reference else None,
            as_of="2025-06-30T00:00:00Z",
        )
        return check(self.place.pod(), task.evolve(**changes))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A model, with a window of its own requests that is like its data."""
    shop = Shop(Place(tmp_path_factory.mktemp("references")))
    shop.capture(END, seed=1)
    return shop


def answers(report: tasks.DriftReport) -> dict[str, str]:
    return {each.type: each.result for each in report.checks}


def message(report: tasks.DriftReport, type_: str) -> str:
    return next(each.message for each in report.checks if each.type == type_)


def test_training_data_is_the_reference_unless_the_monitor_says_another(trained: Shop) -> None:
    """By name or left out; the report and the status name it by the model that it lies beside."""
    report = trained.check()
    assert report.verdict == "Stable"
    assert report.reference is not None
    assert (report.reference.source, report.reference.digest) == (
        "training data of electricity-v1",
        trained.artifact,
    )
    assert trained.check({"trainingData": {}}).metric == report.metric


def test_the_data_that_it_was_trained_on_is_the_same_reference_as_a_dataset(trained: Shop) -> None:
    """The model answers it again: rows, answers, parts and metric are those that training recorded."""
    report = trained.check({"datasetRef": {"name": "grid"}})
    plain = trained.check()
    assert (report.metric, report.top_features, report.verdict) == (plain.metric, plain.top_features, plain.verdict)
    assert [each.message for each in report.checks] == [each.message for each in plain.checks]
    assert report.reference is not None
    assert (report.reference.source, report.reference.digest) == ("Dataset grid, version 3", OTHER)


def test_a_dataset_of_another_world_shows_what_moved_since(trained: Shop) -> None:
    """Against a Dataset whose prices were other ones the same window has drifted."""
    moved = trained.place.dataset(a_frame(1500, 5).with_columns(pl.col("price") + 3))
    report = trained.check({"datasetRef": {"name": "grid"}}, dataset=moved)
    assert answers(report)["DataDrift"] == "Detected"
    assert report.top_features[0].name == "price"


def test_a_dataset_without_the_models_inputs_is_refused(trained: Shop) -> None:
    """The field that is missing is named."""
    schema = a_schema([one for one in a_schema()["fields"] if one["name"] != "region"])
    other = trained.place.dataset(a_frame(300).drop("region"), schema)
    with pytest.raises(BadInput, match=r"Dataset \"grid\" has no field region of type string"):
        trained.check({"datasetRef": {"name": "grid"}}, dataset=other)


def test_a_dataset_without_the_label_answers_only_what_needs_none(trained: Shop) -> None:
    """Checks by label say why they cannot tell."""
    fields = [
        {**one, "name": "note", "role": "ignored"} if one["name"] == "label" else one for one in a_schema()["fields"]
    ]
    other = trained.place.dataset(a_frame(1500).rename({"label": "note"}), a_schema(fields))
    report = trained.check({"datasetRef": {"name": "grid"}}, dataset=other)
    assert answers(report) == {
        "DataDrift": "NotDetected",
        "PredictionDrift": "NotDetected",
        "LabelShift": "Inconclusive",
        "PerformanceDrop": "Inconclusive",
    }
    assert message(report, "PerformanceDrop").endswith('Dataset "grid" has no label label')


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param({"window": {"start": "2025-05-21T00:00:00Z", "end": "2025-05-31T00:00:00Z"}}, id="window"),
        pytest.param({"seasonal": {"offset": "30d"}}, id="season"),
    ],
)
def test_an_earlier_window_is_a_reference(tmp_path: Path, reference: dict[str, Any]) -> None:
    """What moved before it is no drift any more, what moved since is; its rows have a digest."""
    shop = Shop(Place(tmp_path))
    shop.capture(END - 30 * DAY, seed=2, moved=1.0)
    shop.capture(END, seed=3, moved=1.0)
    assert answers(shop.check())["DataDrift"] == "Detected"
    report = shop.check(reference)
    assert answers(report) == dict.fromkeys(ALL, "NotDetected")
    assert report.reference is not None
    assert report.reference.rows == 700
    assert report.reference.source == "captured from 2025-05-21T00:00:00Z to 2025-05-31T00:00:00Z"
    assert shop.check(reference).reference == report.reference
    shop.capture(END - timedelta(minutes=1), seed=4, moved=4.0)
    assert answers(shop.check(reference))["DataDrift"] == "Detected"


def test_the_live_model_answers_what_others_answered_before(tmp_path: Path) -> None:
    """The earlier window of another version has the live one's answers, not those that were given."""
    shop = Shop(Place(tmp_path))
    shop.capture(END - 30 * DAY, seed=2, by=OTHER)
    shop.capture(END, seed=3)
    report = shop.check({"seasonal": {"offset": "30d"}})
    assert answers(report)["PredictionDrift"] == "NotDetected"
    assert report.metric is not None
    assert report.metric.name == "brier"
    assert float(report.metric.reference) < 0.1, "that of the other version's answers is 0.25"


def test_rows_that_it_may_have_been_trained_on_are_not_held_out(tmp_path: Path) -> None:
    """Older than its newest training row and answered by others: too good to be compared with."""
    shop = Shop(Place(tmp_path))
    # The training data begins with 2024, an hour a row.
    shop.capture(datetime(2024, 1, 20, tzinfo=UTC), seed=2, by=OTHER)
    shop.capture(END, seed=3)
    reference = {"window": {"start": "2024-01-10T00:00:00Z", "end": "2024-01-20T00:00:00Z"}}
    report = shop.check(reference)
    assert (answers(report)["DataDrift"], answers(report)["PerformanceDrop"]) == ("NotDetected", "Inconclusive")
    assert "the reference has 0 held-out rows" in message(report, "PerformanceDrop")


def test_a_reference_with_too_few_rows_is_inconclusive(trained: Shop) -> None:
    """Nothing was captured a year ago: never "no drift"."""
    report = trained.check({"seasonal": {"offset": "365d"}})
    assert report.verdict == "Inconclusive"
    assert "0 rows in the reference (captured from 2024-06-20" in message(report, "DataDrift")


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        pytest.param({"seasonal": {"offset": "9d"}}, "set offset to the window's length or more", id="season"),
        pytest.param(
            {"window": {"start": "2025-06-01T00:00:00Z", "end": "2025-06-25T00:00:00Z"}}, "an earlier end", id="window"
        ),
    ],
)
def test_a_window_is_not_compared_with_itself(trained: Shop, reference: dict[str, Any], says: str) -> None:
    """Rows on both sides would make every drift smaller than it is."""
    with pytest.raises(BadInput, match=says):
        trained.check(reference)


def test_a_model_that_does_not_answer_is_told(trained: Shop) -> None:
    """What is wrong with it, and of what it was asked."""
    files = {path.name: path.read_bytes() for path in trained.folder.iterdir()}
    broken = trained.place.store.put_files({**files, "model.onnx": b"no model"}).digest
    with pytest.raises(BadInput, match="the live model does not answer the reference's rows: model") as refused:
        trained.check({"datasetRef": {"name": "grid"}}, artifact=broken)
    assert str(refused.value.reason) == "DataUnusable"


def test_what_an_older_version_held_out_is_not_held_out_of_a_later_one(trained: Shop) -> None:
    """Of a split by time the model was trained on it: it is too good there, and every window would be a drop."""
    older = trained.place.dataset(a_frame(800))
    report = trained.check({"datasetRef": {"name": "grid"}}, dataset=older)
    assert (answers(report)["DataDrift"], answers(report)["PerformanceDrop"]) == ("NotDetected", "Inconclusive")
    assert "are older than the newest one that the model was trained on" in message(report, "PerformanceDrop")
    by_entity = trained.place.dataset(a_frame(800), a_schema(split={"strategy": "hash", "seed": 1}))
    report = trained.check({"datasetRef": {"name": "grid"}}, dataset=by_entity)
    assert answers(report)["PerformanceDrop"] == "NotDetected", "such a row keeps its part in every version"


def test_classes_that_the_model_does_not_know_count_for_no_metric(trained: Shop) -> None:
    """Of a Dataset, as of a window: they count for the class balance, which then moved."""
    label = pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("SIDEWAYS")).otherwise("label").alias("label")
    other = trained.place.dataset(a_frame(1500).with_columns(label))
    types = ("LabelShift", "PerformanceDrop", "EstimatedPerformance")
    found = answers(trained.check({"datasetRef": {"name": "grid"}}, *types, dataset=other))
    assert found == {"LabelShift": "Detected", "PerformanceDrop": "NotDetected", "EstimatedPerformance": "NotDetected"}


def test_requests_without_the_values_of_an_input_are_not_answered_again(tmp_path: Path) -> None:
    """A redacted input is no missing one: the answer would be another, and the reference a wrong one."""
    shop = Shop(Place(tmp_path))
    shop.capture(END - 30 * DAY, seed=2, by=OTHER, redacted="demand")
    shop.capture(END, seed=3)
    report = shop.check({"seasonal": {"offset": "30d"}})
    assert answers(report)["PredictionDrift"] == "Inconclusive"
    assert "captured rows lack its input demand" in message(report, "PredictionDrift")
