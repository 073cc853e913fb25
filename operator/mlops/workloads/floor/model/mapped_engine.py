"""A map of its answers behind an engine whose file takes none: treelite and skops; see `statistics.score_map`."""

from __future__ import annotations

from mlops.api.reasons import Reason
from mlops.statistics.score_map import ScoreMap
from mlops.workloads.floor.model.answer import Answer, Columns
from mlops.workloads.floor.model.engines import Engine
from mlops.workloads.floor.model.signature import MappedScores, Signature
from mlops.workloads.floor.pod import BadInput


class MappedEngine:
    """Answers as the engine does, mapped: the class is then the most probable one."""

    def __init__(self, engine: Engine, signature: Signature, mapped: MappedScores) -> None:
        self._engine, self._file = engine, f"model.{signature.format}"
        self._classifies = signature.classes is not None
        self._map = ScoreMap(mapped.slope, mapped.bias)

    def run(self, columns: Columns) -> Answer:
        """Return the mapped answers. Raises BadInput as the engine does, and for a class without probabilities."""
        answer = self._engine.run(columns)
        if not self._classifies:
            return Answer(self._map.values(answer.values))
        if answer.probabilities is None:
            raise BadInput(Reason.OUTPUT_INVALID, f"{self._file}: gives no probabilities, and model.json maps them")
        table = self._map.probabilities(answer.probabilities)
        return Answer(table.argmax(axis=1), table)
