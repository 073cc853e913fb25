"""How a delivery is packed, and in which format it comes, does not matter: the digest of its content is the same."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from mlops.api.dataset import DatasetSpec
from mlops.workloads.floor.pod import BadInput
from mlops.workloads.ingest.decompress import READ, open_bytes
from tests.deliveries.formats.reading import field, read
from tests.workloads.ingest.conftest import Desk, a_frame, a_spec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def _zip(content: bytes, *names: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("data",):
            archive.writestr(name, content)
    return sink.getvalue()


def _parts(pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Pack the two halves for themselves, one after the other."""
    return lambda content: pack(content[: len(content) // 2]) + pack(content[len(content) // 2 :])


PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "gzip": gzip.compress,
    "gzip in parts": _parts(gzip.compress),
    "gzip with padding": lambda content: gzip.compress(content) + b"\0" * 512,
    "zstd": zstd.compress,
    "zstd in parts": _parts(zstd.compress),
    "zstd behind a frame to skip": lambda content: b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstd.compress(content),
    "bzip2": bz2.compress,
    "bzip2 in parts": _parts(bz2.compress),
    "xz": lzma.compress,
    "xz in parts": _parts(lzma.compress),
    "zip": _zip,
}
CUT = ("gzip", "zstd", "bzip2", "xz", "zip")
packed = pytest.mark.parametrize("pack", [pytest.param(pack, id=name) for name, pack in PACK.items()])


def _excel(frame: pl.DataFrame) -> bytes:
    made, sink = openpyxl.Workbook(), io.BytesIO()
    sheet = made.active
    sheet.append(frame.columns)
    for row in frame.rows():
        sheet.append(row)
    made.save(sink)
    return sink.getvalue()


def _written(frame: pl.DataFrame, form: str) -> bytes:
    sink = io.BytesIO()
    match form:
        case "csv":
            frame.write_csv(sink)
        case "jsonl":
            frame.write_ndjson(sink)
        case "json":
            sink.write(json.dumps(frame.to_dicts()).encode())
        case "parquet":
            frame.write_parquet(sink)
        case "arrow":
            frame.write_ipc(sink)
        case "arrow stream":
            frame.write_ipc_stream(sink)
        case "excel":
            return _excel(frame)
    return sink.getvalue()


def _spec(form: str, **changes: object) -> DatasetSpec:
    return a_spec(format=form.partition(" ")[0], **changes)


@pytest.fixture(scope="module")
def want(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the rows as plain CSV."""
    desk = Desk(tmp_path_factory.mktemp("plain"))
    desk.deliver("things/a", _written(a_frame(), "csv"))
    return desk.ingest().digest


FORMS = ("csv", "jsonl", "json", "parquet", "arrow", "arrow stream")


@packed
@pytest.mark.parametrize("form", FORMS)
def test_the_digest_is_the_same_in_every_format_and_packing(
    tmp_path: Path, want: str, form: str, pack: Callable[[bytes], bytes]
) -> None:
    desk = Desk(tmp_path)
    desk.deliver("things/a", pack(_written(a_frame(), form)))
    assert desk.ingest(_spec(form)).digest == want


def test_the_digest_of_a_workbook_is_the_same(tmp_path: Path, want: str) -> None:
    """Its empty cells are missing, so the frame has no empty text."""
    desk = Desk(tmp_path)
    desk.deliver("things/a", _written(a_frame(), "excel"))
    assert desk.ingest(_spec("excel")).digest == want


@packed
def test_every_byte_comes_out_in_pieces(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Of any encoding: also what is not text."""
    content = random.Random(1).randbytes(3 << 20) + "Käthe".encode("latin-1") * (1 << 19)
    path = tmp_path / "file"
    path.write_bytes(pack(content))
    pieces = list(open_bytes(path, "FILE"))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= READ


@pytest.mark.parametrize("name", CUT)
def test_a_packed_file_that_is_cut_says_so(tmp_path: Path, name: str) -> None:
    """Cut anywhere: never fewer bytes without a word."""
    whole = PACK[name](b"a,b\n" * 5000 + random.Random(2).randbytes(3000))
    path = tmp_path / "file"
    for end in range(20, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:end])
        with pytest.raises(BadInput, match=r"cut off|damaged"):
            list(open_bytes(path, "FILE"))


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zip"])
def test_a_packed_file_with_another_byte_is_damaged(tmp_path: Path, name: str) -> None:
    """These have a checksum; zstd has one only where its writer put it."""
    whole = bytearray(PACK[name](random.Random(3).randbytes(5000)))
    whole[len(whole) // 2] ^= 255
    path = tmp_path / "file"
    path.write_bytes(bytes(whole))
    with pytest.raises(BadInput, match=r"damaged near byte|is damaged"):
        list(open_bytes(path, "FILE"))


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2"])
def test_what_follows_a_packed_file_is_not_left_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACK[name](b"a,b\n") + b"1,2\n")
    with pytest.raises(BadInput, match="damaged"):
        list(open_bytes(path, "FILE"))


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_grows_to_fill_a_disk_is_refused(tmp_path: Path, name: str) -> None:
    """Of 300 MiB of zeros, the first 257 come out at most."""
    path = tmp_path / "file"
    path.write_bytes(PACK[name](bytes(300 << 20)))
    taken: list[int] = []
    with pytest.raises(BadInput, match="more than 250 to 1: deliver it uncompressed"):
        taken.extend(map(len, open_bytes(path, "FILE")))
    assert sum(taken) <= 258 << 20


ARCHIVES = [
    pytest.param(_zip(b"a\n1\n", "a.csv", "b.csv"), "holds 2 files (a.csv, b.csv), and one is read", id="two members"),
    pytest.param(_zip(b"", "a/"), "holds no file", id="a folder alone"),
    pytest.param(_zip(gzip.compress(b"v\n1\n"), "a.gz"), "gzip in another archive", id="gzip in zip"),
    pytest.param(gzip.compress(gzip.compress(b"v\n1\n")), "gzip in another archive", id="gzip in gzip"),
]


@pytest.mark.parametrize(("content", "want"), ARCHIVES)
def test_an_archive_of_something_else_says_what_it_holds(content: bytes, want: str) -> None:
    message = read(content, "csv", field("v"))
    assert isinstance(message, str)
    assert want in message


def test_a_zip_with_one_member_and_a_folder_of_macos_is_read() -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("__MACOSX/._a.csv", b"\0\5\x16\7")
        archive.writestr("../../etc/a.csv", b"v\n1.5\n")
    assert read(sink.getvalue(), "csv", field("v")) == [(1.5,)]


def test_a_header_that_begins_as_bzip2_does_is_text() -> None:
    assert read(b"BZh1,v\n7,1.5\n", "csv", field("v")) == [(1.5,)]


@packed
def test_another_encoding_is_told_alike_however_it_is_packed(pack: Callable[[bytes], bytes]) -> None:
    """A byte that is not UTF-8 is no damage, and its place is the same."""
    content = "id,v\nMüller,1\n".encode("latin-1")
    plain = read(content, "csv", field("id", "string"), field("v"))
    assert isinstance(plain, str)
    assert "UTF-8" in plain
    assert "damaged" not in plain
    assert read(pack(content), "csv", field("id", "string"), field("v")) == plain
    latin = read(pack(content), "csv", field("id", "string"), field("v"), csv={"encoding": "latin-1"})
    assert latin == [("Müller", 1.0)]
