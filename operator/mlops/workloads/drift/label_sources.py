"""The labels of a window from all of spec.labels.sources: of several that have one for a row, the first counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.base import parse_duration
from mlops.api.drift_monitor import Labels
from mlops.api.label_sources import LabelSource
from mlops.store.artifacts import Store
from mlops.workloads.drift.label_dataset import join_keys, joined_labels
from mlops.workloads.floor.dataset_version import DatasetVersion
from mlops.workloads.floor.records.delivered import folder_of_source, label_files, message_of
from mlops.workloads.floor.records.layout import KEY, LABEL
from mlops.workloads.floor.records.reading import RecordedLabels, Span, chosen_labels, feedback_files, identity

# An id that stands for a further row of its request too.
_WITH_ROW = r"(?s)^(.*)/([1-9][0-9]{0,8})$"


@dataclass(frozen=True, eq=False)
class SourceLabels:
    """What one source gave: labels of the window's rows, and why there are none, if that is known.

    `disagreeing` are rows for which a source before this one has another label.
    """

    source: str
    found: RecordedLabels
    message: str = ""
    disagreeing: int = 0


@dataclass(frozen=True)
class LabelPlaces:
    """Where a check finds its labels: the feedback's key in the store, the folder of delivered ones, a Dataset."""

    labels: Labels
    feedback: str
    inputs: Path | None = None
    dataset: DatasetVersion | None = None

    @property
    def wanted(self) -> tuple[LabelSource, ...]:
        """The sources in their order; none: feedback alone."""
        return self.labels.sources or ()

    @property
    def join_keys(self) -> tuple[str, ...]:
        """The fields by which a Dataset is joined: they are read of captured requests beside the model's inputs."""
        for number, source in enumerate(self.wanted):
            if source.dataset_ref and self.dataset:
                return join_keys(source, self.dataset, f"spec.labels.sources[{number}]")
        return ()

    @property
    def longest_wait(self) -> timedelta:
        """How young rows may be and still lack their label: maxDelay, or how long a Dataset's label may take."""
        spans = [parse_duration(each.within) for each in self.wanted if each.within]
        return max([parse_duration(self.labels.max_delay), *spans])


def labels_from(
    sources: LabelPlaces,
    store: Store,
    span: Span,
    rows: pl.DataFrame,
    *,
    as_text: bool,
    classes: tuple[str, ...],
    recorded: NDArray[np.uint64],
) -> tuple[RecordedLabels, tuple[SourceLabels, ...]]:
    """Return the labels of `rows` (id, row, time, arrived, join keys) from all sources, and what each of them gave."""
    delay = parse_duration(sources.labels.max_delay) or None

    def chosen(files: Iterator[tuple[str, pl.DataFrame]], *, after_arrival: bool) -> RecordedLabels:
        return chosen_labels(
            files,
            span,
            rows,
            as_text=as_text,
            classes=classes,
            recorded=recorded,
            after_arrival=after_arrival,
            late_after=delay,
        )

    if not sources.wanted:
        return chosen(feedback_files(store, sources.feedback, span), after_arrival=True), ()
    given = []
    for number, source in enumerate(sources.wanted):
        message = ""
        if source.feedback:
            found = chosen(feedback_files(store, sources.feedback, span), after_arrival=True)
        elif source.is_delivered:
            assert sources.inputs is not None
            folder = folder_of_source(sources.inputs, number)
            message = message_of(folder)
            found = chosen(_numbered(label_files(folder), recorded), after_arrival=False)
        else:
            assert sources.dataset is not None
            labels, unmatched = joined_labels(source, sources.dataset, sources.join_keys, rows, span)
            found = chosen(iter([(source.shown, labels)]), after_arrival=False)
            # Of a sample it is not known which labels are of rows that were left out.
            is_sample = rows.height < np.unique(recorded).shape[0]
            found = replace(found, unmatched=0 if is_sample else unmatched)
        given.append(SourceLabels(source.shown, found, message))
    return _together(given)


def _numbered(
    files: Iterator[tuple[str, pl.DataFrame]], recorded: NDArray[np.uint64]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield labels with the number of their row: an id that is none of a request stands for a further row of one."""
    for name, frame in files:
        whole = frame.with_columns(pl.col("row").fill_null(0))
        known = pl.Series(np.isin(whole.select(identity())["_hash"].to_numpy(), recorded))
        parts = pl.col("id").str.extract_groups(_WITH_ROW)
        split = frame["row"].is_null() & ~known & frame["id"].str.contains(_WITH_ROW).fill_null(False)
        yield (
            name,
            whole.with_columns(
                pl.when(split).then(parts.struct.field("1")).otherwise(pl.col("id")).alias("id"),
                pl.when(split).then(parts.struct.field("2").cast(pl.Int64)).otherwise(pl.col("row")).alias("row"),
            ),
        )


def _together(given: list[SourceLabels]) -> tuple[RecordedLabels, tuple[SourceLabels, ...]]:
    """Put the sources' labels together, the first source's before all others'."""
    first, *rest = given
    told = [first]
    every = _said(first.found)
    for each in rest:
        said = _said(each.found)
        both = every.join(said, on=KEY, how="inner", suffix="_here")
        disagreeing = both.filter(pl.col(LABEL) != pl.col(f"{LABEL}_here")).height
        told.append(replace(each, disagreeing=disagreeing))
        every = pl.concat([every, said.join(every, on=KEY, how="anti")])
    known = pl.col("_known")
    found = [each.found for each in told]
    return (
        RecordedLabels(
            every.filter(known).drop("_known"),
            duplicates=sum(each.duplicates for each in found),
            conflicts=sum(each.conflicts for each in found),
            unmatched=sum(each.unmatched for each in found),
            unusable=sum(each.unusable for each in found),
            early=sum(each.early for each in found),
            unknown=every.filter(~known).drop("_known"),
            late=sum(each.late for each in found),
        ),
        tuple(told),
    )


def _said(found: RecordedLabels) -> pl.DataFrame:
    """A label per row, with whether it is a class that the model knows."""
    frames = [found.frame.with_columns(pl.lit(True).alias("_known"))]
    if found.unknown is not None:
        frames.append(found.unknown.with_columns(pl.lit(False).alias("_known")))
    return pl.concat(frames)
