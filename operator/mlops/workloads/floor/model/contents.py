"""What may be in a model's folder: known names, known beginnings, nothing that runs code when it is opened."""

from __future__ import annotations

import zipfile
from pathlib import Path

from mlops.api.reasons import Reason
from mlops.workloads.floor.pod import BadInput

# The files that a model's folder may have, and how each begins ("" where its own reader checks it).
FILES: dict[str, bytes] = {
    "model.json": b"",
    "model.onnx": b"\x08",  # the field ir_version of the ModelProto
    "model.treelite": b"\x04\x00\x00\x00",  # major version 4, little endian
    "model.skops": b"PK\x03\x04",
    "golden.json": b"",
    "reference.parquet": b"PAR1",
    "metrics.json": b"",
    "environment.json": b"",
}
# How serialised Python objects begin, and the compressions that joblib puts around them.
PICKLES: tuple[tuple[bytes, str], ...] = (
    *((b"\x80" + bytes([protocol]), f"a pickle (protocol {protocol})") for protocol in range(2, 7)),
    (b"\x1f\x8b", "gzip, as joblib writes around a pickle"),
    (b"BZh", "bzip2, as joblib writes around a pickle"),
    (b"\xfd7zXZ", "xz, as joblib writes around a pickle"),
    (b"]\x00\x00", "lzma, as joblib writes around a pickle"),
    (b"\x04\x22\x4d\x18", "lz4, as joblib writes around a pickle"),
    *(
        (bytes([level, check]), "zlib, as joblib writes around a pickle")
        for level, check in ((0x78, 0x01), (0x78, 0x5E), (0x78, 0x9C), (0x78, 0xDA))
    ),
)
PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth", ".npy", ".npz")
WAY_OUT = "a model is ONNX, treelite or skops: such a file runs code when it is opened, so it is never read"


def check_contents(folder: Path) -> None:
    """Raise BadInput(FormatForbidden) for a file that is no part of a model or does not begin as its name says."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise BadInput(Reason.FORMAT_FORBIDDEN, f"{name}: a link is no part of a model")
        check_file(path, name)


def check_file(path: Path, name: str) -> None:
    """Raise BadInput(FormatForbidden) unless `path` begins as a file called `name` does."""
    with path.open("rb") as stream:
        head = stream.read(16)
    expected = FILES.get(name)
    if expected and head.startswith(expected):
        if name == "model.skops":
            _check_zip(path, name)
        return
    what = next((what for magic, what in PICKLES if head.startswith(magic)), None)
    if what is None and _is_text_pickle(path):
        what = "a pickle (protocol 0 or 1)"
    if what is not None or name.lower().endswith(PICKLE_SUFFIXES):
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{name}: {what or 'a serialised Python object'}; {WAY_OUT}")
    if expected is None:
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{name}: is no part of a model; one has {', '.join(sorted(FILES))}")
    if expected:
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{name}: does not begin as such a file does; {WAY_OUT}")


def _check_zip(path: Path, name: str) -> None:
    """Refuse members that skops does not write; its own reader would not open them, but others might."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{name}: is no whole zip archive: {error}") from error
    foreign = [member for member in members if member != "schema.json" and not member.endswith((".npy", ".npz"))]
    if foreign or "schema.json" not in members:
        found = repr(foreign[0]) if foreign else "no schema.json"
        raise BadInput(Reason.FORMAT_FORBIDDEN, f"{name}: holds {found}: it is no skops file; {WAY_OUT}")


def _is_text_pickle(path: Path) -> bool:
    """Whether the file is a pickle of protocol 0 or 1: such a one ends in STOP and imports by name early on."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(4096)
        stream.seek(max(0, size - 2))
        tail = stream.read()
    opens = head[:1] in (b"(", b"c", b"]", b"}", b")")
    return opens and tail.rstrip(b"\n").endswith(b".") and (b"c" in head and b"\n" in head)
