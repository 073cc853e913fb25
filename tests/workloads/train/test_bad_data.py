"""Data that cannot be trained on: one clear message each, with the way out."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from mlops.store import StoreError
from mlops.workloads.floor.pod import BadInput
from tests.workloads.train.runs import DIGEST, FEATURES, FIELDS, Place, a_frame, a_schema, field, labelled


def _constant(column: str, value: Any) -> pl.DataFrame:
    return a_frame().with_columns(pl.lit(value).alias(column))


def _without(name: str) -> list[dict[str, Any]]:
    return [one for one in FIELDS if one["name"] != name]


@pytest.mark.parametrize(
    ("frame", "schema", "estimator", "want"),
    [
        pytest.param(
            _constant("label", "UP"), a_schema(), "LogisticRegression", "has 1 class in the 300 rows", id="one class"
        ),
        pytest.param(
            a_frame().with_columns(pl.lit(None, dtype=pl.String).alias("label")),
            a_schema(),
            "LogisticRegression",
            "none of the 500 rows has a label .*deliver them",
            id="no labels",
        ),
        pytest.param(a_frame(0), a_schema(), "LogisticRegression", "none of the 0 rows", id="no rows"),
        pytest.param(a_frame(1), a_schema(), "LogisticRegression", "the part train has no rows", id="one row"),
        pytest.param(
            a_frame().with_columns(
                pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("ODD")).otherwise(pl.col("label")).alias("label")
            ),
            a_schema(),
            "LogisticRegression",
            "class 'ODD' has 1 row to train on, fewer than 2",
            id="a class of one row",
        ),
        pytest.param(
            a_frame(),
            a_schema(labelled("count", "int64"), features=[]),
            "LogisticRegression",
            None,
            id="nine int classes are fine",
        ),
        pytest.param(
            a_frame().with_columns(pl.int_range(pl.len()).alias("count")),
            a_schema(labelled("count", "int64"), features=[]),
            "LogisticRegression",
            "has 300 classes, more than 100: choose a regressor",
            id="too many classes",
        ),
        pytest.param(
            a_frame(), a_schema(), "Ridge", "is a string and Ridge predicts numbers: choose a classifier", id="pairing"
        ),
        pytest.param(
            a_frame(),
            a_schema(labelled("value", "float64")),
            "SVC",
            "is a float64 and SVC predicts classes",
            id="pairing 2",
        ),
        pytest.param(
            _constant("value", 1.5),
            a_schema(labelled("value", "float64")),
            "Ridge",
            "is 1.5 in all 300 rows",
            id="constant",
        ),
        pytest.param(
            _constant("value", float("inf")),
            a_schema(labelled("value", "float64")),
            "Ridge",
            "has infinite values",
            id="infinite",
        ),
        pytest.param(
            a_frame(),
            a_schema([*_without("time"), field("time", "timestamp")]),
            "LogisticRegression",
            "the feature 'time' is a timestamp, which no estimator takes: .*month",
            id="timestamp feature",
        ),
        pytest.param(
            a_frame(),
            a_schema(FIELDS[:-1]),
            "LogisticRegression",
            "no field has the role label: set role: label",
            id="no label",
        ),
        pytest.param(
            a_frame(),
            a_schema(
                features=[
                    {"name": "gap", "expression": "CASE WHEN label = 'UP' THEN 1.0 ELSE 0.0 END", "type": "float64"}
                ]
            ),
            "LogisticRegression",
            "is computed from the label 'label': it would know the answer",
            id="leakage",
        ),
        pytest.param(
            a_frame(),
            a_schema(
                [field("time", "timestamp", "ignored"), *FIELDS[1:]],
                split={"strategy": "random"},
                timestamp=None,
                features=[{"name": "gap", "expression": "EXTRACT(hour FROM time)", "type": "int64"}],
            ),
            "LogisticRegression",
            "is computed from 'time', whose role is ignored: no request carries it; give it the role input",
            id="feature of a field that no request has",
        ),
        pytest.param(
            a_frame().with_columns(pl.lit(None, dtype=pl.Float64).alias("demand")),
            a_schema(),
            "LogisticRegression",
            "the feature 'demand' has no value in the rows to train on",
            id="empty number",
        ),
        pytest.param(
            a_frame().with_columns(pl.lit(None, dtype=pl.String).alias("region")),
            a_schema(),
            "RandomForestClassifier",
            "the feature 'region' has no value",
            id="empty text",
        ),
        pytest.param(
            a_frame().drop("price"),
            a_schema(features=FEATURES),
            "Ridge",
            "'price' of schema.json is missing",
            id="column",
        ),
        pytest.param(
            a_frame(),
            a_schema([field("label", "string", "label")], features=[]),
            "SVC",
            "no field has the role feature",
            id="no features",
        ),
    ],
)
def test_unusable_data_says_why_and_what_to_do(
    place: Place, frame: pl.DataFrame, schema: dict[str, Any], estimator: str, want: str | None
) -> None:
    """The condition DataUnusable names the column and the way out."""
    dataset = place.dataset(frame, schema)
    if want is None:
        place.run(dataset, estimator)
        return
    with pytest.raises(BadInput, match=want) as info:
        place.run(dataset, estimator)
    assert info.value.reason == "DataUnusable"


def test_since_that_leaves_too_few_rows_is_refused(place: Place, dataset: str) -> None:
    """A rebuild right after a change has nothing to learn from yet."""
    with pytest.raises(BadInput, match=r"since 2024-01-21T00:00:00Z leaves 12 rows to train on, fewer than 50"):
        place.run(dataset, since="2024-01-21T00:00:00Z")


def test_since_needs_a_timestamp(place: Place) -> None:
    """Rows without a time have no recent ones."""
    dataset = place.dataset(schema=a_schema(_without("time")))
    with pytest.raises(BadInput, match="has no field of role timestamp"):
        place.run(dataset, since="2024-01-12T00:00:00Z")


def test_numbers_without_bound_are_missing_values(place: Place) -> None:
    """Infinity and 1e308 would break float32 trees and linear solvers alike; both count as missing."""
    frame = a_frame().with_columns(
        pl.when(pl.int_range(pl.len()) % 5 == 0).then(1e308).otherwise(pl.col("demand")).alias("demand")
    )
    for estimator in ("LogisticRegression", "RandomForestClassifier", "HistGradientBoostingClassifier"):
        assert place.run(place.dataset(frame), estimator).metrics


def test_a_newer_schema_is_incompatible(place: Place) -> None:
    """An old image must not guess what a newer ingest wrote."""
    with pytest.raises(BadInput, match="formatVersion 2 is newer than 1") as info:
        place.run(place.dataset(schema=a_schema(formatVersion=2)))
    assert info.value.reason == "Incompatible"


def test_changed_bytes_in_the_store_are_found(place: Place, dataset: str) -> None:
    """The store is not trusted."""
    blob = max(
        (path for path in (place.folder / "store").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(bytes(content))
    with pytest.raises(StoreError) as info:
        place.run(dataset)
    assert info.value.reason == "DigestMismatch"


def test_a_data_set_that_is_gone_is_named(place: Place) -> None:
    """An address without an artifact, in a store that is there."""
    place.store.put_object("other/object", b"")
    with pytest.raises(StoreError, match=DIGEST):
        place.run(DIGEST)
