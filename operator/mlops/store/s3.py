"""A bucket in any S3 service. The only file that knows the SDK; nothing here is particular to one vendor.

What the credentials need depends on the pod's role: docs/store.md. Without s3:ListBucket, S3 answers 403 instead of 404
for what is not there. Parts of an upload whose process was killed stay invisible; a
lifecycle rule (AbortIncompleteMultipartUpload) of the bucket removes them.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from mlops.api.pod_environment import S3Settings
from mlops.store.bucket import CHUNK, Body, Stat, Watched, checked, open_body
from mlops.store.errors import (
    AccessDenied,
    AddressInvalid,
    BucketMissing,
    CertificateUntrusted,
    NoSpace,
    NotFound,
    RequestRefused,
    StoreError,
    StoreUnavailable,
)
from mlops.store.layout import check_path, check_prefix

MIB = 1 << 20
PART = 16 * MIB  # an object up to this size goes in one request; three larger parts are in flight at a time
MOST_PARTS = 10_000  # S3's limit
LARGEST_REQUEST = 5 << 30  # S3's limit

MISSING = frozenset({"NoSuchKey", "ResourceNotFound"})
DENIED = frozenset(
    {
        "AccessDenied",
        "AllAccessDisabled",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidSecurity",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "XAdminUserDisabled",
        "XAdminUserNotFound",
    }
)
FULL = frozenset({"QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"})
# NoSuchUpload: a completed upload whose answer was lost and was sent again. PreconditionFailed: the object changed
# between two requests of one reading. Both are mended by beginning again.
PASSING = frozenset(
    {
        "InternalError",
        "NoSuchUpload",
        "OperationAborted",
        "PreconditionFailed",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "Throttling",
    }
)
PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})


class S3Bucket:
    """The bucket `bucket`, or with `folder` ('team-a') only the part of it below that prefix."""

    def __init__(self, settings: S3Settings, bucket: str, folder: str = "") -> None:
        self._settings = settings
        self._bucket = bucket
        self._root = check_path(folder) + "/" if folder else ""
        self._client = _client(settings)

    def put(self, key: str, body: Body | Watched, sha256: str | None = None) -> None:
        name = self._name(key)
        try:
            with _s3_errors(key):
                self._upload(key, name, body, sha256)
        except StoreUnavailable as error:
            # The upload was completed, the answer lost, and the request sent again finds no upload: begin again.
            if not isinstance(error.__cause__, S3Error) or error.__cause__.code != "NoSuchUpload":
                raise
            with _s3_errors(key):
                self._upload(key, name, body, sha256)

    def read(self, key: str) -> Iterator[bytes]:
        name = self._name(key)
        got = 0
        etag = ""
        breaks = 0
        while True:
            # Going on where a broken connection ended is safe only within one state of the object.
            headers: dict[str, str | list[str] | tuple[str]] = {"If-Match": f'"{etag}"'} if got and etag else {}
            with _s3_errors(key):
                response = self._client.get_object(self._bucket, name, offset=got, request_headers=headers)
            etag = response.headers.get("etag", "").strip('"')
            before = got
            try:
                with _s3_errors(key), closing(response):
                    for chunk in response.stream(CHUNK):
                        got += len(chunk)
                        yield chunk
                return
            except StoreUnavailable:
                breaks = 1 if got > before else breaks + 1
                if breaks == self._settings.attempts:
                    raise

    def stat(self, key: str) -> Stat | None:
        try:
            with _s3_errors(key):
                found = self._client.stat_object(self._bucket, self._name(key))
        except NotFound:
            return None
        modified = found.last_modified.timestamp() if found.last_modified else 0.0
        return Stat(key, found.size or 0, modified)

    def list(self, prefix: str) -> Iterator[Stat]:
        check_prefix(prefix)
        with _s3_errors(prefix):
            for found in self._client.list_objects(self._bucket, prefix=self._root + prefix, recursive=True):
                name = found.object_name or ""
                if name.endswith("/"):  # a console's "folder"
                    continue
                modified = found.last_modified.timestamp() if found.last_modified else 0.0
                yield Stat(name.removeprefix(self._root), found.size or 0, modified)

    def delete(self, key: str) -> None:
        with _s3_errors(key):
            self._client.remove_object(self._bucket, self._name(key))

    def _name(self, key: str) -> str:
        return self._root + check_path(key)

    def _upload(self, key: str, name: str, body: Body | Watched, sha256: str | None) -> None:
        source, size = open_body(body)
        part = max(PART, (size // MOST_PARTS // MIB + 1) * MIB)
        if isinstance(body, bytes):
            # What is in memory goes in one request: keys that may only write cannot look at what parts became.
            part = max(part, min(size, LARGEST_REQUEST))
        with source:
            reader = cast(BinaryIO, checked(key, source, size, sha256, body))
            self._client.put_object(self._bucket, name, reader, size, part_size=part)
        if size > part:
            # The answer to completing an upload begins, with status 200, before the service has put the parts together.
            stored = self.stat(key)
            if stored is None or stored.size != size:
                raise StoreUnavailable(key, "the service called the upload complete, and it is not")


def _client(settings: S3Settings) -> Minio:
    parts = urlsplit(settings.endpoint)
    secure = parts.scheme == "https"
    # Each request is retried by itself, so that one broken part does not send a large file again from its beginning.
    # Jitter, because many pods meet the same outage. No redirect is followed: it would carry a signed request to a host
    # that nobody configured. No Retry-After either: a service must not decide how long a pod hangs.
    retries = urllib3.Retry(
        total=settings.attempts - 1,
        redirect=False,
        allowed_methods=None,
        status_forcelist=PASSING_STATUS,
        raise_on_status=False,
        respect_retry_after_header=False,
        backoff_factor=settings.backoff,
        backoff_jitter=settings.backoff,
        backoff_max=8.0,
    )
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=5.0, read=60.0),
        maxsize=8,
        retries=retries,
        ssl_context=_trust(settings) if secure else None,
    )
    client = Minio(
        parts.netloc,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        session_token=settings.session_token or None,
        secure=secure,
        region=settings.region,
        http_client=pool,
    )
    if settings.addressing == "virtual":
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    else:
        client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    return client


def _trust(settings: S3Settings) -> ssl.SSLContext:
    if settings.ca:
        try:
            return ssl.create_default_context(cadata=settings.ca)
        except (ValueError, ssl.SSLError) as error:
            raise AddressInvalid("MLOPS_S3_CA", f"is no PEM bundle: {error}") from error
    try:
        return ssl.create_default_context(cafile=settings.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise AddressInvalid("MLOPS_S3_CA_FILE", f"{settings.ca_file!r} is no readable PEM bundle: {error}") from error


@contextmanager
def _s3_errors(key: str) -> Iterator[None]:
    try:
        yield
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise _from_sdk_error(key, error) from error


def _from_sdk_error(key: str, error: MinioException | urllib3.exceptions.HTTPError) -> StoreError:
    if isinstance(error, urllib3.exceptions.HTTPError):
        cause = getattr(error, "reason", None) or error
        if "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return CertificateUntrusted(
                key, str(cause), "name the authority's PEM bundle in MLOPS_S3_CA_FILE, or give it in MLOPS_S3_CA"
            )
        return StoreUnavailable(key, f"no answer: {cause}", "check that the endpoint is right and the service runs")
    code, status = _code_and_status(error)
    problem = f"the service answered {code or status}"
    if code == "NoSuchBucket":
        return BucketMissing(key, "there is no such bucket", "make it, or correct the store's address")
    if code in MISSING or (status == 404 and not code):
        return NotFound(key, "there is no such object")
    if code in FULL or status == 507:
        return NoSpace(key, problem, "free space in the store, or raise the quota")
    if code in PASSING or status in PASSING_STATUS:
        return StoreUnavailable(key, problem)
    if code in DENIED or status in (401, 403):
        return AccessDenied(key, problem, "check the keys, the bucket and what its policy allows them")
    return RequestRefused(key, f"{problem}: {getattr(error, 'message', None) or error}")


def _code_and_status(error: MinioException) -> tuple[str, int]:
    if isinstance(error, S3Error):
        return error.code or "", error.response.status
    if isinstance(error, ServerError):
        return "", error.status_code
    if isinstance(error, InvalidResponseError):
        return "", error._code
    return type(error).__name__, 0
