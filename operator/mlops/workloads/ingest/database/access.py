"""Where a database is and who reads it, from the Secret that a source names."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from mlops.api.reasons import Reason
from mlops.api.sql_source import SECRET_KEYS, Engine, SqlSource
from mlops.api.task_variables import BUCKETS_VARIABLE, SOURCE_PREFIX
from mlops.workloads.floor.pod import BadInput, PassingFault
from mlops.workloads.ingest.credentials import LOCAL_WAY_OUT

TlsMode = Literal["disable", "require", "verify-ca", "verify-full"]
_PORTS: Final[Mapping[Engine, int]] = {"postgresql": 5432, "mariadb": 3306}
_SCHEMES: Final[Mapping[Engine, tuple[str, ...]]] = {
    "postgresql": ("postgresql", "postgres"),
    "mariadb": ("mariadb", "mysql"),
}
_MODES: Final[Mapping[str, TlsMode]] = {mode: mode for mode in get_args(TlsMode)}
_NEEDED: Final = ("host", "user", "password", "database")


@dataclass(frozen=True)
class Access:
    """A database and who reads it; `where` is what messages call it."""

    host: str
    port: int
    database: str
    user: str = field(repr=False)
    password: str = field(repr=False)
    tls: TlsMode
    ca: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        """Return the database in words that hold no secret."""
        return f'database "{self.database}" at {self.host}:{self.port}'

    def harmless(self, said: str) -> str:
        """Return what a server or library said without the password, should it stand in it."""
        return said.replace(self.password, "***") if self.password else said

    def context(self) -> ssl.SSLContext | None:
        """Return how TLS is done; None: not at all. Raises ssl.SSLError or ValueError for a `ca` that is none."""
        if self.tls == "disable":
            return None
        context = ssl.create_default_context(cadata=self.ca or None)
        # Databases make certificates of their own that lack what RFC 5280 wants of those of the web.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.tls != "verify-full":
            context.check_hostname = False
        if self.tls == "require":
            context.verify_mode = ssl.CERT_NONE
        return context


def access_of(source: SqlSource, namespace: str, environ: Mapping[str, str]) -> Access:
    """Return what the source's Secret says. Raises PassingFault(CredentialsMissing), which names keys, never values.

    Without a cluster nobody makes a Secret while it runs: BadInput.
    """
    secret = _Secret(f'Secret "{source.secret_ref.name}" in namespace "{namespace}"', environ)
    given = {key: value for key in SECRET_KEYS if (value := secret.value(key))}
    if not given and BUCKETS_VARIABLE in environ:
        raise BadInput(Reason.CREDENTIALS_MISSING, f"{secret.name} is not known here: {LOCAL_WAY_OUT}")
    if not given:
        raise secret.wrong("is not there, or has none of the keys: " + ", ".join(SECRET_KEYS))
    if uri := given.get("uri"):
        # Whole: what the URI lacks is not taken from keys that were written for something else.
        given = _parts(uri, source.engine, secret) | {key: given[key] for key in ("sslmode", "ca") if key in given}
    if missing := [key for key in _NEEDED if not given.get(key)]:
        in_uri = ": its uri has none" if uri else ""
        raise secret.wrong(f"lacks {', '.join(missing)}{in_uri}")
    mode = given.get("sslmode", "verify-full")
    if mode not in _MODES:
        raise secret.wrong(f"has another sslmode than {', '.join(_MODES)}")
    access = Access(
        host=_host(given["host"], secret),
        port=_port(given.get("port", str(_PORTS[source.engine])), secret),
        database=given["database"],
        user=given["user"],
        password=given["password"],
        tls=_MODES[mode],
        ca=given.get("ca", ""),
    )
    try:
        access.context()
    except (ssl.SSLError, ValueError) as error:
        raise secret.wrong("has a ca that is no certificate in PEM") from error
    return access


@dataclass(frozen=True)
class _Secret:
    """A Secret's keys in the pod's environment, and what it is called."""

    name: str
    environ: Mapping[str, str] = field(repr=False)

    def value(self, key: str) -> str:
        names = (SOURCE_PREFIX + one for one in SECRET_KEYS[key])
        # A file that was made into a Secret ends in a line break; a password may end in a blank.
        return next((value for name in names if (value := self.environ.get(name, "").rstrip("\r\n"))), "")

    def wrong(self, problem: str) -> PassingFault:
        return PassingFault(
            Reason.CREDENTIALS_MISSING, f"{self.name} {problem}: make or mend the Secret, it is tried again"
        )


def _parts(uri: str, engine: Engine, secret: _Secret) -> dict[str, str]:
    """Return what a URI says; what it says beyond that is refused, for nobody would do it."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise secret.wrong("has a uri that is none: in user and password, write %40 for @, %2F for /") from None
    if parts.scheme not in _SCHEMES[engine]:
        raise secret.wrong(f"has a uri of another scheme than {_SCHEMES[engine][0]}://, as spec.source.sql.engine says")
    known = {"sslmode"}
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(asked.keys() - known):
        # Names of settings, not values; but whoever wrote & into a password has it here.
        raise secret.wrong(f"has a uri with {len(unknown)} settings that are not known: sslmode is, and ca is a key")
    found = {"host": parts.hostname or "", "port": str(port) if port is not None else "", **_user(parts), **asked}
    return {key: value for key, value in found.items() if value} | {"database": unquote(parts.path.removeprefix("/"))}


def _user(parts: SplitResult) -> dict[str, str]:
    return {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}


def _host(host: str, secret: _Secret) -> str:
    plain = host.strip().rstrip(".").removeprefix("[").removesuffix("]")
    if not plain or not plain.isascii() or any(letter in plain for letter in "/,@\\ \t%"):
        raise secret.wrong("has a host that is none: one name or address, no socket and no list")
    return plain


def _port(port: str, secret: _Secret) -> int:
    bare = port.strip()
    if not (bare.isascii() and bare.isdigit() and 0 < int(bare[:6]) < 1 << 16):
        raise secret.wrong("has a port that is none")
    return int(bare)
