"""Gates of a run, at their limits and to the word."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.api.training_run import Gate, MetricValue
from mlops.planning.training.gates import Judgement, _judge_one, judge


def values(**metrics: str) -> tuple[MetricValue, ...]:
    return tuple(MetricValue(name=name, dataset="test", value=value) for name, value in metrics.items())


def judged(*gates: dict[str, Any], ours: dict[str, str], theirs: dict[str, str] | None = None) -> tuple[Any, ...]:
    made = [Gate.model_validate({"metric": "roc_auc", **gate}) for gate in gates]
    found: Judgement = judge(made, values(**ours), values(**(theirs or {})), has_champion=theirs is not None)
    assert isinstance(found.passed, bool)
    return found.passed, str(found.reason), found.message


PASSED, FAILED, MISSING = (True, "GatesPassed"), (False, "GatesFailed"), (False, "MetricMissing")


@pytest.mark.parametrize(
    ("gate", "ours", "theirs", "want"),
    [
        pytest.param({"min": "0.8"}, "0.8", None, (*PASSED, "0.8 >= 0.8"), id="just enough"),
        pytest.param({"min": "0.8"}, "0.7999", None, (*FAILED, "0.7999 < 0.8"), id="a little less"),
        pytest.param({"max": "0.8"}, "0.8", None, (*PASSED, "0.8 <= 0.8"), id="just not too much"),
        pytest.param({"max": "0.8"}, "0.8001", None, (*FAILED, "0.8001 > 0.8"), id="a little more"),
        pytest.param(
            {"min": "0.7", "max": "0.9"}, "0.95", None, (*FAILED, "0.95 >= 0.7 > 0.9"), id="one of two limits"
        ),
        pytest.param({"compareTo": "champion"}, "0.8", None, (*PASSED, "0.8; no champion yet"), id="no champion"),
        pytest.param(
            {"compareTo": "champion", "minDelta": "0.1"},
            "0.9",
            "0.8",
            (*PASSED, "0.9; champion 0.8 + 0.1"),
            id="just better",
        ),
        pytest.param(
            {"compareTo": "champion", "minDelta": "0.1"},
            "0.8999",
            "0.8",
            (*FAILED, "0.8999; champion 0.8 + 0.1 is not reached"),
            id="not better enough",
        ),
        pytest.param(
            {"min": "0.95", "compareTo": "champion"},
            "0.9",
            "0.8",
            (*FAILED, "0.9 < 0.95; champion 0.8 + 0"),
            id="better and still too bad",
        ),
    ],
)
def test_a_gate_tells_its_figures(gate: dict[str, Any], ours: str, theirs: str | None, want: tuple[Any, ...]) -> None:
    """In decimals as they were written."""
    passed, reason, message = want
    champion = None if theirs is None else {"roc_auc": theirs}
    assert judged(gate, ours={"roc_auc": ours}, theirs=champion) == (passed, reason, f"roc_auc on test: {message}")


def test_what_was_not_measured_fails_and_what_was_is_listed() -> None:
    """Of the model, and of the champion."""
    assert judged({"min": "0.1"}, ours={}) == (*MISSING, "roc_auc on test was not measured; measured: none")
    assert judged({"min": "0.1"}, ours={"f1": "1", "mae": "2"}) == (
        *MISSING,
        "roc_auc on test was not measured; measured: f1 on test, mae on test",
    )
    assert judged({"compareTo": "champion"}, ours={"roc_auc": "1"}, theirs={"f1": "1"}) == (
        *MISSING,
        "roc_auc on test was not measured for the champion",
    )


def test_all_gates_hold_or_those_that_do_not_are_told() -> None:
    """Without any there is nothing to hold."""
    good, bad, missing = {"min": "0.1"}, {"min": "0.9"}, {"metric": "f1", "min": "0.1"}
    ours = {"roc_auc": "0.5"}
    assert judged(ours=ours) == (*PASSED, "there are no gates")
    assert judged(good, good, ours=ours) == (*PASSED, "roc_auc on test: 0.5 >= 0.1; roc_auc on test: 0.5 >= 0.1")
    assert judged(good, bad, missing, ours=ours) == (
        *FAILED,
        "roc_auc on test: 0.5 < 0.9; f1 on test was not measured; measured: roc_auc on test",
    )


def test_of_an_error_less_is_better_and_of_an_unknown_metric_more() -> None:
    """By the table of metrics."""
    gate = {"compareTo": "champion"}
    for metric, ours, passed in (
        ("mae", "1", True),
        ("mae", "3", False),
        ("cost", "1", True),
        ("cost", "3", False),
        ("cost", "-5", True),
        ("profit", "3", True),
        ("profit", "1", False),
    ):
        found = judged({**gate, "metric": metric}, ours={metric: ours}, theirs={metric: "2"})
        assert found[0] is passed, (metric, ours)


@pytest.mark.parametrize("theirs", [{}, {"roc_auc": "0.9"}, {"f1": "0.1"}])
def test_each_gate_alone_holds_or_does_not(theirs: dict[str, str]) -> None:
    """True or false, also where something was not measured."""
    gate = Gate.model_validate({"metric": "roc_auc", "compareTo": "champion"})
    for ours in ({}, {"roc_auc": "0.5"}):
        found = _judge_one(gate, values(**ours), values(**theirs), has_champion=True, positive=None)
        assert found.passed is False
