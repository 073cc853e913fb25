"""Mistakes that `kubectl` sees itself, or tells of: with the real one, and a real API server behind it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from hack.generate import ROOT
from tests.bad_input.catalogue import Case, parameters, value_of
from tests.cluster.access import kubeconfig
from tests.servers.apiserver import ApiServer
from tests.servers.process import program

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def credentials(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig for the API server with the committed definitions."""
    apiserver.apply_crds([yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))])
    return kubeconfig(tmp_path_factory.mktemp("kubectl"), apiserver.url, apiserver.ca, apiserver.token)


@pytest.mark.parametrize("case", parameters("kubectl"))
def test_it_is_told_with_the_place(credentials: Path, tmp_path: Path, case: Case) -> None:
    """Nothing of the object reaches the API server."""
    (tmp_path / "mine.yaml").write_text(value_of(case["text"]))
    command = [program("kubectl"), "--kubeconfig", str(credentials), "apply", "--validate=strict", "--dry-run=server"]
    done = subprocess.run(
        [*command, "-f", "mine.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip() == case["message"]
