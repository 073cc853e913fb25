"""One number is written in one way, whether or not a column has to be changed for it."""

from __future__ import annotations

import polars as pl
import pytest

from mlops.workloads.floor.column_types import plain_floats


@pytest.mark.parametrize(
    ("values", "plain"),
    [
        pytest.param([1.5, 0.0, None], ["1.5", "0.0", "None"], id="nothing to do"),
        pytest.param([1.5, -0.0, None], ["1.5", "0.0", "None"], id="minus zero"),
        pytest.param([float("nan"), 0.0, -0.0], ["None", "0.0", "0.0"], id="NaN and minus zero"),
        pytest.param([float("inf"), float("-inf")], ["inf", "-inf"], id="infinities stay"),
        pytest.param([None, None], ["None", "None"], id="all missing"),
        pytest.param([], [], id="no row"),
    ],
)
def test_floats_without_nan_and_minus_zero(values: list[float | None], plain: list[str]) -> None:
    assert [str(one) for one in plain_floats(pl.Series("x", values, dtype=pl.Float64)).to_list()] == plain
