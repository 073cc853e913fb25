"""A second `kubectl apply` of the same manifests changes nothing, and says so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.generate import ROOT
from mlops.api.base import API_VERSION
from mlops.cli.yaml_written import written
from tests.api import objects
from tests.cluster.access import kubeconfig
from tests.gitops import overlays
from tests.servers.apiserver import ApiServer
from tests.servers.process import program

pytestmark = pytest.mark.apiserver
_FENCED = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
_OVERLAYS = overlays.FOLDER / "overlays"


def _whole(text: str) -> list[Any]:
    """The manifests of ours in a text: whole ones, not the pieces that a page shows of them."""
    found = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    return [each for each in found if isinstance(each, dict) and each.get("apiVersion") == API_VERSION]


def _manifests() -> dict[str, list[Any]]:
    files = [*sorted((ROOT / "examples").rglob("*.yaml")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
    found: dict[str, list[Any]] = {}
    for file in files:
        if file.is_relative_to(_OVERLAYS):
            continue  # patches: kustomize makes objects of them
        texts = _FENCED.findall(file.read_text()) if file.suffix == ".md" else [file.read_text()]
        whole = [each for text in texts for each in _whole(text) if "spec" in each and "name" in each["metadata"]]
        if whole:
            found[str(file.relative_to(ROOT))] = whole
    full = [objects.a_dataset(), objects.a_run(), objects.a_version(), objects.a_monitor()]
    return found | {"every field of every kind": full}


MANIFESTS = _manifests()


@pytest.fixture(scope="module")
def credentials(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig for the API server with the committed definitions."""
    apiserver.apply_crds([yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))])
    return kubeconfig(tmp_path_factory.mktemp("again"), apiserver.url, apiserver.ca, apiserver.token)


@pytest.mark.parametrize("name", MANIFESTS)
def test_what_is_applied_again_is_unchanged(apiserver: ApiServer, credentials: Path, tmp_path: Path, name: str) -> None:
    """With defaults of the API server in items of lists it said "configured" each time."""
    _is_unchanged(apiserver, credentials, tmp_path, MANIFESTS[name])


@pytest.mark.parametrize("overlay", overlays.NAMES)
def test_an_overlay_that_is_applied_again_is_unchanged(
    apiserver: ApiServer, credentials: Path, tmp_path: Path, overlay: str
) -> None:
    """As `kubectl kustomize` builds it."""
    _is_unchanged(apiserver, credentials, tmp_path, list(overlays.objects_of(overlay).values()))


def _is_unchanged(apiserver: ApiServer, credentials: Path, tmp_path: Path, manifests: list[Any]) -> None:
    for index, manifest in enumerate(manifests):
        manifest = {**manifest, "metadata": {"name": manifest["metadata"]["name"]}}
        file = tmp_path / f"{index}.yaml"
        file.write_text(written(manifest))
        command = [program("kubectl"), "--kubeconfig", str(credentials), "-n", apiserver.new_namespace(), "apply"]
        first, second = (
            subprocess.run([*command, "-f", str(file)], capture_output=True, text=True, timeout=60) for _ in range(2)
        )
        assert first.stdout.strip().endswith(" created"), first.stderr
        assert second.stdout.strip().endswith(" unchanged"), second.stdout + second.stderr
