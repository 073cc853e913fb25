"""A model that this process never opens: a child without keys has it, and gives the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.floor.isolation.parent import Child, ChildEnded
from mlops.workloads.floor.model.answer import Answer, checked
from mlops.workloads.floor.model.contents import check_contents
from mlops.workloads.floor.model.predictor import Predictor
from mlops.workloads.floor.model.signature import Signature, read_signature
from mlops.workloads.floor.pod import BadInput

# To be read and to answer a few rows; a forest of a gigabyte takes half a minute.
OPEN_SECONDS: Final = 120.0
SECONDS_A_ROW: Final = 0.05
# What is asked at once. A letter takes six bytes of a frame at most, one beyond the first plane twelve.
PIECE_ROWS, PIECE_BYTES, _LETTER_BYTES = 50_000, 64 << 20, 12
# Of the model's bytes in memory: compressed numbers unpack, and an engine keeps a second form of them.
_MEMORY_BYTES, _MEMORY_A_BYTE = 4 << 30, 32


class IsolatedPredictor(Predictor):
    """Answers as a Predictor does, from a child. `child` must outlive it."""

    def __init__(self, signature: Signature, child: Child, file: str) -> None:
        # The child is the engine; the base class asks for nothing else of it.
        super().__init__(signature, _NoEngine())
        self._child, self._file = child, file

    @classmethod
    def open(cls, folder: Path, child: Child) -> IsolatedPredictor:
        """Have the child open the model in `folder`. Raises BadInput as `Predictor.load` does."""
        check_contents(folder)
        asked(child, "open", {"folder": str(folder)}, model_file(folder), OPEN_SECONDS)
        signature = read_signature(folder)
        return cls(signature, child, f"model.{signature.format}")

    def answer(self, inputs: Mapping[str, NDArray[Any]]) -> Answer:
        """Return what the model in the child says of n rows. Raises BadInput for no answer, or one of other shape."""
        wanted = {one.name: np.asarray(inputs[one.name]) for one in self.signature.inputs}
        answers = [
            self._answer({name: values[first:end] for name, values in wanted.items()}, end - first)
            for first, end in _pieces(wanted)
        ]
        tables = [one.probabilities for one in answers if one.probabilities is not None]
        if len(tables) not in (0, len(answers)):
            raise self._other_shape(len(next(iter(wanted.values()))))
        values = np.concatenate([one.values for one in answers])
        # The child said so, and nobody vouches for what runs in it.
        return checked(Answer(values, np.concatenate(tables) if tables else None), self._file)

    def _answer(self, wanted: Mapping[str, NDArray[Any]], rows: int) -> Answer:
        classes = len(self.signature.classes or ())
        seconds = OPEN_SECONDS + SECONDS_A_ROW * rows
        most = 8 * rows * (classes + 1) + 1024
        try:
            _, found = self._child.ask("predict", {}, dict(wanted), seconds=seconds, most=most)
        except ChildEnded as error:
            raise refused(self._file, error) from error
        values, table = found.get("values"), found.get("probabilities")
        fits = values is not None and values.shape == (rows,) and values.dtype.kind == ("i" if classes else "f")
        if values is not None and fits and classes:
            fits = rows == 0 or bool(values.min() >= 0 and values.max() < classes)
        if table is not None:
            fits = fits and table.shape == (rows, classes) and table.dtype.kind == "f"
        if values is None or not fits:
            raise self._other_shape(rows)
        return Answer(values, table)

    def _other_shape(self, rows: int) -> BadInput:
        return BadInput(
            Reason.OUTPUT_INVALID, f"{self._file}: its answer to {rows} rows is none that model.json promises"
        )


def _pieces(columns: Mapping[str, NDArray[Any]]) -> Iterator[tuple[int, int]]:
    """Yield first and last row of pieces that a frame and the child's memory hold, however large the data is."""
    rows = len(next(iter(columns.values())))
    sizes = np.full(rows, 8 * len(columns), dtype=np.int64)
    for values in columns.values():
        if values.dtype.kind in "OU":
            letters = (len(text) if isinstance(text, str) else 0 for text in values.tolist())
            sizes += _LETTER_BYTES * np.fromiter(letters, np.int64, rows)
    ends = np.cumsum(sizes)
    first = 0
    while first < rows or first == 0:
        before = int(ends[first - 1]) if first else 0
        fitting = int(np.searchsorted(ends, before + PIECE_BYTES, side="right"))
        end = min(rows, first + PIECE_ROWS, max(first + 1, fitting))
        yield first, end
        first = max(end, 1)


class _NoEngine:
    def run(self, columns: Mapping[str, NDArray[Any]]) -> Answer:
        """Not called: `answer` is."""
        raise RuntimeError("the model is in the child")


def child_for(folder: Path) -> Child:
    """Return a child with memory for the files in `folder`."""
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return Child(_MEMORY_BYTES + _MEMORY_A_BYTE * size)


def asked(child: Child, work: str, document: dict[str, Any], file: str, seconds: float) -> dict[str, Any]:
    """Return the child's document. Raises BadInput as the work does, and FormatForbidden for what ended the child."""
    try:
        return child.ask(work, document, seconds=seconds)[0]
    except ChildEnded as error:
        raise refused(file, error) from error


def refused(file: str, error: ChildEnded) -> BadInput:
    """Return the refusal of a model file that ended the process in which it was opened."""
    return BadInput(Reason.FORMAT_FORBIDDEN, f"{file}: {error}: such a model is never opened; export it again")


def model_file(folder: Path) -> str:
    """Return the name of the model's file, for messages."""
    return next((path.name for path in sorted(folder.glob("model.*")) if path.name != "model.json"), "the model")
