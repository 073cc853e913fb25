"""Real databases as fixtures: PostgreSQL and MariaDB of the system's packages, each in a folder of its own."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers.process import free_port, running

PASSWORD = "s3ntinel-Passw0rd"
"""Of every user: what must stand in no message, log, status, report or command line."""


@dataclass
class Database:
    """A server on 127.0.0.1; `options` are those that it was started with."""

    engine: str
    port: int
    folder: Path
    _shell: Callable[[str, str], subprocess.CompletedProcess[str]] = field(repr=False)
    process: subprocess.Popen[bytes] | None = None
    name: str = ""

    @property
    def ca(self) -> str:
        """The certificate of the server, which is its own authority."""
        return (self.folder / "public.crt").read_text()

    def sql(self, statements: str, database: str | None = None) -> str:
        """Run statements as the administrator, and return what they print."""
        done = self._shell(statements, self.name if database is None else database)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def secret(self, **changes: str) -> dict[str, str]:
        """The keys of a source's Secret for the user `reader`, who may read only."""
        keys = {
            "host": "localhost",
            "port": str(self.port),
            "user": "reader",
            "password": PASSWORD,
            "database": self.name,
            "sslmode": "disable",
        }
        return {key: value for key, value in (keys | changes).items() if value}

    def environ(self, **changes: str) -> dict[str, str]:
        """The same as a pod has them."""
        return {f"SOURCE_{key}": value for key, value in self.secret(**changes).items()}


def server_user() -> int | None:
    """The user that servers run as: they refuse to be root."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def found(name: str, package: str) -> str:
    """The path of a server's program. Without it the test is skipped on a laptop, and fails in CI."""
    places = [str(one) for one in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    path = os.pathsep.join([*places, os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    if program := shutil.which(name, path=path):
        return program
    message = f"{name} is not installed: Debian's package {package} has it (python hack/packages.py install)"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of the server's user; a short path, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="mlops-db-") as made:
        folder = Path(made)
        subprocess.run(
            [
                *["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
                *["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost"],
                *["-keyout", str(folder / "private.key"), "-out", str(folder / "public.crt")],
            ],
            check=True,
            capture_output=True,
        )
        user = server_user()
        if user is not None:
            for path in (folder, folder / "private.key", folder / "public.crt"):
                os.chown(path, user, pwd.getpwuid(user).pw_gid)
        (folder / "private.key").chmod(0o600)
        yield folder


@contextmanager
def postgresql_server() -> Iterator[Database]:
    """A PostgreSQL with TLS, whose administrator is `admin`."""
    initdb, postgres, psql = (found(name, "postgresql") for name in ("initdb", "postgres", "psql"))
    with _folder() as folder:
        data, port, environ = folder / "data", free_port(), {"LC_ALL": "C", "PATH": os.environ.get("PATH", "")}
        made = ["--auth-local=trust", "--auth-host=scram-sha-256", "--username=admin", "--encoding=UTF8", "--locale=C"]
        _as_server([initdb, "-D", str(data), "--no-sync", *made], folder, environ)

        def shell(statements: str, database: str) -> subprocess.CompletedProcess[str]:
            words = [psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(folder), "-p", str(port)]
            return _ran([*words, "-U", "admin", "-d", database or "postgres"], statements)

        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": str(folder / "public.crt"),
            "ssl_key_file": str(folder / "private.key"),
        }
        # Not as options, which no ALTER SYSTEM changes.
        with (data / "postgresql.conf").open("a") as written:
            written.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        database = Database("postgresql", port, folder, shell)
        with running(
            [postgres, "-D", str(data), "-p", str(port)],
            lambda: shell("SELECT 1", "").returncode == 0,
            folder / "log",
            user=server_user(),
        ) as process:
            database.process = process
            database.sql(f"CREATE USER reader PASSWORD '{PASSWORD}'; CREATE USER writer PASSWORD '{PASSWORD}'")
            yield database
            # At once, whoever is connected.
            process.send_signal(signal.SIGINT)
            process.wait(30)


@contextmanager
def mariadb_server(*options: str, tls: bool = True) -> Iterator[Database]:
    """A MariaDB, whose administrator is `root` by the socket."""
    install, mariadbd, client = (
        found(name, "mariadb-server") for name in ("mariadb-install-db", "mariadbd", "mariadb")
    )
    with _folder() as folder:
        data, port, socket = folder / "data", free_port(), folder / "socket"
        made = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        _as_server([install, "--no-defaults", f"--datadir={data}", *made], folder, {"PATH": os.environ.get("PATH", "")})

        def shell(statements: str, database: str) -> subprocess.CompletedProcess[str]:
            words = [client, "--no-defaults", "-N", "-B", "-S", str(socket), "-u", "root"]
            return _ran([*words, *([database] if database else [])], statements)

        words = [f"--ssl-cert={folder}/public.crt", f"--ssl-key={folder}/private.key"] if tls else []
        database = Database("mariadb", port, folder, shell)
        with running(
            [
                *[mariadbd, "--no-defaults", f"--datadir={data}", f"--socket={socket}", f"--port={port}"],
                *["--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"],
                *["--character-set-server=utf8mb4", f"--pid-file={folder}/pid", *words, *options],
            ],
            lambda: shell("SELECT 1", "").returncode == 0,
            folder / "log",
            user=server_user(),
        ) as process:
            database.process = process
            users = ("reader", "writer")
            database.sql("".join(f"CREATE USER {one}@'%' IDENTIFIED BY '{PASSWORD}';" for one in users))
            yield database
            process.terminate()
            process.wait(30)


def _as_server(words: list[str], folder: Path, environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        words, cwd=folder, env=dict(environ), user=server_user(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _ran(words: list[str], statements: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, input=statements, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def postgresql_running() -> Iterator[Database]:
    with postgresql_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_running() -> Iterator[Database]:
    with mariadb_server() as server:
        yield server


@pytest.fixture
def postgresql(postgresql_running: Database) -> Iterator[Database]:
    """An empty database, which `reader` may read and `writer` may write."""
    server = postgresql_running
    server.name = f"shop_{secrets.token_hex(4)}"
    server.sql(f"CREATE DATABASE {server.name} OWNER writer", "")
    server.sql("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader; GRANT CREATE ON SCHEMA public TO writer")
    yield server
    server.sql(f"DROP DATABASE {server.name} WITH (FORCE)", "")


@pytest.fixture
def mariadb(mariadb_running: Database) -> Iterator[Database]:
    """An empty database, which `reader` may read and `writer` may write."""
    server = mariadb_running
    server.name = f"shop_{secrets.token_hex(4)}"
    server.sql(f"CREATE DATABASE {server.name}", "")
    server.sql(f"GRANT SELECT ON {server.name}.* TO reader@'%'; GRANT ALL ON {server.name}.* TO writer@'%'")
    yield server
    server.sql(f"DROP DATABASE {server.name}", "")


@pytest.fixture(params=["postgresql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Database:
    """An empty database of each engine in turn."""
    made: Database = request.getfixturevalue(request.param)
    return made
