"""A metric and the distance of answers, from captured rows and labels to what is reported."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops.api import tasks
from mlops.api.costs import Cost
from mlops.workloads.analysis import answers as answers_module
from mlops.workloads.analysis.answers import BothVersions, RecordedPlaces, RowsOfBoth, balanced, read_answers
from mlops.workloads.analysis.run import analyse, fitting
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.floor.records.layout import ARRIVED, KEY, captures_prefix, feedback_prefix, shadow_prefix
from tests.workloads.analysis.canaries import CANDIDATE, PLACE, SINCE, STABLE, CanaryWorld, a_signature

ROWS = 1000
# The candidate is asked first: the stable version counts from then on.
OF_CANDIDATE, OF_STABLE = range(0, 2 * ROWS, 2), range(1, 2 * ROWS, 2)
REQUESTS = "captures/shop/churn/production/requests/"


@pytest.fixture
def world(tmp_path: Path) -> CanaryWorld:
    return CanaryWorld(tmp_path)


def answered(seed: int, noise: float, rows: int = ROWS) -> tuple[list[str], np.ndarray, list[str]]:
    """Classes, probabilities and labels; with more noise the score says less."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=rows)
    truth = rng.uniform(size=rows) < x
    p = np.clip(x + noise * rng.normal(size=rows), 0.0, 1.0)
    return np.where(p > 0.5, "yes", "no").tolist(), np.column_stack((1 - p, p)), np.where(truth, "yes", "no").tolist()


def play(world: CanaryWorld, noise: float, *, labels: int = ROWS, shadow: bool = False) -> None:
    """Answers of both versions and labels of the first of them, or of the stable one and the candidate's to the same
    requests."""
    said, p, truth = answered(1, 0.05)
    world.answer(STABLE, said, p, numbers=OF_STABLE)
    if labels:
        world.label(truth[:labels], numbers=OF_STABLE[:labels])
    if shadow:
        rng = np.random.default_rng(2)
        q = np.clip(p[:, 1] + noise * rng.normal(size=ROWS), 0.0, 1.0)
        world.answer(
            CANDIDATE,
            np.where(q > 0.5, "yes", "no").tolist(),
            np.column_stack((1 - q, q)),
            numbers=OF_STABLE,
            shadow=True,
        )
        return
    said, p, truth = answered(3, noise)
    world.answer(CANDIDATE, said, p, numbers=OF_CANDIDATE)
    if labels:
        world.label(truth[:labels], numbers=OF_CANDIDATE[:labels])


@pytest.mark.parametrize("shadow", [False, True], ids=["own answers", "shadow answers"])
@pytest.mark.parametrize(("noise", "outcome"), [(0.05, "Successful"), (1.5, "Failed")])
def test_a_candidate_that_is_worse_on_labelled_rows_fails(
    world: CanaryWorld, shadow: bool, noise: float, outcome: str
) -> None:
    """roc_auc where nothing else is said."""
    play(world, noise, shadow=shadow)
    (result,) = world.judge(metric={"maxLoss": "0.1"}).criteria
    assert result.outcome == outcome, result.message
    assert result.message.startswith("roc_auc ")
    assert ("shadow answers of the candidate" in result.message) is shadow
    loss = float(str(result.stable)) - float(str(result.candidate))
    assert float(str(result.low)) < loss < float(str(result.high))


@pytest.mark.parametrize("shadow", [False, True], ids=["own answers", "shadow answers"])
def test_answers_that_are_far_apart_fail(world: CanaryWorld, shadow: bool) -> None:
    """And equal ones pass at a wide limit."""
    play(world, 1.5, shadow=shadow)
    report = world.judge(predictionDrift={"maxDistance": "0.05"})
    assert report.outcome == "Failed", report
    assert report.criteria[0].message.startswith("Kolmogorov-Smirnov distance ")


def test_answers_that_are_alike_pass(world: CanaryWorld) -> None:
    play(world, 0.05)
    assert world.judge(predictionDrift={"maxDistance": "0.15"}).outcome == "Successful"
    open_one = world.judge(predictionDrift={"maxDistance": "0.09"}).criteria[0]
    assert open_one.outcome == "Inconclusive"
    assert "more answers of the candidate" in open_one.message


def test_several_classes_are_compared_by_their_shares(tmp_path: Path) -> None:
    """Total variation, and f1 as the metric."""
    signature = a_signature(("a", "b", "c"))
    world = CanaryWorld(tmp_path, {STABLE: signature, CANDIDATE: signature})
    rng = np.random.default_rng(4)
    for which, numbers, skill in ((STABLE, OF_STABLE, 0.9), (CANDIDATE, OF_CANDIDATE, 0.4)):
        truth = rng.integers(0, 3, ROWS)
        said = np.where(rng.uniform(size=ROWS) < skill, truth, 0)
        world.answer(which, np.array(["a", "b", "c"])[said].tolist(), np.eye(3)[said], numbers=numbers)
        world.label(np.array(["a", "b", "c"])[truth].tolist(), numbers=numbers)
    report = world.judge(predictionDrift={"maxDistance": "0.05"})
    assert report.criteria[0].message.startswith("total variation ")
    assert report.outcome == "Failed"
    assert world.judge(metric={}).criteria[0].message.startswith("f1 ")


def test_a_regression_is_measured_by_its_errors(tmp_path: Path) -> None:
    world = CanaryWorld(tmp_path, {STABLE: a_signature(None), CANDIDATE: a_signature(None)})
    rng = np.random.default_rng(5)
    for which, numbers, spread in ((STABLE, OF_STABLE, 1.0), (CANDIDATE, OF_CANDIDATE, 1.6)):
        truth = rng.normal(size=ROWS)
        world.answer(which, truth + spread * rng.normal(size=ROWS), numbers=numbers)
        world.label(truth.tolist(), numbers=numbers)
    report = world.judge(metric={"maxLoss": "0.2"}, predictionDrift={"maxDistance": "0.5"})
    assert [one.outcome for one in report.criteria] == ["Successful", "Failed"]
    assert report.criteria[1].message.startswith("rmse ")


def test_costs_are_those_of_the_candidate_times_a_recorded_input(tmp_path: Path) -> None:
    costs = (Cost(actual="yes", predicted="no", cost="10", column="x"),)
    world = CanaryWorld(tmp_path, {STABLE: a_signature(), CANDIDATE: a_signature(costs=costs)})
    for which, numbers, noise in ((STABLE, OF_STABLE, 0.05), (CANDIDATE, OF_CANDIDATE, 0.05)):
        said, p, truth = answered(6, noise)
        world.answer(which, said, p, numbers=numbers, amounts=np.full(ROWS, 3.0))
        world.label(truth, numbers=numbers)
    (result,) = world.judge(metric={"name": "cost", "maxLoss": "30"}).criteria
    missed = np.mean([one == "no" and other == "yes" for one, other in zip(said, truth, strict=True)])
    assert float(str(result.candidate)) == pytest.approx(30 * missed, rel=1e-5)
    assert result.outcome == "Successful"


@pytest.mark.parametrize(("labels", "more"), [(0, 100), (60, 40)])
def test_too_few_labels_decide_nothing(world: CanaryWorld, labels: int, more: int) -> None:
    """And say how many are wanted."""
    play(world, 1.5, labels=labels)
    (result,) = world.judge(metric={}).criteria
    assert result.outcome == "Inconclusive"
    assert (
        f"{labels} labelled rows of the candidate, at least 100 are needed; waits for about {more} " in result.message
    )


def test_a_class_without_labels_is_named(world: CanaryWorld) -> None:
    """A ROC area needs both."""
    for which, numbers in ((STABLE, OF_STABLE), (CANDIDATE, OF_CANDIDATE)):
        said, p, _ = answered(7, 0.05)
        world.answer(which, said, p, numbers=numbers)
        world.label(["no"] * ROWS, numbers=numbers)
    (result,) = world.judge(metric={}).criteria
    assert "0 labelled rows of the candidate are yes, at least 10 are needed" in result.message
    assert world.judge(metric={"name": "accuracy", "maxLoss": "0.2"}).outcome == "Successful"


@pytest.mark.parametrize(
    ("signature", "name", "message"),
    [
        pytest.param(a_signature(), "rmse", "rmse does not fit a classification model; one of roc_auc", id="task"),
        pytest.param(a_signature(), "cost", "nobody said what answers cost", id="cost"),
        pytest.param(a_signature(None), "f1", "f1 does not fit a regression model; one of mae", id="regression"),
    ],
)
def test_a_metric_that_never_can_be_measured_is_refused(
    tmp_path: Path, signature: Any, name: str, message: str
) -> None:
    """With the field and the way out."""
    world = CanaryWorld(tmp_path, {STABLE: signature, CANDIDATE: signature})
    with pytest.raises(BadInput) as told:
        world.judge(metric={"name": name})
    assert told.value.reason == "ConfigurationInvalid"
    assert told.value.message.startswith("analysis.metric.name: ")
    assert message in told.value.message


def test_a_model_without_probabilities_has_no_roc_area(world: CanaryWorld) -> None:
    said, p, truth = answered(8, 0.05)
    world.answer(STABLE, said, p, numbers=OF_STABLE)
    world.label(truth, numbers=OF_STABLE)
    world.answer(CANDIDATE, said, numbers=OF_CANDIDATE)
    world.label(truth, numbers=OF_CANDIDATE)
    with pytest.raises(BadInput, match="roc_auc needs probabilities, and the candidate gives none: name a "):
        world.judge(metric={})
    # What it says is compared instead of how sure it is.
    assert world.judge(predictionDrift={}).criteria[0].message.startswith("total variation ")


def test_a_class_that_only_one_model_knows_is_answered_by_the_other_with_probability_0(tmp_path: Path) -> None:
    world = CanaryWorld(tmp_path, {STABLE: a_signature(("a", "b")), CANDIDATE: a_signature(("a", "b", "c"))})
    rng = np.random.default_rng(9)
    truth = np.array(["a", "b", "c"])[rng.integers(0, 3, ROWS)]
    known = np.where(truth == "c", "a", truth)
    sure = [np.column_stack([said == one for one in names]) for said, names in ((known, "ab"), (truth, "abc"))]
    world.answer(STABLE, known.tolist(), sure[0], numbers=OF_STABLE)
    world.answer(CANDIDATE, truth.tolist(), sure[1], numbers=OF_CANDIDATE)
    for numbers in (OF_STABLE, OF_CANDIDATE):
        world.label(truth.tolist(), numbers=numbers)
    (result,) = world.judge(metric={"name": "brier", "maxLoss": "0.1"}).criteria
    assert float(str(result.stable)) == pytest.approx(2 * np.mean(truth == "c"), rel=1e-4)
    assert float(str(result.candidate)) == 0.0
    assert result.outcome == "Successful"


def test_labels_count_as_everywhere(world: CanaryWorld) -> None:
    """The last one received, and none from before its request."""
    said, p, truth = answered(10, 0.05)
    wrong = ["no" if one == "yes" else "yes" for one in truth]
    for which, numbers in ((STABLE, OF_STABLE), (CANDIDATE, OF_CANDIDATE)):
        world.answer(which, said, p, numbers=numbers)
        world.label(wrong, numbers=numbers, received=SINCE - timedelta(minutes=5))
        world.label(wrong, numbers=numbers, received=SINCE + timedelta(minutes=5))
        world.label(truth, numbers=numbers, received=SINCE + timedelta(minutes=9))
    (result,) = world.judge(metric={"name": "accuracy"}).criteria
    right = np.mean([one == other for one, other in zip(said, truth, strict=True)])
    assert float(str(result.candidate)) == float(str(result.stable)) == pytest.approx(right)


def places() -> RecordedPlaces:
    return RecordedPlaces(captures_prefix(*PLACE), shadow_prefix(*PLACE), feedback_prefix(*PLACE))


def test_rows_count_that_arrived_since_the_candidate_was_asked(world: CanaryWorld) -> None:
    """By the server's clock; of a request that came twice the first answer, whoever gave it; of other versions none."""
    said, p, _ = answered(11, 0.05, 40)
    world.answer(STABLE, said, p, numbers=range(40), arrived=SINCE - timedelta(minutes=1))
    world.answer(STABLE, said, p, numbers=range(40, 80), arrived=SINCE + timedelta(minutes=1))
    world.answer(CANDIDATE, said, p, numbers=range(80, 120), arrived=SINCE + timedelta(minutes=2))
    world.answer(STABLE, said, p, numbers=range(100, 140), arrived=SINCE + timedelta(minutes=3))
    versions = BothVersions(world.artifacts[STABLE], world.artifacts[CANDIDATE], ("no", "yes"))
    found = read_answers(world.store, places(), versions, SINCE, labelled=False)
    # The stable version's first forty came before the canary, and the next ones before the candidate was asked.
    assert found.apart.candidate["id"].to_list() == [f"r{number}" for number in range(80, 120)]
    assert found.apart.stable["id"].to_list() == [f"r{number}" for number in range(120, 140)]
    assert found.labelled_apart.sizes == found.paired.sizes == (0, 0)


def test_memory_is_bounded_and_labelled_rows_are_kept_apart(world: CanaryWorld) -> None:
    """Of each version the rows with the smallest hashes; the same ones in whatever files they come."""
    play(world, 0.05, labels=50)
    versions = BothVersions(world.artifacts[STABLE], world.artifacts[CANDIDATE], ("no", "yes"))
    found = read_answers(world.store, places(), versions, SINCE, labelled=True, most=60)
    assert found.apart.sizes == (60, 60)
    assert found.labelled_apart.sizes == (50, 50)
    assert found.apart.stable[ARRIVED].is_sorted()
    whole = read_answers(world.store, places(), versions, SINCE, labelled=True)
    smallest = whole.apart.stable.sort("_hash").head(60).sort(ARRIVED, *KEY)
    assert found.apart.stable["id"].to_list() == smallest["id"].to_list()


def test_pairs_are_rows_that_both_answered(world: CanaryWorld) -> None:
    play(world, 0.05, shadow=True, labels=300)
    versions = BothVersions(world.artifacts[STABLE], world.artifacts[CANDIDATE], ("no", "yes"))
    found = read_answers(world.store, places(), versions, SINCE, labelled=True, most=400)
    assert found.paired.sizes == (400, 400)
    assert found.labelled_paired.sizes == (300, 300)
    for pair in (found.paired, found.labelled_paired):
        assert pair.stable["id"].to_list() == pair.candidate["id"].to_list()
        assert set(pair.candidate["modelDigest"]) == {world.artifacts[CANDIDATE]}
    assert found.labelled_paired.stable["label"].to_list() == found.labelled_paired.candidate["label"].to_list()


def test_where_the_share_of_the_candidate_grew_fewer_early_rows_count() -> None:
    """A tenth, then half: the stable version's rows lie in time as the candidate's do."""

    def rows(minutes: np.ndarray) -> pl.DataFrame:
        times = [SINCE + timedelta(minutes=float(one)) for one in np.sort(minutes)]
        rng = np.random.default_rng(len(times))
        hashes = pl.Series("_hash", rng.integers(0, 1 << 62, len(times)), dtype=pl.UInt64)
        return pl.DataFrame({ARRIVED: times}).with_columns(hashes)

    rng = np.random.default_rng(12)
    early, late = rng.uniform(0, 60, 9000), rng.uniform(60, 120, 1000)
    stable, candidate = rows(np.concatenate((early, late))), rows(np.concatenate((early[:1000], late)))
    found = balanced(RowsOfBoth(stable, candidate))
    middle = SINCE + timedelta(minutes=60)
    assert found.candidate.height == 2000
    assert (found.stable[ARRIVED] < middle).mean() == pytest.approx(0.5, abs=0.04)
    assert found.stable.height > 1500
    parts = [stable.sample(fraction=0.2, seed=seed).sort(ARRIVED) for seed in (1, 2)]
    again = balanced(RowsOfBoth(*parts))
    assert again.sizes == (2000, 2000)


@pytest.mark.parametrize("prefix", ["requests", "shadow", "labels"])
def test_a_file_that_is_no_parquet_is_named(world: CanaryWorld, prefix: str) -> None:
    key = f"captures/shop/churn/production/{prefix}/date=2026-11-01/x.parquet"
    world.store.put_object(key, b"PAR1nothing")
    with pytest.raises(BadInput, match=f"^{key} ") as told:
        world.judge(metric={})
    assert told.value.reason == "DataUnusable"


def test_a_label_file_of_other_types_is_named(world: CanaryWorld) -> None:
    frame = pl.DataFrame({"id": [1.5], "row": ["a"], "label": ["yes"], "received": [SINCE]})
    key = "captures/shop/churn/production/labels/date=2026-11-01/x.parquet"
    with (world.root / "x").open("wb") as sink:
        frame.write_parquet(sink)
    world.store.put_object(key, (world.root / "x").read_bytes())
    with pytest.raises(BadInput, match=f"^{key}: its columns are of other types"):
        world.judge(metric={})


def test_a_model_whose_description_cannot_be_read_is_named(world: CanaryWorld) -> None:
    task = world.task(predictionDrift={})
    bad = world.store.put_files({"model.json": b"{}"}).digest
    broken = task.evolve(candidate=task.candidate.evolve(artifact=bad))
    with pytest.raises(BadInput, match=f"^{bad}: model.json: "):
        analyse(Pod({tasks.STORE_VARIABLE: f"file://{world.root}"}, world.root), broken)


def test_a_report_of_any_letters_fits_into_a_termination_message(world: CanaryWorld) -> None:
    """Messages are shortened, decisions are not."""
    play(world, 0.05)
    report = world.judge(errorRate={}, latency={}, metric={"maxLoss": "0.1"}, predictionDrift={"maxDistance": "0.2"})
    wide = report.evolve(criteria=tuple(one.evolve(message="\U0001f600" * 256) for one in report.criteria))
    shortened = fitting(wide)
    assert len(tasks.write_report(shortened).encode()) <= tasks.MAX_REPORT_BYTES
    assert [one.outcome for one in shortened.criteria] == [one.outcome for one in report.criteria]


@pytest.mark.parametrize("alpha", ["0", "0.51"])
def test_alpha_must_leave_room_for_a_decision(world: CanaryWorld, alpha: str) -> None:
    """With 0 nothing is ever decided, and above a half by chance: there is no such task."""
    document = world.task(predictionDrift={}).dump()
    document["analysis"]["alpha"] = alpha
    with pytest.raises(ValueError, match=r"alpha must be greater than 0 and at most 0\.5"):
        tasks.parse_task(json.dumps(document))


def test_the_same_analysis_says_the_same(world: CanaryWorld) -> None:
    play(world, 0.05)
    assert world.judge(metric={}) == world.judge(metric={})
    assert answers_module.MAX_ROWS == 20_000
