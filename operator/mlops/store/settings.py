"""From the environment to the settings of an S3 service, with what cannot work refused before any request."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from mlops.api.environment import BadVariable
from mlops.api.pod_environment import S3Settings
from mlops.store.errors import AddressInvalid, CredentialsMissing

# What a Secret of the store or of a source may hold.
NAMES = tuple(name for name in S3Settings.names() if name != S3Settings.name_of("secret"))
# They stand in the headers of every request.
_SIGNED_WITH = ("access_key", "secret_key", "session_token", "region")


def s3_settings(environ: Mapping[str, str]) -> S3Settings:
    """Return the settings in `environ`; what is written to a Secret from a file often ends in a line break, which is
    no part of it. Raises AddressInvalid and CredentialsMissing."""
    try:
        settings = S3Settings.read({name: environ.get(name, "").strip() for name in S3Settings.names()})
    except BadVariable as error:
        raise AddressInvalid(error.name, f"is {error.value!r}", f"it {error.problem}") from error
    needed = ("access_key", "secret_key", *(("endpoint",) if settings.secret else ()))
    if missing := [field for field in needed if not getattr(settings, field)]:
        raise CredentialsMissing(_and(missing), "not set", _way_out(settings.secret))
    given = {field: str(getattr(settings, field)) for field in _SIGNED_WITH}
    if unusable := [field for field, text in given.items() if not (text.isascii() and text.isprintable())]:
        problem = "holds a line break or a character beyond ASCII"
        raise CredentialsMissing(_and(unusable), problem, _way_out(settings.secret))
    _check_endpoint(settings.endpoint)
    return settings


def _and(fields: list[str]) -> str:
    return " and ".join(map(S3Settings.name_of, fields))


def _way_out(secret: str) -> str:
    if not secret:
        return "put the keys into the environment, in Kubernetes from the Secret of the store"
    namespace, _, name = secret.partition("/")
    return f'Secret "{name}" in namespace "{namespace}" must hold this: make or mend it, it is tried again'


def _check_endpoint(endpoint: str) -> None:
    name = S3Settings.name_of("endpoint")
    way_out = "give the service's address, such as 'https://s3.eu-central-1.amazonaws.com' or 'http://minio:9000'"
    if not endpoint:
        raise AddressInvalid(name, "not set", way_out)
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        # Not repeated: people do write keys into such a URL.
        raise AddressInvalid(name, "is not an http:// or https:// address of a host alone", way_out)
