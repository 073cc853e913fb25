"""Files delivered to the local buckets of a state folder."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from mlops.cli.errors import UserError
from mlops.cli.state import State


def deliver(file: Path, uri: str, state: State) -> tuple[Path, bool]:
    """Put `file` at an s3:// URI of the local buckets, whole or not at all; return where, and whether it is new."""
    place, is_new = place_of(file, uri, state)
    if not is_new:
        return place, False
    place.parent.mkdir(parents=True, exist_ok=True)
    # Not in the bucket: a copy that was cut off must not be read as data.
    beside = state.folder / f".{place.name}.part"
    try:
        shutil.copyfile(file, beside)
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)
    return place, True


def place_of(file: Path, uri: str, state: State) -> tuple[Path, bool]:
    """Return where `file` lies when it is put at an s3:// URI of the local buckets, and whether it is news there.

    Raises UserError if no file can lie there.
    """
    check_file(file)
    bucket, key = parts_of(file, uri)
    place = state.buckets / bucket / key
    if place.is_dir():
        raise UserError(
            f"s3://{bucket}/{key} is a folder: "
            + ("give the file another name there" if uri.endswith("/") else "end it with /")
        )
    for above in place.relative_to(state.buckets).parents:
        if (state.buckets / above).is_file():
            raise UserError(f"s3://{above.as_posix()} is a file, so nothing lies under it: name another place")
    return place, not place.is_file() or sha256_of(place) != sha256_of(file)


def parts_of(file: Path, uri: str) -> tuple[str, str]:
    """Return bucket and key of a file that is put at an s3:// URI; under a prefix it keeps its name."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key + file.name if key.endswith("/") or not key else key


def check_file(file: Path) -> None:
    """Raise UserError unless it is a file."""
    if not file.is_file():
        raise UserError(f"{file}: is a folder: put its files" if file.is_dir() else f"{file}: there is no such file")


def sha256_of(file: Path) -> str:
    """Return the digest of a file's bytes, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
