"""Somebody's own training script. It knows nothing of the operator but two folders and two file names.

In   $MLOPS_INPUTS    train.parquet, validation.parquet, test.parquet, task.json
Out  $MLOPS_OUTPUTS   model.onnx, with one input per column; metrics.json, {part: {name: number}}
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

arguments = argparse.ArgumentParser()
arguments.add_argument("--trees", default="100", help="numbers of trees to try, with commas between")
options = arguments.parse_args()

inputs, outputs = Path(os.environ["MLOPS_INPUTS"]), Path(os.environ["MLOPS_OUTPUTS"])
task = json.loads((inputs / "task.json").read_text())
parts = {name: pl.read_parquet(inputs / f"{name}.parquet") for name in ("train", "validation", "test")}
texts = [column["name"] for column in task["columns"] if column["type"] == "string"]
numbers = [column["name"] for column in task["columns"] if column["type"] != "string"]
print({name: frame.shape for name, frame in parts.items()}, "label:", task["label"], flush=True)


def columns_of(frame):
    """ONNX takes 32-bit numbers: the script trains on what the model will see."""
    return frame.select(pl.col(numbers).cast(pl.Float32), pl.col(texts))


def fitted(trees):
    """Half a linear model, half randomised trees."""
    # A served model also meets texts that it was not trained on.
    one_hot = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("numbers", StandardScaler(), numbers), ("texts", one_hot, texts)])
    forest = ExtraTreesClassifier(n_estimators=trees, min_samples_leaf=10, random_state=task["seed"])
    both = VotingClassifier(
        [("linear", LogisticRegression(C=0.1)), ("trees", forest)], voting="soft", flatten_transform=False
    )
    return make_pipeline(columns, both).fit(columns_of(parts["train"]), parts["train"][task["label"]].to_numpy())


def roc_auc(model, part):
    frame = parts[part]
    return roc_auc_score(frame[task["label"]].to_numpy(), model.predict_proba(columns_of(frame))[:, 1])


candidates = {}
for trees in map(int, options.trees.split(",")):
    candidates[trees] = fitted(trees)
    print(f"{trees} trees: ROC AUC {roc_auc(candidates[trees], 'validation'):.4f} on validation", flush=True)
best = max(candidates, key=lambda trees: roc_auc(candidates[trees], "validation"))
model = candidates[best]

types = [(name, FloatTensorType([None, 1])) for name in numbers] + [
    (name, StringTensorType([None, 1])) for name in texts
]
graph = to_onnx(model, initial_types=types, options={id(model): {"zipmap": False}}).SerializeToString()
(outputs / "model.onnx").write_bytes(graph)

# Worth doing in any exporter: does the exported model say what the trained one says?
test = columns_of(parts["test"])
onnxruntime.set_default_logger_severity(3)
session = onnxruntime.InferenceSession(graph)
exported = session.run(None, {name: test[name].to_numpy().reshape(-1, 1) for name in test.columns})[1]
print(f"largest difference of the export: {np.abs(exported - model.predict_proba(test)).max():.1e}", flush=True)

rainy = parts["test"][task["label"]].to_numpy() == "yes"
missed = float((model.predict(test)[rainy] == "no").mean())
(outputs / "metrics.json").write_text(json.dumps({"test": {"rainy_days_missed": round(missed, 6), "trees": best}}))
print(f"{best} trees; {missed:.0%} of the rainy days of test were missed", flush=True)
