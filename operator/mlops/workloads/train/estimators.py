"""The estimators that may be trained, by scikit-learn's own names, and what each needs of its matrix."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from mlops.api.estimators import NAME_PATH, unknown_estimator
from mlops.api.metrics import Task
from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput


@dataclass(frozen=True)
class Kind:
    """Where an estimator lives and what it needs.

    `scale`: numbers are standardised. `missing`: takes NaN itself. `texts`: how strings are encoded. `single`: it
    rounds its matrix to float32, so the encoding does it, and every engine sees the same numbers.
    """

    module: str
    task: Task
    scale: bool = True
    missing: bool = False
    texts: Literal["onehot", "ordinal"] = "onehot"
    single: bool = False


def _both(module: str, *stems: str, **traits: Any) -> dict[str, Kind]:
    classifiers = {f"{stem}Classifier": Kind(module, "classification", **traits) for stem in stems}
    return classifiers | {f"{stem}Regressor": Kind(module, "regression", **traits) for stem in stems}


def _all(module: str, task: Task, *names: str, **traits: Any) -> dict[str, Kind]:
    return {name: Kind(module, task, **traits) for name in names}


_TREE: dict[str, Any] = {"scale": False, "texts": "ordinal", "single": True}
ESTIMATORS: dict[str, Kind] = {
    **_all(
        "sklearn.linear_model",
        "classification",
        "LogisticRegression",
        "RidgeClassifier",
        "SGDClassifier",
    ),
    **_all(
        "sklearn.linear_model",
        "regression",
        "ARDRegression",
        "BayesianRidge",
        "ElasticNet",
        "GammaRegressor",
        "HuberRegressor",
        "Lasso",
        "LinearRegression",
        "PoissonRegressor",
        "QuantileRegressor",
        "Ridge",
        "SGDRegressor",
        "TweedieRegressor",
    ),
    **_all(
        "sklearn.discriminant_analysis", "classification", "LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis"
    ),
    **_all("sklearn.svm", "classification", "LinearSVC", "NuSVC", "SVC"),
    **_all("sklearn.svm", "regression", "LinearSVR", "NuSVR", "SVR"),
    **_both("sklearn.neighbors", "KNeighbors"),
    **_all("sklearn.neighbors", "classification", "NearestCentroid"),
    **_all("sklearn.naive_bayes", "classification", "BernoulliNB", "GaussianNB"),
    **_both("sklearn.neural_network", "MLP"),
    **_both("sklearn.tree", "DecisionTree", "ExtraTree", **_TREE),
    **_both("sklearn.ensemble", "AdaBoost", "Bagging", "ExtraTrees", "GradientBoosting", "RandomForest", **_TREE),
    **_both("sklearn.ensemble", "HistGradientBoosting", scale=False, missing=True, texts="ordinal"),
    **_both("sklearn.dummy", "Dummy", scale=False),
}
# What the run decides itself, and the field that says so.
RESERVED = {
    "random_state": "spec.reproducibility.seed sets it",
    "n_jobs": "a run is single-threaded, so that it gives the same bits everywhere",
    "verbose": "the pod's log is not for it",
    "warm_start": "a run fits once",
    "estimator": "it is an object; scikit-learn's default is used",
    "categorical_features": "the data's contract says which columns are strings",
}


def kind_of(name: str, path: str = NAME_PATH) -> Kind:
    """Return the entry of an estimator. Raises BadInput(EstimatorUnknown) naming the closest and the whole list."""
    if name not in ESTIMATORS:
        raise BadInput(Reason.ESTIMATOR_UNKNOWN, str(unknown_estimator(name, path)))
    return ESTIMATORS[name]


def class_of(name: str) -> Any:
    """Return the scikit-learn class of an allowed estimator."""
    return getattr(importlib.import_module(kind_of(name).module), name)
