"""Read what is new only: the version that comes of it is the one that reading everything would have made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlops.api.tasks import IngestReport
from mlops.store.layout import manifest_key
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.database.access import Access
from mlops.workloads.ingest.database.increment import _made_of
from tests.servers.databases import PASSWORD, Database
from tests.servers.s3 import S3Server
from tests.workloads.ingest.conftest import FIELDS, Desk, a_spec
from tests.workloads.ingest.database.tables import QUERY, add, deliver, of_query

# Constants that are learnt of all rows, and a step that looks at all of them.
CLEAN = [{"fillNull": {"field": "count", "strategy": "mean"}}, {"deduplicate": {"by": ["id"]}}]


def rows(first: int, last: int, **columns: Any) -> pl.DataFrame:
    """Rows of the contract whose times rise with their number."""
    index = range(first, last)
    frame = pl.DataFrame(
        {
            "id": [f"r{i:04d}" for i in index],
            "time": [f"2024-01-{1 + i // 24:02d}T{i % 24:02d}:00:00Z" for i in index],
            "price": [i * 1.25 - 3 for i in index],
            "count": [None if i % 7 == 3 else i for i in index],
            "kind": [None if i % 5 == 4 else ["a", "b"][i % 2] for i in index],
            "open": [i % 3 == 0 for i in index],
            "class": [["UP", "DOWN"][i % 2] for i in index],
        }
    )
    return frame.with_columns(**{name: pl.lit(value) for name, value in columns.items()})


def sync(desk: Desk, database: Database, before: IngestReport | None = None, **changes: Any) -> IngestReport:
    spec = of_query(database, QUERY, **{"incremental": "time", "clean": CLEAN, **changes})
    return desk.ingest(spec, environ=database.environ(), previous=before.artifact if before else None)


def whole(desk: Desk, database: Database) -> IngestReport:
    return desk.ingest(of_query(database, QUERY, clean=CLEAN), environ=database.environ())


def test_each_sync_adds_what_is_new_and_comes_to_what_all_rows_come_to(desk: Desk, database: Database) -> None:
    deliver(database, rows(0, 30))
    first = sync(desk, database)
    assert (first.rows, first.watermark) == (30, "2024-01-02T05:00:00.000000Z")
    # Two of the time of the watermark, and later ones.
    add(database, rows(29, 30, id="late"))
    add(database, rows(30, 50))
    second = sync(desk, database, first)
    assert (second.rows, second.watermark) == (51, "2024-01-03T01:00:00.000000Z")
    assert second.digest == whole(desk, database).digest
    add(database, rows(50, 51))
    assert sync(desk, database, second).digest == whole(desk, database).digest


def test_without_news_the_content_is_the_same(desk: Desk, database: Database) -> None:
    deliver(database, rows(0, 30))
    first = sync(desk, database)
    assert sync(desk, database, first).digest == first.digest


def test_rows_below_the_watermark_are_neither_read_again_nor_lost(desk: Desk, database: Database) -> None:
    deliver(database, rows(0, 30))
    first = sync(desk, database)
    database.sql("DELETE FROM things WHERE id < 'r0020'")
    assert sync(desk, database, first).digest == first.digest
    add(database, rows(3, 4, id="too-late"))
    assert sync(desk, database, first).digest == first.digest
    # As the docs say: it reads what is there now.
    assert whole(desk, database).rows == 11


def test_rows_at_the_watermark_take_the_place_of_those_that_were_there(desk: Desk, database: Database) -> None:
    deliver(database, rows(0, 30))
    first = sync(desk, database)
    database.sql("UPDATE things SET price = 999 WHERE id = 'r0029'")
    second = sync(desk, database, first)
    assert second.rows == 30
    assert second.digest == whole(desk, database).digest != first.digest


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {"fields": [one | {"min": "-5"} if one["name"] == "price" else one for one in FIELDS]}, id="field"
        ),
        pytest.param({"query": QUERY + " WHERE 1 = 1"}, id="query"),
    ],
)
def test_another_query_or_other_fields_read_all_rows(desk: Desk, database: Database, changes: dict[str, Any]) -> None:
    deliver(database, rows(0, 30))
    first = sync(desk, database)
    database.sql("DELETE FROM things WHERE id < 'r0020'")
    spec = of_query(**{"database": database, "query": QUERY, "incremental": "time"} | changes)
    assert desk.ingest(spec, environ=database.environ(), previous=first.artifact).rows == 10


def test_another_database_behind_the_same_secret_reads_all_rows(
    desk: Desk, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(database, rows(0, 30))
    spec = of_query(database, QUERY, incremental="time")
    first = desk.ingest(spec, environ=database.environ()).artifact
    database.sql("DELETE FROM things WHERE id < 'r0020'")
    if database.engine == "postgresql":
        database.sql("GRANT SELECT ON things TO writer")
    uri = f"{database.engine}://writer:{PASSWORD}@LOCALHOST:{database.port}/{database.name}?sslmode=disable"
    assert desk.ingest(spec, environ={"SOURCE_uri": uri}, previous=first).rows == 30, "the same, by another user"
    caplog.clear()
    moved = database.environ(host="127.0.0.1")
    second = desk.ingest(spec, environ=moved, previous=first)
    assert second.rows == 10
    assert "the database, the query or the fields are others than the last version's" in caplog.text
    database.sql("DELETE FROM things WHERE id < 'r0025'")
    assert desk.ingest(spec, environ=moved, previous=second.artifact).rows == 10


@pytest.mark.parametrize(
    "change", [{"host": "b"}, {"port": 2}, {"database": "other"}], ids=["host", "port", "database"]
)
def test_what_a_database_is_decides_whether_rows_are_added(change: dict[str, Any]) -> None:
    one = Access(host="a", port=1, database="d", user="u", password="p", tls="disable")
    source = {"engine": "mariadb", "secretRef": {"name": "warehouse"}, "query": QUERY}
    spec = a_spec(format="parquet", source={"sql": source})
    assert _made_of(spec, one) == _made_of(spec, replace(one, user="v", password="q", tls="require"))
    assert _made_of(spec, one) != _made_of(spec, replace(one, **change))


@pytest.mark.s3
def test_a_version_that_may_not_be_read_leads_to_a_read_of_all_rows(
    desk: Desk, postgresql: Database, minio_server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys that may not list are answered 403 for what is gone; MinIO, which answers 404, is told to deny it."""
    bucket = minio_server.new_bucket()
    user = minio_server.new_user(bucket)
    desk.environ |= user.environ() | {"MLOPS_STORE": f"s3://{bucket}"}
    deliver(postgresql, rows(0, 30))
    first = sync(desk, postgresql)
    resources = [f"arn:aws:s3:::{bucket}{inside}" for inside in ("", "/*")]
    allowed = {"Effect": "Allow", "Action": ["s3:*"], "Resource": resources}
    hidden = f"arn:aws:s3:::{bucket}/{manifest_key(first.artifact)}"
    denied = {"Effect": "Deny", "Action": ["s3:GetObject"], "Resource": [hidden]}
    policy = {"Version": "2012-10-17", "Statement": [allowed, denied]}
    minio_server._admin().policy_add(user.access_key, policy=policy)
    postgresql.sql("DELETE FROM things WHERE id < 'r0020'")
    caplog.clear()
    assert sync(desk, postgresql, first).rows == 10
    assert "the last version may not be read, or is gone from the store" in caplog.text


def test_other_cleaning_goes_over_the_rows_that_are_there(desk: Desk, database: Database) -> None:
    deliver(database, rows(0, 30))
    first = sync(desk, database)
    database.sql("DELETE FROM things WHERE id < 'r0020'")
    assert sync(desk, database, first, clean=[{"filter": "price > 0"}]).rows == 27


def test_a_version_that_is_gone_leads_to_a_read_of_all_rows(desk: Desk, database: Database) -> None:
    deliver(database, rows(0, 30))
    first = sync(desk, database)
    desk.store.delete(first.artifact)
    assert sync(desk, database, first).digest == first.digest


def test_whole_numbers_are_a_watermark_too(desk: Desk, database: Database) -> None:
    database.sql("CREATE TABLE t (n bigint); INSERT INTO t VALUES (-3), (5)")
    spec = of_query(database, "SELECT n FROM t", [{"name": "n", "type": "int64"}], incremental="n")
    first = desk.ingest(spec, environ=database.environ())
    assert first.watermark == "5"
    database.sql("DELETE FROM t WHERE n < 0; INSERT INTO t VALUES (6)")
    second = desk.ingest(spec, environ=database.environ(), previous=first.artifact)
    assert (second.rows, second.watermark) == (3, "6")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_row_without_a_watermark_is_refused(desk: Desk, database: Database, at_once: bool) -> None:
    database.sql("CREATE TABLE t (n bigint); INSERT INTO t VALUES (1)")
    spec = of_query(database, "SELECT n FROM t", [{"name": "n", "type": "int64"}], incremental="n")
    first = None if at_once else desk.ingest(spec, environ=database.environ()).artifact
    database.sql("INSERT INTO t VALUES (NULL)")
    with pytest.raises(BadInput, match="n IS NOT NULL") as caught:
        desk.ingest(spec, environ=database.environ(), previous=first)
    assert caught.value.reason == "SchemaMismatch"


def test_a_watermark_of_text_is_refused(desk: Desk, database: Database) -> None:
    fields = [{"name": "n", "type": "int64"}]
    reason, message = desk.refusal(
        of_query(database, "SELECT '1' AS n", fields, incremental="n"), environ=database.environ()
    )
    assert (reason, "name a column of whole numbers or times" in message) == ("SchemaMismatch", True)


def test_a_personal_watermark_is_not_told(desk: Desk, database: Database) -> None:
    fields = [{"name": "n", "type": "int64"}]
    spec = of_query(database, "SELECT 5 AS n", fields, incremental="n", governance={"pii": ["n"]})
    assert desk.ingest(spec, environ=database.environ()).watermark is None


def test_only_versions_that_are_added_to_hold_delivered_rows(desk: Desk, database: Database) -> None:
    deliver(database, rows(0, 5))
    names = {Path(one.path).name for one in desk.store.manifest(sync(desk, database).artifact).entries}
    assert {"delivered.parquet", "delivered.json"} <= names
    names = {Path(one.path).name for one in desk.store.manifest(whole(desk, database).artifact).entries}
    assert not {"delivered.parquet", "delivered.json"} & names
