"""What the served model was trained and tested on, as it lies beside the model."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from mlops.api.costs import Cost
from mlops.api.metrics import Task
from mlops.api.reasons import Reason
from mlops.store.artifacts import Store
from mlops.store.errors import NotFound
from mlops.workloads.floor.model.described import DESCRIPTION, class_names, described
from mlops.workloads.floor.model.learnt import LearntFill, fills
from mlops.workloads.floor.model.signature import Input, Signature
from mlops.workloads.floor.parquet_file import ParquetError, check_parquet
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import (
    INPUT,
    LABEL,
    PREDICTION,
    PROBABILITY,
    TIME,
    TIMESTAMP,
    finite,
    label_text,
    timestamp,
)

ROWS = "reference.parquet"
_TIE = "_tie"


@dataclass(frozen=True, eq=False)
class Reference:
    """Rows in time order (`in.*`, label, time, part, `out.*`) and what is known about their columns.

    `classes` are in column order with the positive class of a binary model last; empty for a regression. Personal
    fields are not among the inputs. A `required` field is never missing in a request.
    """

    frame: pl.DataFrame
    task: Task
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    classes: tuple[str, ...]
    label: str
    required: frozenset[str]
    # What answers cost, if somebody said so.
    costs: tuple[Cost, ...] = ()
    # What stands for a missing value of an input that the model fills.
    constants: Mapping[str, float | str] = field(default_factory=dict)
    # The share of rows in which it stands for one; of models of earlier releases, in which it stands at all.
    filled: Mapping[str, float] = field(default_factory=dict)
    # Why inputs of the model are not among the rows.
    not_compared: Mapping[str, str] = field(default_factory=dict)
    # Of another reference than the training data: its name, and why some rows have no label or answer.
    name: str = ""
    remark: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The raw inputs by name, without prefix, sorted."""
        return tuple(sorted((*self.numeric, *self.categorical)))

    @property
    def held_out(self) -> pl.DataFrame:
        """The rows that the model was tested on."""
        return self.frame.filter(pl.col("part") == "test")

    def labelled(self, part: str) -> pl.DataFrame:
        """The rows of a part that a metric is measured on: with an answer, and a label that the model knows.

        A Dataset may have further classes: they count for the class balance, as those of a window do.
        """
        rows = self.frame.filter(pl.col("part") == part).drop_nulls([LABEL, PREDICTION])
        return rows.filter(pl.col(LABEL).is_in(list(self.classes))) if self.classes else rows


def load_reference(store: Store, artifact: str) -> Reference:
    """Read the reference of the model at the digest `artifact`. Raises BadInput (DataUnusable) when it has none."""
    try:
        description = store.read_file(artifact, DESCRIPTION)
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
    return make_reference(described(description, artifact), frame, where=artifact)


def make_reference(signature: Signature, frame: pl.DataFrame, *, where: str) -> Reference:
    """Bring the rows into canonical types and order. Raises BadInput when a column that is needed is missing."""
    missing = [column for column in (LABEL, "part", PREDICTION) if column not in frame.columns]
    if missing:
        raise BadInput(Reason.DATA_UNUSABLE, f"{ROWS} of {where} lacks {', '.join(missing)}: train the model again")
    classes = class_names(signature)
    prepared = canonical(frame, classifies=bool(classes))
    numeric, categorical = columns_by_kind(frame)
    names = (*numeric, *categorical)
    known = {name: fill for name, fill in fills(signature.clean or ()).items() if name in names}
    constants = {name: _constant(fill, is_number=name in numeric) for name, fill in known.items()}
    return Reference(
        frame=prepared,
        task=signature.task,
        numeric=numeric,
        categorical=categorical,
        classes=classes,
        label=signature.label.name,
        required=frozenset(one.name for one in signature.inputs if not one.nullable),
        costs=signature.costs or (),
        constants=constants,
        filled={
            name: fill.missing if fill.missing is not None else _share(prepared[INPUT + name], constants[name])
            for name, fill in known.items()
        },
        not_compared={one.name: _left_out(one) for one in signature.inputs if one.name not in names},
    )


def _left_out(one: Input) -> str:
    """Return why the reference has no values of an input; see `train.artifact`."""
    if one.pii:
        return "personal data (governance.pii)"
    if one.type in ("timestamp", "string"):
        return f"a {one.type} of which the model knows what is computed of it, or personal data"
    return "personal data (governance.pii)"


def columns_by_kind(frame: pl.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the inputs that are numbers, and of the others, each sorted."""
    names = [column.removeprefix(INPUT) for column in frame.columns if column.startswith(INPUT)]
    numeric = tuple(sorted(name for name in names if frame.schema[INPUT + name].is_numeric()))
    return numeric, tuple(sorted(set(names) - set(numeric)))


def canonical(frame: pl.DataFrame, *, classifies: bool) -> pl.DataFrame:
    """Return the rows with canonical types, in time order; those without a time in an order that says nothing."""
    numeric, categorical = columns_by_kind(frame)
    prepared = frame.with_columns(
        *(finite(INPUT + name) for name in numeric),
        *(pl.col(INPUT + name).cast(pl.String, strict=False) for name in categorical),
        *(_target(column, frame, classifies) for column in (LABEL, PREDICTION)),
        *(finite(column) for column in frame.columns if column.startswith(PROBABILITY)),
        timestamp(TIME) if TIME in frame.columns else pl.lit(None, TIMESTAMP).alias(TIME),
    )
    # Rows without a time, or with equal ones, have an order of their own, which their content decides and does not
    # show: neighbours would else resemble each other.
    prepared = prepared.sort(sorted(prepared.columns), nulls_last=True)
    shuffled = np.random.Generator(np.random.PCG64(0)).permutation(prepared.height)
    return prepared.with_columns(pl.Series(_TIE, shuffled)).sort(TIME, _TIE, nulls_last=True).drop(_TIE)


def _constant(fill: LearntFill, *, is_number: bool) -> float | str:
    """A constant as the frame has it, in the spelling of its texts."""
    assert fill.value is not None
    if is_number:
        return float(fill.value)
    return str(fill.value).lower() if isinstance(fill.value, bool) else str(fill.value)


def _share(column: pl.Series, value: float | str) -> float:
    return int((column == value).sum()) / column.len() if column.len() else 0.0


def _target(column: str, frame: pl.DataFrame, is_class: bool) -> pl.Expr:
    return label_text(column, frame.schema[column]) if is_class else finite(column)
