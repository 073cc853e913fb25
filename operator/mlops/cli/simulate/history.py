"""The recorded history of a model: requests and labels of a state folder, cut at a time."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from mlops.api.base import earlier, format_time, parse_duration
from mlops.api.drift_monitor import TargetRef
from mlops.cli.errors import UserError
from mlops.cli.scenario import Replay
from mlops.cli.state import State
from mlops.store.address import open_store
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import (
    ARRIVED,
    INPUT,
    KEY,
    LABEL,
    TIME,
    captures_prefix,
    feedback_prefix,
    timestamp,
)
from mlops.workloads.floor.records.reading import Span, first_of_each, labels_of, request_files

_EVER = Span(datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
_LATE = 0.99
_DURATION = re.compile(r"([0-9]{1,6}[dhms]){1,4}")
_ID, _AT = "_id", "_at"


@dataclass(frozen=True, eq=False)
class History:
    """Rows after `since` in the order of their time: `_id`, `_at`, inputs by name, `label`; labels come so late."""

    namespace: str
    target: TargetRef
    since: datetime
    frame: pl.DataFrame
    label_delay: timedelta
    # Of the first row that was recorded, also if it is from before the beginning.
    first: datetime

    @property
    def end(self) -> datetime:
        """Return the time of the last row."""
        last: datetime = self.frame[_AT][-1]
        return last

    def replay(self, file: str) -> Replay:
        """Return how the rows are replayed."""
        return Replay(
            file=file,
            model=self.target.model_name,
            stage=self.target.stage,
            id=_ID,
            time=_AT,
            label=LABEL,
            label_delay=f"{self.label_delay.days}d{self.label_delay.seconds}s",
        )


def recorded(state: State, namespace: str, target: TargetRef, since: str | None) -> History:
    """Return what was recorded after `since`: a length before the last row, such as 90d, or a time; all if None.

    Raises UserError if there is nothing, or not all that a model took.
    """
    place = f"{target.model_name} in stage {target.stage} of namespace {namespace}"
    store = open_store(state.store.resolve().as_uri(), os.environ)
    prefix = (namespace, target.model_name, target.stage)
    try:
        found = list(request_files(store, captures_prefix(*prefix), _EVER))
        if not found:
            raise UserError(f"no request of {place} was recorded in {state.folder}: a rehearsal replays what was")
        rows = first_of_each(pl.concat(found, how="diagonal_relaxed"))
        start = start_of(since, rows[TIME])
        late = _lateness(state, prefix, rows)
        answers = labels_of(store, feedback_prefix(*prefix), _EVER, rows, as_text=_is_text(rows))
    except BadInput as error:
        raise UserError(error.message) from error
    inputs = [name for name in rows.columns if name.startswith(INPUT)]
    after = rows.filter(pl.col(TIME) > start)
    if not after.height:
        raise UserError(f"--since {since}: no request of {place} was recorded after {format_time(start)}")
    identity = pl.when(pl.col("row") == 0).then("id").otherwise(pl.format("{}#{}", "id", "row")).alias(_ID)
    frame = (
        after.join(answers.frame, on=KEY, how="left")
        .select(
            identity,
            pl.col(TIME).alias(_AT),
            *(pl.col(name).alias(name.removeprefix(INPUT)) for name in inputs),
            LABEL,
        )
        .sort(_AT, _ID)
    )
    first = rows[TIME].min()
    assert isinstance(first, datetime)
    return History(namespace, target, start, frame, late, first)


def _is_text(rows: pl.DataFrame) -> bool:
    return not rows.schema["out.prediction"].is_float()


def start_of(since: str | None, times: pl.Series) -> datetime:
    """Return when history begins: so long before the last of `times`, at a time, or before the first of them.

    Raises UserError for a text that is neither.
    """
    first, last = times.min(), times.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    if since is None:
        return first - timedelta(microseconds=1)
    if _DURATION.fullmatch(since):
        return earlier(last, parse_duration(since))
    try:
        at = datetime.fromisoformat(since)
    except ValueError as error:
        raise UserError(f"--since {since!r}: say a length such as 90d, or a time such as 2026-01-31") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _lateness(state: State, prefix: tuple[str, str, str], rows: pl.DataFrame) -> timedelta:
    """Return how late labels come: as 99 of 100 did, by their own times."""
    known = _frames(state.store / feedback_prefix(*prefix))
    if not known:
        return timedelta(0)
    labels = pl.concat([one.select(*KEY, timestamp(TIME).alias("_labelled")) for one in known])
    late = rows.select(*KEY, TIME).join(labels, on=KEY).select((pl.col("_labelled") - pl.col(TIME)).alias("late"))
    found = late["late"].dt.total_seconds().quantile(_LATE, "higher")
    return timedelta(seconds=max(0.0, float(found or 0.0)))


def _frames(folder: Path) -> list[pl.DataFrame]:
    return [pl.read_parquet(path, glob=False) for path in sorted(folder.rglob("*.parquet"))]


def copy_earlier(history: History, source: State, target: State) -> int:
    """Copy what was recorded up to `since` into another state's store; return how many rows of requests."""
    prefix = (history.namespace, history.target.model_name, history.target.stage)
    count = 0
    for folder in (captures_prefix(*prefix), feedback_prefix(*prefix)):
        for path in sorted((source.store / folder).rglob("*.parquet")):
            frame = pl.read_parquet(path, glob=False)
            kept = frame.filter(frame.select(timestamp(TIME))[TIME] <= history.since)
            if kept.height:
                place = target.store / path.relative_to(source.store)
                place.parent.mkdir(parents=True, exist_ok=True)
                kept.write_parquet(place)
                count += kept.height if ARRIVED in frame.columns or "out.prediction" in frame.columns else 0
    return count
