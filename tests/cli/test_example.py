"""The recorded row that a model is asked about: the first one that it surely takes, or none."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import orjson
import pytest

from mlops.cli.predict.example import example_of, frame_of, words_of
from mlops.cli.predict.models import Tensor
from mlops.cli.predict.rows import Fields, row_of
from mlops.workloads.floor.model.golden import GOLDEN_FILE
from mlops.workloads.floor.model.signature import Signature, read_signature
from mlops.workloads.serve.tensors import STATED
from tests.workloads.serve.models import write_model


@pytest.fixture
def model(tmp_path: Path) -> tuple[Signature, dict[str, Any]]:
    """What a model takes (temperature and colour may be missing), and its recorded rows."""
    folder = write_model(tmp_path / "model")
    return read_signature(folder), orjson.loads((folder / GOLDEN_FILE).read_bytes())


def test_a_row_with_a_gap_that_the_model_does_not_take_is_passed_over(model: tuple[Signature, dict[str, Any]]) -> None:
    """With gaps beside them whole numbers and booleans are recorded as floats: they are what they were."""
    signature, recorded = model
    recorded["inputs"]["temperature"][1] = None
    recorded["inputs"]["count"][:2] = [None, 3.0]
    recorded["inputs"]["windy"][1] = 1.0
    row = example_of(signature, recorded)
    assert row == {
        "temperature": None,
        "count": 3,
        "windy": True,
        "colour": recorded["inputs"]["colour"][1],
    }
    assert [type(row[name]) for name in ("count", "windy")] == [int, bool]


def test_where_personal_data_is_left_out_there_is_no_row_unless_it_may_be_missing(
    model: tuple[Signature, dict[str, Any]],
) -> None:
    signature, recorded = model
    rows = len(recorded["prediction"])
    recorded["inputs"]["colour"] = [None] * rows
    assert example_of(signature, recorded) is not None
    recorded["inputs"]["count"] = [None] * rows
    assert example_of(signature, recorded) is None


def test_the_words_that_are_shown_say_the_same_row(model: tuple[Signature, dict[str, Any]]) -> None:
    """As a shell takes them apart: to be changed and asked again."""
    signature, recorded = model
    recorded["inputs"]["colour"][0] = "light  blue; or 'so'=x"
    row = example_of(signature, recorded)
    assert row is not None
    fields = Fields(tuple(Tensor(one.name, STATED[one.type], one.type) for one in signature.inputs))
    words = shlex.split(shlex.join(words_of(row)))
    assert row_of(words, fields).equals(frame_of(row, fields))
