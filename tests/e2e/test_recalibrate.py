"""One machine, real pods: calibration alone moves, and the model that serves gets a map of its scores."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.statistics.metrics import Sample, evaluate
from mlops.store import open_store
from mlops.workloads.floor.model.opening import open_checked
from tests.e2e.runs import Ended, checks, objects, one, run
from tests.e2e.scenarios import INPUTS, MANIFESTS, START, WORLD, frame

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAYS, ROWS = 6, 400
# From day 2 on a part has to be two units better to fit: the same parts are the better ones.
MOVED, RECALIBRATED = START + timedelta(days=2), START + timedelta(days=3)
# The checks and actions of the small scenario, up to what follows them.
CHECKS = MANIFESTS[MANIFESTS.index("  checks:") : MANIFESTS.index("  trainingRunRef:")]
# No actions: what a monitor does by default.
CALIBRATION = """  checks:
    - {name: inputs, type: DataDrift, minEffectSize: "0.5"}
    - {name: relation, type: ConceptDrift, metric: brier, minDrop: "0.02"}
"""


@dataclass(frozen=True)
class Told:
    """How the run ended, what it left, and the rows that were asked."""

    ended: Ended
    state: Path
    stream: pl.DataFrame


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("recalibrate")
    scenario, state = folder / "scenario", folder / "state"
    (scenario / "data").mkdir(parents=True)
    (scenario / "parts.yaml").write_text(MANIFESTS.replace(CHECKS, CALIBRATION))
    (scenario / "scenario.toml").write_text(WORLD)
    day = timedelta(days=1)
    frame(1200, START - day, day / 1200, seed=1).write_parquet(scenario / "data/history.parquet")
    stream = frame(DAYS * ROWS, START, day / ROWS, seed=2, prefix="s", stricter_at=MOVED)
    stream.write_parquet(scenario / "data/stream.parquet")
    return Told(run(scenario, state, timeout=500), state, stream)


def test_the_check_says_that_calibration_alone_moved(told: Told) -> None:
    """ConceptDrift on the first window from after the change, and by how much a map mends it; before it, nothing."""
    assert told.ended.code == 0
    verdicts = [each["verdict"] for each in checks(told.state, "parts")]
    assert verdicts == ["Stable", "Stable", "ConceptDrift", "Stable", "Stable"]
    first, found = one(told.state, "ModelVersion", "parts-v1"), _report(told.state, 2)["calibration"]
    assert (found["alone"], found["obstacle"], found["metric"]) == (True, None, "brier")
    assert found["current"] > found["reference"] + 0.05
    assert found["restored"] < found["reference"] + 0.02
    assert found["rankingCurrent"] > found["rankingReference"] - 0.02
    last = one(told.state, "DriftMonitor", "parts")["status"]["lastAction"]
    assert (last["kind"], last["verdict"], last["outcome"]) == ("Recalibrate", "ConceptDrift", "Promoted")
    assert last["recalibrates"] == first["status"]["artifact"]
    assert MOVED.isoformat()[:10] == last["since"][:10]


def test_the_run_keeps_the_model_and_passes_its_gates_on_rows_from_after_the_change(told: Told) -> None:
    """Those of the template, and one by brier against the live version, measured on the same rows."""
    last = one(told.state, "DriftMonitor", "parts")["status"]["lastAction"]
    made = one(told.state, "TrainingRun", last["ref"])
    assert made["spec"]["trainer"]["recalibration"]["artifact"] == last["recalibrates"]
    assert made["spec"]["datasetRef"]["since"] == last["since"]
    assert {(each["metric"], each.get("compareTo")) for each in made["spec"]["gates"]} == {
        ("roc_auc", None),
        ("roc_auc", "champion"),
        ("brier", "champion"),
    }
    [passed] = [each for each in made["status"]["conditions"] if each["type"] == "GatesPassed"]
    assert (passed["status"], "brier on test" in passed["message"]) == ("True", True), passed["message"]
    [note] = [each for each in made["status"]["notes"] if each.startswith("recalibrated on ")]
    assert f"TrainingRun {last['ref']}: {note}" in told.ended.output
    assert "monitor parts: recalibrate" in told.ended.output


def test_the_model_with_the_map_is_served_and_its_probabilities_come_true_again(told: Told) -> None:
    """Every row asked once; of those after the promotion the log loss is less than the older model's on the same rows,
    the older one is over-sure of `yes`, and both rank the rows alike."""
    first, second = (one(told.state, "ModelVersion", f"parts-v{number}") for number in (1, 2))
    assert len(objects(told.state, "ModelVersion")) == 2
    assert (first["status"].get("stages", []), second["status"]["stages"]) == ([], ["production"])
    assert second["spec"]["lineage"]["parentVersion"] == "parts-v1"
    assert second["spec"]["lineage"]["estimator"]["name"] == "LogisticRegression"
    served = _served(told.state)
    assert served["id"].n_unique() == served.height == DAYS * ROWS
    after = served.filter(pl.col("time") > RECALIBRATED).join(told.stream.select("id", "fits"), on="id").sort("id")
    assert after.height > 2 * ROWS
    assert set(after["modelDigest"]) == {second["status"]["artifact"]}
    before = _answers(told, first["status"]["artifact"], after)
    ours, truth = after["out.p.yes"].to_numpy(), after["fits"].to_numpy()
    # What was served is what the file gives, and not the model without its map.
    np.testing.assert_allclose(ours, _answers(told, second["status"]["artifact"], after), atol=1e-6)
    share = (truth == "yes").mean()
    assert abs(ours.mean() - share) < 0.05 < before.mean() - share - 0.1
    assert _value("log_loss", truth, ours) < 0.6 * _value("log_loss", truth, before)
    assert _value("roc_auc", truth, ours) == pytest.approx(_value("roc_auc", truth, before), abs=1e-9)
    assert (np.argsort(ours, kind="stable") == np.argsort(before, kind="stable")).all()


def _report(state: Path, number: int) -> dict[str, Any]:
    """Return the document of a check, the first one first."""
    store = open_store((state / "store").resolve().as_uri(), os.environ)
    found: dict[str, Any] = json.loads(store.read_file(checks(state, "parts")[number]["report"], "report.json"))
    return found


def _served(state: Path) -> pl.DataFrame:
    """Return the rows of the stream as they were answered and captured."""
    files = [path for path in (state / "store").rglob("*.parquet") if "/requests/" in str(path)]
    rows = pl.concat([pl.read_parquet(io.BytesIO(path.read_bytes())) for path in files], how="vertical_relaxed")
    return rows.filter(pl.col("id").str.starts_with("s"))


def _answers(told: Told, artifact: str, rows: pl.DataFrame) -> np.ndarray[Any, Any]:
    """Return what the model at `artifact` gives `yes` in the rows, opened from the store."""
    folder = told.state.parent / artifact[-12:]
    open_store((told.state / "store").resolve().as_uri(), os.environ).get(artifact, folder)
    predictor = open_checked(folder).predictor
    inputs = rows.select(pl.col(f"in.{name}").alias(name) for name in INPUTS)
    answer = predictor.predict({name: inputs[name].to_numpy() for name in INPUTS})
    assert answer.probabilities is not None
    return np.asarray(answer.probabilities)[:, 1]


def _value(metric: Any, truth: np.ndarray[Any, Any], answers: np.ndarray[Any, Any]) -> float:
    return evaluate(metric, Sample(truth, answers, None, ("no", "yes")))
