"""Labels that arrive after the answers: checked against what the model predicts."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mlops.workloads.floor.model.signature import Signature, class_name
from mlops.workloads.serve.errors import RequestError, shown
from mlops.workloads.serve.inference import checked_id, read_json
from mlops.workloads.serve.timestamps import microseconds

_FIELDS = frozenset({"id", "row", "label", "time"})
# Of a class that the model does not know.
_LONGEST_CLASS = 256
_TYPES = {"string": str, "int64": int, "boolean": bool}


@dataclass(frozen=True)
class Label:
    """What was true of one row of one request; times are microseconds since 1970."""

    id: str
    row: int
    label: str | int | float
    time: int
    received: int
    # Whether a classifier has this class.
    known: bool = True

    @property
    def size(self) -> int:
        """How many bytes it takes, rounded up: itself, its numbers, its id, and a text that is its label alone."""
        return 300 + sys.getsizeof(self.id) + (0 if self.known else sys.getsizeof(self.label))


def labels_message(labels: Sequence[Label]) -> tuple[dict[str, Any], list[bytes]]:
    """Return what is sent of labels to the process that encodes them; see `feedback_files`."""
    return {}, [orjson.dumps([[one.id, one.row, one.label, one.time, one.received] for one in labels])]


class FeedbackReader:
    """Reads `{"labels": [{"id", "row", "label", "time"}]}` for one model."""

    def __init__(self, signature: Signature, max_labels: int, max_decoded_bytes: int) -> None:
        self._max_labels, self._max_decoded_bytes = max_labels, max_decoded_bytes
        classes = signature.classes
        # By type too: 1 == True == 1.0 would otherwise pass for one another.
        self._classes = None if classes is None else {(type(one), one): class_name(one) for one in classes}
        self._kind = signature.label.type
        self._allowed = signature.label.enum
        self._listed = "" if classes is None else ", ".join(shown(one) for one in classes[:20])

    def read(self, body: bytes | bytearray, received: int) -> list[Label]:
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
        known, label = self._value(given.get("label"), f"{where}.label")
        return Label(
            id=checked_id(given.get("id"), f"{where}.id"),
            row=row,
            label=label,
            time=self._time(given.get("time"), where, received),
            received=received,
            known=known,
        )

    def _value(self, given: Any, where: str) -> tuple[bool, str | int | float]:
        """Return whether the model knows the label, and the label as it is recorded."""
        if self._classes is None:
            return True, self._number(given, where)
        name = self._classes.get((type(given), given)) if isinstance(given, str | int) else None
        return (True, name) if name is not None else (False, self._new_class(given, where))

    def _new_class(self, given: Any, where: str) -> str:
        """Return a class that the model does not know, if its Dataset may hold it: it came into the world later."""
        fits = type(given) is _TYPES.get(self._kind) and (type(given) is not int or -(1 << 63) <= given < 1 << 63)
        if not fits or given == "":
            raise RequestError(
                422, f"{where} is {shown(given)}, no {self._kind}; the model's classes are {self._listed}"
            )
        if self._allowed is not None and given not in self._allowed:
            listed = ", ".join(shown(one) for one in self._allowed[:20])
            raise RequestError(422, f"{where} is {shown(given)}; the Dataset's enum of the label is {listed}")
        name = class_name(given)
        if len(name) > _LONGEST_CLASS:
            raise RequestError(422, f"{where} has {len(name)} characters; a class has at most {_LONGEST_CLASS}")
        return name

    def _number(self, given: Any, where: str) -> int | float:
        if type(given) not in (int, float) or (type(given) is float and not math.isfinite(given)):
            raise RequestError(422, f"{where} is {shown(given)}; send a finite number")
        if self._kind != "int64":
            try:
                return float(given)
            except OverflowError:
                raise RequestError(422, f"{where} is {shown(given)}; send a number that a float64 holds") from None
        if given != int(given) or not -(1 << 63) <= given < 1 << 63:
            raise RequestError(422, f"{where} is {shown(given)}; the label is an int64: send a whole number of 64 bits")
        return int(given)

    def _time(self, given: Any, where: str, received: int) -> int:
        if given is None:
            return received
        if type(given) is not str:
            raise RequestError(422, f"{where}.time is {shown(given)}; send an RFC 3339 string")
        try:
            return microseconds(given)
        except ValueError as error:
            raise RequestError(422, f"{where}.time {shown(given)} {error}") from None
