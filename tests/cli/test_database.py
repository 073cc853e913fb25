"""`mlops run` with a database: a Secret from a manifest or the environment, and the password nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.servers.databases import PASSWORD, Database
from tests.stored_bytes import found_in
from tests.workloads.ingest.conftest import a_frame
from tests.workloads.ingest.database.tables import QUERY, add, deliver, of_query

STATE = "state"


def run(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
    return subprocess.run(
        [sys.executable, "-m", "mlops.cli.main", *words, "--state", str(folder / STATE)],
        env=inherited | environ,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def manifest(database: Database, query: str = QUERY) -> str:
    spec = of_query(database, query, incremental="time").model_dump(mode="json", by_alias=True, exclude_unset=True)
    dataset = {"apiVersion": "mlops.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "things"}, "spec": spec}
    return yaml.safe_dump(dataset)


def secret(database: Database, **changes: str) -> str:
    keys = database.secret(**changes)
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "warehouse"}, "stringData": keys})


def test_a_run_reads_a_database_and_each_further_run_what_is_new(tmp_path: Path, database: Database) -> None:
    deliver(database, a_frame(20))
    (tmp_path / "a.yaml").write_text(f"{manifest(database)}---\n{secret(database)}")
    first = run(tmp_path, "run", "-f", "a.yaml")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "20 rows" in first.stdout
    add(database, a_frame(28)[20:])
    second = run(tmp_path, "run", "-f", "a.yaml")
    assert "its source is synced again" in second.stdout
    assert "version 2" in second.stdout
    assert "28 rows" in second.stdout
    status = yaml.safe_load(run(tmp_path, "get", "dataset", "things", "-o", "yaml").stdout)["status"]
    assert (status["version"], status["rows"]) == (2, 28)
    assert status["watermark"].startswith("2024-01-28T")
    assert PASSWORD not in first.stdout + first.stderr + second.stdout + second.stderr
    assert found_in(tmp_path / STATE, [PASSWORD]) == {}


def test_a_secret_is_mended_in_the_environment(tmp_path: Path, postgresql: Database) -> None:
    """Without one, with a wrong one that is told without its value, with the right one."""
    deliver(postgresql, a_frame(20))
    (tmp_path / "a.yaml").write_text(manifest(postgresql))
    missing = run(tmp_path, "run", "-f", "a.yaml")
    assert missing.returncode == 1
    assert "CredentialsMissing" in missing.stdout
    assert "MLOPS_SECRET_<NAME>_<KEY>" in missing.stdout
    keys = {f"MLOPS_SECRET_WAREHOUSE_{name.upper()}": value for name, value in postgresql.secret().items()}
    wrong = run(tmp_path, "run", "-f", "a.yaml", **keys | {"MLOPS_SECRET_WAREHOUSE_PASSWORD": f"{PASSWORD}x"})
    assert wrong.returncode == 1
    assert "AccessDenied" in wrong.stdout
    right = run(tmp_path, "run", "-f", "a.yaml", **keys)
    assert right.returncode == 0, right.stdout
    shown = "".join(one.stdout + one.stderr for one in (missing, wrong, right))
    assert PASSWORD not in shown
    assert found_in(tmp_path / STATE, [PASSWORD]) == {}
