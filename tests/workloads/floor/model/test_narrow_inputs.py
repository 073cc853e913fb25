"""An ONNX graph is given the value of the column, or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlops.workloads.floor.model.onnx_engine import _whole
from mlops.workloads.floor.pod import BadInput


@pytest.mark.parametrize(
    ("values", "element"),
    [
        pytest.param(np.array([1 << 40]), np.int32, id="too large for int32"),
        pytest.param(np.array([1.5]), np.int64, id="fraction for int64"),
        pytest.param(np.array([2]), np.bool_, id="two for bool"),
    ],
)
def test_what_a_graph_cannot_hold_is_refused(values: Any, element: Any) -> None:
    """It names the input and the way out."""
    with pytest.raises(
        BadInput, match=r"n: holds a value that its .* cannot; declare the input as int64, or as double"
    ):
        _whole(values, "n", element)


@pytest.mark.parametrize(
    "values",
    [pytest.param(np.array([1.0, np.nan]), id="floats"), pytest.param(np.array([1 << 60, None]), id="objects")],
)
def test_a_gap_is_no_whole_number(values: Any) -> None:
    """However the gap is written."""
    with pytest.raises(BadInput, match="a value is missing; declare the input as double"):
        _whole(values, "n", np.int64)


def test_what_fits_is_given() -> None:
    """Whole numbers beside each other, however they are written."""
    assert _whole(np.array([3.0, -4.0]), "n", np.int32).tolist() == [3, -4]
