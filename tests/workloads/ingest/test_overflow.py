"""A value beyond int64 in a feature, a rule or a filter stops the sync: it never wraps, and the message mends it."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tests.workloads.ingest.conftest import Desk, a_frame, a_spec


def _large() -> pl.DataFrame:
    """Rows of which the last in time has four billion of something."""
    frame = a_frame().with_columns(pl.lit(7).alias("count"))
    last = pl.col("time") == frame["time"].max()
    return frame.with_columns(count=pl.when(last).then(4_000_000_000).otherwise(pl.col("count")))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        pytest.param(
            {"features": [{"name": "total", "expression": "count * count"}]},
            "spec.features[0].expression",
            id="feature",
        ),
        pytest.param(
            {"validation": {"rules": [{"name": "budget", "expression": "count * count <= 1000"}]}},
            "spec.validation.rules[budget].expression",
            id="rule",
        ),
        pytest.param({"clean": [{"filter": "count * count <= 1000"}]}, "spec.clean[0].filter", id="filter"),
    ],
)
def test_a_value_beyond_int64_is_an_error_that_names_the_row(desk: Desk, changes: dict[str, Any], path: str) -> None:
    """4e9 * 4e9 was -2446744073709551616: it passed the rule, and stood in the feature."""
    desk.deliver("things/a.csv", _large().write_csv())
    reason, message = desk.refusal(a_spec(**changes))
    assert reason == "ExpressionInvalid"
    assert message.startswith(f"{path}: the expression `count * count")
    assert message.endswith(
        "cannot be computed: row 40: `count * count` (of 4000000000, 4000000000) is beyond int64 (-2^63 to 2^63 - 1): "
        "write CAST(count AS DOUBLE) * count"
    )


def test_what_the_message_says_to_write_works(desk: Desk) -> None:
    desk.deliver("things/a.csv", _large().write_csv())
    spec = a_spec(features=[{"name": "total", "expression": "CAST(count AS DOUBLE) * count"}])
    assert desk.ingest(spec).rows == 40


def test_a_personal_value_is_not_in_the_message(desk: Desk) -> None:
    desk.deliver("things/a.csv", _large().write_csv())
    features = [{"name": "total", "expression": "count * count"}]
    _, message = desk.refusal(a_spec(features=features, governance={"pii": ["count"]}))
    assert "4000000000" not in message
    assert "row 40: `count * count` is beyond int64" in message
