"""What nobody needs any more in a store: found first, so that it can be told, and then taken away."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from mlops.store.artifacts import GRACE, Store
from mlops.store.bucket import Stat
from mlops.store.errors import DigestMismatch, ManifestInvalid, NotFound, PathForbidden
from mlops.store.layout import Manifest, digest_of_key, object_key


@dataclass(frozen=True)
class Unneeded:
    """An artifact that nobody names: its digest, when it was stored (seconds since the epoch), and its manifest, or
    None if that cannot be read."""

    digest: str
    stored: float
    manifest: Manifest | None


@dataclass(frozen=True)
class Garbage:
    """What can go: artifacts, the files that no other artifact has, copies left by removals, and plain objects."""

    artifacts: tuple[Unneeded, ...]
    files: tuple[Stat, ...]
    copies: tuple[Stat, ...]
    objects: tuple[Stat, ...]

    @property
    def size(self) -> int:
        """Bytes that become free, but for manifests."""
        return sum(found.size for found in (*self.files, *self.objects))


def garbage(
    store: Store, keep: Collection[str], is_kept: Callable[[str], bool] = lambda _: True, grace: float = GRACE
) -> Garbage:
    """Return the artifacts that are not in `keep`, the files that only they have, and the plain objects whose key
    `is_kept` refuses; of all of them only what was written longer than `grace` seconds ago.

    A manifest that should stay but cannot be read stops everything: its files would look unused. Raises an error of the
    store.
    """
    before = store.now() - grace
    manifests = [
        (digest, found) for found in store.bucket.list("manifests/") if (digest := digest_of_key(found.key)) is not None
    ]
    old = {digest: found for digest, found in manifests if digest not in keep and found.modified < before}
    used = {entry.sha256 for digest, _ in manifests if digest not in old for entry in store.manifest(digest).entries}
    return Garbage(
        tuple(Unneeded(digest, found.modified, _read(store, digest)) for digest, found in old.items()),
        tuple(
            found
            for found in store.bucket.list("blobs/")
            if found.modified < before and (digest := digest_of_key(found.key)) is not None and digest not in used
        ),
        tuple(found for found in store.bucket.list("removals/") if found.modified < before),
        tuple(found for found in store.list("") if found.modified < before and not is_kept(found.key)),
    )


def _read(store: Store, digest: str) -> Manifest | None:
    try:
        return store.manifest(digest)
    except (DigestMismatch, ManifestInvalid, NotFound, PathForbidden):
        return None


def collect(store: Store, found: Garbage) -> None:
    """Take it away: artifacts first, so that none is ever there in part. What was cut off, the next one finishes."""
    for artifact in found.artifacts:
        store.delete(artifact.digest)
    for file in (*found.files, *found.copies):
        store.bucket.delete(file.key)
    for plain in found.objects:
        store.bucket.delete(object_key(plain.key))
