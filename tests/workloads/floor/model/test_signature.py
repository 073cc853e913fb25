"""model.json comes from whoever trained the model: each part of it is held against the others, and bounded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlops.workloads.floor.model.features import Features
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import (
    MAX_FEATURES,
    MAX_INPUTS,
    MAX_LISTED,
    MAX_SLOTS,
    parse_signature,
    read_signature,
)
from mlops.workloads.floor.pod import BadInput


def a_document(**changes: Any) -> dict[str, Any]:
    """A sound model.json of two numbers, a text and a computed feature."""
    document = {
        "formatVersion": 1,
        "task": "classification",
        "format": "treelite",
        "inputs": [
            {"name": "a", "type": "float64"},
            {"name": "b", "type": "int64"},
            {"name": "c", "type": "string"},
        ],
        "features": [{"name": "d", "expression": "a * 2.0e0 + b", "type": "float64"}],
        "columns": [
            {"name": "a", "type": "float64"},
            {"name": "c", "type": "string"},
            {"name": "d", "type": "float64"},
        ],
        "label": {"name": "y", "type": "string"},
        "classes": ["no", "yes"],
        "positive": "yes",
        "estimator": {"name": "container"},
        "encoding": {
            "numbers": [{"column": "a", "fill": 0.0}, {"column": "d"}],
            "texts": [{"column": "c", "kind": "onehot", "categories": ["x", "y"]}],
        },
        "tolerance": "1e-6",
    }
    return document | changes


def _features(*expressions: str, kind: str = "float64") -> list[dict[str, str]]:
    return [{"name": f"f{n}", "expression": one, "type": kind} for n, one in enumerate(expressions)]


def _encoding(**changes: Any) -> dict[str, Any]:
    encoding: dict[str, Any] = a_document()["encoding"]
    return encoding | changes


def _write(folder: Path, document: dict[str, Any]) -> Path:
    (folder / "model.json").write_text(json.dumps(document))
    return folder


def test_what_earlier_releases_listed_twice_is_read_and_forgotten(tmp_path: Path) -> None:
    """Their models are served on."""
    document = a_document()
    document["inputs"][1]["categories"] = ["x", "y"]
    assert read_signature(_write(tmp_path, document)) == parse_signature(json.dumps(a_document()).encode())


def test_a_sound_document_is_read(tmp_path: Path) -> None:
    """What the others below differ from in one thing."""
    signature = read_signature(_write(tmp_path, a_document()))
    Features(signature)
    assert [column.name for column in signature.columns] == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param(
            {"inputs": [{"name": "a", "type": "float64"}] * 2}, "inputs: 'a' is there twice", id="input twice"
        ),
        pytest.param(
            {"features": [{"name": "a", "expression": "b", "type": "int64"}]},
            "features: 'a' is there twice",
            id="shadow",
        ),
        pytest.param(
            {"inputs": [{"name": f"x{n}", "type": "float64"} for n in range(MAX_INPUTS + 1)]}, "inputs", id="inputs"
        ),
        pytest.param({"inputs": []}, "inputs", id="no input"),
        pytest.param({"inputs": [{"name": "a b", "type": "float64"}]}, "inputs.0.name", id="name"),
        pytest.param({"features": _features(*["a"] * (MAX_FEATURES + 1))}, "features", id="features"),
        pytest.param({"features": _features("a + " * 5000 + "a")}, "features.0.expression", id="long expression"),
        pytest.param({"columns": [{"name": "z", "type": "float64"}]}, "'z' is neither an input nor", id="column"),
        pytest.param({"columns": [{"name": "a", "type": "string"}]}, "'a' is there twice, or is float64", id="type"),
        pytest.param({"classes": ["no"]}, "a classifier has two or more", id="one class"),
        pytest.param({"classes": ["no", "no"]}, "none is there twice", id="class twice"),
        pytest.param({"classes": ["no", 1]}, "they are of one type", id="mixed classes"),
        pytest.param({"classes": [1, 2]}, "they are int64, and the label is string", id="other type than the label"),
        pytest.param({"classes": [1 << 80, 2]}, "classes", id="large class"),
        pytest.param({"classes": ["a", "x" * 70_000]}, "classes", id="long class"),
        pytest.param({"classes": [str(n) for n in range(MAX_LISTED + 1)]}, "classes", id="classes"),
        pytest.param({"positive": "maybe"}, "'maybe' is none of the classes", id="positive"),
        pytest.param({"task": "regression"}, "a regression has none", id="regression with classes"),
        pytest.param({"tolerance": "1e9"}, "no number from 0 to 0.01", id="tolerance"),
        pytest.param({"tolerance": "nan"}, "no number from 0 to 0.01", id="tolerance nan"),
        pytest.param({"tolerance": "x"}, "no number from 0 to 0.01", id="tolerance text"),
        pytest.param({"encoding": None}, "encoding is missing", id="no encoding"),
        pytest.param(
            {"encoding": _encoding(numbers=[{"column": "a", "scale": 0.0}, {"column": "d"}])},
            "its scale is 0",
            id="scale",
        ),
        pytest.param(
            {"encoding": _encoding(numbers=[{"column": "a", "fill": float("nan")}, {"column": "d"}])},
            "NaN is no number",
            id="fill",
        ),
        pytest.param({"encoding": _encoding(flags=["a", "a"])}, "a column is there twice", id="flag twice"),
        pytest.param(
            {
                "encoding": _encoding(
                    numbers=[{"column": "a"}],
                    texts=[{"column": n, "kind": "ordinal", "categories": ["1"]} for n in "cd"],
                )
            },
            "'d' is float64, not string",
            id="text of a number",
        ),
        pytest.param(
            {"encoding": _encoding(texts=[{"column": "c", "kind": "ordinal", "categories": ["x", "x"]}])},
            "'c' has a category twice",
            id="category twice",
        ),
        pytest.param(
            {
                "encoding": _encoding(
                    texts=[{"column": "c", "kind": "onehot", "categories": [str(n) for n in range(MAX_SLOTS + 1)]}]
                )
            },
            "more than 4096 categories",
            id="slots",
        ),
    ],
)
def test_a_document_that_contradicts_itself_or_has_no_bounds_is_refused(
    tmp_path: Path, changes: dict[str, Any], want: str
) -> None:
    """Before any of it is used."""
    with pytest.raises(BadInput) as info:
        read_signature(_write(tmp_path, a_document(**changes)))
    assert info.value.reason == "OutputInvalid"
    assert want in info.value.message


@pytest.mark.parametrize(
    ("features", "want"),
    [
        pytest.param(_features("SUM(a)"), "not computed row by row", id="aggregate"),
        pytest.param(_features("a - LAG(a) OVER ()"), "features[0].expression", id="window"),
        pytest.param(_features("(SELECT a)"), "subquery", id="subquery"),
        pytest.param(_features("a", "RANDOM()"), "features[1].expression", id="chance in the second"),
        pytest.param(_features("nothing + 1"), "is no column", id="unknown column"),
        pytest.param(_features("a > 1"), "gives boolean, and 'f0' is float64", id="other type"),
        pytest.param(_features("f1", "a"), "is no column", id="a later feature"),
    ],
)
@pytest.mark.parametrize("form", ["treelite", "onnx", "skops"])
def test_computed_features_pass_the_check_of_a_datasets_expressions_before_the_model_is_opened(
    tmp_path: Path, features: list[dict[str, str]], want: str, form: str
) -> None:
    """The file of the model is not there: nothing looks for it before the expressions are judged."""
    columns = [{"name": "a", "type": "float64"}]
    encoding = {"numbers": [{"column": "a"}]}
    _write(tmp_path, a_document(format=form, features=features, columns=columns, encoding=encoding))
    with pytest.raises(BadInput) as info:
        Predictor.load(tmp_path)
    assert want in info.value.message
