"""URLs, URIs and environments: what opens, and what is refused with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.api.pod_environment import S3Settings
from mlops.store import AddressInvalid, CredentialsMissing, PathForbidden, StoreError, open_source, open_store
from mlops.store.settings import s3_settings
from tests.servers.s3 import SERVERS, S3Server

ENVIRON = {
    "MLOPS_S3_ENDPOINT": "https://s3.example.org:9000",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


def test_a_folder_store_lies_where_its_url_says(tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}/deep/store", {}).put_object("a", b"x")
    assert (tmp_path / "deep" / "store" / "objects" / "a").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["a place with spaces", "ü", "100%", "a+b"])
def test_a_folder_may_have_any_name_that_a_url_can_carry(tmp_path: Path, name: str) -> None:
    open_store((tmp_path / name).as_uri(), {}).put_object("a", b"x")
    assert (tmp_path / name / "objects" / "a").read_bytes() == b"x"


@pytest.mark.parametrize(
    "url",
    [
        "gopher://x/y",
        "ftp://x/y",
        "data:text/plain,x",
        "http://bucket/x",
        "/var/lib",
        "",
        "file:relative",
        "S3://bucket/x",
    ],
)
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(AddressInvalid, match="use s3://"):
        open_store(url, ENVIRON)
    with pytest.raises(AddressInvalid, match="use s3://"):
        open_source(url, ENVIRON)


def test_a_user_cannot_read_this_machine_as_a_source() -> None:
    with pytest.raises(AddressInvalid):
        open_source("file:///etc/passwd", ENVIRON)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "a//b", "/a", "a\\b", "%2e%2e/x", "a\0b", "a/%2E%2E/"])
def test_keys_that_could_leave_their_place_are_refused(path: str, tmp_path: Path) -> None:
    for environ in (ENVIRON, {"MLOPS_BUCKETS": f"file://{tmp_path}"}):
        with pytest.raises(PathForbidden):
            open_source(f"s3://raw/{path}", environ)
    with pytest.raises(PathForbidden):
        open_store(f"s3://raw/{path}", ENVIRON)


@pytest.mark.parametrize(
    "name",
    ["", "..", "ab", "a" * 64, "Raw", "raw_data", "-raw", "raw-", "ra..w", "169.254.169.254", "user@host", "a:80"],
)
def test_names_that_are_no_buckets_are_refused(name: str, tmp_path: Path) -> None:
    """Nothing but a bucket's name may stand there: no host, no port, no address."""
    with pytest.raises(AddressInvalid, match="no bucket name"):
        open_source(f"s3://{name}/key", {"MLOPS_BUCKETS": f"file://{tmp_path}"})
    with pytest.raises(AddressInvalid, match="no bucket name"):
        open_store(f"s3://{name}/key", ENVIRON)


@pytest.mark.parametrize(
    "url", ["file://host/path", "file://", "file://../x", "file:///a/../b", "file:///a//b", "file:///a/%2e%2e/b"]
)
def test_a_folder_must_be_absolute_and_plain(url: str) -> None:
    with pytest.raises(StoreError):
        open_store(url, {})


@pytest.mark.parametrize(
    ("changes", "want", "match"),
    [
        pytest.param({"MLOPS_S3_ENDPOINT": ""}, AddressInvalid, "MLOPS_S3_ENDPOINT: not set", id="no endpoint"),
        pytest.param({"MLOPS_S3_ENDPOINT": "minio:9000"}, AddressInvalid, "http://minio:9000", id="no scheme"),
        pytest.param({"MLOPS_S3_ENDPOINT": "http://"}, AddressInvalid, "address of a host", id="no host"),
        pytest.param({"MLOPS_S3_ENDPOINT": "http://h:x"}, AddressInvalid, "address of a host", id="bad port"),
        pytest.param({"MLOPS_S3_ENDPOINT": "http://h/path"}, AddressInvalid, "address of a host", id="path"),
        pytest.param({"MLOPS_S3_ENDPOINT": "http://k:s3cr3t@h"}, AddressInvalid, "address of a host", id="user"),
        pytest.param({"MLOPS_S3_ADDRESSING": "dns"}, AddressInvalid, "'path' or 'virtual'", id="addressing"),
        pytest.param({"MLOPS_S3_CA": "x"}, AddressInvalid, "MLOPS_S3_CA: is no PEM bundle", id="no certificate"),
        pytest.param(
            {"AWS_SECRET_ACCESS_KEY": "s3cr3t\nkey"},
            CredentialsMissing,
            "^AWS_SECRET_ACCESS_KEY: holds a",
            id="two lines",
        ),
        pytest.param({"AWS_ACCESS_KEY_ID": ""}, CredentialsMissing, "^AWS_ACCESS_KEY_ID: not set", id="no key"),
        pytest.param({"AWS_SECRET_ACCESS_KEY": ""}, CredentialsMissing, "from the Secret of the store", id="no secret"),
    ],
)
def test_an_environment_that_cannot_work_is_refused_before_any_request(
    changes: dict[str, str], want: type[StoreError], match: str
) -> None:
    with pytest.raises(want, match=match) as raised:
        open_store("s3://bucket/prefix", ENVIRON | changes)
    assert "s3cr3t" not in str(raised.value)


def test_settings_come_from_the_environment() -> None:
    settings = s3_settings(
        ENVIRON | {"MLOPS_S3_REGION": "eu-central-1", "MLOPS_S3_ADDRESSING": "virtual", "AWS_SESSION_TOKEN": "token"}
    )
    assert settings == S3Settings(
        endpoint="https://s3.example.org:9000",
        access_key="key",
        secret_key="secret",
        session_token="token",
        region="eu-central-1",
        addressing="virtual",
    )


def test_a_line_break_at_the_end_is_no_part_of_a_key() -> None:
    """Secrets are made from files and by echo."""
    assert s3_settings({name: f"{value}\n" for name, value in ENVIRON.items()}) == s3_settings(ENVIRON)


def test_without_s3_a_folder_stands_for_the_buckets(tmp_path: Path) -> None:
    """The same manifest, `s3://raw/electricity/`, works on a laptop."""
    (tmp_path / "raw" / "electricity").mkdir(parents=True)
    (tmp_path / "raw" / "electricity" / "1.csv").write_bytes(b"a,b")
    bucket, prefix = open_source("s3://raw/electricity/", {"MLOPS_BUCKETS": f"file://{tmp_path}"})
    assert prefix == "electricity/"
    assert [(found.key, found.size) for found in bucket.list(prefix)] == [("electricity/1.csv", 3)]
    assert b"".join(bucket.read("electricity/1.csv")) == b"a,b"
    assert list(open_source("s3://absent", {"MLOPS_BUCKETS": f"file://{tmp_path}"})[0].list("")) == []


@pytest.mark.s3
@pytest.mark.parametrize("server", SERVERS)
def test_a_users_own_bucket_is_read_where_it_is(server: str, request: pytest.FixtureRequest) -> None:
    s3: S3Server = request.getfixturevalue(server)
    name = s3.new_bucket()
    mine, _ = open_source(f"s3://{name}", s3.environ())
    mine.put("electricity/1.csv", b"a,b")
    bucket, key = open_source(f"s3://{name}/electricity/1.csv", s3.environ())
    assert key == "electricity/1.csv"
    assert b"".join(bucket.read(key)) == b"a,b"
