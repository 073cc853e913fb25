"""Sound model folders of every format, from which mutated ones are made."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import treelite
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier

from mlops.workloads.floor.model.golden import write_golden
from mlops.workloads.floor.model.onnx_graph import pipeline_graph
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import (
    Encoding,
    EstimatorOf,
    Input,
    LabelColumn,
    ModelColumn,
    NumberEncoding,
    Outputs,
    Signature,
    TextEncoding,
    write_signature,
)
from mlops.workloads.floor.model.skops_file import dump_estimator

NUMBERS = ("a", "b", "c")
TEXT, CATEGORIES = "region", ("north", "south")
CLASSES = (0, 1, 2)
ROWS = 120
Inputs = dict[str, np.ndarray[Any, Any]]

ENCODING = Encoding(
    numbers=tuple(NumberEncoding(column=name, fill=0.0) for name in NUMBERS),
    texts=(TextEncoding(column=TEXT, kind="onehot", categories=CATEGORIES, other=True),),
)
TREES: tuple[Callable[[], Any], ...] = (
    lambda: RandomForestClassifier(4, max_depth=4, random_state=0),
    lambda: ExtraTreesRegressor(3, max_depth=4, random_state=0),
    lambda: GradientBoostingRegressor(n_estimators=4, max_depth=3, random_state=0),
    lambda: GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0),
    lambda: HistGradientBoostingClassifier(max_iter=3, max_depth=3, random_state=0),
    lambda: HistGradientBoostingRegressor(max_iter=3, max_depth=3, random_state=0),
)
OTHERS: tuple[Callable[[], Any], ...] = (
    lambda: KNeighborsClassifier(3, algorithm="kd_tree", leaf_size=5),
    lambda: KNeighborsClassifier(3, algorithm="brute"),
    lambda: KNeighborsRegressor(3, algorithm="ball_tree", leaf_size=5),
    lambda: KNeighborsRegressor(3, algorithm="kd_tree", metric="minkowski", p=3),
    lambda: SVC(),
    lambda: NuSVC(nu=0.1, kernel="poly"),
    lambda: SVR(),
    lambda: LogisticRegression(),
    lambda: SGDClassifier(loss="modified_huber", random_state=0),
    lambda: LinearSVC(),
    lambda: MLPClassifier((4,), max_iter=3, random_state=0),
    lambda: LinearDiscriminantAnalysis(),
    lambda: QuadraticDiscriminantAnalysis(reg_param=0.5),
    lambda: GaussianNB(),
    lambda: NearestCentroid(),
    lambda: DummyClassifier(strategy="stratified", random_state=0),
    lambda: BaggingClassifier(n_estimators=2, random_state=0),
    lambda: AdaBoostRegressor(n_estimators=2, random_state=0),
    lambda: DecisionTreeClassifier(max_depth=4, random_state=0),
)


def inputs(rows: int = ROWS, seed: int = 0) -> Inputs:
    """Rows with missing and very large numbers, and texts that were never seen."""
    random = np.random.default_rng(seed)
    columns: Inputs = {name: random.normal(size=rows) for name in NUMBERS}
    columns["a"][::11], columns["b"][::13] = np.nan, 1e30
    texts = np.empty(rows, dtype=object)
    texts[:] = random.choice([*CATEGORIES, "never seen", ""], rows).tolist()
    return {**columns, TEXT: texts}


def make(folder: Path, form: str) -> None:
    """Write one folder per estimator, with its recorded answers, or per Parquet file."""
    if form == "parquet":
        for number, content in enumerate(parquet()):
            (folder / f"parquet-{number}").mkdir(parents=True)
            (folder / f"parquet-{number}" / "rows.parquet").write_bytes(content)
        return
    for number, build in enumerate((*TREES, *OTHERS)):
        if form == "treelite" and number >= len(TREES):
            break
        target = folder / f"{form}-{number}"
        target.mkdir(parents=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not _write(build(), form, target):
                target.rmdir()


def _write(estimator: Any, form: str, folder: Path) -> bool:
    from mlops.workloads.floor.model.encoding import Encoder

    columns = inputs()
    matrix = Encoder(ENCODING).matrix({**columns, "b": np.clip(columns["b"], -9, 9)})
    score = matrix[:, 0] + matrix[:, 3] + np.random.default_rng(1).normal(size=ROWS) * 0.3
    classifies = (
        hasattr(estimator, "classes_") or estimator._estimator_type == "classifier"
        if hasattr(estimator, "_estimator_type")
        else type(estimator).__name__.endswith(("Classifier", "SVC", "Regression", "Analysis", "NB", "Centroid"))
    )
    truth = np.digitize(score, [0.0, 1.0]) if classifies else score
    estimator.fit(matrix, truth)
    outputs = Outputs()
    if form == "skops":
        content = dump_estimator(estimator)
    elif form == "treelite":
        content = treelite.sklearn.import_model(estimator).serialize_bytes()
    else:
        try:
            graph = pipeline_graph(ENCODING, estimator, double=False)
        except Exception:  # noqa: BLE001 -- what skl2onnx cannot convert is no seed
            return False
        names = [output.name for output in graph.graph.output]
        given = names[1] if hasattr(estimator, "predict_proba") else None
        outputs = Outputs(label=names[0], probabilities=given) if classifies else Outputs(value=names[0])
        content = graph.SerializeToString(deterministic=True)
    fields = (*((name, "float64") for name in NUMBERS), (TEXT, "string"))
    signature = Signature.model_validate(
        {
            "task": "classification" if classifies else "regression",
            "format": form,
            "inputs": tuple(Input.model_validate({"name": name, "type": kind}) for name, kind in fields),
            "columns": tuple(ModelColumn.model_validate({"name": name, "type": kind}) for name, kind in fields),
            "label": LabelColumn(name="y", type="int64" if classifies else "float64"),
            "classes": CLASSES if classifies else None,
            "estimator": EstimatorOf(name=type(estimator).__name__),
            "encoding": ENCODING,
            "outputs": outputs,
            "tolerance": "1e-5",
        }
    )
    (folder / f"model.{form}").write_bytes(content)
    write_signature(signature, folder)
    recorded = inputs(8, seed=3)
    write_golden(Predictor.load(folder), {**recorded, "b": np.clip(recorded["b"], -9, 9)}, folder)
    return True


def parquet() -> list[bytes]:
    """Parquet files in several encodings and compressions."""
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "id": [f"e{number}" for number in range(ROWS)],
            "price": random.normal(size=ROWS),
            "count": random.integers(0, 3, ROWS),
            "holiday": random.random(ROWS) < 0.5,
            "region": random.choice(["north", "south"], ROWS),
            "gap": [None if number % 3 else float(number) for number in range(ROWS)],
        }
    )
    made = []
    for compression in ("zstd", "snappy", "gzip", "lz4", "uncompressed"):
        written = io.BytesIO()
        frame.write_parquet(written, compression=compression, row_group_size=50)  # type: ignore[arg-type]
        made.append(written.getvalue())
    return made
