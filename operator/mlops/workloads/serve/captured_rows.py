"""What was answered, while it waits to be recorded: of a single row few bytes, made by one call, unpacked elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import orjson

from mlops.workloads.floor.model.lone_rows import Row, RowAnswer
from mlops.workloads.floor.model.missing import array_of_values
from mlops.workloads.floor.model.predictor import class_array
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.serve.tensors import Array

_OBJECT_BYTES = 120


class CapturedRow(NamedTuple):
    """One answered row: its values and answers as JSON, in which a missing value is null."""

    id: str
    # Microseconds since 1970: this server's clock, and event time.
    arrived: int
    time: int
    values: bytes

    @property
    def size(self) -> int:
        """How many bytes it takes while it waits, rounded up."""
        return _OBJECT_BYTES + sys.getsizeof(self.id) + sys.getsizeof(self.values)


@dataclass(frozen=True, eq=False)
class Block:
    """Rows as arrays (n,), ready to be written; `inputs` by the name of the field, probabilities (n, k)."""

    ids: Sequence[str]
    numbers: Array
    arrived: Array
    time: Array
    inputs: dict[str, Array]
    prediction: Array
    probabilities: Array | None


@dataclass(frozen=True, eq=False)
class CapturedRequest:
    """One answered request of n rows."""

    id: str
    rows: int
    # Microseconds since 1970: this server's clock, and event time: one for all rows, or (n,).
    arrived: int
    time: int | Array
    inputs: Mapping[str, Array]
    prediction: Array
    probabilities: Array | None

    @property
    def size(self) -> int:
        """How many bytes it takes while it waits, rounded up."""
        arrays = [self.time, self.prediction, self.probabilities, *self.inputs.values()]
        return 500 + sys.getsizeof(self.id) + sum(_size(one) for one in arrays if isinstance(one, np.ndarray))

    def block(self) -> Block:
        """Return its rows as arrays."""
        return Block(
            ids=[self.id] * self.rows,
            numbers=np.arange(self.rows),
            arrived=np.full(self.rows, self.arrived, dtype=np.int64),
            time=np.broadcast_to(np.asarray(self.time, dtype=np.int64), (self.rows,)),
            inputs=dict(self.inputs),
            prediction=self.prediction,
            probabilities=self.probabilities,
        )


def _size(values: Array) -> int:
    texts = sum(map(sys.getsizeof, values.ravel().tolist())) if values.dtype == object else 0
    return 150 + values.nbytes + texts


def packed(row: Row, answer: RowAnswer) -> bytes:
    """Return a row and its answer in few bytes."""
    # A copy: orjson's own bytes keep the buffer that they were written into, some kilobytes.
    return bytes(memoryview(orjson.dumps((row, answer.value, answer.probabilities))))


def block_of(rows: Sequence[CapturedRow], signature: Signature) -> Block:
    """Return rows as arrays."""
    unpacked = [orjson.loads(row.values) for row in rows]
    columns = zip(*(values for values, _, _ in unpacked), strict=True)
    values: list[Any] = [value for _, value, _ in unpacked]
    classes = signature.classes
    table = [one for _, _, one in unpacked]
    return Block(
        ids=[row.id for row in rows],
        numbers=np.zeros(len(rows), dtype=np.int64),
        arrived=np.array([row.arrived for row in rows], dtype=np.int64),
        time=np.array([row.time for row in rows], dtype=np.int64),
        inputs={
            one.name: array_of_values(one.type, column) for one, column in zip(signature.inputs, columns, strict=True)
        },
        prediction=np.array(values, dtype=np.float64) if classes is None else class_array(classes)[values],
        probabilities=None if table[0] is None else np.array(table, dtype=np.float64),
    )


def runs_of(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    """Yield items in their order: single rows together, at most so many, and each request of several rows alone."""
    run: list[Any] = []
    for item in items:
        is_row = isinstance(item, CapturedRow)
        if run and (not is_row or len(run) >= most):
            yield run
            run = []
        if is_row:
            run.append(item)
        else:
            yield [item]
    if run:
        yield run
