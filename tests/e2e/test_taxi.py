"""The example with a database, run to its end: what is learnt of joined rows is what is served on raw ones."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from mlops.store import open_store
from mlops.workloads.floor.model.opening import Loaded
from mlops.workloads.serve.served import Served
from mlops.workloads.train.artifact import inputs_of
from tests.e2e.runs import live, one, run
from tests.servers.databases import PASSWORD, Database
from tests.servers.example_database import loaded, variables_of
from tests.stored_bytes import found_in
from tests.workloads.test_no_skew import ask, request_of, same, with_server

TAXI = Path(__file__).parents[2] / "examples/taxi"
RAW = {"trip_id": pl.String(), "picked_up": pl.String(), "airport": pl.Boolean(), "passengers": pl.Int64()}
PARTS = ("train", "validation", "test")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def dataset() -> dict[str, Any]:
    """The spec of its Dataset."""
    documents = yaml.safe_load_all((TAXI / "taxi.yaml").read_text())
    return next(dict(each["spec"]) for each in documents if each["kind"] == "Dataset")


def raw_rows(database: Database) -> pl.DataFrame:
    """What the query gives, as another client reads it."""
    query = dataset()["source"]["sql"]["query"]
    text = database.sql(f"SET timezone = 'UTC'; COPY ({query}) TO STDOUT CSV HEADER")
    rows = pl.read_csv(io.StringIO(text.replace(",t,", ",true,").replace(",f,", ",false,")), schema_overrides=RAW)
    return rows.with_columns(pl.col("picked_up").str.to_datetime("%Y-%m-%d %H:%M:%S%#z", time_zone="UTC"))


def test_what_is_learnt_of_a_join_is_what_is_served(postgresql_running: Database, tmp_path: Path) -> None:
    """Each row of the database is in the version; a held-out one, sent raw, is answered as the row that was held out,
    to the last bit; the password is nowhere."""
    state = tmp_path / "state"
    database = loaded(TAXI, postgresql_running)
    ended = run(TAXI, state, "--no-replay", environ=variables_of("taxi", database), timeout=600)
    assert ended.code == 0, ended.output
    version = live(state, "taxi")
    # The newest first.
    assert [step["to"] for step in version["status"]["transitions"]][:2] == ["production", "staging"]
    store = open_store((state / "store").resolve().as_uri(), {})
    artifact = one(state, "Dataset", "taxi")["status"]["artifact"]
    parts = {part: pl.read_parquet(store.read_file(artifact, f"{part}.parquet")) for part in PARTS}
    seen, raw = pl.concat(parts.values()), raw_rows(database)
    assert seen.select(raw.columns).sort("trip_id").equals(raw.sort("trip_id"))
    held_out = pl.concat([parts["validation"], parts["test"]])
    sent = held_out.select("trip_id").join(raw, on="trip_id", how="left", maintain_order="left")

    async def compare(served: Served, model: Loaded) -> None:
        inputs = model.predictor.signature.inputs
        assert {one.name for one in inputs} >= {"picked_up", "from_district", "airport"}
        answers = []
        for number, (row, clean) in enumerate(zip(sent[:200].iter_slices(1), held_out.iter_slices(1), strict=False)):
            said = model.predictor.predict(inputs_of(clean, inputs))
            answers.append(said.prediction[0])
            assert same(await ask(served, request_of(model, row, f"one-{number}")), said), row
        assert len(set(answers)) > 100
        many = await ask(served, request_of(model, sent, "many"))
        assert same(many, model.predictor.predict(inputs_of(held_out, inputs)))

    with_server(store, version["status"]["artifact"], tmp_path / "model", compare)
    assert PASSWORD not in ended.output
    assert found_in(state, [PASSWORD]) == {}
