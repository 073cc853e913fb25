"""Tables with the rows of the contract, and specs of queries to them."""

from __future__ import annotations

from typing import Any

import polars as pl

from mlops.api.dataset import DatasetSpec
from tests.servers.databases import Database
from tests.workloads.ingest.conftest import FIELDS, a_spec

QUERY = "SELECT id, happened AS time, price, count, kind, open, class FROM things"


def of_query(database: Database, query: str, fields: list[dict[str, Any]] = FIELDS, **changes: Any) -> DatasetSpec:
    """The spec of a query; `incremental` names the column of the watermark."""
    source = {"engine": database.engine, "secretRef": {"name": "warehouse"}, "query": query}
    if column := changes.pop("incremental", None):
        source["incremental"] = {"column": column}
    return a_spec(**{"format": "parquet", "source": {"sql": source}, "fields": fields, **changes})


def deliver(database: Database, frame: pl.DataFrame) -> None:
    """Put the rows of the contract into the table `things`, in another order."""
    time = "timestamptz" if database.engine == "postgresql" else "timestamp(6)"
    database.sql(
        f"CREATE TABLE things (id varchar(20), happened {time}, price numeric(20, 5), count bigint, kind varchar(5), "
        "open boolean, class varchar(5))"
    )
    add(database, frame)


def add(database: Database, frame: pl.DataFrame) -> None:
    """Put further rows there."""
    rows = ", ".join(f"({', '.join(_literals(row, database))})" for row in reversed(frame.to_dicts()))
    zone = "SET time_zone = '+00:00'; " if database.engine == "mariadb" else ""
    database.sql(f"{zone}INSERT INTO things VALUES {rows}")


def _literals(row: dict[str, Any], database: Database) -> list[str]:
    offset = "+00" if database.engine == "postgresql" else ""
    time = row["time"].removesuffix("Z").replace("T", " ") + offset
    values = [row["id"], time, row["price"], row["count"], row["kind"], row["open"], row["class"]]
    return ["NULL" if one is None else f"'{one}'" if isinstance(one, str) else str(one) for one in values]
