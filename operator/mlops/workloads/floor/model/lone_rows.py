"""Rows that were asked one by one, answered in one run, each with the bits that it has alone.

A row is a list of plain values in the order of the signature's inputs: of a missing number (float64) NaN, of anything
else missing None, times in microseconds since 1970.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions import ExpressionError
from mlops.workloads.floor.expressions.errors import RowProblem
from mlops.workloads.floor.expressions.program import program
from mlops.workloads.floor.model.answer import Answer, checked
from mlops.workloads.floor.model.cleaning import OutsideTraining, missing_here, not_chosen, not_preceded
from mlops.workloads.floor.model.masks import token
from mlops.workloads.floor.model.predictor import Prediction, Predictor, class_array
from mlops.workloads.floor.model.probabilities import ROUNDING, SLACK
from mlops.workloads.floor.model.row_runs import RowAnswers, RowRun, columns_of_rows
from mlops.workloads.floor.model.signature import SIGNATURE_FILE, Signature
from mlops.workloads.floor.pod import BadInput

Row = list[Any]
MOST_ROWS: Final = 64
# How long a model may be asked in order to learn whether rows can be answered together.
_MEASURED_SECONDS: Final = 0.5
# How many rows are asked alone, and how many at least in runs of each size.
_ASKED_ROWS, _ROWS_OF_A_SIZE = 512, 96
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RowAnswer(NamedTuple):
    """`value` is the number of a regressor, or the index of a class; `probabilities` are those of all classes."""

    value: Any
    probabilities: list[float] | None = None


class LoneRows:
    """Answers rows of one model; `most` can be answered in one run. For one thread at a time, as a Predictor is."""

    def __init__(self, predictor: Predictor) -> None:
        signature = predictor.signature
        self.most = 1
        self._file = f"model.{signature.format}"
        self._cleans = [_step(step, signature) for step in signature.clean or ()]
        self._features = predictor.features
        names = [*(one.name for one in signature.inputs), *(one.name for one in signature.features)]
        slots = {name: slot for slot, name in enumerate(names)}
        self._masks = [(slots[mask.column], bytes.fromhex(mask.salt)) for mask in signature.masks or ()]
        # Whether a row as a client sends it is not the row that the model takes.
        self.changes_rows = bool(self._cleans or self._masks) or self._features is not None
        self._classes = len(signature.classes) if signature.classes is not None else 0
        self._run = _run_of(predictor, slots)

    def cleaned(self, row: Row) -> Row:
        """Return the row as training saw such rows. Raises OutsideTraining, and BadInput as `conditions.holds`."""
        for clean in self._cleans:
            row = clean(row)
        return row

    def completed(self, row: Row) -> Row:
        """Return the row with its features, and with tokens for what is masked. Raises BadInput."""
        if self._features is not None:
            row = self._features.added_to(row)
        if self._masks:
            row = row.copy()
            for slot, salt in self._masks:
                row[slot] = token(salt, row[slot]) if row[slot] else row[slot]
        return row

    def answer(self, rows: Sequence[Row]) -> list[RowAnswer | BadInput]:
        """Return the answer to each completed row, or why it has none."""
        try:
            return self._checked(self._run(rows), len(rows))
        except BadInput as error:
            if len(rows) == 1:
                return [error]
            # One of them is the cause. The others are to have their answers.
            return [found for row in rows for found in self.answer([row])]

    def _checked(self, found: RowAnswers, rows: int) -> list[RowAnswer | BadInput]:
        values, table = found
        if len(values) != rows or (table is not None and len(table) != rows):
            raise BadInput(Reason.OUTPUT_INVALID, f"{self._file}: {len(values)} answers to {rows} rows")
        if table is None:
            if self._classes:
                return [RowAnswer(value) for value in values]
            return [RowAnswer(value) if isfinite(value) else self._alone(value, None) for value in values]
        return [
            RowAnswer(value, row) if _sums_to_one(row) else self._alone(value, row)
            for value, row in zip(values, table, strict=True)
        ]

    def _alone(self, value: Any, row: list[float] | None) -> RowAnswer | BadInput:
        """One answer, held to what it may be and brought to it as any other."""
        if row is not None and len(row) == 2 and (two := _two(*row)) is not None:
            return RowAnswer(value, two)
        table = None if row is None else np.array([row], dtype=np.float64)
        try:
            good = checked(Answer(np.array([value]), table), self._file)
        except BadInput as error:
            return error
        return RowAnswer(value, None if good.probabilities is None else good.probabilities[0].tolist())


def _sums_to_one(row: list[float]) -> bool:
    """Whether probabilities are left as they are; of what is close to the bound the arrays' sum decides."""
    return min(row) >= 0.0 and max(row) <= 1.0 and abs(sum(row) - 1.0) <= 0.9 * ROUNDING


def _two(one: float, other: float) -> list[float] | None:
    """Two probabilities brought to the sum one, as `as_probabilities` does; None: let it do so."""
    total = one + other
    if 0.0 < one <= 1.0 and 0.0 < other <= 1.0 and 1.1 * ROUNDING < abs(total - 1.0) < 0.9 * SLACK:
        return [one / total, other / total]
    return None


def _run_of(predictor: Predictor, slots: Mapping[str, int]) -> RowRun:
    engine = predictor.engine
    on_rows = getattr(engine, "on_rows", None)
    if on_rows is not None:
        run: RowRun = on_rows(slots)
        return run
    return columns_of_rows(engine, {one.name: one.type for one in predictor.signature.columns}, slots)


# Cleaning, a row at a time; `cleaning` does the same to columns.


def _step(step: Any, signature: Signature) -> Callable[[Row], Row]:
    names = [one.name for one in signature.inputs]
    if step.drop_nulls:
        slots = [(names.index(name), name) for name in step.drop_nulls]

        def complete(row: Row) -> Row:
            for slot, name in slots:
                if _is_missing(row[slot]):
                    raise missing_here(name, 0)
            return row

        return complete
    if step.filter:
        return _chosen(step.filter, signature, names)
    slot, fill = names.index(step.fill_null.field), step.fill_null
    if fill.value is None:

        def preceded(row: Row) -> Row:
            if _is_missing(row[slot]):
                raise not_preceded(fill.field, 0)
            return row

        return preceded
    kind = signature.inputs[slot].type
    constant = _microseconds(str(fill.value)) if kind == "timestamp" else fill.value

    def filled(row: Row) -> Row:
        return [*row[:slot], constant, *row[slot + 1 :]] if _is_missing(row[slot]) else row

    return filled


def _chosen(condition: str, signature: Signature, names: list[str]) -> Callable[[Row], Row]:
    made = program(condition, {one.name: one.type for one in signature.inputs})
    holds = made.on({name: slot for slot, name in enumerate(names)})

    def chosen(row: Row) -> Row:
        try:
            found = holds(row)
        except RowProblem as problem:
            error = ExpressionError(condition, problem.message(hidden=True))
            raise BadInput(Reason.OUTPUT_INVALID, f"{SIGNATURE_FILE}: clean: {error}") from error
        if not found:
            raise not_chosen(condition, 0)
        return row

    return chosen


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _microseconds(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


# Holding it to what the Predictor answers


def lone_rows(predictor: Predictor, inputs: Mapping[str, NDArray[Any]], until: float) -> LoneRows | None:
    """Return what answers rows that come alone, or None if it does not give the bits that `predict` gives.

    The recorded rows (`inputs`, (n,)) and rows made of their values are asked one by one, and then together in runs of
    2, 3, 4 ... rows: as many as keep their bits in every run may be answered in one. An engine that adds up in another
    order for more rows is given one at a time; it may show in one row of a hundred only, so many rows are asked. At the
    time `until` (of time.monotonic) it has measured enough.
    """
    signature = predictor.signature
    rows = rows_of(signature.inputs, inputs)
    lone = LoneRows(predictor)
    try:
        completed = [lone.completed(row) for row in rows]
        singles = [lone.answer([row])[0] for row in completed]
        for number, single in enumerate(singles):
            alone = predictor.predict({name: values[number : number + 1] for name, values in inputs.items()})
            if isinstance(single, BadInput) or not _equals(single, alone, signature):
                return None
    except (BadInput, OutsideTraining):
        return None
    begun = time.thread_time()

    def is_over(share: float = 1.0) -> bool:
        # Of this thread's time: other programs on the node must not make a server answer rows one at a time.
        return time.monotonic() > until or time.thread_time() - begun > share * _MEASURED_SECONDS

    lone.most = _most(lone, *_with_made_up(lone, signature, rows, completed, singles, is_over), is_over)
    return lone


def _with_made_up(
    lone: LoneRows,
    signature: Signature,
    rows: Sequence[Row],
    completed: Sequence[Row],
    singles: Sequence[RowAnswer | BadInput],
    is_over: Callable[[float], bool],
) -> tuple[list[Row], list[Any]]:
    """Return completed rows, those given and others of their values, and what tells each one's answer alone."""
    chance = np.random.default_rng(0)
    asked, told = list(completed), [_bits(one) for one in singles]
    for _ in range(2 * _ASKED_ROWS):
        if len(asked) >= _ASKED_ROWS or is_over(0.5):
            break
        picked = chance.integers(0, len(rows), len(signature.inputs)).tolist()
        row = [rows[at][slot] for slot, at in enumerate(picked)]
        for slot, one in enumerate(signature.inputs):
            if one.type == "float64" and row[slot] is not None:
                row[slot] *= float(chance.uniform(0.7, 1.3))
        try:
            made = lone.completed(lone.cleaned(row))
        except (BadInput, OutsideTraining):
            continue
        asked.append(made)
        told.append(_bits(lone.answer([made])[0]))
    return asked, told


def _most(lone: LoneRows, asked: Sequence[Row], told: Sequence[Any], is_over: Callable[[], bool]) -> int:
    """Return the largest number of rows up to which every run tells of each row what it tells alone."""

    def wrong_in(begin: int, size: int) -> int | None:
        run = [(begin + number) % len(asked) for number in range(size)]
        together = lone.answer([asked[at] for at in run])
        return next((at for at, one in zip(run, together, strict=True) if _bits(one) != told[at]), None)

    begin = 0
    for size in range(2, MOST_ROWS + 1):
        for _ in range(-(-_ROWS_OF_A_SIZE // size)):
            wrong = wrong_in(begin, size)
            begin += size
            if wrong is not None:
                # Smaller runs had other rows: what they do to this one is to be seen.
                return next((least - 1 for least in range(2, size) if wrong_in(wrong, least) is not None), size - 1)
            if is_over():
                return size - 1
    return MOST_ROWS


class Field(Protocol):
    """What is known of an input: its name and its type."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> str: ...


def rows_of(fields: Iterable[Field], inputs: Mapping[str, NDArray[Any]]) -> list[Row]:
    """Return columns (n,) as rows."""
    columns = [_plain(one.type, inputs[one.name]) for one in fields]
    return [list(row) for row in zip(*columns, strict=True)]


def _plain(kind: str, values: NDArray[Any]) -> list[Any]:
    if kind == "timestamp":
        gaps = np.isnat(values).tolist()
        return [None if gap else one for one, gap in zip(values.astype(np.int64).tolist(), gaps, strict=True)]
    found: list[Any] = values.tolist()
    if kind == "float64":
        return found
    makes: Callable[[Any], Any] = {"int64": int, "boolean": bool, "string": str}[kind]
    # What is float64 for its gaps' sake holds whole numbers exactly.
    return [None if one is None or one != one else makes(one) for one in found]


def _equals(one: RowAnswer, alone: Prediction, signature: Signature) -> bool:
    value = one.value if signature.classes is None else class_array(signature.classes)[one.value]
    table = None if alone.probabilities is None else alone.probabilities[0].tolist()
    return bool(value == alone.prediction[0]) and _bits(RowAnswer(0, one.probabilities)) == _bits(RowAnswer(0, table))


def _bits(one: RowAnswer | BadInput) -> Any:
    """Return what two answers have in common that are the same to the last bit, and to its sign."""
    if isinstance(one, BadInput):
        return one.message
    return repr(one.value), repr(one.probabilities)
