"""Removing artifacts: whole or to be finished, and never a byte that another artifact has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.store import Bucket, DigestMismatch, NotFound, Store, StoreUnavailable
from mlops.store.bucket import Body, Stat
from mlops.store.layout import blob_key, manifest_key, sha256_of

ONE = {"train.parquet": b"old rows", "schema.json": b"{}"}
TWO = {"train.parquet": b"new rows", "schema.json": b"{}"}


def keys(bucket: Bucket) -> list[str]:
    return [found.key for found in bucket.list("")]


class Failing:
    """A bucket that is away after so many writes and deletions."""

    def __init__(self, bucket: Bucket, left: int) -> None:
        self._bucket, self.left = bucket, left

    def _step(self) -> None:
        if self.left == 0:
            raise StoreUnavailable("x", "the machine is gone")
        self.left -= 1

    def put(self, key: str, body: Body, sha256: str | None = None) -> None:
        self._step()
        self._bucket.put(key, body, sha256)

    def delete(self, key: str) -> None:
        self._step()
        self._bucket.delete(key)

    def read(self, key: str) -> Iterator[bytes]:
        return self._bucket.read(key)

    def stat(self, key: str) -> Stat | None:
        return self._bucket.stat(key)

    def list(self, prefix: str) -> Iterator[Stat]:
        return self._bucket.list(prefix)


def test_what_is_removed_is_gone_and_what_others_have_stays(store: Store, bucket: Bucket, tmp_path: Path) -> None:
    """Manifest and files, but for the file that the newer version has too; a second time there is nothing to do."""
    one, two = store.put_files(ONE).digest, store.put_files(TWO).digest
    assert store.remove([one]) == len(b"old rows")
    assert not store.exists(one)
    assert bucket.stat(blob_key(sha256_of(b"old rows"))) is None
    store.get(two, tmp_path / "two")
    before = keys(bucket)
    assert store.remove([one, one, "sha256:" + "0" * 64]) == 0
    assert keys(bucket) == before


def test_artifacts_that_share_files_go_together(store: Store, bucket: Bucket) -> None:
    """None of them keeps the other's."""
    store.remove([store.put_files(ONE).digest, store.put_files(TWO).digest])
    assert keys(bucket) == []


@pytest.mark.parametrize("steps", range(8))
def test_a_removal_that_is_cut_off_goes_on_with_the_next(
    store: Store, bucket: Bucket, tmp_path: Path, steps: int
) -> None:
    """At whatever write: no reader gets half of it, the other artifact is whole, the same call ends it."""
    one, two = store.put_files(ONE).digest, store.put_files(TWO).digest
    try:
        Store(Failing(bucket, steps)).remove([one])
    except StoreUnavailable:
        assert steps < 4
    else:
        assert steps >= 4
    if steps < 2:
        assert store.exists(one)
        store.get(one, tmp_path / "one")
    else:
        with pytest.raises(NotFound):
            store.get(one, tmp_path / "one")
        assert not (tmp_path / "one").exists()
    store.remove([one])
    assert not store.exists(one)
    store.get(two, tmp_path / "two")
    assert len(keys(bucket)) == 3, "the other's manifest and files"


def test_a_manifest_that_cannot_be_read_stops_it_before_a_file_goes(store: Store, bucket: Bucket) -> None:
    """Its files would look unused."""
    one, two = store.put_files(ONE).digest, store.put_files(TWO).digest
    bucket.put(manifest_key(two), b"{}")
    with pytest.raises(DigestMismatch):
        store.remove([one])
    assert bucket.stat(blob_key(sha256_of(b"old rows"))) is not None
    bucket.delete(manifest_key(two))
    store.put_files(TWO)
    assert store.remove([one]) == len(b"old rows")


def test_what_was_removed_can_be_stored_again(store: Store, tmp_path: Path) -> None:
    """The same content under the same digest."""
    one = store.put_files(ONE).digest
    store.remove([one])
    assert store.put_files(ONE).digest == one
    store.get(one, tmp_path / "one")


def test_a_file_that_goes_while_an_artifact_is_stored_is_stored_again(
    store: Store, bucket: Bucket, tmp_path: Path
) -> None:
    """It was found in place, and a removal took it before the artifact that has it too was there."""
    store.put_files(ONE)

    class Racing(Failing):
        def put(self, key: str, body: Body, sha256: str | None = None) -> None:
            if key == manifest_key(str(sha256)):
                self._bucket.delete(blob_key(sha256_of(b"{}")))
            super().put(key, body, sha256)

    two = Store(Racing(bucket, 99)).put_files(TWO).digest
    store.get(two, tmp_path / "two")


def test_a_fresh_artifact_that_lost_a_file_gets_it_back(store: Store, bucket: Bucket, tmp_path: Path) -> None:
    """That its manifest is in place does not say that its files are."""
    one = store.put_files(ONE).digest
    bucket.delete(blob_key(sha256_of(b"old rows")))
    store.put_files(ONE)
    store.get(one, tmp_path / "one")


def test_artifacts_stored_while_manifests_are_read_keep_their_files(
    store: Store, bucket: Bucket, tmp_path: Path
) -> None:
    """Reading many manifests takes minutes: what other Datasets stored in them is read too, until nothing is new."""
    one = store.put_files(ONE).digest
    store.put_files({"other": b"other"})
    late = [{"late": b"old rows"}, {"later": b"{}"}]
    stored: list[str] = []

    class Reading(Failing):
        def read(self, key: str) -> Iterator[bytes]:
            if late and key.startswith("manifests/") and key != manifest_key(one):
                stored.append(store.put_files(late.pop()).digest)
            return super().read(key)

    assert Store(Reading(bucket, 99)).remove([one]) == 0
    assert len(stored) == 2
    for number, digest in enumerate(stored):
        store.get(digest, tmp_path / str(number))
