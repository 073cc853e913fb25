"""A model that this process never opens: a child without keys has it, and gives the answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.isolation.parent import Child, Ended
from mlops.workloads.model.answer import Answer
from mlops.workloads.model.contents import check_contents
from mlops.workloads.model.predictor import Predictor
from mlops.workloads.model.signature import Signature, read_signature
from mlops.workloads.pod import BadInput

# To be read and to answer a few rows; a forest of a gigabyte takes half a minute.
OPEN_SECONDS: Final = 120.0
SECONDS_A_ROW: Final = 0.05
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
        rows = len(next(iter(wanted.values())))
        classes = len(self.signature.classes or ())
        seconds = OPEN_SECONDS + SECONDS_A_ROW * rows
        most = 8 * rows * (classes + 1) + 1024
        try:
            _, found = self._child.ask("predict", {}, wanted, seconds=seconds, most=most)
        except Ended as error:
            raise refused(self._file, error) from error
        values, table = found.get("values"), found.get("probabilities")
        fits = values is not None and values.shape == (rows,) and values.dtype.kind == ("i" if classes else "f")
        if values is not None and fits and classes:
            fits = rows == 0 or bool(values.min() >= 0 and values.max() < classes)
        if table is not None:
            fits = fits and table.shape == (rows, classes) and table.dtype.kind == "f"
        if values is None or not fits:
            raise BadInput(
                Reason.OUTPUT_INVALID, f"{self._file}: its answer to {rows} rows is none that model.json promises"
            )
        return Answer(values, table)


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
    except Ended as error:
        raise refused(file, error) from error


def refused(file: str, error: Ended) -> BadInput:
    """Return the refusal of a model file that ended the process in which it was opened."""
    return BadInput(Reason.FORMAT_FORBIDDEN, f"{file}: {error}: such a model is never opened; export it again")


def model_file(folder: Path) -> str:
    """Return the name of the model's file, for messages."""
    return next((path.name for path in sorted(folder.glob("model.*")) if path.name != "model.json"), "the model")
