"""Labels from elsewhere: delivered files and Datasets, read as the pod's containers read them, from real buckets."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import polars as pl
import pytest

from mlops.api import tasks
from mlops.api.dataset import DatasetSpec
from mlops.api.drift_monitor import Labels
from mlops.workloads.drift.run import check
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.ingest.labels import read_labels
from mlops.workloads.ingest.run import ingest
from tests.workloads.drift.conftest import LABELS, REQUESTS, World, parquet

TRUTH = {"uri": "s3://truth/churn/"}
TYPES = ("PerformanceDrop",)


@dataclass
class Desk:
    """A world whose labels are delivered to a bucket beside its store."""

    world: World

    def __post_init__(self) -> None:
        self.buckets = self.world.root.parent / "buckets"
        (self.buckets / "truth").mkdir(parents=True)
        self.runs = 0
        self.world.write(REQUESTS, self.world.captured)

    def deliver(self, key: str, content: bytes | str, *, hours: float = 0.0) -> None:
        """Put a file into the bucket, written so long after the window's end."""
        path = self.buckets / "truth" / "churn" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        written = (self.world.end + timedelta(hours=hours)).timestamp()
        os.utime(path, (written, written))

    def pod(self, **environ: str) -> Pod:
        self.runs += 1
        scratch = self.world.root.parent / f"scratch-{self.runs}"
        scratch.mkdir()
        inputs = str(self.world.root.parent / "inputs")
        return Pod(
            self.world.pod().environ
            | {"MLOPS_BUCKETS": f"file://{self.buckets}", tasks.INPUTS_VARIABLE: inputs}
            | environ,
            scratch,
        )

    def check(
        self,
        *sources: dict[str, Any],
        dataset: tasks.PinnedDataset | None = None,
        types: tuple[str, ...] = TYPES,
        environ: dict[str, str] | None = None,
        **labels: Any,
    ) -> tasks.DriftReport:
        """Run the containers of a check one after the other."""
        wanted = Labels.model_validate({"sources": list(sources), **labels})
        task = self.world.task(*types).evolve(labels=wanted, label_dataset=dataset)
        for number, source in enumerate(wanted.sources or ()):
            if source.is_delivered:
                read_labels(
                    self.pod(**(environ or {})),
                    tasks.LabelsTask(
                        namespace="shop",
                        monitor="churn",
                        number=number,
                        source=source,
                        artifact=task.artifact,
                        window=task.window,
                    ),
                )
        return check(self.pod(), task)


@pytest.fixture
def desk(stable: World) -> Desk:
    return Desk(stable)


def ground_truth(rows: pl.DataFrame) -> str:
    """Rows (id, label) in SageMaker's shape."""
    return "".join(
        json.dumps(
            {
                "groundTruthData": {"data": label, "encoding": "CSV"},
                "eventMetadata": {"eventId": id_},
                "eventVersion": "0",
            }
        )
        + "\n"
        for id_, label in rows.select("id", "label").iter_rows()
    )


def csv(rows: pl.DataFrame) -> str:
    return str(rows.select("id", "row", "label", pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")).write_csv())


FORMATS: dict[str, tuple[dict[str, Any], str, Callable[[pl.DataFrame], bytes | str]]] = {
    "ground truth": ({"format": "GroundTruthJSONL"}, "2026/11/01/00/a.jsonl", ground_truth),
    "parquet": (
        {"format": "parquet", "columns": {"row": "row", "time": "time"}},
        "a.parquet",
        lambda rows: parquet(rows.drop("received")),
    ),
    "csv": ({"format": "csv", "columns": {"row": "row", "time": "time"}}, "day=1/a.csv", csv),
}


@pytest.mark.parametrize("form", FORMATS)
def test_delivered_labels_are_judged_like_those_of_feedback(desk: Desk, form: str) -> None:
    """SageMaker's ground truth, Parquet and CSV give the metric that the same labels give as feedback."""
    settings, key, written = FORMATS[form]
    rows = desk.world.labels
    desk.deliver(key, written(rows.head(700)))
    desk.deliver(f"more-{key.replace('/', '-')}", written(rows.tail(500)))
    delivered = desk.check({"s3": {**TRUTH, **settings}})
    desk.world.write(LABELS, rows)
    by_feedback = desk.world.check(*TYPES)
    assert delivered.metric == by_feedback.metric
    assert (delivered.labelled, delivered.label_coverage) == (1200, "1")
    (source,) = delivered.label_sources
    assert (source.source, source.labelled, source.unmatched) == ("s3://truth/churn/", 1200, 0)
    assert by_feedback.label_sources == ()


def test_feedback_alone_counts_unless_sources_say_more(desk: Desk) -> None:
    """Named or left out, it is the same; where it is not named it is not read."""
    desk.world.write(LABELS, desk.world.labels)
    desk.deliver("a.csv", csv(desk.world.labels.head(600)))
    named = desk.check({"feedback": {}})
    assert named.metric == desk.world.check(*TYPES).metric
    without = desk.check({"s3": {**TRUTH, **FORMATS["csv"][0]}})
    assert (without.labelled, without.label_sources[0].labelled) == (600, 600)


def test_of_several_sources_the_first_counts(desk: Desk) -> None:
    """A row that both label has the first one's; where they differ is counted, and stands in the report."""
    rows = desk.world.labels
    desk.world.write(LABELS, rows.head(800))
    other = pl.when(pl.col("label") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes")).alias("label")
    desk.deliver("a.csv", csv(pl.concat([rows[700:800].with_columns(other), rows[800:]])))
    report = desk.check({"feedback": {}}, {"s3": {**TRUTH, **FORMATS["csv"][0]}})
    feedback, delivered = report.label_sources
    assert (feedback.labelled, delivered.labelled, delivered.disagreeing) == (800, 500, 100)
    assert report.labelled == 1200
    desk.world.write(LABELS, rows)
    assert report.metric == desk.world.check(*TYPES).metric
    assert any("100 rows have another one" in note for note in desk.world.document(report)["notes"])


def test_unmatched_repeated_conflicting_unusable_early_and_late_labels_are_counted_by_source(desk: Desk) -> None:
    """Each by its own name; early ones do not count."""
    rows = desk.world.labels
    desk.deliver("a.csv", csv(rows[:900]))
    desk.deliver("b.csv", csv(rows[:40]))
    other = pl.when(pl.col("label") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes")).alias("label")
    desk.deliver("c.csv", csv(rows[40:60].with_columns(other, pl.col("time") + timedelta(minutes=1))), hours=1)
    desk.deliver("d.csv", csv(rows[:30].with_columns(pl.col("id") + "-unknown")))
    desk.deliver("e.csv", csv(rows[900:1000].with_columns(pl.col("time") - timedelta(days=2))))
    desk.deliver("f.csv", csv(rows[1000:1010].with_columns(pl.lit(None, pl.String).alias("label"))))
    desk.deliver("g.csv", csv(rows[1010:1015]), hours=24 * 9)
    (found,) = desk.check({"s3": {**TRUTH, **FORMATS["csv"][0]}}, maxDelay="8d").label_sources
    # Rows of the window are at most 7 days old, and none is old enough for a delay of 8.
    assert found.labelled == 0
    assert (found.unmatched, found.duplicates, found.conflicts) == (30, 40, 20)
    assert (found.early, found.unusable, found.late) == (100, 10, 5)


def test_an_id_stands_for_a_further_row_of_its_request(desk: Desk) -> None:
    """As in a captured Dataset: <id>/<row>; an id of a request that looks so is taken as it is."""
    rows = desk.world.captured.with_columns(
        pl.when(pl.int_range(pl.len()) < 1000).then(pl.lit("batch")).otherwise(pl.col("id")).alias("id"),
        pl.when(pl.int_range(pl.len()) < 1000).then(pl.int_range(pl.len())).otherwise(pl.lit(0)).alias("row"),
    )
    rows = rows.with_columns(pl.when(pl.int_range(pl.len()) == 1199).then(pl.lit("a/7")).otherwise("id").alias("id"))
    desk.world.write(REQUESTS, rows)
    own = pl.when(pl.col("row") == 0).then(pl.col("id")).otherwise(pl.concat_str("id", pl.lit("/"), "row"))
    named = rows.select(own.alias("id"), desk.world.labels["label"])
    desk.deliver("a.jsonl", ground_truth(named))
    (found,) = desk.check({"s3": {**TRUTH, "format": "GroundTruthJSONL"}}).label_sources
    assert (found.labelled, found.unmatched) == (1200, 0)


def test_nothing_delivered_yet_stops_no_check_of_inputs(desk: Desk) -> None:
    """The report says that there is no object, and what has a similar name."""
    desk.deliver("a.csv", csv(desk.world.labels))
    report = desk.check({"s3": {"uri": "s3://truth/chrun/", "format": "csv"}}, types=("DataDrift", "PerformanceDrop"))
    assert [each.result for each in report.checks] == ["NotDetected", "Inconclusive"]
    assert "did you mean s3://truth/churn/?" in report.label_sources[0].message
    assert any("there is no object" in note for note in desk.world.document(report)["notes"])


def test_files_from_before_the_window_are_not_read(desk: Desk) -> None:
    """A prefix with years of labels costs no more than one with a month: what is old may even be broken."""
    desk.deliver("a.csv", csv(desk.world.labels))
    desk.deliver("old.csv", b"\xff\xfe no csv", hours=-24 * 9)
    assert desk.check({"s3": {**TRUTH, **FORMATS["csv"][0]}}).labelled == 1200


@pytest.mark.parametrize(
    ("form", "content", "says"),
    [
        pytest.param("csv", "id,row,time\n", r'spec\.labels\.sources\[0\].*column "label" not found', id="no label"),
        pytest.param("parquet", b"PAR1 no", r"spec\.labels\.sources\[0\]: .*a\.parquet", id="damaged"),
        pytest.param(
            "ground truth",
            '{"groundTruthData": {"data": "yes", "encoding": "BASE64"}, "eventMetadata": {"eventId": "a"}}\n',
            "groundTruthData.encoding is not CSV in 1 rows",
            id="another encoding",
        ),
    ],
)
def test_what_is_no_labels_is_refused_by_place_and_file(desk: Desk, form: str, content: bytes | str, says: str) -> None:
    """Nothing is taken for labels that is none."""
    settings, key, _ = FORMATS[form]
    desk.deliver(Path(key).with_stem("a").name, content)
    with pytest.raises(BadInput, match=says):
        desk.check({"s3": {**TRUTH, **settings}})


def test_the_store_is_no_source_of_labels(desk: Desk) -> None:
    """What another namespace has in it is not read with the installation's keys."""
    (desk.buckets / "own").symlink_to(desk.world.root)
    with pytest.raises(BadInput, match="is where the artifact store lies"):
        desk.check({"s3": {"uri": "s3://own/objects/", "format": "csv"}})


def test_labels_of_a_web_server_are_read_with_its_header(desk: Desk) -> None:
    """Anew for every check, without a digest; the Secret's header is sent, and a private address must be allowed."""
    seen: list[str | None] = []
    content = csv(desk.world.labels).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/labels.csv"
    source = {"http": {"url": url, "secretRef": {"name": "web"}, **FORMATS["csv"][0]}}
    token = {"SOURCE_AUTHORIZATION": "Bearer abc"}
    try:
        with pytest.raises(BadInput, match="is not public"):
            desk.check(source, environ=token)
        report = desk.check(source, environ={**token, "MLOPS_HTTP_ALLOWED_NETWORKS": "127.0.0.0/8"})
    finally:
        server.shutdown()
        server.server_close()
    assert (report.labelled, seen) == (1200, ["Bearer abc"])


# --- Datasets ---

FIELDS = [
    {"name": "customer", "type": "string", "role": "entityKey"},
    {"name": "at", "type": "timestamp", "role": "timestamp"},
    {"name": "outcome", "type": "string", "role": "label"},
]


def a_dataset(desk: Desk, rows: pl.DataFrame, **changes: Any) -> tasks.PinnedDataset:
    """Have the rows (customer, at, outcome) ingested as a version of a Dataset."""
    path = desk.buckets / "raw" / "outcomes.parquet"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(parquet(rows))
    spec = {"source": {"s3": {"uri": "s3://raw/outcomes.parquet"}}, "fields": FIELDS, **changes}
    task = tasks.IngestTask(
        namespace="shop", dataset="outcomes", spec=DatasetSpec.model_validate(spec), as_of="2026-11-30T00:00:00Z"
    )
    report = ingest(desk.pod(), task)
    return tasks.PinnedDataset(name="outcomes", version=1, digest=report.digest, artifact=report.artifact)


def outcomes(desk: Desk, after: timedelta = timedelta(0)) -> pl.DataFrame:
    """The outcome of each request, dated so long after it; the request's id is who it is about."""
    frame = desk.world.stream.windows[desk.world.number].frame
    return frame.select(
        pl.col("id").alias("customer"), (pl.col("time") + after).alias("at"), pl.col("label").alias("outcome")
    )


SOURCE = {"datasetRef": {"name": "outcomes"}}


def test_a_dataset_labels_what_is_of_the_same_entity_and_time(desk: Desk) -> None:
    """All parts of it, whatever they are for in training; the metric is that of the same labels as feedback."""
    report = desk.check(SOURCE, dataset=a_dataset(desk, outcomes(desk)))
    desk.world.write(LABELS, desk.world.labels)
    assert report.metric == desk.world.check(*TYPES).metric
    (found,) = report.label_sources
    assert (found.source, found.labelled, found.unmatched) == ("Dataset outcomes", 1200, 0)


def test_no_label_from_before_the_requests_own_time_leaks(desk: Desk) -> None:
    """A row that is dated before the request is no label of it, however close; the first one after it is."""
    wrong = pl.when(pl.col("outcome") == "yes").then(pl.lit("no")).otherwise(pl.lit("yes")).alias("outcome")
    before = outcomes(desk, -timedelta(microseconds=1)).with_columns(wrong)
    later = outcomes(desk, timedelta(hours=5)).with_columns(wrong)
    dataset = a_dataset(desk, pl.concat([before, outcomes(desk, timedelta(hours=3)), later]))
    report = desk.check({**SOURCE, "within": "6h"}, dataset=dataset)
    desk.world.write(LABELS, desk.world.labels)
    # Rows of the last six hours wait for their label.
    assert report.metric == desk.world.check(*TYPES, maxDelay="6h").metric
    only_before = desk.check({**SOURCE, "within": "1h"}, dataset=a_dataset(desk, before))
    assert only_before.label_sources[0].labelled == 0


def test_two_outcomes_of_one_entity_and_time_are_a_conflict(desk: Desk) -> None:
    """Counted once for a row, as those of other sources."""
    rows = outcomes(desk)
    twice = pl.concat([rows, rows.head(20), rows[20:50].with_columns(pl.lit("maybe").alias("outcome"))])
    (found,) = desk.check(SOURCE, dataset=a_dataset(desk, twice)).label_sources
    assert (found.duplicates, found.conflicts) == (20, 30)


def test_labels_of_nobody_who_asked_are_unmatched(desk: Desk) -> None:
    """Only those dated in the window."""
    strange = outcomes(desk).head(60).with_columns(pl.col("customer") + "-other")
    old = outcomes(desk, -timedelta(days=60)).head(40)
    (found,) = desk.check(SOURCE, dataset=a_dataset(desk, pl.concat([outcomes(desk), strange, old]))).label_sources
    assert (found.labelled, found.unmatched) == (1200, 60)


def test_a_join_key_that_is_an_input_is_compared_with_the_input(desk: Desk) -> None:
    """Numbers and texts alike, in one spelling."""
    rows = desk.world.captured.with_columns(pl.int_range(pl.len()).cast(pl.Float64).alias("in.account"))
    desk.world.write(REQUESTS, rows)
    frame = outcomes(desk).with_columns(pl.int_range(pl.len()).alias("account")).drop("customer")
    fields = [{"name": "account", "type": "int64", "role": "entityKey"}, *FIELDS[1:]]
    (found,) = desk.check(SOURCE, dataset=a_dataset(desk, frame, fields=fields)).label_sources
    assert found.labelled == 1200


@pytest.mark.parametrize(
    ("changes", "source", "says"),
    [
        pytest.param(
            {"fields": [{**FIELDS[0], "role": "feature"}, *FIELDS[1:]]}, {}, "no field of role entityKey", id="no key"
        ),
        pytest.param({}, {"joinKeys": ["client"]}, "joinKeys: .* has no field 'client'", id="unknown key"),
        pytest.param(
            {"governance": {"pii": ["customer"]}}, {}, "'customer' is personal data.*piiInCaptures", id="personal key"
        ),
    ],
)
def test_a_dataset_that_cannot_be_joined_is_refused_by_name(
    desk: Desk, changes: dict[str, Any], source: dict[str, Any], says: str
) -> None:
    """Before anything is judged, with the way out."""
    dataset = a_dataset(desk, outcomes(desk), **changes)
    with pytest.raises(BadInput, match=says) as refused:
        desk.check({**SOURCE, **source}, dataset=dataset)
    assert str(refused.value.reason) == "ConfigurationInvalid"
