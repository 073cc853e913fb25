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

from mlops.api.costs import Cost
from mlops.api.metrics import METRICS, Metric, of_task, positive_last
from mlops.statistics.metrics import Sample, Undefined, evaluate
from mlops.workloads.floor.model.answer import Answer, checked
from mlops.workloads.floor.model.predictor import Prediction
from mlops.workloads.floor.model.probabilities import as_probabilities, bounded
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import PREDICTION, PROBABILITY
from mlops.workloads.floor.samples import sample_of
from mlops.workloads.train.evaluate import CostedRows, Measured, measure

CLASSES = ("ant", "bee", "cat", "dog")
# Of four classes some pairs, one of them a gain and one by the amount of each row.
COSTS = (
    Cost(actual="ant", predicted="bee", cost="500", column="amount"),
    Cost(actual="bee", predicted="ant", cost="20"),
    Cost(actual="bee", predicted="bee", cost="-3.5"),
    Cost(actual="dog", predicted="cat", cost="1e3"),
)


def amounts(rows: int) -> Any:
    """Return an amount per row, some of them nought."""
    return np.arange(rows) % 7 / 2.0


def by_hand(y: Any, said: Any, weights: Any) -> float:
    """Return the mean cost, row by row."""
    total = 0.0
    own = np.ones(len(y)) if weights is None else weights
    for actual, predicted, amount, weight in zip(y, said, amounts(len(y)), own, strict=True):
        for one in COSTS:
            if (one.actual, one.predicted) == (actual, predicted):
                total += weight * float(one.cost) * (amount if one.column else 1.0)
    return total / float(own.sum())


Oracle = Callable[[Any, Any, Any, list[str], Any], float]
# Of two classes the second's score, of more a table of all; f1 of the last of two classes, else the mean over all.
ORACLES: dict[str, Oracle] = {
    "roc_auc": lambda y, said, p, names, w: oracle.roc_auc_score(
        y == names[-1] if len(names) == 2 else y, p, multi_class="ovr", labels=names, sample_weight=w
    ),
    "log_loss": lambda y, said, p, names, w: oracle.log_loss(
        y == names[-1] if len(names) == 2 else y, p, labels=[0, 1] if len(names) == 2 else names, sample_weight=w
    ),
    "accuracy": lambda y, said, p, names, w: oracle.accuracy_score(y, said, sample_weight=w),
    "balanced_accuracy": lambda y, said, p, names, w: oracle.balanced_accuracy_score(y, said, sample_weight=w),
    "f1": lambda y, said, p, names, w: oracle.f1_score(
        y,
        said,
        zero_division=0.0,
        sample_weight=w,
        **({"pos_label": names[-1], "labels": sorted(names)} if len(names) == 2 else {"average": "macro"}),
    ),
    "brier": lambda y, said, p, names, w: oracle.brier_score_loss(
        y, p, labels=sorted(names), sample_weight=w, **({"pos_label": names[-1]} if len(names) == 2 else {})
    ),
    "cost": lambda y, said, p, names, w: by_hand(y, said, w),
    "mae": lambda y, said, p, names, w: oracle.mean_absolute_error(y, said, sample_weight=w),
    "rmse": lambda y, said, p, names, w: oracle.root_mean_squared_error(y, said, sample_weight=w),
    "r2": lambda y, said, p, names, w: oracle.r2_score(y, said, sample_weight=w),
}


def test_the_type_and_the_table_name_the_same_metrics() -> None:
    """A metric that a spec may name has its facts, and an oracle here."""
    assert get_args(Metric) == tuple(METRICS) == tuple(ORACLES)


def costed(rows: int) -> CostedRows:
    """Return what answers cost, with the amounts as a Dataset has them."""
    return CostedRows(COSTS, pl.DataFrame({"amount": amounts(rows)}))


def in_drift(name: str, frame: pl.DataFrame, classes: tuple[str, ...]) -> float | None:
    """Return what a drift check measures; None if it refuses."""
    recorded = frame.with_columns(pl.Series("in.amount", amounts(frame.height)))
    try:
        return evaluate(name, sample_of(name, recorded, classes, COSTS))
    except ValueError:
        return None


def by_oracle(name: str, y: Any, said: Any, p: Any, names: list[str], w: Any = None) -> float | None:
    """Return scikit-learn's value; None where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = float(ORACLES[name](y, said, p, names, w))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def agree(name: str, found: Measured, expected: float | None, rel: float = 1e-9) -> None:
    """Hold a metric against the oracle: one number, or refused with a reason where it has none either."""
    assert (name in found.values) != (name in found.undefined)
    if expected is None:
        assert found.undefined[name]
    else:
        assert found.values[name] == pytest.approx(expected, rel=rel, abs=1e-12)


@pytest.mark.parametrize("name", of_task("classification"))
@given(
    k=st.integers(2, 4),
    n=st.integers(1, 40),
    seed=st.integers(0, 10_000),
    shape=st.sampled_from(["plain", "tied", "certain", "float32", "one class", "one said"]),
    first=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_a_metric_of_classes_is_one_number_everywhere(
    name: str, k: int, n: int, seed: int, shape: str, first: bool
) -> None:
    """Two to four classes, of which some may be absent; of two, either may be the positive one."""
    rng = np.random.default_rng(seed)
    classes = CLASSES[:k]
    truth = np.array(classes)[np.zeros(n, int) if shape == "one class" else rng.integers(0, k, n)]
    table = answers_of(shape, rng.dirichlet(np.ones(k), n))
    said = np.array(classes)[table.argmax(axis=1)]
    positive = classes[0] if first and k == 2 else None
    ordered = positive_last(classes, positive)
    trained = measure("classification", truth, Prediction(said, table), classes, positive, costed(n))
    columns = {PROBABILITY + each: table[:, code] for code, each in enumerate(classes)}
    checked = in_drift(name, pl.DataFrame({"label": truth, PREDICTION: said, **columns}), ordered)
    assert trained.values.get(name) == (None if checked is None else pytest.approx(checked, rel=1e-12, abs=1e-12))
    scores = table[:, classes.index(ordered[1])] if k == 2 else table
    agree(name, trained, by_oracle(name, truth, said, scores, list(ordered)))


def answers_of(shape: str, table: Any) -> Any:
    """Return probabilities (n, k) as engines give them, held to what an answer may be."""
    n, k = table.shape
    if shape == "tied":
        table = np.eye(k)[table.argmax(axis=1)] * 0.5 + 0.5 / k
    if shape == "certain":
        table = np.eye(k)[table.argmax(axis=1)]
    if shape == "one said":
        table = np.tile(np.eye(k)[0], (n, 1))
    if shape == "float32":
        # A forest adds up so: of sure trees the sum is beyond one.
        leaf = (np.eye(k)[table.argmax(axis=1)] / 30).astype(np.float32)
        total = np.zeros_like(leaf)
        for _ in range(30):
            total = total + leaf
        table = total.astype(np.float64)
    held = as_probabilities(table)
    assert held is not None
    return held


@pytest.mark.parametrize("name", list(METRICS))
@given(k=st.integers(2, 4), n=st.integers(2, 40), seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_a_weighted_metric_is_scikit_learns(name: str, k: int, n: int, seed: int) -> None:
    """Weights of which some are zero."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 4, n).astype(np.float64)
    if not weights.any():
        weights[0] = 1.0
    if METRICS[name].task == "regression":
        truth, said = rng.normal(size=n), rng.normal(size=n)
        found, scores, names = _value(name, Sample(truth, said, weights)), None, ()
    else:
        names = CLASSES[:k]
        truth, table = np.array(names)[rng.integers(0, k, n)], rng.dirichlet(np.ones(k), n)
        said = np.array(names)[table.argmax(axis=1)]
        scores = table[:, 1] if k == 2 else table
        read = scores if METRICS[name].needs_probabilities else said
        if METRICS[name].reads == "cost":
            read = costed(n).table(Prediction(said, table), names)
        found = _value(name, Sample(truth, read, weights, names))
    expected = by_oracle(name, truth, said, scores, list(names), weights)
    if isinstance(found, str):
        assert found
        assert expected is None
    elif expected is not None:
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def _value(name: str, sample: Sample) -> float | str:
    try:
        return evaluate(name, sample)
    except Undefined as error:
        return str(error)


@pytest.mark.parametrize("name", of_task("regression"))
@given(
    n=st.integers(1, 40),
    seed=st.integers(0, 10_000),
    size=st.sampled_from([1.0, 1e-30, 1e100, 1e-100, 0.0]),
    constant=st.booleans(),
    exact=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_a_metric_of_values_is_one_number_everywhere(
    name: str, n: int, seed: int, size: float, constant: bool, exact: bool
) -> None:
    """Values and errors of any size, equal ones, exact ones, a single row."""
    rng = np.random.default_rng(seed)
    truth = np.full(n, 0.1 * size) if constant else rng.normal(size=n) * size
    said = truth if exact else truth + rng.normal(size=n) * size
    trained = measure("regression", truth, Prediction(said, None), None)
    checked = in_drift(name, pl.DataFrame({"label": truth, PREDICTION: said}), ())
    assert trained.values.get(name) == (None if checked is None else pytest.approx(checked, rel=1e-12))
    expected = by_oracle(name, truth, said, None, [])
    if name == "r2" and constant and n > 1:
        # scikit-learn divides by what the mean of equal numbers is off by.
        expected = 1.0 if (truth == said).all() else 0.0
    agree(name, trained, expected)


@pytest.mark.parametrize("size", [1e200, 1e300, 1e-200, 5e-324])
def test_errors_whose_squares_do_not_fit_are_measured_all_the_same(size: float) -> None:
    """1e200 squared is infinite, and 1e-200 squared is 0: neither is the error."""
    truth, said = np.array([1.0, 2.0, 3.0, 6.0]) * size, np.array([1.0, 3.0, 3.0, 5.0]) * size
    found = measure("regression", truth, Prediction(said, None), None)
    # Half of the smallest number there is rounds to nothing.
    assert found.values["mae"] == pytest.approx(0.5 * size)
    assert found.values["rmse"] == pytest.approx(math.sqrt(0.5) * size, rel=1.0 if size == 5e-324 else 1e-12)
    assert found.values["r2"] == pytest.approx(1 - 2 / 14)


def test_a_difference_that_no_number_holds_is_refused_with_the_reason() -> None:
    """From -1e308 to 1e308 there are 2e308."""
    found = measure("regression", np.array([1e308, -1e308]), Prediction(np.array([-1e308, 1e308]), None), None)
    assert list(found.values) == ["r2"]
    assert found.undefined["mae"] == "y, value: their difference is larger than any float64"


@pytest.mark.parametrize("table", [[[0.5, 0.6]], [[-0.1, 1.1]], [[math.nan, 1.0]], [[math.inf, 0.0]]])
def test_scores_are_never_taken_for_probabilities(table: list[list[float]]) -> None:
    """What misses by more than an engine rounds is no probability: an engine's answer is then refused."""
    assert as_probabilities(np.array(table)) is None
    with pytest.raises(BadInput, match=r"model\.onnx: the answer to row 0 is .* no probabilities"):
        checked(Answer(np.array([1]), np.array(table)), "model.onnx")


@given(n=st.integers(1, 20), k=st.integers(2, 30), seed=st.integers(0, 10_000), off=st.floats(0, 9e-4))
def test_probabilities_are_brought_back_once_and_for_all(n: int, k: int, seed: int, off: float) -> None:
    """Within [0, 1], with the sum 1; a second time changes no bit, and neither do float64 sums."""
    table = np.random.default_rng(seed).dirichlet(np.ones(k), n)
    assert as_probabilities(table) is table
    held = as_probabilities(table * (1 + off))
    assert held is not None
    assert ((held >= 0) & (held <= 1)).all()
    assert np.abs(held.sum(axis=1) - 1).max() < 1.01e-12
    assert as_probabilities(held) is held


def test_a_drift_check_reads_what_servers_of_earlier_releases_recorded() -> None:
    """1.0000004 is one; a score stays a score, and is refused."""
    frame = pl.DataFrame({"label": ["bee", "ant"], PREDICTION: ["bee", "ant"], f"{PROBABILITY}bee": [1.0000004, -1e-7]})
    assert in_drift("brier", frame, CLASSES[:2]) == 0.0
    assert in_drift("brier", frame.with_columns(pl.lit(1.5).alias(f"{PROBABILITY}bee")), CLASSES[:2]) is None
    assert bounded(np.array([1.5, 1.0000004])).tolist() == [1.5, 1.0]


@pytest.mark.parametrize("name", of_task("classification"))
def test_a_metric_is_measured_or_not_for_want_of_probabilities_alike(name: str) -> None:
    """A model that answers with labels alone has no metric that needs more, in training and in drift."""
    truth, said = np.array(["ant", "bee", "cat", "ant"]), np.array(["ant", "cat", "cat", "bee"])
    trained = measure("classification", truth, Prediction(said, None), CLASSES[:3], costed=costed(4))
    checked = in_drift(name, pl.DataFrame({"label": truth, PREDICTION: said}), CLASSES[:3])
    assert (name in trained.values) == (checked is not None) == (not METRICS[name].needs_probabilities)
    assert (name in trained.undefined) == METRICS[name].needs_probabilities


def test_an_answer_that_is_none_is_no_undefined_metric() -> None:
    """Whatever else a metric raises is a fault, and said: never a metric that is silently missing."""
    with pytest.raises(ValueError, match="value: holds NaN"):
        measure("regression", np.array([1.0, 2.0]), Prediction(np.array([1.0, math.nan]), None), None)
