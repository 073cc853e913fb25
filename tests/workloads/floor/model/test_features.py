"""Computed features at prediction: what ingest computes, bit for bit, whatever the size of a request."""

from __future__ import annotations

import subprocess
import sys
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from mlops.api.dataset import Feature
from mlops.workloads.floor.expressions import program
from mlops.workloads.floor.expressions.frames import compute
from mlops.workloads.floor.model.features import FEW_ROWS, Features, array_of
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.floor.pod import BadInput
from tests.workloads.floor.expressions.drawn import COLUMNS, bits, hard_rows
from tests.workloads.floor.model.test_signature import a_document

FEATURES = {
    "celsius": "(x - 32) * 5 / 9", "gap": "celsius - a / 3", "month": "month(t)", "weekday": "weekday(t)",
    "size": "length(s) - 20", "word": "upper(trim(s)) || '-' || r", "old": "t < timestamp '2000-01-01' OR o",
    "filled": "coalesce(a, celsius, 0.0)", "bits": "bit_count(b)", "log": "ln(abs(x)) * sin(a)",
}  # fmt: skip


def _signature(features: dict[str, str]) -> Signature:
    types = dict(COLUMNS)
    computed = []
    for name, expression in features.items():
        types[name] = program(expression, types).type
        computed.append({"name": name, "expression": expression, "type": types[name]})
    inputs = [{"name": name, "type": kind, "nullable": True} for name, kind in COLUMNS.items()]
    columns = [{"name": "x", "type": "float64"}]
    encoding = {"numbers": [{"column": "x", "fill": 0.0}]}
    document = a_document(inputs=inputs, features=computed, columns=columns, encoding=encoding)
    return Signature.model_validate(document)


def _inputs(frame: pl.DataFrame) -> dict[str, NDArray[Any]]:
    """As a server has them; times in microseconds."""
    times = {name: np.array(frame[name].to_physical().to_list(), dtype=object) for name in ("t", "u")}
    return {series.name: array_of(series) for series in frame.drop("t", "u").get_columns()} | times


def _equal(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    same_type = found.dtype == wanted.dtype
    return same_type and [bits(one) for one in found.tolist()] == [bits(one) for one in wanted.tolist()]


@pytest.mark.parametrize("count", [1, 2, FEW_ROWS, FEW_ROWS + 1, 500])
def test_a_request_of_any_size_has_the_features_that_ingest_computes(count: int) -> None:
    draw = Random(count)
    # Numbers that a float holds: a server's arrays of whole numbers with missing ones are floats.
    frame = hard_rows(draw, 4 * count).with_columns(b=pl.int_range(4 * count))
    features = Features(_signature(FEATURES))
    whole = compute(frame, [Feature(name=name, expression=text) for name, text in FEATURES.items()])
    # Rows with an infinite one are in no version, and no request with one is answered.
    finite = ~whole.select(pl.any_horizontal(pl.selectors.float().exclude(*COLUMNS).is_infinite())).to_series()
    frame, whole = frame.filter(finite.fill_null(True)), whole.filter(finite.fill_null(True))
    assert frame.height > count
    for start in range(0, frame.height, count):
        found = features.added(_inputs(frame[start : start + count]))
        for name in FEATURES:
            assert _equal(found[name], array_of(whole[name][start : start + count])), name


@pytest.mark.parametrize("count", [1, 500])
def test_an_overflow_in_a_request_is_refused_and_shows_no_value(count: int) -> None:
    frame = pl.DataFrame({"b": [1] * (count - 1) + [4_000_000_000]})
    features = Features(_signature({"square": "b * b"}))
    inputs = {name: np.zeros(count) for name in COLUMNS} | {"b": frame["b"].to_numpy()}
    with pytest.raises(BadInput, match=rf"row {count}: `b \* b` is beyond int64") as caught:
        features.added(inputs)
    assert "4000000000" not in caught.value.message


def test_a_server_of_features_needs_no_polars() -> None:
    """Its memory is a model's: date and text functions come without it."""
    code = (
        "import sys; from mlops.workloads.floor.model.predictor import Predictor; "
        "from mlops.workloads.floor.expressions import check; "
        "check('month(t) + length(upper(s)) - 3', {'t': 'timestamp', 's': 'string'}); print('polars' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("count", [1, 500])
def test_a_request_whose_feature_is_infinite_is_refused_as_ingest_refuses_the_row(count: int) -> None:
    """One rule on both sides: the model has learnt nothing of such a row, and no engine answers it."""
    features = Features(_signature({"ratio": "x / a"}))
    inputs = {name: np.ones(count) for name in COLUMNS} | {"a": np.array([1.0] * (count - 1) + [0.0])}
    with pytest.raises(BadInput, match=rf"features: 'ratio' is infinite in row {count}, .*: send inputs for which"):
        features.added(inputs)
