"""From a URL and the environment to a store, or to a user's own data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from mlops.api.pod_environment import PodSettings, S3Settings
from mlops.store.artifacts import Store
from mlops.store.bucket import Bucket
from mlops.store.errors import AddressInvalid
from mlops.store.folder import FolderBucket
from mlops.store.layout import check_path, check_prefix
from mlops.store.renewed import RenewedBucket, read_keys
from mlops.store.settings import NAMES, s3_settings

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


def open_store(url: str, environ: Mapping[str, str]) -> Store:
    """The store at `file:///absolute/path` or `s3://bucket[/prefix]`; for S3 see `s3_settings`.

    With `MLOPS_S3_KEYS` the settings that the environment does not hold come from that folder, a file each, and are
    read again when they change: the mounted Secret of a process that lives long.
    Raises AddressInvalid, PathForbidden and CredentialsMissing; does not yet talk to the service.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "file":
        return Store(FolderBucket(folder_of(url)))
    if scheme == "s3":
        # The SDK takes half a second to import: a pod beside a folder does not pay for it.
        from mlops.store.s3 import S3Bucket

        name, _, prefix = rest.partition("/")
        prefix = prefix.removesuffix("/")
        _bucket_name(name)

        def connect(environ: Mapping[str, str]) -> Bucket:
            return S3Bucket(s3_settings(environ), name, prefix)

        if not (keys := PodSettings.read(environ).s3_keys):
            return Store(connect(environ))
        # As in a container's environment, what is set for it goes before what its Secret holds.
        given = {each: environ[each] for each in S3Settings.names() if environ.get(each)}
        renewed = RenewedBucket(lambda: {**read_keys(Path(keys), NAMES), **given}, connect)
        renewed.current()
        return Store(renewed)
    raise AddressInvalid(repr(url), "has no scheme that is allowed here", "use s3://bucket/prefix or file:///path")


def open_source(uri: str, environ: Mapping[str, str]) -> tuple[Bucket, str]:
    """A user's data at `s3://bucket/key` (an object) or `s3://bucket/prefix/`: its bucket, and that key or prefix.

    On one machine without S3, `MLOPS_BUCKETS=file:///folder` stands for the service: each of its folders is a bucket.
    Raises AddressInvalid, PathForbidden and CredentialsMissing.
    """
    scheme, _, rest = uri.partition("://")
    if scheme != "s3":
        raise AddressInvalid(
            repr(uri), "has no scheme that is allowed here", "use s3://bucket/key or s3://bucket/prefix/"
        )
    name, _, key = rest.partition("/")
    _bucket_name(name)
    check_prefix(key)
    if buckets := PodSettings.read(environ).buckets:
        return FolderBucket(folder_of(buckets) / name), key
    from mlops.store.s3 import S3Bucket

    return S3Bucket(s3_settings(environ), name), key


def folder_of(url: str) -> Path:
    """Return the folder that a file:// URL names. Raises AddressInvalid and PathForbidden."""
    # A URL has a space or an umlaut percent-encoded; what is not UTF-8 then is refused as no valid Unicode.
    path = unquote(url.removeprefix("file://"), errors="surrogateescape")
    if not url.startswith("file:///"):
        raise AddressInvalid(
            repr(url), "names no folder", "use file:// and an absolute path, as in file:///var/lib/mlops"
        )
    return Path("/", check_path(path.strip("/"))) if path.strip("/") else Path("/")


def _bucket_name(name: str) -> str:
    if not BUCKET_NAME.fullmatch(name) or ".." in name or IP_ADDRESS.fullmatch(name):
        raise AddressInvalid(
            repr(name),
            "is no bucket name",
            "it has 3 to 63 lower-case letters, digits, dots and hyphens, and is no IP address",
        )
    return name
