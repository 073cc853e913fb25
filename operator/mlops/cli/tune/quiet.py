"""Recorded history that is taken for quiet: the rows of a model, as its checks would have seen them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from mlops.api.base import format_time
from mlops.api.drift_monitor import DriftMonitor
from mlops.cli.errors import UserError
from mlops.cli.simulate.history import start_of
from mlops.cli.state import State
from mlops.store.address import open_store
from mlops.workloads.drift.label_sources import LabelPlaces
from mlops.workloads.drift.reference import Reference, load_reference
from mlops.workloads.drift.window import JudgedSpan, load_window
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import DIGEST, TIME, captures_prefix, feedback_prefix
from mlops.workloads.floor.records.reading import Span, request_files

_EVER = Span(datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, eq=False)
class QuietHistory:
    """Rows in time order as a window has them, all answered by the model of `reference`, in (start, end]."""

    reference: Reference
    frame: pl.DataFrame
    start: datetime
    end: datetime
    # How long a row's label may take.
    wait: timedelta

    @property
    def length(self) -> timedelta:
        """Return the time that it spans."""
        return self.end - self.start

    @property
    def labelled(self) -> int:
        """Return how many rows have a label."""
        return self.frame.height - self.frame["label"].null_count()


def quiet_history(state: State, monitor: DriftMonitor, since: str | None, until: str | None) -> QuietHistory:
    """Read what was recorded of the newest model that answered. Raises UserError for what cannot be tuned on."""
    spec, target = monitor.spec, monitor.spec.target_ref
    if spec.reference is not None and spec.reference.training_data is None:
        raise UserError(
            "spec.reference is not the training data: windows that are drawn from history have no season and no span "
            "to be compared with. Take spec.reference out of the file in -f to tune against what the model was trained "
            "on"
        )
    place = f"{target.model_name} in stage {target.stage} of namespace {monitor.metadata.namespace}"
    prefix = (monitor.metadata.namespace, target.model_name, target.stage)
    store = open_store(state.store.resolve().as_uri(), os.environ)
    places = LabelPlaces(spec.labels, feedback_prefix(*prefix))
    try:
        files = request_files(store, captures_prefix(*prefix), _EVER)
        found = [one.select(DIGEST, TIME) for one in files if DIGEST in one.columns]
        if not found:
            raise UserError(f"no request of {place} was recorded in {state.folder}: there is no history to tune on")
        rows = pl.concat(found).sort(TIME)
        start, end = start_of(since, rows[TIME]), _end(until, rows[TIME])
        inside = rows.filter((pl.col(TIME) > start) & (pl.col(TIME) <= end))
        if not inside.height:
            raise UserError(f"no request of {place} was recorded between {format_time(start)} and {format_time(end)}")
        model = str(inside[DIGEST][-1])
        reference = load_reference(store, model)
        window = load_window(
            store,
            reference,
            JudgedSpan(start, end, end),
            requests=captures_prefix(*prefix),
            labels=places,
            live=model,
            max_samples=10_000_000,
        )
    except BadInput as error:
        raise UserError(error.message) from error
    frame = window.frame.filter("live")
    first, last = frame["time"][0], frame["time"][-1]
    # A row stands for the time since the one before.
    step = (last - first) / max(1, frame.height - 1)
    return QuietHistory(reference, frame, first - step, last, places.longest_wait)


def _end(until: str | None, times: pl.Series) -> datetime:
    """Return the time until which history is quiet: that of the last row, or an earlier one."""
    last: datetime = times[-1]
    if until is None:
        return last
    try:
        at = datetime.fromisoformat(until)
    except ValueError as error:
        raise UserError(f"--until {until!r}: say a time such as 2026-01-31") from error
    return min(last, at if at.tzinfo else at.replace(tzinfo=UTC))
