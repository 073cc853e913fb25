"""Any table that a contract allows ends as a model whose answers are finite, or as a reason with a way out."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.api.tasks import TrainReport
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.train.artifact import inputs_of
from mlops.workloads.train.data import read_data
from mlops.workloads.train.estimators import ESTIMATORS, kind_of
from mlops.workloads.train.run import train
from tests.workloads.train.runs import Place, a_schema, a_task, field

TABLES = 360
MODEL, REASON = "a model", "a reason with a way out"
SMALL = {
    "AdaBoost": {"n_estimators": "3"},
    "Bagging": {"n_estimators": "3"},
    "ExtraTrees": {"n_estimators": "3"},
    "GradientBoosting": {"n_estimators": "3"},
    "HistGradientBoosting": {"max_iter": "3"},
    "MLP": {"hidden_layer_sizes": "[4]", "max_iter": "5"},
    "RandomForest": {"n_estimators": "3"},
    # Without a bound they go on for minutes on numbers that nobody scaled.
    "LinearSV": {"max_iter": "200"},
    "SV": {"max_iter": "200"},
    "NuSV": {"max_iter": "200"},
}
Draw = Callable[[np.random.Generator, int], Any]
NUMBERS: dict[str, Draw] = {
    "plain": lambda random, n: random.normal(size=n),
    "constant": lambda random, n: np.full(n, 0.1),
    "zero": lambda random, n: np.zeros(n),
    "huge": lambda random, n: random.normal(size=n) * 1e307,
    "largest": lambda random, n: random.choice([1.7976931348623157e308, -1.7976931348623157e308], n),
    "float32's largest": lambda random, n: random.choice([3.4e38, -3.4e38, 1.0], n),
    "tiny": lambda random, n: random.normal(size=n) * 1e-300,
    "subnormal": lambda random, n: random.choice([5e-324, 0.0, 1e-310], n),
    "far from zero": lambda random, n: 1e15 + random.normal(size=n),
    "one outlier": lambda random, n: np.where(np.arange(n) == n // 2, 1e300, random.normal(size=n)),
    "of all sizes": lambda random, n: random.normal(size=n) * 10.0 ** random.integers(-300, 300, n),
    "two values": lambda random, n: random.integers(0, 2, n).astype(np.float64),
}
ROWS, ROWS_SHARES = (1, 2, 3, 5, 12, 40, 150), (0.03, 0.03, 0.04, 0.05, 0.1, 0.25, 0.5)


def a_table(random: np.random.Generator) -> tuple[pl.DataFrame, list[dict[str, Any]], str, str]:
    """Return rows, fields, an estimator, and in words what was drawn."""
    # Most of it is in order, so that what is not gets as far as it can.
    rows = int(random.choice(ROWS, p=ROWS_SHARES))
    drawn = [str(random.choice(list(NUMBERS))) for _ in range(3)]
    estimator = str(random.choice(sorted(ESTIMATORS)))
    columns: dict[str, Any] = {f"x{place}": NUMBERS[kind](random, rows) for place, kind in enumerate(drawn)}
    gaps = random.random(rows) < random.choice([0.0, 0.1, 1.0], p=[0.6, 0.37, 0.03])
    columns["x0"] = np.where(gaps, np.nan, columns["x0"])
    big = random.integers(-(2**63), 2**63 - 1, rows)
    columns["whole"] = big
    columns["text"] = random.choice(["", "a", "b", "ü", "\0", "x" * 300], rows)
    if kind_of(estimator).task == "regression":
        named = str(random.choice([*NUMBERS, *["plain"] * 2 * len(NUMBERS)]))
        columns["y"], kind = NUMBERS[named](random, rows), "float64"
    else:
        named = str(random.choice(["two", "two", "two", "one", "many", "rare"]))
        most = {"two": 2, "one": 1, "many": 12, "rare": 4}[named]
        labels = random.integers(0, most, rows)
        columns["y"] = labels
        kind = "int64"
    frame = pl.DataFrame(columns).with_columns(pl.col("x0").fill_nan(None))
    fields = [field(name, "float64", nullable=name == "x0") for name in ("x0", "x1", "x2")]
    fields += [field("whole", "int64"), field("text", "string"), field("y", kind, "label")]
    return frame, fields, estimator, f"{estimator}, {rows} rows of {drawn}, label {named}"


@pytest.mark.parametrize("share", range(6))
def test_any_table_becomes_a_model_or_a_reason(place: Place, share: int) -> None:
    """Numbers at the end of what float64 holds, constants, one row, one class: never an exception or an infinity."""
    random = np.random.default_rng(1000 + share)
    outcomes = [outcome(place, *a_table(random)) for _ in range(TABLES // 6)]
    assert [one for one in outcomes if one not in (MODEL, REASON)] == []
    assert outcomes.count(MODEL) >= TABLES // 6 // 5


def outcome(place: Place, frame: pl.DataFrame, fields: list[dict[str, Any]], estimator: str, words: str) -> str:
    """Return MODEL, REASON, or what is wrong."""
    dataset = place.dataset(frame, a_schema(fields, features=[]))
    params = next((params for stem, params in SMALL.items() if estimator.startswith(stem)), {})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            report = train(place.pod(), a_task(dataset, estimator, params=params))
            return problem_of(place, dataset, report, words)
    except BadInput as error:
        told = error.reason in ("DataUnusable", "TrainingFailed", "ExportFailed") and ": " in error.message
        return REASON if told and len(error.message) < 1500 else f"{words}: {error.reason}: {error.message}"
    # What nobody foresaw is what this is about.
    except Exception as error:  # noqa: BLE001
        frames = traceback.extract_tb(error.__traceback__)
        return f"{words}: {type(error).__name__}: {error} at {frames[-1]}, {frames[-2]}"


def problem_of(place: Place, dataset: str, report: TrainReport, words: str) -> str:
    """Return MODEL if every answer is finite and every metric is a number, or said to be undefined."""
    folder = place.new("read")
    place.store.get(dataset, folder)
    data = read_data(folder, None)
    predictor = Predictor.load(place.model(report))
    answer = predictor.predict(inputs_of(data.parts["train"], predictor.signature.inputs))
    if not all(np.isfinite(float(one.value)) for one in report.metrics) or not report.metrics:
        return f"{words}: {report.metrics}"
    if answer.prediction.dtype.kind == "f" and not np.isfinite(answer.prediction).all():
        return f"{words}: {answer.prediction}"
    if answer.probabilities is not None and not (np.abs(answer.probabilities.sum(axis=1) - 1) < 1e-9).all():
        return f"{words}: {answer.probabilities}"
    return MODEL
