"""What every database is asked: which columns a query gives, then their values, in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

import polars as pl

from mlops.workloads.ingest.database.columns import QueryColumn

CONNECT_SECONDS: Final = 15.0
# Without a byte for so long, a connection is given up. A query may compute for long before its first row.
IDLE_SECONDS: Final = 1800.0
# How many rows and bytes are asked for at a time.
MOST_ROWS: Final = 16_384
BATCH_BYTES: Final = 8 << 20


@dataclass(frozen=True)
class Since:
    """From which value of a column on rows are wanted: an int, or a time as microseconds since 1970 in UTC."""

    column: QueryColumn
    value: int
    is_time: bool


class Session(Protocol):
    """A connection with a read-only transaction that sees one snapshot. Errors are BadInput and PassingFault."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def columns(self, query: str) -> list[QueryColumn]:
        """Return the columns that a query gives, without reading rows."""
        ...

    def rows(self, query: str, columns: Sequence[QueryColumn], since: Since | None) -> Iterator[list[pl.Series]]:
        """Yield the values of `columns`, a few at a time, from `since` on and where its column is null."""
        ...


def wrapped(query: str, columns: str = "*", condition: str = "") -> str:
    """Return a query around the user's: what is no SELECT is a syntax error there, and so are two of them."""
    where = f" WHERE {condition}" if condition else ""
    return f"SELECT {columns} FROM (\n{bare(query)}\n) AS delivered{where}"


def bare(query: str) -> str:
    """Return the query without the semicolon that people end it with."""
    return query.strip().removesuffix(";").rstrip()
