"""What is done to a value on the way to training is done to it at serving: any contract, any row, bit for bit."""

from __future__ import annotations

import asyncio
import io
import json
import math
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from mlops.api.dataset import DatasetSpec
from mlops.api.pod_environment import ServerSettings
from mlops.store.artifacts import Store
from mlops.workloads.floor.model.lone_rows import lone_rows
from mlops.workloads.floor.model.opening import Loaded, load
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.floor.records.layout import captures_prefix
from mlops.workloads.serve.budget import Budget, Hold
from mlops.workloads.serve.errors import RequestError
from mlops.workloads.serve.metrics import Metrics
from mlops.workloads.serve.row_request import RowRequest
from mlops.workloads.serve.served import Served
from mlops.workloads.train.artifact import inputs_of
from mlops.workloads.train.run import train
from tests.workloads.contracts import Contract, a_contract
from tests.workloads.ingest.conftest import Desk
from tests.workloads.serve.servers import task_of
from tests.workloads.train.runs import a_task

CONTRACTS = 60
EXAMPLES = Path(__file__).parents[2] / "examples"
ESTIMATORS = ("HistGradientBoostingClassifier", "LogisticRegression", "DecisionTreeClassifier", "KNeighborsClassifier")
STATED = {"float64": "FP64", "int64": "INT64", "boolean": "BOOL", "string": "BYTES", "timestamp": "BYTES"}


def deliver(desk: Desk, rows: pl.DataFrame) -> None:
    """Put the rows into the bucket."""
    sink = io.BytesIO()
    rows.write_parquet(sink)
    desk.deliver("things/1.parquet", sink.getvalue())


def with_server(store: Store, artifact: str, folder: Path, work: Callable[[Served, Loaded], Awaitable[None]]) -> None:
    """Open the model as a server does, and do the work while it serves in this process."""

    async def run() -> None:
        loaded = load(store, artifact, folder)
        served = Served(
            task_of(artifact, percent=100),
            loaded,
            one_row_seconds=0.0,
            lone=lone_rows(loaded.predictor, loaded.golden.inputs, math.inf),
            sink=store,
            limits=ServerSettings.read({}),
            metrics=Metrics("weather", 3, "production", artifact),
            host="here",
            sampling_key=b"key",
        )
        try:
            await work(served, loaded)
        finally:
            served.captures._threads.shutdown()
            served.labels._threads.shutdown()

    asyncio.run(run())


def plain(value: Any) -> Any:
    """A value as a client writes it in JSON."""
    return value.isoformat() if isinstance(value, datetime) else value


def request_of(loaded: Loaded, rows: pl.DataFrame, identity: str) -> bytes:
    """The request with these rows, as they were delivered."""
    inputs = [
        {
            "name": one.name,
            "datatype": STATED[one.type],
            "shape": [rows.height],
            "data": [plain(value) for value in rows[one.name].to_list()],
        }
        for one in loaded.predictor.signature.inputs
    ]
    return json.dumps({"id": identity, "inputs": inputs}).encode()


async def ask(served: Served, body: bytes) -> dict[str, Any]:
    """The outputs by name."""
    row = one_row(served, body)
    try:
        answer, _ = await served.infer(body, None, Hold(Budget(1 << 30)))
    except RequestError as error:
        if row is not None and str(row) != str(error):
            raise AssertionError(f"alone {row}, among others {error}") from error
        raise
    # Asked alone, and with others in one run: the same bytes.
    assert row is None or row == (answer, None)
    return {one["name"]: one["data"] for one in json.loads(answer)["outputs"]}


def one_row(served: Served, body: bytes) -> Any:
    """What a server answers to a request of one row, among others; None for any other request."""
    asked = served.read(body, None)
    if not isinstance(asked, RowRequest):
        return None
    found: list[Any] = []
    served.rows.answered = lambda _, written: found.append(written)
    try:
        served.ask(asked, None, time.perf_counter())
        # Of one id the first is recorded.
        served.ask(asked, None, time.perf_counter())
        served.ask(asked, None, time.perf_counter())
    except RequestError as error:
        return error
    served.rows.end_turn()
    assert len({str(one) for one in found}) == 1
    return found[0]


def same(answer: dict[str, Any], said: Prediction) -> bool:
    """Whether an answer says what the model says, to the last bit."""
    if answer["prediction"] != said.prediction.tolist():
        return False
    if said.probabilities is None:
        return "probabilities" not in answer
    found = np.array(answer["probabilities"], dtype=np.float64)
    return bool(found.tobytes() == said.probabilities.astype(np.float64).tobytes())


@pytest.mark.parametrize("seed", range(CONTRACTS))
def test_a_raw_row_is_answered_as_the_row_that_training_saw(seed: int, tmp_path: Path) -> None:
    """Or it is refused, if training saw no such row. And what is recorded of it is what was sent."""
    desk, contract = Desk(tmp_path), a_contract(seed)
    deliver(desk, contract.rows)
    report = desk.ingest(DatasetSpec.model_validate(contract.spec))
    seen = pl.concat([desk.frame(report, part) for part in ("train", "validation", "test")])
    model = train(desk.pod(), a_task(report.artifact, ESTIMATORS[seed % len(ESTIMATORS)]))
    # A row that no request can be like is in no version either.
    assert not any(seen[name].null_count() for name in contract.forward)

    async def compare(served: Served, loaded: Loaded) -> None:
        inputs = loaded.predictor.signature.inputs
        answered, clean_rows = [], []
        for row in contract.rows.iter_slices(1):
            identity = row["id"][0]
            clean = seen.filter(pl.col("id") == identity)
            guessed = any(row[name][0] is None for name in contract.forward)
            if guessed or not clean.height:
                with pytest.raises(RequestError) as refused:
                    await ask(served, request_of(loaded, row, identity))
                assert refused.value.status == 422
                continue
            answer = await ask(served, request_of(loaded, row, identity))
            assert same(answer, loaded.predictor.predict(inputs_of(clean, inputs))), row
            answered.append(row)
            clean_rows.append(clean)
        raw = pl.concat(answered)
        together = await ask(served, request_of(loaded, raw, "together"))
        assert same(together, loaded.predictor.predict(inputs_of(pl.concat(clean_rows), inputs)))
        await served.flush()
        recorded = captured(desk.store).filter(pl.col("id") != "together")
        assert recorded.height == raw.height
        for one in inputs:
            sent = dict(zip(raw["id"].to_list(), raw[one.name].to_list(), strict=True))
            assert recorded[f"in.{one.name}"].to_list() == [sent[identity] for identity in recorded["id"].to_list()]

    with_server(desk.store, model.output_digest, tmp_path / "model", compare)


def captured(store: Store) -> pl.DataFrame:
    """All captured rows."""
    keys = [one.key for one in store.list(captures_prefix("team", "weather", "production"))]
    return pl.concat([pl.read_parquet(io.BytesIO(store.get_object(key))) for key in keys])


def test_the_contracts_have_every_step_and_type() -> None:
    """What the property is tried on."""
    drawn: list[Contract] = [a_contract(seed) for seed in range(CONTRACTS)]
    steps = {"value", "forward", "mean", "median", "zero", "dropNulls", "filter", "deduplicate"}
    for kind in steps:
        assert sum(kind in one.kinds for one in drawn) >= 5, kind
    for kind in STATED:
        filled = sum(
            any(
                field["type"] == kind and field["name"] == step.get("fillNull", {}).get("field") for field in one.fields
            )
            for one in drawn
            for step in one.clean
        )
        assert filled >= 5, kind


@pytest.mark.parametrize("name", ["weather", "housing", "employment"])
def test_a_raw_held_out_row_of_an_example_is_answered_as_the_row_that_was_held_out(name: str, tmp_path: Path) -> None:
    """Each of them: a hundred alone, and all in batches."""
    folder = EXAMPLES / name
    spec = next(one for one in yaml.safe_load_all((folder / f"{name}.yaml").read_text()) if one["kind"] == "Dataset")[
        "spec"
    ]
    source = spec["source"].get("captured", {}).get("history", spec["source"])
    raw = pl.read_parquet(folder / "data/history.parquet")
    desk = Desk(tmp_path)
    desk.deliver("history.parquet", (folder / "data/history.parquet").read_bytes())
    source["s3"]["uri"] = "s3://raw/history.parquet"
    report = desk.ingest(DatasetSpec.model_validate({**spec, "source": {"s3": source["s3"]}}))
    kind = next(one["type"] for one in spec["fields"] if one.get("role") == "label")
    estimator = "DecisionTreeRegressor" if kind == "float64" else "HistGradientBoostingClassifier"
    model = train(desk.pod(), a_task(report.artifact, estimator))
    held_out = pl.concat([desk.frame(report, part) for part in ("validation", "test")])
    sent = held_out.select("id").join(raw, on="id", how="left", maintain_order="left")

    async def compare(served: Served, loaded: Loaded) -> None:
        inputs = loaded.predictor.signature.inputs
        for number, (row, clean) in enumerate(zip(sent.iter_slices(1), held_out.iter_slices(1), strict=True)):
            if number == 100:
                break
            said = loaded.predictor.predict(inputs_of(clean, inputs))
            assert same(await ask(served, request_of(loaded, row, f"one-{number}")), said), row
        for number, (rows, clean) in enumerate(zip(sent.iter_slices(5000), held_out.iter_slices(5000), strict=True)):
            said = loaded.predictor.predict(inputs_of(clean, inputs))
            assert same(await ask(served, request_of(loaded, rows, f"many-{number}")), said)

    with_server(desk.store, model.output_digest, tmp_path / "model", compare)
