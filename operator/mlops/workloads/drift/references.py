"""What a window is compared with when it is not the model's training data: a Dataset, or captured rows of before.

Rows that the live version may have been trained on are no held-out ones: it is too good on them. Held out are a
Dataset's validation and test rows, and of captured rows those that the version answered itself, or that are newer than
all that it was trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from mlops.api.base import earlier, format_time, parse_duration, parse_time
from mlops.api.drift_reference import DriftReference, PinnedDataset, ReferenceSource
from mlops.api.reasons import Reason
from mlops.store.artifacts import Store
from mlops.workloads.drift.reference import Reference, make_reference
from mlops.workloads.drift.scoring import answered
from mlops.workloads.drift.window import JudgedSpan, Window
from mlops.workloads.floor.dataset_version import PARTS, DatasetVersion, fetch_dataset
from mlops.workloads.floor.model.described import signature_at
from mlops.workloads.floor.model.signature import Signature
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.floor.records.layout import INPUT, LABEL, PREDICTION, PROBABILITY, TIME, TIMESTAMP

# Of each part, as of training data.
MAX_ROWS: Final = 20_000
_OUTPUTS: Final = (PREDICTION, PROBABILITY)


def span_of_reference(wanted: DriftReference, window: Window) -> JudgedSpan | None:
    """Return the event time of captured rows that are the reference; None if it is none of captured rows.

    Raises BadInput for a reference that reaches into the window.
    """
    span = window.span
    # Of a window of so many rows, those that are judged by label may be older ones.
    begins = min([span.start, *window.judged["time"].head(1).to_list()])
    if wanted.window:
        start, end = parse_time(wanted.window.start), parse_time(wanted.window.end)
    elif wanted.seasonal:
        offset = parse_duration(wanted.seasonal.offset)
        start, end = earlier(span.start, offset), earlier(span.end, offset)
    else:
        return None
    if end > begins:
        raise BadInput(
            Reason.CONFIGURATION_INVALID,
            f"spec.reference: its rows reach to {format_time(end)}, the window begins at {format_time(begins)}: "
            "a window is not compared with itself; "
            + ("set offset to the window's length or more" if wanted.seasonal else "set an earlier end"),
        )
    # Labels of the last rows may not be there yet.
    return JudgedSpan(start, end, min(end, span.judged_until))


def of_window(
    captured: Window, trained: Reference, *, store: Store, artifact: str, folder: Path
) -> tuple[Reference, ReferenceSource]:
    """Make a reference of captured rows; what other versions answered is answered by the live one."""
    signature = signature_at(store, artifact)
    frame, remark = captured.frame, ""
    others = frame.filter(~pl.col("live"))
    lacking = _lacking(signature, trained, others)
    if others.height and not lacking:
        answers = answered(store, artifact, folder, signature, others.drop(_outputs(others)))
        frame = pl.concat([frame.filter("live"), answers.select(frame.columns)])
    elif others.height:
        cleared = others.with_columns(pl.lit(None, others.schema[name]).alias(name) for name in _outputs(others))
        frame = pl.concat([frame.filter("live"), cleared])
        remark = (
            f"; {others.height} rows of other versions have no answer of the live one, since captured rows lack its "
            f"input {lacking[0]}"
        )
    unseen = pl.col("live") | (pl.col(TIME) > _newest_row(trained)).fill_null(False)
    label = pl.when("judged").then(pl.col("label")).otherwise(None).alias(LABEL)
    rows = frame.with_columns(
        label, pl.when(unseen).then(pl.lit("test")).otherwise(pl.lit("train")).alias("part")
    ).select(*(name for name in frame.columns if name.startswith(INPUT)), LABEL, TIME, "part", *_outputs(frame))
    digest = digest_of(rows)
    name = f"captured from {format_time(captured.span.start)} to {format_time(captured.span.end)}"
    made = make_reference(signature, rows, where=name)
    filled = {key: captured.missing.get(key, 0) / max(1, rows.height) for key in made.constants}
    made = replace(made, frame=_like(made.frame, trained), filled=filled, remark=remark, name=name)
    return made, ReferenceSource(source=name, digest=digest, rows=rows.height)


def _lacking(signature: Signature, trained: Reference, rows: pl.DataFrame) -> list[str]:
    """Return the model's inputs that captured rows do not have: never recorded, or without a value in any row, as
    inputs in capture.redact are; an answer without them would be another one."""
    unknown = {one.name for one in signature.inputs} - set(trained.fields)
    empty = {name for name in trained.fields if rows.height and rows[INPUT + name].null_count() == rows.height}
    return sorted(unknown | (empty & {one.name for one in signature.inputs}))


def of_dataset(
    pinned: PinnedDataset, trained: Reference, *, store: Store, artifact: str, folder: Path
) -> tuple[Reference, ReferenceSource]:
    """Make a reference of a Dataset's version: the live model answers up to 20,000 rows of each part.

    Raises BadInput for a Dataset without the model's inputs.
    """
    folder.mkdir()
    version = fetch_dataset(store, pinned, folder / "rows")
    signature = signature_at(store, artifact)
    types = {one.name: one.type for one in signature.inputs}
    if lacking := sorted(name for name, type_ in types.items() if version.types.get(name) != type_):
        raise BadInput(
            Reason.CONFIGURATION_INVALID,
            f"spec.reference.datasetRef: {version.shown} has no field {lacking[0]} of type {types[lacking[0]]}, which "
            "the model reads: name the Dataset that it was trained on, or one with the same fields",
        )
    rows = pl.concat([_of_parts(version, signature, parts, name) for name, parts in _HELD.items()])
    held = rows.filter(pl.col("part") == "test").height
    if version.strategy == "time":
        # What an older version held out a later one, which the model may be of, trains on.
        seen = (pl.col(TIME) < _newest_row(trained)).fill_null(False)
        rows = rows.with_columns(pl.when(seen).then(pl.lit("train")).otherwise("part").alias("part"))
    seen_rows = held - rows.filter(pl.col("part") == "test").height
    rows = answered(store, artifact, folder / "model", signature, rows)
    kept = [INPUT + name for name in trained.fields]
    rows = rows.select(*kept, LABEL, TIME, "part", *_outputs(rows))
    name = f"Dataset {pinned.name}, version {pinned.version}"
    made = make_reference(signature, rows, where=name)
    remark = "" if version.label == signature.label.name else f"; {version.shown} has no label {signature.label.name}"
    if seen_rows:
        remark += f"; {seen_rows} of its rows are older than the newest one that the model was trained on"
    made = replace(made, frame=_like(made.frame, trained), remark=remark, name=name)
    return made, ReferenceSource(source=name, digest=pinned.digest, rows=rows.height)


def _newest_row(trained: Reference) -> pl.Expr:
    """The time of the newest row that the model was trained on."""
    return pl.lit(trained.frame.filter(pl.col("part") == "train")[TIME].max(), TIMESTAMP)


_HELD: Final = {"train": PARTS[:1], "test": PARTS[1:]}


def _of_parts(version: DatasetVersion, signature: Signature, parts: tuple[str, ...], name: str) -> pl.DataFrame:
    """Return up to 20,000 rows of these parts, chosen by a fixed seed, in their order."""
    frame = pl.concat([version.scan(part) for part in parts])
    count = int(frame.select(pl.len()).collect(engine="streaming").item())
    columns = [pl.col(one.name).alias(INPUT + one.name) for one in signature.inputs]
    has_label = version.label == signature.label.name
    columns.append(pl.col(str(version.label)).alias(LABEL) if has_label else pl.lit(None, pl.String).alias(LABEL))
    has_time = version.timestamp is not None and version.timestamp not in version.pii
    columns.append(
        pl.col(str(version.timestamp)).cast(TIMESTAMP).alias(TIME) if has_time else pl.lit(None, TIMESTAMP).alias(TIME)
    )
    chosen: Callable[[pl.LazyFrame], pl.LazyFrame] = lambda lazy: lazy  # noqa: E731
    if count > MAX_ROWS:
        drawn = np.random.Generator(np.random.PCG64(0)).choice(count, size=MAX_ROWS, replace=False)
        places = pl.DataFrame({"_row": np.sort(drawn).astype(np.uint32)}).lazy()
        chosen = lambda lazy: lazy.with_row_index("_row").join(places, on="_row", how="semi").drop("_row")  # noqa: E731
    found = chosen(frame).select(columns).collect(engine="streaming")
    return found.with_columns(pl.lit(name).alias("part"))


def _like(frame: pl.DataFrame, trained: Reference) -> pl.DataFrame:
    """The rows in the training data's types: a column without a value has none of its own."""
    return frame.with_columns(
        pl.col(name).cast(dtype, strict=False)
        for name, dtype in trained.frame.schema.items()
        if name in frame.columns and frame.schema[name] != dtype
    )


def _outputs(frame: pl.DataFrame) -> list[str]:
    return [name for name in frame.columns if name.startswith(_OUTPUTS)]


def digest_of(rows: pl.DataFrame) -> str:
    """The digest of the rows' content, in whatever order they come."""
    columns = sorted(rows.columns)
    ordered = rows.select(columns).sort(columns, nulls_last=True)
    text = ordered.write_csv(float_scientific=None)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def of_training(artifact: str, model_version: str, trained: Reference) -> ReferenceSource:
    """Name the training data, by the model that it lies beside."""
    return ReferenceSource(source=f"training data of {model_version}"[:256], digest=artifact, rows=trained.frame.height)
