"""Where recorded rows and labels lie, and what their columns are called and hold: for those who write and who read.

A row of requests (`captures_prefix`) has the columns of `REQUEST`, `in.<field>` for each input, `out.prediction`, and
`out.p.<class>` for each class of a classifier. A label (`feedback_prefix`) has those of `LABELS`, and `label`: text for
a classifier, else float64. `records.reading` says which of them count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

# Microseconds, UTC.
TIMESTAMP: Final = pl.Datetime("us", "UTC")
KEY: Final = ("id", "row")
# Event time of a request, or a label's own time.
TIME: Final = "time"
# When the request came, by the clock of the server that answered it: no part of any digest.
ARRIVED: Final = "arrived"
# When a label came, by the server's clock.
RECEIVED: Final = "received"
LABEL: Final = "label"
VERSION, DIGEST, STAGE = "modelVersion", "modelDigest", "stage"
# Before the name of an input, and of a class.
INPUT: Final = "in."
PREDICTION: Final = "out.prediction"
PROBABILITY: Final = "out.p."
# In memory only: a hash of all that stands in the row, to tell equal ones apart.
CONTENT: Final = "_content"
# Ties in time are broken by the row's identity, so that nothing depends on which file a row came from.
CANONICAL: Final = (TIME, *KEY)
REQUEST: Final[Mapping[str, pl.DataType]] = {
    "id": pl.String(),
    "row": pl.Int64(),
    TIME: TIMESTAMP,
    ARRIVED: TIMESTAMP,
    VERSION: pl.Int64(),
    DIGEST: pl.String(),
    STAGE: pl.String(),
}
LABELS: Final[Mapping[str, pl.DataType]] = {"id": pl.String(), "row": pl.Int64(), TIME: TIMESTAMP, RECEIVED: TIMESTAMP}


def prediction_type(*, classifies: bool) -> pl.DataType:
    """Return the type of the recorded answer, and of the labels that are held against it."""
    return pl.String() if classifies else pl.Float64()


def captured_model(key: str) -> tuple[str, str] | None:
    """Return namespace and name of the model whose requests or labels lie under a key; None of any other key."""
    place, _, rest = key.partition("/")
    namespace, _, rest = rest.partition("/")
    name, slash, _ = rest.partition("/")
    return (namespace, name) if place == "captures" and slash else None


def captures_prefix(namespace: str, model_name: str, stage: str) -> str:
    """Return the store key under which a stage's captured requests lie: …/requests/<partition>/<file>.parquet."""
    return f"captures/{namespace}/{model_name}/{stage}/requests/"


def shadow_prefix(namespace: str, model_name: str, stage: str) -> str:
    """Return the store key under which the answers of candidates lie that were never returned, in files like those of
    `captures_prefix`: …/shadow/<partition>/<file>.parquet."""
    return f"captures/{namespace}/{model_name}/{stage}/shadow/"


def feedback_prefix(namespace: str, model_name: str, stage: str) -> str:
    """Return the store key under which labels lie: …/labels/<partition>/<file>.parquet."""
    return f"captures/{namespace}/{model_name}/{stage}/labels/"


def asked_prefix(namespace: str, model_name: str, stage: str) -> str:
    """Return the store key under which stand the rows that labels were asked for: …/asked/<partition>/<file>.jsonl."""
    return f"captures/{namespace}/{model_name}/{stage}/asked/"


# A partition is a day of event time, or a month when one flush spans many days (a replay, a backfill): a file per day
# would then be a file per row. Where one flush spans many months, the emptiest share a span of days: event times are
# the clients' choice, and must not choose the number of files.
SPANS = "dates="
_PARTITION = re.compile(r"(?:^|/)date=(\d{4})-(\d{2})(?:-(\d{2}))?/")
_SPAN = re.compile(r"(?:^|/)dates=(\d{4}-\d{2}-\d{2})--(\d{4}-\d{2}-\d{2})/")


def partition(timestamp: datetime, *, monthly: bool) -> str:
    """Return the partition of an event time: `date=2026-11-21/`, or `date=2026-11/`."""
    return timestamp.strftime("date=%Y-%m/" if monthly else "date=%Y-%m-%d/")


def partition_of_span(first: datetime, last: datetime) -> str:
    """Return the partition of event times from `first` to `last`: `dates=1981-02-03--2026-11-21/`."""
    return f"{SPANS}{first:%Y-%m-%d}--{last:%Y-%m-%d}/"


def partition_span(key: str) -> tuple[datetime, datetime] | None:
    """Return the event times [from, to) that a captured file's key allows, or None if it names no partition."""
    try:
        if found := _SPAN.search(key):
            return _day(found[1]), _day(found[2]) + timedelta(days=1)
        if found := _PARTITION.search(key):
            year, month = int(found[1]), int(found[2])
            start = datetime(year, month, int(found[3] or 1), tzinfo=UTC)
            if found[3]:
                return start, start + timedelta(days=1)
            return start, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        pass  # no day of any calendar
    return None


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def label_text(column: str, dtype: pl.DataType) -> pl.Expr:
    """Labels of a classifier as text: a captured 1, a fed back 1.0 and a class "1" are the same class."""
    value = pl.col(column)
    if dtype.is_float():
        whole = value.cast(pl.Int64, strict=False)
        return pl.when(value == whole).then(whole.cast(pl.String)).otherwise(value.cast(pl.String)).alias(column)
    if dtype.is_(pl.Categorical) or isinstance(dtype, pl.Enum):
        return value.cast(pl.String).alias(column)
    return value.cast(pl.String, strict=False).alias(column)


def finite(column: str) -> pl.Expr:
    """A number, with NaN and infinity as null: neither can be compared with anything."""
    value = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value).otherwise(None).alias(column)


def timestamp(column: str) -> pl.Expr:
    """A time in microseconds UTC, whatever resolution it was written with."""
    return pl.col(column).cast(TIMESTAMP).alias(column)
