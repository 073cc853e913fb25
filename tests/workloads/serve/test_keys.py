"""Keys that are exchanged while a server runs: what it captured waits for the new ones, and none is lost."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mlops.store import AccessDenied, CredentialsMissing, open_store
from mlops.workloads.floor.records.layout import captures_prefix
from tests.servers.s3 import S3Server
from tests.workloads.serve.models import rows
from tests.workloads.serve.mounts import Mount
from tests.workloads.serve.servers import Served, request_of, started, task_of, wait_until_ready

SETTINGS = ("MLOPS_S3_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def metric(served: Served, name: str) -> float:
    """Return a figure of the captures; 0 if there is none."""
    lines = served.ask("GET", "/metrics")[2].decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f'{name}{{kind="captures"'))


@pytest.mark.s3
def test_captures_of_revoked_keys_wait_for_the_new_ones(tmp_path: Path, model: Path, minio_server: S3Server) -> None:
    """Keys revoked, the Secret deleted, then made again with others: every answered row is stored, once."""
    bucket = minio_server.new_bucket()
    url = f"s3://{bucket}/team"
    artifact = open_store(url, minio_server.environ()).put_directory(model).digest
    first, second = minio_server.new_user(bucket), minio_server.new_user(bucket)
    mount = Mount(tmp_path / "keys")
    mount.put(first.environ())
    environ = {"MLOPS_STORE": url, "MLOPS_S3_KEYS": str(mount.folder), "MLOPS_S3_SECRET": "team/mlops-store"}
    with started(tmp_path / "pod", tmp_path, task_of(artifact, flushSeconds=1), **environ) as served:
        wait_until_ready(served)
        asked = 0

        def ask(times: int) -> None:
            nonlocal asked
            for _ in range(times):
                assert served.infer(request_of(rows(5, asked), id=f"r{asked}"))[0] == 200
                asked += 1

        ask(3)
        until(lambda: metric(served, "mlops_stored_rows_total") == 15)
        minio_server.remove_user(first)
        ask(20)
        until(lambda: metric(served, "mlops_flush_failing") == 1)
        log = served.folder / "server.log"
        assert "captures: " in log.read_text()
        assert "rows wait in memory, up to" in log.read_text()
        assert "AccessDenied" in log.read_text()
        assert served.post("/-/flush", b"")[0] == 503
        mount.put({})
        ask(20)
        until(lambda: 'Secret "mlops-store" in namespace "team" must hold this' in log.read_text())
        assert served.ask("GET", "/v2/health/ready")[0] == 200
        mount.put(second.environ())
        until(lambda: metric(served, "mlops_backlog_rows") == 0)
        assert metric(served, "mlops_flush_failing") == 0
        until(lambda: "captures: they are stored again, none waits" in log.read_text())
        assert metric(served, "mlops_dropped_rows_total") == 0
        ask(2)
        assert served.stop() == 0
    store = open_store(url, minio_server.environ())
    files = [store.get_object(found.key) for found in store.list(captures_prefix("team", "weather", "production"))]
    stored = pl.concat([pl.read_parquet(io.BytesIO(file)) for file in files])
    assert sorted(stored["id"].unique()) == sorted(f"r{number}" for number in range(asked))
    assert stored.height == 5 * asked


@pytest.mark.s3
def test_a_store_goes_on_with_the_keys_of_now(tmp_path: Path, minio_server: S3Server) -> None:
    """Also a plain folder of files is read, and what the environment sets goes before it."""
    bucket = minio_server.new_bucket()
    user = minio_server.new_user(bucket)
    keys = tmp_path / "keys"
    keys.mkdir()
    told = {"MLOPS_S3_KEYS": str(keys), "MLOPS_S3_SECRET": "team/mlops-store"}
    with pytest.raises(CredentialsMissing, match='Secret "mlops-store" in namespace "team"'):
        open_store(f"s3://{bucket}", told)
    for name, value in user.environ().items():
        (keys / name).write_text(value)
    store = open_store(f"s3://{bucket}", told)
    digest = store.put_files({"a": b"1"}).digest
    (keys / "AWS_SECRET_ACCESS_KEY").write_bytes(b"\xff")
    with pytest.raises(CredentialsMissing, match="beyond ASCII"):
        store.read_file(digest, "a")
    (keys / "AWS_SECRET_ACCESS_KEY").write_text("wrong")
    with pytest.raises(AccessDenied):
        store.read_file(digest, "a")
    given = open_store(f"s3://{bucket}", told | {"AWS_SECRET_ACCESS_KEY": user.secret_key})
    assert given.read_file(digest, "a") == b"1"
    (keys / "AWS_SECRET_ACCESS_KEY").write_text(user.secret_key + "\n")
    assert store.read_file(digest, "a") == b"1"
