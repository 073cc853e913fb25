"""The report of a drift check, for whoever has a cluster, keys to its store, and no state folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlops.cli.main import cli
from mlops.store import open_store
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.s3


def test_a_report_is_fetched_with_the_users_own_keys(
    minio_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kubectl get dmon NAME -o jsonpath={.status.report}` gives the digest; a wrong key is told, not traced."""
    for name, value in minio_server.environ().items():
        monkeypatch.setenv(name, value)
    url = f"s3://{minio_server.new_bucket()}/team/"
    files = {"report.json": b'{"verdict": "DataDrift"}', "report.html": b"<html>moved</html>"}
    digest = open_store(url, os.environ).put_files(files).digest
    done = CliRunner().invoke(cli, ["report", digest, "--store", url, "--to", str(tmp_path)])
    assert done.exit_code == 0, done.output
    page = Path(done.output.strip())
    assert (page.read_bytes(), page.with_suffix(".json").read_bytes()) == (files["report.html"], files["report.json"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    refused = CliRunner().invoke(cli, ["report", digest, "--store", url, "--to", str(tmp_path)])
    assert refused.exit_code == 2
    assert "check the keys" in refused.output
