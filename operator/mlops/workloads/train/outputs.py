"""What a user's own code left in the outputs folder, looked at before anything of it is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput

MAX_ENTRIES = 10_000
MAX_DEPTH = 32
MAX_BYTES = 16 << 30
# A file that is read into memory whole.
MAX_FILE_BYTES = 1 << 30
# A file system may keep a small file in no block at all, and a compressed one in few.
_SPARSE_FROM = 1 << 20
_BLOCK = 512


def checked_files(outputs: Path) -> dict[str, Path]:
    """Return the files below `outputs` by relative name, sorted.

    Raises BadInput(OutputInvalid) for more files, folders, levels or bytes than a model can need, and for links,
    devices, sockets, pipes and files with holes, wherever they are.
    """
    if outputs.is_symlink() or not outputs.is_dir():
        raise invalid(f"{outputs} is no folder")
    files: dict[str, Path] = {}
    size = 0
    for count, (name, path, found) in enumerate(_entries(outputs), 1):
        if count > MAX_ENTRIES:
            raise invalid(f"{outputs} holds more than {MAX_ENTRIES} files and folders: leave only the model there")
        if stat.S_ISDIR(found.st_mode):
            continue
        if not stat.S_ISREG(found.st_mode):
            raise invalid(
                f"{shown(name)} is no plain file, but {_kind_of(found.st_mode)}: leave plain files in plain folders"
            )
        size += found.st_size
        if size > MAX_BYTES:
            raise invalid(
                f"{outputs} holds more than {MAX_BYTES} bytes (with {shown(name)}): leave only the model there"
            )
        if _has_holes(path, found):
            raise invalid(
                f"{shown(name)}: has holes: {found.st_size} bytes, of which {found.st_blocks * _BLOCK} were written"
            )
        files[name] = path
    return dict(sorted(files.items()))


def _entries(outputs: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Yield name, path and status of everything below `outputs`, never following a link."""
    pending = [(outputs, 1)]
    while pending:
        folder, depth = pending.pop()
        name = folder.relative_to(outputs).as_posix()
        if depth > MAX_DEPTH:
            raise invalid(f"{shown(name)}: folders are nested deeper than {MAX_DEPTH} levels")
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    path, found = Path(entry.path), entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        pending.append((path, depth + 1))
                    yield path.relative_to(outputs).as_posix(), path, found
        except OSError as error:
            raise invalid(f"{shown(name)}: cannot be read: {error.strerror}") from error


def _has_holes(path: Path, found: os.stat_result) -> bool:
    """Whether much of the file was never written. Few blocks alone do not say so: some file systems count them late."""
    if found.st_size < _SPARSE_FROM or found.st_blocks * _BLOCK >= found.st_size // 2:
        return False
    seek_hole = getattr(os, "SEEK_HOLE", None)
    if seek_hole is None:
        return True
    # One that cannot be opened is refused where it is needed.
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            return os.lseek(descriptor, 0, seek_hole) < found.st_size
        finally:
            os.close(descriptor)
    return False


def _kind_of(mode: int) -> str:
    kinds = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def shown(name: str) -> str:
    """Return a name that somebody else chose, fit for a message: short, and without control characters."""
    plain = name.encode("ascii", "backslashreplace").decode("ascii")
    visible = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in plain)
    return visible if len(visible) <= 80 else f"{visible[:60]}… ({len(name)} characters)"


def invalid(message: str) -> BadInput:
    """Return the error for outputs that cannot be taken."""
    return BadInput(Reason.OUTPUT_INVALID, message)
