"""A metric means the same in training, in drift checks and in scikit-learn, or it is refused."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.api.metrics import METRICS, Metric, of_task
from mlops.statistics.metrics import evaluate
from mlops.workloads.drift.performance import sample_of
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.floor.records.layout import PREDICTION, PROBABILITY
from mlops.workloads.train.evaluate import measure

CLASSES = ("ant", "bee", "cat", "dog")
Oracle = Callable[[Any, Any, Any, list[str]], float]
# Of two classes the second's score, of more a table of all; f1 by the averaging that the table of metrics names.
ORACLES: dict[str, Oracle] = {
    "roc_auc": lambda y, said, p, names: oracle.roc_auc_score(y, p, multi_class="ovr", labels=names),
    "log_loss": lambda y, said, p, names: oracle.log_loss(y, p, labels=names),
    "accuracy": lambda y, said, p, names: oracle.accuracy_score(y, said),
    "balanced_accuracy": lambda y, said, p, names: oracle.balanced_accuracy_score(y, said),
    "f1": lambda y, said, p, names: oracle.f1_score(
        y, said, zero_division=0.0, **({"pos_label": names[1]} if len(names) == 2 else {"average": "macro"})
    ),
    "brier": lambda y, said, p, names: oracle.brier_score_loss(
        y, p, labels=names, **({"pos_label": names[1]} if len(names) == 2 else {})
    ),
    "mae": lambda y, said, p, names: oracle.mean_absolute_error(y, said),
    "rmse": lambda y, said, p, names: oracle.root_mean_squared_error(y, said),
    "r2": lambda y, said, p, names: oracle.r2_score(y, said),
}


def test_the_type_and_the_table_name_the_same_metrics() -> None:
    """A metric that a spec may name has its facts, and an oracle here."""
    assert get_args(Metric) == tuple(METRICS) == tuple(ORACLES)


def in_drift(name: str, frame: pl.DataFrame, classes: tuple[str, ...]) -> float | None:
    """Return what a drift check measures; None if it refuses."""
    try:
        return evaluate(name, sample_of(name, frame, classes))
    except ValueError:
        return None


def by_oracle(name: str, y: Any, said: Any, p: Any, names: list[str]) -> float | None:
    """Return scikit-learn's value; None where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = float(ORACLES[name](y, said, p, names))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


@pytest.mark.parametrize("name", of_task("classification"))
@given(k=st.integers(2, 4), n=st.integers(1, 40), seed=st.integers(0, 10_000), tied=st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_metric_of_classes_is_one_number_everywhere(name: str, k: int, n: int, seed: int, tied: bool) -> None:
    """Two to four classes, of which some may be absent."""
    rng = np.random.default_rng(seed)
    classes = CLASSES[:k]
    truth = np.array(classes)[rng.integers(0, k, n)]
    table = rng.dirichlet(np.ones(k), n)
    if tied:
        table = np.eye(k)[table.argmax(axis=1)] * 0.5 + 0.5 / k
    said = np.array(classes)[table.argmax(axis=1)]
    trained = measure("classification", truth, Prediction(said, table), classes)
    columns = {PROBABILITY + each: table[:, code] for code, each in enumerate(classes)}
    checked = in_drift(name, pl.DataFrame({"label": truth, PREDICTION: said, **columns}), classes)
    expected = by_oracle(name, truth, said, table[:, 1] if k == 2 else table, list(classes))
    assert trained.get(name) == (None if checked is None else pytest.approx(checked, rel=1e-12, abs=1e-12))
    if checked is not None:
        assert expected == pytest.approx(checked, rel=1e-9, abs=1e-12)
    else:
        assert expected is None


@pytest.mark.parametrize("name", of_task("regression"))
@given(n=st.integers(2, 40), seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_a_metric_of_values_is_one_number_everywhere(name: str, n: int, seed: int) -> None:
    """Errors of any size."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    said = truth + rng.normal(size=n)
    trained = measure("regression", truth, Prediction(said, None), None)
    checked = in_drift(name, pl.DataFrame({"label": truth, PREDICTION: said}), ())
    assert trained[name] == pytest.approx(checked, rel=1e-12)
    assert checked == pytest.approx(ORACLES[name](truth, said, None, []), rel=1e-9)


@pytest.mark.parametrize("name", of_task("classification"))
def test_a_metric_is_measured_or_not_for_want_of_probabilities_alike(name: str) -> None:
    """A model that answers with labels alone has no metric that needs more, in training and in drift."""
    truth, said = np.array(["ant", "bee", "cat", "ant"]), np.array(["ant", "cat", "cat", "bee"])
    trained = measure("classification", truth, Prediction(said, None), CLASSES[:3])
    checked = in_drift(name, pl.DataFrame({"label": truth, PREDICTION: said}), CLASSES[:3])
    assert (name in trained) == (checked is not None) == (not METRICS[name].needs_probabilities)
