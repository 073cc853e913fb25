"""The three engines: ONNX Runtime, treelite's own interpreter, scikit-learn. Each is imported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.floor.model.answer import Answer, Columns
from mlops.workloads.floor.model.encoding import Encoder, width
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.floor.pod import BadInput


class Engine(Protocol):
    """Answers rows given as columns (n,)."""

    def run(self, columns: Columns) -> Answer:
        """Return the answers to n rows."""
        ...


def open_engine(signature: Signature, folder: Path) -> Engine:
    """Open the model file that the signature names, with the map that it does not hold itself. Raises BadInput."""
    engine, mapped = _open_file(signature, folder), signature.mapped
    if mapped is None or mapped.in_graph:
        return engine
    from mlops.workloads.floor.model.mapped_engine import MappedEngine

    return MappedEngine(engine, signature, mapped)


def _open_file(signature: Signature, folder: Path) -> Engine:
    path = folder / f"model.{signature.format}"
    if not path.is_file():
        raise BadInput(Reason.OUTPUT_INVALID, f"{path.name} is missing: model.json says that the format is so")
    if signature.format == "onnx":
        from mlops.workloads.floor.model.onnx_engine import OnnxEngine

        return OnnxEngine(signature, path.read_bytes())
    if signature.encoding is None:
        raise BadInput(Reason.OUTPUT_INVALID, f"model.json: encoding is missing: {signature.format} takes a matrix")
    if signature.format == "treelite":
        from mlops.workloads.floor.model.treelite_engine import TreeliteEngine

        return TreeliteEngine(signature, path.read_bytes())
    from mlops.workloads.floor.model.skops_file import load_estimator

    return SklearnEngine(signature, load_estimator(path.read_bytes(), width(signature.encoding)))


class SklearnEngine:
    """A fitted scikit-learn estimator behind the encoding; classes are their indices in it."""

    def __init__(self, signature: Signature, estimator: Any) -> None:
        if signature.encoding is None:
            raise ValueError("an estimator needs an encoding")
        self._encoder = Encoder(signature.encoding)
        self._estimator = estimator
        self._classes = len(signature.classes) if signature.classes is not None else None

    def run(self, columns: Columns) -> Answer:
        """Return the estimator's own answers. Raises BadInput(OutputInvalid) if it has none."""
        matrix = self._encoder.matrix(columns)
        try:
            # An overflow on the way is its business; an answer that is not finite is refused by whoever asked.
            with np.errstate(all="ignore"):
                return self._answer(matrix)
        except Exception as error:
            problem = f"{type(error).__name__}: {str(error)[:300]}"
            raise BadInput(Reason.OUTPUT_INVALID, f"model.skops: it cannot answer: {problem}") from error

    def _answer(self, matrix: NDArray[np.float64]) -> Answer:
        if self._classes is None:
            return Answer(np.asarray(self._estimator.predict(matrix), dtype=np.float64).reshape(-1))
        values = np.asarray(self._estimator.predict(matrix)).astype(np.int64)
        if values.size and not (values.min() >= 0 and values.max() < self._classes):
            raise ValueError(f"its answers are other classes than the {self._classes} of model.json")
        if not hasattr(self._estimator, "predict_proba"):
            return Answer(values)
        return Answer(values, np.asarray(self._estimator.predict_proba(matrix), dtype=np.float64))
