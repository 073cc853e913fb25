"""`mlops put`: files delivered to a state folder's buckets, to an S3 service, to a cluster's; nothing lost unasked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.project import command, environment, mlops
from tests.servers.apiserver import ApiServer
from tests.servers.process import program
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.slow

FIRST, SECOND = b"v\n1\n", b"v\n2\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_bytes(FIRST)
    return tmp_path / "rows.csv"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_file_lies_where_datasets_read_and_is_not_replaced_unasked(file: Path, tmp_path: Path) -> None:
    """Put twice it is there already; another content needs --force."""
    state, place = tmp_path / "state", tmp_path / "state" / "buckets" / "raw" / "a" / "rows.csv"
    words = ("put", file, "s3://raw/a/", "--state", state)
    assert mlops(*words).stdout == f"{file} -> {place}   {digest(FIRST)}\n"
    assert mlops(*words).stdout == f"{file} -> {place}   is there already, {digest(FIRST)}\n"
    file.write_bytes(SECOND)
    refused = mlops(*words)
    assert refused.returncode == 2
    assert f"{place} is there and holds something else: --force replaces it" in refused.stderr
    assert place.read_bytes() == FIRST
    assert mlops(*words, "--force").returncode == 0
    assert place.read_bytes() == SECOND


def test_several_files_go_under_a_prefix(file: Path, tmp_path: Path) -> None:
    """And not to one object, nor two of a name to one place; nothing is put then."""
    other = tmp_path / "more.csv"
    other.write_bytes(SECOND)
    state = tmp_path / "state"
    assert "end it with /" in mlops("put", file, other, "s3://raw/a", "--state", state).stderr
    assert "would lie at one place" in mlops("put", file, file, "s3://raw/a/", "--state", state).stderr
    assert "there is no such file" in mlops("put", file, tmp_path / "no.csv", "s3://raw/a/", "--state", state).stderr
    assert not (state / "buckets").exists()
    assert mlops("put", file, other, "s3://raw/a/", "--state", state).returncode == 0
    assert sorted(one.name for one in (state / "buckets" / "raw" / "a").iterdir()) == ["more.csv", "rows.csv"]


def test_a_folder_is_no_place_of_a_file(file: Path, tmp_path: Path) -> None:
    """Nothing is left of the copy; the way out that is told works."""
    state = tmp_path / "state"
    assert mlops("put", file, "s3://raw/a/", "--state", state).returncode == 0
    told = mlops("put", file, "s3://raw/a", "--state", state)
    assert (told.returncode, told.stderr) == (2, "Error: s3://raw/a is a folder: end it with /\n")
    assert mlops("put", file, "s3://raw/a/", "--state", state).returncode == 0
    assert mlops("put", file, "s3://raw/a/b/", "--state", state).returncode == 0
    (tmp_path / "b").write_bytes(FIRST)
    told = mlops("put", tmp_path / "b", "s3://raw/a/", "--state", state)
    assert told.stderr == "Error: s3://raw/a/b is a folder: give the file another name there\n"
    told = mlops("put", file, "s3://raw/a/rows.csv/", "--state", state)
    assert told.stderr == "Error: s3://raw/a/rows.csv is a file, so nothing lies under it: name another place\n"
    assert sorted(one.name for one in state.iterdir()) == ["buckets"]


def test_several_files_are_put_all_or_none(file: Path, tmp_path: Path) -> None:
    """A place of the second that is taken is told before the first is put."""
    state, other = tmp_path / "state", tmp_path / "more.csv"
    other.write_bytes(FIRST)
    assert mlops("put", other, "s3://raw/a/", "--state", state).returncode == 0
    other.write_bytes(SECOND)
    refused = mlops("put", file, other, "s3://raw/a/", "--state", state)
    assert refused.returncode == 2
    assert "more.csv is there and holds something else: --force replaces it" in refused.stderr
    assert [one.name for one in (state / "buckets" / "raw" / "a").iterdir()] == ["more.csv"]


def _put(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("put", *words), capture_output=True, text=True, env={**environment(), **environ}, timeout=60
    )


@pytest.mark.s3
def test_an_s3_service_takes_files_and_keeps_what_it_has(file: Path, minio_server: S3Server) -> None:
    """With keys of the environment: larger than one request, sent once, not replaced without --force."""
    content = os.urandom(40 << 20)
    file.write_bytes(content)
    bucket, environ = minio_server.new_bucket(), minio_server.environ()
    target = f"s3://{bucket}/a/"
    put = _put(file, target, "--s3", **environ)
    assert put.stdout == f"{file} -> s3://{bucket}/a/rows.csv   {digest(content)}\n", put.stderr
    found = minio_server.client().get_object(bucket, "a/rows.csv")
    assert hashlib.sha256(found.read()).hexdigest() == hashlib.sha256(content).hexdigest()
    found.close()
    assert "is there already" in _put(file, target, "--s3", **environ).stdout
    file.write_bytes(SECOND)
    refused = _put(file, target, "--s3", **environ)
    assert refused.returncode == 2
    assert f"s3://{bucket}/a/rows.csv is there and holds something else: --force replaces it" in refused.stderr
    new = file.with_name("a-new.csv")
    new.write_bytes(FIRST)
    both = _put(new, file, target, "--s3", **environ)
    assert (both.returncode, both.stdout) == (2, "")
    assert [one.object_name for one in minio_server.client().list_objects(bucket, "a/")] == ["a/rows.csv"]
    assert _put(file, target, "--s3", "--force", **environ).returncode == 0
    assert minio_server.client().stat_object(bucket, "a/rows.csv").size == len(SECOND)


@pytest.fixture
def kubectl(apiserver: ApiServer, tmp_path: Path) -> dict[str, str]:
    """The environment of a user with kubectl and a kubeconfig."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [
            {"name": "here", "cluster": {"server": apiserver.url, "certificate-authority": str(apiserver.ca)}}
        ],
        "users": [{"name": "me", "user": {"token": apiserver.token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    path = f"{Path(program('kubectl')).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "KUBECONFIG": str(tmp_path / "kubeconfig")}


def _secret(apiserver: ApiServer, name: str, **content: str) -> str:
    """Make a Secret in a namespace of its own, and return the namespace."""
    namespace = apiserver.new_namespace()
    metadata = {"name": name, "namespace": namespace}
    status, _ = apiserver.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content})
    assert status == 201
    return namespace


@pytest.mark.s3
@pytest.mark.apiserver
def test_a_clusters_service_is_reached_with_the_keys_of_its_secret(
    file: Path, kubectl: dict[str, str], apiserver: ApiServer, minio_server: S3Server
) -> None:
    """The environment's own keys count for nothing then; the endpoint is the one that is reached from here."""
    bucket, known = minio_server.new_bucket(), minio_server.environ()
    keys = {name: known[name] + "\n" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    namespace = _secret(apiserver, "mlops-store-delivery", **keys)
    environ = {**kubectl, "AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "wrong"}
    put = _put(file, f"s3://{bucket}/a/", "-n", namespace, "--endpoint", minio_server.endpoint, **environ)
    assert put.returncode == 0, put.stderr
    assert minio_server.client().stat_object(bucket, "a/rows.csv").size == len(FIRST)
    assert not any(secret.strip() in put.stdout + put.stderr for secret in keys.values())


@pytest.mark.apiserver
def test_what_is_wrong_with_the_secret_is_told(file: Path, kubectl: dict[str, str], apiserver: ApiServer) -> None:
    """It is not there; it does not say where the service is, nor does anything else."""
    namespace = _secret(apiserver, "mine", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
    absent = _put(file, "s3://raw/a/", "-n", namespace, **kubectl)
    assert absent.returncode == 2
    assert 'secrets "mlops-store-delivery" not found' in absent.stderr
    refused = _put(file, "s3://raw/a/", "-n", namespace, "--secret", "mine", **kubectl)
    assert refused.returncode == 2
    assert f"Secret mine in namespace {namespace} does not say where the service is: say --endpoint" in refused.stderr


@pytest.mark.parametrize(
    ("words", "environ", "said"),
    [
        pytest.param(["--s3"], {}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: not set", id="no keys"),
        pytest.param(["-n", "team"], {"PATH": "/nowhere"}, "kubectl is not on your PATH", id="no kubectl"),
        pytest.param(
            ["--endpoint", "here"],
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
            "MLOPS_S3_ENDPOINT: is not an http:// or https:// address",
            id="endpoint",
        ),
        pytest.param(
            ["--endpoint", "http://127.0.0.1:9"],
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "MLOPS_S3_ATTEMPTS": "1"},
            "no answer",
            id="nobody there",
        ),
    ],
)
def test_mistakes_of_a_service_are_told(file: Path, words: list[str], environ: dict[str, str], said: str) -> None:
    refused = _put(file, "s3://raw/a/", *words, **environ)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
