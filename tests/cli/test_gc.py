"""`mlops gc` on a project that was run, and on the store of a cluster."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from mlops.cli.main import cli
from mlops.store import Store, open_store
from tests.cli.project import mlops, write
from tests.cli.test_history import ROOT, kubectl, record, versions
from tests.servers.apiserver import ApiServer
from tests.servers.s3 import S3Server

__all__ = ["kubectl"]
pytestmark = pytest.mark.slow
ALL_OF_IT = ("--grace", "0s", "--record", "0s")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Manifests, and the state of a run with a replay and a check."""
    place = tmp_path_factory.mktemp("tiny")
    folder = write(place / "project", replay=True)
    ended = mlops("run", "-f", folder, "--state", place / "state")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder, place / "state"


@pytest.fixture
def state(project: tuple[Path, Path], tmp_path: Path) -> Path:
    """The same state, to change."""
    return shutil.copytree(project[1], tmp_path / "state")


def gc(state: Path, *words: str) -> dict[str, Any]:
    ended = mlops("gc", "--state", state, "-o", "json", *words)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def files_in(state: Path) -> set[str]:
    return {str(path.relative_to(state / "store")) for path in (state / "store").rglob("*") if path.is_file()}


def test_what_a_run_made_is_needed_and_an_orphan_goes(project: tuple[Path, Path], state: Path) -> None:
    """Afterwards everything is there to be run, asked and looked at as before."""
    before = files_in(state)
    orphan = open_store((state / "store").as_uri(), {}).put_files({"model.json": b"{}", "x": b"1234"}).digest

    young = gc(state)
    told = gc(state, *ALL_OF_IT, "--dry-run")
    assert (young["artifacts"], young["captures"]) == ([], [])
    assert (told["removed"], [one["digest"] for one in told["artifacts"]]) == (False, [orphan])
    assert (told["artifacts"][0]["kind"], told["artifacts"][0]["bytes"]) == ("model", 6)
    assert files_in(state) > before
    said = mlops("gc", "--state", state, *ALL_OF_IT)
    assert re.search(rf"{orphan} +model +0\.0 kB", said.stdout), said.stdout
    assert "1 artifacts removed, 2 files of 0.0 kB" in said.stdout
    assert files_in(state) == before

    again = mlops("run", "-f", project[0], "--state", state)
    assert again.returncode == 0, again.stdout + again.stderr
    assert gc(state, *ALL_OF_IT)["artifacts"] == []
    assert files_in(state) == before
    assert mlops("predict", "tiny", "--example", "--state", state).returncode == 0


def test_a_deleted_version_stays_while_it_is_on_record(state: Path) -> None:
    """By the clock of its world, which a replay has left in another year."""
    (version,) = json.loads(mlops("get", "mver", "-o", "json", "--state", state).stdout)["items"]
    artifact = version["status"]["artifact"]
    for kind, name in (("dmon", "tiny"), ("trun", "tiny"), ("mver", version["metadata"]["name"])):
        ended = mlops("delete", kind, name, "--force", "--state", state)
        assert ended.returncode == 0, ended.stderr

    on_record = gc(state, "--grace", "0s", "--dry-run")
    forgotten = gc(state, *ALL_OF_IT, "--dry-run")
    assert artifact not in [one["digest"] for one in on_record["artifacts"]]
    assert on_record["captures"] == []
    assert artifact in [one["digest"] for one in forgotten["artifacts"]]
    (captures,) = forgotten["captures"]
    assert (captures["namespace"], captures["modelName"], captures["files"] > 0) == ("default", "tiny", True)


def test_when_everything_is_deleted_the_store_is_empty(state: Path) -> None:
    for kind in ("dmon", "trun", "mver", "dset"):
        names = mlops("get", kind, "-o", "name", "--state", state).stdout.split()
        for name in names:
            mlops("delete", kind, name.rpartition("/")[2], "--force", "--state", state)
    assert mlops("get", "all", "--state", state).stdout.strip() == "no objects"
    gc(state, *ALL_OF_IT)
    assert files_in(state) == set()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--grace", "soon"), "--grace 'soon': no length of time: write one such as 7d, 12h or 0s"),
        (("--record", "-1d"), "--record '-1d': no length of time"),
        (("--cluster",), "--cluster and --store go together"),
        (("--store", "s3://a/b"), "--cluster and --store go together"),
        (("-n", "team"), "-n: of a cluster only"),
        (("--cluster", "--store", "s3://bucket/a", "--grace", "1h"), "--grace: at least 1d in a cluster"),
    ],
)
def test_a_mistake_removes_nothing(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    ended = CliRunner().invoke(cli, ["gc", "--state", str(tmp_path), *words])
    assert (ended.exit_code, said in ended.output) == (2, True), ended.output


def test_a_folder_without_a_state_or_in_use_is_refused(tmp_path: Path, state: Path) -> None:
    from mlops.local.records import Records

    assert "there is no state here yet" in CliRunner().invoke(cli, ["gc", "--state", str(tmp_path / "none")]).output
    held = Records(state)
    try:
        refused = CliRunner().invoke(cli, ["gc", "--state", str(state), *ALL_OF_IT])
    finally:
        held.close()
    assert (refused.exit_code, "is in use by process" in refused.output) == (2, True), refused.output


@pytest.mark.apiserver
@pytest.mark.s3
@pytest.mark.usefixtures("kubectl")
def test_of_a_cluster_with_its_own_keys(
    apiserver: ApiServer, minio_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a version, or the record alone, names stays; the rest of its store goes; what cannot be listed stops it."""
    apiserver.apply_crds([yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))])
    namespace = apiserver.new_namespace()
    url = f"s3://{minio_server.new_bucket()}/team"
    for name, value in minio_server.environ().items():
        monkeypatch.setenv(name, value)
    store = open_store(url, os.environ)
    named, on_record, orphan = (store.put_files({"model.json": name}).digest for name in (b"1", b"2", b"3"))
    version = versions()[0].dump()
    version["metadata"] = {"name": version["metadata"]["name"], "namespace": namespace}
    version["spec"] |= {"artifact": {"digest": named}}
    version["spec"].pop("source", None)
    assert apiserver.create(version)[0] == 201
    past = record(*versions(), namespace=namespace)
    past["data"]["history.jsonl"] += f"a line of another release: {on_record}\n"
    assert apiserver.create(past)[0] == 201
    # The store's clock cannot be set: what was stored just now is more than a day old for it.
    monkeypatch.setattr(Store, "now", lambda self: time.time() + timedelta(days=2).total_seconds())

    def of_cluster(*words: str) -> Result:
        words = ("gc", "--cluster", "--store", url, "-n", namespace, "--grace", "1d", "-o", "json", *words)
        return CliRunner().invoke(cli, list(words))

    told = of_cluster("--dry-run")
    assert [one["digest"] for one in json.loads(told.stdout)["artifacts"]] == [orphan], told.output
    assert of_cluster().exit_code == 0
    assert [store.exists(digest) for digest in (named, on_record, orphan)] == [True, True, False]
    store.put_object("captures/elsewhere/rain/production/requests/1.parquet", b"rows")
    shared = of_cluster()
    assert (shared.exit_code, "the store has captures of elsewhere/rain too: leave -n out" in shared.output) == (
        2,
        True,
    )
    store.bucket.delete("objects/captures/elsewhere/rain/production/requests/1.parquet")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    refused = of_cluster()
    assert (refused.exit_code, "kubectl" in refused.output) == (2, True), refused.output
    assert store.exists(named)
