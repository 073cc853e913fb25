"""Files delivered to an S3 service: never over something else unasked, checked on the way, with progress."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops.api import tasks
from mlops.cli.errors import UserError
from mlops.cli.put.local import check_file, parts_of, sha256_of
from mlops.store.address import open_source
from mlops.store.bucket import Bucket, Watched
from mlops.store.errors import AccessDenied


@dataclass(frozen=True)
class Place:
    """Where a file goes, its digest, and whether its bytes are not there yet."""

    bucket: Bucket
    name: str
    key: str
    digest: str
    is_new: bool

    @property
    def uri(self) -> str:
        """Return the URI of the object."""
        return f"s3://{self.name}/{self.key}"


def place_of(file: Path, uri: str, environ: Mapping[str, str], *, force: bool) -> Place:
    """Return the place of a file that is put at an s3:// URI of the service that `environ` names; puts nothing.

    Raises UserError if something else is there and not `force`, and the store's errors.
    """
    check_file(file)
    # Beside a pod's environment this would be a folder.
    environ = {name: value for name, value in environ.items() if name != tasks.BUCKETS_VARIABLE}
    bucket, _ = open_source(uri, environ)
    name, key = parts_of(file, uri)
    digest = sha256_of(file)
    is_there = not force and _is_there(bucket, name, key, file, digest)
    return Place(bucket, name, key, digest, not is_there)


def deliver(file: Path, place: Place, told: Callable[[int], object]) -> None:
    """Put a file at its place if it is not there. Raises the store's errors, also if its digest is another by now."""
    if place.is_new:
        place.bucket.put(place.key, Watched(file, told), f"sha256:{place.digest}")


def _is_there(bucket: Bucket, name: str, key: str, file: Path, digest: str) -> bool:
    """Return whether these bytes are there already. Raises UserError if others are."""
    try:
        found = bucket.stat(key)
        if found is None:
            return False
        same = found.size == file.stat().st_size and _sha256(bucket, key) == digest
    except AccessDenied as error:
        raise UserError(
            f"these keys cannot tell whether something is at s3://{name}/{key}: --force puts the file all the same "
            f"({error})"
        ) from error
    if not same:
        raise UserError(f"s3://{name}/{key} is there and holds something else: --force replaces it")
    return True


def _sha256(bucket: Bucket, key: str) -> str:
    digest = hashlib.sha256()
    for chunk in bucket.read(key):
        digest.update(chunk)
    return digest.hexdigest()
