"""A plain scikit-learn script on the split that a run trained on, and its metrics on the test part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlops.store import open_store
from tests.e2e.runs import objects

_MODELS: dict[str, Any] = {
    "LogisticRegression": LogisticRegression(max_iter=1000),
    "Ridge": Ridge(),
    "HistGradientBoostingClassifier": HistGradientBoostingClassifier(random_state=0),
    "HistGradientBoostingRegressor": HistGradientBoostingRegressor(random_state=0),
}


def ours(state: Path) -> dict[str, float]:
    """The metrics of the test part in the status of the run that trained."""
    (run,) = (one for one in objects(state, "TrainingRun") if one.get("status", {}).get("metrics"))
    return {one["name"]: float(one["value"]) for one in run["status"]["metrics"] if one["dataset"] == "test"}


def plain(state: Path, folder: Path) -> dict[str, float]:
    """What somebody gets who takes the split's files and writes ten lines of scikit-learn."""
    (dataset,) = objects(state, "Dataset")
    (template, *_) = (one for one in objects(state, "TrainingRun") if one["spec"].get("triggers"))
    open_store((state / "store").resolve().as_uri(), {}).get(dataset["status"]["artifact"], folder)
    fields = dataset["spec"]["fields"]
    (label,) = (one["name"] for one in fields if one.get("role") == "label")
    features = {one["name"]: one["type"] for one in fields if one.get("role", "feature") == "feature"}
    texts = [at for at, kind in enumerate(features.values()) if kind == "string"]
    numbers = [at for at, kind in enumerate(features.values()) if kind != "string"]
    parts = {part: pl.read_parquet(sorted(folder.rglob(f"{part}*.parquet"))) for part in ("train", "test")}
    parts = {part: frame.drop_nulls(label) for part, frame in parts.items()}
    model = _script(template["spec"]["trainer"]["estimator"]["name"], numbers, texts)
    train, test = ((_array(parts[part], features), parts[part][label].to_list()) for part in ("train", "test"))
    model.fit(*train)
    answer = model.predict(test[0])
    if not hasattr(model, "predict_proba"):
        return {"rmse": float(root_mean_squared_error(test[1], answer))}
    loss = log_loss(test[1], model.predict_proba(test[0]), labels=model.classes_)
    return {"accuracy": float(accuracy_score(test[1], answer)), "log_loss": float(loss), "rows": float(len(test[1]))}


def _array(frame: pl.DataFrame, features: dict[str, str]) -> np.ndarray[Any, Any]:
    array = np.empty((frame.height, len(features)), dtype=object)
    for at, (name, kind) in enumerate(features.items()):
        column = frame[name]
        array[:, at] = (
            column.fill_null("?") if kind == "string" else column.cast(pl.Float64).fill_null(np.nan)
        ).to_list()
    return array


def _script(estimator: str, numbers: list[int], texts: list[int]) -> Pipeline:
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(missing_values=np.nan), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts),
    )
    return make_pipeline(columns, _MODELS[estimator])
