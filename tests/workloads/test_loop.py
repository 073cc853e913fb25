"""The whole loop once, by the pods' own programs over one store: what `make check` sees of ingest, train, serve and
drift. Each has its own tests, which take longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops.api import tasks
from mlops.api.drift_monitor import Check, Labels, TargetRef, Window
from mlops.workloads.drift.run import check
from mlops.workloads.train.run import train
from tests.workloads.ingest.conftest import Desk, a_frame, a_spec
from tests.workloads.serve.servers import Served, serving, task_of
from tests.workloads.train.runs import a_task

ROWS = 600


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A store, and a bucket with one delivery."""
    desk = Desk(tmp_path_factory.mktemp("loop"))
    desk.deliver("things/1.csv", a_frame(ROWS).write_csv())
    return desk


def ask(served: Served, frame: pl.DataFrame) -> tuple[int, dict[str, Any]]:
    """Ask for predictions of these rows, in the types that the model states."""
    stated = served.ask("GET", "/v2/models/weather")[2]
    inputs = [
        {"name": one["name"], "datatype": one["datatype"], "shape": [ROWS], "data": frame[one["name"]].to_list()}
        for one in pl.read_json(stated)["inputs"][0].to_list()
    ]
    return served.infer({"inputs": inputs})


def test_what_is_delivered_is_learnt_served_and_watched(desk: Desk, tmp_path: Path) -> None:
    """A version of the data, a model of it, its answers, and a drift of what it is asked."""
    data = desk.ingest(a_spec())
    assert (data.rows, data.validation.failed) == (ROWS, 0)
    again = desk.ingest(a_spec())
    assert (again.digest, again.artifact) == (data.digest, data.artifact), "the same bytes, the same version"

    model = train(desk.pod(), a_task(data.artifact))
    assert model.format == "onnx"
    accuracy = next(one for one in model.metrics if (one.name, one.dataset) == ("accuracy", "test"))
    assert float(accuracy.value) > 0.8, "the kind of a thing tells its class"

    moved = a_frame(ROWS).with_columns(
        pl.col("price") + 2000, pl.col("count").fill_null(0), pl.col("kind").fill_null("a")
    )
    with serving(tmp_path, desk.root / "store", task_of(model.output_digest, percent=100)) as served:
        status, answer = ask(served, moved)
        assert status == 200, answer
        served.flush()
        assert served.stop() == 0
    assert served.recorded().height == ROWS

    report = check(
        desk.pod(),
        tasks.DriftTask(
            namespace="team",
            monitor="watch",
            target=TargetRef(model_name="weather"),
            model_version="weather-v3",
            artifact=model.output_digest,
            window=Window(duration="1d"),
            labels=Labels(),
            checks=(Check(name="inputs", type="DataDrift"),),
            as_of=(datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        ),
    )
    assert (report.verdict, report.samples) == ("DataDrift", ROWS)
    assert report.top_features[0].name == "price"
