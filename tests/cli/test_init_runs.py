"""`mlops init`, then `mlops run`: on data sets that people start with, the first attempt works."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml
from sklearn import datasets

from tests.cli.project import mlops


def a_frame(name: str) -> pl.DataFrame:
    """A data set of scikit-learn under its own names, with classes as text."""
    found = getattr(datasets, f"load_{name}")()
    frame = pl.DataFrame(found.data, schema=[str(one) for one in found.feature_names])
    target = found.target if name == "diabetes" else [str(found.target_names[at]) for at in found.target]
    return frame.with_columns(pl.Series("target", target))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suffix"), [("iris", "csv"), ("wine", "parquet"), ("breast_cancer", "jsonl"), ("diabetes", "csv")]
)
def test_the_first_attempt_works(name: str, suffix: str, tmp_path: Path) -> None:
    """Two commands from a file to a served model with a monitor: nothing is edited between them."""
    frame, file = a_frame(name), tmp_path / f"{name}.{suffix}"
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}[suffix](file)
    manifest = tmp_path / "out" / f"{name.replace('_', '-')}.yaml"
    manifest.parent.mkdir()
    made = mlops("init", file, "--label", "target", "--output", manifest)
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stdout.startswith(f"{frame.height} rows, {frame.width - 1} features, ")
    ran = mlops("run", "-f", manifest, "--state", tmp_path / "state", "--plain")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (dataset,) = yaml.safe_load_all(mlops("get", "dset", "-o", "yaml", "--state", tmp_path / "state").stdout)
    dataset = dataset["items"][0] if "items" in dataset else dataset
    assert dataset["status"]["rows"] == frame.height


def test_scikit_learns_own_files_are_read(tmp_path: Path) -> None:
    """Its iris.csv has counts and classes in place of names: they are the columns' names."""
    file = Path(datasets.__file__).parent / "data" / "iris.csv"
    made = mlops("init", file, "--label", "virginica", "--output", tmp_path / "iris.yaml")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("150 rows, 4 features, classification of virginica")
