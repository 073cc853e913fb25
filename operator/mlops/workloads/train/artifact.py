"""The rest of a model's folder: golden rows, the reference that drift checks read, metrics, environment."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.training_run import Part
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.model.features import array_of
from mlops.workloads.floor.model.golden import MAX_GOLDEN_ROWS, rounded, write_golden
from mlops.workloads.floor.model.missing import is_missing, whole_numbers
from mlops.workloads.floor.model.predictor import Prediction, Predictor
from mlops.workloads.floor.model.signature import Input, class_name, write_json
from mlops.workloads.floor.records.layout import INPUT, LABEL, PREDICTION, PROBABILITY, TIME
from mlops.workloads.train import environment
from mlops.workloads.train.data import Data
from mlops.workloads.train.evaluate import decimal
from mlops.workloads.train.unusual import UNSEEN

MAX_REFERENCE_ROWS = 20_000  # of each part
Inputs = dict[str, NDArray[Any]]


def inputs_of(frame: pl.DataFrame, inputs: tuple[Input, ...]) -> Inputs:
    """Return the arrays that `Predictor.predict` takes."""
    return {one.name: array_of(frame[one.name]) for one in inputs}


def sample(frame: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Return at most so many rows, chosen by the seed, in their order."""
    if frame.height <= most:
        return frame
    chosen = np.random.Generator(np.random.PCG64(seed)).choice(frame.height, size=most, replace=False)
    rows: list[int] = np.sort(chosen).tolist()
    return frame[rows]


def write_rest(
    predictor: Predictor, data: Data, seed: int, metrics: Mapping[Part, Mapping[str, float]], folder: Path
) -> Prediction:
    """Write golden.json, reference.parquet, metrics.json and environment.json; return the recorded golden answers."""
    recorded = write_golden(predictor, golden_inputs(predictor, data, seed), folder)
    write_reference(predictor, data, seed, folder / "reference.parquet")
    shown = {part: {name: decimal(value) for name, value in values.items()} for part, values in metrics.items()}
    write_json({"formatVersion": 1, "metrics": shown}, folder / "metrics.json")
    write_json(environment.described(), folder / "environment.json")
    return recorded


def golden_inputs(predictor: Predictor, data: Data, seed: int) -> Inputs:
    """Return rows to ask again: held-out ones, then the same with a missing value or an unseen category.

    Personal data stays out: a field that is marked so has the same value in every row, which is nobody's.
    """
    inputs = predictor.signature.inputs
    pool = data.held_out if data.held_out.height else data.parts["train"]
    # What only expressions read may have no value for a text that nobody has seen.
    seen = {column.name for column in predictor.signature.columns}
    strange = [one for one in inputs if one.nullable or (one.type == "string" and one.name in seen)]
    variants = strange[: MAX_GOLDEN_ROWS // 4]
    rows = sample(pool, MAX_GOLDEN_ROWS - len(variants), seed)
    columns = inputs_of(rows, inputs)
    indices = [*range(rows.height), *(number % rows.height for number in range(len(variants)))]
    golden: Inputs = {}
    for one in inputs:
        values = columns[one.name][indices]
        for number, variant in enumerate(variants):
            if variant.name == one.name:
                values = _with_variant(values, rows.height + number, one)
        golden[one.name] = _nobodys(one, len(indices), data) if one.name in data.schema.pii else values
    return golden


def _with_variant(values: NDArray[Any], row: int, one: Input) -> NDArray[Any]:
    if one.type == "string":
        changed = values.copy()
        changed[row] = None if one.nullable else UNSEEN
        return changed
    if one.type == "int64":
        # By way of Python's numbers: a float64 would cost the others their digits.
        numbers = [None if gap else int(value) for value, gap in zip(values.tolist(), is_missing(values), strict=True)]
        numbers[row] = None
        return whole_numbers(numbers)
    changed = values.copy() if one.type == "timestamp" else values.astype(np.float64)
    changed[row] = np.datetime64("NaT") if one.type == "timestamp" else np.nan
    return changed


def _nobodys(one: Input, rows: int, data: Data) -> NDArray[Any]:
    """Return (rows,) what stands for personal values: a missing one, where an array of the type can hold it.

    Whole numbers and booleans cannot; where a request may not lack them either, engines need not take anything else.
    """
    if not one.nullable and one.type == "boolean":
        return np.zeros(rows, dtype=np.bool_)
    if not one.nullable and one.type == "int64":
        known = data.parts["train"][one.name].drop_nulls().to_list()
        return np.full(rows, round(Fraction(sum(known), len(known) or 1)), dtype=np.int64)
    if one.type == "timestamp":
        return np.full(rows, np.datetime64("NaT", "us"))
    return np.full(rows, None, dtype=object) if one.type == "string" else np.full(rows, np.nan)


def write_reference(predictor: Predictor, data: Data, seed: int, path: Path) -> None:
    """Write the rows that drift checks compare with: in.<field>, label, time, part, out.prediction, out.p.<class>.

    Fields with personal data are left out, and so are timestamps and texts of which the model knows only what is
    computed of them: none of their values is expected to come again.
    """
    frames: list[pl.DataFrame] = []
    for part, rows in (("train", data.parts["train"]), ("test", data.held_out)):
        chosen = sample(rows, MAX_REFERENCE_ROWS, seed)
        if chosen.height:
            frames.append(_reference_of(predictor, data, chosen, part))
    # One thread's worth of fixed-size groups: the bytes do not depend on the number of processors.
    pl.concat(frames).write_parquet(
        path, compression="zstd", compression_level=3, row_group_size=MAX_REFERENCE_ROWS, statistics=True
    )


def _reference_of(predictor: Predictor, data: Data, rows: pl.DataFrame, part: str) -> pl.DataFrame:
    signature = predictor.signature
    answer = predictor.predict(inputs_of(rows, signature.inputs))
    columns = [rows[one.name].alias(INPUT + one.name) for one in signature.inputs if _is_compared(one, data)]
    columns.append(rows[signature.label.name].alias(LABEL))
    if data.schema.timestamp is not None and data.schema.timestamp not in data.schema.pii:
        columns.append(rows[data.schema.timestamp].alias(TIME))
    columns.append(pl.Series("part", [part] * rows.height, dtype=pl.String))
    columns.append(prediction_series(answer, signature.label.type, classifies=signature.classes is not None))
    if answer.probabilities is not None and signature.classes is not None:
        table = rounded(answer.probabilities)
        columns += [
            pl.Series(PROBABILITY + class_name(one), table[:, index]) for index, one in enumerate(signature.classes)
        ]
    return pl.DataFrame(columns)


def _is_compared(one: Input, data: Data) -> bool:
    if one.name in data.schema.pii or one.type == "timestamp":
        return False
    return one.type != "string" or data.schema.field(one.name).role == "feature"


def prediction_series(answer: Prediction, label_type: str, *, classifies: bool) -> pl.Series:
    """Return out.prediction: the label's type for classes, float64 for numbers."""
    if not classifies:
        return pl.Series(PREDICTION, rounded(answer.prediction))
    return pl.Series(PREDICTION, answer.prediction.tolist(), dtype=DTYPES[label_type])  # type: ignore[index]
