"""The policies of the docs, on a real MinIO: each role does its work, and what it must not do is denied."""

from __future__ import annotations

import importlib.util
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from mlops.store import AccessDenied, NotFound, Store, open_source, open_store
from mlops.store.layout import blob_key, manifest_key, object_key
from mlops.workloads.floor.records.layout import asked_prefix, captures_prefix
from tests.servers.s3 import S3Server

ROOT = Path(__file__).resolve().parents[2]
OWN, OTHER = captures_prefix("team-a", "m", "production"), captures_prefix("team-b", "m", "production")
LARGE = secrets.token_bytes(17 << 20)


def users() -> ModuleType:
    """Return what the chart's demo makes users with."""
    spec = importlib.util.spec_from_file_location("users", ROOT / "charts/mlops-operator/files/demo-minio/users.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Roles:
    """A store per namespace in one bucket, data in another, and a user per role."""

    def __init__(self, server: S3Server, prefix: str) -> None:
        self.server, self.prefix = server, prefix
        self.bucket, self.data = server.new_bucket(), server.new_bucket()
        self.url = f"s3://{self.bucket}/{prefix}" if prefix else f"s3://{self.bucket}"

    def environ(self, role: str, namespace: str = "team-a") -> dict[str, str]:
        """Return what a pod of that role is given."""
        prefix = self.prefix.replace("{namespace}", namespace)
        policy = users().policies(self.bucket, prefix, namespace, self.data)[role]
        user = replace(self.server, access_key=f"u-{secrets.token_hex(6)}", secret_key=secrets.token_hex(16))
        admin = self.server._admin()
        admin.user_add(user.access_key, user.secret_key)
        admin.policy_add(user.access_key, policy=policy)
        admin.policy_set(user.access_key, user=user.access_key)
        return user.environ()

    def store(self, role: str, namespace: str = "team-a") -> Store:
        """Return the namespace's store with the keys of a role."""
        return open_store(self.url.replace("{namespace}", namespace), self.environ(role, namespace))

    def all_may(self, namespace: str = "team-a") -> Store:
        """Return the namespace's store with the administrator's keys."""
        return open_store(self.url.replace("{namespace}", namespace), self.server.environ())


@pytest.fixture(params=["mlops/{namespace}", ""], ids=["a prefix per namespace", "one bucket for all"])
def roles(request: pytest.FixtureRequest, minio_server: S3Server) -> Roles:
    return Roles(minio_server, request.param)


def denied(what: Callable[[], object]) -> None:
    """Fail unless the service denies it."""
    with pytest.raises(AccessDenied):
        what()


@pytest.mark.s3
@pytest.mark.thorough
def test_a_writer_stores_artifacts_and_reads_what_was_captured_and_delivered(roles: Roles, tmp_path: Path) -> None:
    """Ingest, training and drift checks: also what goes in parts, and what is there already."""
    store, rooted = roles.store("writer"), roles.all_may()
    (tmp_path / "large").write_bytes(LARGE)
    digest = store.put_files({"small": b"1", "large": tmp_path / "large"}).digest
    assert store.put_files({"small": b"1", "large": tmp_path / "large"}).digest == digest
    assert store.read_file(digest, "small") == b"1"
    rooted.put_object(OWN + "a.parquet", b"rows")
    assert [found.key for found in store.list(OWN)] == [OWN + "a.parquet"]
    assert store.get_object(OWN + "a.parquet") == b"rows"
    bucket, key = open_source(f"s3://{roles.data}/x/", roles.environ("delivery"))
    bucket.put(f"{key}1.csv", b"data")
    source, key = open_source(f"s3://{roles.data}/x/", roles.environ("writer"))
    assert [b"".join(source.read(found.key)) for found in source.list(key)] == [b"data"]
    denied(lambda: source.put("x/1.csv", b"other"))
    denied(lambda: store.put_object(OWN + "a.parquet", b"poison"))
    # A check writes down for which rows it has asked for labels (do: AskForLabels), beside what was captured.
    asked = asked_prefix("team-a", "m", "production") + "2026-01-10/monitor.jsonl"
    store.put_object(asked, b"{}")
    assert store.get_object(asked) == b"{}"
    denied(lambda: store.put_object(asked_prefix("team-b", "m", "production") + "a.jsonl", b"{}"))
    denied(lambda: store.put_object(captures_prefix("team-a", "m", "asked") + "a.parquet", b"poison"))
    denied(lambda: store.bucket.delete(object_key(OWN + "a.parquet")))
    denied(lambda: store.delete(digest))


@pytest.mark.s3
@pytest.mark.thorough
def test_a_remover_removes_artifacts_and_touches_no_capture(roles: Roles) -> None:
    """Of its own namespace, and what was removed before is no error; it stores nothing."""
    rooted = roles.all_may()
    one = rooted.put_files({"rows": b"1", "schema": b"2"}).digest
    two = rooted.put_files({"rows": b"3", "schema": b"2"}).digest
    rooted.put_object(OWN + "a.parquet", b"rows")
    store = roles.store("remover")
    assert store.remove([one]) == 1
    assert store.remove([one]) == 0
    assert not rooted.exists(one)
    assert rooted.read_file(two, "schema") == b"2"
    denied(lambda: store.put_files({"a": b"1"}))
    denied(lambda: store.get_object(OWN + "a.parquet"))
    denied(lambda: store.bucket.delete(object_key(OWN + "a.parquet")))


@pytest.mark.s3
@pytest.mark.thorough
def test_a_reader_reads_artifacts_and_writes_nothing(roles: Roles) -> None:
    """Fetch and verify."""
    digest = roles.all_may().put_files({"a": b"1"}).digest
    store = roles.store("reader")
    assert store.read_file(digest, "a") == b"1"
    roles.all_may().put_object(OWN + "a.parquet", b"rows")
    denied(lambda: store.put_files({"b": b"2"}))
    denied(lambda: store.put_object(OWN + "b.parquet", b"rows"))
    denied(lambda: store.get_object(OWN + "a.parquet"))
    denied(lambda: list(store.list(OWN)))
    denied(lambda: store.delete(digest))
    with pytest.raises(NotFound):
        store.manifest("sha256:" + "0" * 64)


@pytest.mark.s3
@pytest.mark.thorough
def test_a_server_reads_artifacts_and_only_adds_captures(roles: Roles) -> None:
    """Large ones, too, without looking at what they became."""
    rooted = roles.all_may()
    digest = rooted.put_files({"a": b"1"}).digest
    store = roles.store("server")
    assert store.read_file(digest, "a") == b"1"
    store.put_object(OWN + "small.parquet", b"rows")
    store.put_object(OWN + "large.parquet", LARGE)
    assert rooted.get_object(OWN + "large.parquet") == LARGE
    denied(lambda: store.get_object(OWN + "small.parquet"))
    denied(lambda: list(store.list(OWN)))
    denied(lambda: store.put_object(OTHER + "x.parquet", b"poison"))
    denied(lambda: store.put_files({"b": b"2"}))
    denied(lambda: store.bucket.put(blob_key("sha256:" + "1" * 64), b"poison"))
    denied(lambda: store.bucket.put(manifest_key(digest), b"poison"))
    denied(lambda: store.bucket.delete(object_key(OWN + "small.parquet")))


@pytest.mark.s3
@pytest.mark.thorough
@pytest.mark.parametrize("role", ["writer", "reader", "server", "remover"])
def test_no_role_reaches_into_another_namespace(minio_server: S3Server, role: str) -> None:
    """With a prefix each, not by a digest that somebody told either."""
    roles = Roles(minio_server, "mlops/{namespace}")
    theirs = roles.all_may("team-b")
    digest = theirs.put_files({"secret": b"1"}).digest
    theirs.put_object(OTHER + "a.parquet", b"rows")
    with_our_keys = open_store(roles.url.replace("{namespace}", "team-b"), roles.environ(role))
    denied(lambda: with_our_keys.manifest(digest))
    denied(lambda: with_our_keys.get_object(OTHER + "a.parquet"))
    denied(lambda: list(with_our_keys.list(OTHER)))
    denied(lambda: with_our_keys.put_files({"b": b"2"}))
    denied(lambda: with_our_keys.put_object(OTHER + "b.parquet", b"rows"))
    with pytest.raises((NotFound, AccessDenied)):
        roles.store(role).manifest(digest)


def test_the_policies_of_the_docs_are_those_that_are_tested() -> None:
    """Whoever copies them gets what MinIO was asked above."""
    page = (ROOT / "docs" / "store.md").read_text("utf-8")
    shown = dict(
        re.findall(r"^\*\*`(\w+)`\*\*[^\n]*\n(?:[^\n`]+\n)*\n```json\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    )
    wanted = users().policies("my-bucket", "mlops/team-a", "team-a", "raw")
    del wanted["delivery"]
    assert {role: json.loads(text) for role, text in shown.items()} == wanted
