"""A database as a source: one SELECT, read in one snapshot."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mlops.api.base import Model, text
from mlops.api.secret_ref import SecretRef

# What was tried on real servers; no other stands here.
Engine = Literal["postgresql", "mariadb"]
Query = Annotated[str, text(r"^[\x01-\x20\x7f]*[^\x00-\x20\x7f][^\x00]*$", "one SELECT", 8192)]

# The keys of its Secret that count, with the other names that operators of databases give them.
SECRET_KEYS: dict[str, tuple[str, ...]] = {
    "uri": ("uri",),
    "host": ("host",),
    "port": ("port",),
    "user": ("user", "username"),
    "password": ("password",),
    "database": ("database", "dbname"),
    "sslmode": ("sslmode",),
    "ca": ("ca",),
}


class Incremental(Model):
    """Read only what is new since the last version, which is kept."""

    column: Annotated[str, text(r"^[^\x00]+$", "a column's name as the query gives it", 256)] = Field(
        description=(
            "A column that never falls from row to row as rows are added: a serial number, or the time of insertion. A "
            "field of the contract must read it, of type int64 or timestamp and not nullable. Rows with its highest "
            "value are read again in place of those that are there, rows below it are not."
        )
    )


class SqlSource(Model):
    """The rows of one SELECT, from one snapshot of a database, by a transaction that may only read."""

    engine: Engine = Field(description="What the database is.")
    secret_ref: SecretRef = Field(
        description=(
            "A Secret that says where the database is, and who reads: uri, or host, port, user, password and database; "
            "if needed sslmode (verify-full if left out) and ca."
        )
    )
    query: Query = Field(
        description="One SELECT in the database's own SQL. It is wrapped in another one, which asks for the columns "
        "of the contract only."
    )
    incremental: Incremental | None = Field(
        default=None, description="Read what is new only. All rows are read at each sync if left out."
    )
