"""Answers as people and programs get them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlops.cli.errors import UserError
from mlops.cli.predict import answers
from mlops.cli.predict.answers import Answered, Reply
from mlops.cli.predict.models import NotAnswered, Tensor

INPUTS = (Tensor("a", "FP64", "float64"),)


class Halves:
    """A server that takes at most two rows at once, and none below zero."""

    inputs, classes = INPUTS, ("no", "yes")

    def ask(self, body: bytes) -> dict[str, Any]:
        """Answer a / 10 as the probability of yes."""
        rows = json.loads(body)["inputs"][0]["data"]
        if len(rows) > 2:
            raise NotAnswered(413, "too many rows")
        if min(rows) < 0:
            raise NotAnswered(422, f"input 'a' is -1 in row {rows.index(min(rows))}, not in row 0 of a table")
        table = [number for row in rows for number in (1 - row / 10, row / 10)]
        outputs = [{"name": "prediction", "data": ["yes"] * len(rows)}, {"name": "probabilities", "data": table}]
        return {"model_version": "3", "outputs": outputs}


def test_rows_that_are_too_many_are_asked_in_parts_and_a_refused_one_alone() -> None:
    """Every row is answered once, in order, and a refusal has the row's own number."""
    replies = list(answers.asked(Halves(), {"a": [1, 2, 3, -1, 5, 6, 7]}, 11))  # type: ignore[arg-type]
    rows = [row for reply in replies for row in reply.rows]
    assert [row.row for row in rows] == list(range(11, 18))
    assert [row.problem for row in rows if row.problem] == ["input 'a' is -1 in row 14, not in row 0 of a table"]
    assert [row.probabilities[1] for row in rows if not row.problem] == [0.1, 0.2, 0.3, 0.5, 0.6, 0.7]


@pytest.mark.parametrize(
    ("row", "classes", "line"),
    [
        pytest.param(
            Answered(1, "yes", (0.25, 0.75)),
            ("no", "yes"),
            {"row": 1, "version": "3", "prediction": "yes", "probabilities": {"no": 0.25, "yes": 0.75}},
            id="a classifier",
        ),
        pytest.param(
            Answered(1, True, (0.25, 0.75)),
            (),
            {"row": 1, "version": "3", "prediction": True, "probabilities": [0.25, 0.75]},
            id="of a server that does not name its classes",
        ),
        pytest.param(Answered(2, 0.1 + 0.2), (), {"row": 2, "version": "3", "prediction": 0.1 + 0.2}, id="a number"),
        pytest.param(Answered(3, problem="no"), (), {"row": 3, "error": "no"}, id="a refusal"),
    ],
)
def test_programs_get_every_digit(row: Answered, classes: tuple[str, ...], line: dict[str, Any]) -> None:
    assert json.loads(answers.json_lines(Reply("3", (row,)), classes)) == line


@pytest.mark.parametrize(
    ("row", "classes", "shown"),
    [
        pytest.param(Answered(1, 3.25), (), "prediction   3.25", id="a number"),
        pytest.param(Answered(1, False, (0.75, 0.25)), ("false", "true"), "false 0.750000, true 0.250000", id="truth"),
        pytest.param(
            Answered(1, "e", (0.1, 0.1, 0.2, 0.05, 0.55)),
            ("a", "b", "c", "d", "e"),
            "e 0.550000, c 0.200000, a 0.100000, …",
            id="many classes: the likeliest",
        ),
        pytest.param(Answered(1, "\x1b[2J", (0.5, 0.5)), ("\x1b[2J", "b"), "\\x1b[2J 0.500000", id="harmless"),
    ],
)
def test_people_get_what_they_can_read(row: Answered, classes: tuple[str, ...], shown: str) -> None:
    assert shown in answers.single(row, classes, "wine-v3")


class Foreign(Halves):
    """A server of somebody else's."""

    def __init__(self, outputs: Any) -> None:
        self.outputs = outputs

    def ask(self, body: bytes) -> dict[str, Any]:
        """Answer as it likes."""
        return {"outputs": self.outputs}


@pytest.mark.parametrize(
    "outputs",
    [
        pytest.param([{"name": "output__0", "data": [1]}], id="other names"),
        pytest.param([{"name": "prediction"}], id="binary"),
        pytest.param([{"name": "prediction", "data": [1, 2]}], id="other rows"),
        pytest.param(None, id="none"),
    ],
)
def test_an_answer_of_another_kind_of_server_is_told(outputs: Any) -> None:
    with pytest.raises(UserError, match="none of a model server of mlops"):
        list(answers.asked(Foreign(outputs), {"a": [1]}, 1))  # type: ignore[arg-type]
