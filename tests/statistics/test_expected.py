"""What a metric is expected to be without labels: the mean over the labels that there might be, and what was published
of a data set that others use."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mlops.api.metrics import METRICS, of_task
from mlops.statistics.calibration import calibrate
from mlops.statistics.expected import (
    ExpectedSample,
    Spread,
    added,
    beside,
    expectation,
    freedoms,
    jackknife,
    joined,
    of_classes,
    of_numbers,
    sampling_error,
)
from mlops.statistics.metrics import Sample, evaluate
from mlops.statistics.resampling import Resampling, replicate

# As published for NannyML's synthetic car loans (Apache-2.0): chunks of 5,000 rows, of which the last five are after a
# change. tests/statistics/car_loan.csv holds how many rows of each chunk (0: the reference) have which probability in
# percent, answer and label: all that these values depend on.
ROC_AUC = (0.970744, 0.971011, 0.971407, 0.971091, 0.971123, 0.961090, 0.961825, 0.961073, 0.962533, 0.961316)
ACCURACY = (0.941792, 0.943321, 0.945492, 0.944816, 0.944645, 0.910714, 0.911149, 0.911193, 0.914389, 0.911731)
MEASURED = (0.9422, 0.9422, 0.9502, 0.9436, 0.9410, 0.9146, 0.9156, 0.9144, 0.9224, 0.9122)
CLASSES = ("a", "b", "c")


def car_loans() -> dict[int, np.ndarray]:
    """By chunk the rows (n, 3): probability in percent, answer, label."""
    with (Path(__file__).parent / "car_loan.csv").open() as file:
        lines = [[int(value) for value in line] for line in list(csv.reader(file))[1:]]
    return {
        chunk: np.concatenate([np.tile(line[1:4], (line[4], 1)) for line in lines if line[0] == chunk])
        for chunk in range(11)
    }


def read(metric: str, probability: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """The answer as the metric reads it."""
    if METRICS[metric].reads == "cost":
        k = len(classes)
        return (np.arange(k * k).reshape(k, k) * 7.0 % 5.0 - 1.0)[:, probability.argmax(axis=1)].T
    if METRICS[metric].reads == "label":
        return np.array(classes)[probability.argmax(axis=1)]
    return probability[:, 1] if len(classes) == 2 else probability


def test_car_loans_are_estimated_as_published() -> None:
    """To the six digits that were published: probabilities calibrated by isotonic regression on the reference."""
    chunks = car_loans()
    assert [len(rows) for rows in chunks.values()] == [50_000, *[5_000] * 10]
    made = calibrate(chunks[0][:, 0] / 100, chunks[0][:, 2], ("isotonic",))
    for number in range(1, 11):
        scores, said = chunks[number][:, 0] / 100, chunks[number][:, 1].astype(str)
        true = made(scores)
        assert expectation("roc_auc", of_classes(scores, true, ("0", "1"))) == pytest.approx(
            ROC_AUC[number - 1], abs=6e-7
        )
        estimate = expectation("accuracy", of_classes(said, true, ("0", "1")))
        assert estimate == pytest.approx(ACCURACY[number - 1], abs=6e-7)
        measured = (chunks[number][:, 1] == chunks[number][:, 2]).mean()
        assert measured == pytest.approx(MEASURED[number - 1], abs=1e-12)
        assert estimate == pytest.approx(measured, abs=0.011), "and it comes true"


@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES], ids=["two", "three"])
@pytest.mark.parametrize("metric", of_task("classification"))
def test_an_estimate_is_the_mean_over_the_labels_that_there_might_be(metric: str, classes: tuple[str, ...]) -> None:
    """Any metric of classes: labels drawn by their probabilities, again and again. A new metric is tried by itself."""
    rng = np.random.default_rng(5)
    k, n = len(classes), 400
    true, said = rng.dirichlet(np.ones(k), size=n), rng.dirichlet(np.ones(k) * 2, size=n)
    answer = read(metric, said, classes)
    expected = expectation(metric, of_classes(answer, true, classes))
    heap = true.cumsum(axis=1)
    values = []
    for _ in range(400):
        codes = (rng.random((n, 1)) > heap).sum(axis=1).clip(0, k - 1)
        values.append(evaluate(metric, Sample(np.array(classes)[codes], answer, None, classes)))
    assert expected == pytest.approx(np.mean(values), abs=5 * np.std(values) / 20 + 2 / n)


@pytest.mark.parametrize("metric", of_task("classification"))
def test_labels_that_are_certain_give_the_measured_value(metric: str) -> None:
    """One probability is one, the others are nought."""
    rng = np.random.default_rng(6)
    said, codes = rng.dirichlet(np.ones(3), size=300), rng.integers(0, 3, 300)
    answer = read(metric, said, CLASSES)
    measured = evaluate(metric, Sample(np.array(CLASSES)[codes], answer, None, CLASSES))
    assert expectation(metric, of_classes(answer, np.eye(3)[codes], CLASSES)) == pytest.approx(measured, rel=1e-12)


@pytest.mark.parametrize("metric", of_task("regression"))
def test_losses_that_are_known_give_the_measured_value(metric: str) -> None:
    """Any metric of numbers, from the losses that it is made of."""
    rng = np.random.default_rng(7)
    said = rng.normal(size=500)
    y = said + rng.normal(size=500) * 0.3
    error = y - said
    losses = {"absolute": np.abs(error), "squared": error**2, "error": error}
    expected = of_numbers(metric, said, losses)
    assert expectation(metric, expected) == pytest.approx(evaluate(metric, Sample(y, said)), rel=1e-9)
    assert expected.rows == 500


def test_the_share_that_is_explained_is_expected_of_mean_losses_too() -> None:
    """r2 needs the spread of targets that nobody has seen: that of the answers, and what is expected about them."""
    rng = np.random.default_rng(8)
    said = rng.normal(size=20_000)
    sd = 0.2 + 0.3 * np.abs(said)
    y = said + 0.1 + rng.normal(size=20_000) * sd
    losses = {"squared": sd**2 + 0.01, "error": np.full(20_000, 0.1)}
    assert expectation("r2", of_numbers("r2", said, losses)) == pytest.approx(evaluate("r2", Sample(y, said)), abs=0.01)


def test_a_metric_of_another_task_is_named() -> None:
    """Never a number for a question that was not asked."""
    with pytest.raises(ValueError, match="brier of a regression cannot be estimated; mae, rmse or r2 can"):
        of_numbers("brier", np.zeros(3), {"squared": np.zeros(3)})


@pytest.mark.parametrize("block", [1, 8])
def test_rows_are_drawn_with_all_their_truths(block: int) -> None:
    """The standard error is that of a mean of rows, not of truths: labels that may be are no further data."""
    rng = np.random.default_rng(9)
    p = rng.beta(2, 1, size=2_000)
    sample = of_classes(np.full(2_000, "b"), np.column_stack((1 - p, p)), CLASSES[:2])
    found = sampling_error("accuracy", sample, Resampling(replicates=800, block=block, seed=1))
    assert found == pytest.approx(p.std() / np.sqrt(2_000), rel=0.12)


def test_estimate_and_measured_value_are_compared_on_the_same_rows() -> None:
    """Their difference has the spread of the labels alone; a wrong estimate stands out."""
    rng = np.random.default_rng(10)
    p = rng.beta(2, 1, size=3_000)
    y = np.where(rng.random(3_000) < p, "b", "a")
    said = np.full(3_000, "b")
    plan = Resampling(replicates=400, block=2, seed=1)
    expected = of_classes(said, np.column_stack((1 - p, p)), CLASSES[:2])
    difference, error = beside("accuracy", expected, Sample(y, said, None, CLASSES[:2]), plan)
    assert error == pytest.approx(np.sqrt((p * (1 - p)).mean() / 3_000), rel=0.15)
    assert abs(difference) < 4 * error
    low = of_classes(said, np.column_stack((1 - p * 0.8, p * 0.8)), CLASSES[:2])
    assert beside("accuracy", low, Sample(y, said, None, CLASSES[:2]), plan)[0] > 10 * error


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    """Of ten groups of independent rows."""
    rng = np.random.default_rng(11)
    errors = []
    for _ in range(300):
        x = rng.normal(size=500)
        groups = np.arange(500) * 10 // 500
        errors.append(float(jackknife(groups, lambda g, x=x, groups=groups: np.array([x[groups != g].mean()]))[0]) ** 2)
    assert np.sqrt(np.mean(errors)) == pytest.approx(1 / np.sqrt(500), rel=0.05)


def test_degrees_of_freedom_are_between_those_of_the_parts() -> None:
    """A part that is nought leaves the other's."""
    assert freedoms([(1.0, 9), (0.0, 1000)]) == 9
    assert freedoms([(0.0, 9), (0.0, 1000)]) == 1000
    assert 9 < freedoms([(1.0, 9), (1.0, 1000)]) < 50


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param([(1.0, 9), (1.0, 1000)], 35, id="4 / (1/9 + 1/1000) = 35.7"),
        pytest.param([(2.0, 9), (1.0, 40)], 19, id="9 / (4/9 + 1/40) = 19.2"),
        pytest.param([(1.0, 10), (1.0, 10)], 10, id="no more than the largest"),
        pytest.param([(0.5, 7)], 7, id="of one part its own, whatever is rounded"),
        pytest.param([(1.0, 1), (0.01, 1)], 1, id="at least one"),
    ],
)
def test_degrees_of_freedom_are_satterthwaites_rounded_down(parts: list[tuple[float, int]], expected: int) -> None:
    """As worked out by hand."""
    assert freedoms(parts) == expected


def test_the_jackknife_is_its_formula() -> None:
    """Of groups of any size and name, for each number that is computed."""
    groups = np.array([2, 2, 5, 7, 7, 7, 2])
    values = {2: np.array([1.0, 4.0]), 5: np.array([2.0, 4.0]), 7: np.array([6.0, 4.0])}
    assert jackknife(groups, values.__getitem__) == pytest.approx([np.sqrt(2 / 3 * 14.0), 0.0])


def test_an_interval_and_what_lies_beyond_are_students() -> None:
    """As scipy's t with so many degrees of freedom; without an error a value is where it is."""
    spread = added(0.3, [(0.01, 5), (0.03, 8)])
    law = stats.t(spread.freedoms)
    assert (spread.value, spread.error, spread.freedoms) == (0.3, 0.2, freedoms([(0.01, 5), (0.03, 8)]))
    assert spread.interval() == pytest.approx((0.3 + law.ppf(0.025) * 0.2, 0.3 + law.ppf(0.975) * 0.2), rel=1e-9)
    for least in (-0.4, 0.0, 0.3, 0.35, 1.2):
        assert spread.beyond(least) == pytest.approx(law.sf((0.3 - least) / 0.2), rel=1e-9)
    assert [Spread(0.3, 0.0, 4).beyond(least) for least in (0.2, 0.3, 0.4)] == [0.0, 1.0, 1.0]
    assert Spread(0.3, 0.5, 4).beyond(0.2) == pytest.approx(stats.t(4).sf(0.2), rel=1e-9)


def test_parts_are_joined_row_by_row() -> None:
    """The truths of a row stay together, and what is expected of all is that of all rows at once."""
    rng = np.random.default_rng(12)
    true, said = rng.dirichlet(np.ones(3), size=90), rng.dirichlet(np.ones(3), size=90)
    whole = of_classes(said, true, CLASSES)
    made = joined([of_classes(said[:40], true[:40], CLASSES), of_classes(said[40:], true[40:], CLASSES)])
    assert (made.rows, made.together, made.sample.classes) == (90, 3, CLASSES)
    for name in ("y", "prediction", "weights"):
        assert (getattr(made.sample, name) == getattr(whole.sample, name)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_difference_is_that_of_the_two_values_and_its_error_that_of_its_draws(weighted: bool) -> None:
    """Weights of measured rows count in both; where labels are certain nothing differs, in any draw."""
    rng = np.random.default_rng(13)
    own = rng.exponential(size=400) if weighted else None
    true, said = rng.dirichlet(np.ones(3), size=400), rng.dirichlet(np.ones(3), size=400)
    codes = (rng.random((400, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    measured = Sample(np.array(CLASSES)[codes], said, own, CLASSES)
    plan = Resampling(replicates=300, block=4, seed=2)

    def of(table: np.ndarray) -> ExpectedSample:
        made = of_classes(said, table, CLASSES)
        if own is None:
            return made
        return replace(made, sample=replace(made.sample, weights=made.sample.weights * np.repeat(own, 3)))

    difference, error = beside("brier", of(true), measured, plan)
    assert difference == pytest.approx(evaluate("brier", measured) - expectation("brier", of(true)), abs=1e-12)
    weights = np.ones(400) if own is None else own / own.mean()
    rows = ((np.eye(3)[codes] - said) ** 2).sum(axis=1)
    rows -= (true * ((np.eye(3)[None] - said[:, None]) ** 2).sum(axis=2)).sum(axis=1)
    scale = difference / np.average(rows, weights=weights)
    assert error == pytest.approx(
        scale * np.sqrt((weights**2 * (rows - difference / scale) ** 2).mean() / 400), rel=0.15
    )
    assert beside("brier", of(np.eye(3)[codes]), measured, plan) == pytest.approx((0.0, 0.0), abs=1e-12)


@pytest.mark.parametrize("replicates", [2, 3, 10, 11])
def test_an_error_is_that_of_the_resamples_that_hold_both_classes(replicates: int) -> None:
    """If these are fewer than half, or fewer than two, that is said, and no number is made of the others."""
    answers, true = np.array([0.3, 0.6]), np.array([[0.0, 1.0], [1.0, 0.0]])
    sample, told = of_classes(answers, true, CLASSES[:2]), []
    for seed in range(30):
        plan = Resampling(replicates=replicates, seed=seed)
        draws = replicate("roc_auc", sample.sample, [sample.sample.weights], plan, 3, together=2)[:, 0]
        defined = draws[np.isfinite(draws)]
        if len(defined) < max(2, replicates // 2):
            with pytest.raises(ValueError, match=r"^y: a class is too improbable for an interval; most resamples do"):
                sampling_error("roc_auc", sample, plan)
        else:
            told.append(len(defined))
            assert sampling_error("roc_auc", sample, plan) == defined.std(ddof=1)
    assert min(told) == max(2, replicates // 2), "the fewest are among them"


def test_an_error_has_one_degree_of_freedom_less_than_there_are_draws() -> None:
    rng = np.random.default_rng(15)
    true = rng.dirichlet(np.ones(2), size=20)
    sample, plan = of_classes(np.full(20, "b"), true, CLASSES[:2]), Resampling(replicates=5, seed=1)
    draws = replicate("accuracy", sample.sample, [sample.sample.weights], plan, 3, together=2)[:, 0]
    assert sampling_error("accuracy", sample, plan) == draws.std(ddof=1)
