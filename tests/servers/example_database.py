"""The database that an example reads: loaded as its README says."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.servers.databases import Database

LOADING = "load.sql"


def environ_of(example: Path, server: Callable[[], Database]) -> dict[str, str]:
    """Return the variables of an example's Secret; none if it reads no database. `server` starts a PostgreSQL."""
    if not (example / LOADING).is_file():
        return {}
    return variables_of(example.name, loaded(example, server()))


def loaded(example: Path, server: Database) -> Database:
    """Return a database of its own with the example's tables."""
    database = replace(server, name=f"{example.name}_{secrets.token_hex(4)}")
    server.sql(f"CREATE DATABASE {database.name}", "")
    database.sql("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader")
    # psql looks for files where it was started.
    database.sql((example / LOADING).read_text().replace("'data/", f"'{example}/data/"))
    return database


def variables_of(secret: str, database: Database) -> dict[str, str]:
    """Return the Secret of the database as `mlops run` takes it from its environment."""
    return {f"MLOPS_SECRET_{secret.upper()}_{key.upper()}": value for key, value in database.secret().items()}
