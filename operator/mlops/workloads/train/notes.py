"""What a training did with the data that nobody asked for: told in the log, the report and the status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.api.task_report import ReportError, write_report
from mlops.api.training_run import MAX_NOTES
from mlops.api.training_task import TrainReport
from mlops.workloads.floor.model.encoding import LARGEST
from mlops.workloads.floor.model.signature import Encoding, TextEncoding


def notes_on(encoding: Encoding, columns: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """Return what the encoding leaves out of the columns (n,) to train on: rare categories, numbers beyond float32."""
    return (*_rare(encoding, columns), *_beyond(encoding, columns))


def _rare(encoding: Encoding, columns: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    for text in encoding.texts:
        counts = Counter(value for value in columns[text.column].tolist() if value)
        rare = counts.keys() - set(text.categories)
        if rare:
            rows = sum(counts[one] for one in rare)
            yield (
                f"{text.column}: {len(rare):,} of {len(counts):,} categories "
                f"({_percent(rows, columns[text.column].shape[0])} of rows) {_counts_as(text)}; "
                "estimator.maxCategories sets how many are told apart"
            )


def _counts_as(text: TextEncoding) -> str:
    return "count as unknown" if text.kind == "ordinal" else "count as one"


def _beyond(encoding: Encoding, columns: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    for number in encoding.numbers:
        values = np.asarray(columns[number.column], dtype=np.float64)
        beyond = int((np.abs(values) > LARGEST).sum())
        if beyond:
            yield (
                f"{number.column}: {beyond:,} of {values.shape[0]:,} rows lie beyond {LARGEST:.1e}, which float32 does "
                "not hold, and count as missing"
            )


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 1 else "less than 1 %"


def with_notes(report: TrainReport, notes: tuple[str, ...]) -> TrainReport:
    """Return the report with as many notes as it holds; the digests of files, a mere comfort, make room for them."""
    kept, bare = notes[:MAX_NOTES], report.evolve(files={})
    tried = [report.evolve(notes=kept), *(bare.evolve(notes=kept[:count]) for count in range(len(kept), 0, -1))]
    return next(filter(_fits, tried), report)


def _fits(report: TrainReport) -> bool:
    try:
        write_report(report)
    except ReportError:
        return False
    return True
