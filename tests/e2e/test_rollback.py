"""One machine, real pods: the relation turns and turns back, and the model that fitted it before serves again."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import urllib3

from mlops.local.records import read_objects
from mlops.store import open_store
from tests.e2e.runs import checks, objects, one, started
from tests.e2e.scenarios import INPUTS, MANIFESTS, START, WORLD, frame

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DAYS, ROWS = 9, 120
# On day 3 the relation turns, on day 6 it turns back.
TURNED, TURNED_BACK = START + timedelta(days=3), START + timedelta(days=6)
ACTIONS = "    - {when: [PerformanceDrop, ConceptDrift], do: Retrain}\n"
ROLLING = """    - {when: [PerformanceDrop, ConceptDrift], do: RollbackAndRebuild}
    - {when: [Inconclusive], do: AskForLabels, budget: 20}
"""


@dataclass
class Client:
    """Asks the service all the time, once it is there, on a new connection each time, and tries nothing again."""

    state: Path
    codes: list[int | str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(30))
        url = ""
        while not self.over.is_set():
            url = url or self._address()
            if url:
                self.codes.append(self._ask(pool, url))
            time.sleep(0.1)

    def _address(self) -> str:
        if not (self.state / "objects.sqlite").is_file():
            return ""
        versions = (each for each in read_objects(self.state) if each["kind"] == "ModelVersion")
        return next((url for each in versions if (url := each.get("status", {}).get("url"))), "")

    def _ask(self, pool: urllib3.PoolManager, url: str) -> int | str:
        inputs = [{"name": name, "datatype": "FP64", "shape": [1], "data": [0.5]} for name in INPUTS]
        # Of a time that no window of the story holds.
        body = {"id": f"client-{len(self.codes)}", "parameters": {"event_time": "2020-01-01T00:00:00Z"}}
        try:
            answer = pool.request(
                "POST",
                f"{url}/v2/models/parts/infer",
                body=json.dumps({**body, "inputs": inputs}),
                headers={"Connection": "close"},
            )
        except urllib3.exceptions.HTTPError as error:
            return type(error).__name__
        return answer.status


@dataclass(frozen=True)
class Told:
    """What the run left, and what the client met."""

    state: Path
    codes: list[int | str]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("rollback")
    scenario, state = folder / "scenario", folder / "state"
    (scenario / "data").mkdir(parents=True)
    assert ACTIONS in MANIFESTS
    # One run a week: the second time the guard lets no run through, and the rollback is all that is done.
    manifests = MANIFESTS.replace(ACTIONS, ROLLING).replace("cooldown: 30h", "cooldown: 30h, maxRunsPerWeek: 1")
    (scenario / "parts.yaml").write_text(manifests)
    (scenario / "scenario.toml").write_text(WORLD)
    step = timedelta(days=1) / ROWS
    frame(600, START - timedelta(days=1), timedelta(days=1) / 600, seed=1).write_parquet(
        scenario / "data/history.parquet"
    )
    turned = frame(DAYS * ROWS, START, step, seed=2, prefix="s", changed_at=TURNED)
    plain = frame(DAYS * ROWS, START, step, seed=2, prefix="s")
    rows = pl.concat([turned.filter(pl.col("time") < TURNED_BACK), plain.filter(pl.col("time") >= TURNED_BACK)])
    rows.write_parquet(scenario / "data/stream.parquet")
    client = Client(state)
    asking = threading.Thread(target=client.run)
    asking.start()
    try:
        with started(scenario, state, "--keep-serving") as process:
            _until_it_serves(process)
            client.over.set()
            asking.join(60)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
    finally:
        client.over.set()
        asking.join(60)
    return Told(state, client.codes)


def _until_it_serves(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="")
        if line.startswith("Ctrl-C"):
            return
    raise AssertionError("the run ended by itself")


def test_the_model_that_fits_again_serves_again(told: Told) -> None:
    """It was trained before the relation turned; the one between was right for three days."""
    first, second = (one(told.state, "ModelVersion", f"parts-v{number}") for number in (1, 2))
    assert len(objects(told.state, "ModelVersion")) == 2
    (record,) = second["status"]["rolledBack"]
    assert (record["to"], record["monitor"], record.get("ended")) == ("parts-v1", "parts", None)
    assert first["status"]["stages"] == ["production"]
    ways = [step["to"] for step in reversed(first["status"]["transitions"])]
    assert ways == ["production", "Superseded", "production"]
    verdicts = [(each["verdict"], each.get("action", "")) for each in checks(told.state, "parts")]
    assert [action for _, action in verdicts if action.startswith("Rollback")] == [
        next(action for _, action in verdicts if action.startswith("RollbackAndRebuild: parts-rebuild-")),
        "Rollback: parts-v1",
    ]
    # From the day after it came back on nothing is wrong any more.
    assert verdicts[-1][0] == "Stable"


def test_no_request_failed(told: Told) -> None:
    """Not while v2 came, nor while v1 came back."""
    assert len(told.codes) > 50
    assert set(told.codes) == {200}


def test_the_requests_after_it_are_answered_by_the_older_model(told: Told) -> None:
    """Every row of the stream once; what was asked on the last day, by the first version's bytes."""
    captured = pl.concat(
        [
            pl.read_parquet(io.BytesIO(path.read_bytes()), columns=["id", "time", "modelVersion", "modelDigest"])
            for path in (told.state / "store").rglob("*.parquet")
            if "/requests/" in str(path)
        ],
        how="vertical_relaxed",
    ).filter(pl.col("id").str.starts_with("s"))
    assert captured["id"].n_unique() == captured.height == DAYS * ROWS
    last = captured.filter(pl.col("time") >= datetime(2024, 3, 9, tzinfo=UTC))
    first = one(told.state, "ModelVersion", "parts-v1")["status"]["artifact"]
    assert set(last["modelDigest"]) == {first}
    between = captured.filter(pl.col("time").is_between(TURNED + timedelta(days=2), TURNED_BACK))
    assert set(between["modelVersion"]) == {2}


def test_the_report_says_what_was_measured(told: Told) -> None:
    """The older version on the rows that the newer one had answered, by its own answers."""
    check = next(each for each in checks(told.state, "parts") if each.get("action") == "Rollback: parts-v1")
    store = open_store((told.state / "store").resolve().as_uri(), os.environ)
    document: dict[str, Any] = json.loads(store.read_file(check["report"], "report.json"))
    older = document["older"]
    assert older["better"] == "parts-v1"
    (measured,) = older["measured"]
    assert measured["value"] > 0.85
    assert older["live"] < 0.5
    assert older["rows"] > 60
