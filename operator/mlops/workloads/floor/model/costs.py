"""What the answers of a model cost, by the class that may be true: what the metric `cost` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlops.api.costs import LARGEST_COST, Cost
from mlops.statistics.arrays import FloatArray, IntArray
from mlops.statistics.metrics import Undefined

NO_COSTS = "nobody said what answers cost: set spec.costs of the TrainingRun, and train again"


def cost_table(
    costs: Sequence[Cost], classes: Sequence[str], said: IntArray, column: Callable[[str], FloatArray]
) -> FloatArray:
    """Return what each answer costs if a class is true, (n, k), columns as `classes`.

    `said` (n,) are the answers as indices of `classes`; `column` gives the values (n,) of an input. Raises Undefined
    without costs, and for amounts that are missing, negative or too large.
    """
    if not costs:
        raise Undefined(NO_COSTS)
    table = np.zeros((said.shape[0], len(classes)))
    for one in costs:
        if one.actual not in classes or one.predicted not in classes:
            continue  # a class that no row has
        rows = said == classes.index(one.predicted)
        amounts = 1.0 if one.column is None else _amounts(one.column, column(one.column))[rows]
        table[rows, classes.index(one.actual)] = float(one.cost) * amounts
    return table


def _amounts(name: str, values: FloatArray) -> FloatArray:
    """Return the amounts (n,) of the rows, each a number from 0 to LARGEST_COST."""
    for wrong, what in (
        (~np.isfinite(values), "has no value"),
        (values < 0.0, "is negative"),
        (values > LARGEST_COST, f"is above {LARGEST_COST:g}"),
    ):
        if rows := int(np.count_nonzero(wrong)):
            raise Undefined(
                f"{name}, by which a cost is multiplied, {what} in {rows} of {values.shape[0]} rows: have the Dataset "
                "refuse or clean such rows (min, max, clean)"
            )
    return values
