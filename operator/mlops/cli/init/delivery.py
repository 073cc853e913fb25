"""The files of a delivery: which they are, their format, their dialect, and their columns' values block by block."""

from __future__ import annotations

import contextlib
import glob
import io
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, get_args

import orjson
from pydantic import ValidationError

from mlops.api.delimited import Csv, Encoding
from mlops.api.file_formats import Excel, FileFormat, Json
from mlops.cli.errors import UserError
from mlops.cli.init.encodings import common, encoding_of
from mlops.cli.init.options import InitOptions
from mlops.cli.init.sniffing import dialects_of
from mlops.workloads.ingest.decompress import open_bytes, unpack
from mlops.workloads.ingest.json_document import arrays

_SUFFIXES: dict[str, FileFormat] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".tab": "csv", ".data": "csv", ".psv": "csv", ".dat": "csv",
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
    ".json": "json", ".geojson": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".xlsx": "excel", ".xlsm": "excel",
}  # fmt: skip
_PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")
_COPIED = ("parquet", "arrow")
_Part = TypeVar("_Part", Excel, Json)


@dataclass(frozen=True)
class Delivery:
    """Files that one contract describes. `copies` are what is read: a reader may change them."""

    files: tuple[Path, ...]
    copies: tuple[Path, ...]
    format: FileFormat
    csv: Csv | None = None
    json_: Json | None = None
    excel: Excel | None = None
    # Why quotes are letters, where they are; `asks`: a user must say so.
    letters: str = ""
    asks: bool = False

    @property
    def names(self) -> str:
        """Return the files' names for a message."""
        return self.files[0].name + (f" and {len(self.files) - 1} more" if len(self.files) > 1 else "")


@contextlib.contextmanager
def told_by_us() -> Iterator[None]:
    """Keep the readers' log lines, which are for pods, from the terminal."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def files_of(patterns: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the files that paths, folders and globs name, in the order of their names. Raises UserError."""
    found: list[Path] = []
    for pattern in patterns:
        place = Path(pattern)
        if place.is_dir():
            inside = [path for path in sorted(place.iterdir()) if path.is_file() and path.name[0] not in "._"]
            inside = [path for path in inside if _suffix(path) in _SUFFIXES]
            if not inside:
                raise UserError(f"{pattern}: no file of data in this folder: their names end in {', '.join(_SUFFIXES)}")
            found += inside
        elif place.is_file():
            found.append(place)
        else:
            matches = [Path(name) for name in sorted(glob.glob(pattern)) if Path(name).is_file()]
            if not matches:
                raise UserError(f"{pattern}: there is no such file or folder")
            found += matches
    return tuple(dict.fromkeys(found))


def opened(files: tuple[Path, ...], options: InitOptions, scratch: Path) -> Iterable[Delivery]:
    """Return the files as deliveries, one for each dialect that may be theirs, the likeliest first."""
    formats = {path: _format_of(path) for path in files}
    if len(set(formats.values())) > 1:
        listed = ", ".join(f"{path.name} ({kind})" for path, kind in list(formats.items())[:6])
        raise UserError(f"one Dataset has one format, and these are several: {listed}: name files of one")
    kind = formats[files[0]]
    copies = tuple(_copied(path, at, scratch) if kind in _COPIED else path for at, path in enumerate(files))
    base = Delivery(files, copies, kind)
    if kind == "excel":
        return [replace(base, excel=_said(Excel, "--sheet", "sheet", options.sheet))]
    if kind == "json":
        records = options.records or _records(files[0])
        return [replace(base, json_=_said(Json, "--records", "records", records))]
    if kind != "csv":
        return [base]
    if options.quote not in (None, "", '"', "'"):
        raise UserError(f"--quote {options.quote!r}: \", ' or empty, if quotes are letters")
    if options.encoding and options.encoding not in get_args(Encoding):
        raise UserError(f"--encoding {options.encoding!r}: one of {', '.join(get_args(Encoding))}")
    encoding = common(base.names, [encoding_of(path, options) for path in files])
    return (
        replace(base, csv=one.csv, letters=one.letters, asks=one.asks)
        for one in dialects_of(files[0], encoding, options)
    )


def _said(kind: type[_Part], option: str, name: str, value: str | None) -> _Part | None:
    """Return the part of the spec with what an option says; none if it says nothing. Raises UserError."""
    if value is None:
        return None
    try:
        return kind.model_validate({name: value})
    except ValidationError as error:
        raise UserError(f"{option} {value!r}: {error.errors()[0]['msg']}") from error


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _format_of(path: Path) -> FileFormat:
    first = next(open_bytes(path, path.name), b"") if _suffix(path) not in (".xlsx", ".xlsm") else b"PK"
    if first.startswith(b"PAR1"):
        return "parquet"
    if first.startswith(b"ARROW1"):
        return "arrow"
    kind = _SUFFIXES.get(_suffix(path))
    bare = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if kind == "json" and bare[:1] == b"{" and _is_line(bare):
        return "jsonl"
    if kind in ("jsonl", "json") and bare[:1] == b"[":
        return "json"
    if kind is None and bare[:1] == b"{":
        return "jsonl" if _is_line(bare) else "json"
    return kind or "csv"


def _is_line(text: bytes) -> bool:
    """Return whether the first line is an object by itself, and another follows."""
    line, _, rest = text.partition(b"\n")
    try:
        return isinstance(orjson.loads(line), dict) and rest.lstrip()[:1] == b"{"
    except orjson.JSONDecodeError:
        return False


def _copied(path: Path, at: int, scratch: Path) -> Path:
    copy = scratch / f"{at}-{path.name}"
    shutil.copyfile(path, copy)
    unpack(copy, path.name)
    return copy


def _records(path: Path) -> str | None:
    """Return the path of the one array of objects in a document; None if it is the array itself. Raises UserError."""
    text = b"".join(open_bytes(path, path.name))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: no JSON document: {error}") from error
    if isinstance(document, list):
        return None
    found = sorted(arrays(document, "")) if isinstance(document, dict) else []
    if not found:
        raise UserError(f"{path}: no array of objects in the document: a Dataset's rows are one")
    if len(found) > 1:
        raise UserError(f"{path}: several arrays of objects: say which by --records, one of: {', '.join(found)}")
    return found[0]
