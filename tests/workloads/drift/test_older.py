"""Older versions on the window: real models, opened in a child, against the rows that the live one answered."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bench.drift_streams import signature_of
from mlops.api import tasks
from mlops.statistics.metrics import Sample, evaluate
from mlops.workloads.drift.older import NotMeasured, inputs_of, measured
from mlops.workloads.drift.reference import make_reference
from mlops.workloads.drift.run import check
from mlops.workloads.floor.model.signature import Input, Signature, read_signature
from tests.workloads.drift.conftest import LABELS, REQUESTS, World
from tests.workloads.drift.models import write_linear

# The window's relation, and that of the time before.
NOW, BEFORE = (-0.6, 0.0, -1.5, 0.0, 1.5), (1.8, 0.0, -1.5, 0.0, 0.0)


def stored(world: World, name: str, weights: tuple[float, ...], **changes: Any) -> tasks.OlderCandidate:
    folder = write_linear(world.root.parent / name, weights, **changes)
    return tasks.OlderCandidate(version=name, artifact=world.store.put_directory(folder).digest)


def asked(
    world: World, *older: tasks.OlderCandidate, when: tuple[str, ...] = ("ConceptDrift",), left_out: int = 0
) -> tasks.DriftReport:
    question = tasks.RollbackQuestion.model_validate(
        {"when": when, "older": [one.dump() for one in older], "left_out": left_out}
    )
    task = world.task("PerformanceDrop", "ConceptDrift").evolve(rollback=question)
    report = check(world.pod(), task)
    assert tasks.parse_report(tasks.write_report(report)) == report
    return report


def test_an_older_version_that_fits_the_new_relation_is_found_better(changed: World) -> None:
    """By its own answers to the rows, on the metric of the check: the numbers are those of a computation by hand."""
    changed.write_all()
    report = asked(changed, stored(changed, "churn-1", NOW), stored(changed, "churn-2", BEFORE))
    assert report.verdict == "ConceptDrift"
    found = report.older
    assert found is not None
    assert (found.version, found.better, found.against) == ("churn-1", True, changed.artifact)
    rows = changed.stream.windows[1].frame
    numbers = rows.select("in.x0", "in.x1", "in.x2", "in.x3", "in.x4").fill_null(0.0).to_numpy()
    p = 1.0 / (1.0 + np.exp(-numbers @ np.array(NOW)))
    sample = Sample(rows["label"].to_numpy().astype(str), p, None, ("no", "yes"))
    assert float(found.older) == pytest.approx(evaluate(found.metric, sample), rel=1e-3)
    assert float(found.gain) == pytest.approx(abs(float(found.older) - float(found.live)), abs=2e-3)
    assert float(found.low) < float(found.gain) < float(found.high)
    document = changed.document(report)["older"]
    assert [one["version"] for one in document["measured"]] == ["churn-1", "churn-2"]
    assert "churn-1 is better" in changed.page(report)


def test_one_that_is_not_better_is_told_with_its_numbers(changed: World) -> None:
    changed.write_all()
    report = asked(changed, stored(changed, "churn-2", BEFORE), left_out=4)
    assert report.older is not None
    assert not report.older.better
    assert report.not_measured == "not measured: 4 older ones were left out: 1 are measured"
    assert "None is shown to be better" in changed.page(report)


def test_without_the_verdict_nothing_is_measured(stable: World) -> None:
    """Nor if the action is about another verdict."""
    stable.write_all()
    report = asked(stable, stored(stable, "churn-1", NOW))
    assert (report.verdict, report.older, report.not_measured) == ("Stable", None, None)


def test_it_must_be_better_by_the_drop_that_the_check_names(changed: World) -> None:
    changed.write_all()
    older = stored(changed, "churn-1", NOW)
    question = tasks.RollbackQuestion(when=("ConceptDrift",), older=(older,))
    task = changed.task("ConceptDrift").evolve(rollback=question)
    found = check(changed.pod(), task).older
    assert found is not None
    assert found.better
    least = f"{float(found.gain) + 0.01:.4f}"
    more = task.evolve(checks=tuple(each.evolve(metric=found.metric, min_drop=least) for each in task.checks))
    again = check(changed.pod(), more)
    # By then it may be no drop either; where it is, the older version is not better by so much.
    assert again.older is None or not again.older.better


MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "an input that is not recorded": (
        {"inputs": (*(Input(name=f"x{n}", type="float64") for n in range(5)), Input(name="age", type="float64"))},
        "its input 'age' is not recorded",
    ),
    "other classes": ({"classes": ("no", "perhaps"), "positive": "perhaps"}, "it knows other classes"),
    "another label": (
        {"label": {"name": "left", "type": "string"}},
        "it predicts 'left', the live version 'bought'",
    ),
    "a condition that rows do not meet": (
        {"clean": ({"filter": "x0 > 100"},)},
        "does not meet the condition",
    ),
}


@pytest.mark.parametrize("name", sorted(MISFITS))
def test_one_that_could_not_take_the_requests_is_not_measured_and_told(changed: World, name: str) -> None:
    """Whoever rolled back to it would have requests refused."""
    changed.write_all()
    changes, why = MISFITS[name]
    made = {field: value for field, value in changes.items() if field not in ("label", "clean")}
    older = stored(changed, "churn-1", NOW, **made)
    if "label" in changes or "clean" in changes:
        older = _edited(changed, changes)
    report = asked(changed, older)
    assert report.older is None
    assert report.not_measured is not None
    assert why in report.not_measured


def _edited(world: World, changes: dict[str, Any]) -> tasks.OlderCandidate:
    folder = world.root.parent / "edited"
    write_linear(folder, NOW)
    said = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**said, **changes}))
    return tasks.OlderCandidate(version="churn-1", artifact=world.store.put_directory(folder).digest)


def test_an_input_that_was_recorded_as_another_type_is_told(tmp_path: Path) -> None:
    """A number is not made of what is none."""
    signature = read_signature(write_linear(tmp_path / "model", NOW))
    recorded = pl.DataFrame({**{f"in.x{number}": [0.5] for number in range(4)}, "in.x4": ["warm"]})
    with pytest.raises(NotMeasured, match="its input 'x4' is a float64, recorded is String"):
        dict(inputs_of(signature, recorded))


def test_one_whose_artifact_is_gone_is_told(changed: World) -> None:
    changed.write_all()
    gone = tasks.OlderCandidate(version="churn-1", artifact="sha256:" + "0" * 64)
    report = asked(changed, gone)
    assert report.older is None
    assert report.not_measured is not None
    assert report.not_measured.startswith("not measured: churn-1: ")


def test_only_rows_that_the_live_version_answered_count(changed: World) -> None:
    """Of those of its predecessor its answers are not known."""
    captured, labels = changed.captured, changed.labels
    half = captured.height // 2
    other = captured.with_columns(
        pl.when(pl.int_range(pl.len()) < half)
        .then(pl.lit("sha256:" + "9" * 64))
        .otherwise(pl.col("modelDigest"))
        .alias("modelDigest")
    )
    changed.write(REQUESTS, other)
    changed.write(LABELS, labels)
    report = asked(changed, stored(changed, "churn-1", NOW))
    assert report.older is not None
    assert changed.document(report)["older"]["rows"] == captured.height - half


def test_a_second_capture_of_a_row_changes_nothing(changed: World) -> None:
    changed.write_all()
    first = asked(changed, stored(changed, "churn-1", NOW)).older
    again = changed.captured.with_columns(pl.col("in.x0") * 100, pl.col("time") + timedelta(seconds=1))
    changed.write(REQUESTS, again, name="b")
    assert asked(changed, tasks.OlderCandidate(version="churn-1", artifact=first.artifact)).older == first  # type: ignore[union-attr]


def test_equal_models_are_found_better_no_more_often_than_alpha() -> None:
    """Two models of the same worth, 200 windows: p-values of the paired test do not fall below alpha more often."""
    rng = np.random.default_rng(5)
    alarms = 0
    for number in range(200):
        x = rng.normal(size=(600, 3))
        y = np.where(rng.random(600) < 1 / (1 + np.exp(-x[:, 0])), "yes", "no")

        def answers(noise: np.ndarray[Any, Any], x: Any = x) -> dict[str, Any]:
            p = 1 / (1 + np.exp(-(x[:, 0] + 0.8 * noise)))
            return {"out.p.no": 1 - p, "out.p.yes": p, "out.prediction": np.where(p > 0.5, "yes", "no")}

        frame = pl.DataFrame({"in.x": x[:, 0], "label": y, "part": "test", **answers(x[:, 1])})
        reference = make_reference(signature_of(pl.DataFrame({"in.x": [0.0]})), frame, where="here")
        other = frame.with_columns(*(pl.Series(name, values) for name, values in answers(x[:, 2]).items()))
        served = Sample(y.astype(str), frame["out.p.yes"].to_numpy(), None, ("no", "yes"))
        candidate = tasks.OlderCandidate(version="older", artifact="sha256:" + "1" * 64)
        found = measured(candidate, "brier", served, frame, other, reference, 0.0, number, 1)
        assert found is not None
        alarms += found.p_value <= 0.05
    # 10 are expected; 18 are 2.6 standard errors more.
    assert alarms <= 18


def test_answers_without_a_number_are_told(tmp_path: Path) -> None:
    """A model whose error overflows has no gain: it is neither better nor left out in silence."""
    rng = np.random.default_rng(2)
    y = rng.normal(size=300)
    frame = pl.DataFrame({"in.x": y, "label": y, "part": "test", "out.prediction": y + rng.normal(size=300)})
    described = signature_of(pl.DataFrame({"in.x": [0.0]})).dump()
    plain = {key: value for key, value in described.items() if key not in ("classes", "positive")}
    regression = Signature.model_validate(
        {**plain, "task": "regression", "label": {**plain["label"], "type": "float64"}, "outputs": {}}
    )
    reference = make_reference(regression, frame, where="here")
    other = frame.with_columns(pl.lit(1e200).alias("out.prediction"))
    candidate = tasks.OlderCandidate(version="older", artifact="sha256:" + "1" * 64)
    served = Sample(y, frame["out.prediction"].to_numpy())
    with np.errstate(over="ignore", invalid="ignore"):
        assert measured(candidate, "rmse", served, frame, other, reference, 0.0, 1, 1) is None
