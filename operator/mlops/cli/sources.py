"""What lies where Datasets read from, as of the last run: what was put there since makes the next run sync again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlops.store.errors import StoreError
from mlops.store.folder import FolderBucket

Manifest = dict[str, Any]


class Sources:
    """The listings of the local buckets' prefixes on record in the state folder: names, sizes and times of writing."""

    def __init__(self, record: Path, buckets: Path) -> None:
        self._record, self._buckets = record, buckets
        self._known = _read(record)

    def changed(self, key: tuple[str, str, str], uris: Iterable[str]) -> bool:
        """Return whether a Dataset's places hold other objects than at the last run, or nobody knows; remember them."""
        name, listing = "/".join(key), self._listing(uris)
        before = self._known.get(name)
        self._known[name] = listing
        return before != listing

    def save(self) -> None:
        """Record what `changed` was asked about; a file half written is never seen."""
        beside = self._record.with_suffix(".tmp")
        beside.write_text(json.dumps(self._known, sort_keys=True))
        beside.replace(self._record)

    def _listing(self, uris: Iterable[str]) -> str:
        digest = hashlib.sha256()
        for uri in uris:
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            try:
                found = [(one.key, one.size, one.modified) for one in FolderBucket(self._buckets / bucket).list(key)]
            except StoreError:
                # The sync says what is wrong with it.
                found = []
            digest.update(json.dumps([uri, found]).encode())
        return digest.hexdigest()


def _read(record: Path) -> dict[str, str]:
    """Return what is on record; of a file that cannot be read, nothing: then everything is synced once more."""
    try:
        content = json.loads(record.read_text())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in content.items()} if isinstance(content, dict) else {}


def uris_of(source: Manifest) -> list[str]:
    """Return the s3:// URIs that a Dataset reads."""
    places = (source.get("s3"), ((source.get("captured") or {}).get("history") or {}).get("s3"))
    return [place["uri"] for place in places if place]


def has_no_listing(source: Manifest) -> bool:
    """Return whether only a sync can tell if there is news: rows of a database come and go unseen."""
    return bool(source.get("sql"))
