"""Read a source, bring it into canonical order, clean, compute, validate, split and store one version."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import polars as pl

from mlops.api.base import format_time, parse_time
from mlops.api.dataset import DatasetSpec, S3Source, SplitRows
from mlops.api.ingest_task import MOST_NAMED, IngestReport, IngestTask
from mlops.api.job_names import refresh_name
from mlops.api.reasons import Reason
from mlops.workloads.floor.expressions import ExpressionError
from mlops.workloads.floor.expressions.frames import compute
from mlops.workloads.floor.isolation.parent import Child
from mlops.workloads.floor.log import say
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.ingest.age import NewestDelivery, newest_event
from mlops.workloads.ingest.aside import RowsAside
from mlops.workloads.ingest.captured import Window, captured_rows, delivered_window
from mlops.workloads.ingest.cleaning import clean
from mlops.workloads.ingest.columnar import TRIED_MEMORY_BYTES
from mlops.workloads.ingest.contract import Contract, contract_of
from mlops.workloads.ingest.credentials import authorization, s3_environ
from mlops.workloads.ingest.digest import columns_of, schema_digest
from mlops.workloads.ingest.formats import delivered_rows
from mlops.workloads.ingest.locate import Delivered, s3_files
from mlops.workloads.ingest.order import canonical
from mlops.workloads.ingest.own_place import check_outside, stores_folder
from mlops.workloads.ingest.profiling import profile
from mlops.workloads.ingest.rows import Progress, Rows, Spill
from mlops.workloads.ingest.split import ColumnHashes, known_entities, parts_of, sizes
from mlops.workloads.ingest.validation import validate
from mlops.workloads.ingest.writing import schema_document, write_json, write_parts, write_quarantine, write_rejected


def ingest(pod: Pod, task: IngestTask) -> IngestReport:
    """Make one version of the Dataset from its source and return what was stored.

    Raises BadInput with a reason of the Dataset, PassingFault, or an error of the store.
    """
    spec = task.spec
    contract = contract_of(spec)
    as_of = timestamp_of(pod, task)
    scratch = pod.scratch / "rows"
    scratch.mkdir()
    spill = Spill(scratch)
    rejected, newest = RowsAside(), NewestDelivery()
    delivered = Progress("read").watch(_read(pod, task, contract, as_of, rejected, newest))
    # Under no name of its own, so that the rows as they came in are gone when they are sorted.
    rows = canonical(spill.collect(delivered), contract.order, spill)
    if spec.source.captured and not task.captures:
        rows = delivered_window(rows, contract, spec.source.captured)
    folder = pod.scratch / "version"
    folder.mkdir()
    watermark = _watermark(pod, task, contract, rows, folder)
    cleaned = clean(rows, spec.clean, contract)
    rows = cleaned.rows
    if spec.features:
        rows = rows.map_numbered(lambda chunk, first: _with_features(chunk, spec, contract, first))
    outcome = validate(rows, contract, spec.validation, spill, rejected)
    rows.discard(keep=outcome.good)
    _check_usable(outcome.good, outcome.total, contract)
    parts = parts_of(outcome.good, outcome.good_rows, spec.split, contract.entity_keys)
    hashes = ColumnHashes(outcome.good, contract.entity_keys)
    with ThreadPoolExecutor(1) as beside:
        # Both read the rows and neither changes them; most of either is done outside the interpreter. What lies in
        # files would be read by both, and held twice.
        profiled = beside.submit(profile, outcome.good, contract, hashes) if outcome.good.in_memory else None
        digest = write_parts(outcome.good, parts, contract, folder, cleaned.learnt)
        columns = profiled.result() if profiled else profile(outcome.good, contract)
    if outcome.quarantined is not None:
        write_quarantine(outcome.quarantined, contract, folder)
    if rejected.rows:
        write_rejected(rejected.rows, folder)
    write_json(schema_document(spec, contract, cleaned.learnt), folder / "schema.json")
    counted = sizes(parts)
    known = known_entities(outcome.good, parts, spec.split, contract.entity_keys, hashes) or None
    if known:
        say(f"{known:,} held-out rows are of entities that train has rows of, too: split.strategy hash separates them")
    write_json(
        {"formatVersion": 1, "rows": outcome.good_rows, "splits": counted, "columns": columns}, folder / "profile.json"
    )
    for name in sorted(contract.read_as_utc):
        say(f'field "{name}" has times without an offset: they were read as UTC; timeZone says another zone')
    manifest = pod.store.put_directory(folder)
    say(f"{outcome.good_rows:,} rows, digest {digest}, artifact {manifest.digest}")
    return IngestReport(
        digest=digest,
        artifact=manifest.digest,
        schema_digest=schema_digest(columns_of(contract)),
        rows=outcome.good_rows,
        bytes=manifest.size,
        splits=SplitRows(**counted, known=known),
        read_as_utc=tuple(sorted(contract.read_as_utc))[:MOST_NAMED],
        watermark=watermark,
        validation=outcome.result,
        as_of=format_time(as_of),
        delivered_at=newest.text,
        newest_event=newest_event(outcome.good, contract),
    )


def timestamp_of(pod: Pod, task: IngestTask) -> datetime:
    """Return the timestamp that a task is about: as written, or the time of its CronJob's Job."""
    return (
        pod.time_of(refresh_name(task.dataset), task.dataset) if task.as_of == "scheduled" else parse_time(task.as_of)
    )


def _read(
    pod: Pod, task: IngestTask, contract: Contract, as_of: datetime, rejected: RowsAside, newest: NewestDelivery
) -> Iterator[pl.DataFrame]:
    source = task.spec.source
    if source.s3:
        yield from _delivered(newest.watch(_s3_files(pod, task, source.s3)), task.spec, contract, rejected)
    elif source.http:
        # Only here: TLS and a client of HTTP take time and memory.
        from mlops.workloads.ingest.download import http_file

        header = authorization(source.http, task.namespace, pod.environ)
        files = http_file(source.http, pod.environ, pod.scratch, authorization=header)
        yield from _delivered(files, task.spec, contract, rejected)
    elif source.sql:
        # Only here, for the same reason.
        from mlops.workloads.ingest.database.reading import database_rows

        yield from database_rows(pod, task, source.sql, contract)
    elif source.captured:
        window = Window.before(as_of, source.captured)
        if source.captured.history:
            files = newest.watch(_s3_files(pod, task, source.captured.history.s3))
            for chunk in _delivered(files, task.spec, contract, rejected):
                yield window.of(chunk, contract) if task.captures else chunk
        if task.captures:
            yield from captured_rows(pod.store, task.namespace, source.captured, contract, window, newest.note)


def _watermark(pod: Pod, task: IngestTask, contract: Contract, rows: Rows, folder: Path) -> str | None:
    if task.spec.source.sql is None:
        return None
    # Only here, as the readers of databases are.
    from mlops.workloads.ingest.database.increment import keep_delivered

    return keep_delivered(rows, task, contract, pod.environ, folder)


def _s3_files(pod: Pod, task: IngestTask, source: S3Source) -> Iterator[Delivered]:
    check_outside(source, task.namespace, pod.environ)
    environ = s3_environ(source, task.namespace, pod.environ)
    return s3_files(source.uri, environ, pod.scratch, stores_folder(pod.environ))


def _delivered(
    files: Iterator[Delivered], spec: DatasetSpec, contract: Contract, rejected: RowsAside
) -> Iterator[pl.DataFrame]:
    with Child(TRIED_MEMORY_BYTES) as child:  # it starts with the first file that it is asked about
        for file in files:
            yield from delivered_rows(file, spec, contract, child, rejected)


def _with_features(chunk: pl.DataFrame, spec: DatasetSpec, contract: Contract, first_row: int) -> pl.DataFrame:
    try:
        return compute(chunk, spec.features, contract.pii, first_row)
    except ExpressionError as error:
        i = next(i for i, one in enumerate(spec.features) if one.expression == error.expression)
        raise BadInput(Reason.EXPRESSION_INVALID, f"spec.features[{i}].expression: {error}") from error


def _check_usable(good: Rows, total: int, contract: Contract) -> None:
    if not total:
        raise BadInput(
            Reason.DATA_UNUSABLE, "0 rows are left after reading and cleaning: look at the source's rows and spec.clean"
        )
    if contract.label is None:
        return
    seen: set[object] = set()
    for chunk in good.chunks([contract.label]):
        seen.update(chunk[contract.label].drop_nulls().unique().head(2))
        if len(seen) > 1:
            return
    if not seen:
        raise BadInput(Reason.DATA_UNUSABLE, f'label "{contract.label}" has no value')
    what = "1 class" if contract.kinds[contract.label] in ("string", "boolean") else "1 value"
    raise BadInput(Reason.DATA_UNUSABLE, f'label "{contract.label}" has {what} only: there is nothing to learn')
