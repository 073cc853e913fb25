"""Labels as files, for drift checks. In the process that encodes, see `encoding`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import polars as pl

from mlops.workloads.floor.records.layout import LABEL, RECEIVED, TIME, TIMESTAMP, feedback_prefix, prediction_type
from mlops.workloads.serve.capture import partitioned
from mlops.workloads.serve.file_names import File, FileNames
from mlops.workloads.serve.record_plan import RecordPlan

# Id, row, label, its own time, and when it was received; see `feedback.Label`.
ToldLabel: TypeAlias = tuple[str, int, str | int | float, int, int]


class FeedbackEncoder:
    """Turns labels into files; see `records.layout` for their columns."""

    def __init__(self, plan: RecordPlan, names: FileNames) -> None:
        self._prefix = feedback_prefix(plan.namespace, plan.model_name, plan.stage)
        self._type: pl.DataType = (
            pl.Int64() if plan.whole_labels else prediction_type(classifies=plan.classes is not None)
        )
        self._names = names

    def files(self, labels: Sequence[ToldLabel]) -> list[File]:
        """Return a file per day of the labels' own time, or per month if there are many; see `partitioned`."""
        frame = pl.DataFrame(
            [
                pl.Series("id", [one[0] for one in labels], dtype=pl.String),
                pl.Series("row", [one[1] for one in labels], dtype=pl.Int64),
                pl.Series(LABEL, [one[2] for one in labels], dtype=self._type),
                pl.Series(TIME, [one[3] for one in labels], dtype=pl.Int64).cast(TIMESTAMP),
                pl.Series(RECEIVED, [one[4] for one in labels], dtype=pl.Int64).cast(TIMESTAMP),
            ]
        )
        return partitioned(frame, self._prefix, self._names)
