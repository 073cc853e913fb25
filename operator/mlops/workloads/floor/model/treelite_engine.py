"""treelite's own interpreter behind the encoding: no compiler, no scikit-learn."""

from __future__ import annotations

import numpy as np
import treelite

from mlops.api.reasons import Reason
from mlops.workloads.floor.model.answer import Answer, Columns
from mlops.workloads.floor.model.encoding import Encoder, width
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.floor.model.treelite_file import check_treelite
from mlops.workloads.floor.pod import BadInput


class TreeliteEngine:
    """Trees as treelite serialises them; the answers equal scikit-learn's."""

    def __init__(self, signature: Signature, content: bytes) -> None:
        if signature.encoding is None:
            raise ValueError("trees need an encoding")
        self._encoder = Encoder(signature.encoding)
        forest = check_treelite(content)
        self._classes = len(signature.classes) if signature.classes is not None else None
        if forest.classes not in ((1, self._classes) if self._classes == 2 else (self._classes or 1,)):
            raise BadInput(
                Reason.INCOMPATIBLE,
                f"model.treelite: has {forest.classes} outputs, model.json has {self._classes or 'no'} classes",
            )
        try:
            self._model = treelite.Model.deserialize_bytes(content)
        except treelite.TreeliteError as error:
            raise BadInput(Reason.OUTPUT_INVALID, f"model.treelite: is no treelite model: {_problem(error)}") from error
        features = width(signature.encoding)
        if self._model.num_feature != features:
            raise BadInput(
                Reason.INCOMPATIBLE,
                f"model.treelite: takes {self._model.num_feature} numbers, the encoding makes {features}",
            )

    def run(self, columns: Columns) -> Answer:
        """Return the trees' answers; of two equally probable classes the first, as scikit-learn does."""
        # The interpreter decides on rows as it gets them; in float64 its answers are scikit-learn's bit for bit.
        try:
            found = treelite.gtil.predict(self._model, self._encoder.matrix(columns), nthread=1)
        except treelite.TreeliteError as error:
            raise BadInput(Reason.OUTPUT_INVALID, f"model.treelite: it cannot answer: {_problem(error)}") from error
        table = np.asarray(found, dtype=np.float64).reshape(found.shape[0], -1)
        if self._classes is None:
            return Answer(table[:, 0])
        if table.shape[1] == 1 and self._classes == 2:
            table = np.column_stack([1 - table[:, 0], table[:, 0]])
        return Answer(table.argmax(axis=1), table)


def _problem(error: treelite.TreeliteError) -> str:
    # Before it stand the time and a place in treelite's own source.
    return str(error).splitlines()[0].rpartition("Check failed: ")[2]
