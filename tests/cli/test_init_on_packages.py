"""Data sets as packages ship them: `mlops init`, `mlops run`, and the metrics that a plain scikit-learn script gets."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import pytest
import river
import sklearn

from tests.cli.beside_scikit_learn import ours, plain
from tests.cli.project import mlops

SKLEARN = Path(sklearn.__file__).parent / "datasets" / "data"
RIVER = Path(river.__file__).parent / "datasets"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("file", "label"),
    [
        pytest.param(SKLEARN / "iris.csv", "virginica", id="iris, counts before the classes' names"),
        pytest.param(SKLEARN / "wine_data.csv", "14", id="wine, no names"),
        pytest.param(SKLEARN / "breast_cancer.csv", "31", id="breast cancer, no names"),
        pytest.param(SKLEARN / "digits.csv.gz", "65", id="digits, packed, 64 numbers and no names"),
        pytest.param(RIVER / "phishing.csv.gz", "is_phishing", id="phishing, packed"),
        pytest.param(RIVER / "trump_approval.csv.gz", "five_thirty_eight", id="approval, a regression with gaps"),
        pytest.param(RIVER / "chick-weights.csv", "weight", id="chicks, a regression"),
        pytest.param(RIVER / "sp500.csv.gz", "next_day_return", id="returns, split by their dates"),
        pytest.param(RIVER / "segment.csv.zip", "category", id="segments, a zip archive with seven classes"),
        pytest.param(RIVER / "solar-flare.csv.zip", "c-class-flares", id="flares, texts and counts"),
        pytest.param(RIVER / "shuttle.csv.gz", "anomaly", id="shuttle, many rows and a rare class"),
    ],
)
def test_the_model_is_as_good_as_a_plain_script_on_the_same_split(file: Path, label: str, tmp_path: Path) -> None:
    """Nothing is edited between the two commands, and what is read, encoded and fitted costs no quality."""
    manifest, state = tmp_path / "it.yaml", tmp_path / "state"
    made = mlops("init", file, "--label", label, "--output", manifest)
    assert made.returncode == 0, made.stdout + made.stderr
    ran = mlops("run", "-f", manifest, "--state", state, "--plain")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found, script = ours(state), plain(state, tmp_path / "split")
    if "rmse" in script:
        assert found["rmse"] <= 1.02 * script["rmse"] + 1e-9
        return
    # Twice the standard error of a share of so many rows.
    noise = 2 * sqrt(max(script["accuracy"] * (1 - script["accuracy"]), 0.01) / script["rows"])
    assert abs(found["accuracy"] - script["accuracy"]) <= noise
    assert found["log_loss"] <= 1.1 * script["log_loss"] + 0.02
