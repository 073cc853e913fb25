"""From spec.source to files in the scratch folder."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from mlops.api.reasons import Reason
from mlops.store.address import open_source
from mlops.store.bucket import Bucket, Stat
from mlops.store.errors import BucketMissing, NotFound
from mlops.store.folder import FolderBucket
from mlops.workloads.floor.log import say
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.own_place import forbidden

_LOOKED_AT = 1000  # keys read to suggest another prefix


@dataclass(frozen=True)
class Delivered:
    """One delivered file: its name for messages, and where it lies while it is read."""

    name: str
    path: Path
    # In its bucket, or on its server; folders such as part=x/ in it are columns.
    key: str = ""
    # When it was last written, in seconds since 1970, as its store says; None: nobody says.
    modified: float | None = None


def s3_files(
    uri: str, environ: Mapping[str, str], scratch: Path, store: Path | None = None, since: datetime | None = None
) -> Iterator[Delivered]:
    """Yield the object at `uri`, or every object under it in the order of names; each is gone after its turn.

    `store` is the artifact store's folder, into which no link of a bucket's folder may lead. What was last written
    before `since` is left out. Raises BadInput: SourceForbidden for such a link, SourceNotFound if nothing is there,
    naming prefixes like it.
    """
    bucket, key = open_source(uri, environ)
    bucket_name = uri.removeprefix("s3://").partition("/")[0]
    try:
        found = objects_at(bucket, key)
    except (BucketMissing, NotFound) as error:
        raise BadInput(Reason.SOURCE_NOT_FOUND, f"{uri}: there is no bucket {bucket_name!r}") from error
    if not found:
        raise BadInput(Reason.SOURCE_NOT_FOUND, f"{uri}: there is no object{similar(bucket, key, bucket_name)}")
    for one in found:
        if since and one.modified and datetime.fromtimestamp(one.modified, UTC) < since:
            continue
        if store and isinstance(bucket, FolderBucket) and (bucket.root / one.key).resolve().is_relative_to(store):
            raise forbidden(f"s3://{bucket_name}/{one.key}")
        path = scratch / "delivered"
        with path.open("wb") as sink:
            for chunk in bucket.read(one.key):
                sink.write(chunk)
        yield Delivered(f"s3://{bucket_name}/{one.key}", path, one.key, one.modified or None)
        path.unlink()


def objects_at(bucket: Bucket, key: str) -> list[Stat]:
    """Return the object of this key, or else those under it, in the order of names, without markers."""
    if key and not key.endswith("/") and (one := bucket.stat(key)) is not None:
        return [one]
    prefix = key if not key or key.endswith("/") else f"{key}/"
    found = [one for one in bucket.list(prefix) if not one.key.endswith("/")]
    # Spark and others leave markers such as _SUCCESS beside their data.
    hidden = [one.key for one in found if one.key.rpartition("/")[2].startswith(("_", "."))]
    if hidden:
        say(f"{len(hidden)} objects whose name begins with _ or . are left out, such as {hidden[0]}")
    return [one for one in found if one.key not in set(hidden)]


def similar(bucket: Bucket, key: str, bucket_name: str) -> str:
    """Return the end of a message that names prefixes like `key`; nothing if there are none."""
    parent = key.rstrip("/").rpartition("/")[0]
    prefix = f"{parent}/" if parent else ""
    names = set()
    for one in islice(bucket.list(prefix), _LOOKED_AT):
        head, slash, _ = one.key.removeprefix(prefix).partition("/")
        names.add(f"{prefix}{head}{slash}")
    close = difflib.get_close_matches(key, sorted(names), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(f's3://{bucket_name}/{name}' for name in close)}?" if close else ""
