"""The example with the user's own trainer, as the repository ships it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.project import mlops

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_users_own_trainer_goes_the_whole_way(tmp_path: Path) -> None:
    """Trained twice with equal digests, gated by its own metric, served."""
    ended = mlops("run", "-f", EXAMPLES / "own-trainer", "--state", tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    run = json.loads(mlops("get", "trun", "rain", "-o", "json", "--state", tmp_path).stdout)["status"]
    assert run["verification"] == {"equal": True}
    metrics = {(one["name"], one["dataset"]): float(one["value"]) for one in run["metrics"]}
    assert metrics["roc_auc", "test"] > 0.7
    assert 0 < metrics["rainy_days_missed", "test"] < 0.9
    assert "rain-v1   production" in ended.stdout
