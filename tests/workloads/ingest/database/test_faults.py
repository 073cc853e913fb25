"""What is wrong with a database, its Secret or a query: by reason, with a way out, tried again where that helps."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from mlops.workloads.floor.pod import BadInput, PassingFault
from mlops.workloads.ingest.database.access import access_of
from mlops.workloads.ingest.database.postgresql import PostgresqlSession
from mlops.workloads.ingest.database.refusals import Words
from tests.servers.databases import PASSWORD, Database, mariadb_server
from tests.servers.process import free_port
from tests.workloads.ingest.conftest import Desk
from tests.workloads.ingest.database.tables import of_query

NUMBERS = [{"name": "n", "type": "int64"}]
# Many rows at once, then one at a time, for minutes.
SLOW = {
    "postgresql": "SELECT g AS n FROM generate_series(1, 100000) g WHERE g < 50000 OR pg_sleep(0.05) IS NOT NULL",
    "mariadb": "SELECT seq AS n FROM seq_1_to_100000 WHERE seq < 50000 OR SLEEP(0.05) = 0",
}


def stored(desk: Desk) -> list[Path]:
    return sorted(path for path in (desk.root / "store").rglob("*") if path.is_file())


def fault(desk: Desk, of: Database, query: str, fields: Any = NUMBERS, **changes: str) -> tuple[bool, str, str]:
    """Whether it is tried again, the reason and the message; nothing is stored, and no password is told."""
    before = stored(desk)
    with pytest.raises((BadInput, PassingFault)) as caught:
        desk.ingest(of_query(of, query, fields), environ=of.environ(**changes))
    assert stored(desk) == before
    error = caught.value
    assert PASSWORD not in error.message
    return isinstance(error, PassingFault), str(error.reason), error.message


OF_SECRET = [
    pytest.param({"password": "wrong-Passw0rd"}, False, "AccessDenied", "check user and password", id="password"),
    pytest.param({"user": "nobody"}, False, "AccessDenied", "check user and password", id="user"),
    pytest.param({"database": "no_such"}, True, "SourceNotFound", "mend the Secret", id="database"),
    pytest.param({"host": "db.invalid"}, True, "SourceUnavailable", "cannot be resolved", id="host"),
    pytest.param({"host": ""}, True, "CredentialsMissing", "lacks host", id="no host"),
    pytest.param({"password": ""}, True, "CredentialsMissing", "lacks password", id="no password"),
    pytest.param({"port": "seven"}, True, "CredentialsMissing", "a port that is none", id="port"),
    pytest.param({"sslmode": "prefer"}, True, "CredentialsMissing", "another sslmode than disable", id="sslmode"),
    pytest.param({"host": "/var/run"}, True, "CredentialsMissing", "a host that is none", id="socket"),
    pytest.param({"host": "a,b"}, True, "CredentialsMissing", "a host that is none", id="hosts"),
    pytest.param({"sslmode": "verify-full"}, True, "SourceUnavailable", "key ca of the Secret", id="unknown authority"),
    pytest.param({"sslmode": "require", "ca": "x"}, True, "CredentialsMissing", "no certificate in PEM", id="ca"),
    pytest.param({"uri": "http://a/b"}, True, "CredentialsMissing", "another scheme", id="scheme"),
]


@pytest.mark.parametrize(("changes", "again", "reason", "said"), OF_SECRET)
def test_a_secret_that_does_not_open_the_database_is_told_by_its_key(
    desk: Desk, database: Database, changes: dict[str, str], again: bool, reason: str, said: str
) -> None:
    if database.engine == "mariadb" and "database" in changes:
        # It tells nobody whether a database that they may not read is there.
        again, reason, said = False, "AccessDenied", "no_such"
    told = fault(desk, database, "SELECT 1 AS n", **changes)
    assert (told[:2], said in told[2]) == ((again, reason), True), told


def test_a_server_that_is_not_there_is_tried_again(desk: Desk, database: Database) -> None:
    again, reason, message = fault(desk, database, "SELECT 1 AS n", port=str(free_port()))
    assert (again, reason) == (True, "SourceUnavailable")
    assert "refused" in message.lower() or "Connect call failed" in message


def test_a_secret_that_nobody_gave_is_told_with_what_to_do_here(desk: Desk, database: Database) -> None:
    with pytest.raises(BadInput, match="MLOPS_SECRET_<NAME>_<KEY>"):
        desk.ingest(of_query(database, "SELECT 1 AS n", NUMBERS))


OF_QUERY = [
    pytest.param("SELECT n FROM no_such", "SourceNotFound", "no_such", id="dropped table"),
    pytest.param("SELECT m AS n FROM t", "QueryInvalid", "m", id="dropped column"),
    pytest.param("SELECT FROM WHERE", "QueryInvalid", "one SELECT in the database's own SQL", id="syntax"),
    pytest.param("SELECT 1 AS n) AS q; DELETE FROM t; SELECT * FROM (SELECT 1", "QueryInvalid", "", id="two of them"),
    pytest.param("SELECT n, n FROM t", "QueryInvalid", "n", id="two columns of a name"),
    pytest.param("SELECT x AS n FROM t", "SchemaMismatch", 'column "n"', id="changed type"),
    pytest.param("SELECT n AS m FROM t", "SchemaMismatch", '"n" of spec.fields not found', id="renamed column"),
    pytest.param("SELECT n FROM t WHERE n < 0", "DataUnusable", "0 rows", id="no rows"),
    pytest.param("SELECT takes() AS n", "QueryInvalid", "one SELECT that changes nothing", id="a function that writes"),
    pytest.param("SELECT n FROM hidden", "AccessDenied", "grant the user SELECT", id="no rights"),
]
# t, of which the reader reads x and n; hidden, which it may not read; takes(), which it may call.
TABLES = {
    "postgresql": """
        CREATE TABLE t (n int, x text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
        CREATE TABLE hidden (n int); REVOKE ALL ON hidden FROM reader;
        CREATE FUNCTION takes() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM t RETURNING n';""",
    "mariadb": """
        CREATE TABLE t (n int, x text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
        CREATE TABLE hidden (n int);
        REVOKE SELECT ON {name}.* FROM reader@'%';
        GRANT SELECT ON {name}.t TO reader@'%'; GRANT EXECUTE ON {name}.* TO reader@'%';
        DELIMITER //
        CREATE FUNCTION takes() RETURNS int MODIFIES SQL DATA BEGIN DELETE FROM t; RETURN 1; END//""",
}


@pytest.mark.parametrize(("query", "reason", "said"), OF_QUERY)
def test_a_query_that_cannot_be_read_by_is_told_in_the_databases_words(
    desk: Desk, database: Database, query: str, reason: str, said: str
) -> None:
    database.sql(TABLES[database.engine].replace("{name}", database.name))
    again, got, message = fault(desk, database, query)
    if database.engine == "mariadb" and "no_such" in query:
        # It tells nobody of tables that they may not read whether they are there.
        assert (again, got) == (False, "AccessDenied"), message
    else:
        assert (again, got, said in message) == (False, reason, True), message
    assert database.sql("SELECT count(*) FROM t") == "2"


def test_a_dropped_table_is_told_as_one(desk: Desk, database: Database) -> None:
    again, reason, message = fault(desk, database, "SELECT n FROM no_such")
    assert (again, reason) == (False, "SourceNotFound")
    assert "ask for a retry" in message


def test_who_may_write_writes_nothing(desk: Desk, postgresql: Database) -> None:
    postgresql.sql("CREATE SEQUENCE s; GRANT ALL ON s TO writer")
    for query in (
        "SELECT nextval('s') AS n",
        "SELECT n FROM (SELECT 1 AS n) x, set_config('transaction_read_only', 'off', true)",
    ):
        _, reason, _ = fault(desk, postgresql, query, user="writer")
        assert reason == "QueryInvalid"
    assert postgresql.sql("SELECT is_called FROM s") == "f"


def test_parameters_of_a_query_are_refused(desk: Desk, postgresql: Database) -> None:
    assert "it has parameters, such as $1" in fault(desk, postgresql, "SELECT $1::int AS n")[2]


def test_a_value_in_an_error_is_not_told_where_fields_are_personal(desk: Desk, postgresql: Database) -> None:
    postgresql.sql("CREATE TABLE t (x text); INSERT INTO t VALUES ('Erika Mustermann')")
    query = "SELECT x::int AS n FROM t"
    assert "Erika" in fault(desk, postgresql, query)[2]
    spec = of_query(postgresql, query, NUMBERS, governance={"pii": ["n"]})
    with pytest.raises(BadInput) as caught:
        desk.ingest(spec, environ=postgresql.environ())
    assert "Erika" not in caught.value.message
    assert "22P02" in caught.value.message


# What a function says of its own accord, and a name that is not there.
SAYS = {
    "postgresql": (
        """CREATE FUNCTION says() RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'Erika Mustermann' USING ERRCODE = '{code}'; END $$""",
        ("0A000", "25006", "57014", "53000"),
    ),
    "mariadb": (
        """DELIMITER //
        CREATE FUNCTION says() RETURNS int BEGIN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Erika Mustermann', MYSQL_ERRNO = {code}; RETURN 1; END//
        GRANT EXECUTE ON {name}.* TO reader@'%'//""",
        ("1644", "1062", "1205", "1969", "1792"),
    ),
}


def test_only_words_about_names_and_syntax_are_repeated_where_fields_are_personal(
    desk: Desk, database: Database
) -> None:
    statement, codes = SAYS[database.engine]
    for code in codes:
        database.sql("DROP FUNCTION IF EXISTS says")
        database.sql(statement.replace("{code}", code).replace("{name}", database.name))
        assert "Erika" in fault(desk, database, "SELECT says() AS n")[2]
        personal = of_query(database, "SELECT says() AS n", NUMBERS, governance={"pii": ["n"]})
        with pytest.raises((BadInput, PassingFault)) as caught:
            desk.ingest(personal, environ=database.environ())
        assert "Erika" not in caught.value.message
        assert f"error {code}; what it says may hold personal values" in caught.value.message
    for query, said in (
        ("SELECT no_such AS n FROM (SELECT 1 AS m) AS x", "no_such"),
        ("SELECT no_such() AS n", "no_such"),
        ("SELECT FROM WHERE", "syntax"),
    ):
        with pytest.raises(BadInput, match=said) as told:
            desk.ingest(of_query(database, query, NUMBERS, governance={"pii": ["n"]}), environ=database.environ())
        assert told.value.reason == "QueryInvalid"


def test_a_text_that_is_no_text_is_told(desk: Desk, postgresql: Database) -> None:
    name = f"{postgresql.name}_bytes"
    postgresql.sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING SQL_ASCII OWNER writer")
    try:
        again, reason, message = fault(
            desk, postgresql, "SELECT E'\\xff' AS n", [{"name": "n", "type": "string"}], database=name
        )
    finally:
        postgresql.sql(f"DROP DATABASE {name} WITH (FORCE)", "")
    assert (again, reason) == (False, "QueryInvalid"), message


def test_a_time_limit_of_statements_is_told_as_one(desk: Desk, database: Database) -> None:
    if database.engine == "postgresql":
        database.sql("ALTER ROLE reader SET statement_timeout = '300ms'")
    else:
        database.sql("SET GLOBAL max_statement_time = 0.3")
    try:
        again, reason, message = fault(desk, database, SLOW[database.engine])
    finally:
        if database.engine == "postgresql":
            database.sql("ALTER ROLE reader RESET statement_timeout")
        else:
            database.sql("SET GLOBAL max_statement_time = 0")
    assert (again, reason) == (True, "SourceUnavailable")
    assert "raise the time limit" in message


KILLS: dict[str, Callable[[Database], str]] = {
    "postgresql": lambda one: one.sql(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'mlops %'"
    ),
    "mariadb": lambda one: one.sql(
        "SELECT GROUP_CONCAT(CONCAT('KILL ', id) SEPARATOR ';') FROM information_schema.processlist "
        "WHERE user = 'reader'"
    ),
}


@pytest.fixture
def killer(database: Database) -> Iterator[list[str]]:
    """Ends the reader's connection once it is there."""
    done: list[str] = []

    def kill() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not done:
            time.sleep(0.3)
            found = KILLS[database.engine](database)
            if found not in ("0", "NULL", ""):
                if database.engine == "mariadb":
                    database.sql(found)
                done.append(found)

    thread = threading.Thread(target=kill)
    thread.start()
    yield done
    done.append("over")
    thread.join()


@pytest.mark.usefixtures("killer")
def test_a_connection_that_is_killed_on_the_way_is_tried_again(desk: Desk, database: Database) -> None:
    again, reason, message = fault(desk, database, SLOW[database.engine])
    assert (again, reason) == (True, "SourceUnavailable"), message
    assert "terminat" in message or "killed" in message.lower() or "Lost connection" in message


# What ends an answer of some of the rows, of a connection with a transaction.
SOME_ROWS = b"s\x00\x00\x00\x04Z\x00\x00\x00\x05T"


def kill_between_two_fetches(of: Database, listener: socket.socket) -> None:
    """Relay one connection; once some rows came, kill it, and pass on their end and the server's last words in one,
    but never that the server closed."""
    client, _ = listener.accept()
    with client, socket.create_connection(("127.0.0.1", of.port)) as server:
        while True:
            for end in select.select([client, server], [], [])[0]:
                data = end.recv(1 << 20)
                if end is client and not data:
                    return
                if end is server and data.endswith(SOME_ROWS):
                    assert KILLS[of.engine](of) == "1"
                    while more := server.recv(1 << 20):
                        data += more
                    client.sendall(data)
                    while client.recv(1 << 20):
                        pass
                    return
                (server if end is client else client).sendall(data)


def test_a_connection_that_is_killed_between_two_fetches_is_tried_again(desk: Desk, postgresql: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = threading.Thread(target=kill_between_two_fetches, args=(postgresql, listener))
        relay.start()
        query = "SELECT g AS n FROM generate_series(1, 100000) g"
        again, reason, message = fault(desk, postgresql, query, port=str(listener.getsockname()[1]))
        relay.join(20)
    assert (again, reason, relay.is_alive()) == (True, "SourceUnavailable", False)
    assert "the connection was lost or killed" in message


@pytest.mark.parametrize(
    "raised",
    [
        pytest.param(RuntimeError("Event loop is closed"), id="loop"),
        pytest.param(asyncio.CancelledError(), id="cancelled"),
        pytest.param(TimeoutError(), id="timeout"),
        pytest.param(asyncpg.InterfaceError("connection is closed"), id="interface"),
        pytest.param(asyncpg.InternalClientError("cannot switch to state 16"), id="internal"),
    ],
)
def test_whatever_the_driver_makes_of_a_broken_connection_is_tried_again(
    postgresql: Database, raised: BaseException
) -> None:
    """And closing what is broken raises nothing."""

    async def breaks() -> None:
        raise raised

    source = of_query(postgresql, "SELECT 1 AS n", NUMBERS).source.sql
    assert source is not None
    access = access_of(source, "shop", postgresql.environ())
    with PostgresqlSession(access, ["127.0.0.1"], Words(access), "x") as session:
        session._connection.terminate()
        with pytest.raises(PassingFault) as caught:
            session._wait(breaks())
    assert caught.value.reason == "SourceUnavailable"


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_host_that_accepts_and_says_nothing_is_given_up(
    desk: Desk, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_module(f"mlops.workloads.ingest.database.{engine}")
    monkeypatch.setattr(f"mlops.workloads.ingest.database.{engine}.CONNECT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = Database(engine, listener.getsockname()[1], desk.root, lambda *_: pytest.fail("no shell"), name="x")
        again, reason, message = fault(desk, silent, "SELECT 1 AS n")
    assert (again, reason) == (True, "SourceUnavailable")
    assert "timed out" in message or "no answer in time" in message


def test_a_query_may_be_silent_for_longer_than_a_handshake(
    desk: Desk, mariadb: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.workloads.ingest.database.mariadb.CONNECT_SECONDS", 1.0)
    spec = of_query(mariadb, "SELECT seq AS n FROM seq_1_to_2 WHERE SLEEP(1) = 0", NUMBERS)
    assert desk.ingest(spec, environ=mariadb.environ()).rows == 2


def test_a_way_to_log_in_that_is_not_there_is_told(desk: Desk, mariadb: Database) -> None:
    mariadb.sql("INSTALL SONAME 'auth_ed25519'")
    mariadb.sql(f"CREATE USER modern@'%' IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORD}')")
    again, reason, message = fault(desk, mariadb, "SELECT 1 AS n", user="modern")
    mariadb.sql("DROP USER modern@'%'; UNINSTALL SONAME 'auth_ed25519'")
    assert (again, reason) == (False, "AccessDenied")
    assert "ed25519_password auth method is not read here: let the user log in" in message


def test_a_server_without_tls_gets_no_password(desk: Desk, postgresql: Database) -> None:
    postgresql.sql("ALTER SYSTEM SET ssl = off;\nSELECT pg_reload_conf()")
    time.sleep(0.5)
    try:
        again, reason, message = fault(desk, postgresql, "SELECT 1 AS n", sslmode="require")
    finally:
        postgresql.sql("ALTER SYSTEM RESET ssl;\nSELECT pg_reload_conf()")
        time.sleep(0.5)
    assert (again, reason) == (True, "SourceUnavailable")
    assert "offers no TLS" in message
    assert "sslmode: disable" in message


def test_a_mariadb_without_tls_gets_no_password(desk: Desk) -> None:
    with mariadb_server("--skip-ssl", tls=False) as server:
        server.name = "mysql"
        again, reason, message = fault(desk, server, "SELECT 1 AS n", sslmode="require")
    assert (again, reason) == (True, "SourceUnavailable")
    assert "offers no TLS" in message


def test_tls_is_checked_against_authority_and_name(desk: Desk, database: Database) -> None:
    spec = of_query(database, "SELECT 1 AS n", NUMBERS)
    for mode in ("require", "verify-ca", "verify-full", ""):
        assert desk.ingest(spec, environ=database.environ(sslmode=mode, ca=database.ca)).rows == 1
    # The certificate is that of localhost.
    *_, message = fault(desk, database, "SELECT 1 AS n", sslmode="verify-full", ca=database.ca, host="127.0.0.1")
    assert "IP address mismatch" in message
    assert desk.ingest(spec, environ=database.environ(sslmode="verify-ca", ca=database.ca, host="127.0.0.1")).rows == 1


def test_a_uri_says_all_that_the_keys_say(desk: Desk, database: Database) -> None:
    spec = of_query(database, "SELECT 1 AS n", NUMBERS)
    uri = f"{database.engine}://reader:{PASSWORD}@localhost:{database.port}/{database.name}?sslmode=disable"
    assert desk.ingest(spec, environ={"SOURCE_uri": uri}).rows == 1
    # What it lacks is not taken from other keys.
    with pytest.raises(PassingFault, match="lacks password: its uri has none"):
        desk.ingest(spec, environ=database.environ(uri=uri.replace(f":{PASSWORD}", "")))
