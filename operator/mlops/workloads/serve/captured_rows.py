"""What was answered, while it waits to be recorded: of a single row few bytes, made by one call, unpacked elsewhere.

Of both processes: the server packs, the one that encodes unpacks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from mlops.workloads.floor.model.missing import array_of_values, objects
from mlops.workloads.serve.record_plan import RecordPlan

if TYPE_CHECKING:
    from mlops.workloads.floor.model.lone_rows import Row, RowAnswer

Array = NDArray[Any]
# An answered row: its id, when it came, its event time, its values and its answer as JSON, in which a missing value is
# null. Times are microseconds since 1970.
CapturedRow: TypeAlias = bytes
# What a row takes beside its bytes while it waits: the object, its place in a queue, its size there.
ROW_BYTES: Final = 160
# Rows that are made columns in one go.
_AT_A_TIME: Final = 1000


@dataclass(frozen=True, eq=False)
class Block:
    """Rows as arrays (n,), ready to be written; `inputs` by the name of the field, probabilities (n, k).

    The prediction is a number, or the name of a class.
    """

    ids: Sequence[str]
    numbers: Array
    arrived: Array
    time: Array
    inputs: dict[str, Array]
    prediction: Array | list[str]
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

    def block(self, plan: RecordPlan) -> Block:
        """Return its rows as arrays."""
        names = {one.value: one.name for one in plan.classes or ()}
        return Block(
            ids=[self.id] * self.rows,
            numbers=np.arange(self.rows),
            arrived=np.full(self.rows, self.arrived, dtype=np.int64),
            time=np.broadcast_to(np.asarray(self.time, dtype=np.int64), (self.rows,)),
            inputs=dict(self.inputs),
            prediction=self.prediction if not names else [names[value] for value in self.prediction.tolist()],
            probabilities=self.probabilities,
        )


def _size(values: Array) -> int:
    texts = sum(map(sys.getsizeof, values.ravel().tolist())) if values.dtype == object else 0
    return 150 + values.nbytes + texts


def packed(identity: str, arrived: int, time: int, row: Row, answer: RowAnswer) -> CapturedRow:
    """Return a row and its answer in few bytes; times are microseconds since 1970: the server's clock, event time."""
    # A copy: orjson's own bytes keep the buffer that they were written into, some kilobytes.
    return bytes(memoryview(orjson.dumps((identity, arrived, time, row, answer.value, answer.probabilities))))


def block_of(rows: Sequence[Sequence[Any]], plan: RecordPlan) -> Block:
    """Return unpacked rows as arrays."""
    ids, arrived, times, values, answers, tables = zip(*rows, strict=True)
    columns = zip(*values, strict=True)
    classes = plan.classes
    return Block(
        ids=ids,
        numbers=np.zeros(len(rows), dtype=np.int64),
        arrived=np.array(arrived, dtype=np.int64),
        time=np.array(times, dtype=np.int64),
        inputs={one.name: array_of_values(one.type, column) for one, column in zip(plan.inputs, columns, strict=True)},
        prediction=np.array(answers, dtype=np.float64)
        if classes is None
        else [classes[index].name for index in answers],
        probabilities=None if tables[0] is None else np.array(tables, dtype=np.float64),
    )


# A message to the process that encodes: a document of JSON, and bytes.
Message: TypeAlias = "tuple[dict[str, Any], list[bytes]]"


def messages_of(items: Sequence[CapturedRow | CapturedRequest]) -> Iterator[Message]:
    """Yield what is sent for items, in their order: single rows together, and each request of several rows alone.

    A piece at a time, and a row is not touched one by one: the event loop gets its turns meanwhile.
    """
    run: list[CapturedRow] = []
    for item in items:
        is_row = isinstance(item, bytes)
        if run and (not is_row or len(run) >= _AT_A_TIME):
            yield _rows_message(run)
            run = []
        if isinstance(item, bytes):
            run.append(item)
        else:
            yield _request_message(item)
    if run:
        yield _rows_message(run)


def _rows_message(rows: list[CapturedRow]) -> Message:
    return {"rows": len(rows)}, [b"[", b",".join(rows), b"]"]


def _request_message(request: CapturedRequest) -> Message:
    arrays = {f"in.{name}": values for name, values in request.inputs.items()} | {"prediction": request.prediction}
    if request.probabilities is not None:
        arrays["probabilities"] = request.probabilities
    if isinstance(request.time, np.ndarray):
        arrays["time"] = request.time
    sent = {name: _sent(values) for name, values in arrays.items()}
    document = {
        "request": {
            "id": request.id,
            "rows": request.rows,
            "arrived": request.arrived,
            "time": None if "time" in arrays else request.time,
            "arrays": [[name, kind, list(arrays[name].shape), len(data)] for name, (kind, data) in sent.items()],
        }
    }
    return document, [data for _, data in sent.values()]


_JSON: Final = "json"


def _sent(values: Array) -> tuple[str, bytes]:
    if values.dtype.kind in "OU":
        return _JSON, orjson.dumps(values.ravel().tolist())
    return values.dtype.str, np.ascontiguousarray(values).tobytes()


def block_of_message(document: Mapping[str, Any], data: bytes | bytearray, plan: RecordPlan) -> Block:
    """Return the rows of one message."""
    if "rows" in document:
        return block_of(orjson.loads(data), plan)
    request = document["request"]
    arrays: dict[str, Array] = {}
    at = 0
    for name, kind, shape, size in request["arrays"]:
        part = memoryview(data)[at : at + size]
        flat = objects(orjson.loads(part)) if kind == _JSON else np.frombuffer(part, np.dtype(kind))
        arrays[name] = flat.reshape(shape)
        at += size
    return CapturedRequest(
        id=request["id"],
        rows=request["rows"],
        arrived=request["arrived"],
        time=arrays["time"] if request["time"] is None else request["time"],
        inputs={name.removeprefix("in."): values for name, values in arrays.items() if name.startswith("in.")},
        prediction=arrays["prediction"],
        probabilities=arrays.get("probabilities"),
    ).block(plan)
