"""The live model's answers to rows that it has not answered: from a child without keys, which has the model."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mlops.api.reasons import Reason
from mlops.store.artifacts import Store
from mlops.workloads.floor.column_types import DTYPES
from mlops.workloads.floor.model.features import array_of
from mlops.workloads.floor.model.golden import rounded
from mlops.workloads.floor.model.isolated import IsolatedPredictor, child_for
from mlops.workloads.floor.model.opening import fetch
from mlops.workloads.floor.model.signature import Signature, class_name
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import INPUT, PREDICTION, PROBABILITY


def answered(store: Store, artifact: str, folder: Path, signature: Signature, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows, with a column `in.<name>` for each of the model's inputs, with its answers `out.*`.

    Raises BadInput (DataUnusable) for a model that does not answer, and the store's errors.
    """
    inputs = {one.name: array_of(_typed(rows[INPUT + one.name], DTYPES[one.type])) for one in signature.inputs}
    try:
        fetch(store, artifact, folder)
        with child_for(folder) as child:
            answer = IsolatedPredictor.open(folder, child).predict(inputs)
    except BadInput as error:
        raise BadInput(
            Reason.DATA_UNUSABLE, f"the live model does not answer the reference's rows: {error.message}"
        ) from error
    if signature.classes is None:
        return rows.with_columns(pl.Series(PREDICTION, rounded(answer.prediction)))
    names = [class_name(one) for one in answer.prediction.tolist()]
    columns = [pl.Series(PREDICTION, names, dtype=pl.String)]
    if answer.probabilities is not None:
        table = rounded(answer.probabilities)
        columns += [
            pl.Series(PROBABILITY + class_name(one), table[:, index]) for index, one in enumerate(signature.classes)
        ]
    return rows.with_columns(columns)


def _typed(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Values as training saw them: a check holds booleans as texts, and whole numbers as floats."""
    if dtype == pl.Boolean() and values.dtype == pl.String():
        return values == "true"
    return values.cast(dtype, strict=False)
