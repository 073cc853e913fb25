"""The classification extension: instead of all probabilities the best classes, as `value:index:class`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlops.workloads.floor.model.missing import objects
from mlops.workloads.floor.model.signature import class_name
from mlops.workloads.serve.errors import RequestError, shown
from mlops.workloads.serve.tensors import Array

OUTPUT = "probabilities"


class Best(NamedTuple):
    """How an output is wanted: its `most` best classes, in binary or in JSON."""

    most: int
    binary: bool


def wanted(name: str, parameters: Mapping[str, Any], *, binary: bool) -> bool | Best:
    """Return how the output `name` is wanted by its parameters. Raises RequestError."""
    count = parameters.get("classification", 0)
    if type(count) is not int or count < 0:
        raise RequestError(
            400, f"classification of output {name!r} is {shown(count)}; send a whole number: how many classes"
        )
    if not count:
        return binary
    if name != OUTPUT:
        raise RequestError(
            422, f"output {name!r} has classification, but holds no value per class; ask for it of {OUTPUT!r}, if the "
            "model has it"
        )  # fmt: skip
    return Best(count, binary)


def best_classes(values: Array, classes: Sequence[bool | int | str], count: int) -> Array:
    """Return texts (n, min(count, k)) of probabilities (n, k), the highest first, of equals the one that is first."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :count]
    names = [class_name(one) for one in classes]
    texts = [
        f"{row[index]!r}:{index}:{names[index]}"
        for row, indices in zip(values.tolist(), order.tolist(), strict=True)
        for index in indices
    ]
    return objects(texts).reshape(order.shape)
