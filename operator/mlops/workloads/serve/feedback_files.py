"""Labels as files, for drift checks. Imported by a server when the first labels are to be encoded."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mlops.api import tasks
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.floor.records.layout import LABEL, RECEIVED, TIME, TIMESTAMP, feedback_prefix, prediction_type
from mlops.workloads.serve.capture import partitioned
from mlops.workloads.serve.feedback import Label
from mlops.workloads.serve.file_names import FileNames
from mlops.workloads.serve.recorder import File


class FeedbackEncoder:
    """Turns labels into files; see `records.layout` for their columns."""

    def __init__(self, task: tasks.ServeTask, signature: Signature, names: FileNames) -> None:
        self._prefix = feedback_prefix(task.namespace, task.model_name, task.stage)
        whole = signature.classes is None and signature.label.type == "int64"
        self._type: pl.DataType = pl.Int64() if whole else prediction_type(classifies=signature.classes is not None)
        self._names = names

    def __call__(self, batches: Sequence[Sequence[Label]]) -> list[File]:
        """Return a file per day of the labels' own time, or per month if there are many; see `partitioned`."""
        labels = [label for batch in batches for label in batch]
        frame = pl.DataFrame(
            [
                pl.Series("id", [label.id for label in labels], dtype=pl.String),
                pl.Series("row", [label.row for label in labels], dtype=pl.Int64),
                pl.Series(LABEL, [label.label for label in labels], dtype=self._type),
                pl.Series(TIME, [label.time for label in labels], dtype=pl.Int64).cast(TIMESTAMP),
                pl.Series(RECEIVED, [label.received for label in labels], dtype=pl.Int64).cast(TIMESTAMP),
            ]
        )
        return partitioned(frame, self._prefix, self._names)
