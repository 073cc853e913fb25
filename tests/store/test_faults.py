"""What S3 does on bad days: refusals, outages, broken connections, full disks, hostile answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mlops.api.pod_environment import S3Settings
from mlops.store import (
    AccessDenied,
    AddressInvalid,
    BucketMissing,
    CertificateUntrusted,
    NoSpace,
    NotFound,
    RequestRefused,
    Store,
    StoreError,
    StoreUnavailable,
    open_store,
)
from mlops.store.folder import ABANDONED_AFTER, FolderBucket
from mlops.store.s3 import S3Bucket
from mlops.store.settings import s3_settings
from tests.servers.faults import Answer, Fault, Hold, Reset, faulty_proxy
from tests.servers.process import free_port
from tests.servers.s3 import DOMAIN, SERVERS, S3Server, minio

SLOW = Answer(503, "SlowDown")
MIB = 1 << 20


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


def quick(server: S3Server, **changes: Any) -> S3Settings:
    """Settings for this server that give up soon."""
    return s3_settings(server.environ()).model_copy(update={"attempts": 4, "backoff": 0.01, **changes})


@pytest.mark.s3
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([SLOW, SLOW], id="503 SlowDown twice"),
        pytest.param([Reset(sent=0), Reset(sent=0)], id="reset at once twice"),
        pytest.param([Reset(sent=5000), Reset(received=0)], id="reset in the request and before the answer"),
        pytest.param([Answer(500, "InternalError"), Answer(502, ""), Answer(504, "")], id="500, 502, 504"),
        pytest.param([Answer(429, "TooManyRequests")], id="429"),
    ],
)
def test_passing_faults_are_ridden_out(server: S3Server, faults: list[Fault], tmp_path: Path) -> None:
    bucket = server.new_bucket()
    with faulty_proxy(server.endpoint, faults) as proxy:
        store = Store(S3Bucket(quick(server, endpoint=proxy.endpoint), bucket))
        digest = store.put_files({"model": b"x" * 100_000}).digest
        assert not proxy.faults
        proxy.faults.extend(faults)
        Store(S3Bucket(quick(server, endpoint=proxy.endpoint), bucket)).get(digest, tmp_path / "into")
    assert (tmp_path / "into" / "model").read_bytes() == b"x" * 100_000


@pytest.mark.s3
def test_a_large_upload_survives_broken_parts(server: S3Server, tmp_path: Path) -> None:
    """Only the broken part of a file goes again, not the whole of it."""
    data = os.urandom(MIB) * 60
    (tmp_path / "big").write_bytes(data)
    bucket = server.new_bucket()
    with faulty_proxy(server.endpoint, [Reset(sent=3 * MIB), Reset(sent=9 * MIB)]) as proxy:
        through = S3Bucket(quick(server, endpoint=proxy.endpoint), bucket)
        through.put("big", tmp_path / "big")
        parts = [line for line in proxy.requests if "partNumber=" in line]
    assert b"".join(S3Bucket(quick(server), bucket).read("big")) == data
    assert 4 < len(parts) <= 4 + 2


@pytest.mark.s3
def test_what_is_in_memory_goes_in_one_request_and_survives_a_broken_one(server: S3Server) -> None:
    """Keys that may only write cannot look at what parts became."""
    data = os.urandom(MIB) * 20
    bucket = server.new_bucket()
    with faulty_proxy(server.endpoint, [Reset(sent=3 * MIB)]) as proxy:
        S3Bucket(quick(server, endpoint=proxy.endpoint), bucket).put("big", data)
        assert not [line for line in proxy.requests if "partNumber=" in line]
        assert len([line for line in proxy.requests if line.startswith("PUT")]) == 2
    assert b"".join(S3Bucket(quick(server), bucket).read("big")) == data


@pytest.mark.s3
def test_a_download_goes_on_where_the_connection_broke(server: S3Server) -> None:
    data = os.urandom(MIB) * 20
    bucket = server.new_bucket()
    S3Bucket(quick(server), bucket).put("big", data)
    breaks: list[Fault] = [Reset(received=5 * MIB), Reset(received=5 * MIB, politely=True), Reset(received=5 * MIB)]
    with faulty_proxy(server.endpoint, breaks) as proxy:
        assert b"".join(S3Bucket(quick(server, endpoint=proxy.endpoint), bucket).read("big")) == data
    assert not proxy.faults
    assert len(proxy.requests) == 4


@pytest.mark.s3
def test_an_object_replaced_during_a_download_is_never_mixed(server: S3Server) -> None:
    """Half of the old bytes and half of the new would be neither."""
    bucket = server.new_bucket()
    direct = S3Bucket(quick(server), bucket)
    direct.put("big", b"a" * (4 * MIB))
    # In order, not by a reset: that may throw away bytes which were not read yet, and `next` would ask for them again.
    with faulty_proxy(server.endpoint, [Reset(received=2 * MIB, politely=True)]) as proxy:
        chunks = S3Bucket(quick(server, endpoint=proxy.endpoint), bucket).read("big")
        next(chunks)
        direct.put("big", b"b" * (4 * MIB))
        with pytest.raises(StoreUnavailable, match="PreconditionFailed"):
            list(chunks)


@pytest.mark.s3
def test_a_store_that_stays_down_is_given_up_after_a_bounded_time(tmp_path: Path) -> None:
    nobody = S3Server(f"http://127.0.0.1:{free_port()}", "key", "secret")
    store = Store(S3Bucket(quick(nobody), "bucket"))
    started = time.monotonic()
    for use in (
        lambda: store.put_files({"a": b"x"}),
        lambda: store.get("sha256:" + "0" * 64, tmp_path / "into"),
        lambda: list(store.list("")),
        lambda: store.delete("sha256:" + "0" * 64),
    ):
        with pytest.raises(StoreUnavailable, match=r"no answer: .*check that the endpoint is right") as raised:
            use()
        assert raised.value.retryable
    assert time.monotonic() - started < 5
    assert not (tmp_path / "into").exists()


@pytest.mark.s3
def test_an_answer_that_never_gets_better_is_given_up(server: S3Server) -> None:
    with faulty_proxy(server.endpoint, [SLOW] * 20) as proxy:
        bucket = S3Bucket(quick(server, endpoint=proxy.endpoint), server.new_bucket())
        with pytest.raises(StoreUnavailable, match=r"^key: the service answered SlowDown$"):
            bucket.put("key", b"x")
        assert len(proxy.faults) == 20 - 4, "one try and three more"


@pytest.mark.s3
def test_an_outage_shorter_than_the_patience_goes_unnoticed(tmp_path: Path) -> None:
    """The service is restarted under a running upload."""
    with minio(tmp_path) as server:
        bucket = server.new_bucket()
        digest = Store(S3Bucket(quick(server), bucket)).put_files({"a": b"before"}).digest
    port = int(server.endpoint.rpartition(":")[2])
    store = Store(S3Bucket(quick(server, attempts=10, backoff=0.1), bucket))
    errors: list[StoreError] = []

    def write() -> None:
        try:
            store.put_files({"a": b"during"})
        except StoreError as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.3)
    with minio(tmp_path, port=port):
        writer.join(timeout=30)
        assert not writer.is_alive()
        assert errors == []
        assert store.read_file(digest, "a") == b"before"


@pytest.mark.s3
@pytest.mark.parametrize("wrong", [{"access_key": "nobody"}, {"secret_key": "wrong-secret"}], ids=["key", "secret"])
def test_wrong_keys_are_denied_without_retries(server: S3Server, wrong: dict[str, str], tmp_path: Path) -> None:
    bucket = server.new_bucket()
    digest = Store(S3Bucket(quick(server), bucket)).put_files({"a": b"x"}).digest
    store = Store(S3Bucket(quick(server, **wrong), bucket))
    for use in (
        lambda: store.put_files({"b": b"y"}),
        lambda: store.get(digest, tmp_path / "into"),
        lambda: list(store.list("")),
        lambda: store.delete(digest),
    ):
        with pytest.raises(AccessDenied, match="check the keys") as raised:
            use()
        assert not raised.value.retryable
        assert raised.value.reason == "AccessDenied"
        assert "wrong-secret" not in str(raised.value)


@pytest.mark.s3
def test_a_denied_look_is_not_taken_for_absence(minio_server: S3Server) -> None:
    """Only of MinIO: versitygw answers 404 to a HEAD with a key that it does not know."""
    store = Store(S3Bucket(quick(minio_server, access_key="nobody"), minio_server.new_bucket()))
    with pytest.raises(AccessDenied):
        store.exists("sha256:" + "0" * 64)


@pytest.mark.s3
def test_a_bucket_that_is_not_there_is_named_as_that(server: S3Server) -> None:
    bucket = S3Bucket(quick(server), "never-made")
    for use in (lambda: bucket.put("a", b"x"), lambda: list(bucket.list("")), lambda: list(bucket.read("a"))):
        with pytest.raises(BucketMissing, match="no such bucket") as raised:
            use()
        assert raised.value.retryable


def test_a_folder_that_is_not_there_is_named_as_that(tmp_path: Path) -> None:
    """A volume that is not mounted says nothing about the artifacts on it; writing makes the folder, as ever."""
    bucket = FolderBucket(tmp_path / "never-made")
    with pytest.raises(BucketMissing, match="never-made"):
        list(bucket.read("a"))
    assert (list(bucket.list("")), bucket.stat("a")) == ([], None)
    bucket.put("b", b"x")
    with pytest.raises(NotFound, match="no such object"):
        list(bucket.read("a"))


@pytest.mark.s3
@pytest.mark.parametrize(
    ("answer", "want"),
    [
        pytest.param(Answer(507, "XMinioStorageFull"), NoSpace, id="disk full"),
        pytest.param(Answer(403, "QuotaExceeded"), NoSpace, id="quota"),
        pytest.param(Answer(403, "RequestTimeTooSkewed"), AccessDenied, id="clock"),
        pytest.param(Answer(400, "ExpiredToken"), AccessDenied, id="expired token"),
        pytest.param(Answer(400, "EntityTooLarge"), RequestRefused, id="a reason of its own"),
        pytest.param(Answer(301, "PermanentRedirect"), RequestRefused, id="redirect"),
    ],
)
def test_each_refusal_has_its_own_error(minio_server: S3Server, answer: Answer, want: type[StoreError]) -> None:
    """Asked once: none of these gets better by asking again."""
    with faulty_proxy(minio_server.endpoint, [answer]) as proxy:
        bucket = S3Bucket(quick(minio_server, endpoint=proxy.endpoint), minio_server.new_bucket())
        with pytest.raises(want, match=answer.code):
            bucket.put("key", b"x")
    assert len(proxy.requests) == 1


@pytest.mark.s3
def test_an_upload_killed_within_a_part_leaves_nothing(server: S3Server, tmp_path: Path) -> None:
    """SIGKILL after some megabytes of a file in parts: the object does not exist, and storing it again succeeds."""
    big = os.urandom(MIB) * 40
    (tmp_path / "big").write_bytes(big)
    name = server.new_bucket()
    script = "import os, sys; from pathlib import Path; from mlops.store import open_store\n"
    script += "open_store(sys.argv[1], os.environ).put_files({'big': Path(sys.argv[2])})"
    with faulty_proxy(server.endpoint, otherwise=Hold(sent=2 * MIB)) as proxy:
        environ = {**os.environ, **server.environ(), "MLOPS_S3_ENDPOINT": proxy.endpoint}
        command = [sys.executable, "-c", script, f"s3://{name}", str(tmp_path / "big")]
        process = subprocess.Popen(command, env=environ)
        try:
            assert proxy.holding.wait(30)
        finally:
            process.kill()
            process.wait()
    store = Store(S3Bucket(quick(server), name))
    assert list(store.bucket.list("")) == []
    digest = store.put_files({"big": tmp_path / "big"}).digest
    assert store.read_file(digest, "big") == big


@pytest.mark.s3
def test_tls_is_checked_against_the_given_authority(tmp_path: Path) -> None:
    with minio(tmp_path, tls=True) as server:
        name = server.new_bucket()
        store = Store(S3Bucket(quick(server), name))
        digest = store.put_files({"a": os.urandom(MIB) * 20}).digest
        assert store.exists(digest)
        with pytest.raises(CertificateUntrusted, match="MLOPS_S3_CA_FILE") as raised:
            S3Bucket(quick(server, ca_file=None), name).stat("a")
        assert not raised.value.retryable
    with pytest.raises(AddressInvalid, match="MLOPS_S3_CA_FILE"):
        S3Bucket(quick(server, ca_file=str(tmp_path / "absent.pem")), name)


@pytest.mark.s3
def test_the_bucket_may_stand_in_the_host_name(minio_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual-host addressing, which newer services demand. Only the name resolution is not real here."""
    resolve = socket.getaddrinfo
    asked: list[str] = []

    def local(host: str, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return resolve("127.0.0.1" if host.endswith(DOMAIN) else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    name = minio_server.new_bucket()
    port = minio_server.endpoint.rpartition(":")[2]
    environ = minio_server.environ() | {
        "MLOPS_S3_ENDPOINT": f"http://{DOMAIN}:{port}",
        "MLOPS_S3_ADDRESSING": "virtual",
        "MLOPS_S3_REGION": "us-east-1",
    }
    store = open_store(f"s3://{name}/team", environ)
    digest = store.put_files({"a": b"x"}).digest
    assert f"{name}.{DOMAIN}" in asked
    assert open_store(f"s3://{name}/team", minio_server.environ()).read_file(digest, "a") == b"x"


def test_a_folder_on_a_full_disk_says_so(tmp_path: Path) -> None:
    """A file system of 1 MiB: the error is NoSpace, what was there stays readable, no half object is left."""
    script = (
        "import sys; from pathlib import Path; from mlops.store.folder import FolderBucket\n"
        "from mlops.store import NoSpace\n"
        "bucket = FolderBucket(Path(sys.argv[1])); bucket.put('kept', b'kept')\n"
        "try:\n    bucket.put('big', bytes(4 << 20))\n"
        "except NoSpace as error:\n    print(error)\n"
        "print([found.key for found in bucket.list('')], len(list((Path(sys.argv[1]) / '.incoming').iterdir())))\n"
    )
    mounted = f'mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec {sys.executable} -c "$SCRIPT" {tmp_path}'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted],
        env={**os.environ, "SCRIPT": script},
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a small file system: {done.stderr.strip()}")
    assert done.stdout.splitlines() == [
        "big: No space left on device; free space on the store's disk, or raise the quota",
        "['kept'] 0",
    ], done.stderr


def test_a_folder_forgets_what_a_killed_process_left_half_written(tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path)
    bucket.put("a", b"x")
    old, young = tmp_path / ".incoming" / "old", tmp_path / ".incoming" / "young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, time.time() - ABANDONED_AFTER - 60))
    bucket.put("b", b"y")
    assert not old.exists()
    assert young.exists(), "its writer may be alive"
    assert [found.key for found in bucket.list("")] == ["a", "b"]


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(StoreUnavailable, match="symbolic links"):
        list(FolderBucket(tmp_path).list("a/"))
