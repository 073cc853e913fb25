"""Computed features at prediction: the same SQL expressions over the same engine as at ingest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.dataset import FieldType
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions.sql_expressions import DTYPES, ExpressionError, check, compute
from mlops.workloads.floor.model.missing import EXACT, objects
from mlops.workloads.floor.model.signature import SIGNATURE_FILE, Signature
from mlops.workloads.floor.pod import BadInput


def frame_of(signature: Signature, inputs: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
    """Return a model's inputs as a frame of their declared types; NaN is null."""
    return pl.DataFrame([series_of(one.name, one.type, inputs[one.name]) for one in signature.inputs])


def series_of(name: str, kind: FieldType, values: NDArray[Any]) -> pl.Series:
    """Return an array as a series of the declared type; NaN, NaT, None are null."""
    if values.dtype.kind == "M":
        return pl.Series(name, values.astype("datetime64[us]")).dt.replace_time_zone("UTC")
    if values.dtype == object or values.dtype.kind == "U":
        return pl.Series(name, values.tolist(), dtype=DTYPES[kind])
    return pl.Series(name, values, nan_to_null=True).cast(DTYPES[kind])


def arrays_of(frame: pl.DataFrame) -> dict[str, NDArray[Any]]:
    """Return a frame's columns as arrays, see `missing`."""
    return {series.name: array_of(series) for series in frame.get_columns()}


def array_of(series: pl.Series) -> NDArray[Any]:
    """Return a series as an array, see `missing`."""
    if series.dtype == pl.String:
        return objects(series.to_list())
    if isinstance(series.dtype, pl.Datetime):
        return series.dt.cast_time_unit("us").dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    if series.dtype == pl.Boolean and series.null_count() == 0:
        return series.to_numpy().astype(np.bool_)
    if series.dtype.is_integer() and series.null_count() == 0:
        return series.to_numpy().astype(np.int64)
    if series.dtype.is_integer() and not series.is_between(-EXACT, EXACT).fill_null(True).all():
        return objects(series.to_list())
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def check_features(signature: Signature) -> None:
    """Hold the expressions of a model.json, whoever wrote it, against the list of what a Dataset may have.

    Raises BadInput(OutputInvalid) for an expression that is not allowed, or that gives another type than is written.
    """
    types: dict[str, FieldType] = {one.name: one.type for one in signature.inputs}
    for number, feature in enumerate(signature.features):
        where = f"{SIGNATURE_FILE}: features[{number}].expression"
        try:
            kind = check(feature.expression, types)
        except ExpressionError as error:
            raise BadInput(Reason.OUTPUT_INVALID, f"{where}: {error}") from error
        if kind != feature.type:
            raise BadInput(Reason.OUTPUT_INVALID, f"{where}: gives {kind}, and {feature.name!r} is {feature.type}")
        types[feature.name] = feature.type


def with_features(signature: Signature, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the inputs and the computed features of the same rows. Raises BadInput if they cannot be computed."""
    names = [*(one.name for one in signature.inputs), *(one.name for one in signature.features)]
    try:
        # Who asks need not see them again, and what a run or a version says is read by many: no value at all.
        frame = compute(frame_of(signature, inputs), signature.features, hidden=frozenset(names))
    except ExpressionError as error:
        raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE}: features: {error}") from error
    computed = arrays_of(frame.select([feature.name for feature in signature.features]))
    return {**inputs, **computed}
