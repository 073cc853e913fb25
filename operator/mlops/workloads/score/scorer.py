"""Answers to rows, each the bits that a server gives it when it is asked alone; and why others have none.

A row goes through what answers requests of one row, and as many rows are asked together as a server asks together.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.workloads.floor.column_types import DTYPES, plain_floats
from mlops.workloads.floor.expressions import computed_from
from mlops.workloads.floor.model.cleaning import Cleaning, OutsideTraining, may_miss
from mlops.workloads.floor.model.features import array_of
from mlops.workloads.floor.model.lone_rows import LoneRows, Row, RowAnswer, lone_rows, rows_of
from mlops.workloads.floor.model.masks import masked
from mlops.workloads.floor.model.missing import is_missing
from mlops.workloads.floor.model.opening import Loaded
from mlops.workloads.floor.model.predictor import class_array
from mlops.workloads.floor.model.signature import class_name
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import PREDICTION, PROBABILITY

# Rows that are plain values of Python at a time.
PIECE: Final = 4096
# How long it may take to find out how many rows can be asked together.
_MEASURED_SECONDS: Final = 2.0
_LISTED: Final = 8
_WORD = re.compile(r"[\w.-]+")
# What is said of a row that was asked alone counts it from 0, or from 1.
_ROW = re.compile(r"\s(?:in|to) row [01]\b|\brow [01] ")


@dataclass(frozen=True)
class RefusedRow:
    """A row without an answer: its place among those that were asked, why, and the inputs that this is about."""

    at: int
    rule: str
    inputs: tuple[str, ...]


class Scorer:
    """Answers rows by one model. For one thread at a time."""

    def __init__(self, loaded: Loaded) -> None:
        self.signature = loaded.predictor.signature
        self._predictor = loaded.predictor
        until = time.monotonic() + _MEASURED_SECONDS
        # As a server does: what it is None for, is asked as a request by itself.
        self._lone = lone_rows(loaded.predictor, loaded.golden.inputs, until)
        self._cleaning = Cleaning(self.signature)
        self._optional = may_miss(self.signature)
        self._classes = None if self.signature.classes is None else class_array(self.signature.classes)
        label = self.signature.label.type if self._classes is not None else "float64"
        names = [class_name(one) for one in self.signature.classes or ()] if loaded.gives_probabilities else []
        self.schema: dict[str, pl.DataType] = {
            PREDICTION: DTYPES[label],
            **{f"{PROBABILITY}{name}": pl.Float64() for name in names},
        }

    def answer(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[int], list[RefusedRow]]:
        """Return the answers to rows of the inputs, their places among these, and the rows that have none."""
        frames: list[pl.DataFrame] = []
        places: list[int] = []
        refused: list[RefusedRow] = []
        for first in range(0, frame.height, PIECE):
            found = self._piece(frame[first : first + PIECE])
            answers = {at: one for at, one in found if isinstance(one, RowAnswer)}
            places += [first + at for at in answers]
            refused += [self._refused(first + at, one) for at, one in found if isinstance(one, str)]
            frames.append(self._frame(list(answers.values())))
        return pl.concat(frames) if frames else self._frame([]), places, refused

    def _piece(self, frame: pl.DataFrame) -> list[tuple[int, RowAnswer | str]]:
        """Return by place, in their order, the answer to each row, or why there is none."""
        columns = {one.name: _array(frame[one.name]) for one in self.signature.inputs}
        found: dict[int, RowAnswer | str] = dict(self._outside(columns, frame.height))
        left = [at for at in range(frame.height) if at not in found]
        found |= self._alone(columns, left) if self._lone is None else self._together(self._lone, columns, left)
        return sorted(found.items())

    def _outside(self, columns: dict[str, NDArray[Any]], rows: int) -> Iterator[tuple[int, str]]:
        """Yield the rows that no request may have, as a server says it of a tensor."""
        told = np.zeros(rows, dtype=np.bool_)
        for name, values in columns.items():
            lacking = is_missing(values) & (name not in self._optional)
            endless = np.isinf(values) if values.dtype == np.float64 else np.zeros(rows, dtype=np.bool_)
            for at in np.flatnonzero((lacking | endless) & ~told).tolist():
                why = "is missing, but the field is not nullable" if lacking[at] else "is infinite"
                yield at, f"input {name!r} {why}"
            told |= lacking | endless

    def _together(
        self, lone: LoneRows, columns: dict[str, NDArray[Any]], places: Sequence[int]
    ) -> dict[int, RowAnswer | str]:
        found: dict[int, RowAnswer | str] = {}
        ready = self._completed(columns, places)
        if ready is None:
            # One of them is the cause: each is completed by itself, as a server does it.
            ready, rows = [], rows_of(self.signature.inputs, columns)
            for at in places:
                try:
                    ready.append((at, lone.completed(lone.cleaned(rows[at]))))
                except OutsideTraining as error:
                    found[at] = str(error)
                except BadInput as error:
                    found[at] = error.message
        for first in range(0, len(ready), lone.most):
            run = ready[first : first + lone.most]
            for (at, _), one in zip(run, lone.answer([row for _, row in run]), strict=True):
                found[at] = one.message if isinstance(one, BadInput) else one
        return found

    def _completed(self, columns: dict[str, NDArray[Any]], places: Sequence[int]) -> list[tuple[int, Row]] | None:
        """Return rows as the model takes them; None if there is one that it does not take. By arrays the values have
        the bits that they have row by row."""
        signature, features = self.signature, self._predictor.features
        if not places:
            return []
        chosen = list(places)
        try:
            made = self._cleaning({name: values[chosen] for name, values in columns.items()})
            made = features.added(made) if features is not None else made
        except (OutsideTraining, BadInput):
            return None
        made = masked(signature.masks or (), made)
        return list(zip(chosen, rows_of([*signature.inputs, *signature.features], made), strict=True))

    def _alone(self, columns: dict[str, NDArray[Any]], places: Sequence[int]) -> dict[int, RowAnswer | str]:
        found: dict[int, RowAnswer | str] = {}
        for at in places:
            try:
                answer = self._predictor.answer(
                    dict(self._cleaning({name: values[at : at + 1] for name, values in columns.items()}))
                )
            except OutsideTraining as error:
                found[at] = str(error)
            except BadInput as error:
                found[at] = error.message
            else:
                table = answer.probabilities
                found[at] = RowAnswer(answer.values[0].item(), None if table is None else table[0].tolist())
        return found

    def _frame(self, answers: Sequence[RowAnswer]) -> pl.DataFrame:
        names = list(self.schema)
        values = [one.value for one in answers]
        if self._classes is not None:
            values = self._classes[np.array(values, dtype=np.int64)].tolist()
        table = np.array([one.probabilities or () for one in answers], dtype=np.float64).reshape(len(answers), -1)
        columns = {PREDICTION: pl.Series(PREDICTION, values, dtype=self.schema[PREDICTION])}
        for slot, name in enumerate(names[1:]):
            # Of no rows there is no table.
            columns[name] = pl.Series(name, table[:, slot] if answers else [], dtype=pl.Float64)
        return pl.DataFrame(columns)

    def _refused(self, at: int, message: str) -> RefusedRow:
        rule = _ROW.sub("", message)
        names = [one.name for one in self.signature.inputs]
        named = {name for name in names if _names(rule, name)}
        for feature in self.signature.features:
            if _names(rule, feature.name):
                named |= self._inputs_of(feature.name)
        return RefusedRow(at, rule, tuple(name for name in names if name in named) or tuple(names[:_LISTED]))

    def _inputs_of(self, feature: str) -> set[str]:
        """Return the inputs that a feature is computed of, also by way of others."""
        expressions = {one.name: one.expression for one in self.signature.features}
        inputs = {one.name for one in self.signature.inputs}
        found, open_ = set[str](), [feature]
        while open_:
            reads = computed_from(expressions[open_.pop()], [*inputs, *expressions])
            found |= reads & inputs
            open_ += [one for one in reads if one in expressions and one not in inputs]
        return found


def _array(series: pl.Series) -> NDArray[Any]:
    return array_of(plain_floats(series) if series.dtype == pl.Float64 else series)


def _names(text: str, name: str) -> bool:
    return any(word.rstrip(".") == name for word in _WORD.findall(text))
