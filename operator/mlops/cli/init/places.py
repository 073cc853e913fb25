"""Where a delivery lies: on this machine, in a bucket, or on a web server; fetched from there as a sync fetches it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlops.api import tasks
from mlops.cli.errors import UserError
from mlops.cli.init.delivery import files_of, told_by_us
from mlops.cli.init.naming import object_key, object_name
from mlops.cli.init.options import InitOptions
from mlops.workloads.floor.pod import BadInput, PassingFault
from mlops.workloads.ingest.download import Policy, file_at
from mlops.workloads.ingest.locate import s3_files

_PLACE = "s3://raw/"
_REMOTE = ("s3://", "http://", "https://")


@dataclass(frozen=True)
class Placed:
    """The files as they lie on this machine, and what the objects may be called after."""

    files: tuple[Path, ...]
    stem: str
    # The source that the manifest names; none: the files are delivered to one named after the Dataset.
    source: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    def source_of(self, name: str) -> dict[str, Any]:
        """Return spec.source of the Dataset of this name."""
        if self.source is not None:
            return self.source
        # One file is named itself: what else lies beside it in a bucket is not read.
        return {"s3": {"uri": f"{_PLACE}{name}/" + (_keys(self.files)[0] if len(self.files) == 1 else "")}}

    def deliveries(self, name: str) -> list[tuple[Path, str]]:
        """Return what `mlops run` has to deliver before it: each file and its URI."""
        if self.source is not None:
            return []
        return [
            (path.resolve(), f"{_PLACE}{name}/{key}") for path, key in zip(self.files, _keys(self.files), strict=True)
        ]


def placed(options: InitOptions, scratch: Path) -> Placed:
    """Return the files that the command line names, fetched if they are elsewhere. Raises UserError, or the store's."""
    remote = [name for name in options.files if name.startswith(_REMOTE)]
    if not remote:
        files = files_of(options.files)
        stem = files[0].resolve().parent.name if len(files) > 1 else files[0].name.split(".")[0]
        return Placed(files, stem)
    if len(options.files) > 1:
        raise UserError(f"{remote[0]}: a Dataset has one source: name this alone, or an s3:// prefix with all files")
    try:
        with told_by_us():
            return (_of_bucket if remote[0].startswith("s3://") else _of_server)(remote[0], options, scratch)
    except (BadInput, PassingFault) as error:
        raise UserError(error.message) from error


def _of_bucket(uri: str, options: InitOptions, scratch: Path) -> Placed:
    files, folders = [], False
    for at, one in enumerate(s3_files(uri, _environ(options), scratch)):
        name = one.key.rpartition("/")[2]
        place = scratch / f"{at:05}" / name
        place.parent.mkdir()
        shutil.copyfile(one.path, place)
        files.append(place)
        folders |= any("=" in part for part in one.key.split("/")[:-1])
    stem = uri.rstrip("/").rpartition("/")[2] if len(files) > 1 else files[0].name.split(".")[0]
    notes = ["folders such as year=2026/ are columns: say a field for each that matters"] if folders else []
    return Placed(tuple(files), stem, {"s3": {"uri": uri}}, notes)


def _of_server(url: str, options: InitOptions, scratch: Path) -> Placed:
    name = object_key(unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]) or "data"
    place = scratch / "fetched" / name
    place.parent.mkdir()
    policy = Policy.from_environ({tasks.HTTP_NETWORKS_VARIABLE: ",".join(options.networks)})
    digest = file_at(url, Policy(policy.allowed, "--allow-network"), place)
    stem = name.split(".")[0] if object_name(name.split(".")[0]) else "data"
    return Placed((place,), stem, {"http": {"url": url, "sha256": digest}})


def _environ(options: InitOptions) -> Mapping[str, str]:
    """Return the settings of the store: of a real S3 service, or the buckets of the state folder."""
    environ = {name: value for name, value in os.environ.items() if name != tasks.BUCKETS_VARIABLE}
    if options.s3 or options.state is None:
        return environ
    return environ | {tasks.BUCKETS_VARIABLE: (options.state / "buckets").resolve().as_uri()}


def _keys(files: tuple[Path, ...]) -> list[str]:
    keys = [object_key(path.name) for path in files]
    if len(set(keys)) < len(keys):
        keys = [f"{at:04}-{key}" for at, key in enumerate(keys)]
    return keys
