"""What the served model was trained and tested on, as it lies beside the model."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from mlops.api.reasons import Reason
from mlops.store.artifacts import Store
from mlops.store.errors import NotFound
from mlops.workloads.drift.columns import INPUT, PREDICTION, PROBABILITY, class_text
from mlops.workloads.parquet_file import ParquetError, check_parquet
from mlops.workloads.pod import BadInput
from mlops.workloads.records.columns import finite, label_text, moment

DESCRIPTION = "model.json"
MAX_DESCRIPTION_BYTES = 16 << 20
ROWS = "reference.parquet"


@dataclass(frozen=True, eq=False)
class Reference:
    """Rows in time order (`in.*`, label, time, part, `out.*`) and what is known about their columns.

    `classes` are in column order with the positive class of a binary model last; empty for a regression. No value of a
    `hidden` field may be shown. A `required` field is never missing in a request.
    """

    frame: pl.DataFrame
    task: Literal["classification", "regression"]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    classes: tuple[str, ...]
    label: str
    hidden: frozenset[str]
    required: frozenset[str]

    @property
    def fields(self) -> tuple[str, ...]:
        """The raw inputs by name, without prefix, sorted."""
        return tuple(sorted((*self.numeric, *self.categorical)))

    @property
    def held_out(self) -> pl.DataFrame:
        """The rows that the model was tested on."""
        return self.frame.filter(pl.col("part") == "test")


def load_reference(store: Store, artifact: str) -> Reference:
    """Read the reference of the model at the digest `artifact`. Raises BadInput (DataUnusable) when it has none."""
    try:
        description = _description(store.read_file(artifact, DESCRIPTION), artifact)
        rows = store.read_file(artifact, ROWS)
    except NotFound as error:
        raise BadInput(
            Reason.DATA_UNUSABLE, f"the model {artifact} has no reference to compare with: {error}"
        ) from error
    try:
        check_parquet(rows)
        frame = pl.read_parquet(io.BytesIO(rows))
    except (ParquetError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise BadInput(
            Reason.DATA_UNUSABLE, f"{ROWS} of {artifact} cannot be read: {error}: train the model again"
        ) from error
    return make_reference(description, frame, where=artifact)


def _description(content: bytes, artifact: str) -> Mapping[str, Any]:
    try:
        found = json.loads(content) if len(content) <= MAX_DESCRIPTION_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadInput(Reason.DATA_UNUSABLE, f"{DESCRIPTION} of {artifact} is no JSON object: train the model again")
    return found


def make_reference(description: Mapping[str, Any], frame: pl.DataFrame, *, where: str) -> Reference:
    """Bring the rows into canonical types and order. Raises BadInput when a column that is needed is missing."""
    missing = [column for column in ("label", "part", PREDICTION) if column not in frame.columns]
    if missing:
        raise BadInput(Reason.DATA_UNUSABLE, f"{ROWS} of {where} lacks {', '.join(missing)}: train the model anew")
    names = [column.removeprefix(INPUT) for column in frame.columns if column.startswith(INPUT)]
    numeric = tuple(sorted(name for name in names if frame.schema[INPUT + name].is_numeric()))
    categorical = tuple(sorted(set(names) - set(numeric)))
    classes = _classes(description, frame)
    label = description.get("label") or "label"
    prepared = frame.with_columns(
        *(finite(INPUT + name) for name in numeric),
        *(pl.col(INPUT + name).cast(pl.String, strict=False) for name in categorical),
        *(_target(column, frame, bool(classes)) for column in ("label", PREDICTION)),
        *(finite(column) for column in frame.columns if column.startswith(PROBABILITY)),
        moment("time") if "time" in frame.columns else pl.lit(None, moment_type()).alias("time"),
    )
    # Rows without a time, or with equal ones, are ordered by their content.
    prepared = prepared.sort("time", *sorted(set(prepared.columns) - {"time"}), nulls_last=True)
    return Reference(
        frame=prepared,
        task="classification" if classes else "regression",
        numeric=numeric,
        categorical=categorical,
        classes=classes,
        label=str(label.get("name", "label") if isinstance(label, Mapping) else label),
        hidden=_hidden(description),
        required=frozenset(str(field["name"]) for field in _inputs(description) if field.get("nullable") is False),
    )


def moment_type() -> pl.DataType:
    """The type of times."""
    return pl.Datetime("us", "UTC")


def _target(column: str, frame: pl.DataFrame, is_class: bool) -> pl.Expr:
    return label_text(column, frame.schema[column]) if is_class else finite(column)


def _classes(description: Mapping[str, Any], frame: pl.DataFrame) -> tuple[str, ...]:
    if "regress" in str(description.get("task", "")).lower():
        return ()
    listed = description.get("classes") or [
        column.removeprefix(PROBABILITY) for column in frame.columns if column.startswith(PROBABILITY)
    ]
    classes = [class_text(value) for value in listed]
    positive = description.get("positive")
    if len(classes) == 2 and positive is not None and class_text(positive) == classes[0]:
        classes.reverse()
    return tuple(classes)


def _hidden(description: Mapping[str, Any]) -> frozenset[str]:
    """Fields with personal data, listed at the top or marked at the input itself."""
    marked = [str(field["name"]) for field in _inputs(description) if field.get("pii")]
    return frozenset([*marked, *map(str, description.get("pii") or ())])


def _inputs(description: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [field for field in description.get("inputs") or () if isinstance(field, Mapping) and "name" in field]
