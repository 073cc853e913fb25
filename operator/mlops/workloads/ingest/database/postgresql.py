"""PostgreSQL: a REPEATABLE READ READ ONLY transaction, and a cursor that holds a few rows at a time.

Numbers of any precision and UUIDs are taken as the server's text, times as the server's own microseconds: nothing goes
through a type of Python that holds less, and infinity is told from a date.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import asyncpg
import polars as pl

from mlops.workloads.ingest.database.access import Access
from mlops.workloads.ingest.database.columns import Kind, QueryColumn, bad_time, quoted
from mlops.workloads.ingest.database.refusals import Refusal, Words
from mlops.workloads.ingest.database.session import (
    BATCH_BYTES,
    CONNECT_SECONDS,
    IDLE_SECONDS,
    MOST_ROWS,
    Since,
    wrapped,
)

_Result = TypeVar("_Result")
_KINDS: Final[dict[str, Kind]] = {
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "numeric": "numeric",
    "float4": "float",
    "float8": "float",
    "bool": "boolean",
    "text": "text",
    "varchar": "text",
    "bpchar": "text",
    "name": "text",
    "uuid": "text",
    "date": "date",
    "timestamp": "local",
    "timestamptz": "instant",
}
# As people write them in SQL, where that differs.
_WRITTEN: Final = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "bpchar": "character",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}
_DTYPES: Final[dict[Kind, pl.DataType]] = {
    "integer": pl.Int64(),
    "numeric": pl.String(),
    "float": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
}
_FIRST_ROWS: Final = 256
# What comes of a server's words, of a connection that is gone, and of one whose end asyncpg has read in part: between
# two fetches it may have the FATAL but not the close, and takes the next request for its own mistake
# (InternalClientError). Nobody here cancels anything, so a cancelled wait is a lost connection, too.
_OF_THE_DATABASE: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    RuntimeError,
    asyncio.CancelledError,
)
# How often a server that computes sees whether anybody waits for it.
_NOTICED_SECONDS: Final = 5
# The server counts from 2000.
_DAYS: Final = 10_957
_MICROS: Final = _DAYS * 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # of the years 1 and 9999, since 1970
_FIRST_MICRO, _LAST_MICRO = _FIRST_DAY * 86_400_000_000, (_LAST_DAY + 1) * 86_400_000_000 - 1
_INFINITE: Final = {
    (1 << 31) - 1: "infinity",
    -(1 << 31): "-infinity",
    (1 << 63) - 1: "infinity",
    -(1 << 63): "-infinity",
}


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that knows one host, by the addresses that were judged."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__()
        self._addresses = tuple(addresses)

    async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:
        """Return the judged addresses, whatever is asked for."""
        found = [await super(_Loop, self).getaddrinfo(one, port, **how) for one in self._addresses]
        return [each for some in found for each in some]


class PostgresqlSession:
    """See `Session`."""

    def __init__(self, access: Access, addresses: Sequence[str], words: Words, name: str) -> None:
        self._access, self._addresses, self._words, self._name = access, addresses, words, name
        self._connection: Any = None

    def __enter__(self) -> Self:
        self._loop = _Loop(self._addresses)
        try:
            self._wait(self._open())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Whatever state the connection is in: what is to be told is why, not that it could not be closed.
        with suppress(Exception, asyncio.CancelledError):
            if self._connection is not None:
                # Not closed in peace: the rows that nobody wants would be waited for.
                self._connection.terminate()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        with suppress(Exception, asyncio.CancelledError):
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def columns(self, query: str) -> list[QueryColumn]:
        return self._wait(self._columns(query))

    def rows(self, query: str, columns: Sequence[QueryColumn], since: Since | None) -> Iterator[list[pl.Series]]:
        names = ", ".join(quoted(one.name, "postgresql") for one in columns)
        cursor = self._wait(self._cursor(wrapped(query, names, _condition(since))))
        row, wanted = 0, _FIRST_ROWS
        while batch := self._wait(cursor.fetch(wanted, timeout=IDLE_SECONDS)):
            series = [_series(values, one, row) for values, one in zip(zip(*batch, strict=True), columns, strict=True)]
            yield series
            row += len(batch)
            size = max(1, sum(each.estimated_size() for each in series)) / len(batch)
            # At most four times as many as before: rows may become long all at once.
            wanted = max(1, min(MOST_ROWS, wanted * 4, int(BATCH_BYTES / size)))

    async def _open(self) -> None:
        access = self._access
        # TimeZone: a date that is compared with an instant is midnight in UTC. Poolers know these two settings.
        settings = {"TimeZone": "UTC", "application_name": self._name[:63]}
        self._connection = await asyncpg.connect(
            host=access.host,
            port=access.port,
            user=access.user,
            password=access.password,
            database=access.database,
            ssl=access.context() or False,
            timeout=CONNECT_SECONDS,
            command_timeout=IDLE_SECONDS,
            # A pooler gives each transaction another server, which knows no statement of the one before.
            statement_cache_size=0,
            server_settings=settings,
        )
        for name in ("numeric", "uuid"):
            await self._decode(name, "text", str)
        for name in ("date", "timestamp", "timestamptz"):
            await self._decode(name, "tuple", itemgetter(0))
        await self._connection.transaction(isolation="repeatable_read", readonly=True).start()
        # Before version 14, and where the server's system does not tell it, a query goes on whose pod is gone.
        with suppress(asyncpg.PostgresError):
            async with self._connection.transaction():
                await self._connection.execute(f"SET LOCAL client_connection_check_interval = '{_NOTICED_SECONDS}s'")

    async def _decode(self, name: str, form: str, decoder: Any) -> None:
        await self._connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=decoder, format=form)

    async def _columns(self, query: str) -> list[QueryColumn]:
        prepared = await self._connection.prepare(wrapped(query), timeout=IDLE_SECONDS)
        if prepared.get_parameters():
            raise self._words.invalid("it has parameters, such as $1, for which there are no values")
        attributes = prepared.get_attributes()
        texts = await self._texts([one.type.oid for one in attributes])
        return [
            QueryColumn(
                one.name,
                _WRITTEN.get(one.type.name, one.type.name),
                "text" if one.type.oid in texts else _KINDS.get(one.type.name) if _is_built_in(one.type) else None,
            )
            for one in attributes
        ]

    async def _texts(self, oids: list[int]) -> set[int]:
        """Return those of the types that are enumerations, or text that ignores case."""
        found = await self._connection.fetch(
            "SELECT oid FROM pg_catalog.pg_type WHERE oid = ANY($1::oid[]) AND (typtype = 'e' OR typname = 'citext')",
            oids,
        )
        return {one["oid"] for one in found}

    async def _cursor(self, query: str) -> Any:
        prepared = await self._connection.prepare(query, timeout=IDLE_SECONDS)
        return await prepared.cursor(timeout=IDLE_SECONDS)

    def _wait(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        try:
            return self._loop.run_until_complete(work)
        except _OF_THE_DATABASE as error:
            raise self._refusal(error) from error
        except UnicodeDecodeError:
            # What the bytes are stands in the error.
            raise self._words.invalid("a text is not in the encoding that the database says it has") from None

    def _refusal(self, error: BaseException) -> Refusal:
        words = self._words
        if isinstance(error, ssl.SSLCertVerificationError):
            return words.untrusted(error.verify_message)
        if isinstance(error, TimeoutError):
            return words.unavailable("no answer in time")
        if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
            return words.no_tls()
        if isinstance(error, OSError):
            return words.unavailable(error.strerror or str(error))
        code = getattr(error, "sqlstate", None)
        said = str(error).partition("\n")[0]
        if isinstance(error, (asyncpg.InternalClientError, RuntimeError, asyncio.CancelledError)):
            return words.unavailable(f"the connection was lost or killed ({said or type(error).__name__})")
        if not isinstance(error, asyncpg.PostgresError) or code is None:
            return words.unavailable(said)
        return _by_code(words, code, said)


def _by_code(words: Words, code: str, said: str) -> Refusal:
    """Return the refusal for a SQLSTATE (appendix A of PostgreSQL's manual)."""
    said = words.repeated(said, code, is_of_names=code.startswith("42"))
    match code[:2], code:
        case "28", _:
            return words.wrong_credentials(said)
        case _, "42501":
            return words.no_rights(said)
        case _, "3D000":
            return words.no_database(said)
        case _, "42P01" | "3F000":
            return words.no_table(said)
        case _, "25006":
            return words.writes(said)
        case _, "57014":
            return words.timed_out(said)
        # Connection, conflicts with others, resources, an operator's hand, the system.
        case "08" | "40" | "53" | "55" | "57" | "58", _:
            return words.unavailable(said)
        case "22" | "23" | "P0", _:
            return words.bad_value(said)
    return words.invalid(said)


def _is_built_in(kind: Any) -> bool:
    return bool(kind.schema == "pg_catalog" and kind.kind == "scalar")


def _condition(since: Since | None) -> str:
    if since is None:
        return ""
    name = quoted(since.column.name, "postgresql")
    value = f"({since.value})::bigint"
    if since.is_time:
        value = f"'{(_EPOCH + timedelta(microseconds=since.value)).isoformat()}'::timestamptz"
    return f"{name} >= {value} OR {name} IS NULL"


def _series(values: Sequence[Any], column: QueryColumn, rows_before: int) -> pl.Series:
    if column.kind == "date":
        return _since_1970(values, column, rows_before, _DAYS, (_FIRST_DAY, _LAST_DAY), pl.Int32()).cast(pl.Date)
    if column.kind in ("local", "instant"):
        bounds = (_FIRST_MICRO, _LAST_MICRO)
        micros = _since_1970(values, column, rows_before, _MICROS, bounds, pl.Int64())
        return micros.cast(pl.Datetime("us", "UTC" if column.kind == "instant" else None))
    return pl.Series(values, dtype=_DTYPES[column.kind or "text"])


def _since_1970(
    values: Sequence[int | None],
    column: QueryColumn,
    rows_before: int,
    offset: int,
    bounds: tuple[int, int],
    dtype: pl.DataType,
) -> pl.Series:
    first, last = bounds[0] - offset, bounds[1] - offset
    for i, value in enumerate(values):
        if value is not None and not first <= value <= last:
            raise bad_time(column, rows_before + i + 1, "postgresql", _INFINITE.get(value, ""))
    return pl.Series(values, dtype=pl.Int64()).cast(dtype) + offset
