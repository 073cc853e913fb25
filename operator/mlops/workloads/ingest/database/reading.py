"""From a query to the contract's columns."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from mlops.api.ingest_task import IngestTask
from mlops.api.sql_source import Engine, SqlSource
from mlops.workloads.floor.log import say
from mlops.workloads.floor.pod import Pod
from mlops.workloads.ingest.contract import Contract
from mlops.workloads.ingest.database.access import Access, access_of
from mlops.workloads.ingest.database.address import judged
from mlops.workloads.ingest.database.columns import check_watermark, chosen, converted
from mlops.workloads.ingest.database.increment import Earlier, check_no_null, earlier_rows, watermark_field
from mlops.workloads.ingest.database.refusals import Words
from mlops.workloads.ingest.database.session import Session, Since


def database_rows(pod: Pod, task: IngestTask, source: SqlSource, contract: Contract) -> Iterator[pl.DataFrame]:
    """Yield the rows that the query gives, in the contract's types and no order; of a source that is read
    incrementally then those of the last version.

    Raises BadInput (QueryInvalid, SchemaMismatch, SourceNotFound, AccessDenied, AddressForbidden) or PassingFault
    (CredentialsMissing, SourceUnavailable, SourceNotFound).
    """
    access = access_of(source, task.namespace, pod.environ)
    addresses = judged(access, pod.environ)
    earlier = earlier_rows(pod.store, task.previous, task.spec, access, pod.scratch)
    field = watermark_field(task.spec)
    name = f"mlops {task.namespace}/{task.dataset}"
    row = 0
    with _session(source.engine, access, addresses, Words(access, hides=bool(contract.pii)), name) as session:
        columns = chosen(session.columns(source.query), contract, source.engine)
        at = contract.fields.index(field) if field else 0
        if field:
            check_watermark(columns[at])
        since = Since(columns[at], earlier.value, earlier.field.type == "timestamp") if earlier else None
        for values in session.rows(source.query, columns, since):
            chunk = converted(values, columns, contract, row)
            if field:
                check_no_null(chunk, field)
            row += chunk.height
            yield chunk
    say(f"{access.where}: {row:,} rows{' from the watermark on' if earlier else ''}")
    yield from _kept(earlier, contract)


def _kept(earlier: Earlier | None, contract: Contract) -> Iterator[pl.DataFrame]:
    if earlier is not None:
        yield from earlier.rows(contract)
        earlier.path.unlink()


def _session(engine: Engine, access: Access, addresses: list[str], words: Words, name: str) -> Session:
    # Each driver is imported when it is needed.
    match engine:
        case "postgresql":
            from mlops.workloads.ingest.database.postgresql import PostgresqlSession

            return PostgresqlSession(access, addresses, words, name)
        case "mariadb":
            from mlops.workloads.ingest.database.mariadb import MariadbSession

            return MariadbSession(access, addresses, words, name)
