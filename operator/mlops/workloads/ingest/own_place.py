"""The store's own place is no source: what lies there was not delivered, and is not this namespace's alone.

An installation's keys open the artifacts and the captures of every namespace that shares them. Captures come in through
`source.captured`, which reads those of its own namespace.
"""

from __future__ import annotations

import socket
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mlops.api.dataset import S3Source
from mlops.api.pod_environment import PodSettings, S3Settings
from mlops.api.reasons import Reason
from mlops.api.task_variables import S3_SECRET_VARIABLE, SOURCE_PREFIX
from mlops.store.address import folder_of
from mlops.workloads.floor.pod import BadInput

if TYPE_CHECKING:
    from mlops.api.label_sources import S3Labels

_ENDPOINT, _KEY = S3Settings.name_of("endpoint"), S3Settings.name_of("access_key")


def check_outside(source: S3Source | S3Labels, namespace: str, environ: Mapping[str, str]) -> None:
    """Raise BadInput(SourceForbidden) if `source` overlaps with the store of this or of another namespace."""
    pod = PodSettings.read(environ)
    store = pod.store_root or pod.store
    if buckets := pod.buckets:
        place = folder_of(buckets) / source.uri.removeprefix("s3://")
        if (own := stores_folder(environ)) and overlap(place.resolve().parts, own.parts):
            raise forbidden(source.uri)
    elif (
        store.startswith("s3://")
        and overlap(_segments(source.uri), _segments(store))
        and _same_service(source, namespace, environ)
    ):
        raise forbidden(source.uri)


def stores_folder(environ: Mapping[str, str]) -> Path | None:
    """Return the folder of the stores of all namespaces; None if they are in S3."""
    pod = PodSettings.read(environ)
    store = pod.store_root or pod.store
    return folder_of(store).resolve() if store.startswith("file://") else None


def forbidden(where: str) -> BadInput:
    """Return the error for a source that lies in the store."""
    return BadInput(
        Reason.SOURCE_FORBIDDEN,
        f"{where}: is where the artifact store lies, or around it: put what is delivered elsewhere; "
        "requests that a model server captured are read by spec.source.captured",
    )


def overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one of two places holds the other."""
    return all(first == second for first, second in zip(one, other, strict=False))


def _segments(uri: str) -> tuple[str, ...]:
    """Return bucket and folders, alike for all that some service on the way might take for the same."""
    plain = unicodedata.normalize("NFKC", unquote(uri.removeprefix("s3://"))).casefold()
    return tuple(part for part in plain.split("/") if part)


def _same_service(source: S3Source | S3Labels, namespace: str, environ: Mapping[str, str]) -> bool:
    """Whether the source is read with the installation's keys, or from the service that they are for."""
    if source.secret_ref is None or environ.get(S3_SECRET_VARIABLE) == f"{namespace}/{source.secret_ref.name}":
        return True
    ours, theirs = environ.get(_ENDPOINT, "").strip(), environ.get(SOURCE_PREFIX + _ENDPOINT, "").strip()
    key = environ.get(_KEY, "").strip()
    if key and key == environ.get(SOURCE_PREFIX + _KEY, "").strip():
        return True
    return bool(_addresses(ours) & _addresses(theirs))


def _addresses(endpoint: str) -> set[tuple[str, int]]:
    """Return host and port as written, and every address of the host; nothing for what is no endpoint."""
    try:
        parts = urlsplit(endpoint)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return set()
    if not host:
        return set()
    try:
        found = {(str(each[4][0]), port) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        found = set()
    return {(host, port), *found}
