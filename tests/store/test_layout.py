"""The content-addressed layout, which no IO touches."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.store.errors import AddressInvalid, ManifestInvalid, PathForbidden
from mlops.store.layout import (
    Entry,
    Manifest,
    blob_key,
    check_path,
    check_prefix,
    digest_of_key,
    manifest_key,
    object_key,
)

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="/\\%."), min_size=1, max_size=20
)
ENTRIES = st.dictionaries(NAMES, st.binary(max_size=20), min_size=1, max_size=8).map(
    lambda files: [entry(path, data) for path, data in files.items()]
)


def entry(path: str, data: bytes = b"data") -> Entry:
    return Entry(path, len(data), "sha256:" + hashlib.sha256(data).hexdigest())


@settings(deadline=None)
@given(ENTRIES, st.randoms())
def test_the_order_of_the_files_does_not_change_the_digest(entries: list[Entry], random: object) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Manifest.of(shuffled).digest == Manifest.of(entries).digest


@settings(deadline=None)
@given(ENTRIES)
def test_a_manifest_read_back_is_the_same(entries: list[Entry]) -> None:
    manifest = Manifest.of(entries)
    assert Manifest.parse(manifest.to_bytes(), "x") == manifest


@settings(deadline=None)
@given(ENTRIES, st.data())
def test_any_change_of_a_file_changes_the_digest(entries: list[Entry], data: st.DataObject) -> None:
    """Content, path and size all count."""
    index = data.draw(st.integers(0, len(entries) - 1))
    old = entries[index]
    for new in (
        Entry(old.path + "x" * 21, old.size, old.sha256),
        Entry(old.path, old.size + 1, old.sha256),
        Entry(old.path, old.size, "sha256:" + hashlib.sha256(old.sha256.encode()).hexdigest()),
    ):
        changed = [*entries[:index], new, *entries[index + 1 :]]
        assert Manifest.of(changed).digest != Manifest.of(entries).digest


def test_the_format_is_fixed() -> None:
    """A digest is written into clusters and Git: the bytes it is made of must never change by accident."""
    manifest = Manifest.of([entry("model/ü.onnx", b"b"), entry("a.json", b"a")])
    assert manifest.to_bytes().decode() == (
        '{"files":['
        '{"path":"a.json","sha256":"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb","size":1},'
        '{"path":"model/ü.onnx",'
        '"sha256":"sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d","size":1}'
        '],"format":"mlops.dev/manifest/v1"}'
    )
    assert manifest.digest == "sha256:" + hashlib.sha256(manifest.to_bytes()).hexdigest()
    assert manifest.size == 2


FORBIDDEN = [
    pytest.param("", id="empty"),
    pytest.param("/etc/passwd", id="absolute"),
    pytest.param("../secret", id="parent at the beginning"),
    pytest.param("a/../../b", id="parent within"),
    pytest.param("a/..", id="parent at the end"),
    pytest.param("./a", id="dot segment"),
    pytest.param("a//b", id="two slashes"),
    pytest.param("a\\..\\b", id="backslash"),
    pytest.param("a\x00.txt", id="NUL"),
    pytest.param("a\nb", id="line feed"),
    pytest.param("a\x7fb", id="delete character"),
    pytest.param("%2e%2e/secret", id="encoded dots"),
    pytest.param("a%2Fb", id="encoded slash"),
    pytest.param("a%5cb", id="encoded backslash"),
    pytest.param("%252e%252e/x", id="twice encoded dots"),
    pytest.param("\ud800", id="half a surrogate pair"),
    pytest.param("a" * 256, id="segment of 256 bytes"),
    pytest.param("ab/" * 342 + "x", id="key of more than 1024 bytes"),
]


@pytest.mark.parametrize("path", [*FORBIDDEN, pytest.param("a/", id="trailing slash")])
def test_a_path_that_could_leave_its_place_is_refused(path: str) -> None:
    with pytest.raises(PathForbidden):
        check_path(path)


@pytest.mark.parametrize("path", [p for p in FORBIDDEN if p.values[0]])
def test_such_a_prefix_is_refused_too(path: str) -> None:
    with pytest.raises(PathForbidden):
        check_prefix(path)


@pytest.mark.parametrize("path", ["a", "a/b.c", "..a/b..", "year=2024/Ünï 1%.parquet", ".hidden"])
def test_ordinary_names_pass(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "digest", ["sha256:xyz", "sha256:" + "A" * 64, "md5:" + "0" * 32, "0" * 64, "sha256:" + "0" * 63, ""]
)
def test_a_malformed_digest_is_refused(digest: str) -> None:
    with pytest.raises(AddressInvalid, match="64 lower-case hex digits"):
        blob_key(digest)


@pytest.mark.parametrize(
    "paths",
    [
        pytest.param(["a", "a"], id="the same path twice"),
        pytest.param(["a", "a/b"], id="a file that is also a folder"),
        pytest.param(["a/b/c", "x", "a"], id="a file that is also a folder further up"),
    ],
)
def test_files_that_cannot_lie_side_by_side_are_refused(paths: list[str]) -> None:
    with pytest.raises(ManifestInvalid, match=r"^a:"):
        Manifest.of(entry(path) for path in paths)


FORMAT = "mlops.dev/manifest/v1"
GOOD = {"path": "a", "sha256": "sha256:" + "0" * 64, "size": 1}


@pytest.mark.parametrize(
    ("document", "want"),
    [
        pytest.param(b"PK\x03\x04", ManifestInvalid, id="not JSON"),
        pytest.param(b"[" * 100_000, ManifestInvalid, id="nested too deep"),
        pytest.param(b"[]", ManifestInvalid, id="a list"),
        pytest.param({"format": "other", "files": []}, ManifestInvalid, id="another format"),
        pytest.param({"format": FORMAT}, ManifestInvalid, id="no files"),
        pytest.param({"format": FORMAT, "files": [GOOD, GOOD]}, ManifestInvalid, id="a file twice"),
        pytest.param({"format": FORMAT, "files": [GOOD | {"size": -1}]}, ManifestInvalid, id="size"),
        pytest.param({"format": FORMAT, "files": [GOOD | {"x": 1}]}, ManifestInvalid, id="extra key"),
        pytest.param({"format": FORMAT, "files": [GOOD | {"path": "../x"}]}, PathForbidden, id="path"),
        pytest.param({"format": FORMAT, "files": [GOOD | {"sha256": "0"}]}, AddressInvalid, id="digest"),
    ],
)
def test_what_is_stored_is_not_trusted_to_be_a_manifest(document: object, want: type[Exception]) -> None:
    """Even under the right digest, whoever wrote the manifest may have meant harm."""
    data = (
        document
        if isinstance(document, bytes)
        else json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    )
    with pytest.raises(want):
        Manifest.parse(data, "sha256:x")


def test_keys_lead_back_to_digests_and_objects_stay_apart() -> None:
    digest = "sha256:" + "ab" * 32
    assert blob_key(digest) == "blobs/sha256/ab/" + "ab" * 32
    assert digest_of_key(blob_key(digest)) == digest_of_key(manifest_key(digest)) == digest
    assert digest_of_key("blobs/sha256/ff/" + "ab" * 32) is None
    assert digest_of_key("blobs/readme") is None
    assert object_key("blobs/sha256/x") == "objects/blobs/sha256/x"
