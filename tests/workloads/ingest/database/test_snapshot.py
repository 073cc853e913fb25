"""One snapshot: what is written while rows are read is not seen, however long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from mlops.workloads.ingest.database import mariadb, postgresql
from mlops.workloads.ingest.database.session import Session
from tests.servers.databases import Database
from tests.workloads.ingest.conftest import Desk
from tests.workloads.ingest.database.tables import of_query

FIELDS = [{"name": "n", "type": "int64"}, {"name": "other", "type": "int64"}]


def test_what_is_written_meanwhile_is_not_seen(desk: Desk, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two fetches, and between looking at the columns and reading."""
    database.sql("CREATE TABLE a (n bigint); CREATE TABLE b (n bigint); INSERT INTO b VALUES (1)")
    many = "generate_series(1, 60000) n" if database.engine == "postgresql" else "(SELECT seq n FROM seq_1_to_60000) s"
    database.sql(f"INSERT INTO a SELECT n FROM {many}")
    kind: Any = postgresql.PostgresqlSession if database.engine == "postgresql" else mariadb.MariadbSession
    columns, read = kind.columns, kind.rows
    written: list[str] = []

    def write(when: str) -> None:
        written.append(when)
        database.sql("INSERT INTO a VALUES (-1); DELETE FROM a WHERE n = 60000; UPDATE b SET n = n + 1")

    def columns_then_write(self: Session, query: str) -> Any:
        found = columns(self, query)
        write("after columns")
        return found

    def rows_and_write(self: Session, *what: Any) -> Iterator[list[pl.Series]]:
        for batch in read(self, *what):
            yield batch
            write("after a batch")

    monkeypatch.setattr(kind, "columns", columns_then_write)
    monkeypatch.setattr(kind, "rows", rows_and_write)
    query = "SELECT a.n, b.n AS other FROM a, b"
    split = {"strategy": "random", "fractions": {"train": "1", "validation": "0", "test": "0"}}
    report = desk.ingest(of_query(database, query, FIELDS, split=split), environ=database.environ())
    assert len(written) > 3
    frame = desk.frame(report, "train")
    assert frame["n"].sort().to_list() == list(range(1, 60001))
    assert frame["other"].unique().to_list() == [1]


def test_the_connection_is_gone_afterwards(desk: Desk, database: Database) -> None:
    desk.ingest(of_query(database, "SELECT 1 AS n, 2 AS other", FIELDS), environ=database.environ())
    count = (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'"
        if database.engine == "postgresql"
        else "SELECT count(*) FROM information_schema.processlist WHERE user = 'reader'"
    )
    for _ in range(50):
        if database.sql(count) == "0":
            return
    pytest.fail("the server still has a connection of the reader")
