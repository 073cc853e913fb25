"""Any contract: what a model says without a server is what its server says, bit for bit, refusals included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlops.api.dataset import DatasetSpec
from mlops.api.tasks import NUMERIC_ENVIRONMENT
from mlops.cli.predict.models import NotAnswered, StoredModel
from mlops.workloads.floor.model.opening import load
from mlops.workloads.train.run import train
from tests.workloads.contracts import a_contract
from tests.workloads.ingest.conftest import Desk
from tests.workloads.serve.servers import Served, serving, task_of
from tests.workloads.test_no_skew import ESTIMATORS, deliver, request_of
from tests.workloads.train.runs import a_task

pytestmark = pytest.mark.slow


def said(server: Served, body: bytes) -> tuple[int, Any]:
    """Status, and outputs or error, of the server."""
    status, answer = server.infer(body)
    return status, answer.get("outputs", answer.get("error"))


def told(model: StoredModel, body: bytes) -> tuple[int, Any]:
    """The same without a server."""
    try:
        return 200, model.ask(body)["outputs"]
    except NotAnswered as error:
        return error.status, error.message


@pytest.mark.parametrize("seed", range(4))
def test_every_row_of_any_contract_is_answered_or_refused_as_by_the_server(seed: int, tmp_path: Path) -> None:
    """Text, timestamps, every step of cleaning, features, gaps and extremes; row by row, and all rows together."""
    desk, contract = Desk(tmp_path), a_contract(seed)
    deliver(desk, contract.rows)
    report = desk.ingest(DatasetSpec.model_validate(contract.spec))
    artifact = train(desk.pod(), a_task(report.artifact, ESTIMATORS[seed % len(ESTIMATORS)])).output_digest
    loaded = load(desk.store, artifact, tmp_path / "model")
    bodies = [request_of(loaded, row, row["id"][0]) for row in contract.rows.iter_slices(1)]
    bodies.append(request_of(loaded, contract.rows, "together"))
    task = task_of(artifact, percent=0)
    store = desk.root / "store"
    with (
        serving(tmp_path / "server", store, task, **NUMERIC_ENVIRONMENT) as server,
        StoredModel(desk.store, task) as model,
    ):
        answers = [said(server, body) for body in bodies]
        assert [told(model, body) for body in bodies] == answers
        metadata = json.loads(server.ask("GET", "/v2/models/weather")[2])
    assert [one.name for one in model.inputs] == [one["name"] for one in metadata["inputs"]]
    assert list(model.classes) == metadata["outputs"][1]["parameters"]["classes"]
    assert sum(status == 200 for status, _ in answers) > len(bodies) // 4
