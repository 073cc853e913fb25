"""The content-addressed layout: pure functions and values, no IO.

    blobs/sha256/<first two>/<64 hex>        the bytes of one file, under their own sha256
    manifests/sha256/<first two>/<64 hex>    canonical JSON: which paths an artifact has, and the blob of each
    objects/<key>                            plain objects that grow by appending new keys (captures)
    removals/sha256/<first two>/<64 hex>     copies of the manifests of artifacts that are being removed

Blobs and manifests are apart so that files shared by artifacts (a data set's unchanged months, a model and the run that
made it) are kept once, and because a manifest written last makes an artifact appear whole or not at all.

An artifact's digest is the sha256 of its manifest's bytes. Those name every file's path, size and sha256, so the digest
fixes the content completely; it depends on neither file times nor modes nor the order of writing. Empty folders and
links are not content.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mlops.store.errors import AddressInvalid, ManifestInvalid, PathForbidden

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
FORMAT = "mlops.dev/manifest/v1"
# A percent-encoded dot, slash, backslash, percent or NUL: some server on the way might decode it to what is refused.
ENCODED = re.compile(r"%(2e|2f|5c|25|00)", re.IGNORECASE)
LONGEST_KEY = 1024  # bytes, S3's limit
LONGEST_SEGMENT = 255  # bytes, the limit of common file systems


def check_path(path: str) -> str:
    """Return `path` if it is a plain relative path (`a/b.txt`), else raise PathForbidden saying what is wrong."""
    if problem := _path_problem(path):
        raise PathForbidden(repr(path), problem, "use a relative path such as 'data/part-0.parquet'")
    return path


def check_prefix(prefix: str) -> str:
    """Like check_path, for the beginning of keys: it may be empty and may end in one slash."""
    if prefix:
        check_path(prefix.removesuffix("/"))
    return prefix


def _path_problem(path: str) -> str:
    if not path:
        return "is empty"
    try:
        size = len(path.encode("utf-8"))
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "has a control character"
    if "\\" in path:
        return "has a backslash"
    if ENCODED.search(path):
        return "has a percent-encoded dot, slash, backslash, percent sign or NUL"
    segments = path.split("/")
    if "" in segments:
        return "begins or ends with a slash, or has two in a row"
    if "." in segments or ".." in segments:
        return "has a '.' or '..' segment"
    if size > LONGEST_KEY:
        return f"is longer than {LONGEST_KEY} bytes"
    if any(len(segment.encode("utf-8")) > LONGEST_SEGMENT for segment in segments):
        return f"has a segment longer than {LONGEST_SEGMENT} bytes"
    return ""


def check_digest(digest: str) -> str:
    """Return `digest` if it is `sha256:` and 64 lower-case hex digits, else raise AddressInvalid."""
    if not DIGEST.fullmatch(digest):
        raise AddressInvalid(repr(digest), "is no digest", "it must be 'sha256:' and 64 lower-case hex digits")
    return digest


def sha256_of(data: bytes) -> str:
    """The digest of some bytes, as `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob_key(digest: str) -> str:
    """Where a file's bytes are."""
    return _key("blobs", digest)


def manifest_key(digest: str) -> str:
    """Where an artifact's manifest is."""
    return _key("manifests", digest)


def removal_key(digest: str) -> str:
    """Where the copy of a manifest is while its artifact is being removed."""
    return _key("removals", digest)


def object_key(key: str) -> str:
    """Where a plain object is: apart from the rest, so that no key can name a blob or a manifest."""
    return "objects/" + check_path(key)


def _key(kind: str, digest: str) -> str:
    hexadecimal = check_digest(digest).removeprefix("sha256:")
    return f"{kind}/sha256/{hexadecimal[:2]}/{hexadecimal}"


def digest_of_key(key: str) -> str | None:
    """The digest that the key of a blob, a manifest or its copy stands for; None for a key not of this layout."""
    digest = "sha256:" + key.rpartition("/")[2]
    if not DIGEST.fullmatch(digest) or key not in (blob_key(digest), manifest_key(digest), removal_key(digest)):
        return None
    return digest


@dataclass(frozen=True, order=True)
class Entry:
    """One file of an artifact: relative path, size in bytes, digest of its bytes."""

    path: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        check_path(self.path)
        check_digest(self.sha256)
        if self.size < 0:
            raise ManifestInvalid(self.path, f"a size of {self.size}")


@dataclass(frozen=True)
class Manifest:
    """The files of an artifact, sorted by path. Built by `of` (any order) or `parse` (stored bytes)."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Manifest:
        """Raises ManifestInvalid for a path twice, or one that is a file here and a folder there."""
        ordered = tuple(sorted(entries, key=lambda entry: entry.path))
        paths = {entry.path for entry in ordered}
        if len(paths) != len(ordered):
            twice = next(one.path for one, other in pairwise(ordered) if one.path == other.path)
            raise ManifestInvalid(twice, "appears twice")
        for path in paths:
            parent = path
            while parent := parent.rpartition("/")[0]:
                if parent in paths:
                    raise ManifestInvalid(parent, f"is a file and also the folder of {path!r}")
        return cls(ordered)

    @classmethod
    def parse(cls, data: bytes, where: str) -> Manifest:
        """Read canonical bytes. Raises ManifestInvalid or PathForbidden: what is stored is not trusted."""
        try:
            document: Any = json.loads(data)
            if document["format"] != FORMAT:
                raise ManifestInvalid(where, f"format {document['format']!r}", f"this program reads {FORMAT!r}")
            manifest = cls.of(
                Entry(path=str(file["path"]), size=int(file["size"]), sha256=str(file["sha256"]))
                for file in document["files"]
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ManifestInvalid(where, f"is no manifest: {type(error).__name__}: {error}") from error
        if manifest.to_bytes() != data:
            raise ManifestInvalid(where, "is not in canonical form")
        return manifest

    def to_bytes(self) -> bytes:
        """Canonical JSON: keys sorted, no spaces, UTF-8, files sorted by path."""
        files = [{"path": entry.path, "sha256": entry.sha256, "size": entry.size} for entry in self.entries]
        document = {"files": files, "format": FORMAT}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")

    @property
    def digest(self) -> str:
        """The artifact's name: sha256 of `to_bytes()`."""
        return sha256_of(self.to_bytes())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    def entry(self, path: str) -> Entry | None:
        """The file at this path, if the artifact has it."""
        return next((entry for entry in self.entries if entry.path == path), None)
