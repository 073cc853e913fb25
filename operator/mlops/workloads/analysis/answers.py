"""What both versions answered since the candidate was first asked, and the labels of that, in bounded memory.

Which rows and labels count says `records.reading`: of several rows with one (id, row) the first that arrived, of labels
the last one received. Of more than MAX_ROWS rows of a version those with the smallest hashes of their identity are
kept: a sample that depends neither on the order of files nor on the answers. Rows that have a label are kept apart from
the others, so that few labels are not thinned out with many rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops.api.reasons import Reason
from mlops.statistics.balance import balance, slots
from mlops.store.artifacts import Store
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import (
    ARRIVED,
    CONTENT,
    DIGEST,
    INPUT,
    KEY,
    LABEL,
    PREDICTION,
    PROBABILITY,
    REQUEST,
    TIME,
    finite,
    label_text,
    prediction_type,
)
from mlops.workloads.floor.records.reading import (
    Span,
    chosen_labels,
    first_of_each,
    identity,
    labels_of_files,
    rows_of_files,
    written_since,
)

# Of each version, and of those that have a label.
MAX_ROWS: Final = 20_000
_HASH: Final = "_hash"
_TICK: Final = timedelta(microseconds=1)
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class RecordedPlaces:
    """Where rows of requests, of shadow answers and labels lie: prefixes of keys."""

    requests: str
    shadow: str
    labels: str


@dataclass(frozen=True)
class BothVersions:
    """The digests of both, and what is read of their answers.

    `classes` are empty of a regression; `inputs` are fields that costs are multiplied by.
    """

    stable: str
    candidate: str
    classes: tuple[str, ...]
    inputs: tuple[str, ...] = ()

    @property
    def shape(self) -> dict[str, Any]:
        """Names and types of the columns that are read."""
        shape: dict[str, Any] = {**{column: REQUEST[column] for column in (*KEY, TIME, ARRIVED)}, CONTENT: pl.UInt64()}
        shape |= {DIGEST: pl.String(), PREDICTION: prediction_type(classifies=bool(self.classes))}
        shape |= {PROBABILITY + name: pl.Float64() for name in self.classes}
        return shape | {INPUT + name: pl.Float64() for name in self.inputs}


@dataclass(frozen=True, eq=False)
class RowsOfBoth:
    """Rows of both versions in the order in which they arrived; of shadow answers row i of both is one request."""

    stable: pl.DataFrame
    candidate: pl.DataFrame

    @property
    def sizes(self) -> tuple[int, int]:
        """How many rows each has."""
        return self.stable.height, self.candidate.height


@dataclass(frozen=True, eq=False)
class Answers:
    """Rows that each version answered itself, `apart`, and those of the stable one beside the candidate's shadow
    answers, `paired`; the same of rows with a label."""

    apart: RowsOfBoth
    paired: RowsOfBoth
    labelled_apart: RowsOfBoth
    labelled_paired: RowsOfBoth


def read_answers(
    store: Store,
    place: RecordedPlaces,
    versions: BothVersions,
    since: datetime,
    *,
    labelled: bool,
    most: int = MAX_ROWS,
) -> Answers:
    """Read what arrived since; without `labelled` no label is read. Raises BadInput for a file that cannot be read."""
    labels = written_since(store, place.labels, since) if labelled else []
    known = _hashes(store, labels)
    shadow, shadow_labelled = _Rows(versions, most), _Rows(versions, most, known)
    for frame in rows_of_files(store, written_since(store, place.shadow, since)):
        rows = _taken(frame, versions, since).filter(pl.col(DIGEST) == versions.candidate)
        shadow.add(rows)
        shadow_labelled.add(rows)
    beside = np.concatenate([shadow.hashes(), shadow_labelled.hashes()])
    every, with_label = _Rows(versions, most), _Rows(versions, most, known)
    pairs = _Rows(versions, 2 * most, beside)
    for frame in rows_of_files(store, written_since(store, place.requests, since)):
        rows = _taken(frame, versions, since)
        for kept in (every, with_label, pairs):
            kept.add(rows)
    begins = every.first(versions.candidate)
    apart, known_apart = (_apart(kept.rows(), versions, begins) for kept in (every, with_label))
    paired, known_paired = (_paired(pairs.rows(), kept.rows(), versions) for kept in (shadow, shadow_labelled))
    told = _labels(store, labels, [known_apart.stable, known_apart.candidate, known_paired.stable], versions)
    labelled_apart, labelled_paired = (_with_labels(one, told) for one in (known_apart, known_paired))
    return Answers(balanced(apart), paired, balanced(labelled_apart), labelled_paired)


def balanced(compared: RowsOfBoth) -> RowsOfBoth:
    """Return the rows as far as both versions' lie in time alike: where the share of the candidate grew, fewer of the
    stable version's rows from when it was small, those with the smallest hashes."""
    arrived = compared.candidate[ARRIVED]
    slot = slots(np.ones(arrived.len(), dtype=np.int64))
    if not slot.shape[0]:
        return compared
    # A slot begins with its first row of the candidate, the first slot before all rows.
    begins = arrived.gather(np.flatnonzero(np.diff(slot)) + 1)
    places = begins.search_sorted(compared.stable[ARRIVED], side="right").to_numpy()
    count = int(slot[-1]) + 1
    counts = balance(np.bincount(places, minlength=count), np.bincount(slot, minlength=count))
    if counts.is_even:
        return compared
    stable = compared.stable.with_columns(pl.Series("_slot", places), pl.Series("_kept", counts.first[places]))
    rank = pl.col(_HASH).rank("ordinal").over("_slot") <= pl.col("_kept") * pl.len().over("_slot")
    return RowsOfBoth(
        stable.filter(rank).drop("_slot", "_kept"), compared.candidate.filter(pl.Series(counts.second[slot]))
    )


@dataclass
class _Rows:
    """Rows so far, at most `limit` of each version; with `among` only rows of these hashes."""

    versions: BothVersions
    limit: int
    among: Hashes | None = None
    frames: list[pl.DataFrame] = field(default_factory=list)
    pending: int = 0
    # By version, when the first row arrived.
    began: dict[str, datetime] = field(default_factory=dict)

    def add(self, frame: pl.DataFrame) -> None:
        for digest, arrived in frame.group_by(DIGEST).agg(pl.col(ARRIVED).min()).iter_rows():
            self.began[digest] = min(arrived, self.began.get(digest, arrived))
        rows = frame if self.among is None else frame.filter(np.isin(frame[_HASH].to_numpy(), self.among))
        self.frames.append(rows)
        self.pending += rows.height
        if self.pending > 4 * self.limit + 10_000:
            self.rows()

    def rows(self) -> pl.DataFrame:
        """Return what is kept: one row per identity, the smallest hashes of each version."""
        if not self.frames:
            return pl.DataFrame(schema={**self.versions.shape, _HASH: pl.UInt64()})
        first = first_of_each(pl.concat(self.frames)).sort(_HASH, *KEY)
        kept = first.group_by(DIGEST, maintain_order=True).head(self.limit).select(first.columns)
        self.frames, self.pending = [kept], kept.height
        return kept

    def hashes(self) -> Hashes:
        return self.rows()[_HASH].to_numpy()

    def first(self, digest: str) -> datetime | None:
        return self.began.get(digest)


def _taken(frame: pl.DataFrame, versions: BothVersions, since: datetime) -> pl.DataFrame:
    """Return the rows of both versions that arrived since, as `BothVersions.shape` has them."""
    present = frame.schema
    if DIGEST not in present:
        raise BadInput(Reason.DATA_UNUSABLE, f"a captured file lacks the column {DIGEST}")
    mine = frame.filter(
        pl.col(DIGEST).is_in([versions.stable, versions.candidate]) & (pl.col(ARRIVED) >= since).fill_null(False)
    )
    return mine.select(_as(column, dtype, present) for column, dtype in versions.shape.items()).with_columns(identity())


def _as(column: str, dtype: Any, present: pl.Schema) -> pl.Expr:
    if column not in present:
        return pl.lit(None, dtype).alias(column)
    if column == PREDICTION and dtype == pl.String():
        return label_text(column, present[column])
    if dtype == pl.Float64():
        return finite(column)
    return pl.col(column)


def _hashes(store: Store, labels: list[str]) -> Hashes:
    """Return the hashes of rows that have a label: eight bytes each."""
    found: Hashes = np.zeros(0, dtype=np.uint64)
    pending: list[Hashes] = []
    for key, frame in labels_of_files(store, labels):
        if frame.schema["row"].is_integer() and frame.schema["id"] in (pl.String(), pl.Null()):
            rows = frame.select(*(pl.col(one).cast(REQUEST[one]) for one in KEY)).select(identity())
        else:
            raise BadInput(
                Reason.DATA_UNUSABLE, f"{key}: its columns are of other types than servers write: take the file away"
            )
        pending.append(rows[_HASH].to_numpy())
        if sum(one.shape[0] for one in pending) > 1_000_000:
            found, pending = np.unique(np.concatenate([found, *pending])), []
    return np.unique(np.concatenate([found, *pending]))


def _apart(rows: pl.DataFrame, versions: BothVersions, begins: datetime | None) -> RowsOfBoth:
    """Return the rows of each version; the stable one's from the first of the candidate's on."""
    if begins is None:
        rows = rows.clear()
    else:
        rows = rows.filter(pl.col(ARRIVED) >= begins)
    ordered = rows.drop_nulls(PREDICTION).sort(ARRIVED, *KEY)
    return RowsOfBoth(
        ordered.filter(pl.col(DIGEST) == versions.stable), ordered.filter(pl.col(DIGEST) == versions.candidate)
    )


def _paired(answered: pl.DataFrame, shadow: pl.DataFrame, versions: BothVersions) -> RowsOfBoth:
    """Return the stable version's rows that the candidate answered too, and its answers to them."""
    stable = answered.filter(pl.col(DIGEST) == versions.stable).drop_nulls(PREDICTION)
    candidate = shadow.drop_nulls(PREDICTION)
    stable = stable.join(candidate.select(KEY), on=KEY, how="semi").sort(ARRIVED, *KEY)
    return RowsOfBoth(stable, stable.select(KEY).join(candidate, on=KEY, how="left", maintain_order="left"))


def _labels(store: Store, labels: list[str], parts: Sequence[pl.DataFrame], versions: BothVersions) -> pl.DataFrame:
    """Return the labels of the rows: id, row, label."""
    rows = pl.concat([part.select(*KEY, TIME, ARRIVED) for part in parts]).unique(subset=KEY, maintain_order=True)
    first, last = rows[TIME].min(), rows[TIME].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return pl.DataFrame(schema={**{one: REQUEST[one] for one in KEY}, LABEL: pl.String()})
    span = Span(first - _TICK, last)
    return chosen_labels(labels_of_files(store, labels), span, rows, as_text=bool(versions.classes)).frame


def _with_labels(compared: RowsOfBoth, told: pl.DataFrame) -> RowsOfBoth:
    """Return the rows that have a label; of pairs both rows have the same one."""
    stable, candidate = (
        one.join(told, on=KEY, how="inner", maintain_order="left") for one in (compared.stable, compared.candidate)
    )
    return RowsOfBoth(stable, candidate)
