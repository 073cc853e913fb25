"""Labels that somebody delivers: files of one of spec.labels.sources, for the check that follows in the same pod.

They are read as a Dataset's files are: in a child without keys where a format needs one, piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from mlops.api.base import earlier, parse_duration, parse_time
from mlops.api.dataset import DatasetSpec, FieldType
from mlops.api.drift_task import LabelsReport, LabelsTask
from mlops.api.job_names import check_name
from mlops.api.label_sources import HttpLabels, LabelColumns, LabelSource, S3Labels
from mlops.api.reasons import Reason
from mlops.workloads.floor.isolation.parent import Child
from mlops.workloads.floor.log import say
from mlops.workloads.floor.model.signature import parse_signature
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.floor.records.delivered import folder_of_source, write_source
from mlops.workloads.floor.records.layout import LABEL, RECEIVED, TIME, TIMESTAMP
from mlops.workloads.floor.records.reading import LABEL_DATED_BEFORE
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.columnar import TRIED_MEMORY_BYTES
from mlops.workloads.ingest.contract import Contract, contract_of
from mlops.workloads.ingest.credentials import authorization, s3_environ
from mlops.workloads.ingest.formats import delivered_rows
from mlops.workloads.ingest.locate import Delivered, s3_files
from mlops.workloads.ingest.own_place import check_outside, stores_folder

_ROWS_A_FILE: Final = 131_072
_ENCODING: Final = "encoding"
_GROUND_TRUTH: Final = LabelColumns(id="eventMetadata.eventId", label="groundTruthData.data")
_GROUND_TRUTH_ENCODING: Final = "groundTruthData.encoding"


def read_labels(pod: Pod, task: LabelsTask) -> LabelsReport:
    """Write the labels of one source into its folder among the inputs.

    Nothing delivered yet is no fault: the checks that need no labels go on, and the report says so.

    Raises BadInput with the source's place in the spec, PassingFault, and the store's errors.
    """
    place = f"spec.labels.sources[{task.number}]"
    signature = parse_signature(pod.store.read_file(task.artifact, "model.json"))
    contract_spec = _spec(task.source, signature.label.type)
    folder = folder_of_source(pod.inputs, task.number)
    folder.mkdir(parents=True, exist_ok=True)
    rows, message = 0, ""
    try:
        contract = contract_of(contract_spec)
        for number, piece in enumerate(_pieces(pod, task, contract_spec, contract)):
            piece.write_parquet(folder / f"part-{number:06d}.parquet", compression="zstd")
            rows += piece.height
    except BadInput as error:
        if error.reason != Reason.SOURCE_NOT_FOUND:
            # The contract is ours: what is said of it is said of the source.
            raise BadInput(error.reason, f"{place}: {error.message.replace(' of spec.fields', '')}") from error
        message = error.message
    write_source(folder, message)
    say(f"{rows:,} labels of {task.source.shown}{f': {message}' if message else ''}")
    return LabelsReport(rows=rows)


def _pieces(pod: Pod, task: LabelsTask, spec: DatasetSpec, contract: Contract) -> Iterator[pl.DataFrame]:
    rejected = RowsAside()
    with Child(TRIED_MEMORY_BYTES) as child:  # it starts with the first file that it is asked about
        for file in _files(pod, task):
            received = None if file.modified is None else datetime.fromtimestamp(file.modified, UTC)
            for chunk in delivered_rows(file, spec, contract, child, rejected):
                plain = _plain(chunk, file.name, received)
                yield from plain.iter_slices(_ROWS_A_FILE)


def _files(pod: Pod, task: LabelsTask) -> Iterator[Delivered]:
    source = task.source
    if source.s3:
        check_outside(source.s3, task.namespace, pod.environ)
        environ = s3_environ(source.s3, task.namespace, pod.environ)
        # What was written before the window began is the labels of no request in it.
        yield from s3_files(
            source.s3.uri,
            environ,
            pod.scratch,
            stores_folder(pod.environ),
            earlier(_start(pod, task), LABEL_DATED_BEFORE),
        )
    elif source.http:
        yield _download(pod, task, source.http)


def _download(pod: Pod, task: LabelsTask, source: HttpLabels) -> Delivered:
    # Only here: TLS and a client of HTTP take time and memory.
    from mlops.workloads.ingest.download import Policy, file_at

    path = pod.scratch / "delivered"
    header = authorization(source, task.namespace, pod.environ)
    file_at(source.url, Policy.from_environ(pod.environ), path, authorization=header)
    return Delivered(source.url, path)


def _start(pod: Pod, task: LabelsTask) -> datetime:
    """The event time from which rows are read; of a window of so many rows nobody knows it yet."""
    if task.window.duration is None:
        return datetime.min.replace(tzinfo=UTC)
    end = parse_time(task.as_of) if task.as_of else pod.time_of(check_name(task.monitor), task.monitor)
    start = earlier(end, parse_duration(task.window.duration))
    wanted = task.reference
    if wanted and wanted.seasonal:
        return earlier(start, parse_duration(wanted.seasonal.offset))
    return min(start, parse_time(wanted.window.start)) if wanted and wanted.window else start


def _spec(source: LabelSource, label_type: FieldType) -> DatasetSpec:
    """Return the contract of the source's files, as if they were a Dataset's."""
    found: S3Labels | HttpLabels | None = source.s3 or source.http
    assert found is not None
    is_ground_truth = found.format == "GroundTruthJSONL"
    columns = _GROUND_TRUTH if is_ground_truth else found.columns or LabelColumns()
    fields: list[dict[str, Any]] = [
        {"name": "id", "column": columns.id, "type": "string", "nullable": True},
        {"name": LABEL, "column": columns.label, "type": label_type, "nullable": True},
    ]
    if columns.row is not None:
        fields.append({"name": "row", "column": columns.row, "type": "int64"})
    if columns.time is not None:
        fields.append({"name": TIME, "column": columns.time, "type": "timestamp", "nullable": True})
    if is_ground_truth:
        fields.append({"name": _ENCODING, "column": _GROUND_TRUTH_ENCODING, "type": "string", "nullable": True})
    return DatasetSpec.model_validate(
        {
            # Not read by what follows; the files come from the source itself.
            "source": {"s3": {"uri": "s3://labels/labels"}},
            "format": "jsonl" if is_ground_truth else found.format,
            "fields": fields,
            # No message repeats a value: a label may be anybody's own.
            "governance": {"pii": ["id", LABEL]},
        }
    )


def _plain(chunk: pl.DataFrame, name: str, received: datetime | None) -> pl.DataFrame:
    """Return the columns that the check reads. Raises BadInput for an encoding that is not SageMaker's."""
    if _ENCODING in chunk.columns:
        other = chunk.filter(pl.col(_ENCODING).is_not_null() & (pl.col(_ENCODING) != "CSV"))
        if other.height:
            raise BadInput(
                Reason.FORMAT_ERROR,
                f"{name}: {_GROUND_TRUTH_ENCODING} is not CSV in {other.height} rows: ground truth is written as CSV",
            )
    label = pl.col(LABEL)
    if _ENCODING in chunk.columns and chunk.schema[LABEL] == pl.String():
        # A text in CSV may stand in quotes.
        quoted = label.str.contains('(?s)^".*"$')
        inside = label.str.replace('(?s)^"(.*)"$', "${1}").str.replace_all('""', '"', literal=True)
        label = pl.when(quoted).then(inside).otherwise(label)
    missing = [
        pl.lit(None, dtype).alias(column)
        for column, dtype in (("row", pl.Int64()), (TIME, TIMESTAMP))
        if column not in chunk.columns
    ]
    return chunk.with_columns(label.alias(LABEL), *missing).select(
        "id", "row", pl.col(TIME).cast(TIMESTAMP), pl.lit(received, TIMESTAMP).alias(RECEIVED), LABEL
    )
