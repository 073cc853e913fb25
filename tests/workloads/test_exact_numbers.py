"""Every number that a contract allows survives ingest, training, serving, capture and checks exactly."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from mlops.api import tasks
from mlops.api.dataset import DatasetSpec
from mlops.api.drift_monitor import Check, Labels, TargetRef, Window
from mlops.workloads.drift.run import check
from mlops.workloads.floor.model.opening import Loaded
from mlops.workloads.serve.served import Served
from mlops.workloads.train.run import train
from tests.workloads.contracts import DTYPES, FIRST, LAST
from tests.workloads.ingest.conftest import Desk
from tests.workloads.test_no_skew import ask, deliver, request_of, with_server
from tests.workloads.train.runs import a_task

ROWS = 120
TIME = datetime(2024, 1, 1, tzinfo=UTC)
LARGEST = math.nextafter(math.inf, 0)
INTEGERS = [0, -1, 1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1, (1 << 63) - 1, -(1 << 63), 10**18 + 7]
FLOATS = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, math.nextafter(1, 2), 0.1, 1e22, LARGEST, -LARGEST]
TIMES = [FIRST, LAST, datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(1677, 1, 1, tzinfo=UTC), TIME]
FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "string", "role": "entityKey"},
    {"name": "time", "type": "timestamp", "role": "timestamp"},
    {"name": "whole", "type": "int64"},
    {"name": "whole_or_none", "type": "int64", "nullable": True},
    {"name": "ratio", "type": "float64"},
    {"name": "ratio_or_none", "type": "float64", "nullable": True},
    {"name": "paid", "type": "timestamp", "role": "input", "nullable": True},
    {"name": "amount", "type": "int64", "role": "label"},
]


def _cycled(values: list[Any], gaps: bool = False) -> list[Any]:
    return [None if gaps and number % 7 == 3 else values[number % len(values)] for number in range(ROWS)]


def a_delivery() -> pl.DataFrame:
    """Rows of extremes, with and without gaps; the label is an extreme, too."""
    return pl.DataFrame(
        {
            "id": [f"r{number}" for number in range(ROWS)],
            "time": pl.Series([TIME + timedelta(hours=number) for number in range(ROWS)], dtype=DTYPES["timestamp"]),
            "whole": pl.Series(_cycled(INTEGERS), dtype=pl.Int64),
            "whole_or_none": pl.Series(_cycled(INTEGERS, gaps=True), dtype=pl.Int64),
            "ratio": pl.Series(_cycled(FLOATS), dtype=pl.Float64),
            "ratio_or_none": pl.Series(_cycled(FLOATS, gaps=True), dtype=pl.Float64),
            "paid": pl.Series(_cycled(TIMES, gaps=True), dtype=DTYPES["timestamp"]),
            "amount": pl.Series(_cycled(INTEGERS[:7]), dtype=pl.Int64),
        }
    )


def a_spec(**source: Any) -> DatasetSpec:
    """The contract of the extremes."""
    return DatasetSpec.model_validate(
        {
            "source": source or {"s3": {"uri": "s3://raw/things/"}},
            "format": "parquet",
            "fields": FIELDS,
            "features": [{"name": "month", "expression": "extract(month from paid)"}],
            "split": {"strategy": "random"},
        }
    )


def test_extremes_come_back_as_they_were_sent(tmp_path: Path) -> None:
    """As rows of a version, as captured rows and labels, and as rows of a version that is made of those."""
    desk, sent = Desk(tmp_path), a_delivery()
    deliver(desk, sent)
    report = desk.ingest(a_spec())
    assert _of(desk, report).equals(sent), "minus zero equals zero"
    model = train(desk.pod(), a_task(report.artifact, "DecisionTreeRegressor"))

    async def use(served: Served, loaded: Loaded) -> None:
        for row in sent.iter_slices(1):
            identity = row["id"][0]
            event = row["time"][0].isoformat()
            body = request_of(loaded, row, identity).replace(
                b'{"id"', b'{"parameters": {"event_time": "%s"}, "id"' % event.encode(), 1
            )
            assert math.isfinite((await ask(served, body))["prediction"][0])
            label = f'{{"labels": [{{"id": "{identity}", "label": {row["amount"][0]}, "time": "{event}"}}]}}'
            assert served.feedback(label.encode()) == (1, 0)
        await served.flush()

    with_server(desk.store, model.output_digest, tmp_path / "model", use)
    again = desk.ingest(
        a_spec(captured={"modelName": "weather", "window": "3650d"}),
        namespace="team",
        captures=True,
        as_of="2024-06-01T00:00:00Z",
    )
    assert _of(desk, again).equals(sent)
    checked = check(
        desk.pod(),
        tasks.DriftTask(
            namespace="team",
            monitor="watch",
            target=TargetRef(model_name="weather"),
            model_version="weather-v3",
            artifact=model.output_digest,
            window=Window(duration="365d", min_samples=50),
            labels=Labels(),
            checks=(Check(name="inputs", type="DataDrift"), Check(name="labels", type="LabelShift")),
            as_of="2024-06-01T00:00:00Z",
        ),
    )
    assert (checked.verdict, checked.samples, checked.labelled) == ("Stable", ROWS, ROWS)


def _of(desk: Desk, report: Any) -> pl.DataFrame:
    """The rows of a version in the order of their time, without what is computed."""
    parts = [desk.frame(report, part) for part in ("train", "validation", "test")]
    return pl.concat(parts).sort("time").select([one["name"] for one in FIELDS])
