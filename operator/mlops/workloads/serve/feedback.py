"""Labels that arrive after the answers: checked against what the model predicts, stored for drift checks."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from mlops.api import tasks
from mlops.workloads.floor.model.signature import Signature, class_name
from mlops.workloads.floor.records.layout import LABEL, RECEIVED, TIME, TIMESTAMP, feedback_prefix, prediction_type
from mlops.workloads.serve.capture import FileNames, partitioned
from mlops.workloads.serve.errors import RequestError, shown
from mlops.workloads.serve.inference import checked_id, read_json
from mlops.workloads.serve.recorder import File
from mlops.workloads.serve.timestamps import microseconds

_FIELDS = frozenset({"id", "row", "label", "time"})


@dataclass(frozen=True)
class Label:
    """What was true of one row of one request; times are microseconds since 1970."""

    id: str
    row: int
    label: str | float
    time: int
    received: int

    @property
    def size(self) -> int:
        """How many bytes it takes, rounded up: itself, its numbers, its id."""
        return 300 + sys.getsizeof(self.id)


class FeedbackReader:
    """Reads `{"labels": [{"id", "row", "label", "time"}]}` for one model."""

    def __init__(self, signature: Signature, max_labels: int, max_decoded_bytes: int) -> None:
        self._max_labels, self._max_decoded_bytes = max_labels, max_decoded_bytes
        classes = signature.classes
        # By type too: 1 == True == 1.0 would otherwise pass for one another.
        self._classes = None if classes is None else {(type(one), one): class_name(one) for one in classes}
        self._listed = "" if classes is None else ", ".join(shown(one) for one in classes[:20])

    def read(self, body: bytes, received: int) -> list[Label]:
        """Return the labels in `body`, all of them or none; raises RequestError naming the first bad one."""
        labels = read_json(body, self._max_decoded_bytes).get("labels")
        if type(labels) is not list or not labels:
            raise RequestError(400, 'the request has no list "labels" with at least one label')
        if len(labels) > self._max_labels:
            raise RequestError(
                413, f'"labels" has {len(labels)} entries, the limit is {self._max_labels}; send them in parts'
            )
        return [self._label(label, f"labels[{index}]", received) for index, label in enumerate(labels)]

    def _label(self, given: Any, where: str, received: int) -> Label:
        if type(given) is not dict:
            raise RequestError(400, f"{where} is no object")
        if unknown := given.keys() - _FIELDS:
            raise RequestError(
                400, f"{where} has an unknown field {shown(min(unknown))}; it takes id, row, label, time"
            )
        row = given.get("row", 0)
        if type(row) is not int or not 0 <= row < 1 << 31:
            raise RequestError(422, f"{where}.row is {shown(row)}; send the row's number in its request, from 0")
        return Label(
            id=checked_id(given.get("id"), f"{where}.id"),
            row=row,
            label=self._value(given.get("label"), where),
            time=self._time(given.get("time"), where, received),
            received=received,
        )

    def _value(self, given: Any, where: str) -> str | float:
        if self._classes is not None:
            name = self._classes.get((type(given), given)) if isinstance(given, str | int) else None
            if name is None:
                raise RequestError(422, f"{where}.label is {shown(given)}; the model's classes are {self._listed}")
            return name
        if type(given) not in (int, float) or not math.isfinite(given):
            raise RequestError(422, f"{where}.label is {shown(given)}; send a finite number")
        return float(given)

    def _time(self, given: Any, where: str, received: int) -> int:
        if given is None:
            return received
        if type(given) is not str:
            raise RequestError(422, f"{where}.time is {shown(given)}; send an RFC 3339 string")
        try:
            return microseconds(given)
        except ValueError as error:
            raise RequestError(422, f"{where}.time {shown(given)} {error}") from None


class FeedbackEncoder:
    """Turns labels into files; see `records.layout` for their columns."""

    def __init__(self, task: tasks.ServeTask, signature: Signature, names: FileNames) -> None:
        self._prefix = feedback_prefix(task.namespace, task.model_name, task.stage)
        self._type = prediction_type(classifies=signature.classes is not None)
        self._names = names

    def __call__(self, batches: Sequence[Sequence[Label]]) -> list[File]:
        """Return a file per day of the labels' own time, or per month if there are many; see `partitioned`."""
        labels = [label for batch in batches for label in batch]
        frame = pl.DataFrame(
            [
                pl.Series("id", [label.id for label in labels], dtype=pl.String),
                pl.Series("row", [label.row for label in labels], dtype=pl.Int64),
                pl.Series(LABEL, [label.label for label in labels], dtype=self._type),
                pl.Series(TIME, [label.time for label in labels], dtype=pl.Int64).cast(TIMESTAMP),
                pl.Series(RECEIVED, [label.received for label in labels], dtype=pl.Int64).cast(TIMESTAMP),
            ]
        )
        return partitioned(frame, self._prefix, self._names)
