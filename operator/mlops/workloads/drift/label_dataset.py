"""Labels that are rows of a Dataset, joined point-in-time.

A request at t about an entity is labelled by the first row of that entity that is dated in [t, t + within]: nothing
from before the request's own time counts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from mlops.api.base import parse_duration
from mlops.api.label_sources import LabelSource
from mlops.api.reasons import Reason
from mlops.workloads.floor.dataset_version import PARTS, DatasetVersion
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import KEY, LABEL, RECEIVED, TIME, TIMESTAMP, label_text
from mlops.workloads.floor.records.reading import Span

# Before the name of a join key, in the rows of a window.
JOIN: Final = "_key."
_AT: Final = "_at"


def join_keys(source: LabelSource, version: DatasetVersion, place: str) -> tuple[str, ...]:
    """Return the fields that tell entities. Raises BadInput for a Dataset that cannot be joined, with the way out."""
    keys = source.join_keys or version.entity_keys
    lacks = [
        what
        for what, has in (("label", version.label), ("timestamp", version.timestamp), ("entityKey", keys))
        if not has
    ]
    if lacks:
        raise _invalid(
            f"{place}.datasetRef: {version.shown} has no field of role {' and none of role '.join(lacks)}: labels are "
            "joined by all three"
        )
    if unknown := [key for key in keys if key not in version.types]:
        raise _invalid(
            f"{place}.joinKeys: {version.shown} has no field {unknown[0]!r}: it has {', '.join(sorted(version.types))}"
        )
    if personal := [key for key in keys if key in version.pii and key not in version.recorded_pii]:
        raise _invalid(
            f"{place}.joinKeys: {personal[0]!r} is personal data, which captured requests leave out: name another key, "
            f"or name it in spec.governance.piiInCaptures of {version.shown}"
        )
    return tuple(keys)


def joined_labels(
    source: LabelSource, version: DatasetVersion, keys: tuple[str, ...], rows: pl.DataFrame, span: Span
) -> tuple[pl.DataFrame, int]:
    """Return the labels of `rows` (id, row, time, and the keys as text) with their own times, and how many labels dated
    in the span belong to none of them. A row with several labels of the same time has all of them here."""
    within = parse_duration(source.within or "0s")
    columns = [JOIN + key for key in keys]
    asked = rows.select(*KEY, TIME, *columns).drop_nulls(columns)
    found = _rows_of(version, keys, asked.select(columns).unique(), span, within)
    # One row an entity and time: which one is the first is not a question of how often it is there.
    times = found.select(*columns, pl.col(_AT)).unique().sort(_AT)
    first = asked.sort(TIME).join_asof(
        times.with_columns(pl.col(_AT).alias("_first")),
        left_on=TIME,
        right_on=_AT,
        by=columns,
        strategy="forward",
        tolerance=within,
        check_sortedness=False,
    )
    first = first.filter(pl.col("_first").is_not_null()).select(*KEY, *columns, pl.col("_first").alias(_AT))
    labels = first.join(found, on=[*columns, _AT], how="inner").select(
        *KEY, pl.col(_AT).alias(TIME), pl.lit(None, TIMESTAMP).alias(RECEIVED), LABEL
    )
    used = found.join(first.select(*columns, _AT).unique(), on=[*columns, _AT], how="semi")
    unmatched = _dated_in(version, span) - used.filter(span.holds(_AT)).height
    return labels, unmatched


def _rows_of(
    version: DatasetVersion, keys: tuple[str, ...], entities: pl.DataFrame, span: Span, within: timedelta
) -> pl.DataFrame:
    """Return keys, time and label of the rows that may label a request of the span."""
    parts = []
    for part in PARTS:
        frame = version.scan(part)
        schema = frame.collect_schema()
        chosen = frame.filter(
            (pl.col(str(version.timestamp)) > span.start) & (pl.col(str(version.timestamp)) <= span.end + within)
        ).select(
            *(label_text(key, schema[key]).alias(JOIN + key) for key in keys),
            pl.col(str(version.timestamp)).cast(TIMESTAMP).alias(_AT),
            pl.col(str(version.label)).alias(LABEL),
        )
        mine = chosen.join(entities.lazy(), on=entities.columns, how="semi")
        parts.append(mine.collect(engine="streaming"))
    return pl.concat(parts)


def _dated_in(version: DatasetVersion, span: Span) -> int:
    frames = (version.scan(part).filter(span.holds(str(version.timestamp))) for part in PARTS)
    return sum(int(frame.select(pl.len()).collect(engine="streaming").item()) for frame in frames)


def _invalid(message: str) -> BadInput:
    return BadInput(Reason.CONFIGURATION_INVALID, message)
