"""What callers use: artifacts by digest, and plain objects beside them, over any bucket."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from mlops.store.bucket import CHUNK, Body, Bucket, Stat
from mlops.store.errors import AccessDenied, DigestMismatch, NotFound, PathForbidden, TargetOccupied
from mlops.store.layout import (
    Entry,
    Manifest,
    blob_key,
    check_path,
    check_prefix,
    digest_of_key,
    manifest_key,
    object_key,
    removal_key,
    sha256_of,
)

LONGEST_MANIFEST = 64 << 20  # bytes: some 400 000 files; more is not read into memory

GRACE = 7 * 24 * 3600.0
"""Seconds for which garbage collection leaves alone what was written, so that the result of a run may lie unreferenced
until its report arrives. `put` writes again what is older than half of it instead of relying on it: a collection that
began before the `put` cannot then take away what the `put` found in place."""


class Store:
    """Artifacts and plain objects in one bucket.

    The bucket is not trusted: what is read by digest is checked against it before anybody sees it. Any method may raise
    StoreUnavailable and AccessDenied; `clock` gives seconds since the epoch.
    """

    def __init__(self, bucket: Bucket, clock: Callable[[], float] = time.time) -> None:
        self.bucket = bucket
        self._clock = clock

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    # Artifacts

    def put_directory(self, folder: Path) -> Manifest:
        """Store every regular file below `folder`; links and devices are refused with PathForbidden."""
        return self.put_files(files_below(folder))

    def put_files(self, files: Mapping[str, Body]) -> Manifest:
        """Store an artifact of these files, given as bytes or as paths, and return its manifest (`.digest` names it).

        What is in the bucket already is not sent again. The manifest goes last: until then nobody can see any of it,
        and after a failure the same call finishes the work. What was found in place is asked for once more: it may have
        been removed meanwhile with another artifact.
        """
        manifest = Manifest.of(entry_of(path, body) for path, body in files.items())
        entries = {entry.sha256: entry for entry in manifest.entries}
        missing = self._missing(entries.values())
        self._send(missing, files)
        if not self._is_fresh(manifest_key(manifest.digest), len(manifest.to_bytes())):
            self.bucket.put(manifest_key(manifest.digest), manifest.to_bytes(), manifest.digest)
        if len(missing) < len(entries):
            self._send(self._missing(entry for entry in entries.values() if entry not in missing), files)
        return manifest

    def _missing(self, entries: Iterable[Entry]) -> list[Entry]:
        return [entry for entry in entries if not self._is_fresh(blob_key(entry.sha256), entry.size)]

    def _send(self, entries: Iterable[Entry], files: Mapping[str, Body]) -> None:
        for entry in entries:
            self.bucket.put(blob_key(entry.sha256), files[entry.path], entry.sha256)

    def get(self, digest: str, into: Path) -> Manifest:
        """Fetch an artifact into the folder `into`, which appears whole and verified or not at all.

        It may exist if it is empty or holds this very artifact already (a restarted pod); else TargetOccupied. It must
        not be a mount point itself, since it is made beside it and renamed. Raises NotFound, DigestMismatch.
        """
        manifest = self.manifest(digest)
        if into.is_dir() and any(into.iterdir()):
            found = Manifest.of(entry_of(path, body) for path, body in files_below(into).items())
            if found.digest != digest:
                raise TargetOccupied(str(into), f"holds something else than {digest}", "empty it or choose another")
            return manifest
        unfinished = into.with_name(f".{into.name}.{uuid.uuid4().hex[:12]}")
        unfinished.mkdir(parents=True)
        try:
            for entry in manifest.entries:
                target = unfinished / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as sink:
                    for chunk in self._checked_chunks(entry):
                        sink.write(chunk)
            unfinished.replace(into)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return manifest

    def manifest(self, digest: str) -> Manifest:
        """The verified manifest of an artifact. Raises NotFound, DigestMismatch, ManifestInvalid, PathForbidden."""
        return self._manifest_at(manifest_key(digest), digest)

    def _manifest_at(self, key: str, digest: str) -> Manifest:
        data = bytearray()
        for chunk in self._chunks(key, digest):
            data += chunk
            if len(data) > LONGEST_MANIFEST:
                raise DigestMismatch(digest, digest, f"more than {LONGEST_MANIFEST} bytes")
        if (got := sha256_of(bytes(data))) != digest:
            raise DigestMismatch(digest, digest, got)
        return Manifest.parse(bytes(data), where=digest)

    def read_file(self, digest: str, path: str) -> bytes:
        """The verified bytes of one file of an artifact, in memory. Raises NotFound, DigestMismatch."""
        entry = self.manifest(digest).entry(check_path(path))
        if entry is None:
            raise NotFound(f"{digest} {path}", "the artifact has no such file")
        return b"".join(self._checked_chunks(entry))

    def save_file(self, digest: str, path: str, into: Path) -> None:
        """Write the verified bytes of one file of an artifact to `into`. Raises NotFound, DigestMismatch: then what is
        there is not verified."""
        entry = self.manifest(digest).entry(check_path(path))
        if entry is None:
            raise NotFound(f"{digest} {path}", "the artifact has no such file")
        with into.open("wb") as sink:
            for chunk in self._checked_chunks(entry):
                sink.write(chunk)

    def exists(self, digest: str) -> bool:
        """Whether the artifact is there; its bytes are checked when it is read, not here."""
        return self.bucket.stat(manifest_key(digest)) is not None

    def delete(self, digest: str) -> None:
        """Forget an artifact: its manifest goes at once, its bytes with the next collection (`garbage.py`)."""
        self.bucket.delete(manifest_key(digest))

    def remove(self, digests: Collection[str]) -> int:
        """Remove artifacts, with the files that no other artifact has; return how many bytes that freed.

        What is gone already is no error, and a removal that was cut off is finished by the same call: a copy of the
        manifest stays until the last byte is gone, and the artifact itself is gone before the first one is. A manifest
        of another artifact that cannot be read stops everything: its files would look unused. Nobody may store an
        artifact with the same files meanwhile.
        """
        present, begun = self._digests("manifests/"), self._digests("removals/")
        going: list[Manifest] = []
        for digest in dict.fromkeys(digests):
            if digest in present:
                manifest = self.manifest(digest)
                self.bucket.put(removal_key(digest), manifest.to_bytes(), digest)
                self.delete(digest)
            elif digest in begun:
                manifest = self._manifest_at(removal_key(digest), digest)
            else:
                continue
            going.append(manifest)
        freed = self._remove_files({entry.sha256: entry for manifest in going for entry in manifest.entries})
        for manifest in going:
            self.bucket.delete(removal_key(manifest.digest))
        return freed

    def _remove_files(self, files: Mapping[str, Entry]) -> int:
        """Remove those of the files that no artifact has; return their bytes."""
        if not files:
            return 0
        used = self._used()
        freed = 0
        for sha256, entry in files.items():
            if sha256 not in used:
                self.bucket.delete(blob_key(sha256))
                freed += entry.size
        return freed

    def _used(self) -> set[str]:
        """Return the digests of the files that artifacts have, also of those that were stored while this was read: of
        many manifests that takes minutes."""
        seen: set[str] = set()
        used: set[str] = set()
        while new := self._digests("manifests/") - seen:
            used.update(entry.sha256 for digest in sorted(new) for entry in self.manifest(digest).entries)
            seen |= new
        return used

    def _digests(self, prefix: str) -> set[str]:
        return {digest for found in self.bucket.list(prefix) if (digest := digest_of_key(found.key)) is not None}

    # Plain objects: written once under a key of their own, never changed

    def put_object(self, key: str, data: bytes) -> None:
        """Write a plain object, whole or not at all."""
        self.bucket.put(object_key(key), data)

    def get_object(self, key: str) -> bytes:
        """A plain object's bytes. There is no digest to check them against. Raises NotFound."""
        return b"".join(self._chunks(object_key(key), key))

    def list(self, prefix: str) -> Iterator[Stat]:
        """The plain objects whose key begins with `prefix`, sorted by key."""
        for found in self.bucket.list("objects/" + check_prefix(prefix)):
            yield Stat(found.key.removeprefix("objects/"), found.size, found.modified)

    def _is_fresh(self, key: str, size: int) -> bool:
        """Whether the object is in place, whole, and safe from a garbage collection that is under way."""
        try:
            found = self.bucket.stat(key)
        except AccessDenied:
            # Keys that may not list are told this of what is not there. Whether they may write, writing tells.
            return False
        return found is not None and found.size == size and self._clock() - found.modified < GRACE / 2

    def _chunks(self, key: str, name: str) -> Iterator[bytes]:
        try:
            yield from self.bucket.read(key)
        except NotFound as error:
            raise NotFound(name, error.problem, error.way_out) from error

    def _checked_chunks(self, entry: Entry) -> Iterator[bytes]:
        """The blob's bytes; raises DigestMismatch at the end, or as soon as there are too many."""
        seen = hashlib.sha256()
        size = 0
        for chunk in self._chunks(blob_key(entry.sha256), f"{entry.path} ({entry.sha256})"):
            seen.update(chunk)
            size += len(chunk)
            if size > entry.size:
                raise DigestMismatch(entry.path, f"{entry.sha256} of {entry.size} bytes", "more bytes than that")
            yield chunk
        if (got := "sha256:" + seen.hexdigest()) != entry.sha256 or size != entry.size:
            raise DigestMismatch(entry.path, f"{entry.sha256} of {entry.size} bytes", f"{got} of {size} bytes")


def files_below(folder: Path) -> dict[str, Path]:
    """The regular files below a folder by relative path. Raises PathForbidden for links, devices and the like."""
    files: dict[str, Path] = {}
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as found:
            for item in found:
                mode = item.stat(follow_symlinks=False).st_mode
                path = Path(item.path)
                if stat.S_ISDIR(mode):
                    pending.append(path)
                elif stat.S_ISREG(mode):
                    files[path.relative_to(folder).as_posix()] = path
                else:
                    raise PathForbidden(item.path, "is a link or a device", "an artifact holds plain files only")
    return files


def entry_of(path: str, body: Body) -> Entry:
    """Size and digest of one file."""
    if isinstance(body, bytes):
        return Entry(path, len(body), sha256_of(body))
    seen = hashlib.sha256()
    size = 0
    with body.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            seen.update(chunk)
            size += len(chunk)
    return Entry(path, size, "sha256:" + seen.hexdigest())
