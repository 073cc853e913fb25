"""The one reader of model artifacts: raw inputs in, predictions out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.workloads.floor.model.answer import Answer, checked
from mlops.workloads.floor.model.conditions import check_conditions
from mlops.workloads.floor.model.contents import check_contents
from mlops.workloads.floor.model.engines import Engine, open_engine
from mlops.workloads.floor.model.features import Features
from mlops.workloads.floor.model.masks import masked
from mlops.workloads.floor.model.signature import Signature, read_signature
from mlops.workloads.floor.pod import BadInput


@dataclass(frozen=True, eq=False)
class Prediction:
    """Answers to n rows.

    `prediction` is (n,): float64 of a regressor; of a classifier its classes, as objects (str), bool or int64.
    `probabilities` is (n, k) float64 in the order of `signature.classes`, or None where the model gives none.
    """

    prediction: NDArray[Any]
    probabilities: NDArray[np.float64] | None


class Predictor:
    """A loaded model. Safe to call from one thread at a time; loading checks everything that can be checked."""

    def __init__(self, signature: Signature, engine: Engine, features: Features | None = None) -> None:
        self.signature = signature
        self.engine = engine
        self.features = features
        self._classes = class_array(signature.classes) if signature.classes is not None else None
        self._columns = [column.name for column in signature.columns]

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """Open the model in `folder`.

        Raises BadInput: FormatForbidden for pickles and other foreign bytes under any name, UntrustedType for a
        skops file with a type that is not on the list, Incompatible for a newer format, OutputInvalid otherwise.
        """
        check_contents(folder)
        signature = read_signature(folder)
        # Before the model is opened: its expressions may come from anybody.
        features = Features(signature) if signature.features else None
        check_conditions(signature)
        return cls(signature, open_engine(signature, folder), features)

    def predict(self, inputs: Mapping[str, NDArray[Any]]) -> Prediction:
        """Answer n rows as training saw them; `inputs` has an array (n,) for each of the signature's inputs.

        What a client sends goes through `cleaning.Cleaning` before. How missing values are written says `missing`.
        Raises KeyError for an input that is not there.
        """
        answer = self.answer(inputs)
        if self._classes is None:
            return Prediction(answer.values, None)
        return Prediction(self._classes[answer.values], answer.probabilities)

    def answer(self, inputs: Mapping[str, NDArray[Any]]) -> Answer:
        """Return what the engine says of n rows, held to what an answer may be: numbers, or indices of classes."""
        columns = self.features.added(inputs) if self.features is not None else inputs
        if self.signature.masks:
            columns = masked(self.signature.masks, columns)
        answer = self.engine.run({name: columns[name] for name in self._columns})
        self._check_shape(answer, len(next(iter(inputs.values()))))
        return checked(answer, f"model.{self.signature.format}")

    def _check_shape(self, answer: Answer, rows: int) -> None:
        """One answer to each row, and of a classifier one probability for each class."""
        table = answer.probabilities
        fits = answer.values.shape == (rows,)
        if table is not None:
            fits = fits and table.shape == (rows, len(self._classes) if self._classes is not None else 0)
        if not fits:
            shown = answer.values.shape if table is None else (answer.values.shape, table.shape)
            raise BadInput(
                Reason.OUTPUT_INVALID, f"model.{self.signature.format}: answers to {rows} rows have shape {shown}"
            )


def class_array(classes: tuple[bool | int | str, ...]) -> NDArray[Any]:
    """Return the classes as an array of objects (str), bool or int64."""
    if all(isinstance(one, bool) for one in classes):
        return np.array(classes, dtype=np.bool_)
    if all(isinstance(one, int) for one in classes):
        return np.array(classes, dtype=np.int64)
    return np.array(classes, dtype=object)
