"""MariaDB: START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY, and rows that are read one by one off the wire.

Values come as the server's text and are read from it: nothing goes through a type of Python that holds less.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

import polars as pl
import pymysql
from pymysql.constants import CR, ER, FIELD_TYPE, FLAG
from pymysql.converters import encoders
from pymysql.cursors import SSCursor

from mlops.workloads.ingest.database.access import Access
from mlops.workloads.ingest.database.columns import GEOMETRY, Kind, QueryColumn, bad_time, quoted
from mlops.workloads.ingest.database.refusals import Refusal, Words
from mlops.workloads.ingest.database.session import (
    BATCH_BYTES,
    CONNECT_SECONDS,
    IDLE_SECONDS,
    MOST_ROWS,
    Since,
    wrapped,
)

_TYPES: Final[dict[int, tuple[str, Kind]]] = {
    FIELD_TYPE.TINY: ("TINYINT", "integer"),
    FIELD_TYPE.SHORT: ("SMALLINT", "integer"),
    FIELD_TYPE.INT24: ("MEDIUMINT", "integer"),
    FIELD_TYPE.LONG: ("INT", "integer"),
    FIELD_TYPE.LONGLONG: ("BIGINT", "integer"),
    FIELD_TYPE.YEAR: ("YEAR", "integer"),
    FIELD_TYPE.DECIMAL: ("DECIMAL", "numeric"),
    FIELD_TYPE.NEWDECIMAL: ("DECIMAL", "numeric"),
    FIELD_TYPE.FLOAT: ("FLOAT", "float"),
    FIELD_TYPE.DOUBLE: ("DOUBLE", "float"),
    FIELD_TYPE.DATE: ("DATE", "date"),
    FIELD_TYPE.NEWDATE: ("DATE", "date"),
    FIELD_TYPE.DATETIME: ("DATETIME", "local"),
    FIELD_TYPE.TIMESTAMP: ("TIMESTAMP", "instant"),
    FIELD_TYPE.VARCHAR: ("VARCHAR", "text"),
    FIELD_TYPE.VAR_STRING: ("VARCHAR", "text"),
    FIELD_TYPE.STRING: ("CHAR", "text"),
    FIELD_TYPE.TINY_BLOB: ("TEXT", "text"),
    FIELD_TYPE.BLOB: ("TEXT", "text"),
    FIELD_TYPE.MEDIUM_BLOB: ("TEXT", "text"),
    FIELD_TYPE.LONG_BLOB: ("TEXT", "text"),
    FIELD_TYPE.NULL: ("NULL", "text"),
}
_NOT_READ: Final = {
    FIELD_TYPE.TIME: "TIME",
    FIELD_TYPE.BIT: "BIT",
    FIELD_TYPE.JSON: "JSON",
    FIELD_TYPE.GEOMETRY: GEOMETRY,
}
_BYTES: Final = 63  # the number of the character set of what is no text
# Of a column of that type with the UNSIGNED flag; of others it is never beyond int64.
_UNSIGNED: Final = "BIGINT UNSIGNED"
_READ_ONLY: Final = (
    "SET SESSION time_zone = '+00:00'",
    # While rows go to the disk, the server may have to wait.
    "SET SESSION net_write_timeout = 3600",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)
# How to write constants, and no way to read values: they stay text.
_ENCODERS: Final[dict[Any, Any]] = dict(encoders)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KILLED, _STATEMENT_TIMEOUT, _NO_TLS = 1927, (1969, 3024), CR.CR_SSL_CONNECTION_ERROR
_CREDENTIALS: Final = (ER.ACCESS_DENIED_ERROR, 1698, CR.CR_AUTH_PLUGIN_ERR, CR.CR_AUTH_PLUGIN_CANNOT_LOAD)
_RIGHTS: Final = (
    ER.DBACCESS_DENIED_ERROR,
    ER.TABLEACCESS_DENIED_ERROR,
    ER.COLUMNACCESS_DENIED_ERROR,
    ER.SPECIFIC_ACCESS_DENIED_ERROR,
    ER.PROCACCESS_DENIED_ERROR,
    ER.VIEW_INVALID,
)
_WRITES: Final = (1792, ER.OPTION_PREVENTS_STATEMENT)
_PASSING: Final = (
    ER.CON_COUNT_ERROR,
    ER.TOO_MANY_USER_CONNECTIONS,
    ER.USER_LIMIT_REACHED,
    ER.SERVER_SHUTDOWN,
    ER.NORMAL_SHUTDOWN,
    ER.ABORTING_CONNECTION,
    ER.NEW_ABORTING_CONNECTION,
    ER.NET_READ_ERROR,
    ER.NET_READ_INTERRUPTED,
    ER.NET_ERROR_ON_WRITE,
    ER.NET_WRITE_INTERRUPTED,
    ER.OUTOFMEMORY,
    ER.OUT_OF_RESOURCES,
    ER.DISK_FULL,
    ER.LOCK_WAIT_TIMEOUT,
    ER.LOCK_DEADLOCK,
    ER.QUERY_INTERRUPTED,
    ER.HOST_IS_BLOCKED,
    _KILLED,
)
_BAD_VALUE: Final = (1365, 1690, 1292, 1366, 1264, 1242)  # division by zero, out of range, no such date, two rows
# What is said of syntax and of names that are not there, or stand for two things, holds no value of a row.
_OF_NAMES: Final = (
    ER.PARSE_ERROR,
    ER.BAD_FIELD_ERROR,
    ER.NON_UNIQ_ERROR,
    ER.DUP_FIELDNAME,
    ER.NO_SUCH_TABLE,
    ER.SP_DOES_NOT_EXIST,
)


class MariadbSession:
    """See `Session`."""

    def __init__(self, access: Access, addresses: Sequence[str], words: Words, name: str) -> None:
        self._access, self._addresses, self._words, self._name = access, addresses, words, name
        self._connection: Any = None

    def __enter__(self) -> Self:
        try:
            self._open()
            for statement in _READ_ONLY:
                self._execute(statement)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection is None:
            return
        if (result := self._connection._result) is not None:
            # Not closed in peace: the rows that nobody wants would be waited for.
            result.unbuffered_active = False
        self._connection._force_close()

    def columns(self, query: str) -> list[QueryColumn]:
        cursor = self._execute(f"{wrapped(query)} LIMIT 0")
        found = [_column(one) for one in cursor._result.fields]
        cursor.close()
        return found

    def rows(self, query: str, columns: Sequence[QueryColumn], since: Since | None) -> Iterator[list[pl.Series]]:
        cursor = self._execute(wrapped(query, ", ".join(map(_exact, columns)), _condition(since)))
        row = 0
        while batch := self._batch(cursor):
            yield [_series(values, one, row) for values, one in zip(zip(*batch, strict=True), columns, strict=True)]
            row += len(batch)

    def _batch(self, cursor: Any) -> list[tuple[str | None, ...]]:
        batch: list[tuple[str | None, ...]] = []
        size = 0
        try:
            while len(batch) < MOST_ROWS and size < BATCH_BYTES and (row := cursor.fetchone()) is not None:
                batch.append(row)
                size += sum(len(value) for value in row if value is not None)
        except (pymysql.Error, OSError, RuntimeError) as error:
            raise self._refusal(error) from error
        return batch

    def _open(self) -> None:
        access = self._access
        try:
            connection: Any = pymysql.Connection(
                host=access.host,
                user=access.user,
                password=access.password,
                database=access.database,
                port=access.port,
                charset="utf8mb4",
                ssl=access.context(),
                ssl_disabled=access.tls == "disable",
                read_timeout=int(CONNECT_SECONDS),
                write_timeout=int(CONNECT_SECONDS),
                conv=_ENCODERS,
                local_infile=False,
                cursorclass=SSCursor,
                program_name=self._name,
                defer_connect=True,
            )
            self._connection = connection
            connection.connect(self._socket())
            # Only a query may be silent for long: a host that accepts and says nothing is no database.
            connection._read_timeout = int(IDLE_SECONDS)
        except (pymysql.Error, OSError, RuntimeError) as error:
            raise self._refusal(error) from error

    def _socket(self) -> socket.socket:
        """Return a connection to the first of the judged addresses that answers."""
        refused: OSError | None = None
        for address in self._addresses:
            try:
                found = socket.create_connection((address, self._access.port), CONNECT_SECONDS)
                found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                return found
            except OSError as error:
                refused = error
        raise refused or OSError("no address")

    def _execute(self, statement: str) -> Any:
        try:
            cursor = self._connection.cursor()
            cursor.execute(statement)
        except (pymysql.Error, OSError, RuntimeError) as error:
            raise self._refusal(error) from error
        return cursor

    def _refusal(self, error: Exception) -> Refusal:
        words = self._words
        cause = getattr(error, "original_exception", error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return words.untrusted(cause.verify_message)
        if isinstance(cause, OSError):
            return words.unavailable("no answer in time" if isinstance(cause, TimeoutError) else str(cause))
        if isinstance(error, RuntimeError) and "package is required" in str(error):
            return words.unknown_login(str(error).partition("required for ")[2] + " is not read here")
        if not isinstance(error, pymysql.Error) or not error.args or not isinstance(error.args[0], int):
            return words.unavailable(str(error))
        return _by_number(words, error.args[0], str(error.args[-1]), error)


def _by_number(words: Words, number: int, said: str, error: Exception) -> Refusal:
    """Return the refusal for an error of the server (below 2000, and MariaDB's and MySQL's own), or of the client."""
    if number == _NO_TLS:
        return words.no_tls()
    if number and not _is_of_client(number):
        said = words.repeated(said, number, is_of_names=number in _OF_NAMES)
    if number in _CREDENTIALS:
        return words.wrong_credentials(said)
    if number in _RIGHTS:
        return words.no_rights(said)
    if number == ER.BAD_DB_ERROR:
        return words.no_database(said)
    if number in (ER.NO_SUCH_TABLE, ER.UNKNOWN_TABLE):
        return words.no_table(said)
    if number in _WRITES:
        return words.writes(said)
    if number in _STATEMENT_TIMEOUT:
        return words.timed_out(said)
    if number in _PASSING or _is_of_client(number) or isinstance(error, pymysql.InterfaceError):
        return words.unavailable(said)
    if number in _BAD_VALUE or isinstance(error, pymysql.DataError):
        return words.bad_value(said)
    return words.invalid(said)


def _is_of_client(number: int) -> bool:
    return 2000 <= number < 3000


def _column(field: Any) -> QueryColumn:
    number, length = field.type_code, field.length
    is_bytes = field.charsetnr == _BYTES
    if number not in _TYPES:
        return QueryColumn(field.name, _NOT_READ.get(number, f"of type {number}"), None)
    type_name, kind = _TYPES[number]
    if kind == "text" and is_bytes and number != FIELD_TYPE.NULL:
        return QueryColumn(field.name, "BLOB" if type_name == "TEXT" else "VARBINARY", None)
    if number == FIELD_TYPE.LONGLONG and field.flags & FLAG.UNSIGNED:
        type_name = _UNSIGNED
    if number == FIELD_TYPE.TINY and length == 1:
        type_name = "BOOLEAN"
    return QueryColumn(field.name, type_name, kind)


def _exact(column: QueryColumn) -> str:
    """Return a column as it is selected. As text a FLOAT has six digits only, and as a double all that it holds."""
    name = quoted(column.name, "mariadb")
    return f"{name} + 0e0 AS {name}" if column.type_name == "FLOAT" else name


def _condition(since: Since | None) -> str:
    if since is None:
        return ""
    name = quoted(since.column.name, "mariadb")
    value = str(since.value)
    if since.is_time:
        value = f"'{_EPOCH + timedelta(microseconds=since.value):%Y-%m-%d %H:%M:%S.%f}'"
    return f"{name} >= {value} OR {name} IS NULL"


def _series(values: Sequence[str | None], column: QueryColumn, rows_before: int) -> pl.Series:
    text = pl.Series(values, dtype=pl.String())
    match column.kind:
        case "integer":
            return text.cast(pl.UInt64 if column.type_name == _UNSIGNED else pl.Int64)
        case "float":
            return text.cast(pl.Float64)
        case "date":
            return _read(text, text.str.to_date("%Y-%m-%d", strict=False), column, rows_before)
        case "local" | "instant":
            times = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
            read = _read(text, times, column, rows_before)
            return read.dt.replace_time_zone("UTC") if column.kind == "instant" else read
    return text


def _read(text: pl.Series, read: pl.Series, column: QueryColumn, rows_before: int) -> pl.Series:
    """Return the times after checking that each text gave one: 0000-00-00 does not."""
    unread = text.is_not_null() & read.is_null()
    if unread.any() and (at := unread.arg_max()) is not None:
        raise bad_time(column, rows_before + at + 1, "mariadb", str(text[at]))
    return read
