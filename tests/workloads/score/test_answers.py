"""The answers of scoring are those of a model server, to the last bit, of every kind of model; and so are refusals."""

from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from mlops.api.dataset import DatasetSpec
from mlops.workloads.train.run import train
from tests.cli import orders
from tests.workloads.score.jobs import ScoringDesk, as_csv, asked, bits
from tests.workloads.serve.servers import Served, serving, task_of
from tests.workloads.train.runs import a_task

EXAMPLES = Path(__file__).parents[3] / "examples"


def one_by_one(served: Served, frame: pl.DataFrame) -> list[dict[str, Any] | str]:
    """What the server answers to each row alone: its outputs, or why it refuses."""
    described = json.loads(served.ask("GET", "/v2/models/weather")[2])["inputs"]
    found: list[dict[str, Any] | str] = []
    for row in frame.iter_rows(named=True):
        inputs = [
            {"name": one["name"], "datatype": one["datatype"], "shape": [1], "data": [plain(row[one["name"]])]}
            for one in described
        ]
        status, answer = served.infer({"inputs": inputs})
        assert status in (200, 422), answer
        found.append({one["name"]: one["data"] for one in answer["outputs"]} if status == 200 else answer["error"])
    return found


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return value.isoformat() if isinstance(value, datetime) else value


def check(desk: ScoringDesk, served: Served, frame: pl.DataFrame, **task: Any) -> list[dict[str, Any] | str]:
    """Score the rows that are delivered, and hold the answers against the server's."""
    told = one_by_one(served, frame)
    report = desk.score(on_invalid="quarantine", **task)
    got = desk.answers()
    answered = [(number, one) for number, one in enumerate(told, 1) if isinstance(one, dict)]
    assert got["out.row"].to_list() == [number for number, _ in answered]
    assert (report.rows, report.answered) == (frame.height, len(answered))
    assert report.quarantined == frame.height - len(answered)
    assert set(got["out.model"]) == {desk.artifact}
    said = [one["prediction"][0] for _, one in answered]
    if got["out.prediction"].dtype == pl.Float64:
        assert bits(got["out.prediction"]) == bits(said)
    else:
        assert got["out.prediction"].to_list() == said
    table = got.select(pl.col("^out\\.p\\..*$"))
    assert bits(table.to_numpy()) == bits([one.get("probabilities", []) for _, one in answered])
    return told


@pytest.mark.parametrize(
    "classes",
    [
        pytest.param(("dry", "rain"), id="texts"),
        pytest.param((False, True), id="booleans"),
        pytest.param((1, 2, 3), id="whole numbers"),
        pytest.param(None, id="a number"),
    ],
)
def test_a_model_made_by_hand(classes: Any, tmp_path: Path) -> None:
    """Every type of an answer; its matrix product adds up otherwise for several rows at once, as most networks do."""
    desk = ScoringDesk(tmp_path).with_model(classes)
    frame = asked(300).with_columns(
        temperature=pl.when(pl.int_range(300) % 7 == 3).then(None).otherwise("temperature"),
        colour=pl.when(pl.int_range(300) % 5 == 3).then(None).otherwise("colour"),
    )
    desk.deliver("things/new.csv", as_csv(frame))
    with serving(tmp_path / "server", tmp_path / "store", task_of(desk.artifact)) as served:
        check(desk, served, frame)
    kinds = {str: pl.String, bool: pl.Boolean, int: pl.Int64}
    assert desk.answers()["out.prediction"].dtype == (kinds[type(classes[0])] if classes else pl.Float64)


@pytest.mark.parametrize("estimator", ["LogisticRegression", "HistGradientBoostingClassifier", "KNeighborsClassifier"])
def test_categories_expressions_fills_filters_and_dates_of_another_country(estimator: str, tmp_path: Path) -> None:
    """The dialect is the Dataset's; a row that its filter leaves out is refused by both."""
    desk = ScoringDesk(tmp_path)
    spec = DatasetSpec.model_validate(next(yaml.safe_load_all(orders.MANIFESTS))["spec"])
    desk.deliver("orders/1.csv", orders.as_delivered(orders.rows(400)))
    made = train(desk.pod(), a_task(desk.ingest(spec).artifact, estimator))
    desk.artifact = made.output_digest
    frame = orders.rows(300, seed=9).with_columns(
        pieces=pl.when(pl.int_range(300) % 50 == 7).then(0).otherwise("pieces"),
        note=pl.when(pl.int_range(300) % 60 == 9).then(pl.lit("")).otherwise("note"),
    )
    desk.deliver("things/new.csv", orders.as_delivered(frame.with_columns(returned=pl.lit("?"))))
    with serving(tmp_path / "server", tmp_path / "store", task_of(desk.artifact)) as served:
        told = check(desk, served, frame, spec=spec)
    refused = pl.read_parquet(desk.out / "_refused-00000-00000.parquet")
    assert refused["out.row"].to_list() == [at for at, one in enumerate(told, 1) if isinstance(one, str)]
    assert refused.height == 6
    assert set(refused["out.reason"].str.slice(0, 40)) == {"does not meet the condition `pieces > 0`"}
    assert set(refused["out.inputs"]) == {"pieces"}
    assert set(refused["pieces"]) == {0}
    assert desk.answers()["id"].to_list() == [row["id"] for row in frame.iter_rows(named=True) if row["pieces"]]
    assert list(desk.manifest()["reasons"].values()) == [6]


@pytest.mark.parametrize("name", ["weather", "housing", "employment"])
def test_an_example(name: str, tmp_path: Path) -> None:
    """Its history as it is delivered, with the gaps that it has."""
    desk, folder = ScoringDesk(tmp_path), EXAMPLES / name
    manifests = yaml.safe_load_all((folder / f"{name}.yaml").read_text())
    spec = next(one for one in manifests if one["kind"] == "Dataset")["spec"]
    source = spec["source"].get("captured", {}).get("history", spec["source"])
    spec = DatasetSpec.model_validate({**spec, "source": {"s3": {**source["s3"], "uri": "s3://raw/all.parquet"}}})
    desk.deliver("all.parquet", (folder / "data/history.parquet").read_bytes())
    is_number = next(one.type for one in spec.fields if one.role == "label") == "float64"
    estimator = "HistGradientBoostingRegressor" if is_number else "HistGradientBoostingClassifier"
    desk.artifact = train(desk.pod(), a_task(desk.ingest(spec).artifact, estimator)).output_digest
    frame = pl.read_parquet(folder / "data/history.parquet").sample(250, seed=3)
    sink = io.BytesIO()
    frame.write_parquet(sink)
    desk.deliver("things/new.parquet", sink.getvalue())
    with serving(tmp_path / "server", tmp_path / "store", task_of(desk.artifact)) as served:
        check(desk, served, frame, spec=spec)
    keys = [one.name for one in spec.fields if one.role in ("timestamp", "entityKey")]
    assert keys
    assert set(keys) <= set(desk.answers().columns)


def test_a_version_of_a_dataset(tmp_path: Path) -> None:
    """Its rows were cleaned already: a server answers them alike."""
    desk = ScoringDesk(tmp_path)
    spec = DatasetSpec.model_validate(next(yaml.safe_load_all(orders.MANIFESTS))["spec"])
    desk.deliver("orders/1.csv", orders.as_delivered(orders.rows(400)))
    data = desk.ingest(spec)
    desk.artifact = train(desk.pod(), a_task(data.artifact, "HistGradientBoostingClassifier")).output_digest
    pinned = {"name": "orders", "version": 1, "digest": data.digest, "artifact": data.artifact}
    report = desk.score(input={"dataset": pinned}, columns="all", spec=None)
    got = desk.answers()
    assert (report.rows, report.answered, report.parts) == (400, 400, 3)
    assert set(got["out.file"]) == {"train.parquet", "validation.parquet", "test.parquet"}
    parts = [desk.frame(data, part) for part in ("train", "validation", "test")]
    names = ["at", "id", *orders.INPUTS]
    assert got.select(names).equals(pl.concat(parts).select(names))
    with serving(tmp_path / "server", tmp_path / "store", task_of(desk.artifact)) as served:
        told = one_by_one(served, got[:100])
    assert got["out.prediction"][:100].to_list() == [one["prediction"][0] for one in told if isinstance(one, dict)]
    table = got[:100].select(pl.col("^out\\.p\\..*$")).to_numpy()
    assert bits(table) == bits([one["probabilities"] for one in told if isinstance(one, dict)])
