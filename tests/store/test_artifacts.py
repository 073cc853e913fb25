"""Artifacts and plain objects, the same over a folder and two S3 services."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops.store import (
    Bucket,
    DigestMismatch,
    ManifestInvalid,
    NotFound,
    PathForbidden,
    Store,
    TargetOccupied,
    collect,
    garbage,
)
from mlops.store.bucket import Watched
from mlops.store.layout import blob_key, manifest_key, object_key, removal_key, sha256_of
from tests.store.conftest import Place

FILES: dict[str, bytes | Path] = {"model.onnx": b"weights" * 1000, "meta/signature.json": b"{}", "empty": b""}
ABSENT = "sha256:" + "0" * 64
DAY = 24 * 3600.0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def keys(bucket: Bucket) -> list[str]:
    return [found.key for found in bucket.list("")]


def test_what_was_stored_comes_back_the_same(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "meta").mkdir(parents=True)
    for path, data in FILES.items():
        assert isinstance(data, bytes)
        (source / path).write_bytes(data)

    digest = store.put_directory(source).digest
    manifest = store.get(digest, tmp_path / "deep" / "into")

    assert contents(tmp_path / "deep" / "into") == FILES
    assert [(entry.path, entry.size) for entry in manifest.entries] == [
        ("empty", 0),
        ("meta/signature.json", 2),
        ("model.onnx", 7000),
    ]
    assert store.manifest(digest) == manifest
    assert store.read_file(digest, "meta/signature.json") == b"{}"
    store.save_file(digest, "model.onnx", tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == FILES["model.onnx"]
    assert store.exists(digest)
    assert os.listdir(tmp_path / "deep") == ["into"], "nothing is left beside it"


def test_times_modes_and_the_way_of_storing_do_not_change_the_digest(store: Store, tmp_path: Path) -> None:
    for folder, mode, modified in (("one", 0o600, 1), ("two", 0o755, 2_000_000_000)):
        (tmp_path / folder / "meta").mkdir(parents=True)
        for path, data in reversed(FILES.items()):
            file = tmp_path / folder / path
            assert isinstance(data, bytes)
            file.write_bytes(data)
            file.chmod(mode)
            os.utime(file, (modified, modified))
    digests = {store.put_directory(tmp_path / name).digest for name in ("one", "two")}
    assert digests == {store.put_files(FILES).digest}


def test_equal_files_are_kept_once_and_not_sent_again(store: Store, bucket: Bucket) -> None:
    store.put_files({"a": b"same", "b/c": b"same", "d": b"other"})
    before = {found.key: found.modified for found in bucket.list("")}
    assert len([key for key in before if key.startswith("blobs/")]) == 2

    time.sleep(1.1)  # S3 tells times in whole seconds
    store.put_files({"a": b"same", "b/c": b"same", "d": b"other"})
    store.put_files({"e": b"same"})
    after = {found.key: found.modified for found in bucket.list("")}
    assert {key: after[key] for key in before} == before
    assert len(after) == len(before) + 1, "only the new manifest came"


def test_a_large_file_goes_in_parts_and_comes_back(store: Store, tmp_path: Path) -> None:
    """40 MiB: more than one part on S3, many chunks everywhere."""
    big = os.urandom(1 << 20) * 40
    (tmp_path / "big").write_bytes(big)
    digest = store.put_files({"big": tmp_path / "big"}).digest
    store.get(digest, tmp_path / "into")
    assert (tmp_path / "into" / "big").read_bytes() == big


@pytest.mark.parametrize(
    ("stored", "want_got"),
    [
        pytest.param(b"WEIGHTS" * 1000, sha256_of(b"WEIGHTS" * 1000), id="other bytes of the same size"),
        pytest.param(b"weights" * 999, sha256_of(b"weights" * 999), id="truncated"),
        pytest.param(b"weights" * 1001, "more bytes than that", id="longer"),
        pytest.param(b"", sha256_of(b""), id="emptied"),
    ],
)
def test_tampered_bytes_are_refused_and_never_seen(
    store: Store, bucket: Bucket, tmp_path: Path, stored: bytes, want_got: str
) -> None:
    """The error names the file, what was expected and what was there; the target does not appear."""
    digest = store.put_files(FILES).digest
    expected = sha256_of(b"weights" * 1000)
    bucket.put(blob_key(expected), stored)

    with pytest.raises(DigestMismatch) as raised:
        store.get(digest, tmp_path / "models" / "into")
    assert raised.value.where == "model.onnx"
    assert expected in raised.value.expected
    assert want_got in raised.value.got
    assert not raised.value.retryable
    assert os.listdir(tmp_path / "models") == []
    with pytest.raises(DigestMismatch):
        store.read_file(digest, "model.onnx")
    with pytest.raises(DigestMismatch):
        store.save_file(digest, "model.onnx", tmp_path / "saved")


def test_an_altered_manifest_is_refused(store: Store, bucket: Bucket, tmp_path: Path) -> None:
    digest = store.put_files(FILES).digest
    other = store.put_files({"model.onnx": b"evil"})
    bucket.put(manifest_key(digest), other.to_bytes())
    with pytest.raises(DigestMismatch) as raised:
        store.get(digest, tmp_path / "into")
    assert (raised.value.expected, raised.value.got) == (digest, other.digest)
    assert not (tmp_path / "into").exists()


def test_a_manifest_that_leads_outside_is_refused(store: Store, bucket: Bucket, tmp_path: Path) -> None:
    """Its digest is right, its maker was not."""
    bytes_of_it = (
        b'{"files":[{"path":"../../x","sha256":"%s","size":1}],"format":"mlops.dev/manifest/v1"}' % ABSENT.encode()
    )
    digest = sha256_of(bytes_of_it)
    bucket.put(manifest_key(digest), bytes_of_it)
    with pytest.raises(PathForbidden, match=r"\.\./\.\./x"):
        store.get(digest, tmp_path / "a" / "into")
    bucket.put(manifest_key(sha256_of(b"{}")), b"{}")
    with pytest.raises(ManifestInvalid):
        store.manifest(sha256_of(b"{}"))


def test_a_truncated_blob_is_mended_by_storing_the_artifact_again(store: Store, bucket: Bucket, tmp_path: Path) -> None:
    manifest = store.put_files(FILES)
    bucket.put(blob_key(sha256_of(b"weights" * 1000)), b"weig")
    store.delete(manifest.digest)
    store.put_files(FILES)
    assert contents_of(store, manifest.digest, tmp_path) == FILES


def contents_of(store: Store, digest: str, tmp_path: Path) -> dict[str, bytes]:
    into = tmp_path / "fetched"
    store.get(digest, into)
    return contents(into)


def test_what_is_absent_is_not_found(store: Store, tmp_path: Path) -> None:
    digest = store.put_files(FILES).digest
    assert not store.exists(ABSENT)
    with pytest.raises(NotFound, match=ABSENT):
        store.get(ABSENT, tmp_path / "into")
    with pytest.raises(NotFound, match=r"nothing\.txt"):
        store.read_file(digest, "nothing.txt")
    with pytest.raises(NotFound, match=r"nothing\.txt"):
        store.save_file(digest, "nothing.txt", tmp_path / "saved")
    with pytest.raises(NotFound, match="captures/x"):
        store.get_object("captures/x")


def test_a_lost_blob_is_not_found_and_nothing_appears(store: Store, bucket: Bucket, tmp_path: Path) -> None:
    digest = store.put_files(FILES).digest
    bucket.delete(blob_key(sha256_of(b"{}")))
    with pytest.raises(NotFound, match=r"meta/signature\.json"):
        store.get(digest, tmp_path / "into")
    assert os.listdir(tmp_path) in ([], ["store"])


def test_a_target_is_taken_over_only_if_it_is_empty_or_holds_the_very_artifact(store: Store, tmp_path: Path) -> None:
    """A container that restarts finds what it fetched before; it must not mix it with anything."""
    digest = store.put_files(FILES).digest
    into = tmp_path / "into"
    into.mkdir()
    store.get(digest, into)
    store.get(digest, into)
    (into / "model.onnx").write_bytes(b"changed")
    with pytest.raises(TargetOccupied, match="into"):
        store.get(digest, into)


def test_an_interrupted_put_shows_nothing_and_is_finished_by_the_next(
    store: Store, place: Place, tmp_path: Path
) -> None:
    """SIGKILL in the middle: no artifact, no half blob, and the same call then succeeds."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(300):
        (source / f"{number:03}").write_bytes(number.to_bytes(4, "big") * 50_000)
    script = "import os, sys; from pathlib import Path; from mlops.store import open_store\n"
    script += "open_store(sys.argv[1], os.environ).put_directory(Path(sys.argv[2]))"
    process = subprocess.Popen([sys.executable, "-c", script, place.url, str(source)], env=place.process_environ())
    try:
        while not any(store.bucket.list("blobs/")):
            assert process.poll() is None
    finally:
        process.kill()
        process.wait()

    blobs = list(store.bucket.list("blobs/"))
    assert 0 < len(blobs) < 300
    assert not any(store.bucket.list("manifests/"))
    for found in blobs:
        assert blob_key(sha256_of(b"".join(store.bucket.read(found.key)))) == found.key

    digest = store.put_directory(source).digest
    store.get(digest, tmp_path / "into")
    assert contents(tmp_path / "into") == contents(source)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1, 40 << 20])
def test_who_watches_a_file_that_is_put_is_told_of_every_byte(bucket: Bucket, tmp_path: Path, size: int) -> None:
    """In pieces of at most a part; what arrives is the file."""
    content = os.urandom(size)
    (tmp_path / "big").write_bytes(content)
    told: list[int] = []
    bucket.put("big", Watched(tmp_path / "big", told.append), sha256_of(content))
    assert sum(told) == size
    assert b"".join(bucket.read("big")) == content


def test_a_file_that_changes_while_it_is_sent_never_appears(bucket: Bucket, tmp_path: Path) -> None:
    """The digest was taken before; other bytes must not get its name, be they few or in parts."""
    for name, size in (("small", 10), ("large", 40 << 20)):
        (tmp_path / name).write_bytes(b"x" * size)
        with pytest.raises(DigestMismatch, match=ABSENT):
            bucket.put(blob_key(ABSENT), tmp_path / name, ABSENT)
        assert bucket.stat(blob_key(ABSENT)) is None


def test_many_writers_of_the_same_artifact_do_not_harm_each_other(place: Place, tmp_path: Path) -> None:
    """Two pods of a retried Job may run at once."""
    with ThreadPoolExecutor(4) as pool:
        digests = set(pool.map(lambda _: place.open().put_files(FILES).digest, range(8)))
    (digest,) = digests
    assert contents_of(place.open(), digest, tmp_path) == FILES


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a//b", "a\\b", "a\0b", "%2e%2e/x", "a/../b"], ids=lambda path: repr(path)
)
def test_names_that_could_leave_the_store_are_refused(store: Store, bucket: Bucket, path: str) -> None:
    with pytest.raises(PathForbidden):
        store.put_files({path: b""})
    for use in (store.get_object, bucket.stat, bucket.delete):
        with pytest.raises(PathForbidden):
            use(path)
    with pytest.raises(PathForbidden):
        store.put_object(path, b"")
    with pytest.raises(PathForbidden):
        list(store.list(path))
    with pytest.raises(PathForbidden):
        list(bucket.read(path))


@pytest.mark.parametrize("make", [os.symlink, lambda _, path: os.mkfifo(path)], ids=["link", "pipe"])
def test_links_and_devices_are_not_stored(store: Store, tmp_path: Path, make: object) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make("/etc/passwd", source / "x")  # type: ignore[operator]
    with pytest.raises(PathForbidden, match="link or a device"):
        store.put_directory(source)


def test_plain_objects_are_listed_by_prefix_in_order(store: Store) -> None:
    for key in ("captures/m/2", "captures/m/1", "captures/model", "captures.txt", "captures/ü %41+"):
        store.put_object(key, key.encode())
    assert [found.key for found in store.list("captures/m")] == ["captures/m/1", "captures/m/2", "captures/model"]
    assert [found.key for found in store.list("captures/m/")] == ["captures/m/1", "captures/m/2"]
    assert [found.key for found in store.list("nothing")] == []
    assert [found.key for found in store.list("captures/ü")] == ["captures/ü %41+"]
    assert [found.size for found in store.list("captures.")] == [12]
    assert abs(next(store.list("captures.")).modified - time.time()) < 60
    assert store.get_object("captures/ü %41+") == "captures/ü %41+".encode()
    assert len(list(store.list(""))) == 5
    store.bucket.delete(object_key("captures/m/1"))
    store.bucket.delete(object_key("captures/m/1"))
    assert [found.key for found in store.list("captures/m/")] == ["captures/m/2"]


def test_a_store_keeps_to_its_own_part_of_the_bucket(place: Place) -> None:
    """Two teams in one place, by prefix: neither lists nor collects what the other has."""
    one, other = (type(place)(f"{place.url}/{name}", place.environ).open() for name in ("one", "other"))
    digest = one.put_files(FILES).digest
    assert not other.exists(digest)
    assert garbage(other, set(), grace=-DAY).files == ()
    assert one.exists(digest)


def test_garbage_collection_takes_only_what_nobody_uses(store: Store, bucket: Bucket, tmp_path: Path) -> None:
    kept = store.put_files({"a": b"shared", "b": b"only kept"}).digest
    dropped = store.put_files({"a": b"shared", "c": b"only dropped"}).digest
    store.put_object("captures/1", b"not an artifact")

    nothing = garbage(store, {kept})
    assert (nothing.artifacts, nothing.files) == ((), ()), "what is young may still be waiting for its report"
    found = garbage(store, {kept}, grace=-DAY)
    assert store.exists(dropped), "it is told before it goes"
    collect(store, found)
    assert ([one.digest for one in found.artifacts], len(found.files)) == ([dropped], 1)
    assert found.size == len(b"only dropped")
    assert not store.exists(dropped)
    assert contents_of(store, kept, tmp_path) == {"a": b"shared", "b": b"only kept"}
    assert store.get_object("captures/1") == b"not an artifact"

    store.delete(kept)
    assert not store.exists(kept)
    rest = garbage(store, set(), grace=-DAY)
    assert len(rest.files) == 2
    collect(store, rest)
    assert [key for key in keys(bucket) if not key.startswith("objects/")] == []


def test_plain_objects_go_that_nobody_keeps(store: Store) -> None:
    for key in ("captures/n/gone/1", "captures/n/there/1"):
        store.put_object(key, b"rows")
    found = garbage(store, (), lambda key: "there" in key, grace=-DAY)
    assert ([plain.key for plain in found.objects], found.size) == (["captures/n/gone/1"], 4)
    collect(store, found)
    assert [plain.key for plain in store.list("")] == ["captures/n/there/1"]
    assert garbage(store, (), lambda _: False).objects == (), "what is young stays"


def test_an_artifact_that_goes_need_not_be_readable(store: Store, bucket: Bucket) -> None:
    """Nor does the copy of a removal that was cut off stay behind."""
    gone = store.put_files(FILES).digest
    bucket.put(removal_key(gone), b"a copy")
    bucket.put(manifest_key(gone), b"garbled")
    found = garbage(store, (), grace=-DAY)
    assert [(one.digest, one.manifest) for one in found.artifacts] == [(gone, None)]
    collect(store, found)
    assert keys(bucket) == []


def test_garbage_collection_stops_when_a_manifest_that_stays_cannot_be_read(store: Store, bucket: Bucket) -> None:
    """Else the blobs of that artifact would look unused."""
    kept = store.put_files(FILES).digest
    bucket.put(manifest_key(kept), b"garbled")
    before = keys(bucket)
    with pytest.raises(DigestMismatch):
        garbage(store, {kept}, grace=-DAY)
    assert keys(bucket) == before


def test_what_a_put_found_old_is_written_again(place: Place) -> None:
    """A collection under way may be about to remove it; a fresh time protects it."""
    store = place.open()
    digest = store.put_files({"a": b"x"}).digest
    before = {found.key: found.modified for found in store.bucket.list("")}
    time.sleep(1.1)
    later = Store(store.bucket, clock=lambda: time.time() + 5 * DAY)
    assert later.put_files({"a": b"x"}).digest == digest
    after = {found.key: found.modified for found in store.bucket.list("")}
    assert before.keys() == after.keys()
    assert all(after[key] > before[key] for key in before)
